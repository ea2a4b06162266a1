"""Functions and methods of tensors in a trace: pooling, flattening, sums; everything else is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx

from snncc.errors import UnsupportedError
from snncc.frontends.torch_layers import FLATTENING, adaptive_pool, pool
from snncc.ir.nodes import AvgPool2d, MaxPool2d, Node

POOLS = {"max_pool2d": MaxPool2d, "avg_pool2d": AvgPool2d}
POOL_ARGUMENTS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
}
RESHAPES = ("flatten", "view", "reshape", "contiguous", "detach", "clone", "float", "squeeze", "unsqueeze")
NOTHING = ("dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout")


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """A sum of values, each times a factor."""

    operands: tuple[tuple[Any, float], ...]


def function_name(value: fx.Node) -> str:
    """What a call in a trace is called: ``max_pool2d``, ``add``; "" for modules and inputs."""
    if value.op == "call_method":
        return str(value.target).strip("_")
    if value.op != "call_function":
        return ""
    name = str(getattr(value.target, "__name__", value.target)).strip("_")
    if name in ("boolean_dispatch", "fn"):  # torch wraps the pooling functions that can return indices
        name = str(getattr(value.target, "__qualname__", name)).rpartition(".")[2]
    return {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "truediv", "div": "truediv"}.get(name, name)


def read_function(value: fx.Node, name: str, values: Mapping[fx.Node, Any]) -> Node | Arithmetic | str | None:
    """A node, a sum, "Flatten", or None for what does nothing in evaluation mode."""
    if name in POOLS:
        options = dict(zip(POOL_ARGUMENTS[name], value.args[1:], strict=False)) | dict(value.kwargs)
        return pool(value.name, POOLS[name], options)
    if name == "adaptive_avg_pool2d":
        size = value.args[1] if len(value.args) > 1 else value.kwargs["output_size"]
        given = values[value.args[0]]  # type: ignore[index]
        return adaptive_pool(value.name, size, tuple(given.shape[-3:]))
    if name in RESHAPES:
        return FLATTENING
    if name in NOTHING:
        return None
    if name in ("add", "sub", "mul", "truediv", "neg"):
        return _arithmetic(value, name)
    raise UnsupportedError(
        f"{value.name}: the function {name!r} has no form in snncc; it reads layers, pooling, flattening, sums and scaling"
    )


def _arithmetic(value: fx.Node, name: str) -> Arithmetic:
    if name == "neg":
        return Arithmetic(((value.args[0], -1.0),))
    left, right = value.args[:2]
    both = isinstance(left, fx.Node) and isinstance(right, fx.Node)
    if name in ("add", "sub") and both and not any(n.op == "get_attr" for n in (left, right)):  # type: ignore[union-attr]
        alpha = value.kwargs.get("alpha", 1)
        assert isinstance(alpha, int | float)
        return Arithmetic(((left, 1.0), (right, float(alpha) if name == "add" else -float(alpha))))
    if name == "mul" and not both:
        signal, factor = (left, right) if isinstance(left, fx.Node) else (right, left)
        if isinstance(factor, int | float):
            return Arithmetic(((signal, float(factor)),))
    if (
        name == "truediv"
        and isinstance(left, fx.Node)
        and isinstance(right, int | float)
        and "rounding_mode" not in value.kwargs
    ):
        return Arithmetic(((left, 1.0 / float(right)),))
    raise UnsupportedError(
        f"{value.name}: {name} of {left} and {right} has no form in snncc: it adds layers' outputs and scales them by numbers; "
        "a constant belongs into a layer's bias"
    )
