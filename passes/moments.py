"""Second moments of what a synapse's weights multiply, as its neuron's membrane sees it, and of what it lacks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.linear import windows
from snncc.ir.nodes import Conv1d, Conv2d, Dense

Array = np.ndarray
Weighted = Dense | Conv1d | Conv2d
ROWS_PER_WEIGHT = 32
"""Windows of the input that are taken, for each weight of an output's sum: more only cost time."""
LEAST_ROWS = 1 << 15
WINDOWS_PER_IMAGE = 32
"""Taken of an image at least, on average; so many images are looked at, at most."""


def filtered(spikes: Array, dynamics: Dynamics) -> Array:
    """What has gathered on the membrane from ``spikes`` (T, N, *shape) at each step, were there no resets: leaks as those of the
    neuron they reach. An error of a weight times this is an error of its membrane."""
    if len(spikes) == 1:
        return spikes.astype(np.float32)
    membrane = float(np.mean(dynamics.membrane_decay))
    current = 0.0 if dynamics.current_decay is None else float(np.mean(dynamics.current_decay))
    made = np.empty(spikes.shape, np.float32)
    u = v = np.zeros(spikes.shape[1:], np.float32)
    for t, x in enumerate(spikes):
        u = current * u + x
        v = membrane * v + u
        made[t] = v
    return made


def moments(node: Weighted, values: Array) -> list[Array]:
    """Covariances (K, K) of the K inputs that a weight row of ``node`` sums, one a group, over ``values`` (T, N, *shape).
    What the mean of an error does is left to the bias."""
    found = [_covariance(rows, rows) for rows in _centred(node, values)]
    return [(m + m.T) / 2 for m in found]


def lacking(node: Weighted, values: Array, wanted: Array) -> list[Array]:
    """Covariances (K, K) of the inputs with what they lack, ``wanted`` less ``values``, of the same samples, steps and places."""
    pairs = zip(_centred(node, values), _centred(node, wanted), strict=True)
    return [_covariance(rows, np.subtract(other, rows, out=other)) for rows, other in pairs]


def _centred(node: Weighted, values: Array) -> Iterator[Array]:
    """Inputs (M, K) of the weight rows of each group, less their means; a group at a time, as they may take gigabytes."""
    rng = np.random.default_rng(0)
    for group in range(getattr(node, "groups", 1)):
        rows = _rows(node, values, group, rng)
        yield rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)


def _covariance(rows: Array, others: Array) -> Array:
    """(K, K) in float64 of centred rows (M, K)."""
    return (rows.T @ others).astype(np.float64) / len(rows)


def _rows(node: Weighted, values: Array, group: int, rng: np.random.Generator) -> Array:
    """Inputs (M, K) of a weight row of a group: all there are, or some of them drawn by chance."""
    width = int(np.prod(node.weight.shape[1:]))
    most = max(LEAST_ROWS, ROWS_PER_WEIGHT * width)
    if isinstance(node, Dense):
        flat = values.reshape(-1, width)
        return flat if len(flat) <= most else flat[np.sort(rng.choice(len(flat), most, replace=False))]
    flat = values.reshape(-1, *values.shape[2:])
    images = max(1, most // WINDOWS_PER_IMAGE)
    if len(flat) > images:
        flat = flat[np.sort(rng.choice(len(flat), images, replace=False))]
    if isinstance(node, Conv1d):
        flat = flat[:, :, None, :]
        kernel, stride, padding, dilation = (
            (1, node.weight.shape[2]), (1, node.stride), (0, node.padding), (1, node.dilation),
        )  # fmt: skip
    else:
        kernel, stride, padding, dilation = node.weight.shape[2:], node.stride, node.padding, node.dilation
    part = flat[:, group * node.weight.shape[1] : (group + 1) * node.weight.shape[1]]
    seen = windows(part, kernel, stride, padding, dilation)
    places = (len(seen), *seen.shape[2:4])
    total = int(np.prod(places))
    numbers = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
    n, row, column = np.unravel_index(numbers, places)
    found: Array = seen[n, :, row, column].reshape(len(numbers), width)
    return found
