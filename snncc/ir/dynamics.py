"""What a neuron does in one step of discrete time: every choice explicit, none left to a reader's default.

One step, in this order (``R`` is what the neuron fired in the step before, ``P = n(v)`` whether the membrane that the
step before left would fire again)::

    u  = a·u + i + c                  current_decay a (without it 0), current_bias c; if current_timing = "before"
    v  = b·v                          if decay_timing = "before"
    v  = reset(v, R)                  if reset_timing = "next_step"
    v  = v + g·u + k                  input_gain g, bias k
    u  = a·u + i + c                  if current_timing = "after"
    v  = reset(v, R)                  if reset_timing = "next_step_after_input"
    v  = reset(v, P)                  if reset_timing = "immediate_pending"
    v  = max(v, v_min)                if v_min is given
    n  = number of spikes             fires, compare, threshold, levels, signed
    v  = reset(v, n)                  if reset_timing = "immediate"
    v  = reset(v, n − P)              if reset_timing = "immediate_pending"
    u  = 0 where v was reset          if reset_current
    v  = b·v                          if decay_timing = "after"

``n`` counts how often the neuron can fire in this step, at most ``levels`` times: it fires, takes ``level_spacing``
off, and looks again. ``level_spacing`` is ``reset_amount`` where the reset subtracts, else the threshold. So
``levels = 1`` is the binary neuron and ``levels = S`` with ``reset_amount = threshold`` is the multi-threshold one,
``clip(floor(v / threshold), 0, S)`` (Xu, Liu and Yang 2021). The output of a step is ``n · spike_value``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from snncc.errors import GraphError

Array = np.ndarray
Value = float | Array

COMPARES = (">", ">=")
RESETS = ("subtract", "to_value", "none")
RESET_TIMINGS = ("immediate", "next_step", "next_step_after_input", "immediate_pending")
DECAY_TIMINGS = ("before", "after")
CURRENT_TIMINGS = ("before", "after")


@dataclass(frozen=True, eq=False)
class Dynamics:
    """The constants of a neuron population. Every ``Value`` is a scalar or an array that broadcasts to the
    population's shape ((C, H, W), (C, L) or (N,)); for one value a channel use shape (C, 1, 1) or (C, 1).

    Attributes:
        threshold: θ > 0; the neuron fires on ``v > θ`` or ``v >= θ`` (``compare``).
        membrane_decay: b in [0, 1].
        current_decay: a in [0, 1], or None where the neuron has no synaptic current.
        current_bias: c, added to the current in every step (a layer's bias in front of a synaptic current).
        input_gain: g.
        bias: k, added to the membrane in every step.
        levels: the most spikes in one step.
        signed: also fires negative spikes, mirrored.
        reset: "subtract" takes ``n · reset_amount`` off, "to_value" sets ``reset_value``, "none" leaves v.
        reset_amount: what one spike takes off; None means the threshold.
        reset_timing: "immediate"; "next_step" (snnTorch's delayed reset); "next_step_after_input" (snnTorch's ``Synaptic``
            with a reset to zero, which loses that step's input); "immediate_pending" (snnTorch's ``reset_delay=False``): at
            once, but a membrane that the last reset left above the threshold pays for its next spike before it may
            fire, and is paid back where it does not. For binary, unsigned neurons that subtract.
        reset_current: a reset to a value also sets the current to 0. For "immediate" and "next_step_after_input".
        current_timing: "before", or "after" where the membrane takes the current that the step before left (snnTorch's
            ``Alpha``). For neurons with a current_decay.
        v_init: membrane before the first step; the current starts at 0.
        v_min: lower clamp of the membrane, or None.
        spike_value: what one spike is worth to the next layer.
        fires: False for a leaky readout, whose output is its membrane.
    """

    threshold: Value = 1.0
    compare: Literal[">", ">="] = ">="
    membrane_decay: Value = 1.0
    current_decay: Value | None = None
    current_bias: Value = 0.0
    input_gain: Value = 1.0
    bias: Value = 0.0
    levels: int = 1
    signed: bool = False
    reset: Literal["subtract", "to_value", "none"] = "subtract"
    reset_amount: Value | None = None
    reset_value: Value = 0.0
    reset_timing: Literal["immediate", "next_step", "next_step_after_input", "immediate_pending"] = "immediate"
    decay_timing: Literal["before", "after"] = "before"
    reset_current: bool = False
    current_timing: Literal["before", "after"] = "before"
    v_init: Value = 0.0
    v_min: Value | None = None
    spike_value: Value = 1.0
    fires: bool = True

    @property
    def subtracted(self) -> Value:
        """What one spike takes off the membrane."""
        return self.threshold if self.reset_amount is None else self.reset_amount

    @property
    def level_spacing(self) -> Value:
        """Distance on the membrane between the n-th and the (n+1)-th spike of a step."""
        return self.subtracted if self.reset == "subtract" else self.threshold

    def with_(self, **changes: Any) -> Dynamics:
        """A copy with some fields changed."""
        return replace(self, **changes)


VALUE_FIELDS = (
    "threshold",
    "membrane_decay",
    "current_decay",
    "current_bias",
    "input_gain",
    "bias",
    "reset_amount",
    "reset_value",
    "v_init",
    "v_min",
    "spike_value",
)
_CHOICES = {
    "compare": COMPARES,
    "reset": RESETS,
    "reset_timing": RESET_TIMINGS,
    "decay_timing": DECAY_TIMINGS,
    "current_timing": CURRENT_TIMINGS,
}


def check_dynamics(name: str, dynamics: Dynamics, shape: tuple[int, ...] | None = None) -> None:
    """Raise :class:`GraphError` naming ``name`` and the field where a constant makes no sense or does not fit ``shape``."""
    for field, allowed in _CHOICES.items():
        if getattr(dynamics, field) not in allowed:
            raise GraphError(f"{name}: {field} is {getattr(dynamics, field)!r}; it must be one of {', '.join(allowed)}")
    for field in VALUE_FIELDS:
        value = getattr(dynamics, field)
        if value is None:
            continue
        array = np.asarray(value, dtype=float)
        if not np.all(np.isfinite(array)):
            raise GraphError(f"{name}: {field} holds {_first_bad(array)}; every constant must be finite")
        if shape is not None:
            _check_broadcast(name, field, array, shape)
    for field in ("membrane_decay", "current_decay"):
        value = getattr(dynamics, field)
        if value is not None and (np.min(value) < 0 or np.max(value) > 1):
            raise GraphError(f"{name}: {field} is {_range(value)}; a decay lies in 0..1 (1 keeps everything)")
    if not isinstance(dynamics.levels, int) or dynamics.levels < 1:
        raise GraphError(f"{name}: levels is {dynamics.levels!r}; a neuron fires at least one spike a step at most")
    if dynamics.fires:
        if np.min(dynamics.threshold) <= 0:
            raise GraphError(f"{name}: threshold is {_range(dynamics.threshold)}; it must be above 0")
        if np.min(dynamics.level_spacing) <= 0:
            raise GraphError(f"{name}: reset_amount is {_range(dynamics.level_spacing)}; it must be above 0")
    if misfit(dynamics, dynamics.current_decay is not None):
        raise GraphError(f"{name}: {misfit(dynamics, dynamics.current_decay is not None)}")


def misfit(neuron: Any, has_current: bool) -> str:
    """Why the timings of a neuron (anything with the fields of :class:`Dynamics`) do not fit it; "" where they do."""
    if neuron.current_timing == "after" and not has_current:
        return "current_timing is 'after', but it has no current_decay; use 'before', or a delay of 1 in front of it"
    if neuron.fires and neuron.reset_timing == "immediate_pending":
        found = {"reset": (neuron.reset, "subtract"), "levels": (neuron.levels, 1), "signed": (neuron.signed, False)}
        wrong = [f"{field} is {given!r}" for field, (given, wanted) in found.items() if given != wanted]
        remedy = "it is for binary, unsigned neurons that subtract; use 'immediate' or 'next_step'"
        if wrong:
            return f"reset_timing is 'immediate_pending', but {', '.join(wrong)}: {remedy}"
    if neuron.fires and neuron.reset_current:
        timing = neuron.reset_timing
        if neuron.reset != "to_value" or timing not in ("immediate", "next_step_after_input") or not has_current:
            current = "" if has_current else ", and it has no current_decay"
            return (
                f"reset_current, but reset is {neuron.reset!r}, reset_timing {timing!r}{current}: it is for currents that "
                "a reset to a value clears, 'immediate' or 'next_step_after_input'"
            )
    return ""


def count_spikes(dynamics: Dynamics, membrane: Array) -> Array:
    """Spikes of one step for ``membrane`` (any shape that broadcasts with the constants); same float type, whole numbers."""
    dtype = membrane.dtype
    threshold, spacing = (np.asarray(x, dtype) for x in (dynamics.threshold, dynamics.level_spacing))

    def one_sided(v: Array) -> Array:
        fired = v > threshold if dynamics.compare == ">" else v >= threshold
        if dynamics.levels == 1:
            return fired.astype(dtype)
        steps = (v - threshold) / spacing
        count = np.ceil(steps) if dynamics.compare == ">" else np.floor(steps) + 1
        return np.where(fired, np.clip(count, 1, dynamics.levels), 0).astype(dtype)

    spikes = one_sided(membrane)
    return spikes - one_sided(-membrane) if dynamics.signed else spikes


def apply_reset(dynamics: Dynamics, membrane: Array, spikes: Array) -> Array:
    """The membrane after ``spikes`` reset it."""
    if dynamics.reset == "none":
        return membrane
    if dynamics.reset == "subtract":
        return membrane - spikes * np.asarray(dynamics.subtracted, membrane.dtype)
    return np.where(spikes != 0, np.asarray(dynamics.reset_value, membrane.dtype), membrane)


@dataclass
class NeuronState:
    """Current u, membrane v and the spikes of the last step, each (N, *shape)."""

    u: Array
    v: Array
    spikes: Array


def initial_state(dynamics: Dynamics, shape: tuple[int, ...], dtype: Any) -> NeuronState:
    """State before the first step for arrays of ``shape`` = (N, *population)."""
    membrane = np.broadcast_to(np.asarray(dynamics.v_init, dtype), shape).copy()
    return NeuronState(np.zeros(shape, dtype), membrane, np.zeros(shape, dtype))


def step(dynamics: Dynamics, state: NeuronState, current: Array) -> NeuronState:
    """One step of the neuron with input ``current`` (N, *shape): the equations at the top of this file."""
    dtype = current.dtype

    def constant(value: Value) -> Array:
        return np.asarray(value, dtype)

    u = current if dynamics.current_decay is None else constant(dynamics.current_decay) * state.u + current
    u = u + constant(dynamics.current_bias)
    drive = state.u if dynamics.current_timing == "after" else u
    v = state.v
    if dynamics.decay_timing == "before":
        v = constant(dynamics.membrane_decay) * v
    if dynamics.fires and dynamics.reset_timing == "next_step":
        v = apply_reset(dynamics, v, state.spikes)
    v = v + constant(dynamics.input_gain) * drive + constant(dynamics.bias)
    if dynamics.fires and dynamics.reset_timing == "next_step_after_input":
        v = apply_reset(dynamics, v, state.spikes)
    pending = dynamics.fires and dynamics.reset_timing == "immediate_pending"
    owed = count_spikes(dynamics, state.v) if pending else state.spikes
    if pending:
        v = apply_reset(dynamics, v, owed)
    if dynamics.v_min is not None:
        v = np.maximum(v, constant(dynamics.v_min))
    spikes = np.zeros_like(v)
    if dynamics.fires:
        spikes = count_spikes(dynamics, v)
        if dynamics.reset_timing == "immediate":
            v = apply_reset(dynamics, v, spikes)
        if pending:
            v = apply_reset(dynamics, v, spikes - owed)
    if dynamics.decay_timing == "after":
        v = constant(dynamics.membrane_decay) * v
    if dynamics.fires and dynamics.reset_current:
        u = np.where(resetting(dynamics, state.spikes, spikes) != 0, np.zeros((), dtype), u)
    return NeuronState(u, v, spikes)


def resetting(dynamics: Any, before: Any, now: Any) -> Any:
    """The spikes that reset the membrane in a step: those of the step before, or its own."""
    return before if dynamics.reset_timing.startswith("next_step") else now


def dynamics_fields(dynamics: Dynamics) -> dict[str, Any]:
    """Field name to value, in declaration order."""
    return {f.name: getattr(dynamics, f.name) for f in fields(dynamics)}


def _check_broadcast(name: str, field: str, array: Array, shape: tuple[int, ...]) -> None:
    try:
        fits = np.broadcast_shapes(array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise GraphError(f"{name}: {field} has shape {array.shape}, which does not broadcast to the neuron's {shape}")


def _range(value: Value) -> str:
    low, high = float(np.min(value)), float(np.max(value))
    return f"{low:g}" if low == high else f"{low:g} … {high:g}"


def _first_bad(array: Array) -> str:
    return str(array[~np.isfinite(array)].flat[0])
