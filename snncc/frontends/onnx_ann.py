"""Reads a plain ONNX network of ReLU or clipped units: what a conversion to spikes starts from.

It has no spiking neurons, so it is no :class:`~snncc.ir.graph.Graph`; :class:`AnnGraph` holds the same layers with
activations between them. Only what can be taken over exactly is read: convolutions with equal padding at both ends,
pooling without a ceiling, batch norm in evaluation mode. Everything else is refused with the node's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import GraphError, InputError, SnnccError, UnsupportedError
from snncc.frontends.onnx_file import initializer_arrays, read_model, tensor_array
from snncc.ir.linear import apply_node
from snncc.ir.nodes import AvgPool2d, BatchNorm, Conv1d, Conv2d, Dense, Flatten, Identity, MaxPool2d, Node
from snncc.ir.shapes import node_shape

Array = np.ndarray
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Relu:
    """``min(max(x, 0), upper)``; no upper end where that is None."""

    upper: float | None = None


@dataclass(frozen=True, eq=False)
class AnnGraph:
    """A network without time.

    Attributes:
        nodes: name to layer or activation, in topological order; an Identity with several sources is a residual add.
        sources: whom each node reads; several add up.
        shapes: what each node gives, channel-first without the batch; the input's under ``input``.
        input, output: names of the input and of the node whose value is the answer.
    """

    nodes: Mapping[str, Node | Relu]
    sources: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, Shape]
    input: str
    output: str


def run_ann(ann: AnnGraph, x: Array) -> Array:
    """What the network makes of ``x`` (N, *shape), in the type of ``x``."""
    values = {ann.input: x}
    for name, node in ann.nodes.items():
        first, *others = (values[s] for s in ann.sources[name])
        given = sum(others, first)
        if isinstance(node, Relu):
            values[name] = np.clip(given, 0, node.upper).astype(x.dtype)
        else:
            values[name] = apply_node(node, given)
    return values[ann.output]


def read_ann(path: Path) -> AnnGraph:
    """The network in the ONNX file at ``path``. Raises :class:`InputError` on a damaged file,
    :class:`UnsupportedError` on an operator or option that has no exact form, :class:`GraphError` where shapes do not
    fit; all name the node."""
    path = Path(path)
    model = read_model(path)
    try:
        return _Reader(path.name, model).ann()
    except SnnccError as error:
        where = "" if str(error).startswith(path.name) else f"{path.name}: "
        raise type(error)(f"{where}{error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise InputError(f"{path.name}: is damaged ({type(error).__name__}: {error})") from error


@dataclass
class Op:
    """One ONNX node: its name for messages, inputs, and attributes."""

    name: str
    kind: str
    inputs: list[str]
    attributes: dict[str, Any]

    def need(self, key: str, default: Any, *allowed: Any) -> None:
        """Raise :class:`UnsupportedError` unless the attribute has an allowed value (that of the default, else)."""
        value = self.attributes.get(key, default)
        if value not in (allowed or (default,)):
            raise UnsupportedError(f"{self.name}: {self.kind} with {key} = {value} has no exact form here")

    def whole(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """An attribute that is a list of as many whole numbers as the default."""
        value = tuple(self.attributes.get(key, default))
        if len(value) != len(default) or not all(isinstance(v, int) for v in value):
            raise UnsupportedError(f"{self.name}: {key} is {value}; {len(default)} whole numbers are needed")
        return value


@dataclass
class _Reader:
    where: str
    model: Any
    arrays: dict[str, Array] = field(default_factory=dict)
    nodes: dict[str, Node | Relu] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    home: dict[str, str] = field(default_factory=dict)

    def ann(self) -> AnnGraph:
        from onnx import helper

        graph = self.model.graph
        self.arrays.update(initializer_arrays(self.where, self.model))
        entry = self._input()
        for index, held in enumerate(graph.node):
            name = held.name or (held.output[0] if held.output else "") or f"node {index}"
            if held.domain not in ("", "ai.onnx") or held.op_type not in LAYER_READERS:
                known = ", ".join(sorted(LAYER_READERS))
                raise UnsupportedError(f"{name}: {held.op_type or 'no operator'} is not read; known are {known}")
            if name in self.shapes or not held.output or not held.output[0] or any(held.output[1:]):
                raise UnsupportedError(f"{name}: its name is not its own, or it gives not one value but more or none")
            attributes = {a.name: helper.get_attribute_value(a) for a in held.attribute}
            op = Op(name, held.op_type, list(held.input), attributes)
            if op.kind == "Constant":
                self.arrays[held.output[0]] = constant_of(self.where, op)
                continue
            self.home[held.output[0]] = self._add(op)
        if len(graph.output) != 1 or graph.output[0].name not in self.home:
            raise UnsupportedError(f"{self.where}: has {len(graph.output)} outputs; one that a layer gives is needed")
        return AnnGraph(self.nodes, self.sources, self.shapes, entry, self.home[graph.output[0].name])

    def _input(self) -> str:
        entries = [i for i in self.model.graph.input if i.name not in self.arrays]
        if len(entries) != 1:
            raise UnsupportedError(f"{self.where}: has {len(entries)} inputs; exactly one is read")
        sizes = [d.dim_value for d in entries[0].type.tensor_type.shape.dim]
        if len(sizes) < 2 or any(size < 1 for size in sizes[1:]):
            raise UnsupportedError(f"{self.where}: the input has the shape {sizes}; all but the batch must be known")
        self.shapes[entries[0].name] = tuple(sizes[1:])
        self.home[entries[0].name] = entries[0].name
        return str(entries[0].name)

    def _add(self, op: Op) -> str:
        """Add the layer of an operator, or fold a bias into the one before; returns where its value is."""
        values = tuple(self.home[i] for i in op.inputs if i in self.home)
        unknown = [i for i in op.inputs if i and i not in self.home and i not in self.arrays]
        if unknown or not values:
            raise InputError(f"{op.name}: reads {', '.join(unknown) or 'constants only'}, which no layer gives")
        given = self.shapes[values[0]]
        if op.kind == "Add" and len(values) == 1:
            return self._bias(op, values[0])
        if len(values) > 1 and (op.kind != "Add" or values[0] == values[1]):
            raise UnsupportedError(f"{op.name}: {op.kind} of {len(values)} computed values has no form here")
        if any(self.shapes[v] != given for v in values):
            raise GraphError(f"{op.name}: adds the shapes {', '.join(str(self.shapes[v]) for v in values)}")
        made = LAYER_READERS[op.kind](op, self.arrays, given)
        self.nodes[op.name], self.sources[op.name] = made, values
        self.shapes[op.name] = given if isinstance(made, Relu) else node_shape(op.name, made, given)
        return op.name

    def _bias(self, op: Op, source: str) -> str:
        """A constant added to a Dense layer or convolution that nothing else reads and that has no bias yet."""
        node = self.nodes.get(source)
        constant = next(self.arrays[i] for i in op.inputs if i in self.arrays)
        shape = self.shapes[source]
        read = any(source in others for others in self.sources.values())
        wanted = (shape[0], *(1,) * (len(shape) - 1))
        trimmed = constant.shape[1:] if constant.ndim == len(shape) + 1 and constant.shape[0] == 1 else constant.shape
        if not isinstance(node, Dense | Conv1d | Conv2d) or node.bias is not None or read or trimmed != wanted:
            raise UnsupportedError(f"{op.name}: adds a constant {constant.shape} that is not the bias of a layer")
        self.nodes[source] = replace(node, bias=constant.reshape(-1))
        for name in [i for i in op.inputs if i in self.home]:
            del self.home[name]  # nothing may read the layer without its bias any more
        return source


def constant_of(where: str, op: Op) -> Array:
    """The array of a Constant node."""
    if "value" not in op.attributes:
        raise UnsupportedError(f"{op.name}: a Constant that is no tensor is not read")
    return tensor_array(where, op.attributes["value"])


def _constant(op: Op, arrays: Mapping[str, Array], index: int, what: str) -> Array:
    name = op.inputs[index] if index < len(op.inputs) else ""
    if name not in arrays:
        raise UnsupportedError(f"{op.name}: its {what} is {'computed' if name else 'missing'}; it must be a constant")
    return arrays[name]


def _bias_of(op: Op, arrays: Mapping[str, Array]) -> Array | None:
    return _constant(op, arrays, 2, "bias").reshape(-1) if len(op.inputs) > 2 and op.inputs[2] else None


def _pads(op: Op, axes: int) -> tuple[int, ...]:
    op.need("auto_pad", b"NOTSET", b"NOTSET", b"VALID")
    pads = op.whole("pads", (0,) * 2 * axes)
    if pads[:axes] != pads[axes:]:
        raise UnsupportedError(f"{op.name}: pads {pads} differ between the two ends; only equal ones are read")
    return pads[:axes]


def _conv(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    weight, axes = _constant(op, arrays, 1, "weight"), len(given) - 1
    if axes not in (1, 2) or weight.ndim != axes + 2:
        raise UnsupportedError(
            f"{op.name}: a convolution of {given} with a kernel {weight.shape}; 1 or 2 axes are read"
        )
    padding = _pads(op, axes)
    stride, dilation = (op.whole(key, (1,) * axes) for key in ("strides", "dilations"))
    groups = int(op.attributes.get("group", 1))
    if axes == 1:
        return Conv1d(weight, _bias_of(op, arrays), stride[0], padding[0], dilation[0], groups)
    return Conv2d(weight, _bias_of(op, arrays), stride, padding, dilation, groups)  # type: ignore[arg-type]


def _gemm(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    for key, default in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        op.need(key, default)
    weight = _constant(op, arrays, 1, "weight")
    if len(op.inputs) > 2 and op.inputs[2] and _constant(op, arrays, 2, "bias").shape[:-1] not in ((), (1,)):
        raise UnsupportedError(f"{op.name}: its bias {arrays[op.inputs[2]].shape} is not one number an output")
    return Dense(weight if op.attributes.get("transB", 0) else weight.T.copy(), _bias_of(op, arrays))


def _batch_norm(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    op.need("training_mode", 0)
    weight, bias, mean, var = (_constant(op, arrays, i, w) for i, w in enumerate(("scale", "bias", "mean", "var"), 1))
    return BatchNorm(mean, var, weight, bias, float(np.float32(op.attributes.get("epsilon", 1e-5))))


def _clip(op: Op, arrays: Mapping[str, Array], given: Shape) -> Relu:
    ends = [_constant(op, arrays, i, "limit") if len(op.inputs) > i and op.inputs[i] else None for i in (1, 2)]
    low, high = (None if end is None else float(end.reshape(())) for end in ends)
    low, high = op.attributes.get("min", low), op.attributes.get("max", high)  # attributes until opset 10
    if low != 0 or (high is not None and not high > 0):
        raise UnsupportedError(f"{op.name}: clips to {low} … {high}; only 0 … a positive end is an activation of rates")
    return Relu(high)


def _pool(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    if len(given) != 3:
        raise UnsupportedError(f"{op.name}: pools the shape {given}; (C, H, W) is read")
    op.need("ceil_mode", 0)
    op.need("dilations", [1, 1])
    padding, kernel = _pads(op, 2), op.whole("kernel_shape", (0, 0))
    stride = op.whole("strides", (1, 1))
    if op.kind == "AveragePool" and any(padding):
        op.need("count_include_pad", 0, 1)
    return (MaxPool2d if op.kind == "MaxPool" else AvgPool2d)(kernel, stride, padding)  # type: ignore[arg-type]


def _global_pool(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    if len(given) != 3:
        raise UnsupportedError(f"{op.name}: pools the shape {given}; (C, H, W) is read")
    return AvgPool2d((given[1], given[2]), (given[1], given[2]))


def _flatten(op: Op, arrays: Mapping[str, Array], given: Shape) -> Node:
    if op.kind == "Flatten":
        op.need("axis", 1)
        return Flatten()
    target = [int(size) for size in _constant(op, arrays, 1, "shape").reshape(-1)]
    if len(target) != 2 or target[0] not in (-1, 0, 1) or target[1] not in (-1, prod(given)) or sum(target) == -2:
        raise UnsupportedError(f"{op.name}: reshapes {given} to {target}; only flattening a sample is read")
    return Flatten()


LAYER_READERS: Mapping[str, Callable[[Op, Mapping[str, Array], Shape], Node | Relu]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _gemm,
    "BatchNormalization": _batch_norm,
    "Relu": lambda op, arrays, given: Relu(),
    "Clip": _clip,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "Flatten": _flatten,
    "Reshape": _flatten,
    **dict.fromkeys(("Add", "Dropout", "Identity", "Constant"), lambda op, arrays, given: Identity()),
}
ANN_OPERATORS = frozenset(LAYER_READERS)
"""What a plain network is made of."""
