"""The neurons of SpikingJelly, one or all steps a call: IFNode, LIFNode, ParametricLIFNode, their simple, ternary, half-threshold
and current-based (CUBA) relatives, and the containers that feed a neuron's spikes back.

With r the reset value (0 for a soft reset) and q = 1/τ (``sigmoid(w)`` of the parametric one), the nodes compute
``v = v + q(i − (v − r))``, or ``v = v − q(v − r) + i`` without ``decay_input``, fire on ``v ≥ θ``, and
reset at once: to r, or by θ. The membrane starts at r (HalfThresholdIFNode: at θ/2, the simple
ones: at 0). The ternary ones also fire −1 on ``v ≤ −θ``;
CUBALIFNode computes ``c = a·c + i`` and ``v = b·v + c``. LinearRecurrentContainer feeds its neuron ``W [x, y[t−1]]``,
ElementWiseRecurrentContainer ``f(y[t−1], x)``, which must be ``a·y + x`` here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snncc.frontends.torch_neurons import Part, constant, neuron_rule, refuse, unfit
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Dense, Identity, Scale


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
        **{"v_init": start, **values},
    )
    return Part(dynamics, layout=_layout(module))


def _simple_if(where: str, module: Any) -> Part:
    return _part(where, module, {"v_init": 0.0})


def _simple_lif(where: str, module: Any) -> Part:
    return _part(where, module, {"v_init": 0.0, **_leak(module, 1.0 / float(module.tau))})


def _half_threshold(where: str, module: Any) -> Part:
    return _part(where, module, {"v_init": float(module.v_threshold) / 2})


def _ternary_if(where: str, module: Any) -> Part:
    return _part(where, module, {"signed": True})


def _ternary_lif(where: str, module: Any) -> Part:
    return _part(where, module, {"signed": True, **_leak(module, 1.0 / float(module.tau))})


def _cuba(where: str, module: Any) -> Part:
    decays = {"membrane_decay": float(module.v_decay), "current_decay": float(module.c_decay)}
    return _part(where, module, decays)


def _linear_recurrent(where: str, module: Any) -> Part:
    weight, bias = module.rc.weight.detach().cpu().numpy(), module.rc.bias
    into = weight.shape[1] - module.sub_module_out_features
    entry = Dense(weight[:, :into].copy(), None if bias is None else bias.detach().cpu().numpy().copy())
    return replace(_inner(where, module), entry=entry, recurrent=Dense(weight[:, into:].copy()))


def _element_wise_recurrent(where: str, module: Any) -> Part:
    """The function is found by its values: only ``a·y + x`` gives them."""
    import torch

    torch_random = torch.Generator().manual_seed(0)
    y, x = (torch.randn(64, generator=torch_random, dtype=torch.float64) for _ in range(2))
    factor = float(module.element_wise_function(torch.ones(1).double(), torch.zeros(1).double()))
    if not torch.allclose(module.element_wise_function(y, x), factor * y + x, rtol=1e-12, atol=1e-12):
        raise refuse(
            where,
            module,
            "joins its output and its input by another function than a·y + x",
            "use LinearRecurrentContainer",
        )
    return replace(_inner(where, module), recurrent=Identity() if factor == 1 else Scale(factor))


def _inner(where: str, module: Any) -> Part:
    """The neuron in a container that feeds spikes back."""
    rule = neuron_rule(module.sub_module)
    if rule is None:
        raise refuse(where, module, f"holds a {type(module.sub_module).__name__}", "snncc reads one neuron in it")
    return replace(rule(f"{where}.sub_module", module.sub_module), layout=_layout(module))


def _layout(module: Any) -> str:
    return "time_batch" if module.step_mode == "m" else "step"


_NONLINEAR = unfit("has a membrane equation that is not linear", "snncc's membranes decay linearly: train with LIFNode")
_ROUNDS = unfit(
    "rounds halves of a spike to the even number", "snncc's neurons round them one way: use IFNode or LIFNode"
)
_ADAPTS = unfit("has a state besides its membrane that its spikes change", "snncc has none: train with LIFNode")
_SILENT = unfit("returns a list of membranes, or one value for all steps", "read the spikes of a LIFNode as the result")
_PARALLEL = unfit("mixes all time steps at once", "snncc's neurons go step by step: train with LIFNode")
RULES = {
    "IFNode": _if,
    "LIFNode": _lif,
    "ParametricLIFNode": _parametric,
    "SimpleIFNode": _simple_if,
    "SimpleLIFNode": _simple_lif,
    "HalfThresholdIFNode": _half_threshold,
    "TernaryIFNode": _ternary_if,
    "TernaryLIFNode": _ternary_lif,
    "CUBALIFNode": _cuba,
    "LinearRecurrentContainer": _linear_recurrent,
    "ElementWiseRecurrentContainer": _element_wise_recurrent,
    **dict.fromkeys(("QIFNode", "EIFNode", "KLIFNode"), _NONLINEAR),
    **dict.fromkeys(("IzhikevichNode", "ComplementaryLIFNode", "GatedLIFNode"), _ADAPTS),
    **dict.fromkeys(("NonSpikingIFNode", "NonSpikingLIFNode"), _SILENT),
    **dict.fromkeys(("PSN", "MaskedPSN", "SlidingPSN"), _PARALLEL),
    "ILIFNode": _ROUNDS,
}
