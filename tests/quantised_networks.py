"""Networks that are fine-tuned on integers, and what their evaluation has to be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from snncc.compiler import Compilation, compile_graph
from snncc.frontends.description import graph_of
from snncc.memory import shared_exponent
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.quantised import QuantisedNetwork
from snncc.models.recurrent import recurrent
from snncc.models.residual import residual
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions

LIF = {"threshold": 0.8, "membrane_decay": 0.45, "reset": "to_value", "reset_value": 0.1, "compare": ">"}
BURST = {"threshold": 0.5, "membrane_decay": 0.3, "levels": 4, "spike_value": 0.5, "decay_timing": "after"}
SYNAPTIC = {
    "threshold": 0.6,
    "membrane_decay": 0.7,
    "current_decay": 0.35,
    "reset_timing": "next_step",
    "input_gain": 0.5,
}
CHANNELS = {"threshold": 1.0, "bias": 0.01, "v_init": 0.2, "v_min": -0.5, "signed": True, "levels": 2}


def network(neuron: dict[str, Any], seed: int = 0, layers: str = "4C3-P2-6C3-12-5", **options: Any) -> SpikingNetwork:
    """A float network with random batch norm."""
    torch.manual_seed(seed)
    made = SpikingNetwork(convolutional("small", layers, 4, neuron, (2, 11, 11), **options))
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.05, 0.5)
            elif tensor.dtype.is_floating_point:
                tensor.add_(torch.randn(tensor.shape) * 0.1)
    return made


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 11, 11))


def compiled(net: SpikingNetwork, bits: int) -> Compilation:
    description, state = net.deployed()
    graph = graph_of(description, {name: t.numpy() for name, t in state.items()}, {})
    return compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=bits))


def assert_deployed(net: QuantisedNetwork, bits: int, x: np.ndarray) -> None:
    """Evaluation in float64 is the Program: its weights, spikes, membranes and answers."""
    made = compiled(net, bits)
    weights = {p.name: p.weight for p in made.program.projections}
    for name, mapped in net.maps.items():
        whole = net.integer_weight(name).numpy()
        used = mapped.index >= 0
        np.testing.assert_array_equal(weights[name][used], whole.reshape(-1)[mapped.index[used]])
        assert not weights[name][~used].any()
        assert np.abs(whole).max() / 2 ** shared_exponent(whole) <= 2 ** (bits - 1) - 1
    found = run_reference(made.program, x)
    with torch.no_grad():
        values = net.record(torch.from_numpy(x))
        scores = net(torch.from_numpy(x))
    assert any(spikes.any() for spikes in found.spikes.values())
    for population in made.program.populations:
        expected = found.spikes if population.fires else found.membranes
        np.testing.assert_array_equal(values[population.name].numpy(), expected[population.name])
    np.testing.assert_array_equal(scores.argmax(-1).numpy(), found.predictions)


def residual_network(kind: str = "if", seed: int = 0) -> SpikingNetwork:
    """Of DSR: pooled currents, shortcuts with and without weights, pooled spikes that enter neurons."""
    torch.manual_seed(seed)
    neuron = {"threshold": 0.5, "reset_amount": 1.0, "spike_value": 1.0}
    if kind == "lif":
        neuron = {"threshold": 0.05, "reset_amount": 0.1, "spike_value": 1.0}
        neuron |= {"membrane_decay": math.exp(-0.1), "input_gain": 1 - math.exp(-0.1)}
    surrogate = {"method": "dsr", "least": 0.0005}
    net = SpikingNetwork(
        residual("small", 4, neuron, (4, 6), (2, 1), (2, 16, 16), 5, 2, readout="membrane", surrogate=surrogate)
    )
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.05, 0.3)
            elif name.startswith("bn") and name.endswith("bias"):
                tensor.uniform_(0, 1)
    return net


def recurrent_network(seed: int = 0) -> SpikingNetwork:
    """Of two layers with loops, fed by spikes."""
    torch.manual_seed(seed)
    neuron = {"threshold": 0.7, "compare": ">", "reset": "subtract"}
    entry = {"encoding": "spikes", "scale": 1.0, "low": -1, "high": 1}
    return SpikingNetwork(recurrent("loops", 5, [7, 6], 4, 9, neuron, entry, 0.9, (2.0, 20.0)))


def spikes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, (9, count, 5))
