"""Nodes of a projection: the sums of products, then max pooling and the shift."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.onnx_emit import Emitter
from snncc.program.program import Program, Projection, conv_shape
from snncc.targets.onnx_int.operands import CONV_ZERO, WEIGHT_BITS, Encoding
from snncc.targets.onnx_int.plan import ProjectionPlan
from snncc.targets.onnx_int.values import Values, cast, maximum, shift_right


def emit_operands(e: Emitter, values: Values, at: str, x: str, encoding: Encoding) -> tuple[str, ...]:
    """The digits, each (N, …) uint8, of ``x`` (N, …) int32."""
    if encoding.count == 1:
        moved = e.op(at, "Add", x, values.number(encoding.zero, np.int32)) if encoding.zero else x
        return (cast(e, at, moved, np.uint8),)
    x = cast(e, at, x, np.int64)
    x = e.op(at, "Add", x, values.number(encoding.zero, np.int64)) if encoding.zero else x
    x = cast(e, at, x, np.uint64)
    mask = values.number((1 << encoding.bits) - 1, np.uint64)
    digits = []
    for i in range(encoding.count):
        if i:
            x = e.op(at, "BitShift", x, values.number(encoding.bits, np.uint64), direction="RIGHT")
        digits.append(cast(e, at, e.op(at, "BitwiseAnd", x, mask), np.uint8))
    return tuple(digits)


def emit_projection(
    e: Emitter, values: Values, program: Program, q: ProjectionPlan, x: str, operands: tuple[str, ...], dtype: Any
) -> str:
    """Current (N, *target shape), of ``dtype``, that ``x`` (N, *source shape) int32 causes; ``operands`` are its digits."""
    p = q.projection
    if p.kind == "sparse":
        total, kind = _sparse(e, values, program, q, x)
    else:
        total, kind = _products(e, values, program, q, operands)
    if p.pool is not None:
        total = _pooled(e, values, p, total, conv_shape(p, program.shape_of(p.source)), kind)
    left = q.exponent - p.shift
    low, high = q.low >> q.exponent, q.high >> q.exponent
    moved = left > 0 or (left < 0 and high - low + (1 << -left) >= 1 << 31)  # sums of 32 bits may become wider
    if moved and kind is np.int32:
        total, kind = cast(e, p.name, total, np.int64), np.int64
    if left < 0:
        total = shift_right(e, values, p.name, total, -left, low, kind)
    elif left > 0:
        total = e.op(p.name, "Mul", total, values.number(1 << left, kind))
    return total if kind is dtype else cast(e, p.name, total, dtype)


def _products(
    e: Emitter, values: Values, program: Program, q: ProjectionPlan, operands: tuple[str, ...]
) -> tuple[str, Any]:
    """(Σ w·x over ``2**exponent``, its type): a product for each digit of x and of the weights."""
    assert q.encoding is not None
    p, encoding = q.projection, q.encoding
    terms = []
    for i, weight in enumerate(q.digits):
        name = f"{p.name}.weight" + (f"@{i}" if len(q.digits) > 1 else "")
        for j, (operand, zero) in enumerate(zip(operands, encoding.zeros, strict=True)):
            if p.kind == "conv":
                terms.append((_conv(e, values, p, name, weight, operand, zero), WEIGHT_BITS * i + encoding.bits * j))
            else:
                terms.append(
                    (_dense(e, values, program, p, name, weight, operand, zero), WEIGHT_BITS * i + encoding.bits * j)
                )
    if len(terms) == 1:
        return terms[0][0], np.int32
    total = ""
    for term, places in terms:
        term = cast(e, p.name, term, np.int64)
        term = e.op(p.name, "Mul", term, values.number(1 << places, np.int64)) if places else term
        total = e.op(p.name, "Add", total, term) if total else term
    return total, np.int64


def _dense(
    e: Emitter, values: Values, program: Program, p: Projection, name: str, weight: Any, operand: str, zero: int
) -> str:
    flat = e.op(p.name, "Flatten", operand, axis=1)
    zeros = (values.number(zero, np.uint8),) if zero else ()
    total = e.op(p.name, "MatMulInteger", flat, values.array(name, np.ascontiguousarray(weight.T)), *zeros)
    return _shaped(e, values, program, p, total)


def _conv(e: Emitter, values: Values, p: Projection, name: str, weight: Any, operand: str, zero: int) -> str:
    unsigned = (weight.astype(np.int16) + CONV_ZERO).astype(np.uint8)
    zeros = values.number(zero, np.uint8), values.number(CONV_ZERO, np.uint8)
    return e.op(
        p.name,
        "ConvInteger",
        operand,
        values.array(name, unsigned),
        *zeros,
        kernel_shape=[int(k) for k in weight.shape[2:]],
        strides=list(p.stride),
        pads=[*p.padding, *p.padding],
        dilations=list(p.dilation),
        group=p.groups,
    )


def _sparse(e: Emitter, values: Values, program: Program, q: ProjectionPlan, x: str) -> tuple[str, Any]:
    """Pick the sources, weigh them, and scatter them onto the targets, which adds up."""
    p = q.projection
    assert p.index is not None
    kind: Any = np.int32 if q.low >= -(2**31) and q.high < 2**31 else np.int64
    used = np.flatnonzero(p.weight)
    target, source = (
        values.array(f"{p.name}.{what}", row[used].astype(np.int32))
        for what, row in zip(("target", "source"), p.index, strict=True)
    )
    picked = e.op(p.name, "Gather", e.op(p.name, "Flatten", x, axis=1), source, axis=1)
    picked = picked if kind is np.int32 else cast(e, p.name, picked, kind)
    weighed = e.op(p.name, "Mul", picked, values.array(f"{p.name}.weight", p.weight[used].astype(kind)))
    targets = e.op(p.name, "Expand", target, e.op(p.name, "Shape", weighed))
    size = values.vector((int(np.prod(program.shape_of(p.target))),))
    size = e.op(p.name, "Concat", e.op(p.name, "Shape", x, start=0, end=1), size, axis=0)
    empty = e.op(p.name, "Expand", values.number(0, kind), size)
    total = e.op(p.name, "ScatterElements", empty, targets, weighed, axis=1, reduction="add")
    return _shaped(e, values, program, p, total), kind


def _shaped(e: Emitter, values: Values, program: Program, p: Projection, flat: str) -> str:
    """(N, size) in the target's shape."""
    shape = program.shape_of(p.target)
    return flat if len(shape) == 1 else e.op(p.name, "Reshape", flat, values.vector((-1, *shape)))


def _pooled(e: Emitter, values: Values, p: Projection, x: str, shape: tuple[int, ...], dtype: Any) -> str:
    """The largest of each window, along the rows and then along the columns. A shift keeps the order, so that it can wait."""
    assert p.pool is not None
    for i, axis in enumerate((2, 3)):
        kernel, stride = p.pool[i], p.pool_stride[i]
        last = (shape[1 + i] - kernel) // stride * stride
        where = values.vector((axis,)), values.vector((stride,))
        parts = [
            e.op(p.name, "Slice", x, values.vector((at,)), values.vector((at + last + 1,)), *where)
            for at in range(kernel)
        ]
        x = parts[0]
        for part in parts[1:]:
            x = maximum(e, values, p.name, x, part, dtype)
    return x
