"""What a training starts from: the weights of a trained network, and the integers that they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snncc.errors import InputError
from snncc.frontends.checkpoint import check_file, load_plain, zoo_parts
from snncc.models.checkpoint import filled
from snncc.models.folding import fold_batch_norm, weights_alone
from snncc.models.integers import arrays_of, integers_of, maps
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, Layer
from snncc.models.quantised import QuantisedNetwork
from snncc.models.trained_scales import TrainedScales
from snncc.registry import resolve_model

TRAINING_ONLY = ("surrogate", "probability", "fixed")


def prepared(
    network: SpikingNetwork, start: str, bits: int, calibration: Tensor | None = None, scales: str = "chosen"
) -> SpikingNetwork:
    """``network``, in training mode, with the weights and learned constants of checkpoint ``start`` (a file or the name of a
    zoo model; "" leaves it as it is), and on integers of ``bits`` bits (0: on floats), which begin at rounding learned on
    ``calibration`` (inputs as the network takes them), if given; ``scales`` as in a recipe. Raises :class:`InputError` where
    the checkpoint is of another network; batch norm may be folded in either."""
    wanted: Description = network.description
    description, state = network.deployed()
    fold = weights_alone if bits else fold_batch_norm
    if start:
        path = resolve_model(start)
        check_file(path)
        found, arrays = zoo_parts(path, load_plain(path, path))
        description, state = dict(found), {name: torch.from_numpy(array) for name, array in arrays.items()}
        if _kinds(description) != _kinds(wanted):
            description, state = fold(description, state)
        if _kinds(description) != _kinds(wanted):
            wanted, _ = fold(*network.deployed())
        if _kinds(description) != _kinds(wanted):
            raise InputError(f"{path}: is a checkpoint of another network than {wanted['name']}, batch norm aside")
        description = _trained_as(description, wanted)
    if bits:
        description, state = fold(description, state)
        if calibration is not None:
            state = rounded(description, state, bits, calibration)
        if scales == "trained":
            return TrainedScales(description, state, bits).train()
        return QuantisedNetwork(description, state, bits, scales == "kept").train()
    return filled(description, state).train() if start else network


def rounded(description: Description, state: Mapping[str, Tensor], bits: int, calibration: Tensor) -> dict[str, Tensor]:
    """``state`` with weights and biases that are worth what learned rounding on ``calibration`` makes of them; where a weight is
    deployed several times, their mean."""
    arrays = arrays_of(state)
    made = integers_of(description, arrays, bits, calibration.numpy())
    found, _ = maps(description, arrays)
    corrected: set[str] = set()
    for name, mapped in found.items():
        weight = made.weights(name, mapped) * made.unit(mapped) / mapped.factor
        arrays[f"{name}.weight"] = weight.astype(arrays[f"{name}.weight"].dtype)
        bias, added = arrays.get(f"{name}.bias"), made.added.get(mapped.neuron)
        if bias is None or added is None or mapped.neuron in corrected:
            continue
        corrected.add(mapped.neuron)
        more = added * made.units[mapped.neuron] / made.guard(mapped.neuron) / mapped.bias  # (C, …)
        arrays[f"{name}.bias"] = bias + more.reshape(len(bias), -1).mean(1).astype(bias.dtype)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


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
