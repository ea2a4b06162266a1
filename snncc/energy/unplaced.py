"""Events of a Program that is on no chip: each population as if it were one core of its own.

A spike is one message to each population that it reaches. Placed on cores (:mod:`snncc.chip.counts`) a population that is spread
over several receives more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snncc.energy.counted import Number
from snncc.energy.scopes import EVENTS
from snncc.errors import InputError
from snncc.program.counts import StepCounts
from snncc.program.program import Population, Program


def unplaced_counts(
    program: Program, counts: Mapping[str, StepCounts], samples: int, source_events: int = 0
) -> dict[str, dict[str, Number]]:
    """Population to how often each of :data:`snncc.energy.scopes.EVENTS` happened, summed over steps and samples.

    ``counts``: of a run of ``samples`` inferences, by population. ``source_events``: non-zero input values, of a source that
    is not static. Raises :class:`InputError` where the counts are not this Program's or not of that many samples.
    """
    for population in program.populations:
        _check(program, population, counts, samples)
    return {p.name: _events(program, p.name, counts, source_events) for p in program.populations}


def host_operations(program: Program, name: str, counts: StepCounts) -> int:
    """Multiply-accumulates of a static input into a population, which the host does once a sample, summed over samples."""
    static = (p for p in program.incoming(name) if program.is_static(p))
    return sum(_total(counts.synaptic_operations[p.name]) for p in static)


def _events(program: Program, name: str, counts: Mapping[str, StepCounts], source_events: int) -> dict[str, Number]:
    own, source = counts[name], program.source.name
    made: dict[str, Number] = dict.fromkeys(EVENTS, 0)
    made |= {"updates": _total(own.updates), "active": _total(own.active), "spikes": _total(own.spikes)}
    made["host_operations"] = host_operations(program, name, own)
    for projection in program.incoming(name):
        if not program.is_static(projection):
            made[f"synaptic_{projection.kind}"] += _total(own.synaptic_operations[projection.name])
    for origin in {p.source for p in program.incoming(name) if not program.is_static(p)}:
        made["axons_in"] += source_events if origin == source else _total(counts[origin].spikes)
    made["axons_out"] = made["spikes"] * len({p.target for p in program.projections if p.source == name})
    return made


def _check(program: Program, population: Population, counts: Mapping[str, StepCounts], samples: int) -> None:
    name = population.name
    if name not in counts:
        raise InputError(f"{name}: the counts say nothing of it; they cover {', '.join(counts) or 'nothing'}")
    updates, expected = _total(counts[name].updates), population.size * program.time_steps * samples
    if updates != expected:
        raise InputError(
            f"{name}: the counts hold {updates:,} neuron updates; {population.size:,} neurons × {program.time_steps} steps × "
            f"{samples:,} samples make {expected:,}; give the number of samples the counts were summed over"
        )
    for projection in program.incoming(name):
        if projection.name not in counts[name].synaptic_operations:
            raise InputError(f"{projection.name}: the counts of {name} hold no synaptic operations for it")


def _total(values: np.ndarray) -> int:
    return int(np.asarray(values).sum())
