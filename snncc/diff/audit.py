"""Are the whole numbers of a quantised Graph those of the Graph before, rounded?

Quantisation changes spikes, and spikes alone do not tell ordinary rounding from a fault. Constants do: with the unit that the pass
names for each neuron, every weight must lie within half a unit of the trained one (or be clipped at the largest weight), a
threshold within one guarded unit (it is folded up or down), every other constant within half of one, a decay within half
a 4096th; all that is no number, and the wiring, must be as it was. What is not, is a fault, named with its value. The Graph
with those constants as rounding would have them (:attr:`Audit.repaired`) then shows what rounding alone does to the spikes.

After learned rounding a weight may lie up to one unit from the trained one, and a bias must be the trained one plus what the pass
says that it added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from snncc.diff.trace import over_shape
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph, readout_neuron
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Input, Neuron, Node, Output, Scale, Sparse
from snncc.ir.shapes import Shape, infer_shapes
from snncc.pipeline import Learned, synapses_of
from snncc.program.program import DECAY_ONE, Program

Array = np.ndarray
HALF, ONE = 0.5 + 1e-6, 1 + 1e-6
"""Half a unit and one, with room for quotients of rounded floats."""
SIGNED_CHOICES = ("compare", "levels", "signed", "reset", "reset_timing", "decay_timing", "reset_current",
                  "current_timing", "fires")  # fmt: skip
OUTPUT_CHOICES = ("readout", "ties", "time_weights", "each_step")
Synapse = Dense | Conv1d | Conv2d | Sparse


@dataclass(frozen=True)
class Offence:
    """A constant that rounding does not explain: which ``field`` of ``node``, at ``index``, in the layer ``layer``; ``found``
    is what stands there, ``expected`` what rounding makes of the trained value."""

    layer: str
    node: str
    field: str
    index: tuple[int, ...]
    found: str
    expected: str
    count: int = 1

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        return f"{self.field}{place} of {self.node} is {self.found}, not {self.expected}{more}"


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        offences: constants beyond rounding, in the order of the network.
        clipped: weights at the largest weight whose trained value is larger, by layer.
        repaired: the quantised Graph with every offending constant as rounding would have it; None where nothing offends.
    """

    offences: list[Offence]
    clipped: Mapping[str, int]
    repaired: Graph | None


class _Audit:
    """Collects what :func:`audit` finds."""

    def __init__(
        self,
        before: Graph,
        after: Graph,
        units: Mapping[str, Array],
        bits: int,
        layer_bits: Mapping[str, int],
        learned: Learned | None,
        exponents: Mapping[str, int],
        rewrites: Collection[str],
    ) -> None:
        self.rewrites = rewrites
        self.before, self.after, self.units = before, after, units
        self.bits, self.layer_bits, self.exponents = bits, layer_bits, exponents
        self.reach = HALF if learned is None else ONE
        self.added = {} if learned is None else learned.added
        self.shapes = infer_shapes(before)
        self.offences: list[Offence] = []
        self.clipped: dict[str, int] = {}
        self.nodes: dict[str, Node] = dict(after.nodes)

    def largest(self, layer: str) -> int:
        """Weight into a neuron."""
        return int(2 ** (self.layer_bits.get(layer, self.bits) - 1) - 1)

    def offend(self, layer: str, node: str, field: str, wrong: Array, found: Array, expected: Array) -> None:
        """Note the first of the ``wrong`` places."""
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        given, wanted = (f"{float(np.broadcast_to(x, wrong.shape)[index]):g}" for x in (found, expected))
        self.offences.append(Offence(layer, node, field, index, given, wanted, int(np.count_nonzero(wrong))))

    def differs(self, layer: str, node: str, field: str, found: Any, expected: Any) -> None:
        """Note a choice that is not what it was."""
        self.offences.append(Offence(layer, node, field, (), str(found), str(expected)))

    def rounded(
        self, layer: str, what: str, found: Any, ideal: Array, allowed: float, divisor: float = 1.0, node: str = ""
    ) -> Array:
        """``found`` (times ``divisor`` whole) where it lies within ``allowed`` of ``ideal``, else ``ideal`` rounded."""
        value = np.asarray(found, np.float64) * divisor
        wrong = ~(np.abs(value - ideal) <= allowed + 1e-9 * np.abs(ideal))
        if wrong.any():
            self.offend(layer, node or layer, what, wrong, value, ideal)
        fixed = np.where(wrong, np.round(ideal), value) / divisor
        return fixed if fixed.ndim else np.asarray(float(fixed))


def audit(
    before: Graph,
    after: Graph,
    units: Mapping[str, Array],
    bits: int,
    layer_bits: Mapping[str, int] | None = None,
    learned: Learned | None = None,
    exponents: Mapping[str, int] | None = None,
    rewrites: Collection[str] = (),
) -> Audit:
    """Check the Graph ``after`` quantisation against the one ``before`` it; ``units`` is what one unit of each neuron's weights
    is worth, ``bits`` the width of a weight, ``layer_bits`` that of the weights into some neurons, ``exponents`` the powers of
    two of some synapses; rules that the pass says it ``rewrites`` are not looked at."""
    found = _Audit(before, after, units, bits, layer_bits or {}, learned, exponents or {}, rewrites)
    for name in before.of_type(Neuron):
        if not isinstance(after.nodes.get(name), Neuron) or name not in units:
            found.differs(name, name, "kind", type(after.nodes.get(name)).__name__, "a quantised Neuron")
            continue
        shift = _shift_into(after, name)
        for synapse, node in synapses_of(before, name).items():
            _check_synapse(found, name, synapse, node, shift)  # type: ignore[arg-type]
        _check_neuron(found, name, shift)
    for name, node in before.nodes.items():
        if not isinstance(node, Neuron | Dense | Conv1d | Conv2d | Sparse):
            _check_same(found, name, name, node, tuple(found.rewrites) if isinstance(node, Output) else ())
    edges = _check_wiring(found)
    if not found.offences:
        return Audit([], found.clipped, None)
    repaired = build_graph(found.nodes, edges, before.time_steps, after.name, after.origin)
    return Audit(found.offences, found.clipped, repaired)


def _shift_into(graph: Graph, neuron: str) -> int:
    """k of the ``Scale(2**-k)`` in front of a neuron; 0 where there is none."""
    scales = [graph.nodes[e.source] for e in graph.incoming(neuron)]
    factors = [float(np.max(s.factor)) for s in scales if isinstance(s, Scale)]
    return round(-np.log2(factors[0])) if factors and factors[0] > 0 else 0


def _check_synapse(found: _Audit, layer: str, name: str, node: Synapse, shift: int) -> None:
    made = found.after.nodes.get(name)
    if type(made) is not type(node):
        found.differs(layer, name, "kind", type(made).__name__, type(node).__name__)
        found.nodes[name] = node
        made = node
    assert isinstance(made, Dense | Conv1d | Conv2d | Sparse)
    power = 2.0 ** found.exponents.get(name, 0)
    unit = weight_units(node, found.units[layer], found.shapes[layer]) * power / 2.0**shift
    ideal, largest = node.weight / unit, found.largest(layer)
    value = np.asarray(made.weight, np.float64) / power
    if value.shape != ideal.shape:
        found.differs(layer, name, "weight shape", value.shape, ideal.shape)
        value = np.full(ideal.shape, np.nan)
    clipped = (np.abs(value) == largest) & (value * ideal > 0) & (np.abs(ideal) > np.abs(value))
    wrong = ~((np.abs(value - ideal) <= found.reach + 1e-9 * np.abs(ideal)) | clipped)
    if wrong.any() and not np.isnan(value).any():
        found.offend(layer, name, "weight", wrong, value * power, ideal * power)
    cut = int(np.count_nonzero(clipped & (np.abs(value - ideal) > found.reach)))
    if cut:
        found.clipped[layer] = found.clipped.get(layer, 0) + cut
    fixed = np.where(wrong, np.clip(np.round(ideal), -largest, largest), value)
    _check_same(found, layer, name, node, skip=("weight",))
    mended: Any = found.nodes[name]
    found.nodes[name] = replace(mended, weight=fixed * power)


def weight_units(node: Synapse, unit: Array, shape: Shape) -> Array:
    """What one unit of each weight is worth, broadcasting over the weight; ``unit`` is a number or one a channel of the target's
    ``shape``."""
    if np.size(unit) == 1:
        return np.asarray(unit, np.float64).reshape(())
    if isinstance(node, Sparse):
        return np.asarray(unit, np.float64)[node.index[0] // int(np.prod(shape[1:]))]
    return over_shape(unit, node.weight.ndim)


def _check_same(found: _Audit, layer: str, name: str, node: Node, skip: tuple[str, ...] = ()) -> None:
    """Every field of a node that quantisation must leave alone."""
    made = found.after.nodes.get(name)
    if type(made) is not type(node):
        found.differs(layer, name, "kind", type(made).__name__, type(node).__name__)
        found.nodes[name] = node
        return
    changes: dict[str, Any] = {}
    for one in fields(node):
        was, now = getattr(node, one.name), getattr(made, one.name)
        same = np.array_equal(was, now) if isinstance(was, np.ndarray) else was == now
        if one.name not in skip and not same:
            found.differs(layer, name, one.name, now, was)
            changes[one.name] = was
    if changes:
        found.nodes[name] = replace(found.nodes[name], **changes)


def _check_neuron(found: _Audit, name: str, shift: int) -> None:
    d: Dynamics = found.before.nodes[name].dynamics  # type: ignore[union-attr]
    made: Dynamics = found.after.nodes[name].dynamics  # type: ignore[union-attr]
    changes: dict[str, Any] = {}
    for what in _unlike(d, made, (*SIGNED_CHOICES, "spike_value"), found.rewrites):
        found.differs(name, name, what, getattr(made, what), getattr(d, what))
        changes[what] = getattr(d, what)
    one = float(np.max(made.input_gain))  # guarded units in a unit
    if one < 1 or one != 2.0 ** round(np.log2(one)) or np.min(made.input_gain) != one:
        found.differs(name, name, "input_gain", made.input_gain, "a power of two of 1 or more, one for all")
        return
    grain = over_shape(found.units[name], len(found.shapes[name])) / one
    put_back = _static_inputs(found.before, name) * one / 2 if shift else 0.0  # what floor takes off on average
    in_current = d.current_decay is not None

    added = found.added.get(name, 0.0)

    def whole(what: str, allowed: float = HALF, divisor: float = 1.0, more: Any = 0.0) -> None:
        value = np.asarray(d.subtracted if what == "reset_amount" else getattr(d, what), np.float64)
        given = made.subtracted if what == "reset_amount" else getattr(made, what)
        changes[what] = found.rounded(name, what, given, value / grain + more, allowed, divisor)

    if d.fires:
        whole("threshold", 1.0)
        if d.reset == "subtract":
            whole("reset_amount")
    if d.reset == "to_value":
        whole("reset_value")
    whole("v_init")
    whole("bias", HALF + (0 if in_current else put_back), more=0.0 if in_current else added)
    whole("current_bias", HALF + (put_back if in_current else 0), one, added if in_current else 0.0)
    for what in ("v_min", "membrane_decay", "current_decay"):
        was, now = getattr(d, what), getattr(made, what)
        if (was is None) != (now is None):
            found.differs(name, name, what, now, was)
            changes[what] = was
        elif was is not None and what == "v_min":
            whole(what)
        elif was is not None:
            changes[what] = found.rounded(name, what, now, np.asarray(was, np.float64) * DECAY_ONE, HALF, DECAY_ONE)
    found.nodes[name] = Neuron(made.with_(**changes))


def _static_inputs(graph: Graph, neuron: str) -> int:
    entry = graph.nodes[graph.input]
    if not isinstance(entry, Input) or entry.encoding != "static":
        return 0
    return sum(_source(graph, name) == graph.input for name in synapses_of(graph, neuron))


def _source(graph: Graph, synapse: str) -> str:
    name = graph.incoming(synapse)[0].source
    return name if isinstance(graph.nodes[name], Input | Neuron) else graph.incoming(name)[0].source


def _check_wiring(found: _Audit) -> list[Edge]:
    """The edges of the repaired Graph: those before, with the shifts that the pass put in front of neurons."""
    before, after = found.before, found.after
    added = {n for n, node in after.nodes.items() if n not in before.nodes and isinstance(node, Scale)}
    plain, through = [], {}
    for edge in after.edges:
        if edge.source in added:
            continue
        if edge.target in added:
            onward = after.outgoing(edge.target)[0]
            through[edge.source, onward.target] = edge.target
            edge = Edge(edge.source, onward.target, edge.delay + onward.delay)
        plain.append(edge)
    known, now = set(before.edges), set(plain)
    for edge in sorted(known ^ now, key=str):
        layer = edge.target if edge.target in before.of_type(Neuron) else _layer_behind(before, edge.target)
        name = f"{edge.source} → {edge.target}"
        if edge in known:
            found.differs(layer, name, "delay or wiring", "another", f"delay {edge.delay}")
    if known == now:
        return list(after.edges)
    edges = []
    for edge in before.edges:
        between = through.get((edge.source, edge.target))
        edges += [Edge(edge.source, between, edge.delay), Edge(between, edge.target)] if between else [edge]
    kept = {e.source for e in edges} | {e.target for e in edges}
    found.nodes = {n: node for n, node in found.nodes.items() if n in kept}
    return edges


def _layer_behind(graph: Graph, name: str) -> str:
    """The neuron that a node leads to."""
    while not isinstance(graph.nodes[name], Neuron):
        onward = graph.outgoing(name)
        if not onward:
            return name
        name = onward[0].target
    return name


def changed_choices(before: Graph, after: Graph, rewrites: Collection[str] = ()) -> list[Offence]:
    """What is no number and yet another after a pass that may change none: rules of neurons, the readout, the steps; but for the
    fields that the pass says it ``rewrites``."""
    found = []
    if before.time_steps != after.time_steps:
        found.append(Offence("", "the network", "time_steps", (), str(after.time_steps), str(before.time_steps)))
    for name, node in before.nodes.items():
        made = after.nodes.get(name)
        if isinstance(node, Neuron) and isinstance(made, Neuron):
            layer, was, now, names = name, node.dynamics, made.dynamics, SIGNED_CHOICES
        elif isinstance(node, Output) and isinstance(made, Output):
            layer, was, now, names = readout_neuron(before) or name, node, made, OUTPUT_CHOICES  # type: ignore[assignment]
        else:
            continue
        for what in _unlike(was, now, names, rewrites):
            found.append(Offence(layer, name, what, (), str(getattr(now, what)), str(getattr(was, what))))
    return found


def _unlike(was: Any, now: Any, names: Collection[str], rewrites: Collection[str]) -> list[str]:
    """The fields of ``names``, but those in ``rewrites``, in which two dynamics or outputs differ."""
    return [n for n in names if n not in rewrites and not np.array_equal(getattr(was, n), getattr(now, n))]


NOT_COMPUTED = ("unit", "name", "origin")
"""Fields of a Program's parts that no executor looks at."""


def compare_programs(expected: Program, actual: Program) -> list[Offence]:
    """Where two Programs of one network are not the same: constants, wiring, arithmetic, readout."""
    found: list[Offence] = []
    for what in ("time_steps", "arithmetic"):
        if getattr(expected, what) != getattr(actual, what):
            found.append(Offence("", "the Program", what, (), str(getattr(actual, what)), str(getattr(expected, what))))
    found += _compare_parts("", "the source", expected.source, actual.source)
    found += _compare_parts(expected.readout.population, "the readout", expected.readout, actual.readout)
    for a, b in ((expected.populations, actual.populations), (expected.projections, actual.projections)):
        theirs = {p.name: p for p in b}
        for part in a:
            layer = str(getattr(part, "target", part.name))
            if part.name not in theirs:
                found.append(Offence(layer, part.name, "existence", (), "missing", "there"))
                continue
            found += _compare_parts(layer, part.name, part, theirs[part.name])
        known = {p.name for p in a}
        found += [Offence(n, n, "existence", (), "there", "missing") for n in theirs if n not in known]
    return found


def rounded_otherwise(expected: Program, actual: Program, exponents: Mapping[str, int]) -> bool:
    """Whether two Programs differ in biases and in weights by one step of their grid at most, which is 2^k for synapses with
    ``exponents`` k."""
    theirs = {p.name: p for p in actual.projections}
    for offence in compare_programs(expected, actual):
        if offence.field not in ("weight", "bias", "current_bias"):
            return False
    return all(
        np.abs(p.weight - theirs[p.name].weight).max(initial=0) <= 2 ** exponents.get(p.name, 0)
        for p in expected.projections
    )


def _compare_parts(layer: str, name: str, expected: Any, actual: Any) -> list[Offence]:
    found = []
    for one in fields(expected):
        was, now = getattr(expected, one.name), getattr(actual, one.name)
        if one.name in NOT_COMPUTED:
            continue
        if isinstance(was, np.ndarray) and isinstance(now, np.ndarray):
            if was.shape != now.shape:
                found.append(Offence(layer, name, f"{one.name} shape", (), str(now.shape), str(was.shape)))
            elif (wrong := was != now).any():
                index = tuple(int(i) for i in np.argwhere(wrong)[0])
                count = int(np.count_nonzero(wrong))
                found.append(Offence(layer, name, one.name, index, str(now[index]), str(was[index]), count))
        elif isinstance(was, np.ndarray) or isinstance(now, np.ndarray) or was != now:
            found.append(Offence(layer, name, one.name, (), str(now), str(was)))
    return found
