"""Reading networks without spikes: zoo checkpoints as files of others, ONNX, PyTorch, and the form of their input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anns import images, residual
from torch import nn

from snncc.compiler import compile_graph
from snncc.errors import SnnccError
from snncc.frontends.description import graph_of
from snncc.frontends.onnx_ann import AnnGraph, Relu, run_ann
from snncc.frontends.torch_ann import ann_of
from snncc.ir.nodes import Conv1d, Dense, Flatten, Identity, Scale
from snncc.models.ann import Ann, InputFormat, describe_ann, read_ann_file
from snncc.models.checkpoint import write_checkpoint
from snncc.models.conversion import convert
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.thresholds import Search, find_thresholds
from snncc.registry import get_target
from snncc.target import RunOptions

CLIP = {"kind": "clip", "bound": 0.75}


def written(ann: Ann, path: Path, change: Callable[[dict[str, Any]], None] = lambda d: None) -> Path:
    description = copy.deepcopy(ann.description)
    change(description)
    write_checkpoint(path, description, ann.state, {})
    return path


def test_a_zoo_checkpoint_reads_back(tmp_path: Path) -> None:
    ann = residual(CLIP)

    def unwired(description: dict[str, Any]) -> None:
        for layer in description["layers"]:
            if len(layer["inputs"]) == 1:
                del layer["inputs"]

    again = read_ann_file(written(ann, tmp_path / "ann.pt", unwired))
    assert again.description == ann.description
    assert torch.equal(again.module()(images(3)), ann.module()(images(3)))


def change_layer(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        next(x for x in description["layers"] if x["name"] == name).update(fields)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_layer("act1", bound=[1.0, 2.0]), "act1: threshold"),
        (change_layer("act1", bound=-1.0), "act1: threshold is -1"),
        (change_layer("act1", bound="x"), "act1: threshold"),
        (change_layer("act2", inputs=["fc9"]), "fc9"),
        (change_layer("fc1", in_features=10**9), "fc1"),
        (change_layer("act1", kind="neuron"), "bound"),
        (lambda d: d.update(layers="x"), "layers must be a list"),
        (lambda d: d.update(time_steps=4), "runs over time"),
        (lambda d: d["input"].update(encoding="frames"), "only a network of one step on static input"),
    ],
)
def test_checkpoints_are_read_as_files_of_others(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    path = written(residual(CLIP), tmp_path / "ann.pt", change)
    with pytest.raises(SnnccError, match=rf"ann\.pt: .*{message}"):
        read_ann_file(path)


def test_a_spiking_network_and_one_without_activations_are_refused(tmp_path: Path) -> None:
    spiking = convolutional("s", "4C3-10", 1, {"threshold": 1.0}, (2, 8, 8))
    linear = convolutional("l", "10", 1, {"threshold": 1.0}, (2, 8, 8))
    for description, message in ((spiking, "lif1: fires already"), (linear, "nothing to make spike")):
        write_checkpoint(tmp_path / "s.pt", description, SpikingNetwork(description).state_dict(), {})
        with pytest.raises(SnnccError, match=message):
            read_ann_file(tmp_path / "s.pt")


def test_names_are_made_fit_and_dead_layers_left_out() -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "/net/conv.1": Conv1d(rng.normal(size=(3, 2, 3)).astype(np.float32), None, padding=1),
        "net_conv_1": Relu(),
        "dead": Scale(2.0),
        "forward": Scale(0.5),
        "sum": Identity(),
        "7": Flatten(),
        "input": Relu(0.5),
        "fc": Dense(rng.normal(size=(4, 15)).astype(np.float32), np.ones(4, np.float32)),
    }
    before = {
        "/net/conv.1": ("x",), "net_conv_1": ("/net/conv.1",), "dead": ("x",), "forward": ("net_conv_1",),
        "sum": ("forward", "net_conv_1"), "7": ("sum",), "input": ("7",), "fc": ("input",),
    }  # fmt: skip
    shapes = {"x": (2, 5), **dict.fromkeys(nodes, (3, 5))}
    graph = AnnGraph(nodes, before, shapes, "x", "fc")
    made = describe_ann(graph, "my net.v2", InputFormat(scale=1.0))
    names = [layer["name"] for layer in made.description["layers"]]
    assert names == ["net_conv_1", "net_conv_1_2", "layer_forward", "sum", "layer_7", "input_2", "fc"]
    assert made.description["name"] == "my_net_v2"
    x = images(3, shape=(2, 5))
    with torch.no_grad():
        given = made.module()(x).numpy()
    np.testing.assert_allclose(given, run_ann(graph, x.numpy().astype(np.float32)), rtol=1e-4, atol=1e-3)


def test_a_network_that_ends_in_an_activation_is_refused() -> None:
    graph = AnnGraph({"r": Relu()}, {"r": ("x",)}, {"x": (3,), "r": (3,)}, "x", "r")
    with pytest.raises(SnnccError, match="ends in an activation"):
        describe_ann(graph, "n", InputFormat())


class Normalised(nn.Module):
    """A padded convolution right behind the normalisation, which a zero border must not see."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(256, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv(x)).flatten(1))


def test_normalised_input_is_exact_at_borders_in_floats_and_integers() -> None:
    torch.manual_seed(0)
    module = Normalised().eval()
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    ann = describe_ann(ann_of(module, (3, 8, 8)), "n", InputFormat(mean=mean, std=std))
    x = images(32, shape=(3, 8, 8))
    with torch.no_grad():
        real = (x / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        np.testing.assert_allclose(ann.module()(x).numpy(), module(real).numpy(), rtol=1e-4, atol=1e-5)
        answers = module(real).argmax(1).numpy()
    found = find_thresholds(ann, Search("mse"), 64, 0.5, x)
    arrays = {name: tensor.numpy() for name, tensor in ann.state.items()}
    made = compile_graph(graph_of(convert(ann, found, 64), arrays, {}), get_target("fixed-sim"))
    assert not made.errors
    run = get_target("fixed-sim").run(made.program, None, x.numpy(), RunOptions())
    assert (run.predictions == answers).mean() > 0.9


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"mean": (0.5, 0.5)}, "--mean has 2 numbers; the input has 3"),
        ({"std": (0.0,)}, "--std is 0"),
    ],
)
def test_wrong_normalisations_are_named(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(SnnccError, match=message):
        describe_ann(ann_of(Normalised(), (3, 8, 8)), "n", InputFormat(**entry))
