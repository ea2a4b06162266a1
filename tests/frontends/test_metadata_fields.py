"""Encoders and answers each step in the exact metadata of NIR and ONNX files; files without them read as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.errors import SnnccError
from snncc.frontends import onnx_metadata
from snncc.frontends.nir import read_nir
from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.nodes import MAX_SEED, Dense, Encoder, Input, Neuron, Output

ENCODERS = [
    None,
    Encoder(),
    Encoder(gain=(0.5, 2.0), offset=(0.0, -0.25), scale=1 / 128, signed=True, seed=MAX_SEED),
]


def network(encoder: Encoder | None, each_step: bool) -> Graph:
    weight = np.random.default_rng(0).normal(size=(3, 2))
    nodes: dict[str, Any] = {
        "input": Input((2,), "spikes", 1.0, -1, 1, encoder), "fc": Dense(weight), "lif": Neuron(Dynamics()),
        "output": Output(each_step=each_step),
    }  # fmt: skip
    return chain(nodes, 4)


def again_from_nir(graph: Graph, folder: Path) -> Graph:
    export_nir(graph, folder / "net.nir")
    return read_nir(folder / "net.nir", {})


def again_from_onnx(graph: Graph, folder: Path) -> Graph:
    arrays = dict(onnx_metadata.graph_arrays(graph))
    return onnx_metadata.decode("net.onnx", onnx_metadata.encode(graph, "float32"), arrays, {})[0]


@pytest.mark.parametrize("again", [again_from_nir, again_from_onnx])
@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_round_trip(encoder: Encoder | None, each_step: bool, again: Any, tmp_path: Path) -> None:
    made = again(network(encoder, each_step), tmp_path)
    assert made.nodes["input"].encoder == encoder
    assert made.nodes["output"].each_step is each_step


def test_what_is_as_usual_is_not_written() -> None:
    nodes = {n["name"]: n["fields"] for n in json.loads(onnx_metadata.encode(network(None, False), "float32"))["nodes"]}
    assert "encoder" not in nodes["input"] and "each_step" not in nodes["output"]


@pytest.mark.parametrize(
    ("node", "key", "value"),
    [
        ("input", "encoder", "poisson"),
        ("input", "encoder", {"kind": "poisson"}),
        ("input", "encoder", {"kind": "poisson", "gain": ["1"], "offset": 0, "scale": 1, "signed": False, "seed": 0}),
        ("input", "encoder", {"kind": "poisson", "gain": 1, "offset": 0, "scale": 1, "signed": False, "seed": -1}),
        ("input", "encoder", {"kind": "poisson", "gain": 1, "offset": 0, "scale": 1, "signed": 0, "seed": 1}),
        ("output", "each_step", 1),
        ("output", "each_step", None),
    ],
)
def test_damaged_fields_are_refused(node: str, key: str, value: Any) -> None:
    graph = network(None, False)
    table = json.loads(onnx_metadata.encode(graph, "float32"))
    next(n for n in table["nodes"] if n["name"] == node)["fields"][key] = value
    with pytest.raises(SnnccError, match=node):
        onnx_metadata.decode("net.onnx", json.dumps(table), dict(onnx_metadata.graph_arrays(graph)), {})
