"""ONNX files that are damaged, changed, foreign or made to harm: one clear error or a correct import, in bounded time."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hostile.mutations import length_prefixed
from onnx import TensorProto, helper
from onnx_models import odd_network
from test_nir_round_trip import assert_same

from snncc.errors import GraphError, InputError, SnnccError, UnsupportedError
from snncc.frontends import onnx_file
from snncc.frontends.onnx_export import build_model, export_onnx, model_bytes
from snncc.frontends.onnx_metadata import KEY, digest
from snncc.frontends.onnx_read import read_onnx
from snncc.ir.nodes import Conv2d

SECONDS = 5.0
MUTATIONS = 300 * int(os.environ.get("SNNCC_EXAMPLES", "1"))


def mutated(good: bytes, rng: random.Random) -> bytes:
    data = bytearray(good)
    at = rng.randrange(len(data) - 8)
    match rng.randrange(6):
        case 0:
            del data[at:]
        case 1:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            for _ in range(12):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 3:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, (2**40).to_bytes(8, "little")])
        case 4:
            data[at:at] = data[at : at + rng.randrange(1, 200)]
        case 5:
            data[at : at + rng.randrange(1, 60)] = b""
    return bytes(data)


def test_mutated_files(tmp_path: Path) -> None:
    """Bits flipped, bytes overwritten, repeated, left out, cut off: refused, or the same network."""
    graph = odd_network()
    good = model_bytes(build_model(graph))
    rng = random.Random(11)
    path = tmp_path / "mutated.onnx"
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(good, rng))
        start = time.monotonic()
        try:
            assert_same(read_onnx(path, {}), graph)
        except SnnccError as error:
            refused += 1
            assert "\n" not in str(error)[:-1]
        assert time.monotonic() - start < SECONDS
    assert refused > 0.9 * MUTATIONS


ODD = (None, -1, 0, 2**40, 10**400, 1.5, True, "", "../../x", [], [1], [1, 2], {}, {"initializer": "n1.threshold"})


def replace_one(table: Any, rng: random.Random) -> None:
    """Replace one value somewhere in the table."""
    while True:
        key = rng.choice(list(table)) if isinstance(table, dict) else rng.randrange(len(table))
        inner = table[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.1:
            table[key] = rng.choice(ODD)
            return
        table = inner


def test_mutated_metadata(tmp_path: Path) -> None:
    """Values of the metadata replaced by others in a file that is otherwise sound: refused. Where the digest is made to
    fit, what is accepted is the network in the file and exports to the same file."""
    model = build_model(odd_network())
    text = model.metadata_props[0].value
    rng = random.Random(5)
    path, again = tmp_path / "mutated.onnx", tmp_path / "again.onnx"
    refused = 0
    for index in range(MUTATIONS):
        table = json.loads(text)
        replace_one(table, rng)
        signed = index % 2 == 1
        if signed:
            sign(table, odd_network())
        model.metadata_props[0].value = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
        path.write_bytes(model.SerializeToString(deterministic=True))
        start = time.monotonic()
        try:
            graph = read_onnx(path, {})
            assert signed or model.metadata_props[0].value == text
            export_onnx(graph, again)
            assert again.read_bytes() == path.read_bytes()
        except SnnccError:
            refused += 1
        assert time.monotonic() - start < SECONDS
    assert refused > 0.8 * MUTATIONS


def sign(table: dict[str, Any], graph: Any) -> None:
    """Make the digest fit what the table says about the arrays of ``graph``."""
    table["sha256"] = digest(table, graph)


def changed(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        model = build_model(odd_network("static"))
        change(model)
        path.write_bytes(model.SerializeToString())

    return make


def weight(model: Any, name: str = "a/b.c.weight") -> Any:
    return next(t for t in model.graph.initializer if t.name == name)


def edit_json(model: Any, edit: Callable[[Any], object]) -> None:
    table = json.loads(model.metadata_props[0].value)
    edit(table)
    model.metadata_props[0].value = json.dumps(table)


def body(model: Any) -> Any:
    return next(n for n in model.graph.node if n.op_type == "Scan").attribute[0].g


CASES: dict[str, tuple[Callable[[Path], None], type[SnnccError], str]] = {
    "empty": (lambda p: p.write_bytes(b"") and None, InputError, "holds no network"),
    "text": (lambda p: p.write_bytes(b"hello, world") and None, InputError, "no ONNX model"),
    "missing": (lambda p: None, InputError, "cannot be read"),
    "folder": (lambda p: p.mkdir(), InputError, "cannot be read"),
    "a weight of another tool": (
        changed(lambda m: setattr(weight(m), "raw_data", np.ones((4, 2, 3, 2), np.float32).tobytes())),
        InputError, "weights or semantics were changed",
    ),
    "inflated": (changed(lambda m: weight(m).dims.__setitem__(0, 2**40)), InputError, "bytes of raw data"),
    "negative size": (changed(lambda m: weight(m).dims.__setitem__(0, -4)), InputError, "sizes of 0 or more"),
    "text tensor": (changed(lambda m: setattr(weight(m), "data_type", TensorProto.STRING)), InputError, "tensor type 8"),
    "outside": (
        changed(lambda m: onnx.external_data_helper.set_external_data(weight(m), "../../etc/passwd")),
        InputError, "lies outside of the file",
    ),
    "twice": (changed(lambda m: m.graph.initializer.append(weight(m))), InputError, "stands twice"),
    "sparse": (changed(lambda m: m.graph.sparse_initializer.add()), InputError, "sparse initializers"),
    "another operator": (
        changed(lambda m: setattr(m.functions[0].node[0], "op_type", "Sub")), InputError, "is not the one",
    ),
    "another body": (changed(lambda m: body(m).node.pop()), InputError, "is not the one"),
    "another opset": (changed(lambda m: setattr(m.opset_import[0], "version", 13)), InputError, "is not the one"),
    "other default steps": (
        changed(lambda m: setattr(weight(m, "time_steps"), "raw_data", np.int64(99).tobytes())),
        InputError, "is not the one",
    ),
    "no JSON": (changed(lambda m: setattr(m.metadata_props[0], "value", "{")), InputError, "is no JSON"),
    "deep JSON": (changed(lambda m: setattr(m.metadata_props[0], "value", "[" * 200_000)), InputError, "is no JSON"),
    "later version": (changed(lambda m: edit_json(m, lambda t: t.update(version=2))), InputError, "update snncc"),
    "unknown layer": (
        changed(lambda m: edit_json(m, lambda t: t["nodes"][1].update(type="Exec"))), InputError, "unknown type 'Exec'",
    ),
    "unknown field": (
        changed(lambda m: edit_json(m, lambda t: t["nodes"][1]["fields"].update(code=1))), InputError, "other fields",
    ),
    "borrowed weight": (
        changed(lambda m: edit_json(m, lambda t: t["nodes"][1]["fields"].update(bias={"initializer": "time_steps"}))),
        InputError, "a/b.c.bias refers to",
    ),
    "cycle": (
        changed(lambda m: edit_json(m, lambda t: [e.__setitem__(2, 0) for e in t["edges"] if e[0] == e[1]])),
        GraphError, "loop without a delay",
    ),
    "not finite": (
        changed(lambda m: edit_json(m, lambda t: t["nodes"][0]["fields"].update(scale=float("nan")))),
        InputError, "scale is 'nan'",
    ),
    "other arithmetic": (changed(lambda m: edit_json(m, lambda t: t.update(dtype="int8"))), InputError, "'int8'"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_hostile_files(case: str, tmp_path: Path) -> None:
    make, kind, message = CASES[case]
    make(tmp_path / "m.onnx")
    start = time.monotonic()
    with pytest.raises(kind, match=message):
        read_onnx(tmp_path / "m.onnx", {})
    assert time.monotonic() - start < SECONDS


def test_a_nan_weight_is_named(tmp_path: Path) -> None:
    graph = odd_network()
    conv = graph.nodes["a/b.c"]
    assert isinstance(conv, Conv2d)
    good = model_bytes(build_model(graph))
    assert good.count(conv.weight.tobytes()) == 1
    bad = conv.weight.copy()
    bad.flat[3] = np.nan
    (tmp_path / "m.onnx").write_bytes(good.replace(conv.weight.tobytes(), bad.tobytes()))
    with pytest.raises(GraphError, match=r"a/b\.c: weight holds 1 values that are NaN"):
        read_onnx(tmp_path / "m.onnx", {})


@pytest.mark.parametrize("what", ["nodes", "initializers"])
def test_many_empty_messages(what: str, tmp_path: Path) -> None:
    """Two bytes of a file can become a hundred in memory; there may be few that are no tensor data."""
    empty = {"nodes": b"\x0a\x00", "initializers": b"\x2a\x00"}[what]
    data = length_prefixed(7, empty * (onnx_file.MAX_STRUCTURE_BYTES // 2))
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match="bytes besides the raw data"):
        read_onnx(tmp_path / "m.onnx", {})


def test_structure_is_what_is_no_weight() -> None:
    graph = odd_network()
    model = build_model(graph)
    data = model_bytes(model)
    raw = sum(len(t.raw_data) for t in model.graph.initializer)
    assert raw > 1000 and onnx_file.structure_bytes(data) == len(data) - raw


def test_a_file_of_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_onnx(odd_network(), tmp_path / "m.onnx")
    monkeypatch.setattr(onnx_file, "MAX_FILE_BYTES", 1000)
    with pytest.raises(InputError, match="the limit is 1,000"):
        read_onnx(tmp_path / "m.onnx", {})


def foreign(*operators: str) -> Any:
    """A chain of operators; whether it would run does not matter."""
    nodes = [helper.make_node(kind, [f"v{i}"], [f"v{i + 1}"], name=f"/{kind}_{i}") for i, kind in enumerate(operators)]
    ends = [helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, [1]) for i in (0, len(operators))]
    return helper.make_model(helper.make_graph(nodes, "main", ends[:1], ends[1:]))


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        (("Conv", "Relu", "MaxPool", "Flatten", "Gemm"), r"an ANN \(Conv, Flatten, Gemm, MaxPool, Relu\)"),
        (("Gemm", "Mul", "Sub", "Greater", "Cast"), "one step of a spiking network .*'/Greater_3', Greater"),
        (("Conv", "Loop"), "'/Loop_1' is a Loop"),
        (("Conv", "Softmax"), "'/Softmax_1' is a Softmax"),
    ],
)
def test_models_of_other_tools(operators: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(foreign(*operators).SerializeToString())
    with pytest.raises(UnsupportedError, match=message):
        read_onnx(tmp_path / "m.onnx", {})


def test_metadata_given_twice(tmp_path: Path) -> None:
    model = build_model(odd_network())
    model.metadata_props.add(key=KEY, value="{}")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="loops of other tools"):
        read_onnx(tmp_path / "m.onnx", {})
