"""Thresholds of a converted network: the activations' trained bounds, or found on data where none was trained.

Two rules, of the values above 0 that reach an activation, over a layer or a channel:

- ``percentile``: θ is the p-th percentile, 99.9 by default (Rueckauer et al. 2017): larger values saturate.
- ``mse``: θ minimises the mean square of ``relu(x) − q(x)``, where ``q(x) = θ/T·clip(⌊xT/θ + v(0)/θ⌋, 0, T)`` is what the
  neuron puts out on average over T steps for a constant input x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.errors import InputError
from snncc.frontends.description import ACTIVATIONS
from snncc.models.ann import Ann

RULES = ("percentile", "mse")
BATCH = 50
KEPT_VALUES = 1 << 21
"""Of a layer, drawn evenly over samples and channels."""
CANDIDATES = np.geomspace(1 / 50, 1.0, 80)
"""Shares of the largest value among which ``mse`` searches."""


@dataclass(frozen=True, eq=False)
class Threshold:
    """The threshold of one layer.

    Attributes:
        layer: name of the activation.
        value: a number, or an array that broadcasts to the layer's shape.
        rule: "trained", "percentile" or "mse".
        clipped: share of the positive values on the calibration data that are above it, in 0..1; None without data.
    """

    layer: str
    value: float | np.ndarray
    rule: str
    clipped: float | None = None


@dataclass(frozen=True)
class Search:
    """How thresholds that were not trained are found.

    Attributes:
        rule: one of :data:`RULES`.
        percentile: p of "percentile".
        per_channel: a threshold each channel of a convolution; layers without channels keep one.
        replace_bounds: also where a bound was trained or given (as in ReLU6), which stays the largest value.
    """

    rule: str = "percentile"
    percentile: float = 99.9
    per_channel: bool = False
    replace_bounds: bool = False

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise InputError(f"thresholds is {self.rule!r}; it must be one of {', '.join(RULES)}")
        if not 0 < self.percentile <= 100:
            raise InputError(f"percentile is {self.percentile:g}; it lies above 0 and at most at 100")


def open_layers(ann: Ann, search: Search) -> list[str]:
    """Names of the activations whose threshold must be found on data."""
    kinds = ACTIVATIONS if search.replace_bounds else ("relu",)
    return [layer["name"] for layer in ann.description["layers"] if layer["kind"] in kinds]


def find_thresholds(
    ann: Ann, search: Search, time_steps: int, offset: float, inputs: Tensor | None
) -> dict[str, Threshold]:
    """The threshold of every activation, by name and in order. ``offset`` is v(0)/θ; ``inputs`` (N, …) are whole numbers as
    the network takes them. Raises :class:`InputError` where data is needed and there is none, or a layer is silent on it."""
    wanted = open_layers(ann, search)
    if wanted and inputs is None:
        raise InputError(
            f"{wanted[0]}: has no trained bound; give data to find its threshold on: --data cifar10:train45k"
        )
    values = {} if inputs is None else activations(ann, inputs)
    found: dict[str, Threshold] = {}
    for layer in ann.description["layers"]:
        name = layer["name"]
        if layer["kind"] not in ACTIVATIONS:
            continue
        bound = None if layer["kind"] == "relu" else np.asarray(layer["bound"], np.float64)
        if name in wanted:
            chosen, rule = _chosen(name, values[name], search, time_steps, offset), search.rule
            chosen = chosen if bound is None else np.minimum(chosen, bound)
        else:
            assert bound is not None
            chosen, rule = bound, "trained"
        share = _share_above(values[name], chosen) if name in values else None
        found[name] = Threshold(name, float(chosen) if chosen.ndim == 0 else chosen, rule, share)
    return found


@torch.no_grad()
def activations(ann: Ann, inputs: Tensor) -> dict[str, np.ndarray]:
    """What reaches each activation, float32: (C, 1, 1, values) for (C, H, W) layers, (1, values) for flat ones; all of it, or
    an even draw of :data:`KEPT_VALUES`."""
    network = ann.module()
    names = [layer["name"] for layer in ann.description["layers"] if layer["kind"] in ACTIVATIONS]
    axes: dict[str, tuple[int, ...]] = {}
    generator = torch.Generator().manual_seed(0)
    kept: dict[str, list[Tensor]] = {name: [] for name in names}
    batches = inputs.split(BATCH)
    for batch in batches:
        values = network.record(batch)
        for name in names:
            total: Any = sum(values[source][0] for source in network.inputs[name])
            rows = total.transpose(0, 1).flatten(1) if total.dim() > 2 else total.flatten()[None]
            most = max(1, KEPT_VALUES // (len(rows) * len(batches)))
            if rows.shape[1] > most:
                rows = rows[:, torch.randint(0, rows.shape[1], (most,), generator=generator)]
            axes[name] = (len(rows), *(1,) * max(0, total.dim() - 2))
            kept[name].append(rows.clone())
    return {name: torch.cat(parts, 1).numpy().reshape(*axes[name], -1) for name, parts in kept.items()}


def _chosen(name: str, values: np.ndarray, search: Search, time_steps: int, offset: float) -> np.ndarray:
    """Threshold of a layer, 0-dimensional, or (C, 1, …) for one a channel."""
    whole = _one(values.reshape(-1), search, time_steps, offset)
    if whole is None:
        raise InputError(f"{name}: no value above 0 reaches it on the calibration data; give more or other data")
    if not search.per_channel or len(values) == 1:
        return np.asarray(whole)
    rows = [_one(row.reshape(-1), search, time_steps, offset) for row in values]
    found = [whole if row is None else row for row in rows]  # a silent channel takes the layer's
    return np.asarray(found).reshape(values.shape[:-1])


def _one(values: np.ndarray, search: Search, time_steps: int, offset: float) -> float | None:
    positive = values[values > 0]
    if not len(positive):
        return None
    if search.rule == "percentile":
        return float(np.percentile(positive, search.percentile))
    candidates = CANDIDATES * float(positive.max())
    return float(min(candidates, key=lambda theta: squared_error(positive, theta, time_steps, offset)))


def squared_error(values: np.ndarray, theta: float, time_steps: int, offset: float) -> float:
    """Mean square of ``x − q(x)`` over ``values`` above 0."""
    counts = np.clip(np.floor(values * (time_steps / theta) + offset), 0, time_steps)
    return float(np.square(values - counts * (theta / time_steps)).mean(dtype=np.float64))


def _share_above(values: np.ndarray, threshold: np.ndarray) -> float | None:
    """Share of the positive values that are above the threshold; None where it differs within a channel."""
    if threshold.ndim and threshold.shape != values.shape[:-1]:
        return None
    return float((values > threshold[..., None]).sum() / max(1, (values > 0).sum()))
