"""A training that is killed and resumed ends with the weights of an unbroken one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from snncc.data import Dataset, load
from snncc.errors import InputError
from snncc.models import train as training
from snncc.models.checkpoint import load_module
from snncc.models.networks import convolutional
from snncc.models.recipes import Recipe, Training
from snncc.models.resume import state_path


class Killed(Exception):
    """In place of a signal."""


@pytest.fixture(autouse=True)
def bundled_images(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = load("mnist:demo")
    assert demo.labels is not None
    monkeypatch.setattr(
        training, "load", lambda name, limit=None, *_: Dataset(name, demo.inputs[:256], demo.labels[:256], "")
    )
    torch.set_num_threads(1)


def recipe(**changes: object) -> Recipe:
    neuron = {"threshold": 0.5, "membrane_decay": 0.3, "levels": 4}
    how = Training("mnist", epochs=4, batch_size=32, learning_rate=1e-2, shift_pixels=1, flip=True, cutout_pixels=3)
    network = convolutional("tiny", "4C5-P4-40-10", 2, neuron, dropout=0.3)
    return Recipe("tiny", "a test", network, replace(how, **changes), {"kind": "threshold_matched"})  # type: ignore[arg-type]


def killed_in(epoch: int, batch: int) -> training.Progress:
    def progress(*at: float) -> None:
        if at[:2] == (epoch, batch):
            raise Killed

    return progress


@pytest.mark.parametrize("how", [{}, {"optimiser": "sgd", "schedule": "cosine"}, {"precision": "bfloat16"}])
def test_killed_and_resumed_is_unbroken(how: dict[str, object], tmp_path: Path) -> None:
    made = recipe(**how)
    unbroken = training.train(made, tmp_path / "whole.pt", seed=5)
    broken = tmp_path / "broken.pt"
    with pytest.raises(Killed):
        training.train(made, broken, seed=5, progress=killed_in(2, 3))
    with pytest.raises(Killed):
        training.train(made, broken, seed=5, progress=killed_in(4, 8))
    assert state_path(broken).exists() and not broken.exists()
    seen: list[int] = []
    resumed = training.train(made, broken, seed=5, progress=lambda epoch, *_: seen.append(epoch))
    assert set(seen) == {4}
    assert not state_path(broken).exists()
    expected, found = load_module(unbroken.checkpoint).state_dict(), load_module(broken).state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [(e.epoch, e.train_loss, e.test_accuracy) for e in resumed.epochs] == [
        (e.epoch, e.train_loss, e.test_accuracy) for e in unbroken.epochs
    ]


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    out = tmp_path / "net.pt"
    with pytest.raises(Killed):
        training.train(recipe(), out, seed=5, progress=killed_in(2, 1))
    with pytest.raises(InputError, match=r"another seed; --restart"):
        training.train(recipe(), out, seed=6)
    with pytest.raises(InputError, match=r"another options; --restart"):
        training.train(recipe(learning_rate=2e-2), out, seed=5)
    state_path(out).write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"no state of a training"):
        training.train(recipe(), out, seed=5)
    assert len(training.train(recipe(), out, seed=6, epochs=1, restart=True).epochs) == 1


def test_weights_stored_in_float16_are_those_measured(tmp_path: Path) -> None:
    result = training.train(recipe(stored="float16"), tmp_path / "net.pt", epochs=1)
    stored = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    assert stored["conv1.weight"].dtype == torch.float16
    assert stored["bn1.running_var"].dtype == torch.float32
    test = training.load("mnist:test")
    assert test.labels is not None
    inputs, labels = torch.from_numpy(test.inputs), torch.from_numpy(test.labels)
    assert training.accuracy_of(load_module(result.checkpoint), inputs, labels) == result.test_accuracy
