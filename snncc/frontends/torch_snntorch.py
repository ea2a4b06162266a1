"""The neurons of snnTorch 1.0: Leaky, Synaptic, RLeaky, RSynaptic, Lapicque and Alpha.

With R what the membrane of the step before says (``v > θ``) and i the input, the modules compute

- Leaky, subtract: ``v = βv + i − Rθ``; zero: ``v = β(1 − R)v + i``
- Synaptic: ``c = αc + i``; subtract: ``v = βv + c − Rθ``; zero: ``v = (1 − R)(βv + c)``, which loses that step's input
- RLeaky, RSynaptic: the same with the recurrent layer's output added to i; zero of both loses that step's input
- Lapicque: ``v = (1 − dt/RC)v + (dt/C)i``; zero loses that step's input
- Alpha: ``e = αe + i``, ``h = βh − i``, ``v = τ(e + h)``; zero sets all three to 0 and loses that step's input. In place
  of h the Graph keeps v: ``v = βv + τ(α − β)e`` with the e of the step before

and fire, s, on ``v > θ``. With ``reset_delay=False`` the modules then reset by ``s − R``, where R is still what the membrane
says that they were left with: zero acts at once, subtract is "immediate_pending". RSynaptic 1.0 takes that option and does
nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from snncc.errors import UnsupportedError
from snncc.frontends.torch_neurons import Part, constant, refuse
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Conv2d, Dense, Scale

_LATE: Literal["next_step_after_input"] = "next_step_after_input"


def _leaky(where: str, module: Any) -> Part:
    return Part(_dynamics(where, module, {"membrane_decay": _decay(module.beta)}, zero="next_step"))


def _synaptic(where: str, module: Any) -> Part:
    decays = {"membrane_decay": _decay(module.beta), "current_decay": _decay(module.alpha)}
    return Part(_dynamics(where, module, decays, zero=_LATE))


def _rleaky(where: str, module: Any) -> Part:
    decays = {"membrane_decay": _decay(module.beta)}
    return Part(_dynamics(where, module, decays, zero=_LATE), _recurrent(where, module))


def _rsynaptic(where: str, module: Any) -> Part:
    decays = {"membrane_decay": _decay(module.beta), "current_decay": _decay(module.alpha)}
    return Part(_dynamics(where, module, decays, zero=_LATE, delayed=True), _recurrent(where, module))


def _lapicque(where: str, module: Any) -> Part:
    resistance, capacity, dt = module.R, module.C, module.time_step
    values = {
        "membrane_decay": constant(1 - (dt / (resistance * capacity))),
        "input_gain": constant(resistance * (1 / (resistance * capacity)) * dt),
    }
    return Part(_dynamics(where, module, values, zero=_LATE, delayed=True))


def _alpha(where: str, module: Any) -> Part:
    _refuse_options(where, module)
    if module.reset_mechanism == "subtract":
        raise refuse(
            where,
            module,
            "with reset_mechanism='subtract' takes its threshold off one current, clears the other and adds that to the "
            "membrane of this step only",
            "no step form of snncc says that; use reset_mechanism='zero' or 'none'",
        )
    alpha, beta = (np.asarray(_decay(value)) for value in (module.alpha, module.beta))
    with np.errstate(divide="ignore"):
        tau = np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1
    resets = module.reset_mechanism == "zero"
    return Part(
        Dynamics(
            threshold=constant(module.threshold),
            compare=">",
            membrane_decay=constant(beta),
            current_decay=constant(alpha),
            input_gain=constant(tau * (alpha - beta)),
            reset="to_value" if resets else "none",
            reset_timing=_LATE if resets else "immediate",
            reset_current=resets,
            current_timing="after",
        )
    )


def _dynamics(where: str, module: Any, values: dict[str, Any], zero: str, delayed: bool | None = None) -> Dynamics:
    """Threshold and reset on top of the decays. ``zero`` is when a delayed reset to zero acts."""
    _refuse_options(where, module)
    late = bool(module.reset_delay) if delayed is None else delayed
    mechanism = module.reset_mechanism
    delayed_timing, at_once = {
        "subtract": ("next_step", "immediate_pending"),
        "zero": (zero, "immediate"),
        "none": ("immediate", "immediate"),
    }[mechanism]
    kinds: dict[str, Any] = {"subtract": "subtract", "zero": "to_value", "none": "none"}
    return Dynamics(
        threshold=constant(module.threshold),
        compare=">",
        reset=kinds[mechanism],
        reset_timing=delayed_timing if late else at_once,  # type: ignore[arg-type]
        spike_value=constant(module.graded_spikes_factor),
        **values,
    )


def _refuse_options(where: str, module: Any) -> None:
    if module.inhibition:
        raise refuse(where, module, "has inhibition=True (one winner a layer)", "snncc has no such neuron")
    if module.state_quant:
        raise refuse(where, module, "quantises its state in every step (state_quant)", "snncc quantises: leave it out")


def _decay(value: Any) -> Any:
    """β or α as the modules use them, clamped to 0..1."""
    return constant(value.clamp(0, 1))


def _recurrent(where: str, module: Any) -> Dense | Conv2d | Scale:
    """The layer that the spikes of the step before go through."""
    layer = module.recurrent
    kind = type(layer).__name__
    if kind == "RecurrentOneToOne":
        return Scale(constant(layer.V))
    if kind not in ("Linear", "Conv2d"):
        raise UnsupportedError(f"{where}: the recurrent layer is a {kind}; snncc reads Linear, Conv2d and one-to-one")
    weight = layer.weight.detach().cpu().numpy()
    bias = None if layer.bias is None else layer.bias.detach().cpu().numpy()
    if kind == "Linear":
        return Dense(weight, bias)
    padding = tuple(int(p) for p in np.broadcast_to(layer.padding, 2))
    return Conv2d(weight, bias, padding=(padding[0], padding[1]))


RULES = {
    "Leaky": _leaky,
    "Synaptic": _synaptic,
    "RLeaky": _rleaky,
    "RSynaptic": _rsynaptic,
    "Lapicque": _lapicque,
    "Alpha": _alpha,
}
