"""Proofs by interval arithmetic: how large any sum, current and membrane of a Program can become, for any input.

For every neuron the bound of a projection's sum is the sum of its positive weights times the largest source value plus
that of its negative ones times the smallest (and the other way round). Currents and membranes are then followed step by
step over all time steps with the rules of :mod:`snncc.program.reference`, so the negative side of a neuron without a
clamp grows with T, as it really can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snncc.program.program import DECAY_ONE, Arithmetic, Population, Program, Projection
from snncc.program.reference import count_spikes, decay, max_pool, weigh

Array = np.ndarray
Interval = tuple[Array, Array]
WIDEST = 2**50
"""Bounds stop here: one more bit than any arithmetic profile has, and times a 12-bit decay still below 2^63."""


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
    current, membrane, spikes = _follow(program.arithmetic, p, (low, high), program.time_steps)
    limit = 1 << (program.arithmetic.state_bits - 1)
    current_fits, membrane_fits = (max(-int(x[0].min()), int(x[1].max())) < limit for x in (current, membrane))
    return PopulationBounds(
        sums, arriving, _extent(current), _extent(membrane), _extent(spikes), current_fits, membrane_fits, spikes
    )


def _extent(interval: Interval) -> tuple[int, int]:
    return int(interval[0].min()), int(interval[1].max())


def _follow(
    arithmetic: Arithmetic, p: Population, arriving: Interval, steps: int
) -> tuple[Interval, Interval, Interval]:
    """Widest (current, membrane, spikes) over all steps, by stepping both ends of the interval."""
    injected = tuple((a << p.guard_bits) + p.current_bias for a in arriving)
    zero = np.zeros(p.shape, np.int64)
    u_low = u_high = zero
    v_low = v_high = np.broadcast_to(p.v_init.astype(np.int64), p.shape)
    n_low = n_high = zero
    widest_u, widest_v, widest_n = (zero, zero), (v_low, v_high), (zero, zero)
    leakless = bool((p.decay_v == DECAY_ONE).all())
    for t in range(steps):
        if p.decay_u is None:
            u_low, u_high = injected
        else:
            u_low = decay(u_low, p.decay_u, arithmetic.rounding) + injected[0]
            u_high = decay(u_high, p.decay_u, arithmetic.rounding) + injected[1]
        u_low, u_high = _readable(u_low, u_high)
        widest_u = _wider(widest_u, u_low, u_high)
        u_low, u_high = _after_current(arithmetic, u_low, u_high)
        if p.decay_timing == "before":
            v_low, v_high = _decayed(arithmetic, p, v_low, v_high)
        if p.fires and p.reset_timing == "next_step" and t > 0:
            late = _fired_interval(p, v_low, v_high) if leakless else _reset_interval(p, v_low, v_high, n_low, n_high)
            v_low, v_high = late
        v_low, v_high = v_low + u_low + p.bias, v_high + u_high + p.bias
        if p.fires and p.reset_timing == "next_step_after_input" and t > 0:
            v_low, v_high = _reset_interval(p, v_low, v_high, n_low, n_high)
        v_low, v_high = _readable(v_low, v_high)
        widest_v = _wider(widest_v, v_low, v_high)
        v_low, v_high = _saturated(arithmetic, v_low), _saturated(arithmetic, v_high)
        if p.v_min is not None:
            v_low, v_high = np.maximum(v_low, p.v_min), np.maximum(v_high, p.v_min)
        n_low, n_high = _spike_interval(p, v_low, v_high)
        widest_n = _wider(widest_n, n_low, n_high)
        if p.fires and p.reset_timing == "immediate":
            v_low, v_high = _fired_interval(p, v_low, v_high)
        widest_v = _wider(widest_v, v_low, v_high)  # a reset may lead further away
        if p.decay_timing == "after":
            v_low, v_high = _decayed(arithmetic, p, v_low, v_high)
            widest_v = _wider(widest_v, v_low, v_high)
    return widest_u, widest_v, widest_n


def _wider(interval: Interval, low: Array, high: Array) -> Interval:
    return np.minimum(interval[0], low), np.maximum(interval[1], high)


def _readable(low: Array, high: Array) -> Interval:
    """Clipped to 52 bits, beyond every profile's width, so that the proof itself never leaves 64 bits."""
    return np.clip(low, -WIDEST, WIDEST), np.clip(high, -WIDEST, WIDEST)


def _saturated(arithmetic: Arithmetic, x: Array) -> Array:
    limit = (1 << (arithmetic.state_bits - 1)) - 1
    return np.clip(x, -limit, limit) if arithmetic.membrane_overflow == "saturate" else x


def _after_current(arithmetic: Arithmetic, low: Array, high: Array) -> Interval:
    """A current that may wrap can be anything, and more where once is not enough; one that saturates is clipped."""
    limit = 1 << (arithmetic.state_bits - 1)
    if arithmetic.current_overflow == "wrap":
        wraps = (low <= -limit) | (high > limit)
        least, most = np.minimum(1 - limit, low + 2 * limit), np.maximum(limit, high - 2 * limit)
        return np.where(wraps, least, low), np.where(wraps, most, high)
    if arithmetic.current_overflow == "saturate":
        return np.clip(low, 1 - limit, limit - 1), np.clip(high, 1 - limit, limit - 1)
    return low, high


def _decayed(arithmetic: Arithmetic, p: Population, low: Array, high: Array) -> Interval:
    return decay(low, p.decay_v, arithmetic.rounding), decay(high, p.decay_v, arithmetic.rounding)


def _spike_interval(p: Population, low: Array, high: Array) -> Interval:
    if not p.fires:
        return np.zeros_like(low), np.zeros_like(high)
    return count_spikes(p, low), count_spikes(p, high)


def _fired_interval(p: Population, low: Array, high: Array) -> Interval:
    """Where a membrane from low..high can be after it fired and was reset at once.

    A membrane that passes the threshold is left, after n < levels spikes, below the threshold but by no more than one
    spacing r; after n = levels spikes it keeps what exceeds them, ``high − levels·r`` at most.
    """
    if not p.fires or p.reset == "none":
        return low, high
    last_silent = p.threshold - (0 if p.compare == ">" else 1)
    up = high > last_silent
    down = (low < -last_silent) & p.signed
    new_low, new_high = np.where(down, -last_silent, low), np.where(up, last_silent, high)
    if p.reset == "to_value":
        fired = up | down
        return (
            np.where(fired, np.minimum(new_low, p.reset_value), new_low),
            np.where(fired, np.maximum(new_high, p.reset_value), new_high),
        )
    r = p.reset_amount
    new_low = np.where(up, np.minimum(new_low, last_silent + 1 - r), new_low)
    new_high = np.where(up, np.maximum(new_high, high - p.levels * r), new_high)
    new_high = np.where(down, np.maximum(new_high, r - last_silent - 1), new_high)
    new_low = np.where(down, np.minimum(new_low, low + p.levels * r), new_low)
    return new_low, new_high


def _reset_interval(p: Population, low: Array, high: Array, fewest: Array, most: Array) -> Interval:
    """Where a membrane can be after the spikes of the step before reset it: a plain, slightly wide interval."""
    if p.reset == "none":
        return low, high
    if p.reset == "to_value":
        fired = (fewest != 0) | (most != 0)
        return np.where(fired, np.minimum(low, p.reset_value), low), np.where(
            fired, np.maximum(high, p.reset_value), high
        )
    return low - most * p.reset_amount, high - fewest * p.reset_amount
