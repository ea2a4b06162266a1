"""Layers without a state: from ``torch.nn`` modules and functions to nodes of a Graph.

A layer that does nothing in evaluation mode (Dropout, Identity) gives no node at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.nodes import AvgPool2d, BatchNorm, Conv1d, Conv2d, Dense, MaxPool2d, Node, SumPool2d

Array = np.ndarray
Sizes = tuple[int, ...]
NOTHING = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
FLATTENING = "Flatten"


def layer_kind(module: Any) -> str | None:
    """Name of the layer class this module is or (as the layers of SpikingJelly) derives from; None where there is none, or
    where a ``forward`` of somebody else's stands in front of it."""
    author = next(k.__module__.partition(".")[0] for k in type(module).__mro__ if "forward" in vars(k))
    if author not in ("torch", "spikingjelly", "sinabs", "rockpool"):
        return None
    for kind in type(module).__mro__:
        root = kind.__module__.partition(".")[0]
        if kind.__name__ in LAYERS and root in ("torch", "rockpool", "sinabs", "spikingjelly"):
            return kind.__name__
        if kind.__name__ in (*NOTHING, FLATTENING) and root in ("torch", "spikingjelly"):
            return kind.__name__
    return None


def read_layer(where: str, kind: str, module: Any, given: Sizes) -> Node | None:
    """The node of a layer of ``kind``; ``given`` is the shape of its input without batch and time, None where it does nothing."""
    return None if kind in NOTHING else LAYERS[kind](where, module, given)


def pair(value: Any) -> tuple[int, int]:
    """An int or a pair of them as a pair."""
    first, second = (value, value) if isinstance(value, int) else tuple(value)
    return int(first), int(second)


def pool(where: str, kind: type, options: Mapping[str, Any]) -> Node:
    """A pooling node from the arguments of torch's pooling functions. Raises where an option has no form."""
    kernel = pair(options["kernel_size"])
    stride = options.get("stride")
    stride = kernel if stride is None or stride == () or stride == [] else pair(stride)
    padding = pair(options.get("padding", 0))
    if options.get("ceil_mode"):
        raise UnsupportedError(f"{where}: pools with ceil_mode=True; snncc drops windows that are not full: use False")
    if options.get("return_indices") or pair(options.get("dilation", 1)) != (1, 1):
        raise UnsupportedError(f"{where}: pools with dilation or return_indices; snncc has neither")
    if options.get("divisor_override") is not None:
        raise UnsupportedError(f"{where}: pools with divisor_override {options['divisor_override']}; leave it out")
    if kind is AvgPool2d and not options.get("count_include_pad", True) and padding != (0, 0):
        raise UnsupportedError(f"{where}: pools with count_include_pad=False; snncc counts the padding: use True")
    node: Node = kind(kernel, stride, padding)
    return node


def _numbers(value: Any) -> Array:
    array: Array = value.detach().cpu().numpy().copy()
    return array


def _linear(where: str, module: Any, given: Sizes) -> Node:
    if not given:
        raise UnsupportedError(
            f"{where}: a linear layer over a single number; if forward takes time and batch axes, the example must have them: "
            "--opt example_shape=T,1,SHAPE (steps, a batch of one, and what --input-shape says)"
        )
    if len(given) != 1:
        raise UnsupportedError(f"{where}: a linear layer over the last axis of {given}; flatten its input first")
    return Dense(_numbers(module.weight), None if module.bias is None else _numbers(module.bias))


def _linear_rockpool(where: str, module: Any, given: Sizes) -> Node:
    bias = module.bias
    return Dense(_numbers(module.weight).T.copy(), None if bias is None else _numbers(bias))


def _conv(where: str, module: Any, given: Sizes) -> Node:
    if module.padding_mode != "zeros":
        raise UnsupportedError(f"{where}: pads with {module.padding_mode!r}; snncc pads with zeros")
    padding = _padding(where, module)
    weight, bias = _numbers(module.weight), None if module.bias is None else _numbers(module.bias)
    if weight.ndim == 3:
        return Conv1d(weight, bias, module.stride[0], padding[0], module.dilation[0], module.groups)
    return Conv2d(weight, bias, pair(module.stride), pair(padding), pair(module.dilation), module.groups)


def _padding(where: str, module: Any) -> Sizes:
    if not isinstance(module.padding, str):
        return tuple(module.padding)
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(t % 2 for t in total):
        raise UnsupportedError(f"{where}: padding='same' with kernel {module.kernel_size} pads the two sides unequally")
    return tuple(t // 2 for t in total)


def _batch_norm(where: str, module: Any, given: Sizes) -> Node:
    if module.running_mean is None:
        raise UnsupportedError(
            f"{where}: batch norm with the statistics of the batch; use track_running_stats=True, and train it so"
        )
    mean, var = _numbers(module.running_mean), _numbers(module.running_var)
    weight = np.ones_like(mean) if module.weight is None else _numbers(module.weight)
    bias = np.zeros_like(mean) if module.bias is None else _numbers(module.bias)
    return BatchNorm(mean, var, weight, bias, float(module.eps))


_POOL_OPTIONS = (
    "kernel_size",
    "stride",
    "padding",
    "ceil_mode",
    "dilation",
    "return_indices",
    "divisor_override",
    "count_include_pad",
)


def _pool(kind: type) -> Callable[[str, Any, Sizes], Node]:
    def read(where: str, module: Any, given: Sizes) -> Node:
        return pool(where, kind, {key: getattr(module, key) for key in _POOL_OPTIONS if hasattr(module, key)})

    return read


def _sum_pool(where: str, module: Any, given: Sizes) -> Node:
    """sinabs's SumPool2d, which is torch's LPPool2d of norm 1."""
    if float(module.norm_type) != 1:
        raise UnsupportedError(f"{where}: pools with norm {module.norm_type}; snncc has the sum (norm 1)")
    options = {key: getattr(module, key) for key in ("kernel_size", "stride", "ceil_mode")}
    return pool(where, SumPool2d, options)


def _voting(where: str, module: Any, given: Sizes) -> Node:
    """SpikingJelly's VotingLayer: the mean of ``voting_size`` neighbours, as many as fill a group."""
    size, groups = int(module.voting_size), given[0] // int(module.voting_size)
    if len(given) != 1:
        raise UnsupportedError(f"{where}: votes along the last axis of {given}; flatten its input first")
    weight = np.zeros((groups, given[0]))
    weight[:, : groups * size] = np.kron(np.eye(groups), np.full((1, size), 1.0 / size))
    return Dense(weight)


def _adaptive(where: str, module: Any, given: Sizes) -> Node:
    return adaptive_pool(where, module.output_size, given)


def adaptive_pool(where: str, output_size: Any, given: Sizes) -> Node:
    """Adaptive average pooling where the windows are all alike. Raises otherwise."""
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    sizes = [g if w is None else int(w) for w, g in zip(wanted, given[1:], strict=True)]
    if any(g % s for s, g in zip(sizes, given[1:], strict=True)):
        raise UnsupportedError(f"{where}: pools {given[1:]} to {tuple(sizes)} in unequal windows; use AvgPool2d")
    kernel = (given[1] // sizes[0], given[2] // sizes[1])
    return AvgPool2d(kernel, kernel)


LAYERS: Mapping[str, Callable[[str, Any, Sizes], Node]] = {
    "Linear": _linear,
    "LinearTorch": _linear_rockpool,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "AvgPool2d": _pool(AvgPool2d),
    "MaxPool2d": _pool(MaxPool2d),
    "AdaptiveAvgPool2d": _adaptive,
    "SumPool2d": _sum_pool,
    "VotingLayer": _voting,
}
