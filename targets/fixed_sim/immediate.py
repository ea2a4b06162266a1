"""The commonest neurons' update, with its choices as constants of the compilation, and which kernel a population gets.

The loop over neurons has nothing but arithmetic of the state's own width: Numba's ``>>`` would go through 64 bits, and a product
of leak and membrane needs more than 32 unless it is split. Whether neurons fired or were active is stored as bytes, which are
added up afterwards: a sum within the loop would halve its speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from snncc.targets.fixed_sim.compiled import compiled, shifted_left, shifted_right
from snncc.targets.fixed_sim.neurons import (
    BIAS,
    CURRENT_BIAS,
    DECAY_V,
    FEW_LEVELS,
    FIRES,
    LEAKS,
    NEAREST,
    RESET_AMOUNT,
    RESET_VALUE,
    SPACING,
    SUBTRACT,
    THRESHOLD,
    TO_VALUE,
    UNBOUNDED,
    V_INIT,
    count_set,
    two_parts,
    update,
)

Array = np.ndarray
DECAY_BITS = 12
ALL_AWAKE, SOME_AWAKE, NONE_AWAKE = 0, 1, 2
"""Which neurons a bias of their own keeps active."""
LEAKLESS, HALVING, NARROW, SPLIT = 0, 1, 2, 3
"""How ``v · d / 4096`` is formed: not at all; by the rounding shift alone, where all d are the same power of two; by one product
that stays within the state's type, of d and the shift in lowest terms; or by the products of v's upper bits and of its lower 12
bits, whatever v is: their sum is exact modulo 2^32, and a decay of at most 4096 never leaves the type."""


@dataclass(frozen=True)
class Choices:
    """What is compiled into a kernel.

    Attributes:
        alike: whether leak and reset value are the same for all neurons.
        awake: one of :data:`ALL_AWAKE`, :data:`SOME_AWAKE`, :data:`NONE_AWAKE`.
        injected: whether any current has a bias.
    """

    levels: int
    leak: int
    reset: int
    alike: bool
    awake: int
    injected: bool


@cache
def immediate(choices: Choices) -> Any:
    """:func:`snncc.targets.fixed_sim.neurons.update` for neurons without a current of their own, that reset in the same step,
    with few levels, no clamp, no overflow rule, rounding to nearest.

    Takes ``current``, ``u``, ``v``, ``spikes``, ``constants``, the guard bits, the leak's shift, ``counts``, ``first`` and
    ``fresh``; the row of ``constants`` with the leak holds it less the powers of two that the shift is short of 12. No other
    kernel may be enclosed: Numba's cache would not know this one again in the next process.
    """
    levels, leak, reset = choices.levels, choices.leak, choices.reset
    alike, awake, injected = choices.alike, choices.awake, choices.injected

    @compiled()
    def steps_of(current, u, v, spikes, constants, guard_bits, shift, counts, first, fresh):  # type: ignore[no-untyped-def]
        whole = v.dtype.type
        keeps = not fresh or awake != ALL_AWAKE  # else nobody asks for the current
        half, period, size = whole((1 << shift) >> 1), constants.shape[1], current.shape[1]
        flags = np.empty(period, np.uint8)
        for start in range(0, size, period):
            m, place, at = min(period, size - start), first + start, 0 if fresh else start
            x, old_u, active = v[at : at + m], u[at : at + m], flags[:m]
            for j in range(m if fresh else 0):
                x[j], old_u[j] = constants[V_INIT, j], whole(0)
            threshold, spacing = constants[THRESHOLD, :m], constants[SPACING, :m]
            amount, value = constants[RESET_AMOUNT, :m], constants[RESET_VALUE, :m]
            decay, bias, current_bias = constants[DECAY_V, :m], constants[BIAS, :m], constants[CURRENT_BIAS, :m]
            one_decay, one_value = decay[0], value[0]
            for t in range(spikes.shape[0] - 1):
                arriving = current[t if current.shape[0] > 1 else 0, start : start + m]
                leaving = spikes[t + 1, place : place + m]
                for j in range(m):
                    y, w = x[j], whole(arriving[j])
                    if awake == NONE_AWAKE:
                        active[j] = (w | y | old_u[j]) != 0
                    elif awake == SOME_AWAKE:
                        active[j] = (w | y | old_u[j] | bias[j] | current_bias[j]) != 0
                    w = shifted_left(w, guard_bits)
                    if injected:
                        w = whole(w + current_bias[j])
                    if keeps:
                        old_u[j] = w
                    d = one_decay if alike else decay[j]
                    if leak == HALVING:
                        y = shifted_right(whole(y + half), shift)
                    elif leak == NARROW:
                        y = shifted_right(whole(whole(y * d) + half), shift)
                    elif leak == SPLIT:
                        y = two_parts(y, d, half)
                    y = whole(y + whole(w + bias[j]))
                    n = whole(y >= threshold[j])
                    for level in range(1, levels):
                        n = whole(n + whole(y >= whole(threshold[j] + whole(whole(level) * spacing[j]))))
                    if reset == TO_VALUE:
                        y = (one_value if alike else value[j]) if n != 0 else y
                    elif reset == SUBTRACT and levels > 1:
                        y = whole(y - whole(n * amount[j]))
                    elif reset == SUBTRACT:
                        y = whole(y - (amount[j] if n != 0 else whole(0)))
                    x[j] = y
                    leaving[j] = n
                counts[1, t] += m if awake == ALL_AWAKE else count_set(active)
                counts[0, t] += count_set(leaving)

    return steps_of


def leak_of(decay: Array, highest: int, leaks: bool) -> tuple[int, int, int]:
    """(one of :data:`LEAKLESS` …, common power of two taken off the decays, shift) for membranes up to ±``highest``, in
    a type of ``decay``'s width."""
    if not leaks:
        return LEAKLESS, 0, DECAY_BITS
    bits = int(np.bitwise_or.reduce(decay)) | 1 << DECAY_BITS
    common = (bits & -bits).bit_length() - 1
    room = np.iinfo(decay.dtype).max
    if highest * (int(decay.max()) >> common) + (1 << DECAY_BITS) > room:
        return SPLIT, 0, DECAY_BITS
    return HALVING if (decay == 1 << common).all() else NARROW, common, DECAY_BITS - common


def stepper(
    constants: Array,
    guard_bits: int,
    levels: int,
    flags: int,
    reset: int,
    rules: tuple[int, int, int, int],
    highest: int,
) -> Callable[..., None]:
    """The fastest kernel for a population, as a function of ``current``, ``u``, ``v``, ``spikes``, ``counts``, ``first`` and
    ``fresh`` of :func:`snncc.targets.fixed_sim.neurons.update`; ``rules`` are rounding, overflow of the current, of the
    membrane, and their limit; no membrane leaves ±``highest`` at a step's end."""
    if flags & ~LEAKS == FIRES and levels <= FEW_LEVELS and rules[:3] == (NEAREST, UNBOUNDED, UNBOUNDED):
        leak, common, shift = leak_of(constants[DECAY_V], highest, flags & LEAKS != 0)
        biased = (constants[BIAS] | constants[CURRENT_BIAS]) != 0
        awake = ALL_AWAKE if biased.all() else SOME_AWAKE if biased.any() else NONE_AWAKE
        alike = bool((np.ptp(constants[[DECAY_V, RESET_VALUE]], axis=1) == 0).all())
        fast = immediate(Choices(levels, leak, reset, alike, awake, bool(constants[CURRENT_BIAS].any())))
        reduced = constants.copy()
        reduced[DECAY_V] >>= common

        def step(current: Any, u: Any, v: Any, spikes: Any, counts: Any, first: int, fresh: bool) -> None:
            fast(current, u, v, spikes, reduced, guard_bits, shift, counts, first, fresh)

    else:

        def step(current: Any, u: Any, v: Any, spikes: Any, counts: Any, first: int, fresh: bool) -> None:
            update(current, u, v, spikes, constants, guard_bits, levels, flags, reset, *rules, counts, first, fresh)

    return step
