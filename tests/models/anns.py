"""Small networks without spikes, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from snncc.models.ann import Ann
from snncc.models.module import SpikingNetwork

CONVOLUTION = {"kernel": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
POOL = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]}


def residual(activation: dict[str, Any], seed: int = 0, pool: str = "avg_pool2d") -> Ann:
    """Convolutions with batch norm, a shortcut of rates, pooling, dropout, and a last Linear; 8×8 images of 2 channels."""
    layers = [
        {"name": "conv1", "kind": "conv2d", "in_channels": 2, "out_channels": 6, "bias": False, **CONVOLUTION},
        {"name": "bn1", "kind": "batch_norm", "channels": 6, "eps": 1e-5},
        {"name": "act1", **activation},
        {"name": "pool1", "kind": pool, **POOL},
        {"name": "conv2", "kind": "conv2d", "in_channels": 6, "out_channels": 6, "bias": True, **CONVOLUTION},
        {"name": "add", "kind": "identity", "inputs": ["conv2", "pool1"]},
        {"name": "act2", **activation},
        {"name": "pool2", "kind": "avg_pool2d", **POOL},
        {"name": "flat", "kind": "flatten"},
        {"name": "drop", "kind": "dropout", "probability": 0.5},
        {"name": "fc1", "kind": "dense", "in_features": 24, "out_features": 20, "bias": True},
        {"name": "act3", **activation},
        {"name": "fc2", "kind": "dense", "in_features": 20, "out_features": 5, "bias": True},
    ]
    before = "input"
    for layer in layers:
        layer.setdefault("inputs", [before])
        before = layer["name"]
    description = {
        "name": "residual", "time_steps": 1, "layers": layers,
        "input": {"shape": [2, 8, 8], "encoding": "static", "scale": 1 / 255, "low": 0, "high": 255},
        "output": {"readout": "summed_current", "ties": "lowest_index"},
    }  # fmt: skip
    torch.manual_seed(seed)
    network = SpikingNetwork(description)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.02, 0.1)
            elif name.endswith("weight") and tensor.dim() > 1:
                tensor.mul_(2.0)
    state = {k: v for k, v in network.deployed()[1].items() if not k.endswith("num_batches_tracked")}
    return Ann(description, state)


def images(count: int, seed: int = 0, shape: tuple[int, ...] = (2, 8, 8)) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed))
