"""Modules that compute one step: ``(x, *states)`` to ``(answer, *next states)``, as users export them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="steps are exported by torch: pip install snncc[torch]")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    snntorch = pytest.importorskip("snntorch", reason="snnTorch is not installed: make frameworks")
    pytest.importorskip("norse", reason="Norse is not installed: make frameworks")

from norse.torch import LIFBoxCell, LIFCell  # noqa: E402
from norse.torch.functional.lif import LIFFeedForwardState  # noqa: E402
from norse.torch.functional.lif_box import LIFBoxFeedForwardState  # noqa: E402
from torch import nn  # noqa: E402

Tensor = torch.Tensor


class Leaky(nn.Module):
    """Two snnTorch Leaky layers."""

    def __init__(self, mechanism: str = "subtract", **options: Any) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 7), nn.Linear(7, 3)
        self.lif1 = snntorch.Leaky(0.9, threshold=0.75, reset_mechanism=mechanism, **options)
        self.lif2 = snntorch.Leaky(0.8, threshold=0.5, reset_mechanism=mechanism, **options)

    def forward(self, x: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, ...]:
        spikes, mem1 = self.lif1(self.fc1(x), mem1)
        answer, mem2 = self.lif2(self.fc2(spikes), mem2)
        return answer, mem1, mem2


class Synaptic(nn.Module):
    def __init__(self, mechanism: str = "subtract") -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)
        self.lif = snntorch.Synaptic(alpha=0.7, beta=0.9, reset_mechanism=mechanism)

    def forward(self, x: Tensor, syn: Tensor, mem: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.lif(self.fc(x), syn, mem))


class Recurrent(nn.Module):
    """snnTorch RLeaky: the spikes of the step before come in as a state, through a layer of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)
        self.lif = snntorch.RLeaky(beta=0.9, linear_features=5)

    def forward(self, x: Tensor, spk: Tensor, mem: Tensor) -> tuple[Tensor, ...]:
        spk, mem = self.lif(self.fc(x), spk, mem)
        return spk, spk.clone(), mem


class Norse(nn.Module):
    """Norse's LIFCell: a current that decays after it was integrated, and a hard reset."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 5), LIFCell()

    def forward(self, x: Tensor, i: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        spikes, state = self.lif(self.fc(x), LIFFeedForwardState(v, i))
        return spikes, state.i, state.v


class NorseBox(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 5), LIFBoxCell()
        nn.init.uniform_(self.fc.weight, -0.5, 1.0)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
        spikes, state = self.lif(self.fc(x), LIFBoxFeedForwardState(v))
        return spikes, state.v


class HardConv(nn.Module):
    """Convolution, batch norm and pooling; SpikingJelly's LIF by hand, a hard reset at once, two spellings."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)
        self.fc = nn.Linear(2 * 3 * 3, 4, bias=False)
        nn.init.uniform_(self.norm.running_mean, -0.1, 0.1)
        nn.init.uniform_(self.norm.running_var, 0.2, 0.3)

    def forward(self, x: Tensor, v1: Tensor, v2: Tensor) -> tuple[Tensor, ...]:
        v1 = v1 + (self.norm(self.conv(x)) - v1) / 2.0
        spikes = (v1 >= 0.5).to(v1.dtype)
        v1 = v1 * (1 - spikes)
        pooled = nn.functional.max_pool2d(nn.functional.avg_pool2d(spikes, 2), 1)
        v2 = 0.5 * v2 + self.fc(pooled.flatten(1))
        fired = ~(v2 <= 0.25)
        v2 = torch.where(fired, torch.full_like(v2, -0.125), v2)
        return fired.to(v2.dtype), v1, v2


class SpikeState(nn.Module):
    """STBP by hand: the spike is a state of its own and takes the membrane away in the next step."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Tensor, mem: Tensor, spike: Tensor) -> tuple[Tensor, ...]:
        mem = mem * 0.5 * (1 - spike) + self.fc(x)
        spike = torch.gt(mem, 0.25).to(mem.dtype)
        return spike.clone(), mem, spike


class Readout(nn.Module):
    """A soft reset at once, a residual sum, and a leaky integrator that does not fire."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, v1: Tensor, v2: Tensor, v3: Tensor) -> tuple[Tensor, ...]:
        v1 = v1 + self.fc1(x)
        a = (v1 > 0.5).to(v1.dtype)
        v1 = v1 - 0.5 * a
        v2 = 0.75 * v2 + self.fc2(a) + a
        b = torch.lt(torch.full_like(v2, 0.5), v2).to(v2.dtype)
        v2 = v2 - b * 0.5
        v3 = 0.9 * v3 + 0.1 * self.fc3(b + a)
        return v3.clone(), v1, v2, v3


STEPS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[tuple[int, ...]]]] = {
    "leaky subtract": (Leaky, (6,), [(7,), (3,)]),
    "leaky zero": (lambda: Leaky("zero"), (6,), [(7,), (3,)]),
    "leaky zero at once": (lambda: Leaky("zero", reset_delay=False), (6,), [(7,), (3,)]),
    "leaky none": (lambda: Leaky("none"), (6,), [(7,), (3,)]),
    "synaptic subtract": (Synaptic, (6,), [(5,), (5,)]),
    "synaptic zero": (lambda: Synaptic("zero"), (6,), [(5,), (5,)]),
    "recurrent": (Recurrent, (6,), [(5,), (5,)]),
    "hard reset, convolution": (HardConv, (1, 6, 6), [(2, 6, 6), (4,)]),
    "Norse LIFCell": (Norse, (6,), [(5,), (5,)]),
    "Norse LIFBoxCell": (NorseBox, (6,), [(5,)]),
    "spike state": (SpikeState, (6,), [(5,), (5,)]),
    "readout": (Readout, (6,), [(5,), (5,), (3,)]),
}


def made_step(case: str, seed: int, double: bool = True) -> tuple[nn.Module, tuple[int, ...], list[tuple[int, ...]]]:
    """(module with weights large enough to fire, shape of x, shapes of the states)."""
    make, given, states = STEPS[case]
    torch.manual_seed(seed)
    module = make().eval()
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name.endswith("weight") and value.ndim > 1 and "recurrent" not in name:
                value.mul_(4.0 if value.ndim == 4 else 3.0)
    if double:
        module.double()
        for part in module.modules():
            if isinstance(part, snntorch.SpikingNeuron):  # its own surrogates give float32
                part.spike_grad = lambda shifted: (shifted > 0).to(shifted.dtype)
    return module, given, states


def exported(module: nn.Module, given: tuple[int, ...], states: list[tuple[int, ...]], **options: Any) -> bytes:
    """The file that ``torch.onnx.export`` writes, with its TorchScript exporter unless told."""
    kind = next(module.parameters()).dtype
    example = tuple(torch.zeros(1, *shape, dtype=kind) for shape in (given, *states))
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, held, **{"dynamo": False, **options})
    return held.getvalue()
