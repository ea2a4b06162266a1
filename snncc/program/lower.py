"""From a quantised Graph to a Program: a change of notation, in which every number must already be whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, readout_neuron
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Flatten, Input, MaxPool2d, Neuron, Output, Scale, Sparse
from snncc.ir.shapes import Shape, infer_shapes
from snncc.program.program import (
    DECAY_ONE,
    Arithmetic,
    Population,
    Program,
    Projection,
    Readout,
    Source,
    check_program,
)

Array = np.ndarray


def lower(graph: Graph, arithmetic: Arithmetic, units: Mapping[str, Array] | None = None) -> Program:
    """The Program of a quantised, single-synapse Graph. ``units`` tells what one unit of each neuron's weights is worth.

    Raises :class:`UnsupportedError` naming the node that has no integer form.
    """
    shapes = infer_shapes(graph)
    source = graph.nodes[graph.input]
    assert isinstance(source, Input)
    populations, projections = [], []
    for name in graph.of_type(Neuron):
        node = graph.nodes[name]
        assert isinstance(node, Neuron)
        unit = np.asarray((units or {}).get(name, 1.0), np.float64)
        populations.append(_population(name, node.dynamics, shapes[name], unit))
        projections += [_projection(graph, shapes, edge, name) for edge in graph.incoming(name)]
    origin = dict(graph.origin)
    program = Program(
        graph.name,
        graph.time_steps,
        arithmetic,
        Source(graph.input, source.shape, source.encoding, source.low, source.high),
        tuple(populations),
        tuple(projections),
        _readout(graph),
        origin,
    )
    check_program(program)
    return program


def _whole(name: str, what: str, value: Any) -> Array:
    array = np.asarray(value, np.float64)
    rounded = np.round(array)
    if not np.array_equal(array, rounded):
        bad = float(array[array != rounded].flat[0])
        raise UnsupportedError(f"{name}: {what} is {bad:g}, no whole number; run the quantise pass first")
    if array.size and np.max(np.abs(array)) >= 2.0**53:
        raise UnsupportedError(f"{name}: {what} is {np.max(np.abs(array)):.3g}, beyond 2^53; check the model's scale")
    return np.asarray(rounded, np.int64)


def _population(name: str, d: Dynamics, shape: Shape, unit: Array) -> Population:
    gain = float(np.max(d.input_gain))
    guard_bits = round(math.log2(gain)) if gain > 0 else -1
    if guard_bits < 0 or np.any(np.asarray(d.input_gain) != 2.0**guard_bits):
        raise UnsupportedError(f"{name}: input_gain is {gain:g}, no power of two; run the quantise pass first")
    one = 2.0**guard_bits
    return Population(
        name=name,
        shape=shape,
        threshold=_whole(name, "threshold", d.threshold),
        decay_v=_whole(name, "membrane_decay · 4096", np.asarray(d.membrane_decay) * DECAY_ONE),
        bias=_whole(name, "bias", d.bias),
        v_init=_whole(name, "v_init", d.v_init),
        reset_amount=_whole(name, "reset_amount", d.subtracted),
        reset_value=_whole(name, "reset_value", d.reset_value),
        decay_u=None
        if d.current_decay is None
        else _whole(name, "current_decay · 4096", np.asarray(d.current_decay) * DECAY_ONE),
        current_bias=_whole(name, "current_bias", np.asarray(d.current_bias) * one),
        v_min=None if d.v_min is None else _whole(name, "v_min", d.v_min),
        compare=d.compare,
        levels=d.levels,
        signed=d.signed,
        reset=d.reset,
        reset_timing=d.reset_timing,
        decay_timing=d.decay_timing,
        reset_current=d.reset_current,
        current_timing=d.current_timing,
        fires=d.fires,
        guard_bits=guard_bits,
        unit=unit.reshape(-1, *(1,) * (len(shape) - 1)) if unit.size > 1 else unit.reshape(()),
    )


def _projection(graph: Graph, shapes: Mapping[str, Shape], edge: Edge, target: str) -> Projection:
    """Walk back from a neuron over [shift], [max pooling], synapse, [flatten] to the source population."""
    name, delay, shift = edge.source, edge.delay, 0
    node = graph.nodes[name]
    if isinstance(node, Scale):
        shift = _shift(name, node)
        edge = _only_edge(graph, name)
        name, delay = edge.source, delay + edge.delay
        node = graph.nodes[name]
    pool = None
    if isinstance(node, MaxPool2d):
        pool = node
        edge = _only_edge(graph, name)
        name, delay = edge.source, delay + edge.delay
        node = graph.nodes[name]
    if not isinstance(node, Dense | Conv1d | Conv2d | Sparse) or (pool and not isinstance(node, Conv2d)):
        raise UnsupportedError(f"{name}: {type(node).__name__} is no synapse; run the merge-synapses pass first")
    before = _only_edge(graph, name)
    delay += before.delay
    source = before.source
    if isinstance(graph.nodes[source], Flatten):
        flatten = _only_edge(graph, source)
        source, delay = flatten.source, delay + flatten.delay
    weight = _whole(name, "weight", node.weight)
    common: dict[str, Any] = {"name": name, "source": source, "target": target, "shift": shift, "delay": delay}
    if isinstance(node, Dense):
        return Projection(kind="dense", weight=weight, **common)
    if isinstance(node, Conv2d):
        return Projection(
            kind="conv",
            weight=weight,
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
            pool=pool.kernel if pool else None,
            pool_stride=pool.stride if pool else (1, 1),
            **common,
        )
    if isinstance(node, Conv1d):
        return _unrolled(node, shapes[source], common)
    return Projection(kind="sparse", weight=weight, index=node.index.astype(np.int64), **common)


def _only_edge(graph: Graph, name: str) -> Edge:
    edges = graph.incoming(name)
    if len(edges) != 1:
        raise UnsupportedError(f"{name}: {len(edges)} inputs add up in it; run the merge-synapses pass first")
    return edges[0]


def _unrolled(node: Conv1d, given: Shape, common: Mapping[str, Any]) -> Projection:
    """A convolution over time or a line as a sparse projection."""
    from snncc.ir.compose import matrix_node, node_matrix

    length = (given[1] + 2 * node.padding - node.dilation * (node.weight.shape[2] - 1) - 1) // node.stride + 1
    matrix = matrix_node(node_matrix(common["name"], node, given), (len(node.weight), length))
    assert isinstance(matrix, Sparse)
    return Projection(
        kind="sparse", weight=_whole(common["name"], "weight", matrix.weight), index=matrix.index, **common
    )


def _shift(name: str, node: Scale) -> int:
    factor = float(np.max(node.factor))
    shift = round(-math.log2(factor)) if factor > 0 else -1
    if shift < 0 or np.any(np.asarray(node.factor) != 2.0**-shift):
        raise UnsupportedError(f"{name}: a gain of {factor:g} is no right shift; run the merge-synapses pass first")
    return shift


def _readout(graph: Graph) -> Readout:
    node = graph.nodes[graph.output]
    assert isinstance(node, Output)
    source = readout_neuron(graph)
    if source is None:
        raise UnsupportedError(f"{graph.output}: reads no neuron; run the integrate-readout pass first")
    return Readout(source, node.readout, node.ties, node.time_weights, node.each_step)
