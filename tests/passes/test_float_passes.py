"""Each float pass on the smallest network that it changes: the exact result, its golden text, and what it leaves alone.
That all of them keep every spike of random networks is held by test_equivalence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
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
    SumPool2d,
)
from snncc.ir.text import format_graph
from snncc.passes.fold_batch_norm import FoldBatchNorm
from snncc.passes.fold_pooling import FoldPooling
from snncc.passes.fold_spike_values import FoldSpikeValues
from snncc.passes.integrate_readout import IntegrateReadout
from snncc.passes.merge_synapses import MergeSynapses
from snncc.passes.remove_identities import RemoveIdentities
from snncc.pipeline import Context, Pass, run_pipeline

Golden = Callable[[str, str], None]
SPIKE = Neuron(Dynamics())


def apply(one: Pass, graph: Graph) -> Graph:
    return run_pipeline(graph, [one], Context())


def through(*nodes: Node, shape: tuple[int, ...] = (2,), output: Output | None = None) -> Graph:
    """Input → a → b → … → out."""
    named = {"in": Input(shape), **dict(zip("abcdefg", nodes, strict=False)), "out": output or Output()}
    return chain(named, 2, "small")


def dynamics(graph: Graph, name: str) -> Dynamics:
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    return node.dynamics


def weight(graph: Graph, name: str) -> Any:
    return graph.nodes[name].weight.tolist()  # type: ignore[union-attr]


# --- remove-identities


def test_remove_identities(golden: Golden) -> None:
    graph = through(Identity(), Dense(np.eye(2)), Scale(1.0), SPIKE)
    made = apply(RemoveIdentities(), graph)
    assert list(made.nodes) == ["in", "b", "d", "out"]
    assert made.edges == (Edge("in", "b"), Edge("b", "d"), Edge("d", "out"))
    golden("remove_identities", format_graph(made))


def test_remove_identities_adds_delays_up() -> None:
    nodes = {"in": Input((2,)), "a": Identity(), "n": SPIKE, "out": Output()}
    made = apply(RemoveIdentities(), build_graph(nodes, [("in", "a", 1), ("a", "n", 2), ("n", "out")], 4))
    assert made.edges[0] == Edge("in", "n", 3)


def test_remove_identities_keeps_a_sum_of_two() -> None:
    """x beside I(x) is 2x."""
    nodes = {"in": Input((2,)), "a": Identity(), "n": SPIKE, "out": Output()}
    made = apply(RemoveIdentities(), build_graph(nodes, [("in", "a"), ("in", "n"), ("a", "n"), ("n", "out")], 2))
    assert isinstance(made.nodes["a"], Scale) and len(made.incoming("n")) == 2


def test_remove_identities_changes_nothing_without_any() -> None:
    graph = through(Dense(np.eye(2)), SPIKE)
    assert apply(RemoveIdentities(), graph) is graph


def test_a_scale_of_one_before_a_membrane_readout_stays() -> None:
    """The output reads spikes there; without the Scale it would read the membrane."""
    graph = through(Neuron(Dynamics(threshold=3.0)), Scale(1.0), output=Output("membrane"))
    made = apply(RemoveIdentities(), graph)
    assert run_graph(made, np.array([[2, 3]])).scores.tolist() == [[1, 1]]


def test_a_loop_without_a_neuron_is_refused() -> None:
    nodes = {"in": Input((2,)), "a": Identity(), "b": Scale(0.5), "n": SPIKE, "out": Output()}
    edges = [("in", "a"), ("a", "b"), ("b", "a", 1), ("a", "n"), ("n", "out")]
    for passes in ([RemoveIdentities()], [MergeSynapses()]):
        graph = build_graph(nodes, edges, 2)
        graph = graph.with_nodes({"a": Scale(0.5)}) if isinstance(passes[0], MergeSynapses) else graph
        with pytest.raises(UnsupportedError, match="loop"):
            run_pipeline(run_pipeline(graph, passes, Context()), [MergeSynapses()], Context())


# --- fold-batch-norm

NORM = BatchNorm(np.array([1.0, 2.0]), np.array([0.75, 3.75]), np.array([1.0, -4.0]), np.array([0.5, 0.0]), 0.25)
"""Gains 1 and −2, offsets −0.5 and 4."""


def test_fold_batch_norm(golden: Golden) -> None:
    made = apply(FoldBatchNorm(), through(Dense(np.array([[1.0, 2], [3, 4]]), np.array([1.0, 1])), NORM, SPIKE))
    assert list(made.nodes) == ["in", "a", "c", "out"]
    assert weight(made, "a") == [[1, 2], [-6, -8]]
    assert made.nodes["a"].bias.tolist() == [0.5, 2]  # type: ignore[union-attr]
    golden("fold_batch_norm", format_graph(made))


def test_fold_batch_norm_of_a_sum_takes_the_offset_once() -> None:
    nodes = {"in": Input((2,)), "a": Dense(np.eye(2)), "b": Dense(np.eye(2)), "bn": NORM, "n": SPIKE, "out": Output()}
    edges = [("in", "a"), ("in", "b"), ("a", "bn"), ("b", "bn"), ("bn", "n"), ("n", "out")]
    made = apply(FoldBatchNorm(), build_graph(nodes, edges, 2))
    biases = [made.nodes[n].bias for n in "ab"]  # type: ignore[union-attr]
    assert sum(biases).tolist() == [-0.5, 4]
    assert weight(made, "a") == weight(made, "b") == [[1, 0], [0, -2]]


@pytest.mark.parametrize("feeding", [SPIKE, Scale(2.0)])
def test_fold_batch_norm_leaves_others_alone(feeding: Node) -> None:
    graph = through(feeding, NORM, SPIKE)
    assert apply(FoldBatchNorm(), graph) is graph


def test_fold_batch_norm_leaves_a_shared_layer_alone() -> None:
    """What feeds something else too must keep its weights."""
    nodes = {"in": Input((2,)), "a": Dense(np.eye(2)), "bn": NORM, "n": SPIKE, "out": Output()}
    graph = build_graph(nodes, [("in", "a"), ("a", "bn"), ("bn", "n"), ("a", "n"), ("n", "out")], 2)
    assert apply(FoldBatchNorm(), graph) is graph


# --- fold-pooling

IMAGE = (1, 4, 4)
HALVE = AvgPool2d((2, 2), (2, 2))


def test_fold_pooling_into_a_convolution(golden: Golden) -> None:
    made = apply(FoldPooling(), through(HALVE, Conv2d(np.array([[[[4.0, 8.0]]]])), SPIKE, shape=IMAGE))
    conv = made.nodes["b"]
    assert isinstance(conv, Conv2d) and list(made.nodes) == ["in", "b", "c", "out"]
    assert conv.weight.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]] and conv.stride == (2, 2)
    golden("fold_pooling", format_graph(made))


def test_fold_pooling_before_a_padded_convolution() -> None:
    """The padding grows with the window: one pooled column of it is two columns of the image."""
    conv = Conv2d(np.array([[[[1.0, 2, 4]]]]), stride=(1, 2), padding=(0, 1))
    graph = through(
        SumPool2d((2, 2), (2, 2)), conv, Neuron(Dynamics(fires=False)), shape=IMAGE, output=Output("membrane")
    )
    made = apply(FoldPooling(), graph)
    folded = made.nodes["b"]
    assert isinstance(folded, Conv2d) and (folded.stride, folded.padding) == ((2, 4), (0, 2))
    data = np.arange(16).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(run_graph(made, data).scores, run_graph(graph, data).scores)


def test_fold_pooling_into_a_dense_layer() -> None:
    """Rows and columns that fill no window get weight 0."""
    made = apply(FoldPooling(), through(HALVE, Flatten(), Dense(np.array([[4.0, 8, 0, 4]])), SPIKE, shape=(1, 5, 4)))
    assert np.reshape(weight(made, "c"), (5, 4)).tolist() == [[1, 1, 2, 2]] * 2 + [[0, 0, 1, 1]] * 2 + [[0] * 4]


@pytest.mark.parametrize(
    ("pool", "conv"),
    [
        (SumPool2d((2, 2), (1, 1)), Conv2d(np.ones((1, 1, 2, 2)))),  # windows overlap
        (SumPool2d((2, 2), (2, 2), (1, 1)), Conv2d(np.ones((1, 1, 2, 2)))),  # the pool pads
        (SumPool2d((3, 3), (3, 3)), Conv2d(np.ones((1, 1, 3, 3)), padding=(1, 1))),  # the padding sees a left-over row
        (SumPool2d((2, 2), (2, 2)), Conv2d(np.ones((1, 1, 2, 2)), dilation=(1, 2), padding=(1, 1))),  # holes
    ],
)
def test_other_pools_become_a_convolution(pool: SumPool2d, conv: Conv2d) -> None:
    graph = through(pool, conv, SPIKE, shape=IMAGE)
    made = apply(FoldPooling(), graph)
    depthwise = made.nodes["a"]
    assert isinstance(depthwise, Conv2d) and depthwise.groups == 1 and depthwise.weight.sum() == pool.kernel[0] ** 2
    data = np.arange(16).reshape(1, 1, 4, 4)
    np.testing.assert_array_equal(run_graph(made, data).scores, run_graph(graph, data).scores)


# --- fold-spike-values


def test_fold_spike_values(golden: Golden) -> None:
    nodes = {
        "in": Input((2,), scale=0.5), "a": Dense(np.eye(2)),
        "n": Neuron(Dynamics(spike_value=3.0, input_gain=2.0, current_bias=0.25)),
        "b": Dense(np.eye(2)), "m": SPIKE, "out": Output(),
    }  # fmt: skip
    made = apply(FoldSpikeValues(), chain(nodes, 2, "small"))
    factors = {n: v.factor for n, v in made.nodes.items() if isinstance(v, Scale)}
    assert factors == {"in.value": 0.5, "n.gain": 2.0, "n.value": 3.0}
    n = dynamics(made, "n")
    assert (n.spike_value, n.input_gain, float(n.current_bias)) == (1.0, 1.0, 0.5)
    golden("fold_spike_values", format_graph(made))


@pytest.mark.parametrize(
    ("value", "kept"),
    [(2.0, True), (np.array([2.0, 2]), True), (-2.0, False), (0.0, False), (np.array([1.0, 2]), False)],
)
def test_a_count_only_keeps_its_neuron_where_the_winner_stays(value: Any, kept: bool) -> None:
    made = apply(FoldSpikeValues(), through(Neuron(Dynamics(threshold=3.0, spike_value=value))))
    source = made.incoming("out")[0].source
    assert source == ("a" if kept else "a.value")


@pytest.mark.parametrize("between", [None, Flatten()])
def test_a_membrane_readout_keeps_reading_the_membrane(between: Node | None) -> None:
    neuron = Neuron(Dynamics(threshold=3.0, spike_value=np.array([1.0, -2])))
    graph = through(neuron, *([between] if between else []), output=Output("membrane"))
    made = apply(FoldSpikeValues(), graph)
    data = np.array([[2, 1]])
    np.testing.assert_array_equal(run_graph(made, data).scores, run_graph(graph, data).scores)


def test_fold_spike_values_takes_no_name_twice() -> None:
    nodes = {
        "in": Input((2,)),
        "n": Neuron(Dynamics(spike_value=2.0)),
        "n.value": Dense(np.eye(2)),
        "m": SPIKE,
        "out": Output(),
    }
    made = apply(FoldSpikeValues(), chain(nodes, 2))
    assert isinstance(made.nodes["n.value"], Dense) and isinstance(made.nodes["n.value'"], Scale)


# --- integrate-readout


@pytest.mark.parametrize(
    ("readout", "decay", "expected"), [("spike_count", 1.0, 6), ("summed_current", 1.0, 6), ("membrane", 0.0, 3)]
)
def test_integrate_readout(readout: str, decay: float, expected: int, golden: Golden) -> None:
    made = apply(IntegrateReadout(), through(Dense(np.ones((1, 2))), output=Output(readout)))
    d = dynamics(made, "out.integrator")
    assert (d.fires, d.membrane_decay, d.reset) == (False, decay, "none")
    assert run_graph(made, np.array([[1, 2]])).scores.tolist() == [[expected]]
    golden(f"integrate_readout_{readout}", format_graph(made))


@pytest.mark.parametrize("readout", ["spike_count", "weighted_count"])
def test_a_count_of_what_never_fires_is_refused(readout: str) -> None:
    times = (1, 2) if readout == "weighted_count" else None
    graph = through(Neuron(Dynamics(fires=False)), output=Output(readout, time_weights=times))
    with pytest.raises(UnsupportedError, match=f"out: {readout} of a, which never fires"):
        apply(IntegrateReadout(), graph)


# --- merge-synapses


def test_merge_synapses(golden: Golden) -> None:
    nodes = {
        "in": Input((1, 2, 2)), "conv": Conv2d(np.array([[[[2.0]]], [[[4.0]]]]), np.array([1.0, -1])), "s": Scale(0.5),
        "n": SPIKE, "flat": Flatten(), "fc": Dense(np.ones((3, 8)), np.ones(3)), "m": SPIKE, "out": Output(),
    }  # fmt: skip
    names = list(nodes)
    made = apply(MergeSynapses(), build_graph(nodes, [*pairwise(names), ("n", "n", 1)], 2, "small"))
    assert weight(made, "conv") == [[[[1]]], [[[2]]]]
    assert dynamics(made, "n").bias.tolist() == [[[0.5]], [[-0.5]]]  # type: ignore[union-attr]
    assert dynamics(made, "m").bias.tolist() == [1, 1, 1]  # type: ignore[union-attr]
    assert weight(made, "n→n") == [[[[1]]], [[[1]]]] and made.incoming("n→n") == (Edge("n", "n→n", 1),)
    golden("merge_synapses", format_graph(made))


def test_an_offset_is_exact_at_padded_borders() -> None:
    """A batch norm before a padded convolution: the padding is 0, not the offset."""
    norm = BatchNorm(np.zeros(1), np.array([0.75]), np.ones(1), np.ones(1), 0.25)
    graph = through(norm, Conv2d(np.ones((1, 1, 3, 3)), padding=(1, 1)), SPIKE, shape=(1, 2, 3))
    made = apply(MergeSynapses(), graph)
    assert dynamics(made, "c").bias.tolist() == [[[4, 6, 4], [4, 6, 4]]]  # type: ignore[union-attr]


def test_an_offset_goes_into_a_current_that_is_a_state_or_read() -> None:
    layer = Dense(np.eye(2), np.array([1.0, 2]))
    slow = apply(MergeSynapses(), through(layer, Neuron(Dynamics(current_decay=0.5))))
    assert dynamics(slow, "b").current_bias.tolist() == [1, 2] and not np.any(dynamics(slow, "b").bias)  # type: ignore[union-attr]
    read = apply(MergeSynapses(), through(layer, SPIKE, output=Output("summed_current")))
    assert dynamics(read, "b").current_bias.tolist() == [1, 2]  # type: ignore[union-attr]


def test_branches_become_a_synapse_each() -> None:
    nodes = {"in": Input((2,)), "a": Dense(np.eye(2)), "b": Scale(2.0), "c": Scale(3.0), "n": SPIKE, "out": Output()}
    edges = [("in", "a"), ("a", "b"), ("a", "c"), ("b", "n"), ("c", "n"), ("n", "out")]
    made = apply(MergeSynapses(), build_graph(nodes, edges, 2))
    assert weight(made, "a") == [[2, 0], [0, 2]] and weight(made, "a'") == [[3, 0], [0, 3]]


def test_a_batch_norm_alone_is_a_synapse() -> None:
    made = apply(MergeSynapses(), through(NORM, SPIKE))
    synapse = made.nodes["in→b"]
    assert isinstance(synapse, Sparse) and synapse.weight.tolist() == [1, -2]
    assert dynamics(made, "b").bias.tolist() == [-0.5, 4]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            (MaxPool2d((2, 2), (2, 2)), SPIKE),
            "a: max pooling has an integer form only over the sums of one convolution",
        ),
        ((Neuron(Dynamics(fires=False)), SPIKE), "a: never fires, yet b reads its membrane"),
    ],
)
def test_merge_synapses_refuses(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        apply(MergeSynapses(), through(*nodes, shape=IMAGE))


def test_a_late_bias_is_refused() -> None:
    nodes = {"in": Input((2,)), "a": Dense(np.eye(2), np.ones(2)), "n": SPIKE, "out": Output()}
    graph = build_graph(nodes, [("in", "a"), ("a", "n", 2), ("n", "out")], 4)
    with pytest.raises(UnsupportedError, match="a → n: a bias before a delay of 2 would be late"):
        apply(MergeSynapses(), graph)
