"""A population's current and membrane as intervals, step by step over all time steps with the rules of
:mod:`snncc.program.reference`: both ends are stepped, so the negative side of a neuron without a clamp grows with T, as it
really can.
"""

from __future__ import annotations

import numpy as np

from snncc.program.program import DECAY_ONE, Arithmetic, Population
from snncc.program.reference import count_spikes, decay

Array = np.ndarray
Interval = tuple[Array, Array]
WIDEST = 2**50
"""Bounds stop here: one more bit than any arithmetic profile has, and times a 12-bit decay still below 2^63."""


def follow(
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
        before = u_low, u_high
        if p.decay_u is None:
            u_low, u_high = injected
        else:
            u_low = decay(u_low, p.decay_u, arithmetic.rounding) + injected[0]
            u_high = decay(u_high, p.decay_u, arithmetic.rounding) + injected[1]
        u_low, u_high = _readable(u_low, u_high)
        widest_u = _wider(widest_u, u_low, u_high)
        u_low, u_high = _after_current(arithmetic, u_low, u_high)
        drive = before if p.current_timing == "after" else (u_low, u_high)
        if p.fires and p.reset_current:  # to 0, which may lie outside
            u_low, u_high = np.minimum(u_low, 0), np.maximum(u_high, 0)
        if p.fires and p.reset_timing == "immediate_pending":
            (v_low, v_high), reached, (n_low, n_high) = _pending_step(arithmetic, p, (v_low, v_high), drive)
            widest_v = _wider(_wider(widest_v, *reached), v_low, v_high)
            widest_n = _wider(widest_n, n_low, n_high)
            continue
        if p.decay_timing == "before":
            v_low, v_high = _decayed(arithmetic, p, v_low, v_high)
        if p.fires and p.reset_timing == "next_step" and t > 0:
            late = _fired_interval(p, v_low, v_high) if leakless else _reset_interval(p, v_low, v_high, n_low, n_high)
            v_low, v_high = late
        v_low, v_high = v_low + drive[0] + p.bias, v_high + drive[1] + p.bias
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


def _pending_step(
    arithmetic: Arithmetic, p: Population, v: Interval, u: Interval
) -> tuple[Interval, Interval, Interval]:
    """(membrane left, membrane before an overflow rule, spikes) after a step with ``reset_timing="immediate_pending"``.

    Membranes that enter above the threshold (P = 1) and the others (P = 0) are followed apart, then joined. After the
    spikes n ``v − (n − P)·r`` is an immediate reset, and r more for those of P = 1.
    """
    last_silent = p.threshold - (0 if p.compare == ">" else 1)
    made = []
    for owed, low, high in (
        (0, v[0], np.minimum(v[1], last_silent)),
        (1, np.maximum(v[0], last_silent + 1), v[1]),
    ):
        there = low <= high
        if p.decay_timing == "before":
            low, high = _decayed(arithmetic, p, low, high)
        paid = owed * p.reset_amount
        reached = _readable(low + u[0] + p.bias - paid, high + u[1] + p.bias - paid)
        low, high = _saturated(arithmetic, reached[0]), _saturated(arithmetic, reached[1])
        if p.v_min is not None:
            low, high = np.maximum(low, p.v_min), np.maximum(high, p.v_min)
        spikes = _spike_interval(p, low, high)
        low, high = _fired_interval(p, low, high)
        left = _readable(low + paid, high + paid)
        made.append((there, left, reached, spikes))
    (silent, *without), (pending, *with_) = made
    left, reached, spikes = (
        (
            np.where(silent & pending, np.minimum(a[0], b[0]), np.where(silent, a[0], b[0])),
            np.where(silent & pending, np.maximum(a[1], b[1]), np.where(silent, a[1], b[1])),
        )
        for a, b in zip(without, with_, strict=True)
    )
    reached = _wider(reached, *left)
    if p.decay_timing == "after":
        left = _decayed(arithmetic, p, *left)
    return left, reached, spikes


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
