"""The neurons of SpikingJelly: IFNode, LIFNode, ParametricLIFNode, one or all steps a call.

With r the reset value (0 for a soft reset) and q = 1/τ (``sigmoid(w)`` of the parametric one), the nodes compute
``v = v + q(i − (v − r))``, or ``v = v − q(v − r) + i`` without ``decay_input``, fire on ``v ≥ θ``, and
reset at once: to r, or by θ. The membrane starts at r.
"""

from __future__ import annotations

from typing import Any

from snncc.frontends.torch_neurons import Part, constant, refuse
from snncc.ir.dynamics import Dynamics


def _if(where: str, module: Any) -> Part:
    return _part(where, module, {})


def _lif(where: str, module: Any) -> Part:
    return _part(where, module, _leak(module, 1.0 / float(module.tau)))


def _parametric(where: str, module: Any) -> Part:
    rate = constant(module.w.sigmoid())
    assert isinstance(rate, float)  # the parameter is one number
    return _part(where, module, _leak(module, rate))


def _leak(module: Any, rate: float) -> dict[str, Any]:
    rest = 0.0 if module.v_reset is None else float(module.v_reset)
    return {
        "membrane_decay": 1.0 - rate,
        "input_gain": rate if module.decay_input else 1.0,
        "bias": rate * rest,
    }


def _part(where: str, module: Any, values: dict[str, Any]) -> Part:
    if not getattr(module.surrogate_function, "spiking", True):
        raise refuse(where, module, "has a surrogate with spiking=False", "its output is no spike; use spiking=True")
    if getattr(module, "_neuron_precision", None) is not None:
        raise refuse(where, module, "has a neuron precision of its own", "leave it at the default (float32)")
    hard = module.v_reset is not None
    start = float(module.v_reset) if hard else 0.0
    dynamics = Dynamics(
        threshold=float(module.v_threshold),
        compare=">=",
        reset="to_value" if hard else "subtract",
        reset_value=start,
        v_init=start,
        **values,
    )
    return Part(dynamics, layout="time_batch" if module.step_mode == "m" else "step")


RULES = {"IFNode": _if, "LIFNode": _lif, "ParametricLIFNode": _parametric}
