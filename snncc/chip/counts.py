"""Exact counts of events on a placed Program: per core and step, and messages over the mesh.

What a core computes is that of :mod:`snncc.program.counts`, neuron by neuron (:mod:`snncc.program.activity`), so that the
sums over cores are the counts of the unplaced Program. A neuron that fires sends one message to each core that listens to
it, in the step in which it fires; a delay passes in the core that receives it. An input that is not static sends each
non-zero value to each core that listens; these messages are axons in of those cores and take no hops. What a static input is
weighed to is the host's work and not counted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from snncc.chip.footprint import reached
from snncc.chip.place import Placement, core_traffic, routes
from snncc.program.activity import Activity, measure_activity
from snncc.program.currents import weigh
from snncc.program.program import Program, Projection

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

    Raises :class:`InputError` where the spikes are not those of this Program on these inputs.
    """
    return place_counts(placement, measure_activity(placement.partition.program, spikes, inputs))


def place_counts(placement: Placement, activity: Activity) -> PlacedCounts:
    """Events of what the Program's neurons did, on the cores that they are placed on."""
    partition = placement.partition
    program, cores, steps = partition.program, len(partition.cores), partition.program.time_steps
    core_of = {name: numbers.ravel() for name, numbers in partition.core_of().items()}
    made = {event: np.zeros((cores, steps), np.int64) for event in EVENTS[:8]}
    for population in program.populations:
        name = population.name
        np.add.at(made["updates"], core_of[name], activity.samples)
        np.add.at(made["active"], core_of[name], activity.active[name])
        np.add.at(made["spikes"], core_of[name], activity.spikes[name])
        for projection in program.incoming(name):
            if not program.is_static(projection):
                done = _operations(program, projection, activity.spikes[projection.source])
                np.add.at(made[f"synaptic_{projection.kind}"], core_of[name], done)

    traffic = core_traffic(partition, {p.name: activity.spikes[p.name] for p in program.populations})
    np.add.at(made["axons_out"], traffic.source, traffic.messages)
    np.add.at(made["axons_in"], traffic.target, traffic.messages)
    made["axons_in"] += _from_host(placement, activity)
    tiles = placement.tiles
    links = routes(partition.chip, tiles[traffic.source], tiles[traffic.target], partition.chips)
    east, north, crossings = (distance @ traffic.messages for distance in links)
    return PlacedCounts(
        **made, hops_east_west=east, hops_north_south=north, chip_crossings=crossings, cores=cores,
        chips=placement.chips_used, tiles=placement.tiles_used, samples=activity.samples,
    )  # fmt: skip


def _operations(program: Program, projection: Projection, fired: Array) -> Array:
    """Synaptic operations of each neuron of the target at each step, (size, T): each spike of ``fired`` (source size, T) uses
    each non-zero weight at a valid position once."""
    used = (projection.weight != 0).astype(np.int64)
    sent = fired.T.reshape(-1, *program.shape_of(projection.source))
    hits = weigh(program, projection, sent, used).reshape(len(sent), -1).T
    arrived = np.zeros_like(hits)
    arrived[:, projection.delay :] = hits[:, : max(0, hits.shape[1] - projection.delay)]
    return arrived


def _from_host(placement: Placement, activity: Activity) -> Array:
    """(cores, T) messages from an input that is not static."""
    partition = placement.partition
    source, steps = partition.program.source, partition.program.time_steps
    made = np.zeros((len(partition.cores), steps), np.int64)
    if source.encoding == "static":
        return made
    for number, box in enumerate(partition.cores):
        ids = reached(partition.wiring, box).get(source.name)
        if ids is not None:
            made[number] = activity.spikes[source.name][ids].sum(axis=0)
    return made
