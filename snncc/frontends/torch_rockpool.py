"""The neurons of Rockpool: LIFTorch and LIFBitshiftTorch, also recurrent, LIFNeuronTorch, and ExpSynTorch, which never fires.

LIFTorch computes ``c = β(c + i + W s[t−1])`` and ``v = αv + c + bias``, fires ``floor(v/θ)`` times, at most
``max_spikes_per_dt``, and subtracts θ for each; its synapses' currents add up. LIFBitshiftTorch is the same with α and β of the
form 1 − 2⁻ⁿ, LIFNeuronTorch without c: ``v = αv + i + bias``, ExpSynTorch puts out c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.torch_neurons import ADAPTS, Part, constant, refuse
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Dense


def _lif(where: str, module: Any) -> Part:
    beta, synapses = module.beta.detach().cpu(), int(module.n_synapses)
    if beta.ndim == 2:
        if bool((beta != beta[:, :1]).any()):
            problem = f"has {synapses} synapses a neuron with different time constants"
            raise refuse(
                where, module, problem, "snncc's neurons have one current: give a neuron's synapses one tau_syn"
            )
        beta = beta[:, 0]
    values = {"current_decay": constant(beta), "input_gain": constant(beta)}  # c = β·u where u = β·u + i
    added = np.kron(np.eye(module.size_out), np.ones((1, synapses)))
    back = module.w_rec.detach().cpu().numpy().T if module._has_rec else None
    return Part(
        _dynamics(where, module, module.alpha, values),
        None if back is None else Dense((added @ back).astype(back.dtype)),
        "batch_time",
        entry=None if synapses == 1 else Dense(added),
    )


def _neuron(where: str, module: Any) -> Part:
    return Part(_dynamics(where, module, (-module.dt / module.tau_mem).exp(), {}), None, "batch_time")


def _synapse(where: str, module: Any) -> Part:
    _refuse_noise(where, module)
    beta = constant((-module.dt / module.tau).exp())
    return Part(Dynamics(reset="none", fires=False, membrane_decay=beta, input_gain=beta), None, "batch_time")


def _dynamics(where: str, module: Any, alpha: Any, values: dict[str, Any]) -> Dynamics:
    _refuse_noise(where, module)
    rule = getattr(getattr(module.spike_generation_fn, "__self__", None), "__name__", "StepPWL")
    if rule not in ("StepPWL", "PeriodicExponential"):
        raise refuse(where, module, f"fires by {rule}", "snncc reads StepPWL, its default, and PeriodicExponential")
    return Dynamics(
        threshold=constant(module.threshold),
        compare=">=",
        membrane_decay=constant(alpha),
        bias=constant(module.bias),
        levels=int(module.max_spikes_per_dt),
        reset="subtract",
        **values,
    )


def _refuse_noise(where: str, module: Any) -> None:
    if float(module.noise_std) != 0:
        raise refuse(where, module, f"adds noise of {float(module.noise_std):g}", "set noise_std to 0")


RULES = {
    "LIFTorch": _lif,
    "LIFBitshiftTorch": _lif,
    "LIFNeuronTorch": _neuron,
    "ExpSynTorch": _synapse,
    "aLIFTorch": ADAPTS,
}
