"""The networks whose exports are tested: one row a framework, neuron and reset, and how its file is to be read.

Weights are multiples of 1/64, so that no order of summation matters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the frameworks are PyTorch libraries: pip install snncc[torch]")

from torch import nn  # noqa: E402

HIDDEN = 20
Make = Callable[[tuple[int, ...]], nn.Module]


@dataclass(frozen=True)
class Export:
    """A neuron under test: ``make(shape)`` gives a population, ``options`` say how its file is to be read."""

    framework: str
    neuron: str
    reset: str
    make: Make
    options: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("dense", "conv")
    layout: str = "step"

    @property
    def label(self) -> str:
        return f"{self.framework}-{self.neuron}-{self.reset}".replace(" ", "_")


def framework(name: str) -> Any:
    """The module of that name, without its own deprecation warnings; skips where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed: make frameworks")


def on_grid(module: nn.Module, scale: float, offset: float = 0.0) -> None:
    """Random weights that are multiples of 1/64."""
    with torch.no_grad():
        for values in nn.Module.parameters(module):  # Rockpool's own method gives names
            values.copy_(torch.round((torch.randn_like(values) * scale + offset) * 64) / 64)


def spread(value: float, shape: tuple[int, ...]) -> torch.Tensor:
    """A constant of a population: one number for the first of a dense network, one a neuron elsewhere. Behind convolutions
    the shapes that an exporter leaves open can be inferred only from the neurons."""
    return torch.tensor(value) if len(shape) == 1 and shape[0] == HIDDEN else torch.full(shape, value)


def snntorch_neuron(kind: str, reset: str, delayed: bool) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        snn = framework("snntorch")
        options: dict[str, Any] = {"reset_mechanism": reset, "reset_delay": delayed, "init_hidden": True}
        options |= {"beta": torch.full(shape, 0.87), "threshold": torch.full(shape, 0.9)}
        if "Synaptic" in kind:
            options["alpha"] = torch.full(shape, 0.6)
        if kind.startswith("R"):
            layer = getattr(snn, kind)(linear_features=shape[0], **options)
            on_grid(layer.recurrent, 0.3)
            return layer
        return getattr(snn, kind)(**options)

    return make


def snntorch_exports() -> list[Export]:
    found = []
    for kind in ("Leaky", "Synaptic", "RLeaky", "RSynaptic"):
        for reset, delayed in (("subtract", True), ("subtract", False), ("zero", True), ("zero", False)):
            if kind == "RSynaptic" and not delayed:
                continue  # it fails with init_hidden, and ignores reset_delay=False without
            options = {"reset": reset, "reset_delay": "yes" if delayed else "no"}
            kinds = ("dense",) if kind.startswith("R") else ("dense", "conv")
            label = f"{reset}, {'delayed' if delayed else 'at once'}"
            found.append(Export("snntorch", kind, label, snntorch_neuron(kind, reset, delayed), options, kinds))
    return found


def spikingjelly_neuron(kind: str, v_reset: float | None, mode: str, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        neuron = framework("spikingjelly.activation_based.neuron")
        made = getattr(neuron, kind)(v_reset=v_reset, **options)
        made.step_mode = mode
        return made

    return make


def spikingjelly_exports() -> list[Export]:
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "IFNode": ("IFNode", {"v_threshold": 1.25}),
        "LIFNode": ("LIFNode", {"tau": 2.3, "v_threshold": 0.6}),
        "LIFNode plain input": ("LIFNode", {"tau": 2.3, "decay_input": False}),
        "ParametricLIFNode": ("ParametricLIFNode", {"init_tau": 1.7, "v_threshold": 0.6}),
        "CUBALIFNode": ("CUBALIFNode", {"c_decay": 0.5, "v_decay": 0.75, "v_threshold": 1.5}),
    }
    return [
        Export(
            "spikingjelly",
            name,
            f"to {value}, {'one step' if mode == 's' else 'all steps'}",
            spikingjelly_neuron(kind, value, mode, **options),
            {"reset": "zero"},
            layout="step" if mode == "s" else "time_batch",
        )
        for mode in ("s", "m")
        for value in (0.0, -0.1)
        for name, (kind, options) in kinds.items()
    ]


def sinabs_neuron(kind: str, reset: str, many: bool, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        sl, activation = framework("sinabs.layers"), framework("sinabs.activation")
        fires = activation.MultiSpike if many else activation.SingleSpike
        rule = activation.MembraneSubtract() if reset == "subtract" else activation.MembraneReset()
        own: dict[str, Any] = {} if kind == "ExpLeak" else {"spike_fn": fires, "reset_fn": rule}
        if kind in ("LIF", "ExpLeak"):
            own["tau_mem"] = spread(6.0, shape)
        if kind == "LIF":
            own["spike_threshold"] = spread(0.5, shape)
        return getattr(sl, kind + "Squeeze")(batch_size=2, **own, **options)

    return make


def sinabs_exports() -> list[Export]:
    kinds: dict[str, tuple[str, dict[str, Any], dict[str, str], tuple[str, ...]]] = {
        "IAF": ("IAF", {}, {}, ("dense", "conv")),
        "IAF clamped": ("IAF", {"min_v_mem": -1.0}, {"v_min": "-1"}, ("dense", "conv")),
        "LIF": ("LIF", {}, {"norm_input": "yes"}, ("dense", "conv")),
        "LIF plain input": ("LIF", {"norm_input": False}, {"norm_input": "no"}, ("dense", "conv")),
    }
    found = [
        Export(
            "sinabs",
            name,
            f"{reset}, {'many spikes' if many else 'one spike'}",
            sinabs_neuron(kind, reset, many, **given),
            {"reset": reset, "multi_spike": "yes" if many else "no", **options},
            shapes,
            "squeezed",
        )
        for many in (True, False)
        for reset in ("subtract", "zero")
        for name, (kind, given, options, shapes) in kinds.items()
    ]
    leak = sinabs_neuron("ExpLeak", "subtract", True)
    return [*found, Export("sinabs", "ExpLeak", "none", leak, {"norm_input": "no"}, layout="squeezed")]


def norse_neuron(kind: str, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        norse = framework("norse.torch")
        parameters = {"LIFBoxCell": "LIFBoxParameters", "LIFCell": "LIFParameters", "IAFCell": "IAFParameters"}
        parameters["LIBoxCell"] = "LIBoxParameters"
        values = {k: spread(v, shape) if isinstance(v, float) else v for k, v in {"v_leak": 0.0, **options}.items()}
        if kind == "IAFCell":
            del values["v_leak"]
        return getattr(norse, kind)(getattr(norse, parameters[kind])(**values))

    return make


def norse_exports() -> list[Export]:
    rates = {"tau_mem_inv": 170.0, "v_th": 0.3}
    cells: list[tuple[str, str, dict[str, Any]]] = [
        ("LIFBoxCell", "to 0", rates),
        ("LIFBoxCell", "to 0, leak 0.125", {**rates, "v_leak": 0.125}),
        ("LIFCell", "to 0", {**rates, "tau_syn_inv": 310.0, "v_th": 0.6}),
        ("LIFCell", "to 0, leak 0.125", {**rates, "tau_syn_inv": 310.0, "v_leak": 0.125}),
        ("IAFCell", "to 0", {"v_th": 1.3}),
        ("LIBoxCell", "none", {"tau_mem_inv": 170.0}),
    ]
    return [
        Export("norse", kind, reset, norse_neuron(kind, **given), {"tau_scaled": "yes"}) for kind, reset, given in cells
    ]


def rockpool_neuron(most: float, bias: float = 0.0, recurrent: bool = False) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        modules, size = framework("rockpool.nn.modules"), shape[0]
        options: dict[str, Any] = {"tau_mem": 0.008, "tau_syn": 0.004, "bias": bias, "dt": 1e-3}
        if recurrent:
            grid = np.round(np.random.default_rng(size).normal(-0.05, 0.15, (size, size)) * 64) / 64
            options |= {"has_rec": True, "w_rec": torch.tensor(grid, dtype=torch.float32)}
        return modules.LIFTorch(size, max_spikes_per_dt=torch.tensor(most), **options)

    return make


def rockpool_exports() -> list[Export]:
    return [
        Export(
            "rockpool",
            "LIFTorch",
            f"subtract, {name}",
            rockpool_neuron(most),
            {"multi_spike": yes},
            ("dense",),
            "batch_time",
        )
        for name, most, yes in (("many spikes", 2.0**16, "yes"), ("one spike", 1.0, "no"))
    ]


EXPORTS = [*snntorch_exports(), *spikingjelly_exports(), *sinabs_exports(), *norse_exports(), *rockpool_exports()]
