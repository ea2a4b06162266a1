"""Biases that give back what rounded weights take off a channel, on calibration data: of its mean current, and of its spikes."""

from __future__ import annotations

import numpy as np

from snncc.ir.graph import Graph
from snncc.ir.nodes import MaxPool2d, Neuron
from snncc.ir.shapes import infer_shapes
from snncc.passes.forward import Known, apply_path, paths_into, simulate_in_parts

Array = np.ndarray


def mean_back(
    before: Graph, graph: Graph, name: str, trained: Known, arriving: Known, unit: Array
) -> tuple[Graph, Array]:
    """(the quantised ``graph`` with what the mean current of neuron ``name`` lacks in its bias, that in guarded units (C, 1, …));
    ``before`` is the network before quantisation, which the spikes ``trained`` are of, ``arriving`` those of ``graph``."""
    neuron, shape = graph.nodes[name], infer_shapes(before)[name]
    assert isinstance(neuron, Neuron)
    lack = _mean_current(before, name, trained) / unit - _mean_current(graph, name, arriving)
    added = np.round(lack * neuron.dynamics.input_gain).reshape(-1, *(1,) * (len(shape) - 1)) + 0.0
    return _with_bias(graph, name, added), added


def rates_back(graph: Graph, name: str, wanted: Array, deployed: Known) -> tuple[Graph, Array, Array]:
    """(``graph``, what is added to the bias of neuron ``name``, its spikes then): a channel that fires a spike too few a step, of
    the ``wanted`` (T, N, C, …), gets a spike's worth of membrane a step, if that brings its counts nearer."""
    neuron, now = graph.nodes[name], deployed[name]
    assert isinstance(neuron, Neuron)
    column = (-1, *(1,) * (now.ndim - 3))  # (C, 1, …)
    nothing = np.zeros(now.shape[2]).reshape(column)
    if not neuron.dynamics.fires:
        return graph, nothing, now
    target = wanted.sum(axis=0, dtype=np.float32)
    lack = _channels(target - now.sum(axis=0, dtype=np.float32)) / graph.time_steps
    step = np.round(lack.reshape(column) * np.mean(neuron.dynamics.level_spacing)) + 0.0
    tried = simulate_in_parts(_with_bias(graph, name, step), [name], deployed)[name]
    gains = (_count_error(target, tried) < _count_error(target, now)).reshape(column)
    step = np.where(gains, step, 0.0)
    return _with_bias(graph, name, step), step, np.where(gains, tried, now)


def _with_bias(graph: Graph, name: str, added: Array) -> Graph:
    """``graph`` with ``added`` guarded units (C, 1, …) more a step on the membrane of a neuron, or on its current if it has one."""
    neuron = graph.nodes[name]
    assert isinstance(neuron, Neuron)
    d = neuron.dynamics
    if d.current_decay is None:
        return graph.with_nodes({name: Neuron(d.with_(bias=d.bias + added))})
    return graph.with_nodes({name: Neuron(d.with_(current_bias=d.current_bias + added / np.asarray(d.input_gain)))})


def _count_error(target: Array, spikes: Array) -> Array:
    """(C,) mean squared difference of the counts of spikes (T, N, C, …) from ``target`` (N, C, …)."""
    apart = spikes.sum(axis=0, dtype=np.float32)
    np.subtract(target, apart, out=apart)
    return _channels(np.square(apart, out=apart))


def _mean_current(graph: Graph, name: str, known: Known) -> Array:
    """(C,) mean of what arrives at a neuron, over samples, steps and places."""
    total = np.zeros(1)
    for path in paths_into(graph, name):
        spikes = known[path.source]
        if any(isinstance(graph.nodes[n], MaxPool2d) for n in path.nodes):
            arriving = np.mean([_channels(apply_path(graph, path, x.astype(np.float32))) for x in spikes], axis=0)
        else:  # linear: what the mean spikes bring is the mean
            arriving = _channels(apply_path(graph, path, spikes.mean(axis=(0, 1), dtype=np.float64)[None]))
        total = total + arriving * max(0, graph.time_steps - path.delay) / graph.time_steps
    return total


def _channels(x: Array) -> Array:
    """(C,) means of (N, C, …)."""
    found: Array = x.mean(axis=tuple(i for i in range(x.ndim) if i != 1), dtype=np.float64)
    return found
