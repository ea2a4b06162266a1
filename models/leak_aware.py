"""Spike-based back-propagation with a leak-aware derivative (Lee, Sarwar, Panda, Srinivasan and Roy 2020).

Forward is ``snncc.ir.dynamics.step`` of a binary neuron with a hard reset. Backward, with g[t] the gradient of the loss
with respect to the spike o[t], δ[t] that with respect to the membrane before it fires, and so to the current of step t::

    δ[t] = height · NG · g[t]   where the neuron fired at t: a spike is owed to every current since the spike before it
    δ[t] = δ[t+1]               elsewhere; 0 after the last spike

    NG = [LF > 10⁻³] + ln(b) · LF / Total,   LF = Σ_t b^(T−t) · o[t],   Total = Σ_t o[t]

b is the membrane's decay, so a neuron without leak has NG = 1, and NG is one number a neuron and sample, the same at every
step. ``height`` is 1/θ, and 1 for the paper's pool neurons. The reset stops the gradient; the leak counts as a constant that
was subtracted: it lowers membranes, and no gradients. So does the output neuron's, which never fires: δ[t] = Σ_{t' ≥ t} g[t'].

``window`` (ours, not the paper's): δ[t] = 0 where the neuron would have fired at a threshold of ``window`` · θ too. The reset to 0
forgets what is above θ, so a little more or less charge changes nothing there; without a window such neurons keep asking for
larger weights, until they fire at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics
from snncc.models.neurons import SpikingNeuron, Surrogate, constant, joined, one_sided

SMALLEST_FILTERED = 1e-3
"""LF below which a neuron counts as silent."""
_FREE = ("threshold", "compare", "membrane_decay", "reset_value", "decay_timing", "v_init", "spike_value", "fires")


class LeakAwareNeuron(SpikingNeuron):
    """A population whose spikes have the leak-aware derivative. Raises :class:`GraphError` for dynamics that it does not
    cover: all but binary neurons with a hard reset in the same step, without synaptic current, bias and clamp.

    Args:
        height: of the derivative where a neuron fires; None: 1/threshold.
        window: in thresholds, the membrane up to which a spike has a derivative, above 1; None: any.
    """

    def __init__(self, dynamics: Dynamics, height: float | None = None, window: float | None = None) -> None:
        super().__init__(dynamics, Surrogate())
        covered = Dynamics(reset="to_value" if dynamics.fires else dynamics.reset)
        for field in (f for f in Dynamics.__dataclass_fields__ if f not in _FREE):
            if np.any(getattr(dynamics, field) != getattr(covered, field)):
                raise GraphError(
                    f"leak_aware: {field} is {getattr(dynamics, field)!r}; it must be {getattr(covered, field)!r}, "
                    "or take the surrogate method"
                )
        if np.min(dynamics.membrane_decay) <= 0:
            raise GraphError(f"leak_aware: membrane_decay is {dynamics.membrane_decay}; it must be above 0")
        if height is not None and not height > 0:
            raise GraphError(f"leak_aware: height is {height}; it must be above 0")
        if window is not None and not window > 1:
            raise GraphError(f"leak_aware: window is {window}; it must be above 1, or no spike has a derivative")
        self.height, self.window = height, window

    def forward(self, current: Tensor, time_steps: int) -> Tensor:
        """As :meth:`SpikingNeuron.forward`."""
        if len(current) == 1:
            current = current.expand(time_steps, *current.shape[1:])
        if not self.dynamics.fires:
            membranes: Tensor = _Membranes.apply(current, self.dynamics)
            return membranes
        spikes: Tensor = _Spikes.apply(current, self.dynamics, self.height, self.window)
        return spikes


class _Spikes(torch.autograd.Function):
    """Spikes (T, N, …) of currents (T, N, …)."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, dynamics: Dynamics, height: float | None, window: float | None) -> Tensor:
        value = constant(dynamics.reset_value, current)
        far = None if window is None else dynamics.with_(threshold=window * np.asarray(dynamics.threshold))
        v, recording, owing = _start(dynamics, current), [], []
        for i in current.unbind():
            v = _charged(dynamics, v, i)
            fired = one_sided(dynamics, v)
            recording.append(fired)
            if far is not None:
                owing.append(fired - one_sided(far, v))
            v = _leaked(dynamics, v * (1 - fired) + value * fired)
        spikes = joined(recording)
        ctx.save_for_backward(spikes, joined(owing) if owing else spikes)
        ctx.dynamics, ctx.height = dynamics, height
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        spikes, owing = ctx.saved_tensors
        dynamics: Dynamics = ctx.dynamics
        height = 1 / constant(dynamics.threshold, spikes) if ctx.height is None else ctx.height
        slope = height * leak_correction(spikes, constant(dynamics.membrane_decay, spikes))
        delta, deltas = torch.zeros_like(spikes[0]), []
        for fired, owed, g in zip(*(reversed(x.unbind()) for x in (spikes, owing, gradients[0])), strict=True):
            delta = delta * (1 - fired) + owed * (slope * g)
            deltas.append(delta)
        return joined(deltas[::-1]), None, None, None


class _Membranes(torch.autograd.Function):
    """Membranes (T, N, …) after each step of a neuron that never fires."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, dynamics: Dynamics) -> Tensor:
        v, recording = _start(dynamics, current), []
        for i in current.unbind():
            v = _leaked(dynamics, _charged(dynamics, v, i))
            recording.append(v)
        return joined(recording)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].flip(0).cumsum(0).flip(0), None


def leak_correction(spikes: Tensor, decay: Tensor) -> Tensor:
    """NG (N, …) of ``spikes`` (T, N, …); 0 for neurons that never fired."""
    filtered = torch.zeros_like(spikes[0])
    for o in spikes.unbind():
        filtered = decay * filtered + o
    total = spikes.sum(0).clamp_min(1)
    heard = torch.ceil(filtered - SMALLEST_FILTERED).clamp(0, 1)
    return heard + torch.log(decay) * filtered / total


def _start(dynamics: Dynamics, current: Tensor) -> Tensor:
    return constant(dynamics.v_init, current).expand(current.shape[1:])


def _charged(dynamics: Dynamics, v: Tensor, i: Tensor) -> Tensor:
    return (constant(dynamics.membrane_decay, v) * v if dynamics.decay_timing == "before" else v) + i


def _leaked(dynamics: Dynamics, v: Tensor) -> Tensor:
    return constant(dynamics.membrane_decay, v) * v if dynamics.decay_timing == "after" else v
