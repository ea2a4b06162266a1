"""The neuron of Rockpool: LIFTorch, also recurrent.

It computes ``c = β(c + i + W s[t−1])`` and ``v = αv + c + bias``, fires ``floor(v/θ)`` times, at most ``max_spikes_per_dt``,
and subtracts θ for each.
"""

from __future__ import annotations

from typing import Any

from snncc.frontends.torch_neurons import Part, constant, refuse
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Dense


def _lif(where: str, module: Any) -> Part:
    if module.n_synapses != 1:
        raise refuse(where, module, f"has {module.n_synapses} synapses a neuron", "snncc reads one")
    if float(module.noise_std) != 0:
        raise refuse(where, module, f"adds noise of {float(module.noise_std):g}", "set noise_std to 0")
    rule = getattr(getattr(module.spike_generation_fn, "__self__", None), "__name__", "StepPWL")
    if rule != "StepPWL":
        raise refuse(where, module, f"fires by {rule}", "snncc reads StepPWL, its default")
    beta = module.beta
    if beta.ndim == 2:
        beta = beta[:, 0]
    dynamics = Dynamics(
        threshold=constant(module.threshold),
        compare=">=",
        membrane_decay=constant(module.alpha),
        current_decay=constant(beta),
        input_gain=constant(beta),  # c = β·u where u = β·u + i
        bias=constant(module.bias),
        levels=int(module.max_spikes_per_dt),
        reset="subtract",
    )
    recurrent = Dense(module.w_rec.detach().cpu().numpy().T.copy()) if module._has_rec else None
    return Part(dynamics, recurrent, "batch_time")


RULES = {"LIFTorch": _lif}
