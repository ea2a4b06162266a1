"""Neurons and synapses in whole numbers: what our own Processes compute, a sample or a batch at a time.

States follow Lava's and Loihi's fixed-point rules: 12-bit decays that round toward zero, a 24-bit current that wraps
once, a 24-bit membrane that saturates. Arrays are int64, shapes (N, *shape), channel-first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

DECAY_BITS = 12
STATE_LIMIT = 1 << 23  # of a signed 24-bit state
EXACT_DOUBLE = 1 << 53  # whole numbers below this are exact in float64, so BLAS may multiply them


@dataclass
class Neurons:
    """Parameters of a population, as in program.json; arrays broadcast to the population's shape."""

    name: str
    shape: tuple[int, ...]
    threshold: np.ndarray
    decay_v: np.ndarray
    bias: np.ndarray
    v_init: np.ndarray
    reset_amount: np.ndarray
    reset_value: np.ndarray
    current_bias: np.ndarray
    decay_u: np.ndarray | None
    v_min: np.ndarray | None
    compare: str
    levels: int
    signed: bool
    reset: str
    reset_timing: str
    decay_timing: str
    reset_current: bool
    current_timing: str
    fires: bool
    guard_bits: int

    def start(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(u, v, spikes) before the first step."""
        zero = np.zeros((samples, *self.shape), np.int64)
        return zero, zero + self.v_init, zero

    def step(self, state: tuple[np.ndarray, np.ndarray, np.ndarray], arriving: np.ndarray) -> tuple:
        """(u, v, spikes) after a step in which ``arriving`` (N, *shape) came in."""
        u, v, fired = state
        injected = (arriving << self.guard_bits) + self.current_bias
        u = wrap(injected if self.decay_u is None else decay(u, self.decay_u) + injected)
        if self.decay_timing == "before":
            v = decay(v, self.decay_v)
        if self.fires and self.reset_timing == "next_step":
            v = self.after_reset(v, fired)
        v = v + (state[0] if self.current_timing == "after" else u) + self.bias
        if self.fires and self.reset_timing == "next_step_after_input":
            v = self.after_reset(v, fired)
        owed = self.spikes_of(state[1]) if self.reset_timing == "immediate_pending" else None
        if owed is not None:
            v = self.after_reset(v, owed)
        v = np.clip(v, 1 - STATE_LIMIT, STATE_LIMIT - 1)
        if self.v_min is not None:
            v = np.maximum(v, self.v_min)
        spikes = self.spikes_of(v)
        if self.fires and self.reset_timing == "immediate":
            v = self.after_reset(v, spikes)
        if owed is not None:
            v = self.after_reset(v, spikes - owed)
        if self.decay_timing == "after":
            v = decay(v, self.decay_v)
        if self.fires and self.reset_current:
            resetting = fired if self.reset_timing == "next_step_after_input" else spikes
            u = np.where(resetting != 0, 0, u)
        return u, v, spikes

    def spikes_of(self, v: np.ndarray) -> np.ndarray:
        """How often each membrane passes its thresholds, ``levels`` times at most; mirrored too if signed."""
        if not self.fires:
            return np.zeros_like(v)
        spacing = np.maximum(self.reset_amount if self.reset == "subtract" else self.threshold, 1)
        first = self.threshold + (1 if self.compare == ">" else 0)
        up = np.clip((v - first) // spacing + 1, 0, self.levels)
        return up - np.clip((-v - first) // spacing + 1, 0, self.levels) if self.signed else up

    def after_reset(self, v: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """The membrane after its spikes."""
        if self.reset == "subtract":
            return v - spikes * self.reset_amount
        if self.reset == "to_value":
            return np.where(spikes != 0, self.reset_value, v)
        return v


@dataclass
class Weights:
    """A projection, as in program.json."""

    kind: str
    weight: np.ndarray
    shift: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    index: np.ndarray | None
    target_shape: tuple[int, ...]

    def project(self, spikes: np.ndarray) -> np.ndarray:
        """The current (N, *target shape) that ``spikes`` (N, *source shape) cause: ``floor(Σ w·s / 2**shift)``."""
        if self.kind == "conv":
            total = self._correlate(spikes)
        elif self.kind == "dense":
            total = multiply(spikes.reshape(len(spikes), -1), self.weight.T)
        else:
            total = self._scatter(spikes.reshape(len(spikes), -1))
        return total.reshape(len(spikes), *self.target_shape) >> self.shift

    def _scatter(self, flat: np.ndarray) -> np.ndarray:
        target, source = self.index if self.index is not None else np.zeros((2, 0), np.int64)
        total = np.zeros((int(np.prod(self.target_shape)), len(flat)), np.int64)
        np.add.at(total, target, flat.T[source] * self.weight[:, None].astype(np.int64))
        return total.T

    def _correlate(self, x: np.ndarray) -> np.ndarray:
        """Cross-correlation with zero padding, as PyTorch's."""
        (sy, sx), (py, px), (dy, dx) = self.stride, self.padding, self.dilation
        out, fan_in, ky, kx = self.weight.shape
        _, rows, columns = self.target_shape
        padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
        windows = sliding_window_view(padded, ((ky - 1) * dy + 1, (kx - 1) * dx + 1), axis=(2, 3))
        windows = windows[:, :, ::sy, ::sx, ::dy, ::dx][:, :, :rows, :columns]
        per_group = out // self.groups
        parts = []
        for g in range(self.groups):
            patches = windows[:, g * fan_in : (g + 1) * fan_in].transpose(0, 2, 3, 1, 4, 5)
            weight = self.weight[g * per_group : (g + 1) * per_group].reshape(per_group, -1)
            parts.append(multiply(patches.reshape(-1, weight.shape[1]), weight.T))
        total = np.concatenate(parts, axis=1).reshape(len(x), rows, columns, out)
        return total.transpose(0, 3, 1, 2)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` of whole numbers, exactly; in float64 where no partial sum can leave its exact range."""
    largest = float(np.abs(a).max(initial=0)) * float(np.abs(b.astype(np.int64)).max(initial=0)) * a.shape[1]
    if largest < EXACT_DOUBLE:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def decay(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``x · factor / 4096``, rounded toward zero."""
    product = x * factor
    return np.sign(product) * (np.abs(product) >> DECAY_BITS)


def wrap(x: np.ndarray) -> np.ndarray:
    """A 24-bit current: wraps once, and 2**23 itself stays, as in Lava's LIF."""
    x = np.where(x > STATE_LIMIT, x - 2 * STATE_LIMIT, x)
    return np.where(x <= -STATE_LIMIT, x + 2 * STATE_LIMIT, x)


def read_scores(kind: str, step: int, time_weights: list | None, scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Scores after ``seen`` (spikes, membrane or current) of a step."""
    if kind == "membrane":
        return seen
    if kind == "weighted_count" and time_weights is not None:
        return scores + seen * time_weights[step]
    return scores + seen


def predict(scores: np.ndarray, ties: str) -> np.ndarray:
    """Winning class (…) of scores (…, classes)."""
    if ties == "highest_index":
        return scores.shape[-1] - 1 - scores[..., ::-1].argmax(axis=-1)
    return scores.argmax(axis=-1)


def turned(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array whose last axes are a population's ``shape`` (C, H, W), in Lava's order (W, H, C); or back again."""
    return np.swapaxes(x, -1, -3) if len(shape) == 3 else x


def lava_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a population in Lava: (W, H, C) for (C, H, W), others as they are."""
    return shape[::-1] if len(shape) == 3 else shape
