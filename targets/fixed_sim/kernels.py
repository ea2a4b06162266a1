"""Numba kernels: scatter events through synapses, and update neurons. All arrays are C-contiguous; populations of shape
(C, H, W) are laid out (H, W, C), so that the innermost loop runs over channels. Kernels release the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

# Bits of `flags` in update_neurons: the choices of a population that are no numbers.
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
# `reset`, `rounding`, `overflow` as in snncc.program.program
NONE, SUBTRACT, TO_VALUE = 0, 1, 2
NEAREST, FLOOR, TOWARD_ZERO = 0, 1, 2
UNBOUNDED, SATURATE, WRAP = 0, 1, 2


def _compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile when first called, once for all runs; for every run anew where Numba finds no folder it may write to."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:
            return njit(nogil=True, **options)(function)

    return decorate


@_compiled()
def scatter_dense(spikes, weight, fan_out, current):  # type: ignore[no-untyped-def]
    """``current[n] += Σ spikes[n, i]·weight[i]``; weight (in, out). Returns the synaptic operations."""
    operations = 0
    for n in range(spikes.shape[0]):
        row = current[n]
        for i in range(spikes.shape[1]):
            s = spikes[n, i]
            if s == 0:
                continue
            operations += fan_out[i]
            w = weight[i]
            if s == 1:
                for o in range(row.size):
                    row[o] += w[o]
            else:
                for o in range(row.size):
                    row[o] += s * w[o]
    return operations


@_compiled()
def scatter_conv(spikes, weight, fan_out, current, shape_in, shape_out, stride, padding, dilation):  # type: ignore[no-untyped-def]
    """As :func:`scatter_dense` for a convolution; weight (C, ky, kx, out/groups), shapes (H, W, C)."""
    _, columns_in, channels = shape_in
    rows, columns, outputs = shape_out
    _, ky, kx, per_group = weight.shape
    group_inputs = channels * per_group // outputs
    operations = 0
    for n in range(spikes.shape[0]):
        for i in range(spikes.shape[1]):
            s = spikes[n, i]
            if s == 0:
                continue
            operations += fan_out[i]
            c = i % channels
            x = (i // channels) % columns_in
            y = i // (channels * columns_in)
            first = (c // group_inputs) * per_group
            first_a, step_a = (
                (y + padding[0]) % stride[0] if dilation[0] == 1 else 0,
                stride[0] if dilation[0] == 1 else 1,
            )
            first_b, step_b = (
                (x + padding[1]) % stride[1] if dilation[1] == 1 else 0,
                stride[1] if dilation[1] == 1 else 1,
            )
            for a in range(first_a, ky, step_a):
                top = y + padding[0] - a * dilation[0]
                if top < 0 or top % stride[0] != 0 or top // stride[0] >= rows:
                    continue
                for b in range(first_b, kx, step_b):
                    left = x + padding[1] - b * dilation[1]
                    if left < 0 or left % stride[1] != 0 or left // stride[1] >= columns:
                        continue
                    start = ((top // stride[0]) * columns + left // stride[1]) * outputs + first
                    row = current[n, start : start + per_group]
                    w = weight[c, a, b]
                    if s == 1:
                        for o in range(per_group):
                            row[o] += w[o]
                    else:
                        for o in range(per_group):
                            row[o] += s * w[o]
    return operations


@_compiled()
def scatter_sparse(spikes, starts, targets, weight, fan_out, current):  # type: ignore[no-untyped-def]
    """As :func:`scatter_dense`; the synapses of source i are ``starts[i]:starts[i + 1]`` of targets and weight."""
    operations = 0
    for n in range(spikes.shape[0]):
        for i in range(spikes.shape[1]):
            s = spikes[n, i]
            if s == 0:
                continue
            operations += fan_out[i]
            for k in range(starts[i], starts[i + 1]):
                current[n, targets[k]] += s * weight[k]
    return operations


@_compiled()
def conv_fan_out(used, shape_in, shape_out, stride, padding, dilation, fan_out):  # type: ignore[no-untyped-def]
    """Synapses with a non-zero weight that leave each source neuron; used (C, ky, kx) counts them by kernel position."""
    _, columns_in, channels = shape_in
    for i in range(fan_out.size):
        c = i % channels
        x = (i // channels) % columns_in
        y = i // (channels * columns_in)
        total = 0
        for a in range(used.shape[1]):
            top = y + padding[0] - a * dilation[0]
            if top < 0 or top % stride[0] != 0 or top // stride[0] >= shape_out[0]:
                continue
            for b in range(used.shape[2]):
                left = x + padding[1] - b * dilation[1]
                if left < 0 or left % stride[1] != 0 or left // stride[1] >= shape_out[1]:
                    continue
                total += used[c, a, b]
        fan_out[i] = total


@_compiled(inline="always")
def _decayed(x, factor, rounding):  # type: ignore[no-untyped-def]
    if factor == 4096:
        return x
    product = x * factor
    if rounding == 0:
        return (product + 2048) >> 12
    if rounding == 1 or product >= 0:
        return product >> 12
    return -((-product) >> 12)


@_compiled(inline="always")
def _limited(x, rule, limit):  # type: ignore[no-untyped-def]
    if rule == 1:
        return min(max(x, 1 - limit), limit - 1)
    if rule == 2:
        if x > limit:
            return x - 2 * limit
        if x <= -limit:
            return x + 2 * limit
    return x


@_compiled(inline="always")
def _passed(x, threshold, spacing, levels):  # type: ignore[no-untyped-def]
    """How often x passes threshold + j·spacing, j = 0 … levels − 1, for a threshold that counts when reached."""
    if x < threshold:
        return 0
    if levels == 1:
        return 1
    return min((x - threshold) // spacing + 1, levels)


@_compiled()
def update_neurons(  # type: ignore[no-untyped-def]
    current, u, v, spikes, constants, guard_bits, levels, flags, reset, rounding, overflow_u, overflow_v, limit
):
    """One step of (N, size) neurons in place: the equations of :mod:`snncc.program.reference`. ``spikes`` goes in as those
    of the step before. ``constants`` (9, size): threshold, spacing, reset amount, reset value, decay_v, decay_u, bias,
    current bias, v_min. Returns (neurons that fired, neurons that were active)."""
    fired = 0
    active = 0
    strict = 1 if flags & 32 else 0
    for n in range(current.shape[0]):
        for i in range(current.shape[1]):
            bias, current_bias = constants[6, i], constants[7, i]
            if current[n, i] != 0 or u[n, i] != 0 or v[n, i] != 0 or bias != 0 or current_bias != 0:
                active += 1
            injected = (np.int64(current[n, i]) << guard_bits) + current_bias
            if flags & 1:
                injected += _decayed(u[n, i], constants[5, i], rounding)
            new_u = _limited(injected, overflow_u, limit)
            x = v[n, i]
            if not flags & 2:
                x = _decayed(x, constants[4, i], rounding)
            before = spikes[n, i]
            if flags & 4 and before != 0:
                if reset == 1:
                    x -= before * constants[2, i]
                elif reset == 2:
                    x = constants[3, i]
            x += (u[n, i] if flags & 1024 else new_u) + bias
            if flags & 128 and before != 0:
                if reset == 1:
                    x -= before * constants[2, i]
                elif reset == 2:
                    x = constants[3, i]
            owed = 0
            if flags & 256 and flags & 16:
                owed = _passed(v[n, i], constants[0, i] + strict, constants[1, i], levels)
                x -= owed * constants[2, i]
            x = _limited(x, overflow_v, limit)
            if flags & 8:
                x = max(x, constants[8, i])
            count = 0
            if flags & 16:
                threshold = constants[0, i] + strict
                count = _passed(x, threshold, constants[1, i], levels)
                if flags & 64:
                    count -= _passed(-x, threshold, constants[1, i], levels)
                if count != 0:
                    fired += 1
                    if not flags & (4 | 128 | 256):
                        if reset == 1:
                            x -= count * constants[2, i]
                        elif reset == 2:
                            x = constants[3, i]
                if flags & 256:
                    x -= (count - owed) * constants[2, i]
            if flags & 2:
                x = _decayed(x, constants[4, i], rounding)
            if flags & 512 and flags & 16 and (before if flags & 128 else count) != 0:
                new_u = 0
            spikes[n, i] = count
            u[n, i] = new_u
            v[n, i] = x
    return fired, active
