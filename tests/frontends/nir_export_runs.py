"""Exports a network of :mod:`nir_export_cases` with its framework's own exporter, reads it back, and runs both."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_export_cases import HIDDEN, Export, framework, nn, on_grid, torch
from torch_networks import Case, frames, own_run

from snncc.frontends.nir import read_nir
from snncc.frontends.torch_run import reset_states
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron

nir = pytest.importorskip("nir", reason="their exporters write NIR: pip install snncc[nir]")
pytest.importorskip("nirtorch", reason="every exporter needs nirtorch: make frameworks")


def network(case: Export, kind: str, seed: int) -> nn.Module:
    """Two layers of neurons, on dense or convolutional weights, of the layers that the exporter knows."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if case.framework == "rockpool":
        return _rockpool(case)
    if kind == "dense":
        layers = [nn.Linear(12, HIDDEN), case.make((HIDDEN,)), nn.Linear(HIDDEN, 9), case.make((9,))]
    elif case.framework == "norse":
        layers = [nn.Conv2d(2, 4, 3), case.make((4, 6, 6)), nn.Conv2d(4, 3, 3), case.make((3, 4, 4))]
    else:
        pool = framework("sinabs.layers").SumPool2d(2) if case.framework == "sinabs" else nn.AvgPool2d(2)
        first, second = case.make((4, 8, 8)), case.make((9,))
        layers = [nn.Conv2d(2, 4, 3, padding=1), first, pool, nn.Flatten(), nn.Linear(64, 9), second]
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            on_grid(layer, 2.5 / layer.weight[0].numel() ** 0.5, 0.05)
    if case.layout == "time_batch":
        layers = [_all_steps(layer) for layer in layers]
    return framework("norse.torch").SequentialState(*layers) if case.framework == "norse" else nn.Sequential(*layers)


def _all_steps(layer: nn.Module) -> nn.Module:
    layers = framework("spikingjelly.activation_based.layer")
    if not isinstance(layer, nn.Conv2d | nn.AvgPool2d | nn.Flatten):
        return layer
    if isinstance(layer, nn.Conv2d):
        made = layers.Conv2d(2, 4, 3, padding=1, step_mode="m")
        made.load_state_dict(layer.state_dict())
        return made
    return layers.AvgPool2d(2, step_mode="m") if isinstance(layer, nn.AvgPool2d) else layers.Flatten(step_mode="m")


def _rockpool(case: Export) -> nn.Module:
    linear = framework("rockpool.nn.modules").LinearTorch
    layers = [linear((12, 20), has_bias=True), case.make((20,)), linear((20, 9), has_bias=True), case.make((9,))]
    for layer, fan in zip(layers[::2], (12, 20), strict=True):
        on_grid(layer, 2.5 / fan**0.5, 0.05)
    return framework("rockpool.nn.combinators").Sequential(*layers)


def exported(case: Export, module: nn.Module, inputs: np.ndarray) -> Any:
    """The NIRGraph of the framework's own exporter, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return _exported(case, module, inputs)


def _exported(case: Export, module: nn.Module, inputs: np.ndarray) -> Any:
    """Norse and Rockpool keep every axis of the sample, so theirs has none for the batch."""
    x = torch.from_numpy(inputs.astype(np.float32))
    if case.framework == "snntorch":
        return framework("snntorch.export_nir").export_to_nir(module, x[0, :1], ignore_dims=[0])
    if case.framework == "spikingjelly":
        sample = x if case.layout == "time_batch" else x[0]
        return framework("spikingjelly.activation_based.nir_exchange").export_to_nir(module, sample)
    if case.framework == "sinabs":
        return framework("sinabs.nir").to_nir(module, x.transpose(0, 1).flatten(0, 1))
    if case.framework == "norse":
        return framework("norse.torch").to_nir(module, x[0, 0])
    return framework("rockpool.nn.modules.torch.nir").to_nir(module, x[0, 0])


def written(path: Path, graph: Any) -> Path:
    """The file. ``nir.write`` compresses no scalar, and writes no shape that an exporter left open."""
    if any(getattr(node, "input_shape", 0) is None for node in graph.nodes.values()):
        graph.infer_types()
    nir.write(path, graph, compression=None)
    return path


def read(case: Export, path: Path, **options: str) -> Graph:
    given = {"dialect": case.framework, "time_steps": "100", "input_encoding": "spikes", **case.options, **options}
    return read_nir(path, given)


def theirs(case: Export, module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """The framework's own run."""
    reset_states(module)
    as_case = Case(case.framework, case.neuron, case.reset, lambda size: nn.Identity(), layout=case.layout)
    return own_run(as_case, module, inputs)


def compare(case: Export, kind: str, seed: int, path: Path) -> tuple[int, int, int]:
    """(differing cells of the last layer, cells, cells that are not 0)."""
    module, inputs = network(case, kind, seed), frames(kind, seed)
    return differing(case, module, inputs, read(case, written(path, exported(case, module, inputs))))


def differing(case: Export, module: nn.Module, inputs: np.ndarray, graph: Graph) -> tuple[int, int, int]:
    """The same of a network that was read."""
    last = [name for name, node in graph.nodes.items() if isinstance(node, Neuron)][-1]
    recording = run_graph(graph, inputs, dtype=np.float32, record_membranes=True)
    expected = theirs(case, module, inputs)
    node = graph.nodes[last]
    assert isinstance(node, Neuron)
    ours = recording.spikes[last] if node.dynamics.fires else recording.membranes[last]
    assert ours.shape == expected.shape
    wrong = ours != expected if node.dynamics.fires else np.abs(ours - expected) > 1e-5 * max(1.0, np.abs(ours).max())
    return int(wrong.sum()), ours.size, int((expected != 0).sum())
