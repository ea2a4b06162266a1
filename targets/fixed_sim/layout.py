"""The kernels' order of neurons: (H, W, C), channels innermost, in place of (C, H, W)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def to_kernel(x: Array, shape: tuple[int, ...]) -> Array:
    """(N, *shape) channel-first to (N, size) in kernel layout."""
    if len(shape) == 3:
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x.reshape(len(x), -1))


def from_kernel(x: Array, shape: tuple[int, ...]) -> Array:
    """(…, size) in kernel layout to (…, *shape) channel-first."""
    lead = x.shape[:-1]
    if len(shape) != 3:
        return x.reshape(*lead, *shape)
    return np.moveaxis(x.reshape(*lead, shape[1], shape[2], shape[0]), -1, -3)


def kernel_index(shape: tuple[int, ...]) -> Array:
    """For each channel-first flat index, its place in kernel layout."""
    size = int(np.prod(shape))
    order = to_kernel(np.arange(size).reshape(1, *shape), shape)[0]
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    return place
