"""What every tensor of one step is: a constant, or a :class:`~snncc.frontends.onnx_symbols.Form` over the graph inputs and
the outputs of its layers. A layer's output is a symbol of its own; elementwise operations are computed on forms.

Shapes are taken of one sample: what the file computes from a tensor's shape is computed for a batch of 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.onnx_ann import LAYER_READERS, Op, Relu, constant_of
from snncc.frontends.onnx_file import initializer_arrays
from snncc.frontends.onnx_step_ops import ELEMENTWISE, Value, fold
from snncc.frontends.onnx_symbols import Algebra, Array, Form, Shape, symbol
from snncc.ir.nodes import AvgPool2d, Conv1d, Conv2d, Identity, MaxPool2d, Node
from snncc.ir.shapes import node_shape

MAX_NODES = 20_000
MAX_CELLS = 1 << 26
"""Elements of one tensor."""
LAYERS = (
    "Conv", "Gemm", "MatMul", "BatchNormalization", "MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Reshape",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of the file: the node, what it reads, and the shape of its output without the batch."""

    node: Node
    given: Form
    shape: Shape


@dataclass
class Values:
    """The tensors of a step, by name; ``layers`` by the symbol that stands for their output."""

    algebra: Algebra = field(default_factory=Algebra)
    constants: dict[str, Array] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)

    def output(self, name: str) -> Form:
        """The tensor of a graph output. Raises :class:`UnsupportedError` where it is a constant or missing."""
        value = self.forms.get(name)
        if value is None or value.lead:
            what = "is a constant, or nothing gives it" if value is None else "has an axis in front of the batch"
            raise UnsupportedError(f"the output {name[:60]!r} {what}; one value a neuron and sample is needed")
        return value


def evaluate(where: str, model: Any) -> Values:
    """All tensors of the model's graph. Raises :class:`UnsupportedError` or :class:`InputError` naming the node."""
    values = Values()
    values.constants.update(initializer_arrays(where, model))
    for entry in model.graph.input:
        if entry.name not in values.constants:
            values.forms[entry.name] = symbol(entry.name, _input_shape(entry))
    if len(model.graph.node) > MAX_NODES:
        raise UnsupportedError(f"{where}: has {len(model.graph.node):,} nodes; up to {MAX_NODES:,} are read")
    for index, held in enumerate(model.graph.node):
        name = (held.name or (held.output[0] if held.output else "") or f"node {index}")[:80]
        if held.domain not in ("", "ai.onnx") or len([o for o in held.output if o]) != 1 or not held.output[0]:
            raise UnsupportedError(f"{name}: {held.op_type[:60]} of the domain {held.domain[:60]!r} is not read")
        if held.output[0] in values.constants or held.output[0] in values.forms:
            raise InputError(f"{name}: gives {held.output[0][:60]!r}, which is given before")
        try:
            made = _node(where, values, name, held)
        except SnnccError as error:
            start = "" if str(error).startswith(name) else f"{name}: {held.op_type[:60]} "
            raise type(error)(f"{start}{error}") from error
        if isinstance(made, Form):
            values.forms[held.output[0]] = made
        else:
            values.constants[held.output[0]] = made
    return values


def _input_shape(entry: Any) -> Shape:
    sizes = [d.dim_value for d in entry.type.tensor_type.shape.dim]
    if not sizes or any(size < 1 for size in sizes[1:]) or prod(sizes[1:]) > MAX_CELLS or len(sizes) > 8:
        raise UnsupportedError(
            f"the input {entry.name[:60]!r} has the shape {sizes}; a batch first and sizes that are known are needed"
        )
    return tuple(sizes[1:])


def _node(where: str, values: Values, name: str, held: Any) -> Value:
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in held.attribute}
    op = Op(name, held.op_type, list(held.input), attributes)
    if op.kind == "Constant":
        return constant_of(where, op)
    given: list[Value] = []
    for source in (i for i in op.inputs if i):
        if source not in values.constants and source not in values.forms:
            raise InputError(f"reads {source[:60]!r}, which nothing before it gives")
        given.append(values.forms[source] if source in values.forms else values.constants[source])
    forms = [v for v in given if isinstance(v, Form)]
    if op.kind == "Shape" and forms:
        op.need("start", 0)
        op.need("end", None)
        return np.array([1] * (forms[0].lead + 1) + list(forms[0].shape), np.int64)
    if not forms:
        return fold(op, [v for v in given if not isinstance(v, Form)])
    if op.kind in LAYERS:
        return _layer(values, op, given)
    if op.kind not in ELEMENTWISE:
        known = ", ".join(sorted({*LAYERS, *ELEMENTWISE}))
        raise UnsupportedError(f"is no operation of a step that is read; known are {known}")
    return ELEMENTWISE[op.kind](values.algebra, op, given, held.output[0])


def _layer(values: Values, op: Op, given: list[Value]) -> Form:
    x = given[0]
    if not isinstance(x, Form) or x.lead or any(isinstance(v, Form) for v in given[1:]):
        raise UnsupportedError("works on two computed values, on a constant, or with an axis in front of the batch")
    if op.kind == "Reshape" and isinstance(given[1], np.ndarray):
        target = tuple(int(s) for s in given[1].reshape(-1))
        if target[:1] in ((-1,), (0,), (1,)) and target[1:] == x.shape:
            return x
    node = LAYER_READERS[op.kind](op, values.constants, x.shape)
    assert not isinstance(node, Relu | Identity)
    shape = node_shape(op.name, node, x.shape)
    patches = prod(shape[1:]) * node.weight[0].size if isinstance(node, Conv1d | Conv2d) else 0
    windows = prod(shape) * prod(node.kernel) if isinstance(node, AvgPool2d | MaxPool2d) else 0
    if max(prod(shape), patches, windows) > MAX_CELLS:
        raise UnsupportedError(
            f"spreads out to {max(prod(shape), patches, windows):,} values; up to {MAX_CELLS:,} are read"
        )
    made = f"layer {op.name}"
    if made in values.layers:
        raise InputError("has the name of another node")
    values.layers[made] = Layer(node, x, shape)
    return symbol(made, shape)
