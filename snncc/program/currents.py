"""Currents that spikes cause through a projection: part of the golden meaning in :mod:`snncc.program.reference`."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snncc.program.program import Program, Projection, conv_shape

Array = np.ndarray


def project(program: Program, projection: Projection, spikes: Array) -> Array:
    """Current (N, *target shape) that ``spikes`` (N, *source shape) cause."""
    sums = weigh(program, projection, spikes, projection.weight.astype(np.int64)) >> projection.shift
    return max_pool(projection, sums)


def max_pool(projection: Projection, sums: Array) -> Array:
    """The largest of each window of ``sums`` (N, C, H, W), where the projection pools."""
    if projection.pool is None:
        return sums
    (ky, kx), (sy, sx) = projection.pool, projection.pool_stride
    return sliding_window_view(sums, (ky, kx), axis=(2, 3))[:, :, ::sy, ::sx].max(axis=(-2, -1))


def weigh(program: Program, projection: Projection, x: Array, weight: Array) -> Array:
    """``Σ w·x`` of a projection with other weights of the same form, before any pooling."""
    if projection.kind == "conv":
        return _correlate(projection, x, weight, (len(x), *conv_shape(projection, program.shape_of(projection.source))))
    shape = (len(x), *program.shape_of(projection.target))
    flat = x.reshape(len(x), -1)
    if projection.kind == "dense":
        return _product(flat, weight.T).reshape(shape)
    assert projection.index is not None
    result = np.zeros((len(x), int(np.prod(shape[1:]))), np.int64)
    target, source = projection.index
    for sample, row in zip(result, flat, strict=True):
        np.add.at(sample, target, row[source] * weight)
    return result.reshape(shape)


def _correlate(projection: Projection, x: Array, weight: Array, shape: tuple[int, ...]) -> Array:
    """Cross-correlation with zero padding, one kernel position at a time."""
    (sy, sx), (py, px), (dy, dx) = projection.stride, projection.padding, projection.dilation
    samples, out, rows, columns = shape
    per_group, ky, kx = weight.shape[1:]
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px))).transpose(1, 0, 2, 3)  # channels first, then samples
    result = np.zeros((out, samples * rows * columns), np.int64)
    step = out // projection.groups
    for g in range(projection.groups):
        channels = slice(g * per_group, (g + 1) * per_group)
        outputs = slice(g * step, (g + 1) * step)
        for y in range(ky):
            for z in range(kx):
                rows_of = slice(y * dy, y * dy + (rows - 1) * sy + 1, sy)
                columns_of = slice(z * dx, z * dx + (columns - 1) * sx + 1, sx)
                patch = padded[channels, :, rows_of, columns_of]
                result[outputs] += _product(weight[outputs, :, y, z], patch.reshape(per_group, -1))
    return result.reshape(out, samples, rows, columns).transpose(1, 0, 2, 3)


def _product(a: Array, b: Array) -> Array:
    """``a @ b`` in whole numbers: in float64, which is quick, where no sum can reach 2^53 and so each is exact."""
    largest = int(np.abs(a).max(initial=0)) * int(np.abs(b).max(initial=0)) * a.shape[-1]
    if largest >= 1 << 53:
        return a @ b
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
