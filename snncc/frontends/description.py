"""From a network description (plain data, as zoo checkpoints carry it) and its tensors to a Graph.

A description is ``{"name", "time_steps", "input": {…}, "layers": [{"name", "kind", …}, …], "output": {…}}``. A layer is
fed by the one before it, or by those in its "inputs", whose values add up; "input" is the network's input, and "LAYER@D" what
LAYER, which may come later, gave D steps before. Nothing in a description is trusted: every field is checked for type and
range, and a field that is not known is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.fields import Fields, Tensors, shown
from snncc.ir.dynamics import VALUE_FIELDS, Dynamics, check_dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Encoder,
    Flatten,
    Identity,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Pair,
    Scale,
    SumPool2d,
)
from snncc.ir.shapes import infer_shapes

Array = np.ndarray

INPUT, OUTPUT = "input", "output"
MAX_LAYERS = 10_000
MAX_TIME_STEPS = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_COMMON = ("name", "kind", "inputs")
_TRAINING_ONLY = "surrogate"
ACTIVATIONS = ("relu", "clip", "qcfs")
"""Kinds of layer of a network without spikes, which a conversion turns into neurons."""


def graph_of(description: Mapping[str, Any], arrays: Mapping[str, Array], origin: Mapping[str, Any]) -> Graph:
    """The Graph of a description and its weights, with all shapes checked. Raises :class:`InputError` or
    :class:`GraphError` naming the layer."""
    network = Fields("network", description)
    network.only("name", "time_steps", "input", "layers", "output")
    tensors = Tensors(arrays)
    nodes: dict[str, Node] = {INPUT: _input(network.part("input"))}
    edges: list[Edge] = []
    before = INPUT
    for layer in _layers(network):
        name = layer.where
        if name in nodes or name == OUTPUT:
            raise InputError(f"{name}: there are two layers of this name; every layer needs its own")
        sources = [parse_source(name, source) for source in _sources(layer, before)]
        kind = layer.text("kind")
        if kind in ACTIVATIONS:
            raise UnsupportedError(
                f"{name}: is a {kind} activation of a network without spikes; make it spike first: snncc convert"
            )
        if kind not in _KINDS:
            raise InputError(f"{name}: {kind[:40]!r} is no known kind of layer; known are {', '.join(_KINDS)}")
        nodes[name] = _KINDS[kind](name, layer, tensors)
        edges += [Edge(source, name, delay) for source, delay in sources]
        before = name
    tensors.check_all_taken()
    nodes[OUTPUT] = _output(network.part("output"))
    edges.append(Edge(before, OUTPUT))
    steps = network.integer("time_steps", 1)
    if steps > MAX_TIME_STEPS:
        raise InputError(f"network: time_steps is {steps}; the limit is {MAX_TIME_STEPS:,}")
    graph = build_graph(nodes, edges, steps, network.text("name"), origin)
    infer_shapes(graph)
    return graph


def parse_dynamics(name: str, fields: Mapping[str, Any]) -> Dynamics:
    """The :class:`Dynamics` with these fields; lists become float64 arrays. Raises :class:`InputError` where a field is
    unknown or of the wrong type, :class:`GraphError` where its value makes no sense."""
    known = Dynamics.__dataclass_fields__
    part = Fields(name, fields)
    part.only(*known)
    values: dict[str, Any] = {}
    for key, value in fields.items():
        if key in VALUE_FIELDS:
            values[key] = _value(part, key, value, optional=known[key].default is None)
        elif key == "levels":
            values[key] = part.integer(key, 1)
        elif key in ("signed", "fires", "reset_current"):
            values[key] = part.flag(key)
        else:
            values[key] = part.text(key)
    dynamics = Dynamics(**values)
    check_dynamics(name, dynamics)
    return dynamics


def _value(part: Fields, key: str, value: Any, optional: bool) -> float | Array | None:
    if value is None and optional:
        return None
    if not isinstance(value, list):
        return part.number(key)
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{part.where}: {key} is a list of uneven lists; it must broadcast to the shape") from None
    if array.dtype.kind not in "iuf" or array.size == 0:
        raise InputError(f"{part.where}: {key} is {shown(value)}; a number or lists of numbers are needed")
    return array.astype(np.float64)


def _layers(network: Fields) -> list[Fields]:
    """Every layer's fields, each under its own name."""
    layers = network.get("layers")
    if not isinstance(layers, list | tuple) or not 1 <= len(layers) <= MAX_LAYERS:
        raise InputError(f"network: layers must be a list of 1 to {MAX_LAYERS:,} layers")
    made = []
    for position, layer in enumerate(layers, start=1):
        if not isinstance(layer, Mapping):
            raise InputError(f"network: layer {position} is {shown(layer)}; a table of fields is needed")
        name = Fields(f"network, layer {position}", layer).text("name")
        if not _NAME.fullmatch(name):
            raise InputError(
                f"network: layer {position} is called {name[:40]!r}; a name is letters, digits, '_', '-', 100 at most"
            )
        made.append(Fields(name, layer))
    return made


def _sources(layer: Fields, before: str) -> list[str]:
    if "inputs" not in layer.values:
        return [before]
    sources = layer.get("inputs")
    if not isinstance(sources, list | tuple) or not sources or not all(isinstance(s, str) for s in sources):
        raise InputError(f"{layer.where}: inputs is {shown(sources)}; a list of layer names is needed")
    return list(sources)


def parse_source(name: str, text: str) -> tuple[str, int]:
    """(layer, delay) of ``"LAYER"`` or ``"LAYER@DELAY"`` in the "inputs" of layer ``name``."""
    source, mark, delay = text.partition("@")
    if mark and not (delay.isascii() and delay.isdigit() and 1 <= int(delay[:8]) <= MAX_TIME_STEPS):
        raise InputError(
            f"{name}: is fed by {text[:60]!r}; a delay is a whole number of steps, 1 or more: {source[:40]}@1"
        )
    return source, int(delay) if mark else 0


def _input(part: Fields) -> Input:
    part.only("shape", "encoding", "scale", "low", "high", "encoder")
    low, high = part.get("low"), part.get("high")
    if type(low) is not int or type(high) is not int or max(abs(low), abs(high)) >= 1 << 31:
        raise InputError(f"{INPUT}: the range {shown(low)}..{shown(high)} must be two 32-bit whole numbers")
    encoder = None if part.values.get("encoder") is None else _encoder(part.part("encoder"))
    return Input(part.integers("shape", 1), part.text("encoding"), part.number("scale"), low, high, encoder)


def _encoder(part: Fields) -> Encoder:
    part.only("kind", "gain", "offset", "scale", "signed", "seed")
    gain, offset = (
        part.numbers(key) if isinstance(part.get(key), list) else part.number(key) for key in ("gain", "offset")
    )
    return Encoder(part.text("kind"), gain, offset, part.number("scale"), part.flag("signed"), part.integer("seed"))


def _output(part: Fields) -> Output:
    part.only("readout", "ties", "time_weights", "each_step")
    has_weights = part.values.get("time_weights") is not None
    return Output(
        part.text("readout"),
        part.text("ties"),
        part.integers("time_weights", -(1 << 31)) if has_weights else None,
        "each_step" in part.values and part.flag("each_step"),
    )


def _conv2d(name: str, p: Fields, tensors: Tensors) -> Node:
    p.only(*_COMMON, "in_channels", "out_channels", "kernel", "stride", "padding", "dilation", "groups", "bias")
    weight, bias = _conv_tensors(name, p, tensors, p.pair("kernel", 1))
    return Conv2d(weight, bias, p.pair("stride", 1), p.pair("padding"), p.pair("dilation", 1), p.integer("groups", 1))


def _conv1d(name: str, p: Fields, tensors: Tensors) -> Node:
    p.only(*_COMMON, "in_channels", "out_channels", "kernel", "stride", "padding", "dilation", "groups", "bias")
    weight, bias = _conv_tensors(name, p, tensors, (p.integer("kernel", 1),))
    return Conv1d(
        weight, bias, p.integer("stride", 1), p.integer("padding"), p.integer("dilation", 1), p.integer("groups", 1)
    )


def _conv_tensors(name: str, p: Fields, tensors: Tensors, kernel: tuple[int, ...]) -> tuple[Array, Array | None]:
    into, out, groups = p.integer("in_channels", 1), p.integer("out_channels", 1), p.integer("groups", 1)
    if into % groups or out % groups:
        raise InputError(f"{name}: {into} input and {out} output channels do not divide into {groups} groups")
    weight = tensors.take(name, "weight", (out, into // groups, *kernel))
    return weight, tensors.take(name, "bias", (out,)) if p.flag("bias") else None


def _dense(name: str, p: Fields, tensors: Tensors) -> Node:
    p.only(*_COMMON, "in_features", "out_features", "bias")
    into, out = p.integer("in_features", 1), p.integer("out_features", 1)
    weight = tensors.take(name, "weight", (out, into))
    return Dense(weight, tensors.take(name, "bias", (out,)) if p.flag("bias") else None)


def _batch_norm(name: str, p: Fields, tensors: Tensors) -> Node:
    p.only(*_COMMON, "channels", "eps")
    shape = (p.integer("channels", 1),)
    mean, var, weight, bias = (
        tensors.take(name, key, shape) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return BatchNorm(mean, var, weight, bias, p.number("eps"))


def _pool(make: Callable[[Pair, Pair, Pair], Node]) -> Callable[[str, Fields, Tensors], Node]:
    def build(name: str, p: Fields, tensors: Tensors) -> Node:
        p.only(*_COMMON, "kernel", "stride", "padding")
        return make(p.pair("kernel", 1), p.pair("stride", 1), p.pair("padding"))

    return build


def _plain(make: Callable[[], Node], *known: str) -> Callable[[str, Fields, Tensors], Node]:
    def build(name: str, p: Fields, tensors: Tensors) -> Node:
        p.only(*_COMMON, *known)
        return make()

    return build


def _scale(name: str, p: Fields, tensors: Tensors) -> Node:
    p.only(*_COMMON, "factor")
    factor = _value(p, "factor", p.get("factor"), optional=False)
    assert factor is not None  # not optional
    return Scale(factor)


def _neuron(name: str, p: Fields, tensors: Tensors) -> Node:
    fields = {key: value for key, value in p.values.items() if key not in (*_COMMON, _TRAINING_ONLY)}
    return Neuron(parse_dynamics(name, fields))


_KINDS: dict[str, Callable[[str, Fields, Tensors], Node]] = {
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "avg_pool2d": _pool(AvgPool2d),
    "sum_pool2d": _pool(SumPool2d),
    "max_pool2d": _pool(MaxPool2d),
    "flatten": _plain(Flatten),
    "dropout": _plain(Identity, "probability", "fixed"),
    "identity": _plain(Identity),
    "scale": _scale,
    "neuron": _neuron,
}
