"""Writes lava-dl files as its ``export_hdf5`` does, and runs their networks in plain integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray
CUBA = {"iDecay": 4096, "vDecay": 1024, "vThMant": 25, "refDelay": 1, "gradedSpike": False}


def neuron(**changes: Any) -> dict[str, Any]:
    return {**CUBA, "type": "CUBA", **changes}


def input_layer(*shape: int, **more: Any) -> dict[str, Any]:
    return {"type": "input", "shape": np.array(shape), **more}


def dense_layer(weight: Array, **more: Any) -> dict[str, Any]:
    out, given = weight.shape
    sizes = {"shape": np.array([out]), "inFeatures": given, "outFeatures": out}
    return {"type": "dense", **sizes, "weight": weight.astype("f4"), "neuron": neuron(), **more}


def conv_layer(
    weight: Array, shape: Sequence[int], stride: int = 1, padding: int = 0, groups: int = 1, **more: Any
) -> dict:
    settings = {"stride": [stride] * 2, "padding": [padding] * 2, "dilation": [1, 1], "kernelSize": weight.shape[2:]}
    sizes = {"inChannels": weight.shape[1] * groups, "outChannels": len(weight), "groups": groups}
    arrays = {key: np.array(value) for key, value in settings.items()}
    stored = weight.astype("f4")[..., None]
    return {"type": "conv", "shape": np.array(shape), "weight": stored, **arrays, **sizes, "neuron": neuron(), **more}


def write(path: Path, *layers: Mapping[str, Any], simulation: Mapping[str, int] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            for key, value in layer.items():
                if key == "type":
                    group.create_dataset("type", (1,), "S10", [str(value).encode()])
                elif isinstance(value, Mapping):
                    for inner, item in value.items():
                        group[f"{key}/{inner}"] = item
                else:
                    group[key] = value
        for key, value in (simulation or {}).items():
            file[f"simulation/{key}"] = value
    return path


def toward_zero(x: Array, factor: Array) -> Array:
    product = x * factor
    return np.sign(product) * (np.abs(product) >> 12)


def lif(current: Array, constants: Mapping[str, Any], bias: Array | int) -> Array:
    """Spikes (T, *shape) of lava-dl's neurons for ``current`` (T, *shape) in weight units: plain 64-bit integers."""
    u = v = np.zeros(current.shape[1:], np.int64)
    spikes = []
    for arriving in current:
        u = toward_zero(u, 4096 - np.asarray(constants["iDecay"])) + (arriving << 6)
        v = toward_zero(v, 4096 - np.asarray(constants["vDecay"])) + u + (np.asarray(bias) << 6)
        fired = v > (np.asarray(constants["vThMant"]) << 6)
        v = np.where(fired, 0, v)
        spikes.append(fired.astype(np.int64))
    return np.array(spikes)


def late(spikes: Array, delays: Array | int) -> Array:
    """Every neuron's spikes (T, *shape), each as many steps later as ``delays`` says."""
    out = np.zeros_like(spikes)
    wait = np.broadcast_to(np.asarray(delays), spikes.shape[1:])
    for place in np.ndindex(*wait.shape):
        d = int(wait[place])
        out[(slice(d, None), *place)] = spikes[(slice(0, len(spikes) - d), *place)]
    return out


def correlate(x: Array, weight: Array, stride: int, padding: int) -> Array:
    """Cross-correlation of (T, C, H, W) with (O, C, ky, kx), one output position at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    ky, kx = weight.shape[2:]
    rows, columns = ((x.shape[2 + i] - k) // stride + 1 for i, k in enumerate((ky, kx)))
    out = np.zeros((len(x), len(weight), rows, columns), np.int64)
    for r in range(rows):
        for c in range(columns):
            patch = x[:, :, r * stride : r * stride + ky, c * stride : c * stride + kx]
            out[:, :, r, c] = np.einsum("tcyx,ocyx->to", patch, weight)
    return out
