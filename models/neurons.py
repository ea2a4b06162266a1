"""One spiking neuron for training: the step of :mod:`snncc.ir.dynamics` in PyTorch, with surrogate derivatives.

The forward values are those of ``snncc.ir.dynamics.step``, operation by operation. The derivative of the spike count n
with respect to the membrane v is replaced by (Xu, Liu and Yang 2021; for one level the usual surrogate gradient)::

    dn/dv = (1/Δ) · Σ_k h((v − θ)/Δ − (k − 1)),  k = 1 … levels

with Δ the level spacing and h one of three bumps of area 1 around 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics, Value, resetting

SURROGATES = ("rectangle", "triangle", "sigmoid")


@dataclass(frozen=True)
class Surrogate:
    """The derivative used for a spike.

    Attributes:
        kind: "rectangle" (flat; a membrane at its very lower end, as 0 often is, is outside), "triangle", or "sigmoid" (the
            derivative of a sigmoid of slope 4).
        width: of the bump, in level spacings; its area stays 1.
        through_reset: whether the derivative also runs through the reset; off, the reset counts as a constant.
    """

    kind: Literal["rectangle", "triangle", "sigmoid"] = "rectangle"
    width: float = 1.0
    through_reset: bool = False

    def __post_init__(self) -> None:
        if self.kind not in SURROGATES:
            raise GraphError(f"surrogate: kind is {self.kind!r}; it must be one of {', '.join(SURROGATES)}")
        if not self.width > 0:
            raise GraphError(f"surrogate: width is {self.width}; it must be above 0")


def bump(surrogate: Surrogate, x: Tensor) -> Tensor:
    """h(x): height of the surrogate bump at distance ``x`` (in level spacings) from where the neuron fires."""
    x = x / surrogate.width
    if surrogate.kind == "rectangle":
        height = _inside(x + 0.5)
    elif surrogate.kind == "triangle":
        height = (1 - x.abs()).clamp_min(0)
    else:
        s = torch.sigmoid(4 * x)
        height = 4 * s * (1 - s)
    return height / surrogate.width


def count_derivative(surrogate: Surrogate, x: Tensor, levels: int) -> Tensor:
    """Σ_k h(x − (k − 1)) over the levels; ``x`` = (v − θ)/Δ."""
    if surrogate.kind == "rectangle" and surrogate.width == 1.0:  # the levels' bumps join to one
        return _inside((x + 0.5) / levels)
    total = bump(surrogate, x)
    for level in range(1, levels):
        total = total + bump(surrogate, x - level)
    return total


def _inside(x: Tensor) -> Tensor:
    """1 where 0 < x ≤ 1, else 0; without booleans, which compiled CPU code stores at a twentieth of the speed of numbers."""
    return 1 - (torch.ceil(x) - 1).abs().clamp_max(1)


class _SpikeCount(torch.autograd.Function):
    """Spikes of one step forward (``snncc.ir.dynamics.count_spikes``), the surrogate backward."""

    @staticmethod
    def forward(ctx: Any, membrane: Tensor, dynamics: Dynamics, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(membrane)
        ctx.dynamics, ctx.surrogate = dynamics, surrogate
        spikes = one_sided(dynamics, membrane)
        return spikes - one_sided(dynamics, -membrane) if dynamics.signed else spikes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (membrane,) = ctx.saved_tensors
        dynamics: Dynamics = ctx.dynamics
        threshold, spacing = constant(dynamics.threshold, membrane), constant(dynamics.level_spacing, membrane)
        derivative = count_derivative(ctx.surrogate, (membrane - threshold) / spacing, dynamics.levels)
        if dynamics.signed:
            derivative += count_derivative(ctx.surrogate, (-membrane - threshold) / spacing, dynamics.levels)
        return gradients[0] * derivative / spacing, None, None


def one_sided(dynamics: Dynamics, v: Tensor) -> Tensor:
    """Spikes of membranes ``v``, upward ones only; without booleans."""
    steps = v - constant(dynamics.threshold, v)
    if dynamics.levels > 1:
        steps = steps / constant(dynamics.level_spacing, v)
    count = torch.ceil(steps) if dynamics.compare == ">" else torch.floor(steps) + 1
    return count.clamp(0, dynamics.levels)


def constant(value: Value, like: Tensor) -> Tensor:
    """A constant of the dynamics in the type and on the device of ``like``."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


class State(NamedTuple):
    """Current, membrane and the spikes of the step before, each (N, …)."""

    u: Tensor
    v: Tensor
    spikes: Tensor


class SpikingNeuron(nn.Module):
    """A population of neurons over all time steps.

    The constants are numbers of ``dynamics``, so the module has no tensors of its own. A method that learns some makes them
    parameters of a subclass, and gives their values in ``learned``. ``observer`` sees the membranes before they fire.
    """

    def __init__(self, dynamics: Dynamics, surrogate: Surrogate) -> None:
        super().__init__()
        self.dynamics = dynamics
        self.surrogate = surrogate
        self.observer: Callable[[Tensor], None] | None = None

    def forward(self, current: Tensor, time_steps: int) -> Tensor:
        """Spike counts (T, N, …), or membranes where the neuron never fires, for input ``current`` (T, N, …) or, for
        the same current at every step, (1, N, …)."""
        state = self.start(current[0])
        recording = []
        steps = current.unbind() if len(current) > 1 else current.unbind() * time_steps  # unbind: one cheap backward
        for i in steps:
            state = self.step(state, i)
            recording.append(state.spikes if self.dynamics.fires else state.v)
        return joined(recording)

    def start(self, like: Tensor) -> State:
        """The state before the first step, for currents (N, …) like this one."""
        zero = torch.zeros_like(like)
        return State(zero, constant(self.dynamics.v_init, like).expand(like.shape), zero)

    def step(self, state: State, current: Tensor) -> State:
        """The state after one step with input ``current`` (N, …)."""
        d, i = self.dynamics, current
        u = i if d.current_decay is None else self.decayed(d.current_decay, state.u) + i
        if not _is(d.current_bias, 0.0):
            u = u + constant(d.current_bias, u)
        v, spikes = self._step(state.u if d.current_timing == "after" else u, state.v, state.spikes)
        if d.fires and d.reset_current:
            u = torch.where(resetting(d, state.spikes, spikes) != 0, torch.zeros_like(u), u)
        return State(u, v, spikes)

    def leaving(self, recording: Tensor) -> Tensor:
        """What the population gives for what ``forward`` recorded: spikes times their value, or membranes."""
        value = self.dynamics.spike_value
        if not self.dynamics.fires or _is(value, 1.0):
            return recording
        return recording * constant(value, recording)

    def decayed(self, factor: Value, x: Tensor) -> Tensor:
        """A state after one step of leak."""
        return constant(factor, x) * x

    def learned(self) -> dict[str, Any]:
        """Constants that training changed: field of ``dynamics`` to number or nested lists, as a description holds them."""
        return {}

    def _step(self, u: Tensor, v: Tensor, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Membrane after the step and its spikes; the order of ``snncc.ir.dynamics``. Factors of one and terms of zero
        change nothing and are left out."""
        d = self.dynamics
        pending = d.fires and d.reset_timing == "immediate_pending"
        owed = _SpikeCount.apply(v, d, self.surrogate) if pending else None
        if d.decay_timing == "before" and not _is(d.membrane_decay, 1.0):
            v = self.decayed(d.membrane_decay, v)
        if d.fires and d.reset_timing == "next_step":
            v = self._reset(v, spikes)
        v = v + (u if _is(d.input_gain, 1.0) else constant(d.input_gain, v) * u)
        if not _is(d.bias, 0.0):
            v = v + constant(d.bias, v)
        if d.fires and d.reset_timing == "next_step_after_input":
            v = self._reset(v, spikes)
        if owed is not None:
            v = self._reset(v, owed)
        if d.v_min is not None:
            v = torch.maximum(v, constant(d.v_min, v))
        if d.fires:
            if self.observer is not None:
                self.observer(v)
            spikes = _SpikeCount.apply(v, d, self.surrogate)
            if d.reset_timing == "immediate":
                v = self._reset(v, spikes)
            if owed is not None:
                v = self._reset(v, spikes - owed)
        if d.decay_timing == "after" and not _is(d.membrane_decay, 1.0):
            v = self.decayed(d.membrane_decay, v)
        return v, spikes

    def _reset(self, v: Tensor, spikes: Tensor) -> Tensor:
        d = self.dynamics
        if d.reset == "none":
            return v
        if not self.surrogate.through_reset:
            spikes = spikes.detach()
        if d.reset == "subtract":
            return v - spikes * constant(d.subtracted, v)
        if not self.surrogate.through_reset:
            if d.levels == 1 and not d.signed:
                kept = v * (1 - spikes)
                return kept if _is(d.reset_value, 0.0) else kept + constant(d.reset_value, v) * spikes
            return torch.where(spikes != 0, constant(d.reset_value, v), v)
        fired = spikes.abs().clamp_max(1)
        return torch.where(spikes != 0, constant(d.reset_value, v), v) + (fired - fired.detach()) * (
            constant(d.reset_value, v) - v.detach()
        )


def joined(steps: Sequence[Tensor]) -> Tensor:
    """Steps (N, …) as (T, N, …); unlike stack, it keeps channels innermost."""
    return torch.cat(list(steps)).unflatten(0, (len(steps), len(steps[0])))


def _is(value: Value, number: float) -> bool:
    return isinstance(value, int | float) and value == number
