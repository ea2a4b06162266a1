"""Nodes of whole-number arithmetic, constants as initializers, and types that follow the values."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.onnx_emit import Emitter, tensor, tensor_type

Array = np.ndarray
UNSIGNED: dict[Any, Any] = {np.int32: np.uint32, np.int64: np.uint64}


class Values:
    """Constants of a model, shared by its graph and the body of its loop."""

    def __init__(self) -> None:
        self.initializers: dict[str, Any] = {}

    def number(self, value: int, dtype: Any) -> str:
        """A scalar."""
        return self.array(f"{value}@{np.dtype(dtype).name}", np.asarray(value, dtype))

    def vector(self, values: tuple[int, ...]) -> str:
        """Sizes, axes or positions, int64."""
        return self.array(f"{','.join(map(str, values))}@vector", np.asarray(values, np.int64))

    def constant(self, name: str, value: Array, dtype: Any) -> str:
        """What broadcasts to (N, *shape): a shared scalar where it is the same for all."""
        first = int(value.flat[0])
        return self.number(first, dtype) if (value == first).all() else self.array(name, value.astype(dtype))

    def array(self, name: str, value: Array) -> str:
        """An initializer; the same name stands for the same value."""
        if name not in self.initializers:
            self.initializers[name] = tensor(name, value)
        return name


def cast(e: Emitter, at: str, x: str, dtype: Any) -> str:
    """``x`` in another type."""
    return e.op(at, "Cast", x, to=9 if dtype is bool else tensor_type(dtype))


def shift_right(e: Emitter, values: Values, at: str, x: str, bits: int, low: int, dtype: Any, add: int = 0) -> str:
    """``floor((x + add) / 2**bits)`` of numbers from ``low`` on: ONNX shifts unsigned numbers, so they are moved to 0 and
    above by a multiple of ``2**bits``, and back."""
    away = -(-max(-low, 0) >> bits)
    if away << bits | add:
        x = e.op(at, "Add", x, values.number((away << bits) + add, dtype))
    unsigned = UNSIGNED[dtype]
    moved = e.op(at, "BitShift", cast(e, at, x, unsigned), values.number(bits, unsigned), direction="RIGHT")
    moved = cast(e, at, moved, dtype)
    return e.op(at, "Sub", moved, values.number(away, dtype)) if away else moved


def maximum(e: Emitter, values: Values, at: str, x: str, y: str, dtype: Any) -> str:
    """The larger of two. ``Max``, ``Min``, ``Clip``, ``Sign`` and ``ReduceMax`` of int64 are wrong in onnxruntime on x86
    where numbers lie 2**31 or more apart (microsoft/onnxruntime#25280), and ``Where`` is slow, so int64 takes the way
    from x to y where that leads up."""
    if dtype is np.int32:
        return e.op(at, "Max", x, y)
    way = e.op(at, "Sub", y, x)
    up = cast(e, at, e.op(at, "Greater", way, values.number(0, dtype)), dtype)
    return e.op(at, "Add", x, e.op(at, "Mul", up, way))


def minimum(e: Emitter, values: Values, at: str, x: str, y: str, dtype: Any) -> str:
    """The smaller of two, likewise."""
    if dtype is np.int32:
        return e.op(at, "Min", x, y)
    way = e.op(at, "Sub", y, x)
    down = cast(e, at, e.op(at, "Less", way, values.number(0, dtype)), dtype)
    return e.op(at, "Add", x, e.op(at, "Mul", down, way))
