"""Where every population and projection of a Program goes in Lava, and in which step it starts.

Lava's connections send in one step what they received in the step before, so a population starts its samples at an
*offset*: model step t of sample n runs in Lava step ``offset + n·T + t``. A projection with model delay d then needs a
latency of ``offset_target + d − offset_source`` steps, and at least 1. Offsets are the smallest that give every
projection that (a longest path); paths of unequal length are balanced by a delay line. Where a loop has more projections
than delays no offsets exist. What a static source drives is injected on the spot and constrains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.program.bounds import Bounds, arrived, sum_interval
from snncc.program.program import Population, Program, Projection
from snncc.targets.loihi_sim.limits import (
    ACCUMULATOR_LIMIT,
    CONV_SETTING_HIGH,
    DENSIFY_LIMIT,
    GUARD_BITS,
    STATE_LIMIT,
    STOCK_INPUT_LIMIT,
    WEIGHT_EXPONENT_HIGH,
    WEIGHT_HIGH,
    WEIGHT_LOW,
)
from snncc.targets.loihi_sim.registers import LifRegisters, bias_is_injectable, bias_split, lif_registers, stock_reasons


@dataclass(frozen=True, eq=False)
class PlacedPopulation:
    """A population in Lava.

    Attributes:
        process: "lif" (stock LIFReset) or "neuron" (our own Process).
        reasons: why it is not the stock one.
        offset: Lava step of the first sample's step 0.
        registers: of the stock LIF.
    """

    name: str
    process: str
    reasons: tuple[str, ...]
    offset: int
    registers: LifRegisters | None = None


@dataclass(frozen=True)
class PlacedProjection:
    """A projection in Lava.

    Attributes:
        process: "host" (computed once a sample), "dense" or "conv" (stock), "synapses" (our own Process).
        reasons: why it is not a stock one.
        latency: Lava steps from a spike to its current; 0 for "host".
        message_bits: 0 for binary spikes, else the width of graded ones, sign included.
    """

    name: str
    process: str
    reasons: tuple[str, ...]
    latency: int
    message_bits: int


@dataclass(frozen=True, eq=False)
class Placement:
    """All of them. ``loop`` names the projections of a loop with too few delays; offsets are then meaningless."""

    populations: tuple[PlacedPopulation, ...]
    projections: tuple[PlacedProjection, ...]
    loop: tuple[str, ...] = ()

    def describe(self) -> dict[str, str]:
        """Name to "stock LIF", "stock Dense", "own process (reason; …)" and so on: for people."""
        parts: tuple[PlacedPopulation | PlacedProjection, ...] = (*self.populations, *self.projections)
        described = {p.name: _described(p.process, p.reasons) for p in parts}
        injected = [p.name for p in self.populations if p.registers is not None and p.registers.injected.any()]
        return described | dict.fromkeys(injected, "stock LIF, part of its bias with the input current")


_STOCK_NAMES = {"lif": "stock LIF", "dense": "stock Dense", "conv": "stock Conv", "host": "host, once a sample"}


def _described(process: str, reasons: tuple[str, ...]) -> str:
    return _STOCK_NAMES.get(process) or f"own process ({'; '.join(reasons)})"


def place(program: Program, bounds: Bounds) -> Placement:
    """The placement of a Program whose ``bounds`` are proven."""
    offsets, loop = start_offsets(program)
    populations = []
    for population in program.populations:
        injects = carries_bias(program, population)
        reasons = (*stock_reasons(population, injects), *_stock_use_reasons(program, population.name, bounds))
        registers = None if reasons else lif_registers(population)
        kind = "neuron" if reasons else "lif"
        populations.append(PlacedPopulation(population.name, kind, reasons, offsets[population.name], registers))
    projections = tuple(_place_projection(program, projection, bounds, offsets) for projection in program.projections)
    return Placement(tuple(populations), projections, loop)


def start_offsets(program: Program) -> tuple[dict[str, int], tuple[str, ...]]:
    """(Lava step of each population's first step, projections of a loop that has no offsets)."""
    offsets = {program.source.name: 0, **{p.name: 0 for p in program.populations}}
    through: dict[str, Projection] = {}
    moving = [p for p in program.projections if not program.is_static(p)]
    late = ""
    for _ in range(len(offsets) + 1):
        late = ""
        for projection in moving:
            earliest = offsets[projection.source] + 1 - projection.delay
            if earliest > offsets[projection.target]:
                offsets[projection.target] = earliest
                through[projection.target] = projection
                late = projection.target
        if not late:
            return offsets, ()
    for _ in offsets:  # walk back until certainly inside the loop
        late = through[late].source
    loop, at = [through[late].name], through[late].source
    while at != late:
        loop.append(through[at].name)
        at = through[at].source
    return offsets, tuple(reversed(loop))


def carries_bias(program: Program, population: Population) -> bool:
    """Whether a static source's current, made on the host anyway, can bring what the bias registers cannot hold: at every
    step, and without the 24-bit current wrapping with it or without it."""
    incoming = program.incoming(population.name)
    if not bias_is_injectable(population) or not any(program.is_static(p) and not p.delay for p in incoming):
        return False
    low, high = np.zeros(population.shape, np.int64), np.zeros(population.shape, np.int64)
    for p in incoming:
        shape, (fewest, most_sent) = program.shape_of(p.source), spike_range(program, p.source)
        sums = sum_interval(program, p, (np.full(shape, fewest, np.int64), np.full(shape, most_sent, np.int64)))
        least, most = arrived(p, sums[0]), arrived(p, sums[1])
        low, high = (low + np.minimum(least, 0), high + np.maximum(most, 0)) if p.delay else (low + least, high + most)
    rest = bias_split(population.bias)[2]
    lowest, highest = (low + np.minimum(rest, 0)).min(), (high + np.maximum(rest, 0)).max()
    return bool(-lowest << GUARD_BITS < STATE_LIMIT and highest << GUARD_BITS < STATE_LIMIT)


def _stock_use_reasons(program: Program, name: str, bounds: Bounds) -> tuple[str, ...]:
    """Why the stock LIF cannot serve a population for what surrounds it."""
    reasons = []
    if program.readout.population == name and program.readout.kind in ("membrane", "summed_current"):
        reasons.append(f"its {'membrane' if program.readout.kind == 'membrane' else 'current'} is read out")
    low, high = bounds.populations[name].arriving
    if max(-low, high) >= STOCK_INPUT_LIMIT:
        reasons.append(f"its input can reach {max(-low, high)}, beyond {STOCK_INPUT_LIMIT - 1}")
    return tuple(reasons)


def _place_projection(program: Program, p: Projection, bounds: Bounds, offsets: dict[str, int]) -> PlacedProjection:
    if program.is_static(p):
        return PlacedProjection(p.name, "host", (), 0, 0)
    latency = offsets[p.target] + p.delay - offsets[p.source]
    reasons = tuple(_synapse_reasons(program, p, bounds))
    kind = "synapses" if reasons else "conv" if p.kind == "conv" else "dense"
    return PlacedProjection(p.name, kind, reasons, latency, message_bits(program, p.source))


def message_bits(program: Program, source: str) -> int:
    """Width of what a source or population sends, sign included; 0 where it is only ever 0 or 1."""
    low, high = spike_range(program, source)
    if low >= 0 and high <= 1:
        return 0
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def spike_range(program: Program, source: str) -> tuple[int, int]:
    """(fewest, most) a source or population sends in a step."""
    if source == program.source.name:
        return program.source.low, program.source.high
    p = program.population(source)
    high = p.levels if p.fires else 0
    return (-high if p.signed else 0), high


def _synapse_reasons(program: Program, p: Projection, bounds: Bounds) -> list[str]:
    """Why Lava's Dense or Conv cannot compute a projection."""
    low, high = bounds.populations[p.target].sums[p.name]
    largest = max(-low, high)
    if p.kind == "conv":
        settings = (*p.stride, *p.padding, *p.dilation, p.groups, *p.weight.shape[2:])
        return [
            *([f"it shifts its sums right by {p.shift}, which Lava's Conv ignores"] if p.shift else []),
            *([f"its sums can reach {largest}, where Lava's Conv wraps"] if largest >= STATE_LIMIT else []),
            *([f"a setting of {max(settings)} does not fit 8 bits"] if max(settings) > CONV_SETTING_HIGH else []),
        ]
    if p.kind == "sparse":
        possible = int(np.prod(program.shape_of(p.source))) * int(np.prod(program.shape_of(p.target)))
        if possible > DENSIFY_LIMIT:
            return [f"it is sparse over {possible} possible synapses"]
        if _repeated(p):
            return ["it has several synapses between the same two neurons"]
    return [f"its sums can reach {largest}, beyond Dense's 32 bits"] if 2 * largest >= ACCUMULATOR_LIMIT else []


def _repeated(p: Projection) -> bool:
    return p.index is not None and np.unique(p.index, axis=1).shape[1] != p.weight.size


def weight_range_fits(p: Projection) -> bool:
    """Whether all weights are signed 8-bit numbers times one power of two up to ``2**WEIGHT_EXPONENT_HIGH``."""
    if not p.weight.size:
        return True
    common = int(np.bitwise_or.reduce(p.weight, axis=None))
    low, high = int(p.weight.min()), int(p.weight.max())
    return any(
        common % (1 << k) == 0 and low >> k >= WEIGHT_LOW and high >> k <= WEIGHT_HIGH
        for k in range(WEIGHT_EXPONENT_HIGH + 1)
    )
