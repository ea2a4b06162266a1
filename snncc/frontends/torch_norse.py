"""The neurons of Norse: LIFBoxCell, LIFCell, LIFRecurrentCell, IAFCell, LICell, LIBoxCell, LILinearCell, and LIF,
LIFRecurrent, IAF, LI over all steps.

With m = dt·τ_mem⁻¹, s = dt·τ_syn⁻¹ and l the leak, they compute ``v = v + m(l − v + c)``, where c is the input of the boxes,
and ``c = (1 − s)c + i`` of the others; IAF computes ``v = v + i``. In the recurrent ones ``i = W_in x + W_rec z[t−1]``, in
LILinearCell ``i = W x``. They fire on ``v > θ`` and reset at once. The membrane
starts at l (IAF: at v_reset).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snncc.frontends.torch_neurons import ADAPTS, Part, constant, refuse, unfit
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Dense


def _lif_box(where: str, module: Any) -> Part:
    rule = getattr(module.p.reset_method, "__name__", "")
    if rule not in ("reset_value", "reset_subtract"):
        raise refuse(where, module, f"resets by {rule or module.p.reset_method}", "use reset_value or reset_subtract")
    return Part(_fires(module, _leak(module), subtract=rule == "reset_subtract"))


def _lif(where: str, module: Any) -> Part:
    return Part(_fires(module, {**_leak(module), **_current(module)}), None, _layout(module))


def _lif_recurrent(where: str, module: Any) -> Part:
    part = _lif(where, module)
    return replace(part, entry=_dense(module.input_weights), recurrent=_dense(module.recurrent_weights))


def _iaf(where: str, module: Any) -> Part:
    return Part(_fires(module, {"v_init": constant(module.p.v_reset)}), None, _layout(module))


def _li(where: str, module: Any) -> Part:
    values = {**_leak(module), **_current(module)}
    return Part(Dynamics(reset="none", fires=False, **values), None, _layout(module))


def _li_linear(where: str, module: Any) -> Part:
    return replace(_li(where, module), entry=_dense(module.input_weights))


def _dense(weight: Any) -> Dense:
    return Dense(weight.detach().cpu().numpy().copy())


def _li_box(where: str, module: Any) -> Part:
    return Part(Dynamics(reset="none", fires=False, **_leak(module)))


def _layout(module: Any) -> str:
    return "step" if type(module).__name__.endswith("Cell") else "time_batch"


def _leak(module: Any) -> dict[str, Any]:
    rate = np.asarray(constant(module.dt * module.p.tau_mem_inv))
    leak = np.asarray(constant(module.p.v_leak))
    return {
        "membrane_decay": constant(1.0 - rate),
        "input_gain": constant(rate),
        "bias": constant(rate * leak),
        "v_init": constant(leak),
    }


def _current(module: Any) -> dict[str, Any]:
    return {"current_decay": constant(1.0 - np.asarray(constant(module.dt * module.p.tau_syn_inv)))}


def _fires(module: Any, values: dict[str, Any], subtract: bool = False) -> Dynamics:
    return Dynamics(
        threshold=constant(module.p.v_th),
        compare=">",
        reset="subtract" if subtract else "to_value",
        reset_value=0.0 if subtract else constant(module.p.v_reset),
        **values,
    )


_REFRACTORY = unfit("has a refractory period", "snncc's neurons have none: train with LIF")
_EXPONENTIAL = unfit("has an exponential membrane equation", "snncc's membranes decay linearly: train with LIF")
RULES = {
    "LIFBoxCell": _lif_box,
    "LIFCell": _lif,
    "LIF": _lif,
    "LIFRecurrentCell": _lif_recurrent,
    "LIFRecurrent": _lif_recurrent,
    "IAFCell": _iaf,
    "IAF": _iaf,
    "LICell": _li,
    "LI": _li,
    "LILinearCell": _li_linear,
    "LIBoxCell": _li_box,
    **dict.fromkeys(("LSNNCell", "LSNN", "LSNNRecurrentCell", "LSNNRecurrent"), ADAPTS),
    **dict.fromkeys(("LIFRefracCell", "LIFRefracRecurrentCell", "LIFRefracRecurrent"), _REFRACTORY),
    **dict.fromkeys(("LIFExCell", "LIFEx", "LIFExRecurrentCell", "LIFExRecurrent"), _EXPONENTIAL),
}
