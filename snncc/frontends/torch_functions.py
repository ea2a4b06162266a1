"""Functions and methods of tensors in a trace: layers, pooling, flattening, sums; everything else is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import fx

from snncc.errors import UnsupportedError
from snncc.frontends.torch_layers import FLATTENING, LAYERS, adaptive_pool, pool
from snncc.ir.nodes import AvgPool2d, MaxPool2d, Node

POOLS = {"max_pool2d": MaxPool2d, "avg_pool2d": AvgPool2d}
POOL_ARGUMENTS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
}
LAYER_ARGUMENTS = {
    "linear": ("weight", "bias"),
    "matmul": ("weight",),
    "conv1d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv2d": ("weight", "bias", "stride", "padding", "dilation", "groups"),
    "batch_norm": ("running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
}
LAYER_DEFAULTS = {"bias": None, "weight": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "eps": 1e-5}
RESHAPES = ("flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze")
NOTHING = (
    *("dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_alpha_dropout"),
    *("contiguous", "detach", "clone", "float"),
)
SAME_NAME = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "truediv", "div": "truediv", "mm": "matmul"}
ACTIVATIONS = ("relu", "relu6", "leaky_relu", "gelu", "silu", "elu", "selu", "tanh", "sigmoid", "hardtanh", "clamp")
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(ACTIVATIONS, "it is an activation of an ANN: put a spiking neuron in its place"),
    **dict.fromkeys(("softmax", "log_softmax"), "return the scores before it: the largest stays the largest"),
    **dict.fromkeys(
        ("max", "amax", "argmax"), "return the spikes or membranes of all steps; a readout of snncc sums them"
    ),
    **dict.fromkeys(("sum", "mean"), "a sum over time is read where the module returns it: put layers in front of it"),
    **dict.fromkeys(("pad",), "pad in the convolution that follows"),
    **dict.fromkeys(("interpolate", "upsample"), "use a convolution, or feed data of that size"),
}


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """A sum of values, each times a factor."""

    operands: tuple[tuple[Any, float], ...]


@dataclass(frozen=True, eq=False)
class Joined:
    """Values side by side along an axis of theirs."""

    operands: tuple[fx.Node, ...]
    axis: int


Read = Node | Arithmetic | Joined | str | None


def function_name(value: fx.Node) -> str:
    """What a call in a trace is called: ``max_pool2d``, ``add``; "" for modules and inputs."""
    if value.op == "call_method":
        name = str(value.target).strip("_")
    elif value.op != "call_function":
        return ""
    else:
        name = str(getattr(value.target, "__name__", value.target)).strip("_")
        if name in ("boolean_dispatch", "fn"):  # torch wraps the pooling functions that can return indices
            name = str(getattr(value.target, "__qualname__", name)).rpartition(".")[2]
    return SAME_NAME.get(name, name)


def read_function(value: fx.Node, name: str, values: Mapping[fx.Node, Any], given: tuple[int, ...]) -> Read:
    """A node, a sum, a concatenation, "Flatten", or None for what does nothing in evaluation mode. ``given`` is the shape
    of the first argument without batch and time."""
    if name in POOLS:
        options = dict(zip(POOL_ARGUMENTS[name], value.args[1:], strict=False)) | dict(value.kwargs)
        return pool(value.name, POOLS[name], options)
    if name == "adaptive_avg_pool2d":
        size = value.args[1] if len(value.args) > 1 else value.kwargs["output_size"]
        return adaptive_pool(value.name, size, given)
    if name in LAYER_ARGUMENTS:
        return _layer(value, name, values, given)
    if name in RESHAPES:
        return FLATTENING
    if name in NOTHING:
        return None
    if name in ("cat", "concat", "concatenate"):
        return _joined(value, values)
    if name in ("add", "sub", "mul", "truediv", "neg"):
        return _arithmetic(value, name)
    remedy = REMEDIES.get(name, "it reads layers, pooling, flattening, sums, scaling and concatenation")
    raise UnsupportedError(f"{value.name}: the function {name!r} has no form in snncc; {remedy}")


def _layer(value: fx.Node, name: str, values: Mapping[fx.Node, Any], given: tuple[int, ...]) -> Node:
    """``F.linear`` and its like, with weights that are parameters, as the layers of the same name."""
    options: dict[str, Any] = dict(zip(LAYER_ARGUMENTS[name], value.args[1:], strict=False)) | dict(value.kwargs)
    options.pop("input", None)
    if name == "matmul":
        options = {"weight": options.get("weight", options.get("other", options.get("mat2")))}
    for key, option in options.items():
        if isinstance(option, fx.Node):
            if not is_constant(option):
                raise UnsupportedError(
                    f"{value.name}: the {key} of {name} depends on the input; snncc reads weights that are parameters"
                )
            options[key] = values[option]
    if options.get("training"):
        raise UnsupportedError(f"{value.name}: batch_norm with training=True; give training=self.training")
    weight: Any = options.get("weight")
    if name == "matmul":
        if getattr(weight, "ndim", 0) != 2:
            raise UnsupportedError(f"{value.name}: {name} by what is no matrix (in, out) of parameters")
        options["weight"] = weight.T
    kinds = {"linear": "Linear", "matmul": "Linear", "conv1d": "Conv1d", "conv2d": "Conv2d"}
    module = SimpleNamespace(**{**LAYER_DEFAULTS, "padding_mode": "zeros", **options})
    if name.startswith("conv"):
        axes = weight.ndim - 2
        module.kernel_size = tuple(weight.shape[2:])
        for key in ("stride", "padding", "dilation"):
            setattr(module, key, _each(getattr(module, key), axes))
    reader: Callable[[str, Any, tuple[int, ...]], Node] = LAYERS[kinds.get(name, f"BatchNorm{min(2, len(given))}d")]
    return reader(value.name, module, given)


def _each(size: Any, axes: int) -> Any:
    """A stride or padding, one number an axis; a word stays."""
    if isinstance(size, str):
        return size
    given = tuple(size) if isinstance(size, tuple | list) else (size,)
    return given if len(given) == axes else given * axes


def is_constant(value: fx.Node) -> bool:
    """Whether a value is made of parameters and buffers only."""
    if value.op == "get_attr":
        return True
    return value.op.startswith("call") and bool(value.all_input_nodes) and all(map(is_constant, value.all_input_nodes))


def _joined(value: fx.Node, values: Mapping[fx.Node, Any]) -> Joined:
    parts = value.args[0] if value.args else value.kwargs["tensors"]
    axis = value.args[1] if len(value.args) > 1 else value.kwargs.get("dim", value.kwargs.get("axis", 0))
    if not isinstance(parts, tuple | list) or not all(isinstance(p, fx.Node) and not is_constant(p) for p in parts):
        raise UnsupportedError(
            f"{value.name}: {function_name(value)} of what are no outputs of layers; join layers' outputs"
        )
    assert isinstance(axis, int)
    return Joined(tuple(p for p in parts if isinstance(p, fx.Node)), axis % values[value].ndim)


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
