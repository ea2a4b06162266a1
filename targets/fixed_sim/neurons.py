"""The neuron update: :mod:`snncc.program.reference`'s step for whole blocks of steps, line by line.

Neurons are taken in stretches that stay in the first-level cache. Each line of the equations is a loop over a stretch that
LLVM vectorises, and every choice of a population stands outside such loops, so one compilation serves all. States are int32 or
int64; in int32 nothing may leave 31 bits on the way (:func:`snncc.targets.fixed_sim.prepare.state_type`).
"""

from __future__ import annotations

import numpy as np

from snncc.targets.fixed_sim.compiled import compiled, shifted_left, shifted_right

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
THRESHOLD, SPACING, RESET_AMOUNT, RESET_VALUE, DECAY_V, DECAY_U, BIAS, CURRENT_BIAS, V_MIN, V_INIT = range(10)

FEW_LEVELS = 16
"""Up to which the spikes of a step are counted level by level, which vectorises; beyond, by a division."""


@compiled()
def two_parts(x, factor, half):  # type: ignore[no-untyped-def]
    """``(x · factor + half) >> 12`` in x's own type, whatever x is: ``x · factor`` may need twice the bits."""
    whole = type(x)
    low = whole(whole(whole(x & whole(4095)) * factor) + half)
    return whole(whole(shifted_right(x, 12) * factor) + shifted_right(low, 12))


@compiled()
def decay(x, factor, rounding):  # type: ignore[no-untyped-def]
    """x · factor / 4096 in place; the factor is at most 4096."""
    whole = x.dtype.type
    half = whole(2048) if rounding == NEAREST else whole(0)
    if rounding == TOWARD_ZERO:
        for j in range(x.size):
            size = two_parts(whole(abs(x[j])), factor[j], half)
            x[j] = size if x[j] >= 0 else whole(-size)
    else:
        for j in range(x.size):
            x[j] = two_parts(x[j], factor[j], half)


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
        for j in range(x.size):
            count[j] = whole(0)
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
def count_active(arriving, x, u, bias, current_bias):  # type: ignore[no-untyped-def]
    """Neurons that something arrives at, or that hold something, before a step."""
    whole = x.dtype.type
    active = whole(0)
    for j in range(x.size):
        active += whole((whole(arriving[j]) | x[j] | u[j] | bias[j] | current_bias[j]) != 0)
    return active


@compiled()
def count_set(flags):  # type: ignore[no-untyped-def]
    """How many of ``flags`` (whole numbers) are not 0."""
    total = np.int64(0)
    for start in range(0, flags.size, 128):
        part, some = flags[start : start + 128], np.uint8(0)
        for j in range(part.size):
            some = np.uint8(some + np.uint8(part[j] != 0))
        total += some
    return total


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
    fresh,
):
    """``spikes.shape[0] - 1`` steps of neurons in place.

    ``current`` (steps, size), or (1, size) where it is the same at every step; ``spikes`` (1 + steps, …): row 0 those of the step
    before; the neurons are those from column ``first`` on. ``constants`` (10, period), which repeat over the neurons. ``counts``
    (2, steps) int64 grows by the neurons that fired and that were active. ``u`` and ``v`` (size,) are their states; where
    ``fresh``, they are room for one period of neurons, which start anew and whose states nobody asks for.
    """
    whole = v.dtype.type
    steps = spikes.shape[0] - 1
    period = constants.shape[1]
    limit = whole(limit)
    fires = flags & FIRES != 0
    size = current.shape[1]
    new_u, count = np.empty(period, v.dtype), np.zeros(period, v.dtype)
    owed, spare = np.empty(period, v.dtype), np.empty(period, v.dtype)
    for start in range(0, size, period):
        m, at = min(period, size - start), 0 if fresh else start
        x, old_u, w, n, due = v[at : at + m], u[at : at + m], new_u[:m], count[:m], owed[:m]
        for j in range(m if fresh else 0):
            x[j], old_u[j] = constants[V_INIT, j], whole(0)
        threshold, spacing = constants[THRESHOLD, :m], constants[SPACING, :m]
        amount, value = constants[RESET_AMOUNT, :m], constants[RESET_VALUE, :m]
        decay_v, decay_u = constants[DECAY_V, :m], constants[DECAY_U, :m]
        bias, current_bias, v_min = constants[BIAS, :m], constants[CURRENT_BIAS, :m], constants[V_MIN, :m]
        for t in range(steps):
            arriving = current[t if current.shape[0] > 1 else 0, start : start + m]
            place = first + start
            before, leaving = spikes[t, place : place + m], spikes[t + 1, place : place + m]
            counts[1, t] += count_active(arriving, x, old_u, bias, current_bias)
            for j in range(m):
                w[j] = whole(shifted_left(whole(arriving[j]), guard_bits) + current_bias[j])
            if flags & HAS_CURRENT:
                for j in range(m):
                    due[j] = old_u[j]
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
            for j in range(m):
                old_u[j] = w[j]
                leaving[j] = n[j]
            counts[0, t] += count_set(leaving)
