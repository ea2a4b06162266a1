"""Training: the loss falls, the seed decides, and what is written can be read by the compiler."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from snncc.data import Dataset, load
from snncc.errors import InputError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.models import train as training
from snncc.models.augment import move
from snncc.models.checkpoint import load_module
from snncc.models.networks import convolutional
from snncc.models.recipes import RECIPES, Recipe, Training, read_recipe

NEURON = {"threshold": 0.5, "membrane_decay": 0.3, "levels": 4}


@pytest.fixture(autouse=True)
def bundled_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training on the bundled images, so that the test needs no download."""
    demo = load("mnist:demo")
    assert demo.labels is not None
    parts = {"mnist:train": slice(0, 640), "mnist:test": slice(640, 1000)}

    def bundled(name: str, limit: int | None = None, steps: int | None = None) -> Dataset:
        assert demo.labels is not None
        inputs, labels = demo.inputs[parts[name]][:limit], demo.labels[parts[name]][:limit]
        return Dataset(name, inputs, labels, "bundled")

    monkeypatch.setattr(training, "load", bundled)
    torch.set_num_threads(1)


@pytest.fixture
def recipe() -> Recipe:
    how = Training("mnist", epochs=2, batch_size=32, learning_rate=1e-2, shift_pixels=1, rotation_degrees=5.0)
    return Recipe("tiny", "a test", convolutional("tiny", "4C5-P4-40-10", 2, NEURON, dropout=0.1), how)


def test_training_lowers_the_loss_and_writes_what_the_compiler_reads(recipe: Recipe, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int, float, float]] = []
    out = tmp_path / "new" / "tiny.pt"
    result = training.train(recipe, out, seed=3, progress=lambda *at: seen.append(at))
    first, last = result.epochs
    assert last.train_loss < first.train_loss < 2.3
    assert result.test_accuracy > 0.5
    assert [at[:3] for at in seen] == [(e, b, 20) for e in (1, 2) for b in range(1, 21)]
    assert (seen[-1][3], seen[-1][4]) == (last.train_loss, last.train_accuracy)
    graph = read_checkpoint(out)
    assert graph.time_steps == 2
    record = graph.origin["training"]
    assert (record["recipe"], record["seed"], record["epochs"]) == ("tiny", 3, 2)
    assert record["float_accuracy"] == result.test_accuracy == last.test_accuracy
    test = training.load("mnist:test")
    assert test.labels is not None
    again = training.accuracy_of(load_module(out), torch.from_numpy(test.inputs), torch.from_numpy(test.labels))
    assert again == result.test_accuracy
    with result.log.open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["tiny.csv", "tiny.pt"]


def test_the_seed_decides(recipe: Recipe, tmp_path: Path) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        path = training.train(recipe, tmp_path / "s.pt", seed=seed, epochs=1, limit=128).checkpoint
        return load_module(path).state_dict()

    first, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_fewer_samples_than_a_batch(recipe: Recipe, tmp_path: Path) -> None:
    assert len(training.train(recipe, tmp_path / "s.pt", epochs=1, limit=8).epochs) == 1


def test_wrong_requests(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 epochs"):
        training.train(recipe, tmp_path / "s.pt", epochs=0)
    other = replace(recipe, network=convolutional("tiny", "10", 1, NEURON, (3, 32, 32)))
    with pytest.raises(InputError, match=r"\(1, 28, 28\); the network takes \(3, 32, 32\)"):
        training.train(other, tmp_path / "s.pt")
    assert not list(tmp_path.iterdir())


def test_shifts_move_whole_pixels_and_keep_the_ink() -> None:
    images = torch.zeros(64, 1, 9, 9)
    images[:, :, 4, 4] = 1
    moved = move(images, Training("mnist", 1, shift_pixels=2), torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(64))
    rows, columns = np.unravel_index(moved.flatten(1).argmax(1).numpy(), (9, 9))
    assert set(rows) == set(columns) == {2, 3, 4, 5, 6}


def test_turning_moves_what_is_off_the_centre() -> None:
    images = torch.rand(8, 2, 9, 9)
    still = move(images, Training("mnist", 1, rotation_degrees=1e-9), torch.Generator())
    torch.testing.assert_close(still, images, atol=1e-4, rtol=1e-4)
    turned = move(images, Training("mnist", 1, rotation_degrees=30.0, zoom=0.1), torch.Generator().manual_seed(0))
    assert turned.shape == images.shape
    assert float((turned - images).abs().mean()) > 0.05


def test_mirror_images_and_blanked_squares() -> None:
    images = torch.arange(1.0, 82.0).reshape(1, 1, 9, 9).expand(200, -1, -1, -1)
    mirrored = move(images, Training("mnist", 1, flip=True), torch.Generator().manual_seed(0))
    turned = (mirrored == images.flip(3)).all((1, 2, 3))
    assert torch.equal(mirrored[~turned], images[~turned])
    assert 70 < int(turned.sum()) < 130
    blank = move(images, Training("mnist", 1, cutout_pixels=3), torch.Generator().manual_seed(0)) == 0
    sizes = blank.sum((1, 2, 3))
    assert int(sizes.max()) == 9 and int(sizes.min()) == 4  # a square half off the border at a corner
    assert blank.any(0).all()


def test_recipes_are_read_when_asked_for(tmp_path: Path) -> None:
    assert {"mnist-lif", "mnist-multi-threshold"} <= set(RECIPES)
    assert len(RECIPES) == len(set(RECIPES))
    lif = RECIPES["mnist-lif"].network
    assert {layer["reset"] for layer in lif["layers"] if layer["name"].startswith("lif")} == {"to_value"}
    with pytest.raises(KeyError):
        RECIPES["../mnist-lif"]
    bad = tmp_path / "bad.toml"
    bad.write_text("description = 'x'\n[network]\nlayers = '10'\n")
    with pytest.raises(InputError, match=r"bad\.toml"):
        read_recipe(bad)
