"""Small random networks of every framework, and the framework's own run of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS, SAMPLES = 100, 2
SHAPES = {"dense": (12,), "conv": (2, 8, 8)}


@dataclass(frozen=True)
class Case:
    """A neuron under test: ``make(size)`` gives one for a population of that many neurons (dense ones)."""

    framework: str
    neuron: str
    reset: str
    make: Callable[[int], nn.Module]
    kinds: tuple[str, ...] = ("dense", "conv")
    layout: str = "step"
    container: Callable[..., nn.Module] = nn.Sequential
    layer: Callable[[nn.Module], nn.Module] = lambda module: module

    @property
    def label(self) -> str:
        return f"{self.framework}-{self.neuron}-{self.reset}"


class Unwrapped(nn.Sequential):
    """Takes the output out of what Rockpool's modules return, (output, states, record)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        for layer in self:
            result = layer(input)
            input = result[0] if isinstance(result, tuple) else result
        return input


def network(case: Case, kind: str, seed: int) -> nn.Module:
    """Two layers; weights and biases are multiples of 1/64, so that their sums are exact in float32 in any order."""
    torch.manual_seed(seed)
    if kind == "dense":
        layers = [nn.Linear(12, 20), case.make(20), nn.Linear(20, 9), case.make(9)]
    else:
        layers = [
            nn.Conv2d(2, 4, 3, padding=1),
            case.make(0),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 9),
            case.make(0),
        ]
    made = case.container(*[case.layer(layer) for layer in layers])
    for layer in made.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.ndim > 1:
            fan = layer.weight[0].numel()
            with torch.no_grad():
                layer.weight.copy_(torch.round(torch.randn_like(layer.weight) * 64 * 2.5 / fan**0.5) / 64)
                if layer.bias is not None:
                    layer.bias.copy_(torch.round(torch.rand_like(layer.bias) * 12) / 64)
    return made


def frames(kind: str, seed: int) -> np.ndarray:
    """Random spikes (T, N, *shape)."""
    return (np.random.default_rng(seed).random((STEPS, SAMPLES, *SHAPES[kind])) < 0.3).astype(np.int64)


def example(case: Case, inputs: np.ndarray) -> torch.Tensor:
    """``inputs`` as the network takes them; the first step where it takes one."""
    x = torch.from_numpy(inputs.astype(np.float32))
    if case.layout == "step":
        return x[0]
    if case.layout == "time_batch":
        return x
    swapped = x.transpose(0, 1).contiguous()
    return swapped if case.layout == "batch_time" else swapped.flatten(0, 1)


def own_run(case: Case, module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """Outputs (T, N, …) of the framework itself."""
    module.eval()
    x = torch.from_numpy(inputs.astype(np.float32))
    with torch.no_grad():
        if case.framework == "norse":
            return _norse(case, module, x)
        if case.layout == "step":
            return np.stack([_first(module(frame)).numpy() for frame in x])
        result = _first(module(example(case, inputs)))
    if case.layout == "squeezed":
        result = result.unflatten(0, (SAMPLES, STEPS))
    return (result if case.layout == "time_batch" else result.transpose(0, 1)).numpy()


def _norse(case: Case, module: nn.Module, x: torch.Tensor) -> np.ndarray:
    if case.layout == "time_batch":
        return _first(module(x)).numpy()
    state, outputs = None, []
    for frame in x:
        output, state = module(frame, state)
        outputs.append(output.numpy())
    return np.stack(outputs)


def _first(value: Any) -> torch.Tensor:
    while isinstance(value, tuple):
        value = value[0]
    return value
