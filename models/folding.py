"""Batch norm folded into the weights of a description's network, as the pass ``fold-batch-norm`` does it on a Graph."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from snncc.errors import UnsupportedError
from snncc.models.networks import Description, Layer, wired

WEIGHTED = ("dense", "conv1d", "conv2d")


def fold_batch_norm(description: Description, state: Mapping[str, Tensor]) -> tuple[Description, dict[str, Tensor]]:
    """The same network in evaluation mode without batch norm: γ/√(σ²+ε) multiplies the weights and biases of all layers that
    feed it, and β − μ·γ/√(σ²+ε) joins the bias of the first; float64 in between. Raises :class:`UnsupportedError` for a batch
    norm after anything but weights that feed it alone."""
    layers = {layer["name"]: layer for layer in wired(description["layers"])}
    made = dict(state)
    while bn := next((layer for layer in layers.values() if layer["kind"] == "batch_norm"), None):
        name = bn["name"]
        readers = {s: [r for r in layers.values() if s in r["inputs"]] for s in bn["inputs"]}
        for source in bn["inputs"]:
            if source not in layers or layers[source]["kind"] not in WEIGHTED or len(readers[source]) > 1:
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
        del layers[name]
        for reader in layers.values():
            reader["inputs"] = [s for i in reader["inputs"] for s in (bn["inputs"] if i == name else [i])]
    return description | {"layers": _in_a_row(layers)}, made


def _in_a_row(layers: Mapping[str, Layer]) -> list[Layer]:
    """The layers, without "inputs" where a layer is fed by the one before it."""
    made, before = [], "input"
    for name, layer in layers.items():
        plain = layer["inputs"] == [before]
        made.append({key: value for key, value in layer.items() if not (plain and key == "inputs")})
        before = name
    return made
