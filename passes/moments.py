"""Second moments of what a synapse's weights multiply, as its neuron's membrane sees it, and of what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
SAMPLES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Gathered:
    """What has gathered on the membrane of a neuron from ``spikes`` (T, N, *shape) at each step, were there no resets: leaks as
    those of the neuron. An error of a weight times this is an error of its membrane. Made where it is asked for: of thousands of
    images it would take gigabytes."""

    spikes: Array
    dynamics: Dynamics

    def at(self, numbers: Array) -> Array:
        """(M, *shape), float32, at the steps t of the samples n whose rising ``numbers`` (M,) are t·N + n."""
        samples = self.spikes.shape[1]
        made = np.empty((len(numbers), *self.spikes.shape[2:]), np.float32)
        step, sample = np.divmod(numbers, samples)
        for start in range(0, samples, SAMPLES_AT_ONCE):
            here = (sample >= start) & (sample < start + SAMPLES_AT_ONCE)
            if here.any():
                part = self._filtered(self.spikes[:, start : start + SAMPLES_AT_ONCE])
                made[here] = part[step[here], sample[here] - start]
        return made

    def _filtered(self, spikes: Array) -> Array:
        if len(spikes) == 1:
            return spikes.astype(np.float32)
        d = self.dynamics
        membrane = float(np.mean(d.membrane_decay))
        current = 0.0 if d.current_decay is None else float(np.mean(d.current_decay))
        made = np.empty(spikes.shape, np.float32)
        u = v = np.zeros(spikes.shape[1:], np.float32)
        for t, x in enumerate(spikes):
            u = current * u + x
            v = membrane * v + u
            made[t] = v
        return made


def moments(node: Weighted, values: Gathered) -> list[Array]:
    """Covariances (K, K) of the K inputs that a weight row of ``node`` sums, one a group, over ``values``.
    What the mean of an error does is left to the bias."""
    found = [_covariance(rows, rows) for rows in _centred(node, values)]
    return [(m + m.T) / 2 for m in found]


def lacking(node: Weighted, values: Gathered, wanted: Gathered) -> list[Array]:
    """Covariances (K, K) of the inputs with what they lack, ``wanted`` less ``values``, of the same samples, steps and places."""
    pairs = zip(_centred(node, values), _centred(node, wanted), strict=True)
    return [_covariance(rows, np.subtract(other, rows, out=other)) for rows, other in pairs]


def _centred(node: Weighted, values: Gathered) -> Iterator[Array]:
    """Inputs (M, K) of the weight rows of each group, less their means; a group at a time, as they may take gigabytes."""
    rng = np.random.default_rng(0)
    for group in range(getattr(node, "groups", 1)):
        rows = _rows(node, values, group, rng)
        yield rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)


def _covariance(rows: Array, others: Array) -> Array:
    """(K, K) in float64 of centred rows (M, K)."""
    return (rows.T @ others).astype(np.float64) / len(rows)


def _rows(node: Weighted, values: Gathered, group: int, rng: np.random.Generator) -> Array:
    """Inputs (M, K) of a weight row of a group: all there are, or some of them drawn by chance."""
    width = int(np.prod(node.weight.shape[1:]))
    most = max(LEAST_ROWS, ROWS_PER_WEIGHT * width)
    steps, samples, *shape = values.spikes.shape
    if isinstance(node, Dense):
        each = int(np.prod(shape)) // width  # rows of a sample and step
        chosen = _some(steps * samples * each, most, rng)
        numbers, place = np.unique(chosen // each, return_inverse=True)
        dense: Array = values.at(numbers).reshape(-1, each, width)[place, chosen % each]
        return dense
    channels = slice(group * node.weight.shape[1], (group + 1) * node.weight.shape[1])
    part = Gathered(values.spikes[:, :, channels], values.dynamics).at(
        _some(steps * samples, max(1, most // WINDOWS_PER_IMAGE), rng)
    )
    if isinstance(node, Conv1d):
        part = part[:, :, None, :]
        kernel, stride, padding, dilation = (
            (1, node.weight.shape[2]), (1, node.stride), (0, node.padding), (1, node.dilation),
        )  # fmt: skip
    else:
        kernel, stride, padding, dilation = node.weight.shape[2:], node.stride, node.padding, node.dilation
    seen = windows(part, kernel, stride, padding, dilation)
    places = (len(seen), *seen.shape[2:4])
    n, row, column = np.unravel_index(_some(int(np.prod(places)), most, rng), places)
    found: Array = seen[n, :, row, column].reshape(len(n), width)
    return found


def _some(total: int, most: int, rng: np.random.Generator) -> Array:
    """0 .. total − 1, or ``most`` of them drawn by chance, rising."""
    return np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
