"""The trained module, its checkpoint and the compiler's float interpreter are one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snncc.data import load
from snncc.errors import GraphError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.frontends.description import ACTIVATIONS
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron
from snncc.models.checkpoint import load_module, write_checkpoint
from snncc.models.conversion import convert_file
from snncc.models.folding import weights_alone
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.recipes import RECIPES

neuron_fields = st.fixed_dictionaries(
    {
        "threshold": st.floats(0.2, 1.0),
        "compare": st.sampled_from([">", ">="]),
        "membrane_decay": st.floats(0, 1),
        "levels": st.integers(1, 4),
        "signed": st.booleans(),
        "reset": st.sampled_from(["subtract", "to_value", "none"]),
        "reset_timing": st.sampled_from(["immediate", "next_step", "next_step_after_input"]),
        "decay_timing": st.sampled_from(["before", "after"]),
        "current_decay": st.one_of(st.none(), st.floats(0, 0.9)),
        "v_init": st.floats(-0.5, 0.5),
        "v_min": st.one_of(st.none(), st.floats(-1, -0.1)),
        "spike_value": st.floats(0.5, 2),
    }
)


def lively(network: SpikingNetwork) -> SpikingNetwork:
    """Random batch-norm statistics and weights, so that every parameter matters."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.3, 2)
            elif tensor.dtype.is_floating_point:
                tensor.add_(torch.randn(tensor.shape) * 0.3)
    return network.eval()


def assert_same(path: Path, inputs: np.ndarray) -> None:
    """Module in float64 and interpreter give the same spikes everywhere."""
    graph, module = read_checkpoint(path), load_module(path).double()
    recording = run_graph(graph, inputs)
    with torch.no_grad():
        values = module.record(torch.from_numpy(inputs))
        scores = module(torch.from_numpy(inputs)).numpy()
    for name, spikes in recording.spikes.items():
        node = graph.nodes[name]
        assert isinstance(node, Neuron)
        if node.dynamics.fires:
            np.testing.assert_array_equal(values[name].numpy(), spikes * np.asarray(node.dynamics.spike_value))
    np.testing.assert_allclose(scores, recording.scores, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(neuron_fields, st.integers(0, 2**31 - 1), st.integers(0, 1))
def test_random_nets_agree_with_the_interpreter(
    tmp_path: Path, neuron: dict[str, Any], seed: int, padding: int
) -> None:
    torch.manual_seed(seed)
    description = convolutional("random", "3C3-P2-4C3-12-5", 4, neuron, (2, 10, 10), padding, dropout=0.5)
    network = lively(SpikingNetwork(description))
    write_checkpoint(tmp_path / "net.pt", description, network.state_dict(), {})
    assert_same(tmp_path / "net.pt", np.random.default_rng(seed).integers(0, 256, (3, 2, 10, 10)))


def test_branches_and_every_kind_of_layer(tmp_path: Path) -> None:
    """A shortcut added to a later layer, per-channel constants, 1-d and grouped convolutions, frames as input."""
    torch.manual_seed(1)
    convolution = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "bias": True}
    pool = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]}
    description = {
        "name": "branches", "time_steps": 3,
        "input": {"shape": [2, 8, 8], "encoding": "frames", "scale": 0.01, "low": -50, "high": 50},
        "layers": [
            {"name": "conv1", "kind": "conv2d", "in_channels": 2, "out_channels": 4, "groups": 2, **convolution},
            {"name": "lif1", "kind": "neuron", "threshold": [[[0.1]], [[0.2]], [[0.3]], [[0.4]]], "levels": 2},
            {"name": "conv2", "kind": "conv2d", "in_channels": 4, "out_channels": 4, "groups": 1, **convolution},
            {"name": "bn2", "kind": "batch_norm", "channels": 4, "eps": 1e-3},
            {"name": "lif2", "kind": "neuron", "inputs": ["bn2", "lif1"], "threshold": 0.7, "membrane_decay": 0.5},
            {"name": "max", "kind": "max_pool2d", **pool},
            {"name": "sum", "kind": "sum_pool2d", **pool},
            {"name": "halved", "kind": "scale", "factor": 0.5},
            {"name": "same", "kind": "identity"},
            {"name": "flat", "kind": "flatten"},
            {"name": "fc", "kind": "dense", "in_features": 16, "out_features": 3, "bias": False},
        ],
        "output": {"readout": "summed_current", "ties": "lowest_index"},
    }  # fmt: skip
    write_checkpoint(tmp_path / "net.pt", description, lively(SpikingNetwork(description)).state_dict(), {})
    assert_same(tmp_path / "net.pt", np.random.default_rng(1).integers(-50, 51, (3, 5, 2, 8, 8)))


TRAINED = [name for name in sorted(RECIPES) if RECIPES[name].checkpoint.exists()]


def test_the_zoo_is_there() -> None:
    assert {"mnist-lif", "mnist-multi-threshold"} <= set(TRAINED)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks(name: str, tmp_path: Path) -> None:
    """The committed checkpoints: same spikes in both executors, small files, the recipe's network, right answers."""
    recipe = RECIPES[name]
    assert recipe.checkpoint.stat().st_size <= 8_000_000
    assert recipe.checkpoint.with_suffix(".csv").read_text().startswith("epoch,learning_rate,train_loss")
    module = load_module(recipe.checkpoint)
    wanted = recipe.network
    if recipe.training.bits:
        wanted, _ = weights_alone(*SpikingNetwork(wanted).deployed())
    assert [layer["name"] for layer in module.description["layers"]] == [layer["name"] for layer in wanted["layers"]]
    spiking = recipe.checkpoint
    if any(layer["kind"] in ACTIVATIONS for layer in recipe.network["layers"]):
        spiking = tmp_path / "converted.pt"
        convert_file(recipe.checkpoint, 4).write(spiking)
    entry = recipe.network["input"]
    samples = (2,) if entry["encoding"] == "static" else (recipe.network["time_steps"], 2)
    inputs = np.random.default_rng(0).integers(entry["low"], entry["high"] + 1, (*samples, *entry["shape"]))
    assert_same(spiking, inputs)
    if recipe.training.data == "mnist" and entry["encoding"] == "static":
        demo = load("mnist:demo", 200)
        assert demo.labels is not None
        with torch.no_grad():
            answers = module(torch.from_numpy(demo.inputs)).argmax(1).numpy()
        assert (answers == demo.labels).mean() >= 0.97


def test_short_notation() -> None:
    network = convolutional("n", "15C5-P2-40C5-P2-300-10", 2, {"threshold": 0.5}, padding=2, dropout=0.1)
    assert [layer["name"] for layer in network["layers"]] == [
        "conv1", "bn1", "lif1", "pool1", "conv2", "bn2", "lif2", "pool2", "flatten1", "drop1", "fc1", "bn3", "lif3",
        "fc2", "readout",
    ]  # fmt: skip
    assert network["layers"][11 - 1]["in_features"] == 40 * 7 * 7
    with pytest.raises(GraphError, match="'15X5'"):
        convolutional("n", "15X5-10", 2, {})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"name": "a", "kind": "lstm"}, "a: 'lstm' is no kind of layer"),
        ({"name": "a", "kind": "dense", "in_features": 3, "out_features": 2}, "a: a dense layer needs 'bias'"),
        ({"name": "a", "kind": "flatten", "inputs": ["b"]}, "a: is fed by b"),
        ({"name": "forward", "kind": "flatten"}, "forward: is taken"),
    ],
)
def test_bad_descriptions_name_the_layer(layer: dict[str, Any], message: str) -> None:
    description = convolutional("n", "10", 1, {}, (1, 2, 2)) | {"layers": [layer]}
    with pytest.raises(GraphError, match=message):
        SpikingNetwork(description)
