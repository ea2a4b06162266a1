"""Bring a quantised Graph to what Loihi's registers hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Neuron
from snncc.pipeline import Context, PassResult

Array = np.ndarray
BIAS_MANTISSA_BITS = 13
"""Signed bias mantissa of Lava's LIF (lava-nc 0.10.0, PyLifModelBitAcc) and of Loihi 1."""
BIAS_EXPONENT_MAX = 7
UNIT = 64
"""Thresholds are mantissas shifted left by 6 (Loihi 1; Davies et al. 2018)."""


@dataclass(frozen=True)
class LegaliseLoihi:
    """Rules, for neurons that the chip's own LIF can run (binary, reset to 0 at once, leak first):

    1. A bias becomes the nearest ``mantissa · 2**exponent`` with a 13-bit signed mantissa and an exponent of 0..7.
    2. ``v >= Θ`` becomes ``v > Θ − 64`` where membranes are whole multiples of 64 (no leak, such a bias and start) and
       Θ > 64. A membrane that saturated below is no such multiple any more.

    Untouched: all other neurons, which become programmable neurons; their registers are 24 bits wide.
    """

    name: ClassVar[str] = "legalise-loihi"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False
    rounds: ClassVar[Mapping[str, float]] = {"bias": 1 / (2 ** (BIAS_MANTISSA_BITS - 1) - 1)}
    rewrites: ClassVar[tuple[str, ...]] = ("compare",)

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Rewrite the neurons one by one."""
        changed = {}
        for name in graph.of_type(Neuron):
            node = graph.nodes[name]
            assert isinstance(node, Neuron)
            dynamics = _legal(node.dynamics) if _chip_neuron(node.dynamics) else node.dynamics
            if dynamics is not node.dynamics:
                changed[name] = Neuron(dynamics)
        return PassResult(graph.with_nodes(changed) if changed else graph, bool(changed))


def _chip_neuron(d: Dynamics) -> bool:
    plain = d.fires and d.levels == 1 and not d.signed and d.v_min is None
    timing = d.reset_timing == "immediate" and d.decay_timing == d.current_timing == "before" and not d.reset_current
    return plain and timing and d.reset == "to_value" and not np.any(d.reset_value)


def _legal(d: Dynamics) -> Dynamics:
    bias = representable_bias(np.asarray(d.bias, np.float64))
    new = d if np.array_equal(bias, np.asarray(d.bias)) else d.with_(bias=bias)
    added = (bias, d.v_init, np.asarray(d.current_bias) * d.input_gain, d.threshold, d.input_gain)
    grid = all(not np.any(np.asarray(x) % UNIT) for x in added) and np.min(d.threshold) > UNIT
    leakless = np.all(np.asarray(d.membrane_decay) == 1) and d.current_decay is None
    if d.compare == ">=" and grid and leakless:
        new = new.with_(compare=">", threshold=np.asarray(d.threshold) - UNIT)
    return new


def representable_bias(bias: Array) -> Array:
    """The nearest ``mantissa · 2**exponent``; beyond the largest one it stays as it is, for the target's check to name."""
    limit = 2 ** (BIAS_MANTISSA_BITS - 1) - 1
    result = np.asarray(bias, np.float64).copy()
    for exponent in range(1, BIAS_EXPONENT_MAX + 1):
        rounded = np.round(bias / 2.0**exponent) * 2.0**exponent
        needed = np.abs(bias) > limit * 2 ** (exponent - 1)
        result = np.where(needed, rounded, result)
    return result
