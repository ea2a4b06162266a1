"""Loihi's registers: biases as mantissa and exponent, and thresholds that fire on ``>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.ir.text import format_graph
from snncc.passes.legalise_loihi import BIAS_MANTISSA_BITS, LegaliseLoihi, representable_bias
from snncc.pipeline import Context, run_pipeline

Golden = Callable[[str, str], None]


def layer(**changes: Any) -> Graph:
    """A quantised layer of one chip neuron: 6 guard bits, threshold 10 units."""
    made = {"threshold": 640.0, "reset": "to_value", "input_gain": 64.0, **changes}
    nodes = {
        "in": Input((2,), low=-9, high=9),
        "w": Dense(np.array([[3.0, -1.0]])),
        "n": Neuron(Dynamics(**made)),
        "out": Output(),
    }
    return chain(nodes, 6, "layer")


def legal(graph: Graph) -> Graph:
    return run_pipeline(graph, [LegaliseLoihi()], Context())


def test_at_least_becomes_more_than(golden: Golden) -> None:
    made = legal(layer(bias=128.0, v_init=64.0))
    d = made.nodes["n"].dynamics  # type: ignore[union-attr]
    assert (d.compare, float(d.threshold)) == (">", 576.0)
    golden("legalise_loihi", format_graph(made))


@pytest.mark.parametrize("v_init", [0, 64, -640])
@pytest.mark.parametrize("bias", [0, 64, -128])
def test_the_spikes_stay(bias: float, v_init: float) -> None:
    graph = layer(bias=float(bias), v_init=float(v_init))
    made = legal(graph)
    assert made is not graph
    data = np.stack(np.meshgrid(np.arange(-9, 10), np.arange(-9, 10)), -1).reshape(-1, 2)
    np.testing.assert_array_equal(run_graph(made, data).spikes["n"], run_graph(graph, data).spikes["n"])


@pytest.mark.parametrize(
    "changes",
    [
        {"bias": 1.0}, {"v_init": 32.0}, {"membrane_decay": 0.5}, {"current_decay": 0.5}, {"threshold": 641.0},
        {"threshold": 64.0}, {"input_gain": 8.0}, {"input_gain": 32.0, "current_bias": 1.0}, {"compare": ">"},
    ],
)  # fmt: skip
def test_untouched_where_membranes_need_not_be_multiples_of_64(changes: dict[str, Any]) -> None:
    """Also a threshold of one unit, which would become 0."""
    graph = layer(**changes)
    assert legal(graph) is graph


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 2}, {"signed": True}, {"v_min": -64.0}, {"reset": "subtract"}, {"reset": "none"}, {"fires": False},
        {"reset_value": 64.0}, {"reset_timing": "next_step"}, {"decay_timing": "after"},
    ],
)  # fmt: skip
def test_programmable_neurons_are_untouched(changes: dict[str, Any]) -> None:
    graph = layer(bias=100_001.0, **changes)
    assert legal(graph) is graph


@given(st.integers(-(2**18), 2**18))
def test_a_bias_becomes_the_nearest_mantissa_and_exponent(bias: int) -> None:
    limit = 2 ** (BIAS_MANTISSA_BITS - 1) - 1
    found = float(representable_bias(np.asarray(float(bias))))
    exponent = next(e for e in range(8) if abs(found) <= limit * 2**e) if abs(bias) <= limit * 2**7 else 7
    assert found % 2**exponent == 0
    candidates = (m * 2**e for e in range(8) for m in (bias // 2**e, bias // 2**e + 1) if abs(m) <= limit)
    if abs(bias) <= limit * 2**7:
        assert abs(found) <= limit * 2**7 and abs(found - bias) == min(abs(c - bias) for c in candidates)
