"""Turn weights, thresholds, biases, initial states and leaks into whole numbers.

The quantised Graph is still a Graph, and still runs in the float interpreter: its weights and constants merely are whole
numbers. Weights and membrane share one scale s (one real unit of the membrane is 1/s), so that no multiplier remains
(the observation of MINT, Yin et al. 2023). Membranes carry ``guard_bits`` fraction bits, as an input gain of
``2**guard_bits``: one *guarded unit* is ``s / 2**guard_bits``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Input, MaxPool2d, Neuron, Node, Output, Scale, Sparse
from snncc.ir.shapes import Shape, infer_shapes
from snncc.layer_bits import bits_by_neuron
from snncc.passes.exponents import choose_scale
from snncc.passes.own_units import check_whole, own_units, taken_over
from snncc.passes.quantise_dynamics import quantise_dynamics
from snncc.passes.scales import ScaleChoice, quantise_weight
from snncc.pipeline import EXPONENTS, SYNAPSES, Context, PassResult, readout_neuron, synapses_of, unused_name

Array = np.ndarray
UNITS, BITS, QUANTISED = "units", "bits", "quantised"
"""Facts: what one unit of each neuron's weights is worth, how many bits they have, and a :class:`Quantised`."""
MAX_SHIFT = 24


@dataclass(frozen=True, eq=False)
class Quantised:
    """What :class:`Quantise` leaves as a fact for passes that round anew.

    Attributes:
        graph: the network before. chosen: neuron to the rules of its scale and to its right shift. by: the pass.
    """

    graph: Graph
    chosen: Mapping[str, tuple[ScaleChoice.Rules, int]]
    by: Quantise


@dataclass(frozen=True)
class Quantise:
    """Rules, neuron by neuron:

    1. One scale for all synapses into a neuron, per output channel (``per_channel``) or per layer; always per layer where
       the readout compares membranes or currents. ``|w| <= 2**(bits-1) − 1``.
    2. Subtract reset: s is snapped so that ``reset_amount`` is a whole, even multiple of ``threshold_step`` guarded units;
       otherwise so that the threshold is. Where a channel holds several values, or weights are too large beside the
       threshold to snap, the threshold folds: ``v >= θ`` to ``ceil(θ/s)``, ``v > θ`` to ``floor(θ/s)``, which is exact
       for a reset to a value.
    3. Biases, initial states, reset values and clamps are rounded to guarded units; decays to 12 bits.
    4. Where the worst case of a step's current leaves ``current_bits`` bits, all synapses into the neuron are shifted
       right after their sum (``Scale(2**-k)`` behind them); a static input's shift gets half a unit of bias back.
    5. Among scales near the largest weight's, the one with the least squared error of the current is taken, weighted with
       the measured power of each input where the calibration ran.

    6. Where several synapses lead to a neuron, each may have a power of two of its own: its weights are ``2**k`` times whole
       numbers of ``bits`` bits (:mod:`snncc.passes.exponents`).
    7. ``layer_bits`` gives some neurons' synapses other ``bits``, by name of the neuron or of a synapse into it.

    Untouched: the wiring, the order of events, everything that is no number.
    """

    bits: int = 8
    guard_bits: int = 6
    per_channel: bool = True
    threshold_step: int = 2
    threshold_limit: int = 2**40
    current_bits: int | None = None
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    name: ClassVar[str] = "quantise"
    requires: ClassVar[tuple[str, ...]] = ("single-synapses", "no-synapse-bias", "unit-spikes", "neuron-readout")
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Quantise every neuron with its synapses."""
        bits = bits_by_neuron(graph, self.bits, self.layer_bits)
        shapes = infer_shapes(graph)
        calibration = context.facts.get("calibration")
        nodes: dict[str, Node] = dict(graph.nodes)
        edges = list(graph.edges)
        units: dict[str, Array] = {}
        chosen: dict[str, tuple[ScaleChoice.Rules, int]] = {}
        own = own_units(graph)
        for name in graph.of_type(Neuron):
            neuron = graph.nodes[name]
            assert isinstance(neuron, Neuron)
            synapses = synapses_of(graph, name)
            if name in own:
                units[name] = np.asarray([own[name]])
                check_whole(name, neuron.dynamics, own[name], self.guard_bits)
                dynamics = quantise_dynamics(name, neuron.dynamics, units[name], self.guard_bits, shapes[name])
                nodes |= taken_over(name, synapses, own[name]) | {name: Neuron(dynamics)}
                continue
            power = {n: calibration.power.get(n) for n in synapses} if calibration else {}
            shared = not self.per_channel or self._read_as_number(graph, name)
            shift = 0
            while True:
                rules = self._rules(bits[name], shift, shared)
                choice = choose_scale(neuron.dynamics, synapses, shapes[name], rules, power)
                whole_synapses = {
                    n: quantise_weight(s, choice, shapes[name], choice.rules.factor(n))  # type: ignore[arg-type]
                    for n, s in synapses.items()
                }
                worst = self.worst_current(graph, neuron.dynamics, choice.unit, whole_synapses, shapes)
                excess = 0 if self.current_bits is None else _excess(worst, self.current_bits)
                if excess <= shift:
                    break
                shift = excess
            if shift > MAX_SHIFT:
                raise UnsupportedError(f"{name}: its input current can reach {worst:.3g} units, beyond any shift")
            chosen[name] = choice.rules, shift
            nodes.update(whole_synapses)
            unit = choice.unit * 2.0**shift
            units[name] = np.asarray(unit)
            dynamics = quantise_dynamics(name, neuron.dynamics, unit, self.guard_bits, shapes[name])
            if shift:
                dynamics = _with_loss(dynamics, self._floor_loss(graph, synapses, shift))
                edges = _shifted(nodes, edges, name, shift)
                context.remarks.append(f"{name}: sums can reach {worst:,.0f} units; shifted right by {shift} bits")
            nodes[name] = Neuron(dynamics)
        context.facts[UNITS] = units
        context.facts[BITS] = bits
        exponents = {s: k for rules, _ in chosen.values() for s, k in rules.exponents.items()}
        context.facts[EXPONENTS] = exponents
        context.facts[QUANTISED] = Quantised(graph, chosen, self)
        if trained := _other_bits(graph, self.bits):
            context.remarks.append(f"was trained with weights of {trained} bits; --bits {trained} keeps those integers")
        made = build_graph(nodes, edges, graph.time_steps, graph.name, graph.origin)
        return PassResult(made, True, self._summary(graph, bits, exponents, len(own) == len(units)))

    def _rules(self, bits: int, shift: int, shared: bool) -> ScaleChoice.Rules:
        return ScaleChoice.Rules(
            largest_weight=2 ** (bits - 1) - 1,
            guard_bits=self.guard_bits,
            step=self.threshold_step << shift,
            limit=self.threshold_limit << shift,
            shared=shared,
        )

    @staticmethod
    def _read_as_number(graph: Graph, name: str) -> bool:
        """Whether the readout compares this neuron's membranes or currents across its channels."""
        output = graph.nodes[graph.output]
        assert isinstance(output, Output)
        return readout_neuron(graph) == name and output.readout in ("membrane", "summed_current")

    @staticmethod
    def worst_current(
        graph: Graph, dynamics: Dynamics, unit: Array, synapses: Mapping[str, Node], shapes: Mapping[str, Shape]
    ) -> float:
        """Largest magnitude of the current state, in units, over all inputs and steps."""
        low: Any = 0.0
        high: Any = 0.0
        for name, node in synapses.items():
            least, most = _range_of(graph.nodes[_source(graph, name)])
            given = (1, *shapes[graph.incoming(name)[0].source])
            down = apply_node(_positive(node), np.full(given, least)) + apply_node(
                _negative(node), np.full(given, most)
            )
            up = apply_node(_positive(node), np.full(given, most)) + apply_node(_negative(node), np.full(given, least))
            after = graph.nodes[graph.outgoing(name)[0].target]
            pooled = isinstance(after, MaxPool2d)
            low = low + (apply_node(after, down) if pooled else down)
            high = high + (apply_node(after, up) if pooled else up)
        worst = max(float(np.max(np.abs(low))), float(np.max(np.abs(high))))
        worst += float(np.max(np.abs(dynamics.current_bias)) / np.min(unit))
        if dynamics.current_decay is None:
            return worst
        keep = float(np.max(dynamics.current_decay))
        return worst * sum(keep**t for t in range(graph.time_steps))

    def _floor_loss(self, graph: Graph, synapses: Mapping[str, Node], shift: int) -> float:
        """Half a unit in guarded units for every synapse from a static input: what floor takes off on average."""
        static = sum(_is_static(graph.nodes[_source(graph, n)]) for n in synapses)
        return float(np.floor(static * 2**self.guard_bits * (2**shift - 1) / 2 ** (shift + 1)))

    def _summary(self, graph: Graph, bits: Mapping[str, int], exponents: Mapping[str, int], taken: bool) -> str:
        if taken:
            return f"weights, thresholds and leaks as the file has them; {self.guard_bits} guard bits"
        leaks = any(
            np.any(np.asarray(graph.nodes[n].dynamics.membrane_decay) % 1)  # type: ignore[union-attr]
            for n in graph.of_type(Neuron)
        )
        scale = "per channel" if self.per_channel else "per layer"
        leak = "; 12-bit leak" if leaks else ""
        others = ", ".join(f"{name} {n}" for name, n in bits.items() if n != self.bits)
        weights = f"{self.bits}-bit weights" + (f" ({others})" if others else "")
        steps = ", ".join(f"{name} {2**k}" for name, k in exponents.items() if k)
        scale += f", in steps: {steps}" if steps else ""
        return f"{weights}, {scale}{leak}; {self.guard_bits} guard bits; thresholds exact"


def _other_bits(graph: Graph, bits: int) -> int:
    """The bits that the network was fine-tuned for, where they are others; else 0."""
    record: Any = graph.origin
    for key in ("training", "options", "bits"):
        record = record.get(key) if isinstance(record, Mapping) else None
    return record if isinstance(record, int) and 2 <= record <= 16 and record != bits else 0


def _with_loss(d: Dynamics, loss: float) -> Dynamics:
    """``loss`` guarded units put back where they were lost: into the current where it is a state."""
    if d.current_decay is None:
        return d.with_(bias=d.bias + loss)
    return d.with_(current_bias=d.current_bias + loss / np.asarray(d.input_gain))


def _excess(worst: float, bits: int) -> int:
    """How many right shifts bring ``worst`` below ``2**(bits-1)``."""
    shift = 0
    while worst / 2.0**shift >= 2.0 ** (bits - 1):
        shift += 1
    return shift


def _shifted(nodes: dict[str, Node], edges: list[Edge], target: str, shift: int) -> list[Edge]:
    made = []
    for edge in edges:
        if edge.target == target:
            name = unused_name(f"{edge.source}.shift", nodes)
            nodes[name] = Scale(2.0**-shift)
            made += [Edge(edge.source, name), Edge(name, target)]
        else:
            made.append(edge)
    return made


def _source(graph: Graph, synapse: str) -> str:
    """The population a synapse comes from."""
    name = graph.incoming(synapse)[0].source
    return name if isinstance(graph.nodes[name], Input | Neuron) else graph.incoming(name)[0].source


def _is_static(node: Node) -> bool:
    return isinstance(node, Input) and node.encoding == "static"


def _range_of(node: Node) -> tuple[float, float]:
    """Lowest and highest value a population puts out in a step; 0 is always possible."""
    if isinstance(node, Input):
        return float(min(node.low, 0)), float(max(node.high, 0))
    assert isinstance(node, Neuron)
    return (-float(node.dynamics.levels) if node.dynamics.signed else 0.0), float(node.dynamics.levels)


def _positive(node: Node) -> Node:
    assert isinstance(node, SYNAPSES)
    return replace(node, weight=np.maximum(node.weight, 0))


def _negative(node: Node) -> Node:
    assert isinstance(node, Dense | Conv1d | Conv2d | Sparse)
    return replace(node, weight=np.minimum(node.weight, 0))
