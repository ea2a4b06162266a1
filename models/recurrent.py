"""Recurrent spiking networks with an answer at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snncc.models.networks import Description, Layer


def recurrent(
    name: str,
    input_size: int,
    hidden: Sequence[int],
    classes: int,
    time_steps: int,
    neuron: Mapping[str, Any],
    entry: Mapping[str, Any],
    readout_decay: float = 0.0,
    time_constants: tuple[float, float] | None = None,
    surrogate: Mapping[str, Any] | None = None,
) -> Description:
    """Layers of ``hidden`` neurons, each fed by the one before it and by its own spikes one step before; then a leaky readout
    whose membrane is the answer of each step.

    Args:
        entry: the "input", but for its shape.
        readout_decay: the readout's membrane decay; 0 answers from the current of the step alone.
        time_constants: shortest and longest of a layer's membranes, in steps, with the others evenly in logarithm between
            them (decay ``exp(−1/τ)``); without them the neurons' own "membrane_decay" holds.
    """
    layers: list[Layer] = []
    before = input_size
    for number, size in enumerate(hidden, start=1):
        own = dict(neuron)
        if time_constants is not None:
            constants = np.geomspace(*time_constants, size)
            own["membrane_decay"] = [math.exp(-1 / tau) for tau in constants]
        into, lif, loop = f"fc{number}", f"lif{number}", f"loop{number}"
        layers += [
            {"name": into, "kind": "dense", "in_features": before, "out_features": size, "bias": True},
            {"name": lif, "kind": "neuron", "inputs": [into, f"{loop}@1"], **own, "surrogate": dict(surrogate or {})},
            {"name": loop, "kind": "dense", "in_features": size, "out_features": size, "bias": False},
        ]
        if number > 1:
            layers[-3]["inputs"] = [f"lif{number - 1}"]
        before = size
    layers += [
        {
            "name": "fc", "kind": "dense", "in_features": before, "out_features": classes, "bias": True,
            "inputs": [f"lif{len(hidden)}"],
        },
        {"name": "readout", "kind": "neuron", "fires": False, "membrane_decay": readout_decay},
    ]  # fmt: skip
    return {
        "name": name,
        "time_steps": time_steps,
        "input": {"shape": [input_size], **entry},
        "layers": layers,
        "output": {"readout": "membrane", "ties": "lowest_index", "each_step": True},
    }
