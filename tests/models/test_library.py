"""Networks of a user's own: the neuron in any module, the training loop, and the way to the compiler."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import snncc
from snncc.compiler import compile_graph
from snncc.data import Dataset, load
from snncc.errors import GraphError, InputError
from snncc.ir.dynamics import Dynamics
from snncc.models import Neuron, Stepped, fit, library
from snncc.models.neurons import SpikingNeuron, Surrogate
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import RunOptions

ROOT = Path(__file__).parents[2]
FORMS = [
    {"threshold": 0.7, "membrane_decay": 0.5, "reset": "to_value"},
    {"threshold": 0.5, "levels": 3, "reset_timing": "next_step", "compare": ">", "spike_value": 2.0},
    {"threshold": 0.5, "current_decay": 0.5, "membrane_decay": 0.9, "signed": True},
    {"fires": False, "membrane_decay": 0.8},
]


@pytest.mark.parametrize("fields", FORMS)
def test_step_by_step_is_all_steps_at_once(fields: dict[str, object]) -> None:
    torch.manual_seed(0)
    current = torch.randn(7, 3, 5)
    neuron = Neuron(**fields)
    once = SpikingNeuron(Dynamics(**fields), Surrogate())(current, 7)  # type: ignore[arg-type]
    if neuron.dynamics.fires:
        once = once * neuron.dynamics.spike_value
    for _ in range(2):  # the second time from the start again
        neuron.reset()
        assert torch.equal(torch.stack([neuron(i) for i in current]), once)


def small(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), Neuron(threshold=0.5, membrane_decay=0.5, levels=2),
        nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(144, 10),
    )  # fmt: skip


def test_what_was_trained_is_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = load("mnist:demo")
    assert demo.labels is not None
    parts = {"mnist:train": slice(0, 800), "mnist:test": slice(800, 1000)}
    monkeypatch.setattr(library, "load", lambda n: Dataset(n, demo.inputs[parts[n]], demo.labels[parts[n]], ""))
    torch.set_num_threads(1)
    net = small(0.1)
    lines: list[library.Epoch] = []
    log = fit(net, "mnist", time_steps=3, epochs=3, progress=lines.append, batch_size=32, learning_rate=1e-2)
    assert log == lines and log[-1].train_loss < log[0].train_loss
    assert log[-1].test_accuracy > 0.6
    graph = snncc.from_torch(net, torch.zeros(1, 1, 28, 28), time_steps=3, encoding="static", scale=1 / 255, high=255)
    assert graph.origin["parity"]["differing"] == 0
    made = compile_graph(graph, get_target("fixed-sim"))
    images, labels = demo.inputs[800:], demo.labels[800:]
    run = get_target("fixed-sim").run(made.program, None, images, RunOptions(record=True))
    assert np.array_equal(run.scores[:20], run_reference(made.program, images[:20]).scores)
    with torch.no_grad():
        answers = Stepped(net, 3)(torch.from_numpy(images)).argmax(1).numpy()
    assert (run.predictions == answers).mean() > 0.98
    assert abs((run.predictions == labels).mean() - log[-1].test_accuracy) < 0.02


def test_the_same_seed_trains_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = load("mnist:demo", 64)
    monkeypatch.setattr(library, "load", lambda n: Dataset(n, demo.inputs, demo.labels, ""))
    torch.set_num_threads(1)
    first, second = small(0.5), small(0.5)
    fit(first, "mnist", 2, 1, seed=4, batch_size=16)
    fit(second, "mnist", 2, 1, seed=4, batch_size=16)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_bad_use_is_said() -> None:
    with pytest.raises(GraphError, match="threshold is -1"):
        Neuron(threshold=-1.0)
    with pytest.raises(InputError, match="'mean'; known are sum, last"):
        Stepped(small(), 2, readout="mean")
    with pytest.raises(InputError, match="time_steps is 0"):
        Stepped(small(), 0)
    with pytest.raises(InputError, match="batchsize"):
        fit(small(), "mnist", 2, 1, batchsize=3)


def test_the_readme_shows_the_example() -> None:
    example = (ROOT / "docs/examples/fashion.py").read_text(encoding="utf-8")
    assert f"```python\n{example}```" in (ROOT / "README.md").read_text(encoding="utf-8")
    net = runpy.run_path(str(ROOT / "docs/examples/fashion.py"))["build"]()
    assert Stepped(net, 2)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
