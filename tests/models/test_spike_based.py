"""Networks of Lee et al. 2020, from training to the integer program: one meaning, pool neurons and shortcuts included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.compiler import compile_graph
from snncc.data import Dataset, load
from snncc.encode import encode
from snncc.errors import GraphError, InputError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import AvgPool2d, Encoder, Input, Neuron
from snncc.models import train as training
from snncc.models.checkpoint import load_module, write_checkpoint
from snncc.models.encode import drawn, fixed, poisson
from snncc.models.initialise import initialise
from snncc.models.module import SpikingNetwork
from snncc.models.networks import describe
from snncc.models.recipes import RECIPES, Recipe, Training
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions
from snncc.verify import verify

FAMILY = {"family": "spike_based"}
LENET: dict[str, Any] = {"layers": "6C5-P2-8C5-P2-30-10", "time_steps": 10, "padding": 0}
RESIDUAL: dict[str, Any] = {
    "layers": "4C3-P2-R6-R6/2-R8/2-20-5", "time_steps": 9, "input_shape": (3, 12, 12), "dropout": 0.25,
    "gain": [2.0, 1.5, 1.0], "offset": [-1.0, -0.7, -0.5], "signed": True, "seed": 4,
}  # fmt: skip


def made(fields: dict[str, Any], path: Path, kappa: float = 2.0) -> SpikingNetwork:
    torch.manual_seed(0)
    network = SpikingNetwork(describe("net", FAMILY | fields))
    initialise(network, {"kind": "fan_in", "kappa": kappa}, torch.zeros(1, *network.description["input"]["shape"]))
    write_checkpoint(path, *network.deployed(), {})
    return network.eval()


def images(shape: tuple[int, ...], count: int = 6) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, *shape)).astype(np.uint8)


@pytest.mark.parametrize("fields", [LENET, RESIDUAL])
def test_module_interpreter_and_integer_program_are_one_network(fields: dict[str, Any], tmp_path: Path) -> None:
    network = made(fields, tmp_path / "net.pt", kappa=6.0)  # lively in every layer
    graph = read_checkpoint(tmp_path / "net.pt")
    entry = graph.nodes["input"]
    assert isinstance(entry, Input) and entry.encoder is not None
    inputs = encode(images(entry.shape), entry.encoder, graph.time_steps)
    module = load_module(tmp_path / "net.pt").double()
    values = module.record(torch.from_numpy(inputs))
    recording = run_graph(graph, inputs)
    firing = [n for n in recording.spikes if graph.nodes[n].dynamics.fires]  # type: ignore[union-attr]
    for name in firing:
        np.testing.assert_array_equal(values[name].detach().numpy(), recording.spikes[name])
        assert recording.spikes[name].any(), f"{name} never fires, so nothing was compared"
    np.testing.assert_allclose(module.scores(values["readout"]).detach().numpy(), recording.scores, rtol=1e-9)
    target = get_target("fixed-sim")
    compiled = compile_graph(graph, target, CompileOptions())
    assert not compiled.errors
    golden = run_reference(compiled.program, inputs)
    fast = target.run(compiled.program, None, inputs, RunOptions(record=True))
    for name in golden.spikes:
        np.testing.assert_array_equal(fast.spikes[name], golden.spikes[name])
    np.testing.assert_array_equal(fast.scores, golden.scores)
    assert network.description == graph_description(tmp_path / "net.pt")


def graph_description(path: Path) -> Any:
    return torch.load(path, weights_only=True)["network"]


def test_pool_neurons_are_exact_in_integers(tmp_path: Path) -> None:
    """Their inputs are quarters and their threshold three of them: quantisation must lose nothing."""
    made(LENET, tmp_path / "net.pt")
    graph = read_checkpoint(tmp_path / "net.pt")
    pooled = graph.nodes["pool1"]
    assert isinstance(graph.nodes["mean1"], AvgPool2d) and isinstance(pooled, Neuron)
    program = compile_graph(graph, get_target("fixed-sim"), CompileOptions()).program
    entry = graph.nodes["input"]
    assert isinstance(entry, Input) and entry.encoder is not None
    spikes = run_reference(program, encode(images(entry.shape), entry.encoder, graph.time_steps)).spikes
    v = np.zeros(spikes["pool1"].shape[1:])
    for before, after in zip(spikes["lif1"], spikes["pool1"], strict=True):
        v = v + before.reshape(*v.shape[:2], v.shape[2], 2, v.shape[3], 2).mean((3, 5))
        fired = v > 0.75
        v[fired] = 0
        np.testing.assert_array_equal(after, fired)
    assert spikes["pool1"].any()


def test_the_paper_networks() -> None:
    deep = SpikingNetwork(describe("r", FAMILY | {
        "layers": "64C3-P2-R128-R256/2-R512-R512/2-1024-10", "time_steps": 1, "input_shape": (3, 32, 32), "dropout": 0.25,
    }))  # fmt: skip
    shapes = {name: tuple(v.shape[2:]) for name, v in deep.record(torch.zeros(1, 1, 3, 32, 32)).items()}
    assert [shapes[f"lif{n}"] for n in (1, 3, 5, 7, 9)] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 8, 8), (512, 4, 4),
    ]  # fmt: skip
    assert deep.inputs["lif3"] == ["conv3", "shortcut1"] and deep.inputs["shortcut1"] == ["pool1"]
    assert deep.inputs["lif9"] == ["conv9", "shortcut4"] and deep.inputs["shortcut4"] == ["drop7"]
    assert not any(name.endswith("bias") for name in deep.state_dict())
    with pytest.raises(GraphError, match="'20X5'"):
        describe("n", FAMILY | {"layers": "20X5-10", "time_steps": 1})


def test_training_spikes_are_new_and_follow_the_rates() -> None:
    encoder = Encoder(gain=(1.0, 0.5), offset=(0.0, -0.5), signed=True)
    x = torch.full((1, 2, 30, 30), 127.5)
    generator = torch.Generator().manual_seed(0)
    first, second = (poisson(x, 50, encoder, generator) for _ in range(2))
    assert first.shape == (50, 1, 2, 30, 30) and not torch.equal(first, second)
    found = torch.stack([first, second]).mean((0, 1, 2, 4, 5))
    torch.testing.assert_close(found, torch.tensor([0.5, -0.25]), atol=4 * 0.5 / 300, rtol=0)
    assert not poisson(x, 5, Encoder(offset=-2.0), generator).any()  # unsigned: a negative rate never fires


def test_evaluation_takes_the_spikes_of_deployment(tmp_path: Path) -> None:
    network = made(LENET, tmp_path / "net.pt")
    x = torch.from_numpy(images((1, 28, 28)))
    spikes = fixed(network, x, 10)
    np.testing.assert_array_equal(spikes.numpy(), encode(x.numpy(), Encoder(), 10, range(10, 10 + len(x))))
    static = SpikingNetwork(describe("s", {"layers": "10", "time_steps": 2, "neuron": {}}))
    assert fixed(static, x) is x and drawn(static, x, torch.Generator()) is x


def test_training_and_deployment_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small net learns, is deployed with its encoder, and keeps its accuracy in integers."""
    demo = load("mnist:demo")
    assert demo.labels is not None
    parts = {"mnist:train": slice(0, 800), "mnist:test": slice(800, 1000)}

    def bundled(name: str, limit: int | None = None, steps: int | None = None) -> Dataset:
        assert demo.labels is not None
        return Dataset(name, demo.inputs[parts[name]], demo.labels[parts[name]], "bundled")

    monkeypatch.setattr(training, "load", bundled)
    torch.set_num_threads(1)
    how = Training("mnist", epochs=5, batch_size=32, optimiser="sgd", momentum=0.0, learning_rate=0.7,
                   weight_decay=5e-4, loss="squared_error")  # fmt: skip
    network = describe("tiny", FAMILY | {"layers": "8C5-P4-40-10", "time_steps": 6, "padding": 0})
    recipe = Recipe("tiny", "a test", network, how, {"kind": "fan_in", "kappa": 2.0})
    result = training.train(recipe, tmp_path / "tiny.pt", seed=1)
    assert result.epochs[-1].train_loss < 0.6 * result.epochs[0].train_loss
    assert result.test_accuracy > 0.7
    graph = read_checkpoint(tmp_path / "tiny.pt")
    entry, target = graph.nodes["input"], get_target("fixed-sim")
    assert isinstance(entry, Input) and entry.encoder is not None
    test = bundled("mnist:test")
    inputs = encode(test.inputs, entry.encoder, graph.time_steps)
    program = compile_graph(graph, target, CompileOptions()).program
    found = verify(graph, program, target, target, None, inputs, test.labels, 8)
    assert found.passed and found.float_accuracy == pytest.approx(result.test_accuracy, abs=0.011)
    assert found.drop is not None and abs(found.drop) <= 0.04


def test_checkpoints_with_broken_encoders_are_refused(tmp_path: Path) -> None:
    network = made(LENET, tmp_path / "net.pt")
    description = network.description
    for changes, message in (
        ({"kind": "latency"}, "latency"), ({"gain": "much"}, "gain"), ({"seed": -1}, "seed"), ({"phase": 1}, "phase"),
        ({"signed": True}, "-1..1"),
    ):  # fmt: skip
        entry = description["input"]
        broken = description | {"input": entry | {"encoder": entry["encoder"] | changes}}
        write_checkpoint(tmp_path / "broken.pt", broken, network.state_dict(), {})
        with pytest.raises((InputError, GraphError), match=message):
            read_checkpoint(tmp_path / "broken.pt")


@pytest.mark.parametrize("name", [n for n in RECIPES if "spike-based" in n])
def test_recipes_are_complete(name: str) -> None:
    recipe = RECIPES[name]
    network = SpikingNetwork(recipe.network)
    assert recipe.training.loss == "squared_error"
    assert recipe.training.start or recipe.initialise["kind"] == "fan_in"
    assert network.description["input"]["encoder"]["kind"] == "poisson"
