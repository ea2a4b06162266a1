"""The neurons of sinabs: IAF, LIF, ExpLeak, their recurrent and their squeezed forms.

With α = exp(−1/τ) (1 for IAF) and g = 1 − α where ``norm_input``, else 1, the layers compute ``v = αv + g·c``, where c is the
input or, with ``tau_syn``, ``c = α_s(c + i)``; fire ``trunc(v/θ)`` times (MultiSpike), at most n times (MaxSpike) or once on
``v ≥ θ`` (SingleSpike); subtract what was fired or go to 0; and clamp the membrane from below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.dialects import MANY_LEVELS
from snncc.frontends.torch_neurons import ADAPTS, Part, constant, refuse
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Dense


def _spiking(where: str, module: Any) -> Part:
    return Part(_dynamics(where, module), None, "batch_time")


def _squeezed(where: str, module: Any) -> Part:
    batch = module.batch_size if module.batch_size > 0 else None
    steps = module.num_timesteps if module.num_timesteps > 0 else None
    dynamics = _dynamics(where, module) if module.spike_fn else _leak(where, module)
    return Part(dynamics, None, "squeezed", batch, steps)


def _silent(where: str, module: Any) -> Part:
    return Part(_leak(where, module), None, "batch_time")


def _recurrent(where: str, module: Any) -> Part:
    layer = module.rec_connect
    if type(layer).__name__ != "Linear":
        raise refuse(where, module, f"recurs through a {type(layer).__name__}", "snncc reads a Linear there")
    bias = layer.bias
    if bias is not None and bool((bias != 0).any()):
        raise refuse(
            where, module, "recurs through a Linear with a bias, which acts from the second step on", "use none"
        )
    return Part(_dynamics(where, module), Dense(layer.weight.detach().cpu().numpy()), "batch_time")


def _leak(where: str, module: Any) -> Dynamics:
    if module.min_v_mem is not None:
        raise refuse(where, module, "clamps its membrane after putting it out (min_v_mem)", "leave min_v_mem out")
    return Dynamics(reset="none", fires=False, **_linear(module))


def _linear(module: Any) -> dict[str, Any]:
    alpha = module.alpha_mem_calculated
    gain = np.asarray(constant(1 - alpha)) if module.norm_input else np.ones(())
    values: dict[str, Any] = {"membrane_decay": constant(alpha)}
    current = module.alpha_syn_calculated
    if current is not None:  # c = α_s·u where u = α_s·u + i
        values["current_decay"] = constant(current)
        gain = gain * np.asarray(constant(current))
    return {**values, "input_gain": constant(gain)}


def _dynamics(where: str, module: Any) -> Dynamics:
    levels = _levels(where, module)
    reset, amount = _reset(where, module)
    lowest = None if module.min_v_mem is None else constant(module.min_v_mem)
    threshold = constant(module.spike_threshold)
    if amount is not None:
        if levels > 1 and np.any(np.asarray(amount) != np.asarray(threshold)):
            raise refuse(where, module, "fires several times by θ but subtracts another amount", "use SingleSpike")
        if lowest is not None and np.any(np.asarray(amount) > np.asarray(threshold)):
            raise refuse(where, module, "clamps after a reset that may go below the clamp", "leave min_v_mem out")
    if lowest is not None and np.max(lowest) > 0:
        raise refuse(where, module, f"has min_v_mem {np.max(lowest):g}", "snncc takes 0 or less")
    return Dynamics(
        threshold=threshold,
        compare=">=",
        levels=levels,
        reset=reset,  # type: ignore[arg-type]
        reset_amount=amount,
        v_min=lowest,
        **_linear(module),
    )


def _levels(where: str, module: Any) -> int:
    rule = module.spike_fn
    name = getattr(rule, "__name__", type(rule).__name__)
    if name == "MultiSpike":
        return MANY_LEVELS
    if name == "SingleSpike":
        return 1
    if name == "MaxSpike":
        most = rule.max_num_spikes_per_bin
        return MANY_LEVELS if most is None else int(most)
    raise refuse(where, module, f"fires by {name}", "snncc reads MultiSpike, MaxSpike and SingleSpike")


def _reset(where: str, module: Any) -> tuple[str, Any]:
    """Kind, and what a spike takes off where that is not the threshold."""
    rule = module.reset_fn
    name = type(rule).__name__
    if name == "MembraneSubtract":
        return "subtract", None if rule.subtract_value is None else constant(rule.subtract_value)
    if name == "MembraneReset":
        if rule.reset_value != 0:
            problem = f"adds its reset_value {rule.reset_value:g} in every step, also without a spike"
            raise refuse(where, module, problem, "use reset_value=0")
        return "to_value", None
    raise refuse(where, module, f"resets by {name}", "snncc reads MembraneSubtract and MembraneReset")


RULES = {
    "IAF": _spiking,
    "LIF": _spiking,
    "ExpLeak": _silent,
    "IAFSqueeze": _squeezed,
    "LIFSqueeze": _squeezed,
    "ExpLeakSqueeze": _squeezed,
    "IAFRecurrent": _recurrent,
    "LIFRecurrent": _recurrent,
    "ALIF": ADAPTS,
    "ALIFRecurrent": ADAPTS,
}
