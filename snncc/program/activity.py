"""What each neuron did in a run, summed over samples: all that a placement needs to know of it.

Most events follow from how often each neuron fired. Whether a neuron was active does not: it is followed again, step by
step, from what its sources fired, unless the run's own counts say that all of its population were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.errors import InputError
from snncc.program.counts import StepCounts
from snncc.program.currents import project
from snncc.program.program import Population, Program
from snncc.program.reference import check_inputs, update

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Activity:
    """Arrays (size, T) int64, summed over samples.

    Attributes:
        spikes: in how many samples each neuron fired at each step, by population; by the source's name, if that is not static,
            in how many its value was not zero.
        active: in how many samples each neuron received anything or held a state or a bias, by population.
        samples: inferences summed over.
    """

    spikes: Mapping[str, Array]
    active: Mapping[str, Array]
    samples: int

    def fired(self, name: str) -> int:
        """Spikes of a population, or non-zero values of the source, over all neurons, steps and samples."""
        return int(self.spikes[name].sum())


def measure_activity(
    program: Program, spikes: Mapping[str, Array], inputs: Array, counts: Mapping[str, StepCounts] | None = None
) -> Activity:
    """Activity of a run: ``spikes`` (T, N, *shape) by population, on ``inputs`` as :func:`snncc.program.reference.run_reference`
    takes them. ``counts``, where given, are trusted to be those of the same run; they save work.

    Raises :class:`InputError` where neurons that are followed again fire otherwise than ``spikes`` say.
    """
    check_inputs(program, inputs)
    static = program.source.encoding == "static"
    samples = inputs.shape[0 if static else 1]
    _check_spikes(program, spikes, samples)
    fired = {p.name: fired_by_neuron(spikes[p.name], p.size) for p in program.populations}
    if not static:
        fired[program.source.name] = fired_by_neuron(inputs, int(np.prod(program.source.shape)))
    active = {}
    for p in program.populations:
        if counts is not None and np.array_equal(counts[p.name].active, counts[p.name].updates):
            active[p.name] = np.full((p.size, program.time_steps), samples, np.int64)
        else:
            active[p.name] = np.stack(list(_follow(program, p, spikes, inputs)), axis=1)
    return Activity(fired, active, samples)


def add_activities(parts: Sequence[Activity]) -> Activity:
    """Activity of several batches of one Program, added up."""
    first = parts[0]
    spikes = {name: np.sum([p.spikes[name] for p in parts], axis=0) for name in first.spikes}
    active = {name: np.sum([p.active[name] for p in parts], axis=0) for name in first.active}
    return Activity(spikes, active, sum(p.samples for p in parts))


def fired_by_neuron(spikes: Array, size: int) -> Array:
    """(size, T): samples in which each neuron fired, step by step, of ``spikes`` (T, N, …)."""
    return np.asarray((spikes.reshape(*spikes.shape[:2], size) != 0).sum(axis=1).T, np.int64)


def _follow(program: Program, population: Population, spikes: Mapping[str, Array], inputs: Array) -> Iterator[Array]:
    """For each step the samples in which each neuron was active, (size,)."""
    own = spikes[population.name]
    shape = own.shape[1:]
    u, v, fired = np.zeros(shape, np.int64), np.broadcast_to(population.v_init.astype(np.int64), shape), own[0] * 0
    biased = (population.bias != 0) | (population.current_bias != 0)
    once = {
        p.name: project(program, p, inputs.astype(np.int64))
        for p in program.incoming(population.name)
        if program.is_static(p)
    }
    for t in range(program.time_steps):
        current = np.zeros(shape, np.int64)
        for projection in program.incoming(population.name):
            if t < projection.delay:
                continue
            if projection.name in once:
                current += once[projection.name]
                continue
            sent = spikes.get(projection.source, inputs)
            current += project(program, projection, sent[t - projection.delay].astype(np.int64))
        active = (u != 0) | (v != 0) | (current != 0) | biased
        u, v, fired = update(population, program.arithmetic, (u, v, fired), current)
        if not np.array_equal(fired, own[t]):
            raise InputError(
                f"{population.name}: {np.count_nonzero(fired != own[t]):,} neurons fire otherwise at step {t} than the spikes "
                "given say; give a recording of this program on these inputs"
            )
        yield active.reshape(len(active), -1).sum(axis=0)


def _check_spikes(program: Program, spikes: Mapping[str, Array], samples: int) -> None:
    for p in program.populations:
        wanted = (program.time_steps, samples, *p.shape)
        given = spikes[p.name].shape if p.name in spikes else None
        if given != wanted:
            raise InputError(f"{p.name}: spikes have shape {given}; {wanted} is needed: record the run (record=True)")
