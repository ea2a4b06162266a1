"""Neurons onto cores, under every limit of a chip at once.

Rules:

1. A core holds a box of one population (:mod:`snncc.chip.footprint`). A population is cut into a grid of boxes, by channels,
   rows and columns for a convolution and by neurons otherwise; of all grids of nearly equal boxes that respect every limit
   the one with the fewest boxes is taken, then the squarest, then the one with the most channels a box. A caller may ask
   for more boxes than that (:mod:`snncc.fastest` does).
2. How many cores listen to a neuron is known once its targets are cut, so populations are cut last first. Where a later one
   projects back, this repeats until nothing changes. A population's own loop counts as many listeners as it has boxes.
3. What fits no grid, even with one neuron a core, is a finding, as is a weight, spike or delay that a core cannot hold, and
   more cores than the chips have. All findings are returned at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np

from snncc.chip.footprint import CORE_LIMITS, Box, Range, Wiring, grid_of, measure, over, reached, weight_format
from snncc.chip.spec import LIMITS, Chip
from snncc.program.program import Population, Program, Projection
from snncc.target import Finding

Array = np.ndarray
Boxes = dict[str, list[Box]]

MAX_SWEEPS = 12
"""Of cutting populations that listen to each other, before giving up."""

REMEDIES = {
    "neurons_per_core": "choose a chip with larger cores",
    "input_axons_per_core": "fewer inputs a neuron: smaller kernels, fewer channels, or a smaller layer before",
    "output_axons_per_core": "fewer cores that listen: a smaller layer after it, or fewer --bits",
    "synapse_bits_per_core": "fewer --bits, or fewer inputs a neuron",
    "neuron_profiles_per_core": "fewer different decays",
    "threshold_profiles_per_core": "--per-layer gives a layer one threshold",
    "synapse_profiles_per_core": "fewer projections into the layer",
}


@dataclass(frozen=True, eq=False)
class Partition:
    """A Program cut for a chip.

    Attributes:
        cores: what each core holds, population by population in the Program's order.
        taken: what each core takes up, by :data:`snncc.chip.footprint.CORE_LIMITS`.
        least: cores of a population that were asked for beyond the fewest; empty where the fewest were.
    """

    wiring: Wiring
    cores: tuple[Box, ...]
    taken: tuple[Mapping[str, int], ...]
    least: Mapping[str, int] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        """The Program."""
        return self.wiring.program

    @property
    def chip(self) -> Chip:
        """The chip."""
        return self.wiring.chip

    @property
    def chips(self) -> int:
        """Chips that so many cores need."""
        return -(-len(self.cores) // self.chip.cores)

    def core_of(self) -> dict[str, Array]:
        """Population to the core of each neuron, over its grid."""
        made = {p.name: np.zeros(grid_of(p.shape), np.int64) for p in self.program.populations}
        for number, box in enumerate(self.cores):
            made[box.population][box.slices] = number
        return made


def partition(
    program: Program, chip: Chip, least: Mapping[str, int] | None = None
) -> tuple[Partition | None, list[Finding]]:
    """(the Program cut for the chip, or None where something does not fit; all findings). ``least``: on how many cores a
    population is put at least, by its name."""
    wiring = Wiring(program, chip)
    findings = [f for p in program.projections for f in _projection_findings(wiring, p)]
    findings += [f for name in (program.source.name, *(p.name for p in program.populations))
                 for f in _spike_findings(wiring, name)]  # fmt: skip
    boxes, misfits = _cut_all(wiring, least or {})
    findings += misfits
    if misfits:
        return None, findings
    listeners = count_listeners(wiring, boxes)
    cores = tuple(box for p in program.populations for box in boxes[p.name])
    taken = tuple(measure(wiring, box, listeners[box.population]) for box in cores)
    findings += _still_over(chip, cores, taken)
    made = Partition(wiring, cores, taken, least or {})
    if not chip.limits["chips"].allows(made.chips):
        findings.append(
            Finding(
                program.name, "too many cores", f"{len(cores):,} cores, {made.chips:,} chips of {chip.cores:,}",
                str(chip.limits["chips"]), "a smaller network, or fewer --bits",
            )
        )  # fmt: skip
    return (None if findings else made), findings


def count_listeners(wiring: Wiring, boxes: Mapping[str, list[Box]]) -> dict[str, Array]:
    """Population to how many of the ``boxes`` listen to each of its neurons, over its grid."""
    made = {p.name: np.zeros(p.size, np.int64) for p in wiring.program.populations}
    for name in boxes:
        _add_listeners(wiring, boxes[name], made)
    return {p.name: made[p.name].reshape(grid_of(p.shape)) for p in wiring.program.populations}


def _add_listeners(wiring: Wiring, boxes: list[Box], counts: dict[str, Array], only: str | None = None) -> None:
    for box in boxes:
        for source, ids in reached(wiring, box).items():
            if source in counts and only in (None, source):
                counts[source][ids] += 1


def _cut_all(wiring: Wiring, least: Mapping[str, int]) -> tuple[Boxes, list[Finding]]:
    """Boxes of every population, last first, again while a later one projects back and something still changes."""
    program = wiring.program
    order = {p.name: i for i, p in enumerate(program.populations)}
    back = any(order.get(p.source, -1) > order[p.target] for p in program.projections)
    boxes: Boxes = {}
    misfits: dict[str, list[Finding]] = {}
    for _ in range(MAX_SWEEPS if back else 1):
        before = dict(boxes)
        for population in reversed(program.populations):
            name = population.name
            counts = {name: np.zeros(population.size, np.int64)}
            for target in {p.target for p in program.projections if p.source == name} - {name}:
                _add_listeners(wiring, boxes.get(target, []), counts, name)
            listeners = counts[name].reshape(grid_of(population.shape))
            loops = name in wiring.synapses(name)
            made = cut(wiring, population, listeners, loops, least.get(name, 1))
            alone = listeners + population.size * loops  # a core a neuron, and each hears the loop
            misfits[name] = [] if made is not None else _neuron_findings(wiring, population, alone)
            boxes[name] = made or []
        if boxes == before:
            break
    return boxes, [f for p in program.populations for f in misfits[p.name]]


def cut(
    wiring: Wiring, population: Population, listeners: Array, loops: bool = False, least: int = 1
) -> list[Box] | None:
    """The fewest boxes of a population, ``least`` or more, that respect the limits of a core, or None. ``loops``: its own boxes
    listen too."""
    grid = grid_of(population.shape)
    cuts = [_even_cuts(n) for n in grid]
    shapes = np.array(list(product(*cuts)))
    counts = np.prod([-(-np.array(n) // shapes[:, axis]) for axis, n in enumerate(grid)], axis=0)
    most = wiring.chip.limits["neurons_per_core"].value
    chosen = np.lexsort((-shapes[:, 0], np.abs(shapes[:, 1] - shapes[:, 2]), counts))
    for i in chosen:
        if counts[i] < min(least, population.size) or (most is not None and np.prod(shapes[i]) > most):
            continue
        channels, rows, columns = (_ranges(n, int(size)) for n, size in zip(grid, shapes[i], strict=True))
        heard = listeners + int(counts[i]) if loops else listeners

        def fits(box: Box, heard: Array = heard) -> bool:
            return not over(wiring.chip, measure(wiring, box, heard))

        middle = (channels[len(channels) // 2], rows[len(rows) // 2], columns[len(columns) // 2])
        if not fits(Box(population.name, *middle)):
            continue
        boxes = [Box(population.name, *ranges) for ranges in product(channels, rows, columns)]
        if all(map(fits, boxes)):
            return boxes
    return None


def _even_cuts(extent: int) -> list[int]:
    """Sizes of nearly equal parts, largest first: each is the smallest for its number of parts."""
    return sorted({-(-extent // parts) for parts in range(1, extent + 1)}, reverse=True)


def _ranges(extent: int, size: int) -> list[Range]:
    """``extent`` in as few parts as ``size`` allows, their sizes at most 1 apart."""
    parts = -(-extent // size)
    ends = [extent * i // parts for i in range(parts + 1)]
    return list(pairwise(ends))


def _neuron_findings(wiring: Wiring, population: Population, listeners: Array) -> list[Finding]:
    """Why not even one neuron a core fits: for each limit, the neuron that exceeds it most."""
    worst: dict[str, int] = {}
    for corner in np.ndindex(*grid_of(population.shape)):
        box = Box(population.name, *((int(i), int(i) + 1) for i in corner))
        taken = measure(wiring, box, listeners)
        for name in over(wiring.chip, taken):
            worst[name] = max(worst.get(name, 0), taken[name])
    return [_finding(wiring.chip, population.name, name, worst[name]) for name in CORE_LIMITS if name in worst]


def _still_over(chip: Chip, cores: tuple[Box, ...], taken: tuple[Mapping[str, int], ...]) -> list[Finding]:
    """Populations that did not settle, because each cut of one asks for another cut of the other."""
    worst: dict[tuple[str, str], int] = {}
    for box, used in zip(cores, taken, strict=True):
        for name in over(chip, used):
            worst[box.population, name] = max(worst.get((box.population, name), 0), used[name])
    why = "no cut of it and of those that listen settles"
    return [_finding(chip, *key, most, why) for key, most in worst.items()]


def _finding(chip: Chip, layer: str, name: str, actual: int, why: str = "one neuron alone") -> Finding:
    limit = chip.limits[name]
    return Finding(layer, f"{LIMITS[name]}, {why}", f"{actual:,}", str(limit), REMEDIES[name])


def _projection_findings(wiring: Wiring, projection: Projection) -> list[Finding]:
    program, limits = wiring.program, wiring.chip.limits
    if program.is_static(projection):
        return []
    bits, exponent = weight_format(wiring, projection)
    findings = []
    if not limits["weight_bits"].allows(bits):
        what = f"{bits} bits" + (f" after a shift by {exponent}" if exponent else "")
        findings.append(
            Finding(projection.name, "weights are too wide", what, str(limits["weight_bits"]), "give fewer --bits")
        )
    if not limits["delay"].allows(projection.delay):
        findings.append(
            Finding(projection.name, "delay", f"{projection.delay} steps", str(limits["delay"]), "shorten the delay")
        )
    if projection.pool is not None:
        findings.append(
            Finding(
                projection.name, "max pooling", f"windows of {projection.pool[0]}×{projection.pool[1]}",
                "sums: a core adds what arrives", "pool the average, or stride the convolution",
            )
        )  # fmt: skip
    return findings


def _spike_findings(wiring: Wiring, name: str) -> list[Finding]:
    """A population, or the source, whose spikes are wider than a message."""
    program, limit = wiring.program, wiring.chip.limits["spike_bits"]
    if not any(p.source == name and not program.is_static(p) for p in program.projections):
        return []
    source = program.source
    if name == source.name:
        low, high = source.low, source.high
    else:
        population = program.population(name)
        high = population.levels if population.fires else 0
        low = -high if population.signed else 0
    bits = max(abs(low), abs(high)).bit_length() + (low < 0)
    if limit.allows(bits):
        return []
    remedy = "encode the input as spikes" if name == source.name else "use a chip with graded spikes, or one level"
    return [Finding(name, "spikes are too wide", f"{low}..{high}, {bits} bits", str(limit), remedy)]
