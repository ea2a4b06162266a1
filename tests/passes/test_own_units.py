"""Networks that come as whole numbers keep every one of them; what is not whole in their unit is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.passes.own_units import ORIGIN
from snncc.passes.quantise import UNITS, Quantise
from snncc.pipeline import Context, run_pipeline
from snncc.program.lower import lower
from snncc.program.program import LOIHI

WEIGHTS = [[-256.0, 3.0, 1000.0], [1.0, 0.0, -1.0]]


def network(weight: Any = WEIGHTS, unit: float = 1.0, **changes: Any) -> Graph:
    d = Dynamics(**{"threshold": 6.0, "compare": ">", "reset": "to_value", "membrane_decay": 3681 / 4096, **changes})
    nodes = {"in": Input((3,), "spikes", 1.0, 0, 1), "w": Dense(np.asarray(weight)), "n": Neuron(d), "out": Output()}
    return chain(nodes, 3, "whole", {ORIGIN: {"n": unit}})


@pytest.mark.parametrize(
    "options", [{}, {"bits": 3}, {"per_channel": False}, {"current_bits": 8}, {"threshold_step": 64}]
)
@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_nothing_changes_but_the_unit(options: dict[str, Any], unit: float) -> None:
    """Whatever quantisation was asked for: weights w/unit, no shift, thresholds and biases in guarded units."""
    context = Context()
    made = run_pipeline(network(unit=unit, bias=-0.25), [Quantise(**options)], context)
    program = lower(made, LOIHI, context.facts[UNITS])
    population, projection = program.populations[0], program.projections[0]
    assert projection.weight.tolist() == [[w / unit for w in row] for row in WEIGHTS] and projection.shift == 0
    assert (population.threshold, population.bias) == (6 * 64 / unit, -0.25 * 64 / unit)
    assert population.decay_v == 3681 and population.guard_bits == 6 and population.unit == unit
    assert not context.remarks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": [[1.5, 0, 0], [0, 0, 0]]}, "n: the weight of w is 1.5 units, not whole"),
        ({"threshold": 6 + 1 / 128}, "n: threshold is 384.5 units"),
        ({"bias": np.array([0.0, 1 / 100])}, "n: bias is 0.64 units"),
        ({"membrane_decay": 0.9}, r"n: membrane_decay · 4096 is 3686\.4 units"),
        ({"current_decay": 0.3}, "n: current_decay"),
    ],
)
def test_what_is_not_whole_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        run_pipeline(network(**changes), [Quantise()], Context())


def test_other_neurons_are_quantised_as_ever() -> None:
    graph = network([[0.3, 0.1, -0.2], [0.1, 0.1, 0.1]], threshold=1.0)
    graph = chain(dict(graph.nodes), 3, "floats", {ORIGIN: {"someone else": 1.0}})
    made = run_pipeline(graph, [Quantise()], Context())
    synapse = made.nodes["w"]
    assert isinstance(synapse, Dense) and np.abs(synapse.weight).max() > 100
