"""Every network that makes no sense is refused with the name of the node and the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snncc.errors import GraphError, InputError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, build_graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Scale,
    Sparse,
)
from snncc.ir.shapes import infer_shapes

IMAGE = Input((2, 4, 4))
FLAT = Input((3,))
SPIKE = Neuron(Dynamics())


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


def norm(channels: int = 2, **changes: Any) -> BatchNorm:
    made = {"mean": ones(channels), "var": ones(channels), "weight": ones(channels), "bias": ones(channels), **changes}
    return BatchNorm(**made)


BAD_NODES: list[tuple[Input, Node, str]] = [
    (IMAGE, Dense(ones(3, 32)), r"x: a dense layer takes a flat input, not shape \(2, 4, 4\); put Flatten before it"),
    (FLAT, Dense(ones(3, 4)), "x: input has 3 features, but the weight takes 4"),
    (FLAT, Dense(ones(3)), r"x: weight has shape \(3,\); it must have 2 axes"),
    (FLAT, Dense(ones(0, 3)), r"x: weight has shape \(0, 3\)"),
    (FLAT, Dense(np.full((2, 3), np.nan)), "x: weight holds 6 values that are NaN or infinite"),
    (FLAT, Dense(ones(2, 3), ones(3)), r"x: bias has shape \(3,\), but there are 2 outputs"),
    (FLAT, Dense(ones(2, 3), np.array([0, np.inf])), "x: bias holds 1 values"),
    (FLAT, Conv2d(ones(1, 1, 1, 1)), r"x: a convolution over 2 axes takes shape \(C, H, W\), not \(3,\)"),
    (IMAGE, Conv2d(ones(1, 3, 1, 1)), "x: input has 2 channels"),
    (IMAGE, Conv2d(ones(3, 1, 1, 1), groups=2), "x: .* 3 outputs must divide by the groups"),
    (IMAGE, Conv2d(ones(1, 2, 5, 5)), "x: a window of 5 .* does not fit 4"),
    (IMAGE, Conv2d(ones(1, 2, 1, 1), stride=(0, 1)), "x: .*stride 0"),
    (IMAGE, Conv2d(ones(1, 2, 1, 1), padding=(-1, 0)), "x: .*padding -1"),
    (IMAGE, Conv1d(ones(1, 2, 1)), r"x: a convolution over 1 axes takes shape \(C, L\)"),
    (FLAT, AvgPool2d((2, 2), (2, 2)), r"x: pooling takes shape \(C, H, W\), not \(3,\)"),
    (IMAGE, MaxPool2d((8, 8), (1, 1)), "x: a window of 8"),
    (IMAGE, norm(3), r"x: mean has shape \(3,\), but the input has 2 channels"),
    (IMAGE, norm(var=np.array([1.0, -1.0])), "x: var is -1 at its least"),
    (IMAGE, norm(weight=np.array([1.0, np.nan])), "x: weight holds 1 values"),
    (IMAGE, norm(eps=0.0), "x: eps is 0"),
    (IMAGE, Scale(ones(3)), r"x: factor has shape \(3,\), which does not broadcast to \(2, 4, 4\)"),
    (IMAGE, Scale(ones(5, 2, 4, 4)), r"x: factor has shape \(5, 2, 4, 4\)"),
    (IMAGE, Scale(np.nan), "x: factor holds 1 values"),
    (FLAT, Sparse(ones(1), np.array([[0], [0]]), (2,), 4), "x: input has 3 elements, but the map takes 4"),
    (FLAT, Sparse(ones(1), np.array([[2], [0]]), (2,), 3), r"x: index reaches \(2, 0\) in a map of \(2, 3\)"),
    (FLAT, Sparse(ones(1), np.array([[0], [-1]]), (2,), 3), "x: index reaches"),
    (FLAT, Sparse(ones(2), np.array([[0], [0]]), (2,), 3), r"x: weight \(2,\) and index \(2, 1\)"),
    (FLAT, Neuron(Dynamics(threshold=-1.0)), "x: threshold is -1"),
    (FLAT, Neuron(Dynamics(bias=ones(4))), r"x: bias has shape \(4,\)"),
    (Input(()), Identity(), r"in: input shape \(\)"),
    (Input((0,)), Identity(), r"in: input shape \(0,\)"),
    (Input((3,), "morse"), Identity(), "in: encoding 'morse'"),
    (Input((3,), scale=0.0), Identity(), "in: input scale is 0"),
    (Input((3,), low=2, high=1), Identity(), r"in: input range 2\.\.1 is empty"),
    (Input((2**20, 2**20)), Identity(), "in: has shape .*, more than 2147483648 elements"),
]


@pytest.mark.parametrize(("entry", "node", "message"), BAD_NODES)
def test_a_node_that_does_not_fit(entry: Input, node: Node, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        infer_shapes(chain({"in": entry, "x": node, "out": Output()}, 1))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (Output("mean"), "out: readout 'mean' is not one of"),
        (Output(ties="random"), "out: tie rule 'random'"),
        (Output("weighted_count"), "out: time_weights belong to the readout weighted_count, and it needs them"),
        (Output(time_weights=(1, 2)), "out: time_weights belong"),
        (Output("weighted_count", time_weights=(1, 2, 3)), "out: has 3 time weights, but the network runs 2 steps"),
    ],
)
def test_an_output_that_makes_no_sense(output: Output, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        infer_shapes(chain({"in": FLAT, "n": SPIKE, "out": output}, 2))


NODES = {"in": FLAT, "a": Dense(ones(3, 3)), "n": SPIKE, "out": Output()}
BAD_EDGES: list[tuple[list[Any], str]] = [
    ([("in", "a"), ("a", "n"), ("n", "out"), ("n", "b")], "net: edge n → b names 'b', which is no node"),
    ([("in", "a"), ("a", "n"), ("n", "out"), ("n", "a", -1)], "net: edge n → a has delay -1"),
    ([("in", "a"), ("a", "n"), ("n", "out"), ("n", "a")], "net: a, n, out form a loop without a delay"),
    ([("in", "a"), ("a", "n"), ("n", "out"), ("n", "in", 1)], "net: edge n → in feeds an input"),
    ([("in", "a"), ("a", "n"), ("n", "out"), ("out", "a", 1)], "net: edge out → a leaves an output"),
    ([("in", "a"), ("in", "a"), ("a", "n"), ("n", "out")], "net: edge in → a stands twice"),
    ([("in", "a"), ("n", "out")], "net: n has no input"),
    ([("in", "a"), ("a", "n")], "net: out has no input"),
]


@pytest.mark.parametrize(("edges", "message"), BAD_EDGES)
def test_edges_that_make_no_sense(edges: list[Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build_graph(NODES, edges, 2, "net")


def test_one_input_and_one_output() -> None:
    with pytest.raises(GraphError, match=r"net: has 2 Input nodes \(in, in2\); exactly one"):
        build_graph({**NODES, "in2": FLAT}, [("in", "a"), ("in2", "a"), ("a", "n"), ("n", "out")], 1, "net")
    with pytest.raises(GraphError, match=r"net: has 0 Output nodes \(none\)"):
        chain({"in": FLAT, "n": SPIKE}, 1, "net")
    with pytest.raises(GraphError, match="net: runs 0 time steps"):
        chain(NODES, 0, "net")
    with pytest.raises(GraphError, match="net: has no nodes"):
        chain({}, 1, "net")


def test_sums_of_different_shapes() -> None:
    nodes = {"in": FLAT, "a": Dense(ones(3, 3)), "b": Dense(ones(2, 3)), "n": SPIKE, "out": Output()}
    edges = [("in", "a"), ("in", "b"), ("a", "n"), ("b", "n"), ("n", "out")]
    with pytest.raises(GraphError, match=r"n: its inputs have different shapes \(a \(3,\), b \(2,\)\)"):
        infer_shapes(build_graph(nodes, edges, 1))
    loop = {"in": FLAT, "n": SPIKE, "b": Dense(ones(2, 3)), "out": Output()}
    with pytest.raises(GraphError, match=r"n: the recurrent edge from b brings shape \(2,\), not \(3,\)"):
        infer_shapes(build_graph(loop, [("in", "n"), ("n", "b"), ("b", "n", 1), ("n", "out")], 1))


def test_a_loop_that_nothing_enters() -> None:
    nodes = {"in": FLAT, "n": SPIKE, "m": SPIKE, "out": Output()}
    graph = build_graph(nodes, [("in", "n"), ("m", "m", 1), ("n", "out")], 1)
    with pytest.raises(GraphError, match="m: all inputs come from a loop"):
        infer_shapes(graph)


@pytest.mark.parametrize("before", [True, False])
def test_the_delay_of_a_loop_may_stand_before_or_behind_its_layer(before: bool) -> None:
    """``n → W → n`` with the delay on either edge is the same network."""
    nodes = {"in": FLAT, "n": SPIKE, "W": Dense(np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0.0]])), "out": Output()}
    delays = (1, 0) if before else (0, 1)
    graph = build_graph(
        nodes, [Edge("in", "n"), Edge("n", "W", delays[0]), Edge("W", "n", delays[1]), Edge("n", "out")], 4
    )
    assert infer_shapes(graph) == dict.fromkeys(graph.nodes, (3,))
    graph = graph.with_nodes({"in": Input((3,), "spikes", low=0, high=1)})
    data = np.zeros((4, 1, 3), np.int64)
    data[0, 0, 0] = 1
    spikes = run_graph(graph, data).spikes["n"][:, 0]
    np.testing.assert_array_equal(spikes, [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 4), np.int64), r"in: the data has shape \(2, 4\); the network takes \(N, 3\)"),
        (np.zeros((2, 3)), r"in: the data holds float64; whole numbers 0\.\.255 are needed"),
        (np.full((2, 3), 256), r"in: the data spans 256\.\.256; the input takes 0\.\.255"),
        (np.zeros((0, 3), np.int64), "in: the data holds no samples"),
    ],
)
def test_data_that_does_not_fit(data: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_graph(chain(NODES, 2), data)


def test_flatten_keeps_the_order() -> None:
    graph = chain({"in": Input((2, 1, 2)), "f": Flatten(), "out": Output()}, 1)
    assert infer_shapes(graph)["f"] == (4,)
    np.testing.assert_array_equal(run_graph(graph, np.arange(4).reshape(1, 2, 1, 2)).scores, [[0, 1, 2, 3]])
