"""What the compiler makes of a network's float weights: its integers, and which float weight each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from torch import Tensor

from snncc.errors import UnsupportedError
from snncc.frontends.description import graph_of
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Conv1d, Conv2d, Dense, MaxPool2d, Neuron
from snncc.ir.shapes import infer_shapes
from snncc.models.networks import Description
from snncc.pipeline import EXPONENTS, LEARNED, SYNAPSES, Context, Learned, run_pipeline
from snncc.registry import get_target
from snncc.target import CompileOptions

Array = np.ndarray
TARGET = "fixed-sim"
"""Whose pipeline decides: the target that takes every network."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """What the passes make of a layer's weights and bias.

    Attributes:
        neuron: the population that the layer feeds.
        index: of each deployed weight, the layer's weight (flat) that it is a multiple of, or −1 where it is 0.
        factor: of each of the layer's weights: what it is multiplied by, such as 1/4 after average pooling.
        bias: what arrives at the neuron for a bias of 1, shaped to broadcast over its population.
    """

    neuron: str
    index: Array
    factor: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class Integers:
    """A network as :data:`TARGET` deploys it.

    Attributes:
        graph: after quantisation; all numbers are whole.
        units: neuron to real membrane per unit of weight, () or one a channel, shaped to broadcast over the population.
        exponents: of layers whose weights are multiples of a power of two (:mod:`snncc.passes.exponents`).
        added: neuron to what learned rounding added to its constant, in guarded units, (C, 1, …).
    """

    graph: Graph
    units: Mapping[str, Array]
    exponents: Mapping[str, int]
    added: Mapping[str, Array]

    def weights(self, name: str, mapped: Mapped) -> Array:
        """The integers of layer ``name``, in the shape of its weights; the mean where one weight has several."""
        node = self.graph.nodes[name]
        assert isinstance(node, SYNAPSES)
        used = mapped.index >= 0
        of = mapped.index[used]
        found = np.bincount(of, node.weight[used], mapped.factor.size) / np.maximum(
            np.bincount(of, minlength=mapped.factor.size), 1
        )
        return found.reshape(mapped.factor.shape)

    def unit(self, mapped: Mapped) -> Array:
        """Real membrane per unit of weight, () or shaped to broadcast over the layer's weights."""
        unit = self.units[mapped.neuron]
        return unit.reshape(-1, *(1,) * (mapped.factor.ndim - 1)) if unit.ndim else unit

    def guard(self, neuron: str) -> float:
        """Guarded units in a unit."""
        return float(_dynamics(self.graph, neuron).input_gain)


def integers_of(
    description: Description, arrays: Mapping[str, Array], bits: int, calibration: Array | None = None
) -> Integers:
    """Compile, with rounding learned on integer inputs ``calibration`` if there are some, else to nearest; raises
    :class:`snncc.errors.SnnccError` as compiling does."""
    context = Context()
    rounding = "nearest" if calibration is None else "learned"
    options = CompileOptions(bits=bits, calibration=calibration, rounding=rounding)
    passes = get_target(TARGET).pipeline(options)
    graph = run_pipeline(graph_of(description, arrays, {}), passes, context)
    shapes = infer_shapes(graph)
    units = {
        name: unit.reshape(-1, *(1,) * (len(shapes[name]) - 1)) if unit.size > 1 else unit.reshape(())
        for name, unit in context.facts["units"].items()
    }
    learned: Learned | None = context.facts.get(LEARNED)
    return Integers(graph, units, context.facts[EXPONENTS], learned.added if learned else {})


def arrays_of(state: Mapping[str, Tensor]) -> dict[str, Array]:
    """The tensors as NumPy arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}


def offset(dynamics: Dynamics) -> Array:
    """The constant that biases of layers join."""
    return np.asarray(dynamics.bias if dynamics.current_decay is None else dynamics.current_bias)


def maps(description: Description, arrays: Mapping[str, Array]) -> tuple[dict[str, Mapped], dict[str, Array]]:
    """(layer to what the passes make of it, neuron to the constant that is in its :func:`offset` without any layer's bias),
    found by running the passes on other weights. Raises :class:`UnsupportedError` naming the layer where a deployed weight is
    not one weight times a constant, and what has deployed weights but none to train (see
    :func:`snncc.models.folding.weights_alone`)."""
    weights = {name.rpartition(".")[0]: a for name, a in arrays.items() if name.endswith(".weight")}
    silent = {name: np.zeros(a.shape) for name, a in arrays.items()}
    ones = silent | {f"{name}.weight": np.ones(a.shape) for name, a in weights.items()}
    numbered = silent | {f"{n}.weight": np.arange(1.0, a.size + 1).reshape(a.shape) for n, a in weights.items()}
    factors, products = _merged(description, ones), _merged(description, numbered)
    found: dict[str, Mapped] = {}
    own = {name: offset(_dynamics(factors, name)) for name in factors.of_type(Neuron)}
    for name in factors.of_type(*SYNAPSES):
        if name not in weights:
            raise UnsupportedError(
                f"{name}: has fixed weights of its own between neurons, which training with integers does not hold; put a "
                "layer with weights there"
            )
        gained, product = factors.nodes[name], products.nodes[name]
        neuron = _target(factors, name)
        arriving = np.zeros(())
        if f"{name}.bias" in arrays:
            biased = _merged(description, ones | {f"{name}.bias": np.ones(len(weights[name]))})
            arriving = offset(_dynamics(biased, neuron)) - own[neuron]
        index, factor = _multiples(name, gained, product, weights[name].shape)
        found[name] = Mapped(neuron, index, factor, arriving)
    return found, own


def _multiples(name: str, gained: object, product: object, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """(index, factor) of a layer from the deployed weights for weights of 1 and for weights numbered from 1."""
    kinds = (Dense, Conv1d, Conv2d)
    factor = np.zeros(int(np.prod(shape)))
    if isinstance(gained, kinds) and isinstance(product, kinds) and gained.weight.shape == product.weight.shape:
        used = gained.weight != 0
        index = np.where(used, np.rint(product.weight / np.where(used, gained.weight, 1)).astype(np.int64) - 1, -1)
        if index.max() < factor.size:
            factor[index[used]] = gained.weight[used]
            again = factor[index] * (index + 1)
            if factor.all() and np.allclose(product.weight[used], again[used], rtol=1e-9, atol=0):
                return index, factor.reshape(shape)
    raise UnsupportedError(
        f"{name}: its deployed weights are not single weights times a constant, which training with integers does not hold; "
        "leave only pooling, gains and max pooling between it and the neurons around it"
    )


def _merged(description: Description, arrays: Mapping[str, Array]) -> Graph:
    """The network after the passes in front of quantisation."""
    passes = get_target(TARGET).pipeline(CompileOptions())
    ahead = list(takewhile(lambda one: one.name != "quantise", passes))
    return run_pipeline(graph_of(description, arrays, {}), ahead, Context())


def _dynamics(graph: Graph, name: str) -> Dynamics:
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    return node.dynamics


def _target(graph: Graph, synapse: str) -> str:
    """The population a synapse leads to."""
    name = graph.outgoing(synapse)[0].target
    return graph.outgoing(name)[0].target if isinstance(graph.nodes[name], MaxPool2d) else name
