"""The live module against the Graph that was read of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from snncc.diff.framework import framework_stage
from snncc.diff.stages import FLOAT32, Stage, read_stage
from snncc.diff.walk import walk
from snncc.errors import InputError
from snncc.frontends import load_model
from snncc.ir.graph import Graph
from snncc.models import Neuron
from snncc.models.recipes import RECIPES

OPTIONS = {"arch": "", "input_shape": "6", "time_steps": "5", "input_encoding": "spikes"}


def build() -> nn.Module:
    last = Neuron(fires=False, membrane_decay=0.5)
    return nn.Sequential(nn.Linear(6, 5), Neuron(threshold=1.0, membrane_decay=0.75), nn.Linear(5, 3), last)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    torch.manual_seed(0)
    module = build()
    with torch.no_grad():
        module[0].weight.mul_(4)
    path = tmp_path / "net.pt"
    torch.save(module.state_dict(), path)
    code = tmp_path / "own_net.py"
    code.write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    return path, {**OPTIONS, "arch": f"{code}:build"}


def data(graph: Graph) -> np.ndarray:
    return (np.random.default_rng(0).random((graph.time_steps, 8, 6)) < 0.5).astype(np.int64)


def compared(live: Stage, graph: Graph, x: np.ndarray):  # type: ignore[no-untyped-def]
    return walk([live, read_stage(graph, may=FLOAT32)], graph.nodes[graph.input], x, None).steps[0]  # type: ignore[arg-type]


def test_a_module_of_ones_own(saved: tuple[Path, dict[str, str]]) -> None:
    path, options = saved
    graph = load_model(path, options)
    live, x = framework_stage(path, options, graph), data(graph)
    step = compared(live, graph, x)
    firing = graph.nodes["1"].dynamics  # type: ignore[union-attr]
    assert step.cause == "same" and step.layers[0].rate_before > 0.1
    readout = next(layer for layer in step.layers if layer.layer == "3")
    assert readout.rate_before is None and readout.differing == 0
    wrong = graph.with_nodes({"1": replace(graph.nodes["1"], dynamics=firing.with_(threshold=1.25))})  # type: ignore[type-var]
    module = build()
    module.load_state_dict(torch.load(path, weights_only=True))
    expected = _first_by_hand(module, x, 1.25)
    step = compared(live, wrong, x)
    assert step.cause == "fault" and step.first is not None
    assert (step.first.layer, step.first.step, step.first.sample, step.first.neuron) == ("1", *expected)
    late = graph.with_nodes(
        {"3": replace(graph.nodes["3"], dynamics=graph.nodes["3"].dynamics.with_(membrane_decay=0.625))}
    )  # type: ignore[union-attr,type-var]
    step = compared(live, late, x)
    assert step.cause == "fault" and step.first is None and step.fault is not None
    assert (step.fault.layer, step.fault.quantity, step.fault.step) == (
        "3",
        "membrane",
        1,
    )  # at 0 nothing has leaked yet


def _first_by_hand(module: nn.Module, x: np.ndarray, threshold: float) -> tuple[int, int, tuple[int, ...]]:
    weight, bias = (p.detach().numpy().astype(float) for p in (module[0].weight, module[0].bias))  # type: ignore[index]
    v, w = np.zeros((2, x.shape[1], 5))
    for t, frame in enumerate(x):
        current = frame @ weight.T + bias
        v, w = 0.75 * v + current, 0.75 * w + current
        a, b = v >= 1.0, w >= threshold
        if (a != b).any():
            sample, neuron = np.argwhere(a != b)[0]
            return t, int(sample), (int(neuron),)
        v, w = v - a, w - threshold * b
    raise AssertionError("the fault changes nothing")


def test_a_recurrent_network_of_the_zoo() -> None:
    path = RECIPES["ecg-recurrent"].checkpoint
    whole = load_model(path)
    live = framework_stage(path, {}, whole)
    rng = np.random.default_rng(0)
    node = whole.nodes[whole.input]
    x = (rng.random((whole.time_steps, 1, *node.shape)) < 0.05).astype(np.int64)  # type: ignore[union-attr]
    step = compared(live, whole, x)
    assert step.cause in ("same", "ties") and step.layers[0].cells > 10_000


def test_a_file_without_a_module(tmp_path: Path) -> None:
    graph = load_model(RECIPES["ecg-recurrent"].checkpoint)
    with pytest.raises(InputError, match="begin at @read"):
        framework_stage(tmp_path / "x.nir", {}, replace(graph, origin={"format": "NIR"}))
