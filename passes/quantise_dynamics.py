"""Constants of neurons in whole numbers, for a scale that is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.shapes import Shape
from snncc.passes.scales import DECAY_ONE, per_neuron, whole

Array = np.ndarray


def quantise_dynamics(name: str, d: Dynamics, unit: Array, guard_bits: int, shape: Shape) -> Dynamics:
    """``d`` in whole guarded units for a unit (scalar or one a channel) of real membrane."""
    grain = per_neuron(unit, shape) / 2.0**guard_bits

    def rounded(value: Any) -> Array:
        return whole(np.asarray(value, np.float64) / grain, np.round)

    if d.fires:
        fold = np.ceil if d.compare == ">=" else np.floor
        threshold = whole(np.asarray(d.threshold, np.float64) / grain, fold)
        if np.min(threshold) < 1:
            raise UnsupportedError(
                f"{name}: its threshold is {float(np.min(np.asarray(d.threshold) / grain)):.3g} guarded units, below 1: "
                "the weights are too large beside it; use more --bits or --guard-bits"
            )
        if d.reset == "subtract" and np.min(rounded(d.subtracted)) < 1:
            raise UnsupportedError(
                f"{name}: its reset_amount is {float(np.min(np.asarray(d.subtracted) / grain)):.3g} guarded units, which rounds "
                "to 0: the weights are too large beside it; use more --bits or --guard-bits"
            )
    else:
        threshold = np.asarray(1.0)
    return Dynamics(
        threshold=threshold,
        compare=d.compare,
        membrane_decay=_twelve_bits(d.membrane_decay),
        current_decay=None if d.current_decay is None else _twelve_bits(d.current_decay),
        current_bias=rounded(d.current_bias) / 2.0**guard_bits,
        input_gain=2.0**guard_bits,
        bias=rounded(d.bias),
        levels=d.levels,
        signed=d.signed,
        reset=d.reset,
        reset_amount=np.maximum(rounded(d.subtracted), 1) if d.fires else None,
        reset_value=rounded(d.reset_value),
        reset_timing=d.reset_timing,
        decay_timing=d.decay_timing,
        reset_current=d.reset_current,
        current_timing=d.current_timing,
        v_init=rounded(d.v_init),
        v_min=None if d.v_min is None else rounded(d.v_min),
        fires=d.fires,
    )


def _twelve_bits(decay: Any) -> Array:
    return np.round(np.asarray(decay, np.float64) * DECAY_ONE) / DECAY_ONE
