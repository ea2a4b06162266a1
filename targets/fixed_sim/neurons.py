"""The neuron update: :mod:`snncc.program.reference`'s step for whole blocks of steps, line by line.

Neurons are taken in stretches that stay in the first-level cache. Each line of the equations is a loop over a stretch that
LLVM vectorises, and every choice of a population stands outside such loops, so one compilation serves all populations.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from snncc.targets.fixed_sim.compiled import compiled

# Bits of `flags`: the choices of a population that are no numbers.
HAS_CURRENT = 1
DECAY_AFTER = 2
RESET_NEXT_STEP = 4
HAS_V_MIN = 8
FIRES = 16
STRICT = 32
SIGNED = 64
RESET_AFTER_INPUT = 128
RESET_PENDING = 256
RESET_CURRENT = 512
CURRENT_AFTER = 1024
LEAKS = 2048
# `reset`, `rounding`, `overflow` as in snncc.program.program
NONE, SUBTRACT, TO_VALUE = 0, 1, 2
NEAREST, FLOOR, TOWARD_ZERO = 0, 1, 2
UNBOUNDED, SATURATE, WRAP = 0, 1, 2
# Rows of `constants`; the threshold is one that counts when reached.
THRESHOLD, SPACING, RESET_AMOUNT, RESET_VALUE, DECAY_V, DECAY_U, BIAS, CURRENT_BIAS, V_MIN = range(9)

FEW_LEVELS = 16
"""Up to which the spikes of a step are counted level by level, which vectorises; beyond, by a division."""


@cache
def update_for(whole: type) -> Any:
    """The update whose states are of NumPy type ``whole``, int32 or int64. In int32 nothing may leave 31 bits on the way
    (see :func:`snncc.targets.fixed_sim.prepare.state_type`)."""

    @compiled()
    def decay(x, factor, rounding):  # type: ignore[no-untyped-def]
        """x · factor / 4096 in place, in two parts, so that the product needs no more bits than x."""
        half = whole(2048) if rounding == 0 else whole(0)
        if rounding == 2:
            for j in range(x.size):
                size = whole(abs(x[j]))
                high = whole(whole(size >> whole(12)) * factor[j])
                low = whole(whole(size & whole(4095)) * factor[j]) >> whole(12)
                size = whole(high + whole(low))
                x[j] = size if x[j] >= 0 else -size
        else:
            for j in range(x.size):
                high = whole(whole(x[j] >> whole(12)) * factor[j])
                low = whole(whole(whole(x[j] & whole(4095)) * factor[j]) + half)
                x[j] = whole(high + whole(low >> whole(12)))

    @compiled()
    def limited(x, rule, limit):  # type: ignore[no-untyped-def]
        """The overflow rule, in place."""
        if rule == 1:
            for j in range(x.size):
                x[j] = min(max(x[j], whole(1 - limit)), whole(limit - 1))
        elif rule == 2:
            for j in range(x.size):
                if x[j] > limit:
                    x[j] = whole(x[j] - 2 * limit)
                elif x[j] <= -limit:
                    x[j] = whole(x[j] + 2 * limit)

    @compiled()
    def passed(x, threshold, spacing, levels, count):  # type: ignore[no-untyped-def]
        """``count`` becomes how often x passes threshold + j·spacing, j = 0 … levels − 1."""
        if levels == 1:
            for j in range(x.size):
                count[j] = whole(x[j] >= threshold[j])
        elif levels <= 16:
            count[:] = 0
            for level in range(levels):
                for j in range(x.size):
                    count[j] += whole(x[j] >= whole(threshold[j] + whole(whole(level) * spacing[j])))
        else:
            for j in range(x.size):
                count[j] = min((x[j] - threshold[j]) // spacing[j] + 1, levels) if x[j] >= threshold[j] else 0

    @compiled()
    def mirrored(x, threshold, spacing, levels, count, negative):  # type: ignore[no-untyped-def]
        """Takes from ``count`` how often −x passes; ``negative`` is room for −x, then for its count."""
        for j in range(x.size):
            negative[j] = whole(-x[j])
        passed(negative.copy(), threshold, spacing, levels, negative)
        for j in range(x.size):
            count[j] = whole(count[j] - negative[j])

    @compiled()
    def reset_by(x, count, amount, value, rule):  # type: ignore[no-untyped-def]
        """The reset for spikes ``count``, in place."""
        if rule == 1:
            for j in range(x.size):
                x[j] = whole(x[j] - whole(whole(count[j]) * amount[j]))
        elif rule == 2:
            for j in range(x.size):
                x[j] = value[j] if count[j] != 0 else x[j]

    def plain_step(most: int, leaks: bool) -> Any:
        """A step of the commonest neurons in one loop: no current of their own, an immediate reset, at most ``most`` levels,
        no clamp, no overflow rule, rounding to nearest. The same lines as in ``update``."""

        @compiled()
        def step(
            arriving, x, old_u, leaving, one, bias, current_bias, decay_v, threshold, spacing, amount, value, reset
        ):  # type: ignore[no-untyped-def]
            fired = whole(0)
            active = whole(0)
            for j in range(x.size):
                i = whole(arriving[j])
                y = x[j]
                active += whole((i | y | old_u[j] | bias[j] | current_bias[j]) != 0)
                w = whole(whole(i * one) + current_bias[j])
                if leaks:
                    low = whole(whole(whole(y & whole(4095)) * decay_v[j]) + whole(2048))
                    y = whole(whole(whole(y >> whole(12)) * decay_v[j]) + whole(low >> whole(12)))
                y = whole(y + whole(w + bias[j]))
                n = whole(y >= threshold[j])
                for level in range(1, most):
                    n = whole(n + whole(y >= whole(threshold[j] + whole(whole(level) * spacing[j]))))
                if reset == 1:
                    y = whole(y - whole(n * amount[j]))
                elif reset == 2:
                    y = value[j] if n != 0 else y
                fired += whole(n != 0)
                x[j] = y
                old_u[j] = w
                leaving[j] = n
            return fired, active

        return step

    one_level, four_levels = plain_step(1, False), plain_step(4, False)
    one_level_leaks, four_levels_leak = plain_step(1, True), plain_step(4, True)

    @compiled()
    def update(  # type: ignore[no-untyped-def]
        current,
        u,
        v,
        spikes,
        constants,
        guard_bits,
        levels,
        flags,
        reset,
        rounding,
        overflow_u,
        overflow_v,
        limit,
        counts,
    ):
        """``spikes.shape[0] - 1`` steps of ``v.size`` neurons in place.

        ``current`` (steps, size), or (1, size) where it is the same at every step; ``spikes`` (1 + steps, size): row 0 those
        of the step before. ``constants`` (9, period), which repeat over the neurons. ``counts`` (2, steps) int64 grows by
        the neurons that fired and that were active.
        """
        steps = spikes.shape[0] - 1
        period = constants.shape[1]
        one = whole(1 << guard_bits)
        limit = whole(limit)
        fires, leaks = flags & 16 != 0, flags & 2048 != 0
        choices = flags & ~2048
        plain = choices == 16 and levels in (1, 4) and rounding == 0 and overflow_u == 0 and overflow_v == 0
        new_u, count = np.empty(period, whole), np.zeros(period, whole)
        owed, spare = np.empty(period, whole), np.empty(period, whole)
        for start in range(0, v.size, period):
            m = min(period, v.size - start)
            x, old_u, w, n, due = v[start : start + m], u[start : start + m], new_u[:m], count[:m], owed[:m]
            threshold, spacing = constants[0, :m], constants[1, :m]
            amount, value = constants[2, :m], constants[3, :m]
            decay_v, decay_u = constants[4, :m], constants[5, :m]
            bias, current_bias, v_min = constants[6, :m], constants[7, :m], constants[8, :m]
            fixed = (bias, current_bias, decay_v, threshold, spacing, amount, value)
            for t in range(steps):
                arriving = current[t if current.shape[0] > 1 else 0, start : start + m]
                before, leaving = spikes[t, start : start + m], spikes[t + 1, start : start + m]
                if plain:
                    if levels == 1 and leaks:
                        some = one_level_leaks(arriving, x, old_u, leaving, one, *fixed, reset)
                    elif levels == 1:
                        some = one_level(arriving, x, old_u, leaving, one, *fixed, reset)
                    elif leaks:
                        some = four_levels_leak(arriving, x, old_u, leaving, one, *fixed, reset)
                    else:
                        some = four_levels(arriving, x, old_u, leaving, one, *fixed, reset)
                    counts[0, t] += some[0]
                    counts[1, t] += some[1]
                    continue
                active = whole(0)
                for j in range(m):
                    i = whole(arriving[j])
                    active += whole((i | x[j] | old_u[j] | bias[j] | current_bias[j]) != 0)
                    w[j] = whole(whole(i * one) + current_bias[j])
                counts[1, t] += active
                if flags & 1:
                    due[:] = old_u
                    decay(due, decay_u, rounding)
                    for j in range(m):
                        w[j] = whole(w[j] + due[j])
                limited(w, overflow_u, limit)
                if flags & 256 and fires:
                    passed(x, threshold, spacing, levels, due)
                if flags & 2048 and not flags & 2:
                    decay(x, decay_v, rounding)
                if flags & 4:
                    reset_by(x, before, amount, value, reset)
                drive = old_u if flags & 1024 else w
                for j in range(m):
                    x[j] = whole(x[j] + whole(drive[j] + bias[j]))
                if flags & 128:
                    reset_by(x, before, amount, value, reset)
                if flags & 256 and fires:
                    reset_by(x, due, amount, value, 1)
                limited(x, overflow_v, limit)
                if flags & 8:
                    for j in range(m):
                        x[j] = max(x[j], v_min[j])
                if fires:
                    passed(x, threshold, spacing, levels, n)
                    if flags & 64:
                        mirrored(x, threshold, spacing, levels, n, spare[:m])
                    if flags & 256:
                        for j in range(m):
                            due[j] = whole(n[j] - due[j])
                        reset_by(x, due, amount, value, 1)
                    elif not flags & (4 | 128):
                        reset_by(x, n, amount, value, reset)
                if flags & 2048 and flags & 2:
                    decay(x, decay_v, rounding)
                if flags & 512 and fires:
                    if flags & 128:
                        for j in range(m):
                            w[j] = w[j] if before[j] == 0 else whole(0)
                    else:
                        for j in range(m):
                            w[j] = w[j] if n[j] == 0 else whole(0)
                fired = whole(0)
                for j in range(m):
                    old_u[j] = w[j]
                    leaving[j] = n[j]
                    fired += whole(n[j] != 0)
                counts[0, t] += fired

    return update
