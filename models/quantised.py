"""Fine-tuning with the integers that the compiler would deploy.

The forward pass runs what the pass ``quantise`` makes of the float weights: whole-number weights, one scale s a neuron's
channel, thresholds, resets and biases in guarded units (s / 2**guard_bits), leaks of 12 bits, states rounded after every leak.
None of these rules is written here a second time: the pipeline itself runs on the weights (:mod:`snncc.models.integers`), and
scales, thresholds and leaks are taken from its result, every :data:`REFRESH` batches and before each evaluation.

Backward, rounding counts as the identity (the straight-through estimator of Bengio, Léonard and Courville 2013), so that the
float weights below the integers move; a weight beyond the largest integer has no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.checkpoint import check_file, load_plain, zoo_parts
from snncc.ir.dynamics import VALUE_FIELDS, Dynamics, Value
from snncc.ir.nodes import Neuron
from snncc.models.checkpoint import filled
from snncc.models.folding import fold_batch_norm
from snncc.models.integers import integers_of, maps
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, Layer
from snncc.models.neurons import SpikingNeuron
from snncc.registry import resolve_model

REFRESH = 25
"""Batches between two choices of the scales."""
TRAINING_ONLY = ("surrogate", "probability", "fixed")


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
    and in float32 as long as no state passes 2**24. Raises :class:`UnsupportedError` naming the layer that it cannot hold.
    """

    def __init__(self, description: Description, state: Mapping[str, Tensor], bits: int) -> None:
        layers = [_executed(layer) for layer in description["layers"]]
        super().__init__(description | {"layers": layers, "input": description["input"] | {"scale": 1.0}})
        if self.delayed:
            raise UnsupportedError(
                f"{next(iter(self.delayed))}: is recurrent; training with integers takes no recurrence"
            )
        last = self.get_submodule(self.last)
        if not isinstance(last, SpikingNeuron):
            raise UnsupportedError(
                f"{self.last}: is read without neurons; end in one that never fires and read its membrane"
            )
        self.load_state_dict(dict(state))
        self.stored, self.bits = description, bits
        for name, module in list(self.named_children()):
            if isinstance(module, SpikingNeuron):
                self.add_module(name, QuantisedNeuron(module.dynamics, module.surrogate))
            elif isinstance(module, nn.AvgPool2d):  # a sum of spikes is whole, a mean is not
                made = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, divisor_override=1)
                self.add_module(name, made)
        self.worth: Any = last.dynamics.spike_value
        self.maps, own = maps(description, self._arrays())
        self.own = {name: torch.as_tensor(value) for name, value in own.items()}
        self.batches = 0
        self._refresh()

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes) of integer inputs ``x``, as :meth:`SpikingNetwork.forward`."""
        return self._forward(x)

    @torch.compiler.disable
    def _forward(self, x: Tensor) -> Tensor:
        if self.training:
            if self.batches % REFRESH == 0:
                self._refresh()
            self.batches += 1
        return super().forward(x) * torch.as_tensor(self.worth, dtype=self.dtype, device=x.device)

    def train(self, mode: bool = True) -> QuantisedNetwork:
        """Training or evaluation mode; evaluation runs the integers of the weights as they are at this moment."""
        super().train(mode)
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
        self._refresh()

    def integer_weight(self, name: str) -> Tensor:
        """Weights of layer ``name`` as whole numbers, float64, with the straight-through gradient."""
        weight = self.get_parameter(f"{name}.weight")
        if not self.training:
            return self.integers[name].to(weight.device)
        unit, factor = (x.to(weight.device) for x in self.scales[name])
        whole = Round.apply(weight.double() * factor / unit)
        return torch.clamp(whole, -self.largest, self.largest)

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

    def _run_layer(self, name: str, x: Tensor) -> Tensor:
        module, bias = self.get_submodule(name), self._bias(name)
        if name in self.maps:
            whole = {"weight": self.integer_weight(name).to(self.dtype)}
            if bias is not None:
                whole["bias"] = torch.zeros_like(bias)  # the neuron takes it
            made: Tensor = torch.func.functional_call(module, whole, x.flatten(0, 1))
            return made.unflatten(0, x.shape[:2])
        if isinstance(module, QuantisedNeuron):
            x = x * self.guard + self.integer_offset(name).to(x.device, self.dtype)
        return super()._run_layer(name, x)

    def _bias(self, name: str) -> Tensor | None:
        bias = getattr(self.get_submodule(name), "bias", None)
        return bias if isinstance(bias, Tensor) else None

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}

    def _refresh(self) -> None:
        """Compile the weights as they are now."""
        made = integers_of(self.stored, self._arrays(), self.bits)
        self.largest = 2 ** (self.bits - 1) - 1
        self.scales, self.integers, self.grains = {}, {}, {}
        for name in made.graph.of_type(Neuron):
            module, node = self.get_submodule(name), made.graph.nodes[name]
            assert isinstance(module, QuantisedNeuron) and isinstance(node, Neuron)
            self.guard = float(node.dynamics.input_gain)
            self.grains[name] = torch.as_tensor(made.units[name] / self.guard)
            module.dynamics = _without_offset(node.dynamics)
            if name == self.last and not node.dynamics.fires:
                self.worth = self.grains[name]
        for name, mapped in self.maps.items():
            unit = made.units[mapped.neuron]
            unit = unit.reshape(-1, *(1,) * (mapped.factor.ndim - 1)) if unit.ndim else unit
            self.scales[name] = torch.as_tensor(unit), torch.as_tensor(mapped.factor)
            self.integers[name] = torch.as_tensor(made.weights(name, mapped))


def prepared(network: SpikingNetwork, start: str, bits: int) -> SpikingNetwork:
    """``network``, in training mode, with the weights and learned constants of checkpoint ``start`` (a file or the name of a
    zoo model; "" leaves it as it is), and on integers of ``bits`` bits (0: on floats). Raises :class:`InputError` where the
    checkpoint is of another network; batch norm may be folded in either."""
    wanted: Description = network.description
    description, state = network.deployed()
    if start:
        path = resolve_model(start)
        check_file(path)
        found, arrays = zoo_parts(path, load_plain(path, path))
        description, state = dict(found), {name: torch.from_numpy(array) for name, array in arrays.items()}
        if bits or _kinds(description) != _kinds(wanted):
            description, state = fold_batch_norm(description, state)
        if _kinds(description) != _kinds(wanted):
            wanted, _ = fold_batch_norm(*network.deployed())
        if _kinds(description) != _kinds(wanted):
            raise InputError(f"{path}: is a checkpoint of another network than {wanted['name']}, batch norm aside")
        description = _trained_as(description, wanted)
    if bits:
        return QuantisedNetwork(*fold_batch_norm(description, state), bits).train()
    return filled(description, state).train() if start else network


def _kinds(description: Description) -> list[tuple[Any, ...]]:
    """What makes two networks the same but for numbers."""
    return [(layer["name"], layer["kind"], layer.get("inputs")) for layer in description["layers"]]


def _trained_as(description: Description, wanted: Description) -> Description:
    """``description`` with the name, the steps, the readout, and the fields that matter to training only, of ``wanted``.

    A network of DSR's neurons gets those of ``wanted``, LIF from IF too, whose spikes have the trained value V/Δt: the
    representations that other layers were trained for."""
    represents = any(layer.get("surrogate", {}).get("method") == "dsr" for layer in wanted["layers"])
    layers = [
        _respiked(new, layer)
        if represents and new["kind"] == "neuron"
        else {k: v for k, v in layer.items() if k not in TRAINING_ONLY} | {k: new[k] for k in TRAINING_ONLY if k in new}
        for layer, new in zip(description["layers"], wanted["layers"], strict=True)
    ]
    return description | {key: wanted[key] for key in ("name", "time_steps", "output")} | {"layers": layers}


def _respiked(neuron: Layer, trained: Layer) -> Layer:
    """DSR's ``neuron`` with V such that its spikes have the ``trained`` one's value; the readout, without spikes, as it is."""
    if not neuron.get("fires", True):
        return neuron
    by = trained["spike_value"] / neuron["spike_value"]
    return {**neuron, **{field: neuron[field] * by for field in ("threshold", "reset_amount", "spike_value")}}


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
