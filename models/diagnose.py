"""What each layer of spiking neurons does on some samples: is it alive, and can it learn?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from snncc.models.module import BatchNorm, SpikingNetwork
from snncc.models.neurons import SpikingNeuron, constant, count_derivative

DEAD_RATE = 1e-3
SATURATED_RATE = 0.95
STARVED_SHARE = 1e-2


_REMEDIES = {
    "dead": 'raise the weights or lower the threshold: [initialise] kind = "threshold_matched", or batch norm in front',
    "saturated": 'lower the weights or raise the threshold: [initialise] kind = "threshold_matched", or batch norm in front',
    "starved": "no gradient gets through: a wider surrogate ([network.surrogate] width), or batch norm in front",
}


@dataclass(frozen=True)
class LayerHealth:
    """Of one layer, over all neurons, samples and steps.

    Attributes:
        rate: spikes a neuron and step, over the most it can fire (0..1).
        silent: share of the neurons that fired on no sample.
        inside: share of the membranes where the surrogate derivative is not 0, or None for a method that has no such
            window.
    """

    layer: str
    rate: float
    silent: float
    inside: float | None

    @property
    def verdict(self) -> str:
        """ "dead", "saturated", "starved" (next to no gradient passes) or "alive"."""
        if self.rate < DEAD_RATE:
            return "dead"
        if self.rate > SATURATED_RATE:
            return "saturated"
        return "starved" if self.inside is not None and self.inside < STARVED_SHARE else "alive"

    @property
    def remedy(self) -> str:
        """What to do about it; empty where the layer is alive."""
        return _REMEDIES.get(self.verdict, "")


@torch.no_grad()
def diagnose(network: SpikingNetwork, samples: Tensor) -> list[LayerHealth]:
    """The health of every firing layer on ``samples``, inputs as the network takes them, in evaluation mode."""
    training = network.training
    network.eval()
    with _windows(network) as windows:
        values = network.record(samples)
    network.train(training)
    found = []
    for name, module in network.named_children():
        if not isinstance(module, SpikingNeuron) or not module.dynamics.fires:
            continue
        spikes = (values[name] / constant(module.dynamics.spike_value, values[name])).abs()
        silent = float((spikes.sum((0, 1)) == 0).float().mean())
        shares = windows[name]
        inside = sum(shares) / len(shares) if shares else None
        found.append(LayerHealth(name, float(spikes.mean()) / module.dynamics.levels, silent, inside))
    return found


@torch.no_grad()
def settle_norms(network: SpikingNetwork, samples: Tensor) -> None:
    """Give every batch norm the mean and variance that it sees on ``samples``, as it normalises in training."""
    norms = [m for m in network.modules() if isinstance(m, BatchNorm)]
    training, momenta = network.training, [m.momentum for m in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    network.record(samples)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train(training)


@contextmanager
def _windows(network: SpikingNetwork) -> Iterator[dict[str, list[float]]]:
    """Collects the share of membranes inside the surrogate's window, one a step and layer."""
    seen: dict[str, list[float]] = {}
    neurons = {n: m for n, m in network.named_children() if isinstance(m, SpikingNeuron)}
    for name, module in neurons.items():
        seen[name] = []

        def observe(v: Tensor, module: SpikingNeuron = module, shares: list[float] = seen[name]) -> None:
            d = module.dynamics
            x = (v - constant(d.threshold, v)) / constant(d.level_spacing, v)
            shares.append(float((count_derivative(module.surrogate, x, d.levels) > 1e-2).float().mean()))

        module.observer = observe
    try:
        yield seen
    finally:
        for module in neurons.values():
            module.observer = None
