"""A network without spikes (an ANN) as a description with its weights: from a zoo checkpoint, an ONNX file, or PyTorch.

What a conversion starts from. Layers feed each other by name ("inputs" everywhere), activations are of the kinds in
:data:`snncc.frontends.description.ACTIVATIONS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.checkpoint import FORMAT, check_file, load_plain, zoo_parts
from snncc.frontends.description import ACTIVATIONS, INPUT, OUTPUT, graph_of
from snncc.frontends.onnx_ann import AnnGraph, Relu, read_ann
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    MaxPool2d,
    Node,
    Scale,
    SumPool2d,
)
from snncc.models.checkpoint import filled
from snncc.models.module import SpikingNetwork
from snncc.models.networks import PIXEL_SCALE, READOUT_NEURON, Description, Layer, wired

NORMALISE = "normalise"
TINY_EPS = 1e-12
"""Of the variance of a normalisation, which is known; a batch norm's is above 0."""


@dataclass(frozen=True)
class InputFormat:
    """What the integers of a data set are to a network of others; zoo checkpoints say it themselves.

    Attributes:
        shape: of a sample, for a PyTorch module; None: the file says it.
        scale: what one unit is worth, before ``mean`` and ``std``.
        mean, std: of each channel, as ``torchvision.transforms.Normalize`` takes them: (x·scale − mean)/std; empty: none.
    """

    shape: tuple[int, ...] | None = None
    scale: float = PIXEL_SCALE
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise InputError(f"--input-scale is {self.scale:g}; what one unit of the data is worth is a number above 0")


@dataclass(frozen=True, eq=False)
class Ann:
    """An ANN: its description (one step) and its weights."""

    description: Description
    state: Mapping[str, Tensor]

    def module(self) -> SpikingNetwork:
        """Runs it, in evaluation mode."""
        return filled(self.description, self.state)


def read_ann_file(path: Path, arch: str | None = None, entry: InputFormat | None = None) -> Ann:
    """The ANN in ``path``: a zoo checkpoint, an ``.onnx`` file, or weights for the module that ``arch`` (package.module:factory)
    builds. Raises :class:`SnnccError` naming the file and the layer that no conversion takes."""
    entry = entry or InputFormat()
    try:
        if arch is not None:
            from snncc.frontends.torch_ann import ann_of
            from snncc.frontends.torch_files import read_module

            if entry.shape is None:
                raise InputError("weights do not say how large a sample is; say so: --input-shape 3,32,32")
            return describe_ann(ann_of(read_module(path, arch), entry.shape), path.stem, entry)
        if path.suffix.lower() == ".onnx":
            return describe_ann(read_ann(path), path.stem, entry)
        return _zoo_ann(path, entry)
    except SnnccError as error:
        if str(error).startswith((str(path), path.name)):
            raise
        raise type(error)(f"{path}: {error}") from error


def _zoo_ann(path: Path, entry: InputFormat) -> Ann:
    check_file(path)
    content = load_plain(path, path)
    description, arrays = zoo_parts(path, content)
    if entry != InputFormat():
        raise InputError(f"a {FORMAT} says everything about its input itself; leave its options out")
    graph_of({**description, "layers": [_spiking(layer) for layer in _layers(description)]}, arrays, {})
    checked = {**description, "layers": wired(_layers(description))}
    _need_ann(checked)
    return Ann(checked, {name: torch.from_numpy(array) for name, array in arrays.items()})


def _spiking(layer: Layer) -> Layer:
    """An activation as a neuron of that threshold, so that the reader of untrusted networks checks shapes and bounds."""
    if layer.get("kind") not in ACTIVATIONS:
        return layer
    kept: Layer = {key: layer[key] for key in ("name", "inputs") if key in layer}
    return kept | {"kind": "neuron", "threshold": layer.get("bound", 1.0)}


def _layers(description: Mapping[str, Any]) -> list[Layer]:
    layers = description.get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, Mapping) for layer in layers):
        raise InputError("network: layers must be a list of tables")
    return [dict(layer) for layer in layers]


def _need_ann(description: Description) -> None:
    kinds = [layer["kind"] for layer in description["layers"]]
    spiking = [x["name"] for x in description["layers"] if x["kind"] == "neuron" and x.get("fires", True)]
    if spiking:
        raise UnsupportedError(f"{spiking[0]}: fires already; snncc compile takes this network as it is")
    if not any(kind in ACTIVATIONS for kind in kinds):
        raise UnsupportedError("has no ReLU or clip, so there is nothing to make spike")
    delayed = any("@" in source for layer in description["layers"] for source in layer["inputs"])
    over_time = delayed or description["time_steps"] != 1 or description["input"]["encoding"] != "static"
    if over_time or description["output"].get("each_step") or "time_weights" in description["output"]:
        raise UnsupportedError("is no ANN: it runs over time; only a network of one step on static input is converted")
    for layer in description["layers"]:
        fields = {key: value for key, value in layer.items() if key not in ("name", "kind", "inputs", "surrogate")}
        if layer["kind"] == "neuron" and (layer is not description["layers"][-1] or fields != READOUT_NEURON):
            raise UnsupportedError(f"{layer['name']}: only a last layer that sums ({READOUT_NEURON}) is converted")


def describe_ann(ann: AnnGraph, name: str, entry: InputFormat) -> Ann:
    """An :class:`AnnGraph` as a description with weights; layers are renamed where a description needs it."""
    reached = _ancestors(ann)
    names = {ann.input: INPUT} | _plain_names([n for n in ann.nodes if n in reached])
    shape = ann.shapes[ann.input]
    layers: list[Layer] = []
    state: dict[str, Tensor] = {}
    if entry.mean or entry.std:
        names[ann.input] = NORMALISE
        layers.append({"name": NORMALISE, "inputs": [INPUT], **_normalise(entry, shape[0], state)})
    for original, node in ann.nodes.items():
        if original in reached:
            fields, tensors = _WRITERS[type(node)](node)
            inputs = [names[source] for source in ann.sources[original]]
            layers.append({"name": names[original], "inputs": inputs, **fields})
            state |= {f"{names[original]}.{key}": torch.tensor(value) for key, value in tensors.items()}
    if not layers or layers[-1]["kind"] in ACTIVATIONS:
        raise UnsupportedError("ends in an activation; drop it: the last layer with weights sums and does not spike")
    description = {
        "name": re.sub(r"[^A-Za-z0-9_-]", "_", name)[:100] or "ann",
        "time_steps": 1,
        "input": {"shape": list(shape), "encoding": "static", "scale": entry.scale, "low": 0, "high": 255},
        "layers": layers,
        "output": {"readout": "summed_current", "ties": "lowest_index"},
    }
    _need_ann(description)
    return Ann(description, state)


def _ancestors(ann: AnnGraph) -> set[str]:
    reached, waiting = set(), [ann.output]
    while waiting:
        name = waiting.pop()
        if name not in reached and name != ann.input:
            reached.add(name)
            waiting += ann.sources[name]
    return reached


def _plain_names(originals: list[str]) -> dict[str, str]:
    """A name of letters, digits and '_' for each, all different, none that a description or a module has taken."""
    taken = {INPUT, OUTPUT, NORMALISE}
    names: dict[str, str] = {}
    for original in originals:
        stem = re.sub(r"[^A-Za-z0-9_]+", "_", original).strip("_")[:80] or "layer"
        stem = f"layer_{stem}" if not stem[0].isalpha() or hasattr(SpikingNetwork, stem) else stem
        name, number = stem, 2
        while name in taken or name in ("training", "description", "time_steps", "inputs", "last"):
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names[original] = name
    return names


def _normalise(entry: InputFormat, channels: int, state: dict[str, Tensor]) -> Layer:
    """Normalisation of the input as a batch norm with these statistics."""
    mean, std = (np.asarray(v or (d,), np.float32) for v, d in ((entry.mean, 0.0), (entry.std, 1.0)))
    for key, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise InputError(f"--{key} has {len(values)} numbers; the input has {channels} channels")
    if not (std > 0).all():
        raise InputError(f"--std is {std.min():g}; a deviation is above 0")
    rows: dict[str, np.ndarray] = {
        "running_mean": mean,
        "running_var": std**2,
        "weight": np.ones(1),
        "bias": np.zeros(1),
    }
    for key, values in rows.items():
        state[f"{NORMALISE}.{key}"] = torch.tensor(np.broadcast_to(values, (channels,)).astype(np.float32))
    return {"kind": "batch_norm", "channels": channels, "eps": TINY_EPS}


def _convolution(node: Any) -> tuple[Layer, dict[str, Any]]:
    out, per_group, *kernel = node.weight.shape
    flat = isinstance(node, Conv1d)
    sizes: dict[str, Any] = {
        "kernel": kernel,
        "stride": node.stride,
        "padding": node.padding,
        "dilation": node.dilation,
    }
    sizes = {key: int(value[0] if key == "kernel" else value) if flat else list(value) for key, value in sizes.items()}
    fields = {
        "kind": "conv1d" if flat else "conv2d", "in_channels": per_group * node.groups, "out_channels": out,
        **sizes, "groups": node.groups, "bias": node.bias is not None,
    }  # fmt: skip
    return fields, _weights(node)


def _dense(node: Any) -> tuple[Layer, dict[str, Any]]:
    out, into = node.weight.shape
    return {"kind": "dense", "in_features": into, "out_features": out, "bias": node.bias is not None}, _weights(node)


def _weights(node: Any) -> dict[str, Any]:
    return {"weight": node.weight} | ({} if node.bias is None else {"bias": node.bias})


def _batch_norm(node: Any) -> tuple[Layer, dict[str, Any]]:
    tensors = {"running_mean": node.mean, "running_var": node.var, "weight": node.weight, "bias": node.bias}
    return {"kind": "batch_norm", "channels": len(node.mean), "eps": float(node.eps)}, tensors


def _pool(kind: str) -> Callable[[Any], tuple[Layer, dict[str, Any]]]:
    def write(node: Any) -> tuple[Layer, dict[str, Any]]:
        return {"kind": kind, **{k: list(getattr(node, k)) for k in ("kernel", "stride", "padding")}}, {}

    return write


def _scale(node: Any) -> tuple[Layer, dict[str, Any]]:
    return {"kind": "scale", "factor": np.asarray(node.factor).tolist()}, {}


def _relu(node: Any) -> tuple[Layer, dict[str, Any]]:
    return {"kind": "relu"} if node.upper is None else {"kind": "clip", "bound": float(node.upper)}, {}


_WRITERS: Mapping[type[Node | Relu], Callable[[Any], tuple[Layer, dict[str, Any]]]] = {
    Conv1d: _convolution,
    Conv2d: _convolution,
    Dense: _dense,
    BatchNorm: _batch_norm,
    AvgPool2d: _pool("avg_pool2d"),
    SumPool2d: _pool("sum_pool2d"),
    MaxPool2d: _pool("max_pool2d"),
    Flatten: lambda node: ({"kind": "flatten"}, {}),
    Identity: lambda node: ({"kind": "identity"}, {}),
    Scale: _scale,
    Relu: _relu,
}
