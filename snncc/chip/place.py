"""Cores onto the mesh: near to whom they talk to.

Cores sit in tiles of a mesh; chips lie in a grid as square as possible, in rows, and their meshes join at the edges, so that
tiles have whole coordinates over all chips (assumed: Davies et al. 2018 say that the mesh extends to other chips in all four
directions, not how many stand where). A message goes along one axis and then the other: between tiles of one chip each link
is a hop, between tiles of two it is a chip crossing; within a tile there is none. Messages from and to the host are not
modelled: where they enter the mesh is not public.

The cost is hop-weighted traffic: messages times links. From the better of cores in their order (the naive placement) and
cores one by one beside those they talk to most, swaps of two cores or moves to a free place follow, the best for each
core in turn, until a round gains nothing. The same input gives the same placement. On more than :data:`MAX_TILES` tiles cores
stay in their order, and more than :data:`MAX_SEARCHED` cores are not swapped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from snncc.chip.footprint import reached
from snncc.chip.partition import Partition
from snncc.chip.spec import Chip

Array = np.ndarray

MAX_ROUNDS = 40
MAX_SEARCHED = 6000
"""Cores up to which local search keeps what every core would cost on every tile; more are placed greedily."""
MAX_TILES = 4096
"""Tiles up to which the distances of all pairs are kept (128 MiB); cores on a larger mesh stay in their order."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Messages from core to core: ``messages`` (E, T) go from ``source`` (E,) to ``target`` (E,). Each pair is there once."""

    source: Array
    target: Array
    messages: Array


@dataclass(frozen=True, eq=False)
class Placement:
    """Cores on the mesh.

    Attributes:
        slots: (cores,) places: tile ``slot // cores_per_tile``, counted row by row, chip by chip.
        traffic: what it was placed for; ``measured`` says whether it was counted in a run.
        cost, naive_cost: messages times links, here and with the cores in their order.
    """

    partition: Partition
    slots: Array
    traffic: Traffic
    measured: bool
    cost: int
    naive_cost: int

    @property
    def tiles(self) -> Array:
        """(cores,) tile of each core."""
        return self.slots // self.partition.chip.side("cores_per_tile")

    @property
    def tiles_used(self) -> int:
        """How many tiles hold a core."""
        return len(np.unique(self.tiles))

    @property
    def chip_of(self) -> Array:
        """(cores,) chip of each core."""
        return self.tiles // self.partition.chip.tiles

    @property
    def chips_used(self) -> int:
        """How many chips hold a core."""
        return len(np.unique(self.chip_of))


def core_traffic(partition: Partition, spikes: Mapping[str, Array]) -> Traffic:
    """Messages between cores: ``spikes`` holds, by population, how often each neuron fires, (size, T)."""
    core_of = {name: cores.ravel() for name, cores in partition.core_of().items()}
    every = {name: _per_core(core_of[name], spikes[name]) for name in core_of}
    sources, targets, messages = [], [], []
    for number, box in enumerate(partition.cores):
        for name, ids in reached(partition.wiring, box).items():
            if name in core_of and ids.size:
                whole = ids.size == core_of[name].size
                cores, sums = every[name] if whole else _per_core(core_of[name][ids], spikes[name][ids])
                sources.append(cores)
                targets.append(np.full(len(cores), number))
                messages.append(sums)
    steps = next(iter(spikes.values())).shape[1]
    if not sources:
        none = np.zeros(0, np.int64)
        return Traffic(none, none, np.zeros((0, steps), np.int64))
    return Traffic(np.concatenate(sources), np.concatenate(targets), np.concatenate(messages))


def _per_core(cores: Array, spikes: Array) -> tuple[Array, Array]:
    """(cores, their sums of ``spikes`` (neurons, T))."""
    order = np.argsort(cores, kind="stable")
    named, starts = np.unique(cores[order], return_index=True)
    return named, np.add.reduceat(spikes[order].astype(np.int64), starts, axis=0)


def one_each(partition: Partition) -> dict[str, Array]:
    """One spike of every neuron that fires, (size, 1): what stands for measured spikes where there are none."""
    return {p.name: np.full((p.size, 1), int(p.fires), np.int64) for p in partition.program.populations}


def coordinates(chip: Chip, tiles: Array, chips: int) -> tuple[Array, Array, Array, Array]:
    """(column, row of the chip; column, row within it) of tiles, for a system of so many chips."""
    width = math.isqrt(max(chips - 1, 0)) + 1
    number, within = tiles // chip.tiles, tiles % chip.tiles
    columns = chip.side("columns")
    return number % width, number // width, within % columns, within // columns


def routes(chip: Chip, a: Array, b: Array, chips: int) -> tuple[Array, Array, Array]:
    """(hops east or west, hops north or south, chip crossings) between tiles ``a`` and ``b``, which broadcast."""
    chip_x, chip_y, x, y = coordinates(chip, np.asarray(a), chips)
    other_x, other_y, to_x, to_y = coordinates(chip, np.asarray(b), chips)
    across, along = np.abs(chip_x - other_x), np.abs(chip_y - other_y)
    east = np.abs((chip_x - other_x) * chip.side("columns") + x - to_x) - across
    north = np.abs((chip_y - other_y) * chip.side("rows") + y - to_y) - along
    return east, north, across + along


def place(partition: Partition, spikes: Mapping[str, Array] | None = None) -> Placement:
    """Cores of ``partition`` on the mesh. ``spikes``: by population, how often each neuron fires, (*shape) or (size,)."""
    weights = one_each(partition)
    if spikes is not None:
        weights = {name: np.asarray(spikes[name]).reshape(-1, 1) for name in weights}
    traffic = core_traffic(partition, weights)
    chip, count, chips = partition.chip, len(partition.cores), partition.chips
    naive = np.arange(count)
    naive_cost = _cost(traffic, naive, chip, chips)
    if chips * chip.tiles > MAX_TILES:
        return Placement(partition, naive, traffic, spikes is not None, naive_cost, naive_cost)
    tiles = np.arange(chips * chip.tiles)
    distance = sum(routes(chip, tiles[:, None], tiles, chips)).astype(np.float64)  # type: ignore[union-attr]
    near = _neighbours(traffic, count)
    started = _greedy(near, distance, chip.side("cores_per_tile"), count)
    start = started if _cost(traffic, started, chip, chips) < naive_cost else naive
    slots = _search(near, distance, chip.side("cores_per_tile"), start) if 1 < count <= MAX_SEARCHED else start
    cost = _cost(traffic, slots, chip, chips)
    return Placement(partition, slots, traffic, spikes is not None, cost, naive_cost)


def _cost(traffic: Traffic, slots: Array, chip: Chip, chips: int) -> int:
    """Messages times links."""
    tiles = slots // chip.side("cores_per_tile")
    links = sum(routes(chip, tiles[traffic.source], tiles[traffic.target], chips))
    return int((traffic.messages.sum(axis=1) * links).sum())


Neighbours = list[tuple[Array, Array]]
"""For each core, (others it exchanges messages with, how many in both directions together)."""


def _neighbours(traffic: Traffic, count: int) -> Neighbours:
    other = traffic.source != traffic.target
    one, two = traffic.source[other], traffic.target[other]
    total = traffic.messages.sum(axis=1)[other].astype(np.float64)
    key = np.concatenate([one * count + two, two * count + one])
    pairs, inverse = np.unique(key, return_inverse=True)
    sums = np.bincount(inverse, np.concatenate([total, total]), len(pairs))
    pairs, sums = pairs[sums > 0], sums[sums > 0]
    starts = np.searchsorted(pairs, np.arange(count + 1) * count)
    return [(pairs[a:b] % count, sums[a:b]) for a, b in pairwise(starts.tolist())]


def _greedy(near: Neighbours, distance: Array, per_tile: int, count: int) -> Array:
    """Cores one by one, next the one that talks most to those placed, where that costs least."""
    free = np.full(len(distance), per_tile)
    tiles, pull = np.full(count, -1), np.zeros(count)
    waiting = np.ones(count, bool)
    for _ in range(count):
        candidates = np.flatnonzero(waiting)
        core = int(candidates[np.argmax(pull[candidates])])
        others, weight = near[core]
        placed = tiles[others] >= 0
        price = weight[placed] @ distance[tiles[others[placed]]] if placed.any() else np.arange(len(distance))
        tile = int(np.argmin(np.where(free > 0, price, np.inf)))
        tiles[core], waiting[core] = tile, False
        free[tile] -= 1
        pull[others] += weight
    return _slots(tiles, per_tile)


def _slots(tiles: Array, per_tile: int) -> Array:
    """A place in its tile for each core, in their order."""
    order = np.argsort(tiles, kind="stable")
    ordered = tiles[order]
    within = np.arange(len(tiles)) - np.searchsorted(ordered, ordered)
    slots = np.empty(len(tiles), np.int64)
    slots[order] = ordered * per_tile + within
    return slots


def _search(near: Neighbours, distance: Array, per_tile: int, start: Array) -> Array:
    """The best swap or move of each core in turn, until a round gains nothing. All sums are whole and exact."""
    tiles = start // per_tile
    count = len(tiles)
    # price[i, t]: what core i would cost on tile t with all others where they are
    price = np.stack([w @ distance[tiles[others]] if len(others) else np.zeros(len(distance)) for others, w in near])
    free = per_tile - np.bincount(tiles, minlength=len(distance))
    own = price[np.arange(count), tiles]

    def move(core: int, tile: int) -> None:
        others, weight = near[core]
        price[others] += weight[:, None] * (distance[tile] - distance[tiles[core]])
        tiles[core] = tile

    for _ in range(MAX_ROUNDS):
        gained = False
        for core in range(count):
            here = tiles[core]
            own = price[np.arange(count), tiles]
            swap = price[core, tiles] - own[core] + price[:, here] - own
            others, weight = near[core]
            swap[others] += 2 * weight * distance[here, tiles[others]]
            best = int(np.argmin(swap))
            to_free = np.where(free > 0, price[core] - own[core], 0.0)
            empty = int(np.argmin(to_free))
            if to_free[empty] < 0 and to_free[empty] <= swap[best]:
                free[here] += 1
                free[empty] -= 1
                move(core, empty)
                gained = True
            elif swap[best] < 0:
                there = tiles[best]
                move(core, there)
                move(best, here)
                gained = True
        if not gained:
            break
    return _slots(tiles, per_tile)
