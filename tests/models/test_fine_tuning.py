"""Fine-tuning as a whole: from the zoo, resumed, on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from quantised_networks import LIF

from snncc.cli.main import cli
from snncc.compiler import compile_graph
from snncc.data import Dataset, load
from snncc.errors import UnsupportedError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.ir.nodes import BatchNorm
from snncc.models import train as training
from snncc.models.networks import convolutional
from snncc.models.recipes import RECIPES, Recipe, Training
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The bundled images for every split; those after the 600th are for tests."""
    demo = load("mnist:demo")
    assert demo.labels is not None
    parts = {"mnist:train": slice(0, 600), "mnist:test": slice(600, 1000)}

    def give(name: str, limit: int | None = None, *_: Any) -> Dataset:
        assert demo.labels is not None
        return Dataset(name, demo.inputs[parts[name]][:limit], demo.labels[parts[name]][:limit], "bundled")

    monkeypatch.setattr(training, "load", give)
    torch.set_num_threads(1)
    return give("mnist:test")


def test_fine_tuning_at_two_bits_keeps_the_accuracy(bundled: Dataset, tmp_path: Path) -> None:
    """From the zoo's network: far better than rounding alone, and the Program has the accuracy that training reports."""
    how = Training("mnist", 1, batch_size=32, learning_rate=1e-3, weight_decay=0.0, start="mnist-lif", bits=2)
    recipe = Recipe("fine", "a test", RECIPES["mnist-lif"].network, how)
    result = training.train(recipe, tmp_path / "fine.pt", limit=384)

    assert bundled.labels is not None
    x, y = bundled.inputs[:384], bundled.labels[:384]

    def accuracy(path: Path, bits: int) -> float:
        made = compile_graph(read_checkpoint(path), get_target("fixed-sim"), CompileOptions(bits=bits))
        answers = get_target("fixed-sim").run(made.program, None, x, RunOptions()).predictions
        return float((answers == y).mean())

    rounded = accuracy(RECIPES["mnist-lif"].checkpoint, 2)
    assert accuracy(result.checkpoint, 2) == result.test_accuracy > rounded + 0.1
    assert abs(accuracy(result.checkpoint, 8) - result.test_accuracy) < 0.02
    graph = read_checkpoint(result.checkpoint)
    assert not graph.of_type(BatchNorm) and graph.name == "mnist-lif"
    levels = np.unique(graph.nodes["fc1"].weight[0])  # type: ignore[union-attr]
    assert len(levels) <= 3
    other = compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=8)).remarks
    assert other == ["was trained with weights of 2 bits; --bits 2 keeps those integers"]
    assert compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=2)).remarks == []


def test_the_same_seed_gives_the_same_integers_also_when_resumed(bundled: Dataset, tmp_path: Path) -> None:
    how = Training("mnist", 2, batch_size=50, bits=3)
    recipe = Recipe("tiny", "a test", convolutional("tiny", "4C5-P4-20-10", 2, LIF, dropout=0.1), how)

    class Stopped(Exception):
        pass

    def stop(epoch: int, batch: int, *_: Any) -> None:
        if (epoch, batch) == (2, 3):
            raise Stopped

    whole = training.train(recipe, tmp_path / "whole.pt", limit=300)
    with pytest.raises(Stopped):
        training.train(recipe, tmp_path / "parts.pt", limit=300, progress=stop)
    parts = training.train(recipe, tmp_path / "parts.pt", limit=300)
    first, second = (torch.load(r.checkpoint)["state_dict"] for r in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_on_the_command_line(bundled: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "four.pt"
    chosen = ["--from", "mnist-lif", "--bits", "4", "--epochs", "1", "--limit", "128", "-o", str(out), "--json"]
    chosen += ["--learning-rate", "1e-4", "--scales", "kept"]
    assert CliRunner().invoke(cli, ["train", "mnist-lif", *chosen], catch_exceptions=False).exit_code == 0
    options = read_checkpoint(out).origin["training"]["options"]
    assert (options["start"], options["bits"], options["learning_rate"]) == ("mnist-lif", 4, 1e-4)
    assert options["scales"] == "kept"
    with pytest.raises(UnsupportedError, match="dsr neurons only"):
        CliRunner().invoke(cli, ["train", "mnist-lif", *chosen[:-4], "--scales", "trained"], catch_exceptions=False)
    assert CliRunner().invoke(cli, ["train", "mnist-lif", "--bits", "1"]).exit_code == 2
