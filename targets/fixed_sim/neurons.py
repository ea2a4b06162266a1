"""The neuron update: :mod:`snncc.program.reference`'s step for whole blocks of steps, line by line.

Neurons are taken in stretches that stay in the first-level cache. Each line of the equations is a loop over a stretch that
LLVM vectorises, and every choice of a population stands outside such loops, so one compilation serves all. States are int32 or
int64; in int32 nothing may leave 31 bits on the way (:func:`snncc.targets.fixed_sim.prepare.state_type`).
"""

from __future__ import annotations

import numpy as np

from snncc.targets.fixed_sim.compiled import compiled

# Bits of `flags`: the choices of a population that are no numbers.
HAS_CURRENT = 1
DECAY_AFTER = 2
RESET_NEXT_STEP = 4
HAS_V_MIN = 8
FIRES = 16
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


@compiled()
def decay(x, factor, rounding):  # type: ignore[no-untyped-def]
    """x · factor / 4096 in place, in two parts, so that the product needs no more bits than x."""
    whole = x.dtype.type
    half = whole(2048) if rounding == NEAREST else whole(0)
    if rounding == TOWARD_ZERO:
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
    whole = x.dtype.type
    if rule == SATURATE:
        for j in range(x.size):
            x[j] = min(max(x[j], whole(1 - limit)), whole(limit - 1))
    elif rule == WRAP:
        for j in range(x.size):
            if x[j] > limit:
                x[j] = whole(x[j] - 2 * limit)
            elif x[j] <= -limit:
                x[j] = whole(x[j] + 2 * limit)


@compiled()
def passed(x, threshold, spacing, levels, count):  # type: ignore[no-untyped-def]
    """``count`` becomes how often x passes threshold + j·spacing, j = 0 … levels − 1."""
    whole = x.dtype.type
    if levels == 1:
        for j in range(x.size):
            count[j] = whole(x[j] >= threshold[j])
    elif levels <= FEW_LEVELS:
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
    whole = x.dtype.type
    for j in range(x.size):
        negative[j] = whole(-x[j])
    passed(negative.copy(), threshold, spacing, levels, negative)
    for j in range(x.size):
        count[j] = whole(count[j] - negative[j])


@compiled()
def reset_by(x, count, amount, value, rule):  # type: ignore[no-untyped-def]
    """The reset for spikes ``count``, in place."""
    whole = x.dtype.type
    if rule == SUBTRACT:
        for j in range(x.size):
            x[j] = whole(x[j] - whole(whole(count[j]) * amount[j]))
    elif rule == TO_VALUE:
        for j in range(x.size):
            x[j] = value[j] if count[j] != 0 else x[j]


@compiled()
def one_level(  # type: ignore[no-untyped-def]
    arriving, x, old_u, leaving, one, bias, current_bias, decay_v, threshold, spacing, amount, value, leaks, reset
):
    """A step of the commonest neurons in one loop: no current of their own, an immediate reset, one level, no clamp, no overflow
    rule, rounding to nearest. The same lines as in :func:`update`. Returns the neurons that fired and that were active."""
    whole = x.dtype.type
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
        if reset == SUBTRACT:
            y = whole(y - whole(n * amount[j]))
        elif reset == TO_VALUE:
            y = value[j] if n != 0 else y
        fired += n
        x[j] = y
        old_u[j] = w
        leaving[j] = n
    return fired, active


@compiled()
def four_levels(  # type: ignore[no-untyped-def]
    arriving, x, old_u, leaving, one, bias, current_bias, decay_v, threshold, spacing, amount, value, leaks, reset
):
    """As :func:`one_level` for four levels."""
    whole = x.dtype.type
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
        n = whole(whole(y >= threshold[j]) + whole(y >= whole(threshold[j] + spacing[j])))
        n = whole(n + whole(y >= whole(threshold[j] + whole(whole(2) * spacing[j]))))
        n = whole(n + whole(y >= whole(threshold[j] + whole(whole(3) * spacing[j]))))
        if reset == SUBTRACT:
            y = whole(y - whole(n * amount[j]))
        elif reset == TO_VALUE:
            y = value[j] if n != 0 else y
        fired += whole(n != 0)
        x[j] = y
        old_u[j] = w
        leaving[j] = n
    return fired, active


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
    first,
):
    """``spikes.shape[0] - 1`` steps of ``v.size`` neurons in place.

    ``current`` (steps, size), or (1, size) where it is the same at every step; ``spikes`` (1 + steps, …): row 0 those of the step
    before; the neurons are those from column ``first`` on. ``constants`` (9, period), which repeat over the neurons. ``counts``
    (2, steps) int64 grows by the neurons that fired and that were active.
    """
    whole = v.dtype.type
    steps = spikes.shape[0] - 1
    period = constants.shape[1]
    one = whole(1 << guard_bits)
    limit = whole(limit)
    fires, leaks = flags & FIRES != 0, flags & LEAKS != 0
    choices = flags & ~LEAKS
    plain = (
        choices == FIRES
        and levels in (1, 4)
        and rounding == NEAREST
        and overflow_u == UNBOUNDED
        and overflow_v == UNBOUNDED
    )
    new_u, count = np.empty(period, v.dtype), np.zeros(period, v.dtype)
    owed, spare = np.empty(period, v.dtype), np.empty(period, v.dtype)
    for start in range(0, v.size, period):
        m = min(period, v.size - start)
        x, old_u, w, n, due = v[start : start + m], u[start : start + m], new_u[:m], count[:m], owed[:m]
        threshold, spacing = constants[THRESHOLD, :m], constants[SPACING, :m]
        amount, value = constants[RESET_AMOUNT, :m], constants[RESET_VALUE, :m]
        decay_v, decay_u = constants[DECAY_V, :m], constants[DECAY_U, :m]
        bias, current_bias, v_min = constants[BIAS, :m], constants[CURRENT_BIAS, :m], constants[V_MIN, :m]
        fixed = (bias, current_bias, decay_v, threshold, spacing, amount, value)
        for t in range(steps):
            arriving = current[t if current.shape[0] > 1 else 0, start : start + m]
            place = first + start
            before, leaving = spikes[t, place : place + m], spikes[t + 1, place : place + m]
            if plain:
                if levels == 1:
                    some = one_level(arriving, x, old_u, leaving, one, *fixed, leaks, reset)
                else:
                    some = four_levels(arriving, x, old_u, leaving, one, *fixed, leaks, reset)
                counts[0, t] += some[0]
                counts[1, t] += some[1]
                continue
            active = whole(0)
            for j in range(m):
                i = whole(arriving[j])
                active += whole((i | x[j] | old_u[j] | bias[j] | current_bias[j]) != 0)
                w[j] = whole(whole(i * one) + current_bias[j])
            counts[1, t] += active
            if flags & HAS_CURRENT:
                due[:] = old_u
                decay(due, decay_u, rounding)
                for j in range(m):
                    w[j] = whole(w[j] + due[j])
            limited(w, overflow_u, limit)
            if flags & RESET_PENDING and fires:
                passed(x, threshold, spacing, levels, due)
            if flags & LEAKS and not flags & DECAY_AFTER:
                decay(x, decay_v, rounding)
            if flags & RESET_NEXT_STEP:
                reset_by(x, before, amount, value, reset)
            drive = old_u if flags & CURRENT_AFTER else w
            for j in range(m):
                x[j] = whole(x[j] + whole(drive[j] + bias[j]))
            if flags & RESET_AFTER_INPUT:
                reset_by(x, before, amount, value, reset)
            if flags & RESET_PENDING and fires:
                reset_by(x, due, amount, value, SUBTRACT)
            limited(x, overflow_v, limit)
            if flags & HAS_V_MIN:
                for j in range(m):
                    x[j] = max(x[j], v_min[j])
            if fires:
                passed(x, threshold, spacing, levels, n)
                if flags & SIGNED:
                    mirrored(x, threshold, spacing, levels, n, spare[:m])
                if flags & RESET_PENDING:
                    for j in range(m):
                        due[j] = whole(n[j] - due[j])
                    reset_by(x, due, amount, value, SUBTRACT)
                elif not flags & (RESET_NEXT_STEP | RESET_AFTER_INPUT):
                    reset_by(x, n, amount, value, reset)
            if flags & LEAKS and flags & DECAY_AFTER:
                decay(x, decay_v, rounding)
            if flags & RESET_CURRENT and fires:
                if flags & RESET_AFTER_INPUT:
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
