"""Training on samples with a time axis, and on a label a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snncc.accuracy import correct
from snncc.compiler import compile_graph
from snncc.data import Dataset
from snncc.errors import InputError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.models import train as training
from snncc.models.augment import move
from snncc.models.encode import fixed
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.recipes import RECIPES, Recipe, Training
from snncc.models.recurrent import recurrent
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions

STEPS, SHAPE = 5, (2, 8, 8)
LIF = {"threshold": 0.5, "compare": ">", "membrane_decay": 0.75, "reset": "subtract"}
FULL = {"kind": "triangle", "width": 2.0, "through_reset": True}


def moving(count: int) -> Dataset:
    """A bar that wanders up (class 1) or down (0): its frames alone do not tell, only their order."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 2, count)
    inputs = np.zeros((count, STEPS, *SHAPE), np.uint8)
    for n, label in enumerate(labels):
        rows = (rng.integers(8) + np.arange(STEPS) * (1 if label else -1)) % 8
        inputs[n, np.arange(STEPS), 0, rows] = 1
    return Dataset("bars", inputs, labels, "bars")


def echoes(count: int) -> Dataset:
    """The class of a step is what the input was one step before; the first has none."""
    x = np.random.default_rng(count).integers(-1, 2, (count, 12, 1)).astype(np.int8)
    classes = np.full((count, 12), -1)
    classes[:, 1:] = x[:, :-1, 0] + 1
    return Dataset("echoes", x, None, "echoes", classes)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"bars:train": moving(256), "bars:test": moving(64), "echoes:train": echoes(128), "echoes:test": echoes(70)}

    def load(name: str, limit: int | None = None, time_steps: int | None = None) -> Dataset:
        found = sets[name]
        classes = None if found.step_labels is None else found.step_labels[:limit]
        labels = None if found.labels is None else found.labels[:limit]
        return replace(found, inputs=found.inputs[:limit], labels=labels, step_labels=classes)

    monkeypatch.setattr(training, "load", load)
    torch.set_num_threads(1)


def bars() -> Recipe:
    entry = {"encoding": "spikes", "scale": 1.0}
    net = convolutional("bars", "8C3/2-16-2", STEPS, LIF, SHAPE, padding=1, surrogate=FULL, entry=entry)
    return Recipe("bars", "a test", net, Training("bars", epochs=12, batch_size=32, learning_rate=1e-2, shift_pixels=1))


def echo() -> Recipe:
    entry = {"encoding": "spikes", "scale": 1.0, "low": -1, "high": 1}
    net = recurrent("echo", 1, [24], 3, 12, LIF, entry, readout_decay=0.3, surrogate=FULL)
    how = Training("echoes", epochs=25, batch_size=32, learning_rate=2e-2, gradient_norm=1.0)
    return Recipe("echo", "a test", net, how)


@pytest.mark.parametrize(("recipe", "least"), [(bars(), 0.8), (echo(), 0.8)], ids=["frames", "step labels"])
def test_learns_and_what_is_written_is_as_good(recipe: Recipe, least: float, tmp_path: Path) -> None:
    out = tmp_path / "net.pt"
    result = training.train(recipe, out, seed=1)
    assert result.test_accuracy > least
    test = training.load(f"{recipe.training.data}:test")
    labels = test.labels if test.step_labels is None else test.step_labels
    assert labels is not None
    program = compile_graph(read_checkpoint(out), get_target("fixed-sim"), CompileOptions()).program
    found = run_reference(program, np.moveaxis(test.inputs.astype(np.int64), 0, 1))
    assert float(correct(found.predictions, labels).mean()) == pytest.approx(result.test_accuracy, abs=0.06)


def test_accuracy_is_over_the_labelled_steps_of_all_samples(tmp_path: Path) -> None:
    module = SpikingNetwork(echo().network).eval()
    data = echoes(7)
    assert data.step_labels is not None
    x, y = torch.from_numpy(data.inputs), torch.from_numpy(data.step_labels)
    with torch.no_grad():
        predictions = module(fixed(module, x)).argmax(-1).numpy()
    wanted = float((predictions == data.step_labels)[:, 1:].mean())
    assert training.accuracy_of(module, x, y) == pytest.approx(wanted)
    training.EVALUATION_VALUES, before = 24, training.EVALUATION_VALUES  # two samples at once
    try:
        assert training.accuracy_of(module, x, y) == pytest.approx(wanted)
    finally:
        training.EVALUATION_VALUES = before


def test_labels_of_the_wrong_kind(tmp_path: Path) -> None:
    for recipe, data in ((bars(), "echoes"), (echo(), "bars")):
        with pytest.raises(InputError, match=f"{recipe.name}: {data}:train has samples of shape"):
            training.train(recipe, tmp_path / "net.pt", data=data)
    one = replace(echo(), network=echo().network | {"output": {"readout": "membrane", "ties": "lowest_index"}})
    with pytest.raises(InputError, match=r"echo: echoes:train has .* with labels"):
        training.train(one, tmp_path / "net.pt")
    assert list(tmp_path.iterdir()) == []


def test_all_frames_of_a_sample_move_alike() -> None:
    frames = torch.from_numpy(moving(40).inputs).float()
    how = Training("bars", 1, flip=True, shift_pixels=2, cutout_pixels=0)
    moved = move(frames, how, torch.Generator().manual_seed(3))
    assert moved.shape == frames.shape and not torch.equal(moved, frames)
    still = frames[:, :1].expand(-1, STEPS, -1, -1, -1).contiguous()
    moved = move(still, replace(how, rotation_degrees=20.0, cutout_pixels=3), torch.Generator().manual_seed(4))
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
    assert not torch.equal(moved[0], moved[1])
    line = torch.ones(4, 12, 1)
    assert torch.equal(move(line, Training("echoes", 1), torch.Generator()), line)
    with pytest.raises(InputError, match=r"samples of shape \(12, 1\) are no images"):
        move(line, how, torch.Generator())


def test_the_recipe_of_events(tmp_path: Path) -> None:
    recipe = RECIPES["nmnist-small"]
    module = SpikingNetwork(recipe.network)
    assert module(torch.ones(recipe.network["time_steps"], 3, 2, 34, 34)).shape == (3, 10)
