"""Exact counts of events on a placed Program: per core and step, and messages over the mesh.

What a core computes is that of :mod:`snncc.program.counts`, neuron by neuron, so that the sums over cores are the counts of
the unplaced Program. A neuron that fires sends one message to each core that listens to it, in the step in which it fires; a delay
passes in the core that receives it. An input that is not static sends each non-zero value to each core that listens; these
messages are axons in of those cores and take no hops. What a static input is weighed to is the host's work and not counted here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from snncc.chip.footprint import reached
from snncc.chip.place import Placement, core_traffic, routes
from snncc.errors import InputError
from snncc.program.currents import project, weigh
from snncc.program.program import Population, Program, Projection
from snncc.program.reference import check_inputs, update

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class PlacedCounts:
    """Events, int64, summed over samples: (cores, T), and (T,) where they are the mesh's.

    Attributes:
        updates: mapped neurons. active: neurons that received anything or hold a state or bias. spikes: neurons that fired.
        synaptic_dense, synaptic_sparse, synaptic_conv: non-zero weight × non-zero source × valid position.
        axons_in, axons_out: messages that reach and leave the core; one to the core itself is both.
        hops_east_west, hops_north_south: links between tiles of a chip. chip_crossings: links between chips.
        cores, chips, tiles: how many are in use.
        samples: inferences summed over.
    """

    updates: Array
    active: Array
    spikes: Array
    synaptic_dense: Array
    synaptic_sparse: Array
    synaptic_conv: Array
    axons_in: Array
    axons_out: Array
    hops_east_west: Array
    hops_north_south: Array
    chip_crossings: Array
    cores: int
    chips: int
    tiles: int
    samples: int

    def totals(self) -> dict[str, int]:
        """Event to its sum over cores, steps and samples."""
        return {name: int(getattr(self, name).sum()) for name in EVENTS}


EVENTS = tuple(f.name for f in fields(PlacedCounts) if f.name not in ("cores", "chips", "tiles", "samples"))


def count_placed(placement: Placement, spikes: Mapping[str, Array], inputs: Array) -> PlacedCounts:
    """Events of a run: ``spikes`` (T, N, *shape) by population, on ``inputs`` as :func:`snncc.program.reference.run_reference`.

    Every neuron is followed again from what its sources fired. Raises :class:`InputError` where the spikes are not those of
    this Program on these inputs.
    """
    partition = placement.partition
    program, cores, steps = partition.program, len(partition.cores), partition.program.time_steps
    check_inputs(program, inputs)
    samples = inputs.shape[0 if program.source.encoding == "static" else 1]
    core_of = {name: numbers.ravel() for name, numbers in partition.core_of().items()}
    _check_spikes(program, spikes, samples)
    made = {event: np.zeros((cores, steps), np.int64) for event in EVENTS[:8]}

    for population in program.populations:
        number = core_of[population.name]
        for t, (hits, active) in enumerate(_follow(program, population, spikes, inputs)):
            rows = {"updates": np.full(population.size, samples), "active": active}
            for kind, operations in hits.items():
                rows[f"synaptic_{kind}"] = operations
            rows["spikes"] = np.count_nonzero(spikes[population.name][t].reshape(samples, -1), axis=0)
            for event, values in rows.items():
                np.add.at(made[event][:, t], number, values)

    fired = {p.name: _fired(spikes[p.name], p.size) for p in program.populations}
    traffic = core_traffic(partition, fired)
    np.add.at(made["axons_out"], traffic.source, traffic.messages)
    np.add.at(made["axons_in"], traffic.target, traffic.messages)
    made["axons_in"] += _from_host(placement, inputs)
    tiles = placement.tiles
    links = routes(partition.chip, tiles[traffic.source], tiles[traffic.target], partition.chips)
    east, north, crossings = (distance @ traffic.messages for distance in links)
    return PlacedCounts(
        **made, hops_east_west=east, hops_north_south=north, chip_crossings=crossings, cores=cores,
        chips=placement.chips_used, tiles=placement.tiles_used, samples=samples,
    )  # fmt: skip


def add_placed(parts: Sequence[PlacedCounts]) -> PlacedCounts:
    """Counts of several batches of one placement, added up."""
    summed = {event: np.sum([getattr(p, event) for p in parts], axis=0) for event in EVENTS}
    first = parts[0]
    return PlacedCounts(
        **summed, cores=first.cores, chips=first.chips, tiles=first.tiles, samples=sum(p.samples for p in parts)
    )


def _follow(
    program: Program, population: Population, spikes: Mapping[str, Array], inputs: Array
) -> list[tuple[dict[str, Array], Array]]:
    """For each step: (synaptic operations of each neuron by kind, samples in which each was active), both (size,)."""
    own = spikes[population.name]
    shape = own.shape[1:]
    u, v, fired = np.zeros(shape, np.int64), np.broadcast_to(population.v_init.astype(np.int64), shape), own[0] * 0
    biased = (population.bias != 0) | (population.current_bias != 0)
    once = {
        p.name: project(program, p, inputs.astype(np.int64))
        for p in program.incoming(population.name)
        if program.is_static(p)
    }
    steps = []
    for t in range(program.time_steps):
        current, hits = np.zeros(shape, np.int64), dict[str, Array]()
        for projection in program.incoming(population.name):
            if t < projection.delay:
                continue
            if projection.name in once:
                current += once[projection.name]
                continue
            before = t - projection.delay
            sent = spikes.get(projection.source, inputs)
            arriving = sent[before].astype(np.int64)
            current += project(program, projection, arriving)
            done = _operations(program, projection, arriving)
            hits[projection.kind] = hits.get(projection.kind, 0) + done
        active = (u != 0) | (v != 0) | (current != 0) | biased
        u, v, fired = update(population, program.arithmetic, (u, v, fired), current)
        if not np.array_equal(fired, own[t]):
            raise InputError(
                f"{population.name}: {np.count_nonzero(fired != own[t]):,} neurons fire otherwise at step {t} than the spikes "
                "given say; give a recording of this program on these inputs"
            )
        steps.append((hits, active.reshape(len(active), -1).sum(axis=0)))
    return steps


def _operations(program: Program, projection: Projection, arriving: Array) -> Array:
    """Synaptic operations of each neuron, summed over samples, (size,)."""
    used = (projection.weight != 0).astype(np.int64)
    hits = weigh(program, projection, (arriving != 0).astype(np.int64), used)
    return hits.reshape(len(hits), -1).sum(axis=0)


def _fired(spikes: Array, size: int) -> Array:
    """(size, T): samples in which each neuron fired, step by step."""
    return (spikes.reshape(*spikes.shape[:2], size) != 0).sum(axis=1).T


def _from_host(placement: Placement, inputs: Array) -> Array:
    """(cores, T) messages from an input that is not static."""
    partition = placement.partition
    source, steps = partition.program.source, partition.program.time_steps
    made = np.zeros((len(partition.cores), steps), np.int64)
    if source.encoding == "static":
        return made
    sent = _fired(inputs, int(np.prod(source.shape)))
    for number, box in enumerate(partition.cores):
        ids = reached(partition.wiring, box).get(source.name)
        if ids is not None:
            made[number] = sent[ids].sum(axis=0)
    return made


def _check_spikes(program: Program, spikes: Mapping[str, Array], samples: int) -> None:
    for p in program.populations:
        wanted = (program.time_steps, samples, *p.shape)
        given = spikes[p.name].shape if p.name in spikes else None
        if given != wanted:
            raise InputError(f"{p.name}: spikes have shape {given}; {wanted} is needed: record the run (record=True)")
