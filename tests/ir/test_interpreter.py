"""What the float interpreter computes, against torch and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import networks  # isort: skip
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph, chain, readout_neuron
from snncc.ir.interpreter import run_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import AvgPool2d, BatchNorm, Conv1d, Conv2d, Dense, Flatten, Identity, Input, MaxPool2d

from snncc.ir.nodes import Neuron, Output, Scale, SumPool2d  # isort: skip

F = torch.nn.functional


@given(
    networks.seeds, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.sampled_from((1, 2))
)
def test_layers_are_torchs(seed: int, kernel: int, stride: int, padding: int, dilation: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-8, 9, (2, 4, 7, 6)) / 8
    w = rng.integers(-8, 9, (6, 4 // groups, kernel, kernel)) / 8
    b = rng.integers(-8, 9, 6) / 8
    pairs = [(n, n) for n in (stride, padding, dilation)]
    tx, tw, tb = (torch.from_numpy(a) for a in (x, w, b))
    expected = F.conv2d(tx, tw, tb, stride, padding, dilation, groups).numpy()
    np.testing.assert_array_equal(apply_node(Conv2d(w, b, *pairs, groups), x), expected)
    line = F.conv1d(tx[:, :, 0], tw[:, :, 0], tb, stride, padding, dilation, groups).numpy()
    np.testing.assert_array_equal(
        apply_node(Conv1d(w[:, :, 0], b, stride, padding, dilation, groups), x[:, :, 0]), line
    )
    k, s = (kernel, kernel), (stride, stride)
    p = min(padding, kernel // 2)
    np.testing.assert_allclose(apply_node(AvgPool2d(k, s, (p, p)), x), F.avg_pool2d(tx, k, s, p), rtol=1e-15)
    np.testing.assert_array_equal(apply_node(MaxPool2d(k, s, (p, p)), x), F.max_pool2d(tx, k, s, p))
    total = F.avg_pool2d(tx, k, s, p, divisor_override=1).numpy()
    np.testing.assert_array_equal(apply_node(SumPool2d(k, s, (p, p)), x), total)
    mean, var = rng.integers(-8, 9, 4) / 8, rng.integers(1, 9, 4) / 8
    node = BatchNorm(mean, var, mean + 2, mean - 1, 1e-3)
    normed = F.batch_norm(tx, *(torch.from_numpy(a) for a in (mean, var, mean + 2, mean - 1)), eps=1e-3)
    np.testing.assert_allclose(apply_node(node, x), normed, rtol=1e-12, atol=1e-12)


def leaky(**changes: object) -> Neuron:
    return Neuron(Dynamics(threshold=4.0, membrane_decay=0.5).with_(**changes))


@pytest.mark.parametrize(
    ("readout", "times", "expected"),
    [
        ("spike_count", None, [[1, 3]]),
        ("weighted_count", (1, 10, 100), [[10, 111]]),
        ("membrane", None, [[3.25, 0]]),
        ("summed_current", None, [[9, 12]]),
    ],
)
@pytest.mark.parametrize("between", [None, Flatten(), Identity()])
def test_readouts(readout: str, times: tuple[int, ...] | None, expected: list, between: object) -> None:
    """By hand, v of input 3: 3, 4.5 → 0.5, 3.25; of input 4: always 4 → 0. A Flatten or Identity changes nothing."""
    nodes = {"in": Input((2,), low=0, high=9), "n": leaky(), "out": Output(readout, time_weights=times)}
    if between is not None:
        nodes = {"in": nodes["in"], "n": nodes["n"], "between": between, "out": nodes["out"]}
    graph = chain(nodes, 3)  # type: ignore[arg-type]
    assert readout_neuron(graph) == "n"
    recording = run_graph(graph, np.array([[3, 4]]), record_membranes=True)
    np.testing.assert_array_equal(recording.membranes["n"][:, 0, 0], [3, 0.5, 3.25])
    np.testing.assert_array_equal(recording.membranes["n"][:, 0, 1], [0, 0, 0])
    np.testing.assert_array_equal(recording.spikes["n"][:, 0], [[0, 1], [1, 1], [0, 1]])
    np.testing.assert_array_equal(recording.scores, expected)


@pytest.mark.parametrize(("ties", "winner"), [("lowest_index", 0), ("highest_index", 2)])
def test_ties(ties: str, winner: int) -> None:
    graph = chain({"in": Input((3,)), "out": Output(ties=ties)}, 2)
    assert run_graph(graph, np.array([[5, 1, 5]])).predictions == [winner]


def test_a_delayed_readout_reads_no_neuron() -> None:
    """What arrives late is counted late: the last step's spike is not."""
    nodes = {"in": Input((1,)), "n": Neuron(Dynamics(threshold=1.0)), "out": Output()}
    graph = build_graph(nodes, [("in", "n"), ("n", "out", 1)], 3)
    assert readout_neuron(graph) is None
    np.testing.assert_array_equal(run_graph(graph, np.array([[1]])).scores, [[2]])


def test_a_silent_neuron_puts_out_its_membrane() -> None:
    nodes = {"in": Input((1,)), "v": leaky(fires=False), "double": Scale(2.0), "out": Output("membrane")}
    np.testing.assert_array_equal(run_graph(chain(nodes, 2), np.array([[4]])).scores, [[12]])


def test_spike_values_and_delays() -> None:
    """A spike worth 3 reaches the next layer two steps late."""
    nodes = {
        "in": Input((1,), "spikes", low=0, high=1), "n": Neuron(Dynamics(spike_value=3.0)), "w": Dense(np.array([[2.0]])),
        "m": Neuron(Dynamics(fires=False)), "out": Output("membrane"),
    }  # fmt: skip
    graph = build_graph(nodes, [("in", "n"), ("n", "w", 2), ("w", "m"), ("m", "out")], 4)
    data = np.array([1, 0, 0, 0]).reshape(4, 1, 1)
    membranes = run_graph(graph, data, record_membranes=True).membranes["m"].reshape(-1)
    np.testing.assert_array_equal(membranes, [0, 0, 6, 6])
