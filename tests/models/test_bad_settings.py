"""Settings that make no sense: one message before anything is trained or written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from snncc.cli.train_ import command
from snncc.errors import GraphError, InputError, UnsupportedError
from snncc.models import Neuron, fit
from snncc.models.ann import read_ann_file
from snncc.models.checkpoint import write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, convolutional
from snncc.models.recipes import Training, read_recipe
from snncc.models.start import prepared
from snncc.models.train import train

RECIPE = """
description = "a test"
[network]
layers = "{layers}"
time_steps = {steps}
[network.neuron]
threshold = 0.5
[training]
data = "mnist:demo"
epochs = 1
"""


def described(**changes: Any) -> Description:
    return convolutional("tiny", "4C5-P4-10", 1, {"kind": "clip", "bound": 1.0}) | changes


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "a whole number of 1 or more"),
        ("epochs", 1.5, "a whole number of 1 or more"),
        ("batch_size", 0, "a whole number of 1 or more"),
        ("batch_size", True, "a whole number of 1 or more"),
        ("learning_rate", 0.0, "a number above 0"),
        ("learning_rate", float("nan"), "a number above 0"),
        ("learning_rate", "fast", "a number above 0"),
        ("warm_up", 0.0, "a number between 0 and 1"),
        ("warm_up", 1, "a number between 0 and 1"),
        ("momentum", 1.0, "a number from 0 to below 1"),
        ("weight_decay", -0.1, "a number of 0 or more"),
        ("shift_pixels", 0.5, "a whole number of 0 or more"),
        ("test_splits", "test", "a list of one split or more"),
        ("test_splits", [], "a list of one split or more"),
    ],
)
def test_numbers_of_a_training(name: str, value: object, wanted: str) -> None:
    with pytest.raises(InputError, match=f"training: {name} is .*{wanted}"):
        replace(Training("mnist", 1), **{name: value})


@pytest.mark.parametrize(
    ("layers", "steps", "error"),
    [("10", 0, GraphError), ("10", '"two"', GraphError), ("4C5-P0-10", 2, InputError)],
)
def test_networks_of_a_recipe(tmp_path: Path, layers: str, steps: object, error: type[Exception]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(RECIPE.format(layers=layers, steps=steps), encoding="utf-8")
    with pytest.raises(error, match="bad"):
        read_recipe(file)


def test_a_recipe_whose_layers_are_a_number(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(RECIPE.format(layers="10", steps=2).replace('"10"', "10"), encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.toml: is no recipe"):
        read_recipe(file)


def test_a_surrogate_of_other_parameters() -> None:
    with pytest.raises(GraphError, match=r"lif1: the surrogate does not take these parameters .*hight"):
        SpikingNetwork(convolutional("tiny", "4C5-10", 1, {"threshold": 1.0}, surrogate={"hight": 1}))
    with pytest.raises(GraphError, match=r"Neuron: the surrogate does not take these parameters .*hight"):
        Neuron(surrogate={"hight": 1})


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE.format(layers="10", steps=2).replace("mnist:demo", "mnist"), encoding="utf-8")
    recipe = read_recipe(file)
    with pytest.raises(InputError, match="device 'nonesuch' cannot be used"):
        train(replace(recipe, training=replace(recipe.training, train_split="demo", test_splits=("demo",))),
              tmp_path / "out.pt", limit=20, device="nonesuch")  # fmt: skip
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("options", [{"bits": 4}, {"start": "mnist-lif"}, {"stored": "float16"}])
def test_fit_trains_the_module_as_it_is(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="start, bits and stored are for recipes"):
        fit(nn.Linear(4, 2), "mnist", 2, 1, **options)


def test_a_start_of_other_time_steps_goes_on_with_its_weights(tmp_path: Path) -> None:
    two, three = (SpikingNetwork(convolutional("tiny", "4C5-P4-10", t, {"threshold": 0.5})) for t in (2, 3))
    write_checkpoint(tmp_path / "two.pt", *two.deployed(), {})
    made = prepared(three, str(tmp_path / "two.pt"), 0)
    assert made.time_steps == 3
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in made.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": {"readout": "membrane", "ties": "lowest_index", "each_step": True}}, "runs over time"),
        ({"inputs": ["bn1", "act1@1"]}, "runs over time"),
        ({"membrane_decay": 0.5}, "readout: only a last layer that sums"),
    ],
)
def test_what_is_no_ann(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    network, state = SpikingNetwork(described()).deployed()
    if "output" in change:
        network = network | change
    else:
        at = next(
            i for i, x in enumerate(network["layers"]) if x["name"] == ("act1" if "inputs" in change else "readout")
        )
        network["layers"][at] = network["layers"][at] | change
    write_checkpoint(tmp_path / "ann.pt", network, state, {})
    with pytest.raises(UnsupportedError, match=message):
        read_ann_file(tmp_path / "ann.pt")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["mnist-lif", "--epochs", "1", "--limit", "20", *arguments])


@pytest.mark.parametrize(("name", "message"), [("taken.pt", "is no regular file"), ("a.csv", "is where the log goes")])
def test_where_a_checkpoint_cannot_go(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "taken.pt").mkdir()
    result = run("-o", str(tmp_path / name))
    assert isinstance(result.exception, InputError) and message in str(result.exception)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.pt"]


def test_a_seed_beyond_64_bits() -> None:
    result = run("--seed", str(2**64))
    assert result.exit_code == 2 and "is not in the range" in result.output
