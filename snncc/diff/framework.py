"""The first stage: the live PyTorch module that a file stands for, run as its framework runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snncc.diff.stages import ANYTHING, FRAMEWORK, Stage
from snncc.diff.trace import Trace
from snncc.errors import InputError
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.interpreter import input_values, winners
from snncc.ir.nodes import Input, Neuron, Output

Array = np.ndarray
ZOO, MODULE = "zoo checkpoint", "torch module"
"""``origin["format"]`` of Graphs that come from a module."""


def framework_stage(path: Path, options: Mapping[str, str], graph: Graph) -> Stage:
    """The module behind ``path``, read with the same ``options`` as its ``graph``. Raises :class:`InputError` where the file
    holds no module, or the module cannot be watched."""
    kind = graph.origin.get("format")
    if kind == ZOO:
        run = _zoo_run(path, graph)
    elif kind == MODULE:
        run = _module_run(path, options, graph)
    else:
        raise InputError(f"{path}: is {kind or 'no file of PyTorch'}, which holds no live module; begin at @read")
    return Stage(FRAMEWORK, ANYTHING, run)


def _zoo_run(path: Path, graph: Graph) -> Callable[[Array], Trace]:
    """Of a zoo checkpoint: what its package's module gives for every layer."""
    import torch

    from snncc.registry import entries, get

    loaders = entries("snncc.modules")
    if not loaders:
        raise InputError(f"{path}: no installed package makes modules of zoo checkpoints; begin at @read")
    module: Any = get("snncc.modules", next(iter(loaders)))(path)

    def run(inputs: Array) -> Trace:
        with torch.no_grad():
            values = module.record(torch.from_numpy(np.ascontiguousarray(inputs)))
            scores = module.scores(values[module.last]).numpy()
        steps = graph.time_steps
        outputs = {n: values[n].expand(steps, *values[n].shape[1:]).numpy() for n in graph.of_type(Neuron)}
        return _trace(graph, outputs, scores)

    return run


def _module_run(path: Path, options: Mapping[str, str], graph: Graph) -> Callable[[Array], Trace]:
    """Of a module that the user's code builds: what its neuron layers put out."""
    from snncc.frontends.torch_files import read_live
    from snncc.frontends.torch_run import run_module

    live = read_live(path, options)
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)

    def run(inputs: Array) -> Trace:
        real = input_values(entry, inputs, np.float32)
        if entry.encoding == "static" and live.calling.layout != "loop":
            real = np.broadcast_to(real, (graph.time_steps, *real.shape)).copy()
        outputs, result = run_module(live.module, live.calling, real)
        return _trace(graph, outputs, _scores(graph, outputs, result))

    return run


def _scores(graph: Graph, outputs: Mapping[str, Array], result: Array | None) -> Array:
    """What the Graph's readout makes of the module's last layer."""
    node, name = graph.nodes[graph.output], readout_neuron(graph)
    assert isinstance(node, Output)
    last = result
    if name is not None:
        neuron = graph.nodes[name]
        assert isinstance(neuron, Neuron)
        if node.readout in ("spike_count", "weighted_count") or (
            node.readout == "membrane" and not neuron.dynamics.fires
        ):
            last = outputs[name]
    if last is None:
        raise InputError(f"{graph.name}: the module returns no scores; begin at @read")
    steps = graph.time_steps
    if last.ndim < 3 or last.shape[0] != steps:  # summed up by the module itself
        return last.reshape(len(last), -1)
    flat = last.reshape(steps, last.shape[1], -1)
    if node.each_step:
        return np.moveaxis(flat, 0, 1)
    if node.readout == "membrane":
        return flat[-1]
    weights = np.asarray(node.time_weights if node.time_weights is not None else [1] * steps, flat.dtype)
    return np.tensordot(weights, flat, 1)


def _trace(graph: Graph, outputs: Mapping[str, Array], scores: Array) -> Trace:
    """Outputs (T, N, *shape) of the neurons as spikes and membranes."""
    node = graph.nodes[graph.output]
    assert isinstance(node, Output)
    spikes, membranes = {}, {}
    for name in graph.of_type(Neuron):
        d = graph.nodes[name].dynamics  # type: ignore[union-attr]
        if d.fires:
            spikes[name] = np.rint(outputs[name] / np.asarray(d.spike_value)).astype(np.int32)
        else:
            membranes[name] = outputs[name].astype(np.float64)
    return Trace(spikes, membranes, scores, winners(scores, node.ties))
