"""Networks as they are deployed, still in floats: weights alone between populations.

Both functions do on a description what passes do on a Graph, so that what is left can be trained: a layer there is a layer here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from snncc.errors import UnsupportedError
from snncc.frontends.description import graph_of
from snncc.ir.compose import compose, depthwise
from snncc.ir.nodes import AvgPool2d, Conv2d, SumPool2d
from snncc.ir.shapes import Shape, infer_shapes
from snncc.models.networks import Description, Layer, wired

WEIGHTED = ("dense", "conv1d", "conv2d")
Pool = AvgPool2d | SumPool2d
POOLS: Mapping[str, Callable[..., Pool]] = {"avg_pool2d": AvgPool2d, "sum_pool2d": SumPool2d}
NEURAL = ("neuron", "batch_norm")
"""What currents enter."""

State = dict[str, Tensor]


def fold_batch_norm(description: Description, state: Mapping[str, Tensor]) -> tuple[Description, State]:
    """The same network in evaluation mode without batch norm: γ/√(σ²+ε) multiplies the weights and biases of all layers that
    feed it, and β − μ·γ/√(σ²+ε) joins the bias of the first; float64 in between. Raises :class:`UnsupportedError` for a batch
    norm after anything but weights that feed it alone."""
    layers = _named(description)
    made = dict(state)
    while bn := next((layer for layer in layers.values() if layer["kind"] == "batch_norm"), None):
        name = bn["name"]
        for source in bn["inputs"]:
            if source not in layers or layers[source]["kind"] not in WEIGHTED or len(_readers(layers, source)) > 1:
                raise UnsupportedError(
                    f"{name}: is fed by {source}, which is no layer of weights that feeds it alone; batch norm folds only there"
                )
        mean, var, gamma, beta = (
            made.pop(f"{name}.{key}").double() for key in ("running_mean", "running_var", "weight", "bias")
        )
        made.pop(f"{name}.num_batches_tracked", None)
        gain = gamma / torch.sqrt(var + bn["eps"])
        offset = beta - mean * gain
        for source in bn["inputs"]:
            weight = made[f"{source}.weight"]
            bias = made.get(f"{source}.bias", torch.zeros_like(mean)).double() * gain + offset
            made[f"{source}.weight"] = (weight.double() * gain.reshape(-1, *(1,) * (weight.dim() - 1))).to(weight.dtype)
            made[f"{source}.bias"] = bias.to(weight.dtype)
            layers[source] = layers[source] | {"bias": True}
            offset = torch.zeros_like(offset)
        _remove(layers, name)
    return description | {"layers": _in_a_row(layers)}, made


def weights_alone(description: Description, state: Mapping[str, Tensor]) -> tuple[Description, State]:
    """The same network in evaluation mode with weights that can be trained wherever the deployed one has some, and no batch
    norm. Pooled currents of a convolution become one of larger kernel; spikes that enter neurons unweighted (a shortcut,
    pooled spikes) a convolution of each channel by itself. What has no such form stays as it is."""
    layers, made = _named(description), dict(state)
    numbers = {name: t.numpy() for name, t in state.items() if not name.endswith("num_batches_tracked")}
    shapes = infer_shapes(graph_of(description, numbers, {}))
    for name in [n for n, layer in layers.items() if layer["kind"] in POOLS]:
        _pool_currents(layers, made, name, shapes)
    for name in [n for n, layer in layers.items() if layer["kind"] in NEURAL]:
        for source in layers[name]["inputs"]:
            _weigh(layers, made, source, name, shapes)
    return fold_batch_norm(description | {"layers": _in_a_row(layers)}, made)


def _pool_currents(layers: dict[str, Layer], state: State, name: str, shapes: Mapping[str, Shape]) -> None:
    """Take pool ``name`` into the convolutions that feed it alone, if only such do."""
    feeding = layers[name]["inputs"]
    alone = all(s in layers and layers[s]["kind"] == "conv2d" and _readers(layers, s) == [name] for s in feeding)
    node = _pool(layers[name])
    if not alone or any(node.padding):
        return
    merged = {}
    for source in feeding:
        given = shapes[layers[source]["inputs"][0].partition("@")[0]]
        joined = compose(source, _convolution(layers[source], state), depthwise(node, shapes[source][0]), given)
        if not isinstance(joined, Conv2d):
            return
        merged[source] = joined
    gain = node.kernel[0] * node.kernel[1] if isinstance(node, SumPool2d) else 1
    for source, conv in merged.items():
        _put(layers, state, layers[source], conv)
        if layers[source]["bias"]:
            state[f"{source}.bias"] = state[f"{source}.bias"] * gain
    _remove(layers, name)


def _weigh(layers: dict[str, Layer], state: State, source: str, name: str, shapes: Mapping[str, Shape]) -> None:
    """Put weights of 1 on the way from ``source`` to the neurons or batch norm ``name`` if it has none."""
    layer = layers.get(source)
    if layer is None or len(shapes[source]) != 3:
        return
    channels = shapes[source][0]
    if layer["kind"] == "neuron" and layer.get("fires", True):
        neurons = name if layers[name]["kind"] == "neuron" else _readers(layers, name)[0]
        made = {"name": _unused(f"{source}_to_{neurons}", layers), "inputs": [source]}
        node = depthwise(AvgPool2d((1, 1), (1, 1), (0, 0)), channels)
        layers[name] = layers[name] | {"inputs": [made["name"] if s == source else s for s in layers[name]["inputs"]]}
        _put(layers, state, made, node, before=name)
    elif layer["kind"] in POOLS and _readers(layers, source) == [name]:
        _put(layers, state, layer, depthwise(_pool(layer), channels))


def _put(layers: dict[str, Layer], state: State, layer: Layer, node: Conv2d, before: str = "") -> None:
    """Make ``layer`` the convolution ``node``, with a bias as it had or of 0; a new one right ``before`` another."""
    name = layer["name"]
    out, into, *kernel = node.weight.shape
    bias = layer.get("bias", True)
    made = {
        "name": name, "kind": "conv2d", "inputs": layer["inputs"], "in_channels": into * node.groups, "out_channels": out,
        "kernel": kernel, "stride": list(node.stride), "padding": list(node.padding), "dilation": list(node.dilation),
        "groups": node.groups, "bias": bias,
    }  # fmt: skip
    weight = torch.from_numpy(node.weight)
    state[f"{name}.weight"] = weight.to(next((t.dtype for t in state.values() if t.is_floating_point()), weight.dtype))
    if bias and f"{name}.bias" not in state:
        state[f"{name}.bias"] = torch.zeros(out, dtype=state[f"{name}.weight"].dtype)
    found = list(layers.items())
    layers.clear()
    for key, value in found:
        if key == before:
            layers[name] = made
        layers[key] = made if key == name else value


def _convolution(layer: Layer, state: State) -> Conv2d:
    stride, padding, dilation = (tuple(layer[key]) for key in ("stride", "padding", "dilation"))
    weight = state[f"{layer['name']}.weight"].double().numpy()
    return Conv2d(weight, None, stride, padding, dilation, layer["groups"])


def _pool(layer: Layer) -> Pool:
    return POOLS[layer["kind"]](*(tuple(layer[key]) for key in ("kernel", "stride", "padding")))


def _named(description: Description) -> dict[str, Layer]:
    return {layer["name"]: layer for layer in wired(description["layers"])}


def _readers(layers: Mapping[str, Layer], source: str) -> list[str]:
    """The layers that ``source`` feeds, now or later."""
    return [name for name, r in layers.items() if source in [s.partition("@")[0] for s in r["inputs"]]]


def _remove(layers: dict[str, Layer], name: str) -> None:
    """Take out layer ``name``: what fed it feeds its readers."""
    inputs = layers.pop(name)["inputs"]
    for reader in layers.values():
        reader["inputs"] = [s for i in reader["inputs"] for s in (inputs if i == name else [i])]


def _unused(name: str, layers: Mapping[str, Any]) -> str:
    while name in layers:
        name += "_"
    return name


def _in_a_row(layers: Mapping[str, Layer]) -> list[Layer]:
    """The layers, without "inputs" where a layer is fed by the one before it."""
    made, before = [], "input"
    for name, layer in layers.items():
        plain = layer["inputs"] == [before]
        made.append({key: value for key, value in layer.items() if not (plain and key == "inputs")})
        before = name
    return made
