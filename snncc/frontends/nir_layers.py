"""The stateless nodes of a NIR file, and the parameters of its neurons, checked one by one; every error names the
node."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.dialects import NEURON_PARAMETERS, NeuronRecord
from snncc.frontends.nir_file import RawNode
from snncc.ir.nodes import AvgPool2d, Conv1d, Conv2d, Dense, Flatten, Node, Pair, Scale, SumPool2d

Array = np.ndarray
MAX_SIZE = 2**31 - 1
"""No stride, kernel, padding or axis of a shape is larger."""


def numbers(name: str, raw: RawNode, key: str) -> Array:
    """A parameter that must be there: finite numbers."""
    value = raw.parameters.get(key)
    if value is None:
        held = ", ".join(raw.parameters) or "nothing"
        raise InputError(f"{name}: the {raw.kind} has no parameter {key!r} (it has {held}); export the file again")
    if isinstance(value, str):
        raise InputError(f"{name}: {key} is the text {value[:40]!r}; numbers are needed")
    if value.size == 0:
        raise InputError(f"{name}: {key} has shape {value.shape}; it is empty")
    bad = int(value.size - np.count_nonzero(np.isfinite(value)))
    if bad:
        raise InputError(
            f"{name}: {key} holds {bad} values that are NaN or infinite (of {value.size}); retrain or repair it"
        )
    return value


def whole_numbers(name: str, raw: RawNode, key: str, low: int = 0) -> tuple[int, ...]:
    """A parameter of whole numbers in low..2^31 − 1, flat."""
    value = numbers(name, raw, key).reshape(-1)
    if value.size > 8 or np.any(value != np.floor(value)) or np.any(value < low) or np.any(value > MAX_SIZE):
        raise InputError(f"{name}: {key} is {value[:4].tolist()}; whole numbers in {low}..{MAX_SIZE} are needed")
    return tuple(int(v) for v in value)


def shape_of(name: str, raw: RawNode) -> tuple[int, ...]:
    """The ``shape`` of an Input or Output."""
    return whole_numbers(name, raw, "shape", low=1)


def layer(name: str, raw: RawNode, transposed: bool = False) -> Node | None:
    """The node for a stateless NIR layer, or None for another kind. ``transposed``: dense weights are (in, out)."""
    if raw.kind in ("Affine", "Linear"):
        weight = numbers(name, raw, "weight")
        bias = numbers(name, raw, "bias") if raw.kind == "Affine" else None
        return Dense(weight.T.copy() if transposed else weight, bias)
    make = _LAYERS.get(raw.kind)
    return make(name, raw) if make else None


def _conv1d(name: str, raw: RawNode) -> Node:
    weight = numbers(name, raw, "weight")
    (stride,), (dilation,) = _axes(name, raw, "stride", 1, 1), _axes(name, raw, "dilation", 1, 1)
    (padding,) = _padding(name, raw, weight, (stride,), (dilation,))
    return Conv1d(weight, numbers(name, raw, "bias"), stride, padding, dilation, _groups(name, raw))


def _conv2d(name: str, raw: RawNode) -> Node:
    weight = numbers(name, raw, "weight")
    stride, dilation = _axes(name, raw, "stride", 2, 1), _axes(name, raw, "dilation", 2, 1)
    padding = _padding(name, raw, weight, stride, dilation)
    return Conv2d(
        weight, numbers(name, raw, "bias"), _pair(stride), _pair(padding), _pair(dilation), _groups(name, raw)
    )


def _pool(kind: type[SumPool2d] | type[AvgPool2d]) -> Callable[[str, RawNode], Node]:
    def make(name: str, raw: RawNode) -> Node:
        sizes = (
            _pair(_axes(name, raw, key, 2, low)) for key, low in (("kernel_size", 1), ("stride", 1), ("padding", 0))
        )
        return kind(*sizes)

    return make


def _flatten(name: str, raw: RawNode) -> Node:
    """NIR shapes have no batch axis, so start_dim is 0; some exporters leave torch's 1 standing. Partial flattening has
    no form in the Graph."""
    start, end = (int(numbers(name, raw, key).reshape(-1)[0]) for key in ("start_dim", "end_dim"))
    given = raw.parameters.get("input_type")
    last = given.size - 1 if isinstance(given, np.ndarray) else 2
    if start not in (0, 1) or end not in (-1, last, last + 1):
        raise UnsupportedError(f"{name}: flattens axes {start} to {end} only; flatten all of (C, H, W)")
    return Flatten()


def _scale(name: str, raw: RawNode) -> Node:
    return Scale(numbers(name, raw, "scale"))


_LAYERS: Mapping[str, Callable[[str, RawNode], Node]] = {
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pool(SumPool2d),
    "AvgPool2d": _pool(AvgPool2d),
    "Flatten": _flatten,
    "Scale": _scale,
}
KNOWN_KINDS = ("Input", "Output", "Affine", "Linear", "Delay", *_LAYERS, *NEURON_PARAMETERS, "NIRGraph")


def _axes(name: str, raw: RawNode, key: str, axes: int, low: int) -> tuple[int, ...]:
    value = whole_numbers(name, raw, key, low)
    if len(value) == 1:
        return value * axes
    if len(value) != axes:
        raise InputError(f"{name}: {key} is {list(value)}; the {raw.kind} takes 1 or {axes} numbers")
    return value


def _padding(
    name: str, raw: RawNode, weight: Array, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """Zeros on each side. "same" keeps the size, so it needs stride 1 and an even overhang."""
    axes = len(stride)
    value = raw.parameters.get("padding")
    if not isinstance(value, str):
        return _axes(name, raw, "padding", axes, 0)
    if value == "valid":
        return (0,) * axes
    overhang = [dilation[i] * (weight.shape[2 + i] - 1) for i in range(axes)] if weight.ndim == axes + 2 else [1]
    if value != "same" or any(s != 1 for s in stride) or any(total % 2 for total in overhang):
        raise UnsupportedError(
            f"{name}: padding {value[:20]!r} with weight {weight.shape}, stride {list(stride)}, dilation "
            f"{list(dilation)} is not "
            "the same on both sides; give the padding in numbers"
        )
    return tuple(total // 2 for total in overhang)


def _groups(name: str, raw: RawNode) -> int:
    groups = whole_numbers(name, raw, "groups", 1)
    if len(groups) != 1:
        raise InputError(f"{name}: groups is {list(groups)}; one number is needed")
    return groups[0]


def _pair(values: tuple[int, ...]) -> Pair:
    return values[0], values[1]


def neuron(name: str, raw: RawNode, recurrent: bool) -> NeuronRecord:
    """The parameters of a NIR neuron in float64; v_reset and w_in may be absent in old files."""
    needed, optional = NEURON_PARAMETERS[raw.kind]
    found = {key: numbers(name, raw, key).astype(np.float64) for key in needed}
    found.update({key: numbers(name, raw, key).astype(np.float64) for key in optional if key in raw.parameters})
    for key in ("tau", "tau_mem", "tau_syn"):
        if key in found and np.any(found[key] <= 0):
            raise InputError(f"{name}: {key} is {float(found[key].min()):g}; a time constant must be above 0")
    for key in ("v_threshold", "threshold"):
        if key in found and np.any(found[key] <= 0):
            raise InputError(f"{name}: {key} is {float(found[key].min()):g}; it must be above 0")
    try:
        np.broadcast_shapes(*(value.shape for value in found.values()))
    except ValueError:
        listed = ", ".join(f"{key} {value.shape}" for key, value in found.items())
        raise InputError(f"{name}: its parameters have shapes that do not fit each other ({listed})") from None
    return NeuronRecord(name, raw.kind, found, recurrent)


def fit_population(record: NeuronRecord, shape: tuple[int, ...]) -> NeuronRecord:
    """``record`` with parameters that broadcast to the population's ``shape``: single numbers, or one value a neuron
    (or
    the like with axes of 1). Anything else is refused: (C,) over (C, H, W) would silently broadcast along the rows."""
    fitted: dict[str, Array] = {}
    for key, value in record.parameters.items():
        while value.ndim > len(shape) and value.shape[0] == 1:
            value = value[0]
        if value.size == 1:
            value = value.reshape(())
        elif value.ndim != len(shape) or any(a not in (1, b) for a, b in zip(value.shape, shape, strict=True)):
            raise InputError(
                f"{record.name}: {key} has shape {value.shape}, but {shape} arrives at the {record.kind}; "
                "one value for all or one a neuron is needed"
            )
        fitted[key] = value
    return NeuronRecord(record.name, record.kind, fitted, record.recurrent)


def delay_steps(name: str, raw: RawNode, dt: float | None) -> int:
    """Whole time steps of a Delay node, the same for all its neurons."""
    delay = numbers(name, raw, "delay").astype(np.float64)
    if np.any(delay < 0):
        raise InputError(f"{name}: delay is {float(delay.min()):g}; it must be 0 or more")
    if np.any(delay != delay.flat[0]):
        raise UnsupportedError(
            f"{name}: its delays run from {float(delay.min()):g} to {float(delay.max()):g}; one delay for the whole "
            f"node is "
            "needed: split it"
        )
    if dt is None:
        raise InputError(f"{name}: a Delay of {float(delay.flat[0]):g} needs a time step to count in: dt")
    steps = float(delay.flat[0]) / dt
    if not steps <= MAX_SIZE or abs(steps - round(steps)) > 1e-4:
        raise InputError(
            f"{name}: a delay of {float(delay.flat[0]):g} is {steps:g} steps of {dt:g}; it must be whole: check dt"
        )
    return round(steps)
