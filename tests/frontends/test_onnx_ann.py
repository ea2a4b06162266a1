"""Plain ReLU networks: the layers that are read compute what onnxruntime computes, and nothing is read inexactly."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import session
from test_onnx_hostile import SECONDS, mutated

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.onnx_ann import AnnGraph, Relu, read_ann, run_ann
from snncc.ir.nodes import AvgPool2d, Conv2d, Dense, Identity

Array = np.ndarray


def model(nodes: list[Any], arrays: dict[str, Array], shape: tuple[int, ...], output: str = "y") -> Any:
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])
    out = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]
    graph = helper.make_graph(nodes, "main", [entry], [out], held)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def network() -> Any:
    """Convolution, batch norm, ReLU and clip, a residual add, all poolings, MatMul with a bias behind it, Gemm."""
    rng = np.random.default_rng(0)

    def eighths(*shape: int) -> Array:
        return (rng.integers(-8, 9, shape) / 8).astype(np.float32)

    arrays = {
        **{"w1": eighths(4, 1, 3, 3), "b1": eighths(4), "w2": eighths(4, 4, 3, 3), "cap": np.float32(6.0)},
        **{"gain": eighths(4), "shift": eighths(4), "mean": eighths(4), "var": np.full(4, 3.0, np.float32)},
        **{"low": np.float32(0.0), "flat": np.array([0, -1]), "w3": eighths(16, 5), "b3": eighths(5)},
        **{"w4": eighths(3, 5), "b4": eighths(3)},
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", group=2, pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c1", "gain", "shift", "mean", "var"], ["n1"], name="norm", epsilon=1.0),
        make("Relu", ["n1"], ["r1"], name="relu1"),
        make("Conv", ["r1", "w2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
        make("Add", ["c2", "r1"], ["a1"], name="add"),
        make("Clip", ["a1", "low", "cap"], ["k1"], name="clip"),
        make("MaxPool", ["k1"], ["p1"], name="max", kernel_shape=[2, 2], strides=[2, 2]),
        make("AveragePool", ["p1"], ["p2"], name="average", kernel_shape=[2, 2], strides=[2, 2]),
        make("Dropout", ["p2"], ["d1"], name="drop"),
        make("Reshape", ["d1", "flat"], ["f1"], name="flatten"),
        make("MatMul", ["f1", "w3"], ["m1"], name="fc1"),
        make("Add", ["m1", "b3"], ["m2"], name="fc1 bias"),
        make("Relu", ["m2"], ["r2"], name="relu2"),
        make("Gemm", ["r2", "w4", "b4"], ["y"], name="fc2", transB=1),
    ]
    return model(nodes, arrays, (2, 8, 8))


def read(made: Any, folder: Path) -> AnnGraph:
    (folder / "m.onnx").write_bytes(made.SerializeToString())
    return read_ann(folder / "m.onnx")


def test_a_network_computes_the_same(tmp_path: Path) -> None:
    made = network()
    ann = read(made, tmp_path)
    x = np.random.default_rng(1).integers(-16, 17, (3, 2, 8, 8)).astype(np.float32) / 8
    (wanted,) = session(made.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(run_ann(ann, x), wanted, rtol=1e-6)
    assert np.ptp(wanted) > 1
    kinds = " ".join(type(n).__name__ for n in ann.nodes.values())
    assert kinds == ("Conv2d BatchNorm Relu Conv2d Identity Relu MaxPool2d AvgPool2d Identity Flatten Dense Relu Dense")
    assert ann.nodes["clip"] == Relu(6.0) and ann.sources["add"] == ("conv2", "relu1")
    assert isinstance(ann.nodes["add"], Identity) and (ann.input, ann.output) == ("x", "fc2")
    dense, conv = ann.nodes["fc1"], ann.nodes["conv1"]
    assert isinstance(dense, Dense) and dense.bias is not None and dense.weight.shape == (5, 16)
    assert isinstance(conv, Conv2d) and conv.groups == 2 and ann.shapes["average"] == (4, 2, 2)


def test_global_average_pool(tmp_path: Path) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["y"])]
    ann = read(model(nodes, {}, (3, 5, 4)), tmp_path)
    (pool,) = ann.nodes.values()
    assert isinstance(pool, AvgPool2d) and pool.kernel == (5, 4) and ann.shapes["y"] == (3, 1, 1)


ONES = {"w": np.ones((2, 2, 2, 2), np.float32), "d": np.ones((4, 4), np.float32), "s": np.array([1, 4])}
WRONG: dict[str, tuple[list[tuple[str, list[str], dict[str, Any]]], tuple[int, ...], str]] = {
    "unequal padding": ([("Conv", ["x", "w"], {"pads": [0, 0, 1, 1]})], (2, 4, 4), "differ between the two ends"),
    "automatic padding": ([("Conv", ["x", "w"], {"auto_pad": "SAME_UPPER"})], (2, 4, 4), "auto_pad"),
    "ceiling": ([("MaxPool", ["x"], {"kernel_shape": [2, 2], "ceil_mode": 1})], (2, 5, 5), "ceil_mode = 1"),
    "mean without padding": (
        [("AveragePool", ["x"], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]})], (2, 4, 4), "count_include_pad = 0",
    ),
    "scaled product": ([("Gemm", ["x", "d"], {"alpha": 0.5})], (4,), "alpha = 0.5"),
    "computed weight": ([("Gemm", ["x", "x"], {})], (4,), "2 computed values"),
    "training": ([("BatchNormalization", ["x", "d", "d", "d", "d"], {"training_mode": 1})], (4,), "training_mode"),
    "two-sided clip": ([("Clip", ["x", "d"], {})], (4,), "damaged|clips to"),
    "no activation of rates": ([("Tanh", ["x"], {})], (4,), "y: Tanh is not read"),
    "reshape": ([("Reshape", ["x", "s"], {})], (2, 4, 4), "only flattening"),
    "constant": ([("Add", ["x", "d"], {})], (4,), "not the bias of a layer"),
    "fits nowhere": ([("Gemm", ["x", "d"], {})], (5,), "5 features"),
    "double": ([("Add", ["x", "x"], {})], (4,), "2 computed values"),
    "unknown": ([("Relu", ["z"], {})], (4,), "reads z, which no layer gives"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_has_no_exact_form(case: str, tmp_path: Path) -> None:
    parts, shape, message = WRONG[case]
    nodes = [helper.make_node(kind, inputs, ["y"], **attributes) for kind, inputs, attributes in parts]
    with pytest.raises(SnnccError, match=message):
        read(model(nodes, ONES, shape), tmp_path)


def test_nothing_reads_a_layer_before_its_bias(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "d"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["n"]),
        helper.make_node("Add", ["m", "n"], ["y"]),
    ]
    with pytest.raises(InputError, match="reads m, which no layer gives"):
        read(model(nodes, {"d": ONES["d"], "b": np.ones(4, np.float32)}, (4,)), tmp_path)


def test_inputs_must_be_known(tmp_path: Path) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {}, (4,))
    made.graph.input.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, 4]))
    with pytest.raises(UnsupportedError, match="has 2 inputs"):
        read(made, tmp_path)


def test_mutated_files(tmp_path: Path) -> None:
    good = network().SerializeToString()
    rng = random.Random(3)
    path = tmp_path / "m.onnx"
    refused = 0
    for _ in range(300 * int(os.environ.get("SNNCC_EXAMPLES", "1"))):
        path.write_bytes(mutated(good, rng))
        start = time.monotonic()
        try:
            read_ann(path)
        except SnnccError:
            refused += 1
        assert time.monotonic() - start < SECONDS
    assert refused > 100
