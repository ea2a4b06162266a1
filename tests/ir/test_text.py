"""The printed form of a Graph is stable."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import networks
import numpy as np
from hypothesis import given

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import BatchNorm, Conv2d, Dense, Flatten, Input, Neuron, Output, Scale
from snncc.ir.text import format_graph, format_value


def example() -> Graph:
    """A little of everything."""
    norm = BatchNorm(np.array([0.5, 0]), np.array([1.0, 2]), np.array([1.0, 1]), np.array([0, 0.25]))
    nodes = {
        "pixels": Input((1, 3, 3), scale=1 / 255),
        "conv": Conv2d(np.arange(18.0).reshape(2, 1, 3, 3), padding=(1, 1)),
        "norm": norm,
        "lif": Neuron(Dynamics(threshold=0.5, compare=">", membrane_decay=0.9, reset="to_value", levels=4)),
        "flat": Flatten(),
        "half": Scale(0.5),
        "fc": Dense(np.full((3, 18), 0.1), np.zeros(3)),
        "out": Neuron(Dynamics(threshold=np.array([1.0, 2, 3]), current_decay=0.75, fires=False)),
        "scores": Output("membrane", "highest_index"),
    }
    names = list(nodes)
    edges = [*pairwise(names), ("lif", "lif", 2)]
    return build_graph(nodes, edges, 4, "example")


def test_golden_text(golden: Callable[[str, str], None]) -> None:
    golden("text_example", format_graph(example()))


@given(networks.graphs())
def test_every_graph_has_one_line_a_node(graph: Graph) -> None:
    text = format_graph(graph)
    assert text == format_graph(graph)
    lines = text.splitlines()
    assert [line.strip().split(":")[0] for line in lines[1:]] == list(graph.nodes)
    assert lines[0] == f"graph random time_steps={graph.time_steps}"


def test_values() -> None:
    assert format_value(0.1) == "0.1"
    assert format_value(np.float64(1 / 3)) == "0.333333333"
    assert format_value(np.asarray(2)) == "2"
    assert format_value((1, 2)) == "(1,2)"
    assert format_value(np.array([[1, 2, 6]], np.int8)) == "i1[1×3; 1 … 6; mean 3]"
