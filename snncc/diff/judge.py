"""Is a difference between two stages what rounding can do, or more?

Up to the first spike in which two runs of a sample differ, every layer of both has seen the same spikes. So until then, and in that
very cell, membranes may differ only by what the stage does to the layer itself, and that has a bound:

* sums of the same numbers in another order: :data:`FLOAT64_SLACK` of the largest membrane (:data:`LAST_BITS`);
* a leak rounded to guarded units: half a unit a step to nearest, one otherwise, and it decays like the membrane; a right
  shift: less than one unit of a weight, ``2**guard_bits`` guarded units, a step (:func:`state_bound`);
* constants that a pass says it rounds, by its own figure (:func:`declared_bound`).

A membrane beyond its bound is a fault. So is a cell that fires otherwise though the first stage's own rule, applied to the second
stage's membrane, would not: then the rule has changed, not the membrane. The bounds are worst cases, so what is called a fault is
one; a fault that moves no membrane of the judged samples by more than rounding may is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.compare import Cell
from snncc.diff.trace import Trace
from snncc.diff.views import View
from snncc.ir.dynamics import Dynamics, count_spikes
from snncc.ir.graph import Graph
from snncc.ir.nodes import Neuron
from snncc.ir.shapes import infer_shapes
from snncc.program.program import DECAY_ONE, Population, Program

Array = np.ndarray
FLOAT64_SLACK = 1e-9
"""Of the largest membrane or threshold: a float64 sum of a million terms in another order moves by 1e-10 at most."""
FLOAT32_SLACK = 1e-4
"""The same in float32, as in :mod:`snncc.frontends.torch_parity`."""
MEMBRANE, DECISION = "membrane", "decision"


@dataclass(frozen=True)
class Fault:
    """The earliest cell beyond rounding.

    Attributes:
        cell: where; spikes, or the membranes before firing where the spikes are equal.
        kind: "membrane" is off by more than its bound; "decision": the same membrane fires otherwise.
        deviation, bound: of the membrane there, in the units of the stage before.
    """

    cell: Cell
    kind: str
    deviation: float
    bound: float


@dataclass(frozen=True)
class Judgement:
    """What was found in the judged samples: how many there were, how many of them differ, how many of those for no other reason
    than rounding, and the earliest fault."""

    samples: int
    differing: int
    explained: int
    fault: Fault | None


Bounds = Mapping[str, Array]
"""Layer to the largest difference of a membrane that rounding can make, broadcasting over (T, N, *shape)."""


Wrong = Callable[[str, Array], tuple[Array, Array, Array, Array]]
"""A layer and the cells to look at, to: membranes that are off and decisions that are other, both (T, N, *shape) of bool, and
by how much the membranes differ and may."""


def judge(before: View, after: View, dynamics: Mapping[str, Dynamics], bounds: Bounds, numbers: Array) -> Judgement:
    """``before`` and ``after`` are of the same samples, whose numbers in the data are ``numbers`` (N,); ``dynamics`` are the
    rules of ``before``, or of some of its layers, where the rules are to be compared too."""

    def wrong(name: str, inside: Array) -> tuple[Array, Array, Array, Array]:
        v, w = before.membranes[name], after.membranes[name]
        a, b, own = before.spikes[name], after.spikes[name], dynamics.get(name)
        rule = count_spikes(own, w.astype(np.float64)) if own is not None and own.fires else b
        deviation, bound = np.abs(w - v), np.broadcast_to(bounds[name], v.shape)
        return inside & ~(deviation <= bound), inside & (a != b) & (rule != b), deviation, bound

    return _collect(before, after, wrong, numbers)


def judge_float32(theirs: Trace, ours: View, dynamics: Mapping[str, Dynamics], numbers: Array) -> Judgement:
    """``theirs`` is of a framework, which shows no membranes of what fires: its cell is explained where the Graph's membrane
    would fire like that within :data:`FLOAT32_SLACK`; the membranes of other layers must lie that close."""
    reach = slack(ours, dynamics, FLOAT32_SLACK)
    silent: dict[str, Array] = {n: np.zeros(v.shape, np.int32) for n, v in theirs.membranes.items()}
    known = {**theirs.spikes, **silent}
    spikes = {n: known[n] for n in ours.spikes if n in known}

    def wrong(name: str, inside: Array) -> tuple[Array, Array, Array, Array]:
        a, b, v = spikes[name], ours.spikes[name], ours.membranes[name]
        deviation, bound = np.zeros(v.shape), np.broadcast_to(reach[name], v.shape)
        if name in silent:
            deviation = np.abs(theirs.membranes[name] - v)
            return inside & ~(deviation <= bound), np.zeros(v.shape, bool), deviation, bound
        low, high = (count_spikes(dynamics[name], v + sign * reach[name]) for sign in (-1, 1))
        return np.zeros(v.shape, bool), inside & (a != b) & ((a < low) | (a > high)), deviation, bound

    return _collect(View(theirs.membranes, spikes), ours, wrong, numbers)


def _collect(before: View, after: View, wrong: Wrong, numbers: Array) -> Judgement:
    layers = [n for n in before.spikes if n in after.spikes and before.spikes[n].shape == after.spikes[n].shape]
    samples = len(numbers)
    if not layers:
        return Judgement(samples, 0, 0, None)
    steps, position = _roots(before, after, layers)
    faulty = np.zeros(samples, bool)
    first: tuple[int, int, Fault] | None = None
    for k, name in enumerate(layers):
        a, b = before.spikes[name], after.spikes[name]
        inside = _comparable(len(a), steps, position, k).reshape(len(a), samples, *(1,) * (a.ndim - 2))
        off, otherwise, deviation, bound = wrong(name, inside)
        faulty |= (off | otherwise).any(axis=(0, *range(2, off.ndim)))
        found = _earliest(off | otherwise)
        if found is not None and (first is None or (found[0], k) < first[:2]):
            kind = MEMBRANE if off[found] else DECISION
            same = a[found] == b[found]
            x, y = (before.membranes[name], after.membranes[name]) if same else (a, b)
            what, sample = "membrane" if same else "spikes", int(numbers[found[1]])
            cell = Cell(name, what, found[0], sample, found[2:], x[found].item(), y[found].item())
            first = found[0], k, Fault(cell, kind, float(deviation[found]), float(bound[found]))
    differs = steps < _steps(before, layers)
    return Judgement(samples, int(differs.sum()), int((differs & ~faulty).sum()), first and first[2])


def _steps(view: View, layers: Sequence[str]) -> int:
    return len(view.spikes[layers[0]])


def _roots(before: View, after: View, layers: Sequence[str]) -> tuple[Array, Array]:
    """For every sample the first step in which a spike differs (T where none does), and the first layer there."""
    total = _steps(before, layers)
    samples = before.spikes[layers[0]].shape[1]
    steps, position = np.full(samples, total), np.full(samples, len(layers))
    for k, name in enumerate(layers):
        different = before.spikes[name] != after.spikes[name]
        by_step = different.reshape(total, samples, -1).any(axis=2)
        own = np.where(by_step.any(axis=0), by_step.argmax(axis=0), total)
        earlier = own < steps
        steps, position = np.where(earlier, own, steps), np.where(earlier, k, position)
    return steps, position


def _comparable(total: int, steps: Array, position: Array, k: int) -> Array:
    """(T, N): the cells of layer ``k`` whose input is the same in both runs."""
    t = np.arange(total)[:, None]
    return (t < steps) | ((t == steps) & (k <= position))


def _earliest(wrong: Array) -> tuple[int, ...] | None:
    """Index of the first True of (T, N, *shape)."""
    for t in range(len(wrong)):
        if wrong[t].any():
            return (t, *(int(i) for i in np.argwhere(wrong[t])[0]))
    return None


def dynamics_of(graph: Graph) -> dict[str, Dynamics]:
    """The rules of a Graph's neurons."""
    return {n: node.dynamics for n, node in graph.nodes.items() if isinstance(node, Neuron)}


def slack(view: View, dynamics: Mapping[str, Dynamics], share: float = FLOAT64_SLACK) -> dict[str, Array]:
    """The bound of sums in another order."""
    return {
        n: np.asarray(share * max(float(np.abs(v).max(initial=0)), float(np.max(dynamics[n].threshold))))
        for n, v in view.membranes.items()
        if n in dynamics
    }


def declared_bound(graph: Graph, declared: Mapping[str, float], name: str) -> Array:
    """What rounding of a neuron's constants by the shares in ``declared`` ("bias", "v_init", "threshold") can do to its
    membrane, (T, 1, *shape). They add up over the steps, less what leaks."""
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    d, shape = node.dynamics, infer_shapes(graph)[name]

    def part(what: str) -> Array:
        return np.abs(np.broadcast_to(np.asarray(getattr(d, what), np.float64), shape)) * declared.get(what, 0.0)

    keep, error, found = np.asarray(d.membrane_decay, np.float64), part("v_init"), []
    for _ in range(graph.time_steps):
        error = (error * keep if d.decay_timing == "before" else error) + part("bias")
        found.append(error + part("threshold"))
        error = error * keep if d.decay_timing == "after" else error
    return np.stack(found)[:, None]


def state_bound(program: Program, p: Population) -> Array:
    """What rounding of leaks and right shifts can do to a membrane, guarded units, (T, 1, *shape)."""
    one_leak = 0.5 if program.arithmetic.rounding == "nearest" else 1.0
    shifted = sum(projection.shift > 0 for projection in program.incoming(p.name)) * 2.0**p.guard_bits

    def leak(error: Array, decay: Array | None) -> Array:
        if decay is None:
            return np.zeros(p.shape)
        return error * (decay / DECAY_ONE) + np.where((decay == 0) | (decay == DECAY_ONE), 0.0, one_leak)

    u, v, found = np.zeros(p.shape), np.zeros(p.shape), []
    for _ in range(program.time_steps):
        new = leak(u, p.decay_u) + shifted
        v = (leak(v, p.decay_v) if p.decay_timing == "before" else v) + (u if p.current_timing == "after" else new)
        # which of two spikes a membrane pays for may hang on its rounding where resets are pending
        owed = np.abs(p.reset_amount) if p.fires and p.reset_timing == "immediate_pending" else 0
        later = leak(v, p.decay_v) if p.decay_timing == "after" else v
        found.append((v if p.fires else later) + owed)
        v = later
        u = new
    return np.stack(found)[:, None]
