"""Collects the nodes of an ONNX graph, subgraph or function under names that never collide.

Names inside a model have two parts, ``layer.what``; ``what`` holds no dot, so that two layers can never share a name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.errors import UnsupportedError

Array = np.ndarray

OPSET = 18
"""Of the standard operators; onnxruntime reads it since 1.14."""
TENSOR_TYPES = {"f2": 10, "f4": 1, "f8": 11, "i1": 3, "i2": 5, "i4": 6, "i8": 7, "u1": 2, "u2": 4, "u4": 12, "u8": 13}
"""NumPy type (kind and bytes) to ``TensorProto.DataType``."""
BOOL = 9
INT32 = 6
INT64 = 7


def tensor_type(dtype: Any) -> int:
    """``TensorProto.DataType`` of a NumPy number type. Raises :class:`UnsupportedError` for any other type."""
    kind = np.dtype(dtype)
    found = TENSOR_TYPES.get(f"{kind.kind}{kind.itemsize}")
    if found is None:
        raise UnsupportedError(f"an array of {kind} has no ONNX form; store float or integer numbers")
    return found


def tensor(name: str, array: Any) -> Any:
    """A TensorProto of the same type, shape and bits, little-endian in ``raw_data``."""
    from onnx import TensorProto

    held = np.asarray(array)
    made = TensorProto(name=name, data_type=tensor_type(held.dtype), dims=held.shape)
    made.raw_data = held.astype(held.dtype.newbyteorder("<")).tobytes()
    return made


class Emitter:
    """Nodes in the order in which they were emitted. ``names`` is shared between scopes that see one another."""

    def __init__(self, names: Emitter | None = None) -> None:
        self.nodes: list[Any] = []
        self._count: list[int] = [0] if names is None else names._count

    def op(
        self, at: str, kind: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Emit one node with one output, for the layer ``at``; returns the name of what it gives."""
        return self.call(at, kind, inputs, (output or self._fresh(at),), domain, **attributes)[0]

    def call(
        self,
        at: str,
        kind: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        domain: str = "",
        **attributes: Any,
    ) -> tuple[str, ...]:
        """Emit one node with any number of outputs."""
        from onnx import helper

        made = helper.make_node(kind, inputs, outputs, name=f"{at}.{kind}@{self._next()}", domain=domain)
        made.attribute.extend(helper.make_attribute(key, attributes[key]) for key in sorted(attributes))
        self.nodes.append(made)
        return outputs

    def whole(self, at: str, values: Any) -> str:
        """A constant of int64: a list becomes a vector, an int a scalar."""
        return self.op(at, "Constant", value=tensor("", np.asarray(values, np.int64)))

    def like(self, at: str, number: int, other: str) -> str:
        """The whole number as a scalar of the type of ``other``."""
        return self.op(at, "CastLike", self.whole(at, number), other)

    def _fresh(self, at: str) -> str:
        return f"{at}.{self._next()}"

    def _next(self) -> int:
        self._count[0] += 1
        return self._count[0]
