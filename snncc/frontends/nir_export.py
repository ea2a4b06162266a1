"""Writes a Graph as NIR: a standard part that any NIR reader opens, and our metadata, which loses nothing.

The standard part speaks the dialect ``euler`` with dt = 1 (one unit of NIR time is one step), from the Graph's a, b,
g, k:

====================  ===========================================================================================
fires, b = 1          IF: r = g
fires, b < 1          LIF: τ = 1/(1 − b), r = g/(1 − b), v_leak = k/(1 − b)
fires, with a         CubaLIF: besides τ_syn = 1/(1 − a), w_in = τ_syn
does not fire         I, LI, CubaLI in the same way
spike_value ≠ 1       a Scale behind the neuron
delay d               a Delay of d; a loop implies one step, so there a Delay of d − 1
Identity              a Scale of 1
====================  ===========================================================================================

NIR has no word for the rest (reset by subtraction or in the next step, ``>=``, levels, signed, v_init, v_min, a bias
of an IF): it stands in the metadata only, and reading the file under a dialect loses it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.files import written_beside
from snncc.frontends.nir_file import MAX_NAME, Parameter, RawNode, digest
from snncc.frontends.nir_loops import loops
from snncc.frontends.nir_metadata import encode
from snncc.ir.dynamics import Dynamics, Value
from snncc.ir.graph import Graph
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Scale,
    SumPool2d,
)
from snncc.ir.shapes import infer_shapes, input_shape

Array = np.ndarray
Shape = tuple[int, ...]

NIR_VERSION = "1.0"
"""Version of the NIR layout that is written."""
LEAST_LEAK = 2.0**-40
"""A leak of 0 has an infinite time constant; in a population where some neurons leak, it is written as this."""
COMPRESS_FROM = 1024
"""Bytes from which on a data set is compressed."""


def export_nir(graph: Graph, path: Path) -> None:
    """Write ``graph`` to ``path``. The file is written beside and renamed, and is the same byte for byte each time.

    Raises :class:`UnsupportedError` for a layer that NIR cannot hold, :class:`InputError` where the file cannot be
    written.
    """
    path = Path(path)
    root, names = standard_part(graph)
    parameters = {name: node.parameters for name, node in root.nodes.items()}
    text, arrays = encode(graph, names, parameters, digest(root))
    data = _file_bytes(root, text, arrays)  # in memory first: HDF5 does not survive a disk that fills up
    try:
        with written_beside(path) as beside:
            beside.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def standard_part(graph: Graph) -> tuple[RawNode, dict[str, str]]:
    """The NIR network as a tree, and the name in it of each of the Graph's nodes."""
    shapes = infer_shapes(graph)
    names = _names(graph)
    nodes: dict[str, RawNode] = {}
    outlet: dict[str, str] = {}

    def place(name: str, node: RawNode) -> str:
        unique, count = name, 1
        while unique in nodes or (unique != name and unique in taken):
            count += 1
            unique = f"{name}.{count}"
        nodes[unique] = node
        return unique

    taken = set(names.values())
    for name, node in graph.nodes.items():
        at = outlet[name] = names[name]
        nodes[at] = _standard(
            name, node, () if isinstance(node, Input) else input_shape(name, graph, shapes), shapes[name]
        )
    edges: list[tuple[str, str]] = []
    for name, node in graph.nodes.items():
        if isinstance(node, Neuron) and node.dynamics.fires and np.any(np.asarray(node.dynamics.spike_value) != 1.0):
            worth = RawNode("Scale", {"scale": _full(node.dynamics.spike_value, shapes[name])})
            outlet[name] = place(f"{names[name]}.spike_value", worth)
            edges.append((names[name], outlet[name]))
    loop = loops(list(graph.nodes), [(e.source, e.target) for e in graph.edges])
    for edge in graph.edges:
        steps = edge.delay - int(edge.delay > 0 and loop[edge.source] == loop[edge.target])
        source, target = outlet[edge.source], names[edge.target]
        if steps > 0 or (source, target) in edges:
            wait = RawNode("Delay", {"delay": _full(float(steps), shapes[edge.source])})
            middle = place(f"{names[edge.source]}.delay", wait)
            edges.append((source, middle))
            source = middle
        edges.append((source, target))
    return RawNode("NIRGraph", {}, nodes, tuple(edges)), names


def _names(graph: Graph) -> dict[str, str]:
    """Names that HDF5 can hold: those with '/', control characters, and the like become ``node_N``."""
    found: dict[str, str] = {}
    for index, name in enumerate(graph.nodes):
        plain = (
            name and name not in (".", "..") and "/" not in name and len(name) <= MAX_NAME // 8 and name.isprintable()
        )
        unique = name if plain else f"node_{index}"
        while unique in found.values() or (unique != name and unique in graph.nodes):
            unique += "_"
        found[name] = unique
    return found


def _standard(name: str, node: Node, given: Shape, shape: Shape) -> RawNode:
    """The NIR node for one of ours; ``given`` is the shape that arrives, ``shape`` the one that leaves."""
    match node:
        case Input() | Output():
            return RawNode(type(node).__name__, {"shape": np.array(shape, np.int64)})
        case Dense(weight, bias):
            return (
                RawNode("Linear", {"weight": weight})
                if bias is None
                else RawNode("Affine", {"weight": weight, "bias": bias})
            )
        case Conv1d() | Conv2d():
            return _conv(node, given)
        case SumPool2d(kernel, stride, padding) | AvgPool2d(kernel, stride, padding):
            sizes = {"kernel_size": kernel, "stride": stride, "padding": padding}
            return RawNode(type(node).__name__, {key: np.array(pair, np.int64) for key, pair in sizes.items()})
        case Flatten():
            ends = {"start_dim": np.array(0), "end_dim": np.array(-1)}
            return RawNode("Flatten", {**ends, "input_type": np.array(given, np.int64)})
        case Scale(factor):
            return RawNode("Scale", {"scale": _full(factor, shape)})
        case Identity():
            return RawNode("Scale", {"scale": np.ones(shape)})
        case Neuron(dynamics):
            return _neuron(dynamics, shape)
        case BatchNorm():
            raise UnsupportedError(
                f"{name}: NIR has no batch norm; fold it first (pass fold-batch-norm), or write ONNX or a "
                "checkpoint where no weights stand right in front of it"
            )
        case MaxPool2d():
            raise UnsupportedError(f"{name}: NIR has no max pooling; train the network with average pooling")
        case _:
            raise UnsupportedError(f"{name}: NIR has no form for a {type(node).__name__}; export before passes make it")


def _conv(node: Conv1d | Conv2d, given: Shape) -> RawNode:
    sizes: dict[str, Parameter] = {
        key: np.array(getattr(node, key), np.int64) for key in ("stride", "padding", "dilation", "groups")
    }
    bias = np.zeros(node.weight.shape[0], node.weight.dtype) if node.bias is None else node.bias
    space = np.array(given[1] if isinstance(node, Conv1d) else given[1:], np.int64)
    return RawNode(type(node).__name__, {**sizes, "weight": node.weight, "bias": bias, "input_shape": space})


def _neuron(dynamics: Dynamics, shape: Shape) -> RawNode:
    """The neuron under forward Euler with dt = 1: v += (1 − b)·(v_leak − v + r·u), c += (1 − a)·(w_in·i − c)."""
    gain = np.asarray(dynamics.input_gain, np.float64)
    held: dict[str, Parameter] = {}
    leak = 1.0 - np.asarray(dynamics.membrane_decay, np.float64)
    leaky = bool(np.any(leak > 0)) or dynamics.current_decay is not None
    if leaky:
        leak = np.maximum(leak, LEAST_LEAK)
        suffix = "" if dynamics.current_decay is None else "_mem"
        held[f"tau{suffix}"] = _full(1.0 / leak, shape)
        held["v_leak"] = _full(np.asarray(dynamics.bias) / leak, shape)
        gain = gain / leak
    if dynamics.current_decay is not None:
        slow = 1.0 / np.maximum(1.0 - np.asarray(dynamics.current_decay, np.float64), LEAST_LEAK)
        held["tau_syn"] = held["w_in"] = _full(slow, shape)
    held["r"] = _full(gain, shape)
    if dynamics.fires:
        held["v_threshold"] = _full(dynamics.threshold, shape)
        held["v_reset"] = _full(dynamics.reset_value if dynamics.reset == "to_value" else 0.0, shape)
    silent, firing = ("LI", "LIF") if leaky else ("I", "IF")
    return RawNode(("" if dynamics.current_decay is None else "Cuba") + (firing if dynamics.fires else silent), held)


def _full(value: Value, shape: Shape) -> Array:
    return np.broadcast_to(np.asarray(value, np.float64), shape).copy()


def _file_bytes(root: RawNode, text: str, arrays: Mapping[str, Array]) -> bytes:
    """The HDF5 file, made in memory."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        words = h5py.string_dtype()
        file.create_dataset("version", data=NIR_VERSION, dtype=words)
        _write_graph(file.create_group("node"), root, words)
        own = file.create_group("snncc")
        _put(own, "json", np.frombuffer(text.encode("utf8"), np.uint8))
        held = own.create_group("arrays")
        for key, value in arrays.items():
            _put(held, key, value)
    return buffer.getvalue()


def _write_graph(group: Any, graph: RawNode, words: Any) -> None:
    group.create_dataset("type", data=graph.kind, dtype=words)
    group.create_dataset("edges", data=np.array(graph.edges, dtype=object), dtype=words)
    nodes = group.create_group("nodes")
    for name, node in graph.nodes.items():
        inside = nodes.create_group(name)
        inside.create_dataset("type", data=node.kind, dtype=words)
        for key, value in node.parameters.items():
            assert not isinstance(value, str)
            _put(inside, key, value)


def _put(group: Any, key: str, value: Array) -> None:
    if value.nbytes >= COMPRESS_FROM and value.ndim:
        group.create_dataset(key, data=value, compression="gzip", shuffle=True)
    else:
        group.create_dataset(key, data=value)
