"""ONNX models of snncc: onnxruntime computes what the interpreter computes, and importing gives the Graph back."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import data_for, examples, fitting, graphs, seeds
from onnx_models import assert_runs_alike, differing, odd_network, run_model, session
from test_nir_round_trip import assert_same
from test_nir_round_trip import graphs as graphs_of_any_numbers

from snncc.data import load
from snncc.errors import GraphError, InputError, UnsupportedError
from snncc.feed import feed
from snncc.frontends import load_model
from snncc.frontends.onnx_export import build_model, export_onnx, model_bytes
from snncc.frontends.onnx_read import FRONTEND, read_onnx
from snncc.ir.dynamics import COMPARES, DECAY_TIMINGS, RESET_TIMINGS, RESETS, Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.registry import resolve_model

ZOO = ("mnist-lif", "mnist-multi-threshold")


def with_steps(graph: Graph, steps: int) -> Graph:
    """The same network over another number of steps."""
    node = graph.nodes[graph.output]
    assert isinstance(node, Output)
    if node.time_weights is not None:
        assert steps <= len(node.time_weights)
        graph = graph.with_nodes({graph.output: replace(node, time_weights=node.time_weights[:steps])})
    return replace(graph, time_steps=steps)


def round_trip(graph: Graph, dtype: str = "float32") -> None:
    """Export, import: equal; export again: the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        export_onnx(graph, first, dtype)
        again = read_onnx(first, {})
        assert_same(graph, again)
        export_onnx(again, second, dtype)
        assert first.read_bytes() == second.read_bytes()


@given(graphs(), seeds, st.integers(1, 9))
@examples(60)
def test_random_networks_run_alike(graph: Graph, seed: int, steps: int) -> None:
    """float64, where the sums of these networks are exact; one session, two step counts."""
    node = graph.nodes[graph.output]
    if isinstance(node, Output) and node.time_weights is not None:
        steps = min(steps, graph.time_steps)
    made = session(model_bytes(build_model(graph, "float64")))
    for count in (graph.time_steps, steps):
        changed = with_steps(graph, count)
        static = graph.nodes[graph.input].encoding == "static"  # type: ignore[union-attr]
        assert_runs_alike(changed, data_for(changed, seed), "float64", count if static else None, made)


@given(graphs(), seeds)
@examples(60)
def test_random_networks_in_float32(graph: Graph, seed: int) -> None:
    """Their numbers are multiples of powers of two, so that sums of inputs are exact in float32 too, in any order."""
    assert_runs_alike(graph, data_for(graph, seed), "float32")


@given(graphs_of_any_numbers(), st.sampled_from(("float32", "float64")))
@examples(40)
def test_round_trip_is_exact(graph: Graph, dtype: str) -> None:
    round_trip(graph, dtype)


@pytest.mark.parametrize("encoding", ["static", "spikes", "frames"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kind_of_layer_and_edge(encoding: str, dtype: str) -> None:
    graph = odd_network(encoding)
    round_trip(graph, dtype)
    data = build_model(graph, dtype)
    onnx.checker.check_model(data, full_check=True)
    made = session(model_bytes(data))
    for steps in (6, 1, 11):
        changed = with_steps(graph, steps)
        assert_runs_alike(changed, data_for(changed, 5), dtype, steps if encoding == "static" else None, made)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_neuron(dtype: str) -> None:
    """All kinds of neuron side by side would hide one another, so each is a model: every structural choice once."""
    rng = np.random.default_rng(1)
    names = set()
    inputs = rng.integers(-3, 5, (7, 2, 6))
    kinds = [(c, r, t, d) for c in COMPARES for r in RESETS for t in RESET_TIMINGS for d in DECAY_TIMINGS]
    for index, (compare, reset, timing, decay) in enumerate(kinds):
        dynamics = fitting(Dynamics(
            rng.integers(2, 9, 6) / 4, compare, 0.5, (None, 0.75)[index % 2], (0.0, 0.25)[index // 2 % 2],
            (1.0, 0.5)[index // 3 % 2], (0.0, 0.125)[index // 5 % 2], 1 + index % 3, bool(index % 4 == 1), reset,
            (None, 0.75)[index % 2], -0.25, timing, decay, index % 3 > 0, ("before", "after")[index // 3 % 2], 0.25,
            (None, -1.0)[index // 7 % 2], 0.5,
        ))  # fmt: skip
        nodes = {"input": Input((6,), "spikes", 0.5, -3, 4), "n": Neuron(dynamics), "output": Output()}
        graph = chain(nodes, 7)
        assert_runs_alike(graph, inputs, dtype)
        names.add(build_model(graph, dtype).functions[0].name)
    assert len(kinds) == 48 and len(names) > 40


@pytest.mark.parametrize("name", ZOO)
def test_zoo_networks(name: str, tmp_path: Path) -> None:
    """On images, with T changed at run time. float64: every spike and score. float32: every spike too, although sums are
    taken in another order, which shows in the last bits of the readout."""
    graph = load_model(resolve_model(name))
    inputs = feed(load("mnist:demo", 16).inputs, graph.nodes[graph.input], graph.time_steps, name)  # type: ignore[arg-type]
    round_trip(graph)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-4)):
        made = session(model_bytes(build_model(graph, dtype)))
        for steps in (graph.time_steps, graph.time_steps + 3):
            wanted = run_graph(replace(graph, time_steps=steps), inputs, np.dtype(dtype).type, record_membranes=True)
            found = run_model(made, inputs, steps)
            cells, bad = differing(graph, found, wanted, silent=dtype == "float64")
            assert cells > 500_000 and bad == 0
            np.testing.assert_allclose(found["scores"], wanted.scores, atol=tolerance)
            np.testing.assert_array_equal(found["predictions"], wanted.predictions)
        if dtype == "float64":
            default = run_model(made, inputs)
            assert default[f"{graph.of_type(Neuron)[0]}.raster"].shape[0] == graph.time_steps


def test_one_function_a_kind_of_neuron(tmp_path: Path) -> None:
    """Populations of one kind share a function of the domain, whose name says the kind."""
    lif = Neuron(Dynamics(1.0, ">=", 0.5))
    other = Neuron(Dynamics(0.5, ">=", 0.25))
    nodes = {"input": Input((3,)), "a": lif, "b": other, "c": Neuron(Dynamics(reset="to_value")), "output": Output()}
    model = build_model(chain(nodes, 3))
    assert [(f.domain, f.name) for f in model.functions] == [
        ("snncc.neuron", "IF_ge_to_value"),
        ("snncc.neuron", "LIF_ge_subtract"),
    ]
    scans = [n for n in model.graph.node if n.op_type == "Scan"]
    calls = [n.op_type for n in scans[0].attribute[0].g.node if n.domain == "snncc.neuron"]
    assert len(scans) == 1 and calls == ["LIF_ge_subtract", "LIF_ge_subtract", "IF_ge_to_value"]


def small() -> Graph:
    nodes = {
        "input": Input((3,), "spikes", 1.0, 0, 1),
        "fc": Dense(np.arange(6.0).reshape(2, 3)),
        "n": Neuron(Dynamics()),
        "output": Output(),
    }
    return chain(nodes, 4, "small")


def test_load_model_and_options(tmp_path: Path) -> None:
    export_onnx(small(), tmp_path / "m.onnx")
    graph = FRONTEND.read(tmp_path / "m.onnx", {"time_steps": "9", "readout": "membrane"})
    assert graph.time_steps == 9 and graph.nodes["output"].readout == "membrane"  # type: ignore[union-attr]
    assert graph.origin["format"] == "onnx" and graph.origin["semantics_from"]["time_steps"] == "option"
    with pytest.raises(InputError, match="reset belongs to NIR"):
        FRONTEND.read(tmp_path / "m.onnx", {"reset": "zero"})


def test_export_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="float16"):
        export_onnx(small(), tmp_path / "m.onnx", "float16")
    bad = small().with_nodes({"fc": Dense(np.ones((2, 3), complex))})
    with pytest.raises(UnsupportedError, match="complex128"):
        export_onnx(bad, tmp_path / "m.onnx")
    wide = small().with_nodes({"n": Neuron(Dynamics(threshold=np.ones((5, 2))))})
    with pytest.raises(GraphError, match="threshold"):
        export_onnx(wide, tmp_path / "m.onnx")
    with pytest.raises(InputError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        export_onnx(small(), tmp_path / "file" / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_bytes_do_not_depend_on_the_run(tmp_path: Path) -> None:
    first: Any = model_bytes(build_model(odd_network()))
    assert first == model_bytes(build_model(odd_network()))
