"""The neurons of Norse: LIFBoxCell, LIFCell, IAFCell, LICell, LIBoxCell, and LIF, IAF, LI over all steps.

With m = dt·τ_mem⁻¹, s = dt·τ_syn⁻¹ and l the leak, they compute ``v = v + m(l − v + c)``, where c is the input of the boxes,
and ``c = (1 − s)c + i`` of the others; IAF computes ``v = v + i``. They fire on ``v > θ`` and reset at once. The membrane
starts at l (IAF: at v_reset).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.torch_neurons import Part, constant, refuse
from snncc.ir.dynamics import Dynamics


def _lif_box(where: str, module: Any) -> Part:
    rule = getattr(module.p.reset_method, "__name__", "")
    if rule not in ("reset_value", "reset_subtract"):
        raise refuse(where, module, f"resets by {rule or module.p.reset_method}", "use reset_value or reset_subtract")
    return Part(_fires(module, _leak(module), subtract=rule == "reset_subtract"))


def _lif(where: str, module: Any) -> Part:
    return Part(_fires(module, {**_leak(module), **_current(module)}), None, _layout(module))


def _iaf(where: str, module: Any) -> Part:
    return Part(_fires(module, {"v_init": constant(module.p.v_reset)}), None, _layout(module))


def _li(where: str, module: Any) -> Part:
    values = {**_leak(module), **_current(module)}
    return Part(Dynamics(reset="none", fires=False, **values), None, _layout(module))


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


RULES = {
    "LIFBoxCell": _lif_box,
    "LIFCell": _lif,
    "LIF": _lif,
    "IAFCell": _iaf,
    "IAF": _iaf,
    "LICell": _li,
    "LI": _li,
    "LIBoxCell": _li_box,
}
