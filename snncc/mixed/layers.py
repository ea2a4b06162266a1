"""Every layer at every width: the integers are found once a width, and networks of mixed widths put together from them.

A pass that quantises each neuron with its synapses by itself makes the same of a layer whatever the others have, so a mixed
network is made of parts of uniform ones (a test holds that). What is deployed is compiled as a whole all the same, and judged so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snncc.compiler import arithmetic_of
from snncc.errors import UnsupportedError
from snncc.ir.graph import Graph
from snncc.layer_bits import of_neurons
from snncc.memory import BYTE, state_bits, weight_bits
from snncc.mixed.front import Choice
from snncc.mixed.samples import Samples, record
from snncc.pipeline import Context, run_pipeline
from snncc.program.bounds import prove_bounds
from snncc.program.lower import lower
from snncc.program.program import Population, Program, Projection
from snncc.program.reference import IntegerRecording
from snncc.target import CompileOptions, Target

Array = np.ndarray
QUANTISE = "quantise"
"""Name of the pass ahead of which nothing depends on bits."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A population and the projections into it; ``memory``: bytes of their weights and states."""

    population: Population
    projections: tuple[Projection, ...]
    memory: float


@dataclass(frozen=True, eq=False)
class Widths:
    """A network's layers at several widths.

    Attributes:
        base: the network with the first width everywhere.
        layers: name to width to the layer, the first width first; a width that the layer cannot have is not there.
    """

    base: Program
    layers: Mapping[str, Mapping[int, Layer]]

    def program(self, bits: Mapping[str, int]) -> Program:
        """The network in which some layers have these widths, the others the first."""
        chosen = {name: self.layers[name][n] for name, n in bits.items()}
        populations = tuple(chosen[p.name].population if p.name in chosen else p for p in self.base.populations)
        projections: list[Projection] = []
        for p in self.base.populations:
            projections += chosen[p.name].projections if p.name in chosen else self.base.incoming(p.name)
        return replace(self.base, populations=populations, projections=tuple(projections))


class Quantiser:
    """The target's pipeline on a network: what stands ahead of quantisation is run once.

    Attributes:
        options: those given, with layers named by their neurons.
    """

    def __init__(self, graph: Graph, target: Target, options: CompileOptions) -> None:
        self.graph, self.target = graph, target
        self._context = Context()
        self._ahead = run_pipeline(graph, self._passes(options)[0], self._context)
        self.options = replace(options, layer_bits=of_neurons(self._ahead, options.layer_bits))

    def _passes(self, options: CompileOptions) -> tuple[list, list]:
        passes = list(self.target.pipeline(options))
        at = next((i for i, one in enumerate(passes) if one.name == QUANTISE), 0)
        return passes[:at], passes[at:]

    def program(self, options: CompileOptions) -> Program:
        """With other bits. Raises :class:`UnsupportedError` where they do not do."""
        context = Context(dict(self._context.facts))
        made = run_pipeline(self._ahead, self._passes(options)[1], context)
        return lower(made, arithmetic_of(self.graph, self.target), context.facts.get("units"))


def all_widths(
    quantiser: Quantiser,
    widths: Sequence[int],
    fixed: Mapping[str, int],
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Widths:
    """Every layer with weights at every one of ``widths``, the first of which all can have; but ``fixed`` ones, which stay as they
    are."""
    options = replace(quantiser.options, bits=widths[0], layer_bits=fixed)
    base = quantiser.program(options)
    names = [p.name for p in base.populations if p.name not in fixed and base.incoming(p.name)]
    layers: dict[str, dict[int, Layer]] = {name: {} for name in names}
    for i, bits in enumerate(widths):
        try:
            whole = (
                base
                if i == 0
                else quantiser.program(replace(options, layer_bits={**fixed, **dict.fromkeys(names, bits)}))
            )
            for name, layer in _layers(whole).items():
                if name in layers:
                    layers[name][bits] = layer
        except UnsupportedError:  # of some layer: each by itself
            for name in names:
                try:
                    alone = quantiser.program(replace(options, layer_bits={**fixed, name: bits}))
                except UnsupportedError:
                    continue
                layers[name][bits] = _layers(alone)[name]
        done(i + 1, len(widths))
    return Widths(base, layers)


def _layers(program: Program) -> dict[str, Layer]:
    states, weights = state_bits(program, prove_bounds(program)), weight_bits(program)
    return {
        p.name: Layer(p, tuple(program.incoming(p.name)), (states[p.name] + weights[p.name]) / BYTE)
        for p in program.populations
        if p.name in weights
    }


def distance(scores: Array, others: Array) -> float:
    """How far two networks' scores (N, …, classes) point apart, on average: 1 − cosine of the angle between them, their means over
    the classes taken off. Neither an offset nor a unit of the scores matters, and small independent errors of several layers
    add up."""
    a, b = (
        x.reshape(-1, x.shape[-1]) - x.reshape(-1, x.shape[-1]).mean(axis=1, keepdims=True) for x in (scores, others)
    )
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.divide((a * b).sum(axis=1), sizes, out=np.zeros(len(a)), where=sizes > 0)
    same = (np.abs(a - b) <= 0).all(axis=1)
    return float(np.mean(1.0 - np.where(same, 1.0, cosine)))


def sensitivities(
    widths: Widths,
    engine: Target,
    samples: Samples,
    count: int,
    energy: Callable[[IntegerRecording, Program], float] | None,
    done: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[int, Choice]]:
    """Each layer at each width, all others at the first: cost (bytes, or what ``energy`` says, joules) and distortion of the scores
    of ``count`` samples."""
    run = record(widths.base, engine, samples, count)
    base, before = run.scores.astype(np.float64), 0.0 if energy is None else energy(run, widths.base)
    found: dict[str, dict[int, Choice]] = {}
    total, runs = sum(len(at) for at in widths.layers.values()), 0
    for name, at in widths.layers.items():
        found[name] = {}
        first = next(iter(at.values()))
        for bits, layer in at.items():
            cost, moved = layer.memory - first.memory, 0.0
            if layer is not first:
                program = widths.program({name: bits})
                run = record(program, engine, samples, count)
                moved = distance(base, run.scores.astype(np.float64))
                cost = cost if energy is None else energy(run, program) - before
            found[name][bits] = Choice(cost, moved)
            runs += 1
            done(runs, total)
    return found
