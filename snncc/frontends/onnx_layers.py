"""Stateless layers as standard ONNX operators.

onnxruntime has convolution and average pooling for float32 only. A float64 model slices the windows out and multiplies
them by the kernel, which is the same sum; it exists for exactness checks, not for speed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.frontends.onnx_emit import Emitter
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
    Pair,
    Scale,
    Sparse,
    SumPool2d,
)

Shape = tuple[int, ...]
Field = Callable[[str, Any], str]
"""(field, type) to the name of the value: the layer's constant in that type, or as it is stored for None."""
MAX_WINDOW = 4096
"""Most positions of a kernel that a float64 model unrolls."""


def emit_layer(
    body: Emitter, name: str, node: Node, x: str, given: Shape, shape: Shape, field: Field, dtype: Any
) -> str:
    """Emit what ``node`` makes of ``x`` (N, *given), which is (N, *shape); returns its name."""
    match node:
        case Dense():
            bias = () if node.bias is None else (field("bias", dtype),)
            return body.op(name, "Gemm", x, field("weight", dtype), *bias, transB=1)
        case Conv1d() | Conv2d() if dtype == np.float32:
            return _conv(body, name, node, x, field, dtype)
        case Conv1d():
            wide = body.op(name, "Unsqueeze", x, body.whole(name, [2]))
            sizes = ((1, node.stride), (0, node.padding), (1, node.dilation), (1, node.weight.shape[2]))
            return _unrolled(body, name, node, wide, *sizes, shape, field, dtype)
        case Conv2d():
            sizes = (node.stride, node.padding, node.dilation, node.weight.shape[2:])
            return _unrolled(body, name, node, x, *sizes, shape, field, dtype)
        case Sparse():
            return _sparse(body, name, node, x, field, dtype)
        case SumPool2d() | AvgPool2d() | MaxPool2d():
            return _pool(body, name, node, x, shape, field, dtype)
        case Flatten():
            return body.op(name, "Flatten", x, axis=1)
        case BatchNorm():
            raise AssertionError("batch norm is emitted with its gain and offset by emit_batch_norm")
        case Scale():
            return body.op(name, "Mul", x, field("factor", dtype))
        case Identity():
            return body.op(name, "Identity", x)
    raise UnsupportedError(f"{name}: {type(node).__name__} has no ONNX form")


def emit_batch_norm(top: Emitter, body: Emitter, name: str, x: str, rank: int, field: Field, dtype: Any) -> str:
    """``x · gain + offset``; both are made in float64 outside of the loop, as
    :func:`snncc.ir.linear.batch_norm_affine` makes them."""
    from snncc.frontends.onnx_emit import tensor_type

    mean, var, weight, bias, eps = (field(f, np.float64) for f in ("mean", "var", "weight", "bias", "eps"))
    gain = top.op(name, "Div", weight, top.op(name, "Sqrt", top.op(name, "Add", var, eps)))
    offset = top.op(name, "Sub", bias, top.op(name, "Mul", mean, gain))
    column = top.whole(name, [-1] + [1] * (rank - 1))
    to = tensor_type(dtype)
    gain, offset = (top.op(name, "Reshape", top.op(name, "Cast", c, to=to), column) for c in (gain, offset))
    return body.op(name, "Add", body.op(name, "Mul", x, gain), offset)


def _conv(body: Emitter, name: str, node: Conv1d | Conv2d, x: str, field: Field, dtype: Any) -> str:
    sizes = (node.stride, node.padding, node.dilation)
    stride, padding, dilation = ((s,) if isinstance(s, int) else s for s in sizes)
    bias = () if node.bias is None else (field("bias", dtype),)
    return body.op(
        name,
        "Conv",
        x,
        field("weight", dtype),
        *bias,
        kernel_shape=[int(k) for k in node.weight.shape[2:]],
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=node.groups,
    )


def _unrolled(
    body: Emitter, name: str, node: Conv1d | Conv2d, x: str, stride: Pair, padding: Pair, dilation: Pair, kernel: Any,
    shape: Shape, field: Field, dtype: Any,
) -> str:  # fmt: skip
    """Windows (N, C, K, OH, OW) as (N, groups, C/groups·K, OH·OW), times the kernel (groups, out/groups, C/groups·K)."""
    out, groups = node.weight.shape[0], node.groups
    places = (1, *shape[1:]) if isinstance(node, Conv1d) else shape[1:]
    windows = _windows(body, name, x, kernel, stride, padding, dilation, places, field, dtype)
    taps = prod(node.weight.shape[1:])
    patches = body.op(name, "Reshape", windows, body.whole(name, [-1, groups, taps, prod(places)]))
    weight = body.op(name, "Reshape", field("weight", dtype), body.whole(name, [groups, out // groups, taps]))
    product = body.op(name, "MatMul", weight, patches)
    made = body.op(name, "Reshape", product, body.whole(name, [-1, *shape]))
    if node.bias is None:
        return made
    column = body.whole(name, [-1] + [1] * (len(shape) - 1))
    return body.op(name, "Add", made, body.op(name, "Reshape", field("bias", dtype), column))


def _windows(
    body: Emitter, name: str, x: str, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, places: Shape,
    field: Field, dtype: Any,
) -> str:  # fmt: skip
    """(N, C, ky·kx, OH, OW): one strided slice a kernel position."""
    if prod(kernel) > MAX_WINDOW:
        raise UnsupportedError(
            f"{name}: has a kernel of {prod(kernel):,} positions; a float64 ONNX model holds up to {MAX_WINDOW:,}: use float32"
        )
    x = _padded(body, name, x, padding, "zero", field, dtype)
    axes, steps = body.whole(name, [2, 3]), body.whole(name, list(stride))
    slices = []
    for position in np.ndindex(*kernel):
        first = [int(position[i]) * dilation[i] for i in range(2)]
        last = [first[i] + (places[i] - 1) * stride[i] + 1 for i in range(2)]
        part = body.op(name, "Slice", x, body.whole(name, first), body.whole(name, last), axes, steps)
        slices.append(body.op(name, "Unsqueeze", part, body.whole(name, [2])))
    return body.op(name, "Concat", *slices, axis=2)


def _padded(body: Emitter, name: str, x: str, padding: Pair, fill: str, field: Field, dtype: Any) -> str:
    if not any(padding):
        return x
    return body.op(name, "Pad", x, body.whole(name, [0, 0, *padding, 0, 0, *padding]), field(fill, dtype))


def _pool(
    body: Emitter, name: str, node: SumPool2d | AvgPool2d | MaxPool2d, x: str, shape: Shape, field: Field, dtype: Any
) -> str:
    """Padding is a node of its own: it counts as 0 for sums and means, and onnxruntime takes any width of it there."""
    if isinstance(node, MaxPool2d):
        x = _padded(body, name, x, node.padding, "lowest", field, dtype)
        return body.op(name, "MaxPool", x, kernel_shape=list(node.kernel), strides=list(node.stride))
    if isinstance(node, AvgPool2d) and dtype == np.float32:
        x = _padded(body, name, x, node.padding, "zero", field, dtype)
        return body.op(name, "AveragePool", x, kernel_shape=list(node.kernel), strides=list(node.stride))
    if dtype == np.float32:
        x = _padded(body, name, x, node.padding, "zero", field, dtype)
        size = body.whole(name, [shape[0], 1, *node.kernel])
        from snncc.frontends.onnx_emit import tensor

        ones = body.op(name, "ConstantOfShape", size, value=tensor("", np.ones(1, dtype)))
        return body.op(name, "Conv", x, ones, kernel_shape=list(node.kernel), strides=list(node.stride), group=shape[0])
    windows = _windows(body, name, x, node.kernel, node.stride, node.padding, (1, 1), shape[1:], field, dtype)
    total = body.op(name, "ReduceSum", windows, body.whole(name, [2]), keepdims=0)
    return body.op(name, "Div", total, field("window", dtype)) if isinstance(node, AvgPool2d) else total


def _sparse(body: Emitter, name: str, node: Sparse, x: str, field: Field, dtype: Any) -> str:
    """Pick the sources, weigh them, and scatter them onto the targets, which adds up."""
    index = field("index", np.int64)
    target, source = (body.op(name, "Gather", index, body.whole(name, row), axis=0) for row in (0, 1))
    flat = body.op(name, "Reshape", x, body.whole(name, [-1, node.size_in]))
    weighed = body.op(name, "Mul", body.op(name, "Gather", flat, source, axis=1), field("weight", dtype))
    targets = body.op(name, "Expand", target, body.op(name, "Shape", weighed))
    samples = body.op(name, "Shape", flat, start=0, end=1)
    size = body.op(name, "Concat", samples, body.whole(name, [prod(node.shape)]), axis=0)
    empty = body.op(name, "Expand", field("zero", dtype), size)
    total = body.op(name, "ScatterElements", empty, targets, weighed, axis=1, reduction="add")
    return body.op(name, "Reshape", total, body.whole(name, [-1, *node.shape]))
