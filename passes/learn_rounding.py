"""Round weights and biases anew, so that on calibration data each layer's membranes stay what they were.

The networks before and after quantisation run on the data side by side, layer by layer. Each layer of the quantised one gets the
scale and the whole numbers that keep the error of its membranes small for the spikes that really arrive, those of the layers
rounded before it; then its biases take up what its mean current still lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Neuron, Node
from snncc.ir.shapes import infer_shapes
from snncc.passes.balance import mean_back, rates_back
from snncc.passes.forward import Known, groups, paths_into, simulate_in_parts, source_values
from snncc.passes.moments import Gathered, Weighted, lacking, moments
from snncc.passes.quantise import QUANTISED, UNITS, Quantised
from snncc.passes.quantise_dynamics import quantise_dynamics
from snncc.passes.rounding import Moments, learn, nearest, objective, pass_errors_on
from snncc.passes.scales import ScaleChoice, candidates
from snncc.pipeline import LEARNED, Context, Learned, PassResult, synapses_of

Array = np.ndarray
SEARCHED = 15
"""Largest weight up to which scales are searched again; with more levels they hardly matter."""
FINALISTS = 3
"""Scales, of a channel, for which weights are rounded together; those with the least error of nearest rounding."""
LARGEST_SUM = 8192
"""Weights of an output's sum; the second moments of more would take gigabytes."""
RIDGE = 1.0
"""Of the mean second moment, in the least squares that make up for lost spikes, so that few samples are not taken at their word.
Tried at 2 bits on training images of Fashion-MNIST that were not learned from: of the answers that change, a quarter less do in
three networks with 0.5, 1 or 2, and fewest with 1."""


@dataclass(frozen=True)
class LearnRounding:
    """Rules, neuron by neuron, in the order in which they feed each other:

    1. Synapses (dense, convolution): what the arriving spikes have lost in the layers before is made up for, as far as weights can:
       w moves to where what gathers on the membrane comes closest to the trained network's (:func:`_recalled`;
       least squares, each synapse by itself, after Li et al. 2025, "GPTAQ").
    2. Each weight is rounded up or down, or clipped, so that ``E[((ŵ − w)·s)²]`` is small (:mod:`snncc.passes.rounding`); s is
       what has gathered of the quantised network's spikes on the membrane.
    3. Up to 5 bits: of the scales that :class:`Quantise` chooses from, the one with the least error after that is taken.
    4. Biases, of all neurons: the mean current that a channel lacks on the data is added, in whole guarded units, then what its
       spikes still lack (:mod:`snncc.passes.balance`).
    5. In a loop the trained network's spikes stand for those that come back, and no spikes are counted.

    Untouched: weights that a right shift follows, sparse maps, sums too long for it (they stay as they are, with a remark);
    networks that come as whole numbers; wiring, resets, leaks. Without inputs it does nothing.
    """

    inputs: Array | None = field(default=None, repr=False)
    name: ClassVar[str] = "learn-rounding"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Round anew what :class:`Quantise` has rounded."""
        made: Quantised | None = context.facts.get(QUANTISED)
        if self.inputs is None or made is None or not made.chosen:
            return PassResult(graph, False)
        before, units = made.graph, dict(context.facts[UNITS])
        values = source_values(before, self.inputs)
        trained: dict[str, Array] = {before.input: values}
        deployed: dict[str, Array] = {before.input: values}
        added: dict[str, Array] = {}
        meant: dict[str, Node] = {}
        order, rounded = groups(before), 0
        for i, group in enumerate(order):
            trained |= simulate_in_parts(before, group, trained)
            loop = any(p.source in group for n in group for p in paths_into(before, n))
            arriving = {**(trained if loop else {}), **deployed}
            for name in (n for n in group if n in made.chosen):
                why = _kept(before, made, name)
                if not why:
                    layer = _layer_of(made, name, trained, arriving)
                    nodes, unit = _round_layer(made, layer, units[name], name)
                    why = _too_much(made, name, unit, nodes)
                if why:
                    context.remarks.append(f"{name}: weights rounded to nearest: {why}")
                else:
                    graph, units[name], rounded = graph.with_nodes(nodes), unit, rounded + 1
                    meant |= layer.synapses
                graph, added[name] = mean_back(before, graph, name, trained, arriving, units[name])
            deployed |= simulate_in_parts(graph, group, deployed)
            if not loop and group[0] in added:
                graph, more, deployed[group[0]] = rates_back(graph, group[0], trained[group[0]], deployed)
                added[group[0]] = added[group[0]] + more
            for known in (trained, deployed):
                _forget(before, known, order[i + 1 :])
        context.facts[UNITS] = units
        context.facts[LEARNED] = Learned(before.with_nodes(meant), added)
        samples = values.shape[1]
        return PassResult(
            graph, True, f"weights of {rounded} layers rounded for the spikes of {samples} samples; biases"
        )


def learned_passes(rounding: str, inputs: Array | None) -> tuple[LearnRounding, ...]:
    """What comes behind quantisation for a ``rounding``. Raises :class:`InputError` where it is unknown or lacks data."""
    if rounding not in ("nearest", "learned"):
        raise InputError(f"rounding is {rounding!r}; it must be nearest or learned")
    if rounding == "nearest":
        return ()
    if inputs is None:
        raise InputError("learned rounding has no data to learn from; name training data: --calibrate mnist:train")
    return (LearnRounding(inputs),)


@dataclass(frozen=True, eq=False)
class _Layer:
    """What the choice of a neuron's whole numbers needs: its synapses with the moments of their inputs, one a group."""

    synapses: Mapping[str, Weighted]
    seen: Mapping[str, list[Moments]]
    rules: ScaleChoice.Rules

    @property
    def limit(self) -> int:
        """Largest weight over its synapse's power of two."""
        return self.rules.largest_weight

    def rows(self, name: str, unit: Array) -> list[tuple[Array, Moments]]:
        """Weights (R, K), in units over the synapse's power of two, with the moments, a group each."""
        node, seen = self.synapses[name], self.seen[name]
        one = unit * self.rules.factor(name)
        flat = node.weight.reshape(len(node.weight), -1) / (one if one.size == 1 else one[:, None])
        return list(zip(np.split(flat, len(seen)), seen, strict=True))

    def error(self, unit: Array, together: bool) -> Array:
        """Squared error of the membrane, (1,) or (C,) like ``unit``: with weights rounded one by one, or ``together``."""
        total = np.zeros(1)
        for name in self.synapses:
            parts = []
            for weight, seen in self.rows(name, unit):
                found = objective(weight, nearest(weight, self.limit), seen)
                if together:
                    found = np.minimum(found, objective(weight, pass_errors_on(weight, seen, self.limit), seen))
                parts.append(found)
            total = total + np.concatenate(parts) * self.rules.factor(name) ** 2
        return (total.sum(keepdims=True) if unit.size == 1 else total) * unit**2

    def rounded(self, unit: Array) -> dict[str, Node]:
        """The synapses in whole numbers."""
        made: dict[str, Node] = {}
        for name, node in self.synapses.items():
            rows = [learn(weight, seen, self.limit) for weight, seen in self.rows(name, unit)]
            whole = np.concatenate(rows) * self.rules.factor(name)
            made[name] = replace(node, weight=whole.reshape(node.weight.shape))
        return made


def _layer_of(made: Quantised, name: str, trained: Known, arriving: Known) -> _Layer:
    """The synapses of neuron ``name`` as they are to be rounded, and what they sum of the spikes ``arriving``."""
    neuron = made.graph.nodes[name]
    assert isinstance(neuron, Neuron)
    synapses: dict[str, Weighted] = dict(synapses_of(made.graph, name))  # type: ignore[arg-type]
    seen = {}
    for path in paths_into(made.graph, name):
        node, known, wanted = synapses[path.synapse], arriving[path.source], trained[path.source]
        gathered = Gathered(known, neuron.dynamics)
        seen[path.synapse] = [Moments(m) for m in moments(node, gathered)]
        if known is not wanted:
            lack = lacking(node, gathered, Gathered(wanted, neuron.dynamics))
            synapses[path.synapse] = _recalled(node, seen[path.synapse], lack)
    return _Layer(synapses, seen, made.chosen[name][0])


def _recalled(node: Weighted, seen: list[Moments], lack: list[Array]) -> Weighted:
    """``node`` with weights w + d, where d brings most, from the inputs ``seen``, of what w would bring from what they ``lack``:
    d = w·E[l·sᵀ]·(E[s·sᵀ] + λ)⁻¹ with the λ of :data:`RIDGE`. Weights of 0 stay: where there is no synapse none is made."""
    from scipy.linalg import solve

    made = []
    for w, s, cross in zip(np.split(node.weight.reshape(len(node.weight), -1), len(seen)), seen, lack, strict=True):
        held = s.matrix + np.eye(len(s.matrix)) * RIDGE * np.mean(np.diag(s.matrix))
        made.append(w + np.where(w == 0, 0.0, solve(held, cross @ w.T, assume_a="pos").T))
    return replace(node, weight=np.concatenate(made).reshape(node.weight.shape))


def _round_layer(made: Quantised, layer: _Layer, unit: Array, name: str) -> tuple[dict[str, Node], Array]:
    """(the neuron ``name`` and its synapses in whole numbers, their unit); ``unit`` is the one that they have."""
    before = made.graph
    neuron, shape = before.nodes[name], infer_shapes(before)[name]
    assert isinstance(neuron, Neuron)
    best = _best_unit(layer, np.atleast_1d(unit), neuron, shape)
    dynamics = quantise_dynamics(name, neuron.dynamics, best, made.by.guard_bits, shape)
    return layer.rounded(best) | {name: Neuron(dynamics)}, best


def _best_unit(layer: _Layer, unit: Array, neuron: Neuron, shape: tuple[int, ...]) -> Array:
    """The unit, (1,) or (C,), with the least error; ``unit`` is where the search starts."""
    if layer.limit > SEARCHED:
        return unit
    wanted = candidates(neuron.dynamics, layer.synapses, shape, layer.rules)
    options = np.stack([unit, *(np.broadcast_to(u, unit.shape) for u in wanted)])  # (options, 1 or C)
    order = np.argsort([layer.error(u, together=False) for u in options], axis=0, kind="stable")
    finalists = np.take_along_axis(options, order[:FINALISTS], axis=0)
    best, least = unit, layer.error(unit, together=True)
    for one in finalists:
        error = layer.error(one, together=True)
        best, least = np.where(error < least, one, best), np.minimum(error, least)
    return best


def _kept(before: Graph, made: Quantised, name: str) -> str:
    """Why a neuron's weights stay rounded to nearest; "" where they need not."""
    for synapse, node in synapses_of(before, name).items():
        if not isinstance(node, Dense | Conv1d | Conv2d):
            return f"{synapse} is a sparse map"
        if node.weight[0].size > LARGEST_SUM:
            return f"{synapse} sums {node.weight[0].size:,} inputs, limit {LARGEST_SUM:,}"
    shift = made.chosen[name][1]
    return f"a right shift by {shift} bits follows" if shift else ""


def _too_much(made: Quantised, name: str, unit: Array, nodes: Mapping[str, Node]) -> str:
    """Whether the worst case of the current leaves its bits."""
    if made.by.current_bits is None:
        return ""
    neuron = made.graph.nodes[name]
    assert isinstance(neuron, Neuron)
    synapses = {n: node for n, node in nodes.items() if n != name}
    worst = made.by.worst_current(made.graph, neuron.dynamics, unit, synapses, infer_shapes(made.graph))
    room = 2.0 ** (made.by.current_bits - 1)
    return "" if worst < room else f"their sums could reach {worst:,.0f} units, limit {room - 1:,.0f}"


def _forget(graph: Graph, known: dict[str, Array], later: list[list[str]]) -> None:
    """Drop the spikes that no later group hears."""
    heard = {p.source for group in later for n in group for p in paths_into(graph, n)}
    for name in set(known) - heard:
        del known[name]
