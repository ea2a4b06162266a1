"""Export and import again: the same Graph bit for bit, hence the same spikes; and any NIR reader opens the file."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import fitting

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.nir import read_nir
from snncc.frontends.nir_export import export_nir
from snncc.frontends.nir_metadata import _FIELDS
from snncc.ir.dynamics import COMPARES, CURRENT_TIMINGS, DECAY_TIMINGS, RESET_TIMINGS, RESETS, Dynamics
from snncc.ir.graph import Graph, build_graph, chain
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
    Output,
    Scale,
    SumPool2d,
)


def same(a: Any, b: Any) -> bool:
    """Equal values; arrays of equal type, shape and bits."""
    if isinstance(a, np.ndarray | np.generic):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


def assert_same(a: Graph, b: Graph) -> None:
    assert (list(a.nodes), a.edges, a.time_steps, a.name) == (list(b.nodes), b.edges, b.time_steps, b.name)
    for name, node in a.nodes.items():
        other = b.nodes[name]
        assert type(node) is type(other), name
        if isinstance(node, Neuron) and isinstance(other, Neuron):
            node, other = node.dynamics, other.dynamics  # type: ignore[assignment]
        for field in fields(node):
            assert same(getattr(node, field.name), getattr(other, field.name)), (name, field.name)


def round_trip(graph: Graph, **options: str) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        export_nir(graph, path)
        nir.read(path)
        return read_nir(path, options)


VALUES = st.floats(-3, 3, allow_nan=False, width=64)
POSITIVE = st.floats(0.01, 3)


@st.composite
def dynamics(draw: st.DrawFn, shape: tuple[int, ...]) -> Dynamics:
    """All fields at random, each a number or an array over the population or its channels."""

    def value(strategy: st.SearchStrategy[float]) -> Any:
        shown = draw(st.sampled_from([None, (), shape, (shape[0], *(1 for _ in shape[1:]))]))
        if shown is None:
            return draw(strategy)
        dtype = draw(st.sampled_from([np.float64, np.float32]))
        return np.array([draw(strategy) for _ in range(int(np.prod(shown)))], dtype).reshape(shown)

    decay = st.floats(0, 1) | st.just(1.0)
    made = Dynamics(
        threshold=value(POSITIVE),
        compare=draw(st.sampled_from(COMPARES)),
        membrane_decay=value(decay),
        current_decay=value(decay) if draw(st.booleans()) else None,
        current_bias=value(VALUES),
        input_gain=value(VALUES),
        bias=value(VALUES),
        levels=draw(st.integers(1, 5)),
        signed=draw(st.booleans()),
        reset=draw(st.sampled_from(RESETS)),
        reset_amount=value(POSITIVE) if draw(st.booleans()) else None,
        reset_value=value(VALUES),
        reset_timing=draw(st.sampled_from(RESET_TIMINGS)),
        decay_timing=draw(st.sampled_from(DECAY_TIMINGS)),
        reset_current=draw(st.booleans()),
        current_timing=draw(st.sampled_from(CURRENT_TIMINGS)),
        v_init=value(VALUES),
        v_min=value(VALUES) if draw(st.booleans()) else None,
        spike_value=value(VALUES),
        fires=draw(st.booleans()),
    )
    return fitting(made)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Convolution, pooling, a residual edge, a recurrent layer, delays, and odd names."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))

    def array(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape).astype(dtype)

    pool = draw(st.sampled_from([AvgPool2d, SumPool2d]))
    encoding = draw(st.sampled_from(["static", "frames", "spikes"]))
    low = draw(st.integers(-3, 0))
    readout = draw(st.sampled_from(["spike_count", "membrane", "summed_current", "weighted_count"]))
    steps = draw(st.integers(1, 6))
    weights = tuple(range(steps, 0, -1)) if readout == "weighted_count" else None
    odd = draw(st.sampled_from(["a/b", "n.1", "größe ⚡", "..", "node_4", "n1.delay"]))
    nodes = {
        "in": Input((2, 4, 4), encoding, draw(st.sampled_from([1.0, 1 / 255])), low, 4),
        odd: Conv2d(array(2, 2, 3, 3), array(2) if draw(st.booleans()) else None, padding=(1, 1)),
        "n1": Neuron(draw(dynamics((2, 4, 4)))),
        "pool": pool((2, 2), (2, 2)),
        "same": Identity(),
        "flat": Flatten(),
        "fc": Dense(array(3, 8), array(3) if draw(st.booleans()) else None),
        "n2": Neuron(draw(dynamics((3,)))),
        "rec": Dense(array(3, 3), array(3)),
        "twice": Scale(array(3) if draw(st.booleans()) else draw(VALUES)),
        "out": Output(readout, draw(st.sampled_from(["lowest_index", "highest_index"])), weights),
    }
    before = draw(st.integers(0, 1))
    edges = [
        ("in", odd),
        (odd, "n1", draw(st.integers(0, 2))),
        ("in", "n1"),
        ("n1", "pool"),
        ("pool", "same"),
        ("same", "flat"),
        ("flat", "fc", draw(st.integers(0, 2))),
        ("fc", "n2"),
        ("fc", "n2", 2),
        ("n2", "rec", before),
        ("rec", "n2", draw(st.integers(1, 3)) - before),
        ("n2", "twice"),
        ("twice", "out"),
    ]
    if before == 1 and edges[10][2] == 0:
        edges[10] = ("rec", "n2", 0)
    return build_graph(nodes, edges, steps, draw(st.sampled_from(["net", "a “name”/x"])))


@given(graphs(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_graph_comes_back_bit_for_bit(graph: Graph, seed: int) -> None:
    again = round_trip(graph)
    assert_same(graph, again)
    node = graph.nodes["in"]
    assert isinstance(node, Input)
    shape = (2, *node.shape) if node.encoding == "static" else (graph.time_steps, 2, *node.shape)
    x = np.random.default_rng(seed).integers(node.low, node.high, shape, endpoint=True)
    with np.errstate(all="ignore"):
        a, b = run_graph(graph, x), run_graph(again, x)
    for name, spikes in a.spikes.items():
        assert np.array_equal(spikes, b.spikes[name])
    assert np.array_equal(a.scores, b.scores, equal_nan=True)


def test_every_field_of_every_node_is_written() -> None:
    for kind, known in _FIELDS.items():
        assert tuple(known) == tuple(f.name for f in fields(kind)), kind.__name__


def small(**changes: Any) -> Graph:
    rng = np.random.default_rng(5)
    nodes = {
        "input": Input((6,), "spikes", 1.0, 0, 1),
        "fc": Dense(rng.normal(0.3, 0.6, (4, 6)), rng.normal(0, 0.1, 4)),
        "lif": Neuron(Dynamics(compare=">", reset="to_value", **changes)),
        "output": Output(),
    }
    return chain(nodes, 20, "small")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("IF", {}),
        ("LIF", {"membrane_decay": 0.8125, "input_gain": 0.5, "bias": 0.0625, "reset_value": -0.25}),
        ("CubaLIF", {"membrane_decay": 0.75, "current_decay": 0.5}),
        ("I", {"fires": False}),
        ("LI", {"fires": False, "membrane_decay": 0.75}),
        ("CubaLI", {"fires": False, "membrane_decay": 0.75, "current_decay": 0.25, "input_gain": 2.0}),
    ],
)
def test_the_standard_part_says_the_same_where_nir_can(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    graph = small(**changes)
    export_nir(graph, tmp_path / "n.nir")
    assert type(nir.read(tmp_path / "n.nir").nodes["lif"]).__name__ == kind
    plain = read_nir(tmp_path / "n.nir", {"dialect": "euler", "dt": "1", "time_steps": "20"})
    x = np.random.default_rng(1).integers(0, 2, (20, 50, 6))
    a, b = (run_graph(g, x, record_membranes=True) for g in (graph, plain))
    assert np.array_equal(a.spikes["lif"], b.spikes["lif"])
    np.testing.assert_allclose(a.membranes["lif"], b.membranes["lif"], rtol=1e-12, atol=1e-12)
    assert changes.get("fires") is False or a.spikes["lif"].mean() > 0.05


def test_delays_and_spike_values_stand_in_the_standard_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    first, second = (Neuron(Dynamics(compare=">", reset="to_value", spike_value=v)) for v in (0.5, 1.0))
    nodes = {
        "input": Input((6,), "spikes", 1.0, 0, 1),
        "fc": Dense(rng.normal(0.3, 0.6, (4, 6))),
        "n1": first,
        "n2": second,
        "rec": Dense(rng.normal(0, 0.5, (4, 4)), rng.normal(0, 0.2, 4)),
        "output": Output(),
    }
    edges = [
        ("input", "fc"),
        ("fc", "n1", 2),
        ("n1", "n2"),
        ("n1", "n2", 3),
        ("n2", "rec", 1),
        ("rec", "n2"),
        ("n2", "output"),
    ]
    graph = build_graph(nodes, edges, 20)
    export_nir(graph, tmp_path / "n.nir")
    nir.read(tmp_path / "n.nir")
    plain = read_nir(tmp_path / "n.nir", {"dialect": "euler", "dt": "1", "time_steps": "20"})
    x = np.random.default_rng(1).integers(0, 2, (20, 50, 6))
    a, b = run_graph(graph, x), run_graph(plain, x)
    for name in ("n1", "n2"):
        assert a.spikes[name].mean() > 0.05
        assert np.array_equal(a.spikes[name], b.spikes[name])


def test_conv1d_and_grouped_convolutions(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    line = {
        "input": Input((4, 9), "frames"),
        "conv": Conv1d(rng.normal(size=(6, 2, 3)), None, 2, 1, 1, 2),
        "n": Neuron(Dynamics()),
        "output": Output(),
    }
    plane = {
        "input": Input((4, 9, 8), "frames"),
        "conv": Conv2d(rng.normal(size=(6, 2, 3, 2)), rng.normal(size=6), (2, 1), (1, 0), (1, 2), 2),
        "n": Neuron(Dynamics()),
        "output": Output(),
    }
    for nodes in (line, plane):
        graph = chain(nodes, 3)
        export_nir(graph, tmp_path / "n.nir")
        assert_same(graph, read_nir(tmp_path / "n.nir", {}))
        plain = read_nir(tmp_path / "n.nir", {"dialect": "euler", "dt": "1", "time_steps": "3"})
        assert same(plain.nodes["conv"].weight, nodes["conv"].weight)  # type: ignore[union-attr]


def test_two_exports_give_the_same_bytes(tmp_path: Path) -> None:
    export_nir(small(), tmp_path / "a.nir")
    export_nir(small(), tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nir", "b.nir"]


def test_what_nir_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    ones = np.ones(2)
    for node, remedy in (
        (BatchNorm(ones, ones, ones, ones), "odd: NIR has no batch norm; fold it first"),
        (MaxPool2d((2, 2), (2, 2)), "odd: NIR has no max pooling"),
    ):
        graph = chain({"input": Input((2, 4, 4)), "odd": node, "n": Neuron(Dynamics()), "output": Output()}, 2)
        with pytest.raises(UnsupportedError, match=remedy):
            export_nir(graph, tmp_path / "n.nir")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a file").write_text("no folder")
    with pytest.raises(InputError, match="cannot be written"):
        export_nir(small(), tmp_path / "a file" / "n.nir")


def test_metadata_is_trusted_only_while_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "n.nir"
    export_nir(small(), path)
    assert read_nir(path, {"time_steps": "7", "readout": "membrane"}).time_steps == 7
    with pytest.raises(InputError, match="reset belongs to a dialect"):
        read_nir(path, {"reset": "zero"})
    with h5py.File(path, "a") as file:
        file["node/nodes/lif/v_threshold"][...] = 2.0
    with pytest.raises(InputError, match="was changed after snncc wrote its semantics"):
        read_nir(path, {})
    changed = read_nir(path, {"dialect": "euler", "dt": "1", "time_steps": "5"})
    assert changed.nodes["lif"].dynamics.threshold == 2.0  # type: ignore[union-attr]


def test_metadata_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.nir"
    export_nir(small(), path)
    with h5py.File(path, "a") as file:
        table = json.loads(bytes(file["snncc/json"][()]))
        del file["snncc/json"]
        table["version"] = 2
        file["snncc/json"] = np.frombuffer(json.dumps(table).encode(), np.uint8)
    with pytest.raises(InputError, match="version 2; this version reads 1: update snncc"):
        read_nir(path, {})
