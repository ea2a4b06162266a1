"""Differentiation on spike representation, DSR (Meng et al., CVPR 2022): neurons with a trained threshold V, whose
derivative is that of what their spikes represent.

A spike train o[1 … T] represents ``r(o) = Σ w_t o[t] / Σ w_t``, with ``w_t = e^(−(T−t)Δt/τ)`` for the LIF and 1 for the IF
neuron. The neurons spike as :mod:`snncc.ir.dynamics` says; they are differentiated as the map of representations

    r_out = clip(r_in / τ, 0, V/Δt)        (IF: τ = Δt = 1)

which they approach for large T: with ``G = T·r(∂L/∂o)``, no back-propagation through time::

    ∂L/∂I[t] = G/(τT) where 0 ≤ r_in ≤ Vτ/Δt (LIF: <), else 0        ∂L/∂V = Δt · Σ G where r_in > Vτ/Δt

V is one number a layer, kept at or above ``least`` (paper: 0.01 for IF, 0.0005 for LIF).

**Training on representations.** These gradients are the same at every step, so the backward pass needs no time steps. A
network of such neurons is trained by :func:`representation_scores`: T steps of spikes forward, without a graph, and one
backward pass through the representations, whose values are those of the spikes. All between neurons is affine, so this is the
same gradient. For LIF two things differ from taking the formulas at every step: the gradient of weights sees spikes weighted
by w_t, not evenly, and that of a spiking readout is not weighted a second time (T Σw²/(Σw)², 1.02 for T = 5, Δt = 0.1τ).
Batch norm normalises representations: mean and variance are those of r over the batch, one affine map for all
steps of it, as after training.

**Even currents.** Where every neuron gets its mean current at each step, the network is an ANN whose activations have T + 1
levels (:meth:`RepresentationNeuron.evenly`), and nothing runs T times. Training may begin with it (``even_epochs``; ours, not
the paper's); the epochs of spikes that follow teach the network the order in which spikes come.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics
from snncc.models.neurons import SpikingNeuron, Surrogate, joined

if TYPE_CHECKING:
    from snncc.models.module import SpikingNetwork

BatchNorm = nn.modules.batchnorm._BatchNorm
AFFINE = nn.Conv2d | nn.Conv1d | nn.Linear | BatchNorm | nn.AvgPool2d | nn.Flatten | nn.Dropout | nn.Identity


class RepresentationNeuron(SpikingNeuron):
    """The IF or LIF neuron of DSR: which one, α, Δt and τ are read off its dynamics.

    ``threshold`` = αV, ``reset_amount`` = V, and for IF ``spike_value`` = V; for LIF ``spike_value`` = V/Δt,
    ``membrane_decay`` = e^(−Δt/τ) and ``input_gain`` = 1 − ``membrane_decay``. V is learned; α, Δt and τ stay.

    Attributes:
        level: V, a parameter without axes; first: its first value, V as given in the parameter's precision.
        least: the smallest V.
        alpha, delta_t, tau: α, Δt and τ, the last two in any one unit of time; 1 for IF.
        decay: e^(−Δt/τ); 1 for IF.
    """

    def __init__(self, dynamics: Dynamics, least: float) -> None:
        super().__init__(dynamics, Surrogate())
        amount, value, decay = (
            _number(v) for v in (dynamics.subtracted, dynamics.spike_value, dynamics.membrane_decay)
        )
        leaks = decay < 1
        gain_fits = math.isclose(_number(dynamics.input_gain), 1 - decay if leaks else 1.0, rel_tol=1e-9)
        own = ("threshold", "reset_amount", "membrane_decay", "input_gain", "spike_value")
        plain = Dynamics(**{field: getattr(dynamics, field) for field in own})
        if repr(plain) != repr(dynamics) or not gain_fits or decay <= 0:
            raise GraphError(
                f"dsr: {dynamics} is no neuron of this method; it needs a threshold, a reset_amount, a spike_value and, for LIF, "
                "a membrane_decay and an input_gain of 1 − membrane_decay, all numbers, and the defaults otherwise"
            )
        if not leaks and value != amount:
            raise GraphError(f"dsr: spike_value is {value}; an IF neuron's is its reset_amount {amount}")
        if not 0 < least <= amount:
            raise GraphError(f"dsr: least is {least}; it must lie above 0 and not above the reset_amount {amount}")
        self.least = least
        self.alpha = _number(dynamics.threshold) / amount
        self.delta_t = amount / value if leaks else 1.0
        self.tau = -self.delta_t / math.log(decay) if leaks else 1.0
        self.decay = decay
        self.level = nn.Parameter(torch.tensor(amount))
        self.first = float(np.float32(amount))

    @property
    def dynamics(self) -> Dynamics:
        """The neuron with the threshold learned so far; as given while the parameter, in its precision, has not moved."""
        level = max(float(self.level.detach()), self.least)
        if level == self.first:
            return self._given
        return self._given.with_(threshold=self.alpha * level, reset_amount=level, spike_value=level / self.delta_t)

    @dynamics.setter
    def dynamics(self, given: Dynamics) -> None:
        self._given = given

    def learned(self) -> dict[str, Any]:
        """Fields that follow from V."""
        d = self.dynamics
        return {"threshold": d.threshold, "reset_amount": d.reset_amount, "spike_value": d.spike_value}

    def forward(self, current: Tensor, time_steps: int) -> Tensor:
        """Spikes (T, N, …) of ``current`` (T, N, …) or (1, N, …)."""
        if not torch.is_grad_enabled():
            return super().forward(current, time_steps)
        return _Spikes.apply(current.expand(time_steps, *current.shape[1:]), self.level, self)

    @property
    def slopes(self) -> tuple[float, float, bool]:
        """τ, Δt, and whether it is the LIF neuron: what the derivatives depend on besides V."""
        return self.tau, self.delta_t, self.decay < 1

    def weights(self, time_steps: int) -> list[float]:
        """w_t / Σ w_t for t = 1 … T."""
        return _weights(self.decay, time_steps)

    def simulate(self, current: Tensor, time_steps: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """What leaves the neurons, (T, N, …) in ``dtype``, and its representation (N, …), for ``current`` (T, N, …) or
        (1, N, …)."""
        level = self.bounded()
        threshold, value = self.alpha * level, level / self.delta_t
        v = torch.zeros_like(current[0])
        mean = torch.zeros_like(v)
        leaving = []
        for t, weight in enumerate(self.weights(time_steps)):
            i = current[t if len(current) > 1 else 0]
            v = v + i if self.decay == 1 else self.decay * v + (1 - self.decay) * i
            fired = v >= threshold
            v = torch.where(fired, v - level, v)
            mean = torch.where(fired, mean + weight, mean)
            leaving.append((fired * value).to(dtype or current.dtype))
        return joined(leaving), mean * value

    def evenly(self, mean: Tensor, time_steps: int) -> Tensor:
        """The representation (N, …), one of T + 1 levels, of what leaves the neurons where ``mean`` (N, …) arrives at each step;
        exact for IF, whose count of spikes is ⌊T·mean/V + 1 − α⌋ between 0 and T."""
        with torch.no_grad():
            level = self.bounded()
            top = level / self.delta_t
            count = torch.floor(mean * (time_steps / (self.tau * top)) + (1 - self.alpha)).clamp(0, time_steps)
            leaving = count * (top / time_steps)
        made: Tensor = _Map.apply(mean, self.level, leaving, *self.slopes)
        return made

    def bounded(self) -> Tensor:
        """V, at or above ``least``; the parameter itself is brought back there."""
        with torch.no_grad():
            self.level.clamp_(min=self.least)
        return self.level.detach()


class _Spikes(torch.autograd.Function):
    """Spikes of all steps forward; the derivative of the representation backward."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, level: Tensor, neuron: RepresentationNeuron) -> Tensor:
        neuron.bounded()
        ctx.save_for_backward(_represented(current, neuron.weights(len(current))), level)
        ctx.neuron, ctx.time_steps = neuron, len(current)
        return SpikingNeuron.forward(neuron, current, len(current))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        arriving, level = ctx.saved_tensors
        neuron, steps = ctx.neuron, ctx.time_steps
        spike_value = level / neuron.delta_t  # gradients are those of counts, which the network multiplies with it
        mean = steps * _represented(gradients[0], neuron.weights(steps)) / spike_value
        into, above = _gradients(mean, arriving, level, *neuron.slopes)
        return (into / steps).expand(steps, *into.shape), above, None


class _Map(torch.autograd.Function):
    """``leaving`` forward; backward the derivative of the map from ``arriving`` to it."""

    @staticmethod
    def forward(
        ctx: Any, arriving: Tensor, level: Tensor, leaving: Tensor, tau: float, delta_t: float, leaks: bool
    ) -> Tensor:
        ctx.save_for_backward(arriving, level)
        ctx.slopes = tau, delta_t, leaks
        return leaving.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        arriving, level = ctx.saved_tensors
        return (*_gradients(gradients[0], arriving, level, *ctx.slopes), None, None, None, None)


def _gradients(
    mean: Tensor, arriving: Tensor, level: Tensor, tau: float, delta_t: float, leaks: bool
) -> tuple[Tensor, Tensor]:
    """∂L/∂r_in and ∂L/∂V from G = ``mean`` and r_in = ``arriving``."""
    top = level * (tau / delta_t)
    inside = (arriving > 0) & (arriving < top) if leaks else (arriving >= 0) & (arriving <= top)
    return torch.where(inside, mean / tau, 0.0), delta_t * torch.where(arriving > top, mean, 0.0).sum()


def _weights(decay: float, time_steps: int) -> list[float]:
    weights = [decay ** (time_steps - t) for t in range(1, time_steps + 1)]
    return [w / sum(weights) for w in weights]


def _represented(values: Tensor, weights: list[float]) -> Tensor:
    """r of values (T, N, …), or (1, N, …) where they are the same at every step."""
    if len(values) == 1:
        return values[0]
    return torch.tensordot(torch.tensor(weights, dtype=values.dtype, device=values.device), values, 1)


def trains_on_representations(network: SpikingNetwork) -> bool:
    """Whether :func:`representation_scores` is this network's gradient: DSR neurons of one kind, affine layers between, and
    the last membrane, which leaks as they do, as readout."""
    neurons = {name: m for name, m in network.named_children() if isinstance(m, SpikingNeuron)}
    last = neurons.pop(network.last, None)
    decays = {m.decay if isinstance(m, RepresentationNeuron) else None for m in neurons.values()}
    if last is None or len(decays) != 1 or None in decays:
        return False
    d = last.dynamics
    reads = not d.fires and d.current_decay is None and d.decay_timing == "before" and d.v_min is None
    silent = all(isinstance(v, float) and v == 0 for v in (d.bias, d.current_bias, d.v_init))
    affine = all(isinstance(m, AFFINE | SpikingNeuron) for m in network.children())
    return (
        reads
        and silent
        and affine
        and network.description["output"]["readout"] == "membrane"
        and d.membrane_decay in decays
    )


def representation_scores(network: SpikingNetwork, x: Tensor, even: bool = False) -> Tensor:
    """Scores (N, classes) of integer inputs ``x`` for training, as :meth:`SpikingNetwork.forward`; ``even``: with every
    current's mean at each step in its place."""
    steps, entry = network.time_steps, network.description["input"]
    readout = network.get_submodule(network.last)
    assert isinstance(readout, SpikingNeuron)
    decay = _number(readout.dynamics.membrane_decay)
    device = x.device.type
    stored = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else network.dtype
    x = x.to(network.dtype) * entry["scale"]
    values = {"input": x[None] if entry["encoding"] == "static" else x}
    means = {"input": _represented(values["input"], _weights(decay, steps))}
    for name, sources in network.inputs.items():
        module = network.get_submodule(name)
        mean = reduce(torch.add, [means[s] for s in sources])
        value = reduce(torch.add, [values[s] for s in sources]).detach()
        if name == network.last:
            gain = sum(decay**k for k in range(steps)) * _number(readout.dynamics.input_gain)
            return gain * mean.to(network.dtype)
        if even and isinstance(module, RepresentationNeuron):
            means[name] = module.evenly(mean.to(module.level.dtype), steps)
            values[name] = means[name].detach()[None]
        else:
            values[name], means[name] = _layer(module, value, mean, steps, stored)
    raise AssertionError("a network ends in its last layer")


def _layer(module: nn.Module, value: Tensor, mean: Tensor, steps: int, stored: torch.dtype) -> tuple[Tensor, Tensor]:
    """What leaves a layer, (T, N, …) without a graph, spikes as ``stored``, and its representation (N, …) with one."""
    if isinstance(module, RepresentationNeuron):
        with torch.no_grad():
            spikes, leaving = module.simulate(value.to(module.level.dtype), steps, stored)
        mean = mean.to(module.level.dtype)
        return spikes, _Map.apply(mean, module.level, leaving, *module.slopes)
    if isinstance(module, BatchNorm):
        gain, offset = _normalising(module, mean)
        return value * gain.detach() + offset.detach(), mean * gain + offset
    if isinstance(module, nn.Dropout):
        mask = module(torch.ones_like(mean))
        return value * mask, mean * mask
    mean = module(mean)
    if len(value) == 1:
        return mean.detach()[None], mean
    with torch.no_grad():
        return module(value.flatten(0, 1)).unflatten(0, value.shape[:2]), mean


def _normalising(norm: BatchNorm, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset of a batch norm, each (C, 1, …), from the representations that enter it or, in evaluation, from its
    running statistics, which it updates otherwise."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    middle, variance = norm.running_mean, norm.running_var
    if norm.training:
        axes = [0, *range(2, mean.dim())]
        variance, middle = torch.var_mean(mean.float() if mean.dtype == torch.bfloat16 else mean, axes, correction=0)
        count = mean.numel() // mean.shape[1]
        with torch.no_grad():
            norm.running_mean.lerp_(middle, norm.momentum)
            norm.running_var.lerp_(variance * (count / max(count - 1, 1)), norm.momentum)
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    offset = norm.bias - middle * gain
    shape = (-1,) + (1,) * (mean.dim() - 2)
    return gain.view(shape), offset.view(shape)


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise GraphError("dsr: its constants are numbers, one for the layer, not lists")
    return float(value)
