"""The node types of a :class:`~snncc.ir.graph.Graph`. Shapes are channel-first and carry no batch or time axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.ir.dynamics import Dynamics

Array = np.ndarray
Pair = tuple[int, int]

INPUT_ENCODINGS = ("static", "frames", "spikes")
ENCODERS = ("poisson",)
MAX_SEED = 2**63 - 1
READOUTS = ("spike_count", "weighted_count", "membrane", "summed_current")
TIE_RULES = ("lowest_index", "highest_index")


@dataclass(frozen=True)
class Encoder:
    """How static samples become spikes for a network that takes spikes: :mod:`snncc.encode` has the equations.

    Attributes:
        kind: "poisson": at every step each element fires with probability ``|rate|``, ``rate = gain · x + offset``.
        gain, offset: a number, or one for each channel (the first axis of a sample).
        scale: what one unit of the samples' integers is worth: ``x = integer · scale``.
        signed: negative rates fire -1; else they never fire.
        seed: which random numbers.
    """

    kind: str = "poisson"
    gain: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    scale: float = 1 / 255
    signed: bool = False
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Input:
    """Where data enters.

    Attributes:
        shape: of one sample at one step.
        encoding: "static": one analog frame, the same at every step; "frames": an analog value a step;
            "spikes": whole numbers a step (0/1, signed or graded events).
        scale: what one unit of the integer input is worth; static and frame inputs are ``integer · scale``, so 8-bit
            pixels have ``scale = 1/255``. 1.0 for spikes.
        low, high: range of the integer input, both included.
        encoder: of "spikes": how static samples become spikes; None where the data holds a value a step.
    """

    shape: tuple[int, ...]
    encoding: str = "static"
    scale: float = 1.0
    low: int = 0
    high: int = 255
    encoder: Encoder | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """Where the answer leaves.

    Attributes:
        readout: how the source's recording (T, N, …) becomes one score a class: "spike_count", "weighted_count" (with
            ``time_weights``), "membrane" (after the last step), "summed_current" (Σ_t u).
        ties: which class wins between equal scores.
        time_weights: (T,) whole numbers for "weighted_count".
        each_step: every step has an answer of its own, scores (N, T, classes) of that step's spikes, membrane or current
            alone; "weighted_count" has none.
    """

    readout: str = "spike_count"
    ties: str = "lowest_index"
    time_weights: tuple[int, ...] | None = None
    each_step: bool = False


OPTIONAL: Mapping[type, Mapping[str, Any]] = {Input: {"encoder": None}, Output: {"each_step": False}}
"""Fields that stored metadata leaves out where they hold this value."""


@dataclass(frozen=True, eq=False)
class Dense:
    """``y = x·Wᵀ + b`` over the last axis; weight (out, in), bias (out,) or None. Inputs of more axes must be flattened first."""

    weight: Array
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Conv1d:
    """Cross-correlation over (C, L) with zero padding; weight (out, in/groups, k), bias (out,) or None."""

    weight: Array
    bias: Array | None = None
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Conv2d:
    """Cross-correlation over (C, H, W) with zero padding; weight (out, in/groups, ky, kx), bias (out,) or None."""

    weight: Array
    bias: Array | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Sparse:
    """Any linear map: ``y[target] += weight·x[source]`` over flattened input and output, for what no other node can say.

    Attributes:
        weight: (nnz,). index: (2, nnz), rows target and source. shape: of the output.
        size_in: number of input elements.
    """

    weight: Array
    index: Array
    shape: tuple[int, ...]
    size_in: int


@dataclass(frozen=True, eq=False)
class SumPool2d:
    """Sum over windows of (C, H, W); padding counts as 0; rows and columns that fill no window are dropped."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


@dataclass(frozen=True, eq=False)
class AvgPool2d:
    """Mean over windows of (C, H, W); padding counts as 0 and into the divisor."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


@dataclass(frozen=True, eq=False)
class MaxPool2d:
    """Largest value in each window of (C, H, W); padding never wins."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)


@dataclass(frozen=True, eq=False)
class Flatten:
    """(C, H, W) to (C·H·W,) in that order."""


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Evaluation-mode batch norm over the first axis: ``(x − mean) / sqrt(var + eps) · weight + bias``; each (C,)."""

    mean: Array
    var: Array
    weight: Array
    bias: Array
    eps: float = 1e-5


@dataclass(frozen=True, eq=False)
class Scale:
    """``y = x · factor``, elementwise; ``factor`` broadcasts to the shape."""

    factor: float | Array


@dataclass(frozen=True, eq=False)
class Identity:
    """Passes its input on; what dropout and no-op layers are in evaluation mode."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """A population of spiking neurons (or leaky readouts); ``dynamics`` is its whole meaning."""

    dynamics: Dynamics


Node = (
    Input
    | Output
    | Dense
    | Conv1d
    | Conv2d
    | Sparse
    | SumPool2d
    | AvgPool2d
    | MaxPool2d
    | Flatten
    | BatchNorm
    | Scale
    | Identity
    | Neuron
)
