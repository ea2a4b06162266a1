"""Does the Graph do what the module does? Both run on the same random input, and every neuron's output is compared."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np

from snncc.errors import GraphError, UnsupportedError
from snncc.frontends.torch_run import Calling, run_module
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.interpreter import input_values, run_graph
from snncc.ir.nodes import Input, Neuron

Array = np.ndarray
SEED = 0
TOLERANCE = 1e-4
"""Of membranes, relative to the largest one: float32 sums in another order."""


def copied(module: Any) -> Any:
    """A copy in evaluation mode; the user's module keeps its state. Raises :class:`UnsupportedError` where it has no copy."""
    try:
        try:
            made = copy.deepcopy(module)
        except AttributeError:  # sinabs's recurrent layers have no working deepcopy
            made = pickle.loads(pickle.dumps(module))
    except (RuntimeError, TypeError, AttributeError, pickle.PicklingError) as error:
        raise UnsupportedError(
            f"{type(module).__name__}: cannot be copied ({error}); reset the states of its neurons, or build it anew"
        ) from error
    return made.eval()


def check_parity(graph: Graph, module: Any, calling: Calling, samples: int) -> dict[str, Any]:
    """Facts for the report. Raises :class:`GraphError` naming the first layer and step that differ.

    In float32 a sum in another order may turn a membrane that is within a rounding of its threshold. So where float32
    differs, float64 decides, and the report says both.
    """
    inputs = _random_input(graph, samples)
    try:
        first, cells, spikes = _differences(graph, module, calling, inputs, np.float32)
    except (RuntimeError, ValueError, IndexError) as error:
        raise UnsupportedError(
            f"{graph.name}: the module fails on a random batch of {samples} ({error}); the example must be one it takes"
        ) from error
    facts = {"samples": samples, "steps": graph.time_steps, "cells": cells, "spikes": spikes, "differing": len(first)}
    if not first:
        return {**facts, "dtype": "float32"}
    try:
        exact, _, _ = _differences(graph, _widened(copied(module)), calling, inputs, np.float64)
    except RuntimeError:  # Rockpool keeps its states in float32
        exact = first
    if exact:
        raise GraphError(
            f"{graph.name}: the Graph does not do what the module does: {exact[0]}; where the values are so large that "
            "float32 rounds them to whole spikes, scale the weights down; else please report it"
        )
    return {**facts, "differing": 0, "dtype": "float64", "differing_in_float32": first}


def _widened(module: Any) -> Any:
    """The module in float64, and what its layers take: snnTorch's spikes are float32 whatever the type of its states."""
    import torch

    def widen(_module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in given)

    made = module.double()
    for layer in made.modules():
        layer.register_forward_pre_hook(widen)
    return made


def _random_input(graph: Graph, samples: int) -> Array:
    node = graph.nodes[graph.input]
    assert isinstance(node, Input)
    shape = (samples, *node.shape) if node.encoding == "static" else (graph.time_steps, samples, *node.shape)
    return np.random.default_rng(SEED).integers(node.low, node.high, shape, endpoint=True)


def _differences(graph: Graph, module: Any, calling: Calling, inputs: Array, dtype: Any) -> tuple[list[str], int, int]:
    """(a line for every neuron that differs, in the order of the network; compared cells; spikes)."""
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)
    real = input_values(entry, inputs, dtype)
    if entry.encoding == "static" and calling.layout != "loop":
        real = np.broadcast_to(real, (graph.time_steps, *real.shape)).copy()
    theirs, result = run_module(module, calling, real)
    arrived: list[Array] = []

    def observe(name: str, step: int, value: Array) -> None:
        if name == graph.output:
            arrived.append(value)

    ours = run_graph(graph, inputs, dtype=dtype, record_membranes=True, observe=observe)
    lines, cells, spikes = [], 0, 0
    for name, node in graph.nodes.items():
        if not isinstance(node, Neuron):
            continue
        cells += theirs[name].size
        if node.dynamics.fires:
            mine = ours.spikes[name].astype(dtype) * np.asarray(node.dynamics.spike_value, dtype)
            spikes += int(np.abs(ours.spikes[name]).sum())
            wrong = mine != theirs[name] if mine.shape == theirs[name].shape else None
        else:
            mine = ours.membranes[name]
            wrong = None
            if mine.shape == theirs[name].shape:
                wrong = ~(np.abs(mine - theirs[name]) <= TOLERANCE * max(1.0, float(np.abs(mine).max())))
        if wrong is None:
            lines.append(f"{name}: the module puts out {theirs[name].shape}, the Graph {mine.shape} (T, N, …)")
        elif wrong.any():
            step = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
            lines.append(f"{name} differs first in step {step}: {int(wrong.sum())} of {wrong.size} cells in all")
    if not lines and result is not None and readout_neuron(graph) is None:
        lines = _last_layer(graph.output, np.stack(arrived), result)
    return lines, cells, spikes


def _last_layer(name: str, mine: Array, theirs: Array) -> list[str]:
    """A line where the outputs (T, N, …) of a layer that is no neuron differ, or their sum or mean over the steps does."""
    for value in (mine, mine.sum(axis=0), mine.mean(axis=0)):
        if value.shape == theirs.shape and np.allclose(value, theirs, TOLERANCE, TOLERANCE):
            return []
    return [
        f"{name}: the last layer gives {mine.shape} (T, N, …), and the module returns {theirs.shape} with other values"
    ]
