"""How the weights start: what a recipe's ``[initialise]`` names.

- ``default``: PyTorch's own, uniform in ±1/√fan_in.
- ``fan_in``: ``W ~ N(0, κ / fan_in)``, biases 0 (Lee et al. 2020 with κ = 2 or 1).
- ``threshold_matched``: ``W ~ N(0, (kθ)² / (fan_in · E[s²]))``, biases 0, one layer after the other, with E[s²] the mean
  square of what the layer receives from the layers before it, already initialised, on a batch of the training set; θ is
  the threshold of the neurons behind it (1 where they never fire). Membranes then have a spread of about k thresholds in
  every layer, however deep (this project's reconstruction of the initialisation of Chen and Li 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snncc.errors import GraphError
from snncc.frontends.description import INPUT
from snncc.models.module import SpikingNetwork
from snncc.models.neurons import SpikingNeuron

_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear)


def initialise(network: SpikingNetwork, options: Mapping[str, Any], samples: Tensor) -> None:
    """Give ``network`` new weights as ``options`` say: "kind" and its parameters. ``samples`` are inputs as the network takes them.
    Draws from PyTorch's generator. Raises :class:`GraphError` for a kind or a parameter that is not known."""
    arguments = dict(options)
    kind = arguments.pop("kind", "default")
    if kind not in KINDS:
        raise GraphError(f"initialise: {kind!r} is no known kind; known are {', '.join(KINDS)}")
    try:
        with torch.no_grad():
            KINDS[kind](network, samples, **arguments)
    except TypeError as error:
        raise GraphError(f"initialise: {kind} does not take these parameters ({error})") from error


def _default(network: SpikingNetwork, samples: Tensor) -> None:
    pass


def _fan_in(network: SpikingNetwork, samples: Tensor, kappa: float) -> None:
    for _, layer in _weighted(network):
        _draw(layer, math.sqrt(kappa / layer.weight[0].numel()))


def _threshold_matched(network: SpikingNetwork, samples: Tensor, k: float = 1.25) -> None:
    training = network.training
    network.eval()
    for name, layer in _weighted(network):
        values = network.record(samples)
        received = sum(values[source] for source in network.inputs[name])
        assert isinstance(received, Tensor)
        power = float(received.float().square().mean())
        if not power:
            raise GraphError(
                f"{name}: receives nothing on these samples; raise the input scale or k, or drop the layer"
            )
        _draw(layer, k * _threshold_behind(network, name) / math.sqrt(layer.weight[0].numel() * power))
    network.train(training)


KINDS: dict[str, Callable[..., None]] = {
    "default": _default,
    "fan_in": _fan_in,
    "threshold_matched": _threshold_matched,
}


def _weighted(network: SpikingNetwork) -> list[tuple[str, nn.Conv1d | nn.Conv2d | nn.Linear]]:
    """Layers with weights in the order of the network."""
    return [(name, m) for name, m in network.named_children() if isinstance(m, _WEIGHTED)]


def _draw(layer: nn.Conv1d | nn.Conv2d | nn.Linear, deviation: float) -> None:
    nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _threshold_behind(network: SpikingNetwork, name: str) -> float:
    """Mean threshold of the first neurons that layer ``name`` leads to; 1 where they never fire."""
    assert name != INPUT
    while True:
        name = next((n for n, sources in network.inputs.items() if name in sources), "")
        if not name:
            return 1.0
        module = network.get_submodule(name)
        if isinstance(module, SpikingNeuron):
            return float(np.mean(module.dynamics.threshold)) if module.dynamics.fires else 1.0
