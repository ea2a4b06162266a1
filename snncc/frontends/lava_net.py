"""Reads lava-dl's ``.net`` files (HDF5): Loihi networks whose integers are taken over as they are.

The file says what its neurons do (see :mod:`snncc.frontends.lava_net_layers`), so no dialect is needed. Weights, biases
and thresholds stand in the Graph in units of one weight; ``origin["whole_units"]`` says so, and quantisation then keeps
them. lava-dl counts one step of latency a layer (``delay_shift``); here, as everywhere in snncc, time is model time, in
which a layer's step t reads step t of the layer before it. So a recording of lava-dl or Lava starts some steps later.

An input layer with neurons takes an analog image x in 0..1 as a current of ``trunc(2·weight·x − weight + bias)`` in every
step (lava-dl's netx, ``hdf5.Network.create_input``). The Graph's input is that whole number; with ``input_encoding=spikes``
the input layer is left out and the Graph's input is what its neurons would fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.base import Frontend
from snncc.frontends.lava_net_file import RawLayer, RawNet, read_net_file
from snncc.frontends.lava_net_layers import Values, conv, delays, dense, dynamics
from snncc.frontends.semantics import (
    Semantics,
    collect,
    settled_input,
    settled_output,
    settled_time_steps,
)
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Conv2d, Dense, Flatten, Input, Neuron, Node, Output
from snncc.ir.shapes import Shape, infer_shapes

Array = np.ndarray
OPTIONS = ("time_steps", "input_encoding", "input_low", "input_high", "readout", "ties", "time_weights", "each_step")
USUAL_WEIGHT = 64
"""Of an input layer that gives none: netx, create_input."""
LAYERS = ("input", "dense", "conv", "flatten")
KNOWN = (
    "shape", "weight", "bias", "delay", "inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize", "stride",
    "padding", "dilation", "groups",
)  # fmt: skip
MAX_WEIGHTS = 2**26
"""Of all layers together, after those with several delays were split."""


def read_net(path: Path, options: Mapping[str, str]) -> Graph:
    """The Graph in the lava-dl file at ``path``; ``options`` are :data:`OPTIONS`, as text.

    Raises :class:`~snncc.errors.InputError` or :class:`~snncc.errors.GraphError` on a file that is damaged or makes no
    sense, :class:`~snncc.errors.UnsupportedError` on a layer, a neuron or a parameter without an exact form. Every
    message names the file or the layer.
    """
    path = Path(path)
    semantics = _semantics(path, options)
    net = read_net_file(path)
    steps, steps_from = settled_time_steps(path.name, semantics, net.time_steps)
    for layer in net.layers:
        _check_known(layer)
    made = _Network()
    source, input_from = _input(path.name, net, semantics, made)
    for layer in net.layers:
        made.add(layer)
    sink, output_from = settled_output(path.name, semantics, steps, Output("spike_count"), "default")
    made.end(path.name, sink)
    settled = {"dialect": "lava-dl", "time_steps": steps, "input_encoding": source.encoding, "readout": sink.readout}
    origin: dict[str, Any] = {
        "format": "lava-dl",
        "file": path.name,
        "semantics": {**settled, "input_low": source.low, "input_high": source.high, "ties": sink.ties},
        "semantics_from": {"dialect": "file", "time_steps": steps_from.replace("metadata", "file")}
        | {
            key: value.replace("metadata", "file")
            for key, value in (input_from | output_from).items()
            if key != "input_scale"
        },
        "arithmetic": "loihi",
        "whole_units": dict.fromkeys(made.neurons, 1.0),
    }
    if made.transform is not None:
        origin["input_transform"] = made.transform
    graph = build_graph(made.nodes, made.edges, steps, path.stem, origin)
    infer_shapes(graph)
    return graph


def _semantics(path: Path, options: Mapping[str, str]) -> Semantics:
    for key in (k.replace("-", "_") for k in options):
        if key not in OPTIONS:
            raise InputError(
                f"{path.name}: a lava-dl file says how its neurons run, and takes no option {key!r}; "
                f"it takes {', '.join(OPTIONS)}"
            )
    semantics = collect(path, options)
    for key in semantics.values:
        if key not in OPTIONS:
            raise InputError(f"{path.name}: its sidecar gives {key!r}; a lava-dl file takes {', '.join(OPTIONS)}")
    return semantics


def _check_known(layer: RawLayer) -> None:
    """Raise :class:`UnsupportedError` on a kind of layer, or a parameter of one, that has no form here."""
    if layer.kind not in LAYERS:
        raise UnsupportedError(
            f"{layer.name}: lava-dl's {layer.kind[:40]!r} layer has no exact form here; those that have are {', '.join(LAYERS)}"
        )
    if unknown := [key[:40] for key in layer.values if key not in KNOWN]:
        raise UnsupportedError(f"{layer.name}: has {', '.join(unknown[:5])}, which is not known here")


def _input(where: str, net: RawNet, semantics: Semantics, made: _Network) -> tuple[Input, dict[str, str]]:
    """The input node, added to ``made``; with neurons in the input layer it takes their currents, else spikes."""
    first = net.layers[0]
    driven = first.kind == "input" and first.neuron is not None
    encoding = semantics.values.get("input_encoding", "static" if driven else "spikes")
    if first.kind == "input":
        shape = Values(first.name, first.values).shape()
    elif first.kind == "dense":
        held = Values(first.name, first.values).array("weight").size
        shape = (held // int(np.prod(Values(first.name, first.values).shape())) or 1,)
    else:
        raise InputError(
            f"{first.name}: a {first.kind[:40]} comes first, so the input's shape is unknown; export an input layer"
        )
    low, high = (0, 1) if encoding == "spikes" else (0, 255)
    if driven and encoding != "spikes":
        values = Values(first.name, first.values)
        weight, bias = (
            values.number(key, -(2**20), 2**20) if key in first.values else usual
            for key, usual in (("weight", USUAL_WEIGHT), ("bias", 0))
        )
        made.transform = {"weight": weight, "bias": bias, "current": "trunc(2·weight·x − weight + bias), x in 0..1"}
        low, high = bias - abs(weight), bias + abs(weight)
    made.skip_input = not made.transform
    node, sources = settled_input(where, semantics, shape, Input(shape, encoding, 1.0, low, high))
    made.nodes["input"], made.last, made.shape = node, "input", shape
    return node, sources


@dataclass
class _Network:
    """The Graph as it grows: ``last`` is the node that the next layer reads, ``wait`` the delays of its spikes."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    neurons: list[str] = field(default_factory=list)
    last: str = "input"
    shape: Shape = ()
    wait: Array = field(default_factory=lambda: np.zeros((), np.int64))
    weights: int = 0
    skip_input: bool = True
    transform: dict[str, Any] | None = None

    def add(self, layer: RawLayer) -> None:
        """One layer of the file: its synapses, and its neurons."""
        if layer.kind == "input":
            if layer.name != "layer0":
                raise InputError(f"{layer.name}: is a second input layer; only the first layer can be one")
            if not self.skip_input:
                self.populate(layer, ["input"], self.shape)
        elif layer.kind == "flatten":
            self.flatten(layer.name)
        elif layer.kind == "dense":
            if len(self.shape) == 3 and self.shape[1:] == (1, 1):
                self.flatten(f"{layer.name}.flatten")
            if len(self.shape) != 1:
                raise InputError(
                    f"{layer.name}: a dense layer after shape {self.shape} needs a flatten layer between them"
                )
            node = dense(layer, self.shape[0])
            self.populate(layer, self.synapses(layer, node), (len(node.weight),))
        else:
            made, shape = conv(layer, self.shape)
            self.populate(layer, self.synapses(layer, made), shape)

    def flatten(self, name: str) -> None:
        if len(self.shape) == 1:
            return
        self.nodes[name] = Flatten()
        self.edges.append(Edge(self.last, name))
        if self.wait.size > 1:
            if np.prod(self.shape, dtype=object) > MAX_WEIGHTS:
                raise UnsupportedError(
                    f"{name}: delays of {np.prod(self.shape, dtype=object):,} neurons; the limit is {MAX_WEIGHTS:,}"
                )
            self.wait = np.broadcast_to(self.wait, self.shape).reshape(-1)
        self.last, self.shape = name, (int(np.prod(self.shape)),)

    def synapses(self, layer: RawLayer, node: Dense | Conv2d) -> list[str]:
        """One node for each delay of the spikes it reads, with the weights of the inputs that have it; their names."""
        waits = self.wait.reshape(-1, 1) if self.wait.size == 1 else self.wait.reshape(self.shape[0], -1)
        found = np.unique(waits).tolist()
        self.weights += node.weight.size * len(found)
        if self.weights > MAX_WEIGHTS:
            raise UnsupportedError(
                f"{layer.name}: {len(found)} different delays bring the weights to {self.weights:,}; the limit is {MAX_WEIGHTS:,}"
            )
        if isinstance(node, Conv2d) and np.any(waits != waits[:, :1]):
            raise UnsupportedError(
                f"{layer.name}: the spikes it reads have delays that differ within a channel; use one a channel"
            )
        names = []
        for delay in found:
            name = f"{layer.name}.{layer.kind}" + (f".delay{delay}" if len(found) > 1 else "")
            part = node.weight * _reached(node, waits[:, 0] == delay) if len(found) > 1 else node.weight
            self.nodes[name] = replace(node, weight=part)
            self.edges.append(Edge(self.last, name, int(delay)))
            names.append(name)
        return names

    def populate(self, layer: RawLayer, sources: list[str], shape: Shape) -> None:
        """The layer's neurons, fed by ``sources``."""
        self.nodes[layer.name] = Neuron(dynamics(_without_affine(layer), shape))
        self.edges += [Edge(source, layer.name) for source in sources]
        self.neurons.append(layer.name)
        self.last, self.shape, self.wait = layer.name, shape, delays(layer, shape)

    def end(self, where: str, sink: Output) -> None:
        """The output, which reads the last neurons."""
        if not self.neurons:
            raise InputError(f"{where}: has no layer with neurons; there is nothing to run")
        if self.wait.any():
            raise UnsupportedError(
                f"{self.neurons[-1]}: the last layer delays its spikes by up to {self.wait.max()} steps, which nobody reads; "
                "export it without delay"
            )
        self.nodes["output"] = sink
        self.edges.append(Edge(self.last, "output"))


def _without_affine(layer: RawLayer) -> RawLayer:
    """An input layer's weight and bias belong to its affine map, not to its neurons."""
    if layer.kind != "input":
        return layer
    values = {key: value for key, value in layer.values.items() if key not in ("weight", "bias")}
    return RawLayer(layer.name, layer.kind, values, layer.neuron)


def _reached(node: Dense | Conv2d, inputs: Array) -> Array:
    """1 where a weight belongs to one of the ``inputs`` (a mask over features or channels), shaped like the weights."""
    if isinstance(node, Dense):
        return np.broadcast_to(inputs, node.weight.shape)
    grouped = inputs.reshape(node.groups, -1)
    rows = np.repeat(grouped, len(node.weight) // node.groups, axis=0)
    return np.broadcast_to(rows[:, :, None, None], node.weight.shape)


FRONTEND = Frontend(
    name="lava-dl",
    suffixes=(".net",),
    sniff=lambda path, head: path.suffix.lower() == ".net",
    read=read_net,
    description="lava-dl networks for Loihi (.net, HDF5): integers taken over exactly",
)

__all__ = ["FRONTEND", "read_net"]
