"""Fine-tuning with the integers that the compiler would deploy.

The forward pass runs what the pass ``quantise`` makes of the float weights: whole-number weights, one scale s a neuron's
channel, thresholds, resets and biases in guarded units (s / 2**guard_bits), leaks of 12 bits, states rounded after every leak.
None of these rules is written here a second time: the pipeline itself runs on the weights (:mod:`snncc.models.integers`), and
scales, thresholds and leaks are taken from its result, every :data:`REFRESH` batches and before each evaluation.

Backward, rounding counts as the identity (the straight-through estimator of Bengio, Léonard and Courville 2013), so that the
float weights below the integers move; a weight beyond the largest integer has no gradient.

A network that was trained on representations (:mod:`snncc.models.representation`) goes on so: its training passes run a twin
in floats with the weights that the integers are worth, which leaves out only the rounding of biases and states.

Scales may be trained too (:mod:`snncc.models.trained_scales`).

Training may start from rounding that was learned (:mod:`snncc.passes.learn_rounding`): see :func:`snncc.models.start.rounded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import VALUE_FIELDS, Dynamics, Value
from snncc.ir.nodes import Neuron
from snncc.models.integers import arrays_of, integers_of, maps
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, Layer
from snncc.models.neurons import SpikingNeuron

REFRESH = 25
"""Batches between two choices of the scales."""


class Round(torch.autograd.Function):
    """The nearest whole number, ties to even as NumPy's; backward the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class RoundUp(Round):
    """The same with ties up, as exact arithmetic rounds a leak (``snncc.program.reference.decay``)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)


class QuantisedNeuron(SpikingNeuron):
    """A neuron whose states are whole numbers of guarded units."""

    def decayed(self, factor: Value, x: Tensor) -> Tensor:
        rounded: Tensor = RoundUp.apply(super().decayed(factor, x))
        return rounded


class QuantisedNetwork(SpikingNetwork):
    """The network of a description without batch norm whose weights act as the integers of a compilation at ``bits``.

    ``record`` gives spikes, membranes in guarded units and sums of pooled spikes; the scores are in real units. In evaluation
    mode all spikes and membranes are those of the Program that :meth:`deployed` compiles to at ``bits``, exactly in float64,
    and in float32 as long as no state passes 2**24. With ``keep`` the scales of the first weights stay until :meth:`settle`, and
    only behind it this holds. Raises :class:`UnsupportedError` naming the layer that it cannot hold.
    """

    def __init__(self, description: Description, state: Mapping[str, Tensor], bits: int, keep: bool = False) -> None:
        layers = [_executed(layer) for layer in description["layers"]]
        super().__init__(description | {"layers": layers, "input": description["input"] | {"scale": 1.0}})
        last = self.get_submodule(self.last)
        if not isinstance(last, SpikingNeuron):
            raise UnsupportedError(
                f"{self.last}: is read without neurons; end in one that never fires and read its membrane"
            )
        self.load_state_dict(dict(state))
        self.stored, self.bits, self.keep = description, bits, keep
        self.scales: dict[str, tuple[Tensor, Tensor]] = {}
        self.powers: dict[str, float] = {}
        for name, module in list(self.named_children()):
            if isinstance(module, SpikingNeuron):
                self.add_module(name, QuantisedNeuron(module.dynamics, module.surrogate))
            elif isinstance(module, nn.AvgPool2d):  # a sum of spikes is whole, a mean is not
                made = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, divisor_override=1)
                self.add_module(name, made)
        self.worth: Any = last.dynamics.spike_value
        twin = SpikingNetwork(description)
        self.on_representations = twin.on_representations
        self.twin = [twin] if self.on_representations else []  # in a list: its weights are no others
        self.maps, own = maps(description, arrays_of(self.state_dict()))
        self.own = {name: torch.as_tensor(value) for name, value in own.items()}
        self.batches = 0
        self._refresh()

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes) of integer inputs ``x``, as :meth:`SpikingNetwork.forward`."""
        if self.training and self.twin:
            twin = self.twin[0].to(x.device, self.dtype)
            twin.even_currents = self.even_currents
            scores: Tensor = torch.func.functional_call(twin, self._worth(), x)
            return scores
        return self._forward(x)

    @torch.compiler.disable
    def _forward(self, x: Tensor) -> Tensor:
        if self.training:
            self._count()
        return super().forward(x) * torch.as_tensor(self.worth, dtype=self.dtype, device=x.device)

    @torch.compiler.disable
    def _worth(self) -> dict[str, Tensor]:
        """What the integers are worth, by the names of the float parameters, whose gradients they hand on."""
        self._count()
        made: dict[str, Tensor] = dict(self.named_parameters())
        for name, (unit, factor) in self.scales.items():
            key, whole = f"{name}.weight", self.integer_weight(name)
            made[key] = (whole * (unit / factor).to(whole.device)).to(made[key].dtype)
        return made

    def _count(self) -> None:
        if self.batches % REFRESH == 0:
            self._refresh()
        self.batches += 1

    def record(self, x: Tensor) -> dict[str, Tensor]:
        """Spikes, membranes in guarded units and sums of pooled spikes of every layer, as :meth:`SpikingNetwork.record`."""
        self.whole = {name: self.integer_weight(name).to(self.dtype) for name in self.maps}
        self.offsets = {name: self.integer_offset(name).to(x.device, self.dtype) for name in self.own}
        return super().record(x)

    def train(self, mode: bool = True) -> QuantisedNetwork:
        """Training or evaluation mode; evaluation runs the integers of the weights as they are at this moment."""
        super().train(mode)
        for twin in self.twin:
            twin.train(mode)
        self.batches = 0
        if not mode:
            self._refresh()
        return self

    def deployed(self) -> tuple[Description, dict[str, Tensor]]:
        """The description as given, and the float weights: the compiler makes the integers of them."""
        return self.stored, self.state_dict()

    @torch.no_grad()
    def settle(self) -> None:
        """Make the float weights multiples of the scales, so that they are what their integers are worth."""
        self.eval()
        for name, (unit, factor) in self.scales.items():
            weight = self.get_parameter(f"{name}.weight")
            weight.copy_(self.integers[name] * unit / factor)
        self.keep = False
        self._refresh()

    def integer_weight(self, name: str) -> Tensor:
        """Weights of layer ``name`` as whole numbers, float64, with the straight-through gradient."""
        weight = self.get_parameter(f"{name}.weight")
        return self._rounded(name) if self.training else self.integers[name].to(weight.device)

    def _rounded(self, name: str) -> Tensor:
        weight = self.get_parameter(f"{name}.weight")
        unit, factor = (x.to(weight.device) for x in self.scales[name])
        whole = Round.apply(weight.double() * factor / (unit * self.powers[name]))
        return torch.clamp(whole, -self.largest, self.largest) * self.powers[name]

    def integer_offset(self, neuron: str) -> Tensor:
        """What the biases of all layers into ``neuron`` and its own come to, in guarded units, float64."""
        total = self.own[neuron]
        for name, mapped in self.maps.items():
            bias = self._bias(name)
            if mapped.neuron == neuron and bias is not None:
                gain = torch.as_tensor(mapped.bias, device=bias.device)
                total = total.to(bias.device) + bias.double().reshape(-1, *(1,) * (gain.dim() - 1)) * gain
        whole: Tensor = Round.apply(total / self.grains[neuron].to(total.device))
        return whole

    def passed(self, name: str, x: Tensor) -> Tensor:
        """The same with integer weights, and without the bias, which the neuron takes."""
        if name not in self.maps:
            return super().passed(name, x)
        weight, bias = {"weight": self.whole[name]}, self._bias(name)
        silent = {} if bias is None else {"bias": torch.zeros_like(bias)}
        made: Tensor = torch.func.functional_call(self.get_submodule(name), weight | silent, x)
        return made

    def entering(self, name: str, x: Tensor) -> Tensor:
        """Currents in guarded units, with the layers' biases in them."""
        return super().entering(name, x) * self.guard + self.offsets[name]

    def _bias(self, name: str) -> Tensor | None:
        bias = getattr(self.get_submodule(name), "bias", None)
        return bias if isinstance(bias, Tensor) else None

    def _refresh(self) -> None:
        """Compile the weights as they are now, or round them where the scales stay."""
        if self.keep and self.scales:
            self.integers = {name: self._rounded(name).detach() for name in self.maps}
            return
        description, state = self.deployed()
        made = integers_of(description, arrays_of(state), self.bits)
        self.largest = 2 ** (self.bits - 1) - 1
        self.scales, self.integers, self.grains = {}, {}, {}
        for name in made.graph.of_type(Neuron):
            module, node = self.get_submodule(name), made.graph.nodes[name]
            assert isinstance(module, QuantisedNeuron) and isinstance(node, Neuron)
            self.guard = made.guard(name)
            self.grains[name] = torch.as_tensor(made.units[name] / self.guard)
            module.dynamics = _without_offset(node.dynamics)
            if name == self.last and not node.dynamics.fires:
                self.worth = self.grains[name]
        for name, mapped in self.maps.items():
            self.scales[name] = torch.as_tensor(made.unit(mapped)), torch.as_tensor(mapped.factor)
            self.powers[name] = 2.0 ** made.exponents.get(name, 0)
            self.integers[name] = torch.as_tensor(made.weights(name, mapped))


def _executed(layer: Layer) -> Layer:
    """The layer on integers: gains are in the weights, and neurons have a plain surrogate derivative."""
    if layer["kind"] == "scale":
        return {**layer, "kind": "identity"}
    other = layer.get("surrogate", {}).get("method", "surrogate") != "surrogate"
    return {key: value for key, value in layer.items() if not (other and key == "surrogate")}


def _without_offset(d: Dynamics) -> Dynamics:
    """Quantised dynamics for an input that is in guarded units and has the layers' biases in it."""
    values: dict[str, Any] = {name: getattr(d, name) for name in VALUE_FIELDS}
    values |= {"current_bias": np.asarray(d.current_bias) * np.asarray(d.input_gain), "input_gain": 1.0}
    values["bias" if d.current_decay is None else "current_bias"] = 0.0
    plain = {name: float(v) if v is not None and np.ndim(v) == 0 else v for name, v in values.items()}
    return d.with_(**plain | {"spike_value": 1.0})
