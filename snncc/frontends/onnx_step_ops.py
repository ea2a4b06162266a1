"""ONNX's elementwise operators on constants (as NumPy computes them, in their own type) and on forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.frontends.onnx_ann import Op
from snncc.frontends.onnx_file import tensor_array
from snncc.frontends.onnx_symbols import Algebra, Array, Form

Value = Array | Form
FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}
TYPES: Mapping[int, Any] = {**FLOATS, 6: np.int32, 7: np.int64, 9: np.bool_}
"""``TensorProto.DataType`` that Cast is read for."""
MAX_CONSTANT = 1 << 22
"""Elements that a constant may be spread out to."""
Elementwise = Callable[[Algebra, Op, list[Value], str], Form]
"""(algebra, operator, inputs, name of the output) to the output."""


def fold(op: Op, given: list[Array]) -> Array:
    """The operator on constants. Raises :class:`UnsupportedError` for one that is not known or too large."""
    if op.kind not in FOLDS or not given:
        raise UnsupportedError("of constants is not read")
    shapes = np.broadcast_shapes(*(g.shape for g in given)) if op.kind in _BROADCAST else given[0].shape
    if prod(shapes) > max(MAX_CONSTANT, *(g.size for g in given)):
        raise UnsupportedError(f"spreads constants out to {shapes}")
    with np.errstate(all="ignore"):
        return np.asarray(FOLDS[op.kind](op, *given))


def _divide(op: Op, a: Array, b: Array) -> Array:
    if np.issubdtype(a.dtype, np.integer):
        raise UnsupportedError("of whole numbers is not read")
    return a / b


def _cast(op: Op, a: Array) -> Array:
    to = op.attributes.get("to", 0)
    if to not in TYPES:
        raise UnsupportedError(f"to the type {to} is not read; float, int32, int64 and bool are")
    return a.astype(TYPES[to])


def _clip(op: Op, a: Array, *ends: Array) -> Array:
    if len(ends) != 2 or len(op.inputs) != 3:
        raise UnsupportedError("of a constant with one end is not read")
    return np.minimum(np.maximum(a, ends[0]), ends[1])


def _gather(op: Op, a: Array, index: Array) -> Array:
    return np.take(a, index, axis=op.attributes.get("axis", 0))


def _slice(op: Op, a: Array, *bounds: Array) -> Array:
    given = [b.reshape(-1).tolist() for b in bounds]
    axes = given[2] if len(given) > 2 else list(range(len(given[0])))
    steps = given[3] if len(given) > 3 else [1] * len(axes)
    cut = [slice(None)] * a.ndim
    for axis, start, end, step in zip(axes, given[0], given[1], steps, strict=True):
        cut[axis] = slice(start, end, step)
    return a[tuple(cut)]


def _axes(op: Op, given: Array | None) -> tuple[int, ...]:
    axes = op.attributes.get("axes") if given is None else given.reshape(-1).tolist()
    return tuple(int(a) for a in axes or ())


def _filled(op: Op, shape: Array) -> Array:
    """The value of a ConstantOfShape; where it is used, it broadcasts."""
    _bounded(shape)
    held = op.attributes.get("value")
    return np.zeros((), np.float32) if held is None else tensor_array(op.name, held).reshape(())


def _expanded(op: Op, a: Array, shape: Array) -> Array:
    """The constant as it is: where it is used, it broadcasts."""
    _bounded(shape)
    return a


def _bounded(shape: Array) -> None:
    if shape.ndim != 1 or np.any(shape < 1) or prod(int(s) for s in shape) > MAX_CONSTANT:
        raise UnsupportedError(
            f"makes a constant of the shape {shape.tolist()[:8]}; up to {MAX_CONSTANT:,} elements are read"
        )


FOLDS: Mapping[str, Callable[..., Any]] = {
    "Add": lambda op, a, b: a + b,
    "Sub": lambda op, a, b: a - b,
    "Mul": lambda op, a, b: a * b,
    "Div": _divide,
    "Neg": lambda op, a: -a,
    "Abs": lambda op, a: np.abs(a),
    "Sqrt": lambda op, a: np.sqrt(a),
    "Exp": lambda op, a: np.exp(a),
    "Reciprocal": lambda op, a: (1 / a).astype(a.dtype),
    "Sigmoid": lambda op, a: (1 / (1 + np.exp(-a))).astype(a.dtype),
    "Max": lambda op, a, b: np.maximum(a, b),
    "Min": lambda op, a, b: np.minimum(a, b),
    "Clip": _clip,
    "Identity": lambda op, a: a,
    "Cast": _cast,
    "CastLike": lambda op, a, b: a.astype(b.dtype),
    "Transpose": lambda op, a: np.transpose(a, op.attributes.get("perm")),
    "Reshape": lambda op, a, shape: a.reshape(shape.reshape(-1).tolist()),
    "Unsqueeze": lambda op, a, axes=None: np.expand_dims(a, _axes(op, axes)),
    "Squeeze": lambda op, a, axes=None: np.squeeze(a, _axes(op, axes) or None),
    "Concat": lambda op, *given: np.concatenate(given, op.attributes["axis"]),
    "Gather": _gather,
    "Slice": _slice,
    "Shape": lambda op, a: np.array(a.shape, np.int64),
    "ConstantOfShape": _filled,
    "Expand": _expanded,
}
_BROADCAST = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Clip")


def _both(algebra: Algebra, given: list[Value]) -> tuple[Form, Form]:
    """Two values as forms of the same shape."""
    if len(given) != 2:
        raise UnsupportedError(f"of {len(given)} values is not read")
    like = next(g for g in given if isinstance(g, Form))
    a, b = (g if isinstance(g, Form) else algebra.lift(g, like) for g in given)
    return a, b


def _plus(sign: float) -> Elementwise:
    return lambda algebra, op, given, output: algebra.add(*_both(algebra, given), sign)


def _times(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    return algebra.multiply(*_both(algebra, given))


def _over(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    a, b = given
    if isinstance(b, Form) or not isinstance(a, Form):
        raise UnsupportedError("divides by a computed value")
    if not np.all(b):
        raise UnsupportedError("divides by 0")
    divisor = algebra.lift(b, a).constant
    return algebra.make([(t, v / divisor) for t, v in a.terms.items()], a)


def _compared(strict: bool, swapped: bool) -> Elementwise:
    def compare(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
        a, b = _both(algebra, given)
        return algebra.compare(b, a, strict, output) if swapped else algebra.compare(a, b, strict, output)

    return compare


def _logical(form: Value) -> Form:
    if not isinstance(form, Form) or not form.logical:
        raise UnsupportedError("needs the result of a comparison")
    return form


def _where(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    condition = _logical(given[0])
    a, b = (g if isinstance(g, Form) else algebra.lift(g, condition) for g in given[1:])
    return algebra.add(b, algebra.multiply(condition, algebra.add(a, b, -1.0)))


def _as_type(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    """A type that keeps the value: any float type; whole numbers and truth values only of a comparison."""
    (a,) = given
    assert isinstance(a, Form)
    to = op.attributes.get("to")
    if to not in TYPES or (to not in FLOATS and not a.logical):
        raise UnsupportedError(f"of a computed number to the type {to} is not read")
    return a


def _passed(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    if not isinstance(given[0], Form):
        raise UnsupportedError("of a constant like a computed value is not read")
    return given[0]


def _spread(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    """An Expand that changes nothing."""
    a, shape = given
    if not isinstance(a, Form) or isinstance(shape, Form):
        raise UnsupportedError("of a constant to a computed shape is not read")
    target = [int(s) for s in shape.reshape(-1)]
    if len(target) != a.lead + 1 + len(a.shape) or any(
        t not in (1, s) for t, s in zip(target, [1] * (a.lead + 1) + list(a.shape), strict=True)
    ):
        raise UnsupportedError(f"spreads {a.shape} out to {target}")
    return a


def _unsqueezed(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    a = given[0]
    assert isinstance(a, Form)
    if _constant_axes(op, given) != (0,):
        raise UnsupportedError("is read for an axis in front of the batch only")
    return Form(a.terms, a.shape, a.lead + 1, a.logical)


def _squeezed(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    a = given[0]
    assert isinstance(a, Form)
    if _constant_axes(op, given) != (0,) or not a.lead:
        raise UnsupportedError("is read for an axis of one in front of the batch only")
    return Form(a.terms, a.shape, a.lead - 1, a.logical)


def _picked(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    """The only entry of an axis in front of the batch."""
    a, index = given
    if not isinstance(a, Form) or isinstance(index, Form) or not a.lead or op.attributes.get("axis", 0) != 0:
        raise UnsupportedError("is read for an axis of one in front of the batch only")
    if index.shape or int(index) not in (0, -1):
        raise UnsupportedError(f"of {index.shape} indices is not read")
    return Form(a.terms, a.shape, a.lead - 1, a.logical)


def _whole(algebra: Algebra, op: Op, given: list[Value], output: str) -> Form:
    """A slice that takes all of an axis of one in front of the batch."""
    a, *bounds = given
    if not isinstance(a, Form) or not a.lead or len(bounds) < 3 or any(isinstance(b, Form) for b in bounds):
        raise UnsupportedError("is read for an axis of one in front of the batch only")
    start, end, axis = (np.asarray(b).reshape(-1).tolist() for b in bounds[:3])
    if (start, axis) != ([0], [0]) or (len(bounds) > 3 and np.asarray(bounds[3]).reshape(-1).tolist() != [1]):
        raise UnsupportedError("is read for an axis of one in front of the batch only")
    if end[0] < 1:
        raise UnsupportedError("takes nothing")
    return a


def _constant_axes(op: Op, given: list[Value]) -> tuple[int, ...]:
    second = given[1] if len(given) > 1 else None
    if isinstance(second, Form):
        raise UnsupportedError("has computed axes")
    return _axes(op, second)


ELEMENTWISE: Mapping[str, Elementwise] = {
    "Add": _plus(1.0),
    "Sub": _plus(-1.0),
    "Mul": _times,
    "Div": _over,
    "Neg": lambda algebra, op, given, output: algebra.scale(_passed(algebra, op, given, output), -1.0),
    "Greater": _compared(True, False),
    "GreaterOrEqual": _compared(False, False),
    "Less": _compared(True, True),
    "LessOrEqual": _compared(False, True),
    "Not": lambda algebra, op, given, output: algebra.inverse(_logical(given[0])),
    "Where": _where,
    "Cast": _as_type,
    **dict.fromkeys(("Identity", "Dropout"), _passed),
    "Expand": _spread,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Gather": _picked,
    "Slice": _whole,
}
