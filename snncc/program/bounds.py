"""Proofs by interval arithmetic: how large any sum, current and membrane of a Program can become, for any input.

For every neuron the bound of a projection's sum is the sum of its positive weights times the largest source value plus
that of its negative ones times the smallest (and the other way round). Currents and membranes are then followed step by
step over all time steps (:mod:`snncc.program.intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from snncc.program.currents import max_pool, weigh
from snncc.program.intervals import Interval, follow
from snncc.program.program import Population, Program, Projection

Array = np.ndarray


@dataclass(frozen=True)
class PopulationBounds:
    """What one population can reach (guarded units for current and membrane).

    Attributes:
        sums: projection name to the (lowest, highest) sum before its shift.
        arriving: (lowest, highest) summed current of a step, in units.
        current, membrane: (lowest, highest) state before an overflow rule would apply.
        spikes: (fewest, most) spikes in a step.
        spike_interval: the same for each neuron, arrays of the population's shape.
        current_fits, membrane_fits: neither an overflow nor a saturation is possible.
    """

    sums: dict[str, tuple[int, int]]
    arriving: tuple[int, int]
    current: tuple[int, int]
    membrane: tuple[int, int]
    spikes: tuple[int, int]
    current_fits: bool
    membrane_fits: bool
    spike_interval: Interval = field(repr=False, compare=False, default=(np.zeros(0), np.zeros(0)))

    @property
    def accumulator_bits(self) -> int:
        """Bits, sign included, that hold every sum of synaptic input."""
        low = min([self.arriving[0], *(low for low, _ in self.sums.values())])
        return bits_for(low, max([self.arriving[1], *(high for _, high in self.sums.values())]))

    @property
    def state_bits(self) -> int:
        """Bits, sign included, that hold current and membrane."""
        return bits_for(min(self.current[0], self.membrane[0]), max(self.current[1], self.membrane[1]))


@dataclass(frozen=True)
class Bounds:
    """Bounds of all populations, by name."""

    populations: dict[str, PopulationBounds]

    @property
    def proven(self) -> bool:
        """No current and no membrane can overflow or saturate, whatever the input."""
        return all(b.current_fits and b.membrane_fits for b in self.populations.values())

    @property
    def largest(self) -> int:
        """The largest magnitude any state can reach."""
        return max(max(-b.current[0], b.current[1], -b.membrane[0], b.membrane[1]) for b in self.populations.values())


def bits_for(low: int, high: int) -> int:
    """Bits of the smallest two's complement number that holds low..high."""
    return max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length()) + 1


@lru_cache(maxsize=4)
def prove_bounds(program: Program) -> Bounds:
    """Bounds of every population for inputs anywhere in the source's range."""
    source = program.source
    emitted: dict[str, Interval] = {
        source.name: (np.full(source.shape, source.low, np.int64), np.full(source.shape, source.high, np.int64))
    }
    for population in program.populations:  # what any population can emit, until its own bounds are known
        emitted[population.name] = _most_spikes(population)
    found: dict[str, PopulationBounds] = {}
    for population in program.populations:
        bounds = _bound_population(program, population, emitted)
        found[population.name] = bounds
        emitted[population.name] = bounds.spike_interval
    return Bounds(found)


def _most_spikes(population: Population) -> Interval:
    high = population.levels if population.fires else 0
    low = -high if population.signed else 0
    return np.full(population.shape, low, np.int64), np.full(population.shape, high, np.int64)


def sum_interval(program: Program, projection: Projection, arriving: Interval) -> Interval:
    """Lowest and highest sum of a projection, per target neuron, before its shift."""
    low, high = (a[None] for a in arriving)
    weight = projection.weight.astype(np.int64)
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    least = weigh(program, projection, low, positive) + weigh(program, projection, high, negative)
    most = weigh(program, projection, high, positive) + weigh(program, projection, low, negative)
    return least[0], most[0]


def arrived(projection: Projection, sums: Array) -> Array:
    """What sums of a projection (unpooled) bring to its target: shifted, and pooled where it pools."""
    return max_pool(projection, (sums >> projection.shift)[None])[0]


def _bound_population(program: Program, p: Population, emitted: dict[str, Interval]) -> PopulationBounds:
    sums: dict[str, tuple[int, int]] = {}
    low, high = np.zeros(p.shape, np.int64), np.zeros(p.shape, np.int64)
    for projection in program.incoming(p.name):
        least, most = sum_interval(program, projection, emitted[projection.source])
        if projection.delay:  # before its delay has passed a projection brings nothing
            least, most = np.minimum(least, 0), np.maximum(most, 0)
        sums[projection.name] = (int(least.min()), int(most.max()))
        low, high = low + arrived(projection, least), high + arrived(projection, most)
    arriving = (int(low.min()), int(high.max()))
    current, membrane, spikes = follow(program.arithmetic, p, (low, high), program.time_steps)
    limit = 1 << (program.arithmetic.state_bits - 1)
    current_fits, membrane_fits = (max(-int(x[0].min()), int(x[1].max())) < limit for x in (current, membrane))
    return PopulationBounds(
        sums, arriving, _extent(current), _extent(membrane), _extent(spikes), current_fits, membrane_fits, spikes
    )


def _extent(interval: Interval) -> tuple[int, int]:
    return int(interval[0].min()), int(interval[1].max())
