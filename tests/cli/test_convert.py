"""``snncc convert``: from a trained network without spikes to one that compiles, and what it says on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snncc.frontends import load_model
from snncc.models.checkpoint import write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional

NET = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

def pooled():
    return nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Conv2d(4, 4, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
                         nn.Linear(100, 10))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo ANN, the weights of a PyTorch one with its code, and images labelled by it."""
    torch.manual_seed(0)
    (tmp_path / "my_ann.py").write_text(NET)
    module = nn.Sequential(nn.Conv2d(1, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    images = torch.randint(0, 256, (80, 1, 28, 28), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = module(images / 255).argmax(1)
    np.savez(tmp_path / "data.npz", x=images.numpy().astype(np.uint8), y=labels.numpy())
    np.savez(tmp_path / "unlabelled.npz", x=images.numpy().astype(np.uint8))
    clip = SpikingNetwork(convolutional("zoo-ann", "4C5-P4-10", 1, {"kind": "clip", "bound": 1.0})).eval()
    write_checkpoint(tmp_path / "ann.pt", *clip.deployed(), {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARCH = ("--arch", "my_ann.py:make", "--input-shape", "1,28,28")


def test_a_state_dict_becomes_a_network_that_verifies(snncc: Any, folder: Path) -> None:
    code, out, err = snncc(
        *("convert", "weights.pt", *ARCH, "--time-steps", 32, "--data", "data.npz", "-o", "snn.pt"),
        *("--thresholds", "mse", "--report-data", "data.npz"),
    )
    assert code == 0, err
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert float(rows["ANN"][1]) == 100.0
    assert float(rows["32"][1]) >= 85.0 > float(rows["1"][1])
    assert rows["layer_1"][2] == "mse"
    assert load_model(folder / "snn.pt").time_steps == 32
    code, out, err = snncc("verify", "snn.pt", "-t", "fixed-sim", "--data", "data.npz", "--max-accuracy-drop", 10)
    assert code == 0 and "PASS" in out, err
    assert not list(folder.glob("tmp*"))


def test_trained_bounds_need_no_data_and_nir_is_written(snncc: Any, folder: Path) -> None:
    code, out, err = snncc("convert", "ann.pt", "--time-steps", 4, "-o", "snn.nir", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["layers"] == [{"layer": "act1", "value": 1.0, "rule": "trained", "clipped": None}]
    assert facts["accuracies"] is None and facts["v_init"] == "half"
    graph = load_model(folder / "snn.nir")
    neuron = next(n.dynamics for n in graph.nodes.values() if hasattr(n, "dynamics") and n.dynamics.fires)
    assert (float(np.max(neuron.v_init)), float(np.max(neuron.spike_value)), neuron.compare) == (0.5, 1.0, ">=")


def test_json_of_a_report(snncc: Any, folder: Path) -> None:
    code, out, err = snncc(
        *("convert", "ann.pt", "--time-steps", 8, "-o", "snn.pt", "--json", "--report-data", "data.npz"),
        *("--limit", 20, "--v-init", "zero", "--data", "data.npz", "--replace-bounds", "--per-channel"),
    )
    assert code == 0, err
    facts = json.loads(out)
    assert list(facts["accuracies"]) == ["1", "2", "4", "8"] and facts["report_samples"] == 20
    assert np.shape(facts["layers"][0]["value"]) == (4, 1, 1) and facts["layers"][0]["rule"] == "percentile"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("weights.pt", *ARCH), "_1: has no trained bound; give data"),
        (("weights.pt", "--arch", "my_ann.py:make"), "--input-shape 3,32,32"),
        (("weights.pt",), "--arch package.module:factory"),
        (("weights.pt", "--arch", "my_ann.py:pooled", "--input-shape", "1,28,28"), "does not fit --arch"),
        (("ann.pt", "--input-scale", "1.0"), "says everything about its input itself"),
        (("ann.pt", "--report-data", "unlabelled.npz"), "has no labels"),
        (("ann.pt", "--data", "nothing:test"), "is no known data set"),
        (("mnist-lif",), "lif1: fires already; snncc compile takes this network"),
        (("missing.pt",), "missing.pt"),
    ],
)
def test_wrong_requests_write_nothing(snncc: Any, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = snncc("convert", *arguments, "--time-steps", 4, "-o", "snn.pt")
    assert code == 2 and message in err, err
    assert not (folder / "snn.pt").exists()


def test_files_are_not_overwritten_by_mistake(snncc: Any, folder: Path) -> None:
    before = (folder / "ann.pt").read_bytes()
    code, _, err = snncc("convert", "ann.pt", "--time-steps", 4, "-o", "ann.pt")
    assert code == 2 and "is the ANN itself" in err
    assert (folder / "ann.pt").read_bytes() == before
    code, _, err = snncc("convert", "ann.pt", "--time-steps", 4, "-o", "snn.txt")
    assert code == 2 and ".pt" in err
    code, _, err = snncc("convert", "weights.pt", *ARCH[:2], "--input-shape", "1,x", "--time-steps", 4, "-o", "snn.pt")
    assert code == 2 and "whole numbers above 0" in err


def test_max_pooling_of_spikes_needs_consent(snncc: Any, folder: Path) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Conv2d(4, 4, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten()]
    torch.save(nn.Sequential(*layers, nn.Linear(100, 10)).state_dict(), folder / "pooled.pt")
    common = (
        *("convert", "pooled.pt", "--arch", "my_ann.py:pooled", "--input-shape", "1,28,28"),
        *("--time-steps", 8, "--data", "data.npz", "-o", "snn.pt"),
    )
    code, _, err = snncc(*common)
    assert code == 2 and "--max-pooling currents" in err
    assert snncc(*common, "--max-pooling", "currents")[0] == 0
    assert snncc("verify", "snn.pt", "-t", "fixed-sim", "--data", "data.npz", "--limit", 4)[0] == 0


def test_a_clipped_network_in_onnx(snncc: Any, folder: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(0, 0.1, (4, 1, 5, 5)), "low": 0.0, "cap": 2.0, "f": rng.normal(0, 0.1, (10, 144)),
        "b": np.zeros(10),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", strides=[4, 4]),
        helper.make_node("Clip", ["c", "low", "cap"], ["k"], name="/relu6"),
        helper.make_node("Flatten", ["k"], ["v"], name="flat"),
        helper.make_node("Gemm", ["v", "f", "b"], ["y"], name="fc", transB=1),
    ]
    held = [numpy_helper.from_array(np.asarray(a, np.float32), name) for name, a in arrays.items()]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "main", [entry], [out], held)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    code, text, err = snncc("convert", "net.onnx", "--time-steps", 8, "-o", "snn.pt", "--mean", "0.5", "--std", "0.25")
    assert code == 0 and "relu6" in text and "trained" in text, err
    assert snncc("verify", "snn.pt", "-t", "fixed-sim", "--data", "data.npz", "--limit", 8)[0] == 0
    code, _, err = snncc("compile", "net.onnx", "-t", "fixed-sim", "-o", "x")
    assert code == 2 and "snncc convert" in err
