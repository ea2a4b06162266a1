"""A neuron as a model-local ONNX function of standard operators, one function a kind of neuron.

The body is :func:`snncc.ir.dynamics.step`, operation for operation in the same order; what cannot change a value (a
decay or gain of 1, a bias of 0) is left out. Constants are inputs, so that populations of one kind share a function
whatever their numbers. The name says the kind: ``LIF_ge_subtract_next_step`` has a leak, fires on ``>=``, and subtracts
in the next step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.frontends.onnx_emit import BOOL, OPSET, Emitter
from snncc.ir.dynamics import VALUE_FIELDS, Dynamics

DOMAIN = "snncc.neuron"
NEUTRAL = {"membrane_decay": 1.0, "input_gain": 1.0, "bias": 0.0, "current_bias": 0.0, "spike_value": 1.0}
"""Scalars that change nothing where they stand."""
AT = "neuron"


@dataclass(frozen=True)
class NeuronCall:
    """How a population calls its function.

    Attributes:
        function: name in :data:`DOMAIN`.
        states: among u, v, spikes: what is carried from step to step, in the order of the inputs after ``current``.
        constants: fields of :class:`Dynamics`, in the order of the inputs after the states.
        outputs: among u, v, spikes.
    """

    function: str
    states: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]


def present(dynamics: Dynamics, field: str) -> bool:
    """Whether the field is given and not a plain number that changes nothing."""
    value = getattr(dynamics, field)
    return value is not None and (isinstance(value, np.ndarray) or NEUTRAL.get(field) != value)


def late_reset(dynamics: Dynamics) -> bool:
    """Whether the reset needs the spikes of the step before."""
    return dynamics.fires and dynamics.reset_timing.startswith("next_step") and dynamics.reset != "none"


def pending_reset(dynamics: Dynamics) -> bool:
    """Whether a membrane still above its threshold pays for its next spike first."""
    return dynamics.fires and dynamics.reset_timing == "immediate_pending"


def neuron_call(dynamics: Dynamics) -> NeuronCall:
    """Name and signature of the function for these dynamics."""
    has_current = dynamics.current_decay is not None
    used = {"membrane_decay", "current_decay", "current_bias", "input_gain", "bias", "v_min"}
    if dynamics.fires:
        used.add("threshold")
        used.update({"subtract": {"reset_amount"}, "to_value": {"reset_value"}, "none": set()}[dynamics.reset])
    constants = tuple(f for f in VALUE_FIELDS if f in used and present(dynamics, f))
    states = ("u",) * has_current + ("v",) + ("spikes",) * late_reset(dynamics)
    makes_current = has_current or "current_bias" in constants
    outputs = ("u",) * makes_current + ("v",) + ("spikes",) * dynamics.fires
    return NeuronCall(_name(dynamics, constants), states, constants, outputs)


def _name(dynamics: Dynamics, constants: tuple[str, ...]) -> str:
    base = "LI" if "membrane_decay" in constants else "I"
    parts = [("Cuba" if "current_decay" in constants else "") + base + ("F" if dynamics.fires else "")]
    if dynamics.fires:
        parts.append("gt" if dynamics.compare == ">" else "ge")
        parts += [f"levels{dynamics.levels}"] * (dynamics.levels > 1) + ["signed"] * dynamics.signed
        parts += {"subtract": ["subtract"], "to_value": ["to_value"], "none": ["no_reset"]}[dynamics.reset]
        parts += [dynamics.reset_timing] * (late_reset(dynamics) or pending_reset(dynamics))
    parts += ["reset_current"] * (dynamics.fires and dynamics.reset_current)
    parts += ["current_after"] * (dynamics.current_timing == "after")
    parts += ["decay_after"] * (dynamics.decay_timing == "after" and "membrane_decay" in constants)
    parts += ["with_" + f for f in ("current_bias", "input_gain", "bias", "reset_amount", "v_min") if f in constants]
    return "_".join(parts)


def neuron_function(dynamics: Dynamics) -> object:
    """The FunctionProto of :func:`neuron_call`."""
    from onnx import helper

    call = neuron_call(dynamics)
    body = Emitter()
    made = _step(body, dynamics, call)
    for name in call.outputs:
        body.op(AT, "Identity", made[name], output=f"{name}_next")
    return helper.make_function(
        DOMAIN,
        call.function,
        ["current", *call.states, *call.constants],
        [f"{name}_next" for name in call.outputs],
        body.nodes,
        [helper.make_opsetid("", OPSET)],
    )


def _step(body: Emitter, d: Dynamics, call: NeuronCall) -> dict[str, str]:
    """The names of u, v and spikes after the step; the order is that of :func:`snncc.ir.dynamics.step`."""
    held = set(call.constants)
    u, v, spikes = "current", "v", ""
    owed = _spikes(body, d, v) if pending_reset(d) else ""
    if d.current_decay is not None:
        u = body.op(AT, "Add", body.op(AT, "Mul", "current_decay", "u"), u)
    if "current_bias" in held:
        u = body.op(AT, "Add", u, "current_bias")
    if d.decay_timing == "before" and "membrane_decay" in held:
        v = body.op(AT, "Mul", "membrane_decay", v)
    if late_reset(d) and d.reset_timing == "next_step":
        v = _reset(body, d, v, "spikes")
    drive = "u" if d.current_timing == "after" else u
    v = body.op(AT, "Add", v, body.op(AT, "Mul", "input_gain", drive) if "input_gain" in held else drive)
    if "bias" in held:
        v = body.op(AT, "Add", v, "bias")
    if late_reset(d) and d.reset_timing == "next_step_after_input":
        v = _reset(body, d, v, "spikes")
    if owed:
        v = _reset(body, d, v, owed)
    if "v_min" in held:
        v = body.op(AT, "Max", v, "v_min")
    if d.fires:
        spikes = _spikes(body, d, v)
        if d.reset_timing == "immediate":
            v = _reset(body, d, v, spikes)
        if owed:
            v = _reset(body, d, v, body.op(AT, "Sub", spikes, owed))
    if d.decay_timing == "after" and "membrane_decay" in held:
        v = body.op(AT, "Mul", "membrane_decay", v)
    if d.fires and d.reset_current:
        reset = body.op(AT, "Cast", "spikes" if late_reset(d) else spikes, to=BOOL)
        u = body.op(AT, "Where", reset, body.like(AT, 0, u), u)
    return {"u": u, "v": v, "spikes": spikes}


def _reset(body: Emitter, d: Dynamics, v: str, spikes: str) -> str:
    if d.reset == "none":
        return v
    if d.reset == "subtract":
        amount = "threshold" if d.reset_amount is None else "reset_amount"
        return body.op(AT, "Sub", v, body.op(AT, "Mul", spikes, amount))
    return body.op(AT, "Where", body.op(AT, "Cast", spikes, to=BOOL), "reset_value", v)


def _spikes(body: Emitter, d: Dynamics, v: str) -> str:
    """:func:`snncc.ir.dynamics.count_spikes`."""
    positive = _one_sided(body, d, v)
    return body.op(AT, "Sub", positive, _one_sided(body, d, body.op(AT, "Neg", v))) if d.signed else positive


def _one_sided(body: Emitter, d: Dynamics, v: str) -> str:
    fired = body.op(AT, "Greater" if d.compare == ">" else "GreaterOrEqual", v, "threshold")
    if d.levels == 1:
        return body.op(AT, "CastLike", fired, v)
    spacing = "reset_amount" if d.reset == "subtract" and d.reset_amount is not None else "threshold"
    steps = body.op(AT, "Div", body.op(AT, "Sub", v, "threshold"), spacing)
    one = body.like(AT, 1, v)
    count = body.op(AT, "Ceil", steps) if d.compare == ">" else body.op(AT, "Add", body.op(AT, "Floor", steps), one)
    clipped = body.op(AT, "Clip", count, one, body.like(AT, d.levels, v))
    return body.op(AT, "Where", fired, clipped, body.like(AT, 0, v))
