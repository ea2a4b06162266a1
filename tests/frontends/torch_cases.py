"""The neurons of every installed framework, with their resets: what the test matrix runs over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_networks import Case, Unwrapped


def snntorch_cases() -> list[Case]:
    import snntorch as snn

    def recurrent(kind: Any, **options: Any) -> Callable[[int], nn.Module]:
        def make(size: int) -> nn.Module:
            layer = kind(linear_features=size, init_hidden=True, **options)
            with torch.no_grad():
                for values in layer.recurrent.parameters():
                    values.copy_(torch.round(values * 64) / 64)
            return layer

        return make

    found = []
    for reset in ("subtract", "zero", "none"):
        for delay in (True, False):
            common = {"reset_mechanism": reset, "reset_delay": delay}
            label = f"{reset}, {'delayed' if delay else 'at once'}"
            case = partial(Case, "snntorch", reset=label)
            leaky = partial(snn.Leaky, beta=0.87, threshold=0.9, init_hidden=True, **common)
            synaptic = partial(snn.Synaptic, alpha=0.6, beta=0.87, init_hidden=True, **common)
            found += [
                case(neuron="Leaky", make=lambda size, leaky=leaky: leaky()),
                case(neuron="Synaptic", make=lambda size, synaptic=synaptic: synaptic()),
                case(neuron="RLeaky", make=recurrent(snn.RLeaky, beta=0.83, **common), kinds=("dense",)),
            ]
        options = {"beta": 0.8, "threshold": 0.4, "reset_mechanism": reset, "init_hidden": True}
        found.append(Case("snntorch", "Lapicque", f"{reset}, delayed", lambda size, o=options: snn.Lapicque(**o)))
        if reset != "subtract":
            alpha = partial(snn.Alpha, alpha=0.87, beta=0.6, threshold=0.4, reset_mechanism=reset, init_hidden=True)
            label = f"{reset}, {'two currents too' if reset == 'zero' else 'delayed'}"
            found.append(Case("snntorch", "Alpha", label, lambda size, alpha=alpha: alpha()))
        rsynaptic = recurrent(snn.RSynaptic, alpha=0.5, beta=0.83, reset_mechanism=reset)
        found.append(Case("snntorch", "RSynaptic", f"{reset}, delayed", rsynaptic, ("dense",)))
    return found


def spikingjelly_cases() -> list[Case]:
    from spikingjelly.activation_based import layer, neuron

    def multi(module: nn.Module) -> nn.Module:
        if isinstance(module, nn.Conv2d):
            return layer.Conv2d(2, 4, 3, padding=1, step_mode="m")
        if isinstance(module, nn.AvgPool2d):
            return layer.AvgPool2d(2, step_mode="m")
        return layer.Flatten(step_mode="m") if isinstance(module, nn.Flatten) else module

    found = []
    for mode in ("s", "m"):
        shape = {"layout": "step"} if mode == "s" else {"layout": "time_batch", "layer": multi}
        for reset, value in (("soft", None), ("hard to 0", 0.0), ("hard to −0.1", -0.1)):
            steps = "one step" if mode == "s" else "all steps"
            common = {"v_reset": value, "step_mode": mode}
            nodes: dict[str, Callable[[], nn.Module]] = {
                "IFNode": partial(neuron.IFNode, v_threshold=1.25, **common),
                "LIFNode": partial(neuron.LIFNode, tau=2.3, v_threshold=0.6, **common),
                "LIFNode plain input": partial(neuron.LIFNode, tau=2.3, decay_input=False, **common),
                "ParametricLIFNode": partial(neuron.ParametricLIFNode, init_tau=1.7, v_threshold=0.6, **common),
                "TernaryIFNode": partial(neuron.TernaryIFNode, v_threshold=1.25, **common),
                "TernaryLIFNode": partial(neuron.TernaryLIFNode, tau=2.3, v_threshold=0.6, **common),
                "CUBALIFNode": partial(_cuba, v_reset=value, mode=mode),
            }
            if value is None:
                nodes["HalfThresholdIFNode"] = partial(neuron.HalfThresholdIFNode, v_threshold=1.25, step_mode=mode)
            else:
                nodes["SimpleLIFNode"] = partial(neuron.SimpleLIFNode, 2.3, True, v_threshold=0.6, **common)
            for name, make in nodes.items():
                made: Any = lambda size, make=make: make()  # noqa: E731
                found.append(Case("spikingjelly", name, f"{reset}, {steps}", made, **shape))
            for kind in ("linear", "added"):
                back: Any = partial(_fed_back, kind, value, mode)
                options = {**shape, "kinds": ("dense",) if kind == "linear" else ("dense", "conv")}
                found.append(Case("spikingjelly", f"IFNode, {kind} back", f"{reset}, {steps}", back, **options))
    sequence = {"layout": "time_batch", "layer": _contained}
    found.append(
        Case("spikingjelly", "LIFNode", "soft, containers", lambda size: neuron.LIFNode(v_reset=None), **sequence)
    )
    return found


def _cuba(v_reset: float | None, mode: str) -> nn.Module:
    from spikingjelly.activation_based import neuron

    made = neuron.CUBALIFNode(c_decay=0.5, v_decay=0.8, v_reset=v_reset, v_threshold=1.5)
    made.step_mode = mode
    return made


def _fed_back(kind: str, v_reset: float | None, mode: str, size: int) -> nn.Module:
    from spikingjelly.activation_based import layer, neuron

    inner = neuron.IFNode(v_threshold=1.25, v_reset=v_reset)
    if kind == "linear":
        return layer.LinearRecurrentContainer(inner, size, size, step_mode=mode)
    return layer.ElementWiseRecurrentContainer(inner, lambda y, x: x - 0.5 * y, step_mode=mode)


def _contained(module: nn.Module) -> nn.Module:
    """Neurons called step by step, layers once for all steps."""
    from spikingjelly.activation_based import layer, neuron

    if isinstance(module, neuron.LIFNode):
        return layer.MultiStepContainer(module)
    return layer.SeqToANNContainer(module)


def sinabs_cases() -> list[Case]:
    import sinabs.layers as sl
    from sinabs.activation import MembraneReset, MembraneSubtract, MultiSpike, SingleSpike

    found = []
    for squeezed in (False, True):
        suffix = "Squeeze" if squeezed else ""
        extra: dict[str, Any] = {"batch_size": 2} if squeezed else {}
        shape: dict[str, Any] = (
            {"layout": "squeezed", "kinds": ("dense", "conv")}
            if squeezed
            else {"layout": "batch_time", "kinds": ("dense",)}
        )
        for fires, spike in (("many", MultiSpike), ("one", SingleSpike)):
            for reset, rule in (("subtract", MembraneSubtract()), ("zero", MembraneReset())):
                common = {"spike_fn": spike, "reset_fn": rule, **extra}
                kinds: dict[str, tuple[Any, dict[str, Any]]] = {
                    "IAF": (sl.IAF, {}),
                    "IAF clamped": (sl.IAF, {"min_v_mem": -1.0}),
                    "LIF": (sl.LIF, {"tau_mem": 6.0, "spike_threshold": torch.tensor(0.25)}),
                    "LIF plain input": (sl.LIF, {"tau_mem": 6.0, "norm_input": False}),
                    "LIF tau_syn": (sl.LIF, {"tau_mem": 6.0, "tau_syn": 3.0, "norm_input": False}),
                }
                for name, (kind, options) in kinds.items():
                    layer = getattr(sl, kind.__name__ + suffix)
                    made: Any = partial(_ignoring, partial(layer, **options, **common))
                    label = f"{reset}, {fires} spikes{', squeezed' if squeezed else ''}"
                    found.append(Case("sinabs", name, label, made, **shape))
        leak: Any = partial(_ignoring, partial(getattr(sl, "ExpLeak" + suffix), tau_mem=7.0, **extra))
        found.append(Case("sinabs", "ExpLeak", f"none{', squeezed' if squeezed else ''}", leak, **shape))
    for name, kind, options in (
        ("IAFRecurrent", sl.IAFRecurrent, {}),
        ("LIFRecurrent", sl.LIFRecurrent, {"tau_mem": 6.0, "norm_input": False}),
    ):
        for reset, rule in (("subtract", MembraneSubtract()), ("zero", MembraneReset())):
            common = {**options, "spike_fn": SingleSpike, "reset_fn": rule}
            back: Any = partial(_sinabs_recurrent, kind, common)
            found.append(Case("sinabs", name, f"{reset}, one spikes", back, ("dense",), "batch_time"))
    repeated = {"layout": "batch_time", "layer": lambda m: m if isinstance(m, sl.IAF) else sl.Repeat(m)}
    found.append(Case("sinabs", "IAF", "subtract, Repeat", lambda size: sl.IAF(), **repeated))
    return found


def _sinabs_recurrent(kind: Any, options: dict[str, Any], size: int) -> nn.Module:
    back = nn.Linear(size, size, bias=False)
    return kind(rec_connect=back, **options)


def _ignoring(make: Callable[[], nn.Module], size: int) -> nn.Module:
    return make()


def norse_cases() -> list[Case]:
    import norse.torch as norse

    box = partial(norse.LIFBoxParameters, tau_mem_inv=torch.tensor(170.0), v_th=torch.tensor(0.3))
    from norse.torch.functional.reset import reset_subtract

    rates = {"tau_mem_inv": torch.tensor(170.0), "tau_syn_inv": torch.tensor(310.0), "v_th": torch.tensor(0.6)}
    lif = norse.LIFParameters(**rates)
    low = norse.LIFParameters(**rates, v_reset=torch.tensor(-0.25), v_leak=torch.tensor(0.125))
    li = norse.LIParameters(tau_mem_inv=torch.tensor(170.0), tau_syn_inv=torch.tensor(310.0))
    below = norse.IAFParameters(v_th=torch.tensor(1.3), v_reset=torch.tensor(-0.25))
    cells: list[tuple[str, str, Callable[[], nn.Module], str]] = [
        ("LIFBoxCell", "to 0", lambda: norse.LIFBoxCell(box()), "step"),
        ("LIFBoxCell", "subtract", lambda: norse.LIFBoxCell(box(reset_method=reset_subtract)), "step"),
        ("LIFCell", "to 0", lambda: norse.LIFCell(lif), "step"),
        ("LIFCell", "to −0.25, leak 0.125", lambda: norse.LIFCell(low), "step"),
        ("IAFCell", "to −0.25", lambda: norse.IAFCell(below), "step"),
        ("LICell", "none", lambda: norse.LICell(li), "step"),
        ("LIF", "to 0, all steps", lambda: norse.LIF(lif), "time_batch"),
        ("LI", "none, all steps", lambda: norse.LI(li), "time_batch"),
        ("IAF", "to −0.25, all steps", lambda: norse.IAF(below), "time_batch"),
        ("LIFCell", "to 0, Lift", lambda: norse.Lift(norse.LIFCell(lif)), "time_batch"),
    ]
    recurrent = [
        ("LIFRecurrentCell", "to 0", norse.LIFRecurrentCell, lif, "step"),
        ("LIFRecurrentCell", "to −0.25, leak 0.125", norse.LIFRecurrentCell, low, "step"),
        ("LIFRecurrent", "to 0, all steps", norse.LIFRecurrent, lif, "time_batch"),
        ("LILinearCell", "none", norse.LILinearCell, li, "step"),
    ]
    return [
        Case(
            "norse",
            name,
            reset,
            partial(_ignoring, make),
            ("dense",) if layout == "time_batch" and "Lift" not in reset else ("dense", "conv"),
            layout,
            norse.SequentialState,
            (lambda module: module if norse.Lift is type(module) else norse.Lift(module))
            if "Lift" in reset
            else _as_is,
        )
        for name, reset, make, layout in cells
    ] + [
        Case("norse", name, reset, partial(_norse_recurrent, kind, p), ("dense",), layout, norse.SequentialState)
        for name, reset, kind, p, layout in recurrent
    ]


def _as_is(module: nn.Module) -> nn.Module:
    return module


def _norse_recurrent(kind: Any, p: Any, size: int) -> nn.Module:
    made = kind(size, size, p=p)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.round(weight * 64) / 64)
    return made


def rockpool_cases() -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rockpool.nn.modules import ExpSynTorch, LIFBitshiftTorch, LIFNeuronTorch, LIFTorch

    def make(size: int, has_rec: bool, most: float) -> nn.Module:
        options: dict[str, Any] = {"tau_mem": 0.008, "tau_syn": 0.004, "bias": 0.03125, "dt": 1e-3, "has_rec": has_rec}
        if has_rec:
            grid = np.round(np.random.default_rng(size).normal(-0.05, 0.15, (size, size)) * 64) / 64
            options["w_rec"] = torch.tensor(grid, dtype=torch.float32)
        return LIFTorch(size, max_spikes_per_dt=torch.tensor(most), **options)

    def bitshift(size: int) -> nn.Module:
        return LIFBitshiftTorch(size, tau_mem=0.008, tau_syn=0.004, bias=0.03125, max_spikes_per_dt=torch.tensor(31.0))

    def pairs(size: int, has_rec: bool = False) -> nn.Module:
        """Two synapses a neuron, in front of which a layer doubles the currents."""
        made = LIFTorch((2 * size, size), tau_mem=0.008, tau_syn=0.004, threshold=1.5, has_rec=has_rec)
        if has_rec:
            grid = np.round(np.random.default_rng(size).normal(-0.05, 0.1, (size, 2 * size)) * 64) / 64
            made.w_rec = torch.nn.Parameter(torch.tensor(grid, dtype=torch.float32))
        return Unwrapped(nn.Linear(size, 2 * size), made)

    def plain(size: int) -> nn.Module:
        return LIFNeuronTorch(size, tau_mem=0.008, bias=0.03125)

    others: list[tuple[str, str, Callable[[int], nn.Module]]] = [
        ("LIFBitshiftTorch", "subtract, many spikes", bitshift),
        ("LIFTorch, 2 synapses", "subtract, many spikes", pairs),
        ("LIFTorch recurrent, 2", "subtract, many spikes", partial(pairs, has_rec=True)),
        ("LIFNeuronTorch", "subtract, many spikes", plain),
        ("ExpSynTorch", "none", lambda size: ExpSynTorch(size, tau=0.004)),
    ]
    more = [Case("rockpool", name, reset, make, ("dense",), "batch_time", Unwrapped) for name, reset, make in others]
    return more + [
        Case(
            "rockpool",
            name,
            f"subtract, {many}",
            partial(make, has_rec=rec, most=most),
            ("dense",),
            "batch_time",
            Unwrapped,
        )
        for name, rec in (("LIFTorch", False), ("LIFTorch recurrent", True))
        for many, most in (("many spikes", 2.0**16), ("one spike", 1.0))
    ]


CASES = {
    "snntorch": snntorch_cases,
    "spikingjelly": spikingjelly_cases,
    "sinabs": sinabs_cases,
    "norse": norse_cases,
    "rockpool": rockpool_cases,
}
