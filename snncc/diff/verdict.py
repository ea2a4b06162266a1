"""Whether a step from one stage to the next does no more than it may, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from snncc.compare import Cell
from snncc.diff import judge as j
from snncc.diff import stages as s
from snncc.diff.audit import Audit, Offence, changed_choices, compare_programs
from snncc.diff.measure import Change
from snncc.diff.stages import Stage
from snncc.diff.views import View, view_graph, view_program
from snncc.ir.graph import readout_neuron
from snncc.ir.nodes import Output

Array = np.ndarray
Pick = Callable[[Sequence[int]], Array]
"""Numbers of samples to those samples, as the network takes them."""

JUDGED = 32
"""Differing samples whose membranes are compared, at most; their earliest cells come first."""
COUNTED = ("spike_count", "weighted_count")
"""Readouts that see nothing but spikes."""
SHOWN = 3
"""Constants beyond rounding that are named in a sentence."""

SAME, TIES, ROUNDING, SATURATION = "same", "ties", "rounding", "saturation"
FAULT, OTHER, UNJUDGED = "fault", "other", "unjudged"
CAUSES = {
    SAME: "no spike changes",
    TIES: "membranes at the threshold to the last bits of a float sum",
    ROUNDING: "ordinary rounding",
    SATURATION: "states beyond their width",
    FAULT: "beyond rounding",
    OTHER: "another network",
    UNJUDGED: "not judged",
}


@dataclass
class Pair:
    """Two stages and what is known of them: ``fewer`` where they ran on some samples only."""

    before: Stage
    after: Stage
    change: Change
    audit: Audit | None = None
    fewer: bool = False


@dataclass(frozen=True)
class Verdict:
    """One of :data:`CAUSES`, the same in words, the earliest cell beyond what the step may do, how many samples were looked into,
    how many of the differing ones are as they may be, and the constants that are not what they should be."""

    cause: str
    why: str
    fault: Cell | None = None
    judged: int = 0
    explained: int = 0
    offences: list[Offence] = field(default_factory=list)


def verdict_on(pair: Pair, some: Pick, few: int) -> Verdict:
    """Whether the step does no more than it may."""
    c, a, b = pair.change, pair.before, pair.after
    if b.may == s.NOTHING and a.graph is not None and a.graph is b.graph:
        return Verdict(SAME, "did nothing")
    offences = _offences(pair)
    if offences:
        return Verdict(FAULT, _listed(offences), c.first or c.unequal or c.first_value, offences=offences)
    if c.misfits:
        name, sizes = next(iter(c.misfits.items()))
        return Verdict(FAULT if b.may not in (s.ANYTHING, s.UNKNOWN) else OTHER, f"{name} has {sizes}")
    if b.may == s.UNKNOWN:
        return Verdict(UNJUDGED, b.note or "how it comes from the stage before cannot be run again")
    if b.may == s.ANYTHING:
        return Verdict(OTHER if c.roots or c.first_value else SAME, "two networks of which nothing is known")
    if b.may == s.NOTHING or (b.may == s.CONSTANTS and pair.audit is None):
        cell = c.unequal or c.first or c.first_value
        return Verdict(FAULT if cell else SAME, "must be equal cell by cell", cell)
    if c.answers and counts_spikes(a) and counts_spikes(b):
        return Verdict(FAULT, f"{c.answers:,} samples have the same spikes and another answer: readout or tie rule")
    if b.may == s.CONSTANTS and pair.audit is not None:
        return _by_constants(c, pair.audit)
    numbers = sorted({*sorted(c.roots, key=lambda n: (c.roots[n], n))[:JUDGED], *range(few)})
    found = _judge(a, b, some(numbers), np.asarray(numbers))
    if found is None:
        return Verdict(OTHER if c.roots else SAME, "no membranes to compare")
    looked = f"{found.samples} samples judged, {found.explained} of {found.differing} differing ones within the bound"
    if found.fault is not None:
        return Verdict(
            FAULT if b.may != s.WIDTH else SATURATION, _said(found.fault, b), found.fault.cell, found.samples, found.explained
        )  # fmt: skip
    if not c.roots:
        return Verdict(SAME, "membranes within the bound", None, found.samples, 0)
    cause = TIES if b.may in (s.LAST_BITS, s.FLOAT32) else ROUNDING
    return Verdict(cause, looked, None, found.samples, found.explained)


def counts_spikes(stage: Stage) -> bool:
    """Whether the answer is a count of spikes, so that the same spikes must give it again."""
    if stage.program is not None:
        return stage.program.readout.kind in COUNTED
    if stage.graph is None:
        return False
    output = stage.graph.nodes[stage.graph.output]
    counted = isinstance(output, Output) and output.readout in COUNTED
    return counted and readout_neuron(stage.graph) is not None


def _said(fault: j.Fault, stage: Stage) -> str:
    if stage.may == s.FLOAT32 and fault.kind == j.DECISION:
        return f"not within {j.FLOAT32_SLACK:g} of the threshold: the framework's neuron is not the one that was read"
    if stage.may == s.WIDTH:
        return f"a membrane is {fault.deviation:g} units from where it would be with room for it"
    if fault.kind == j.DECISION:
        return "the same membrane fires otherwise: comparison, threshold or levels are not what they were"
    return f"a membrane is off by {fault.deviation:.4g}, rounding explains {fault.bound:.2g} at most"


def _listed(offences: Sequence[Offence]) -> str:
    more = f"; {len(offences) - SHOWN} more" if len(offences) > SHOWN else ""
    return "; ".join(map(str, offences[:SHOWN])) + more


def _offences(pair: Pair) -> list[Offence]:
    """What is known, without a run, to be other than it may."""
    a, b = pair.before, pair.after
    if b.may == s.CONSTANTS and pair.audit is not None:
        return pair.audit.offences
    if b.may == s.NOTHING and not b.few and a.program is not None and b.program is not None:
        return compare_programs(a.program, b.program)
    if b.may in (s.LAST_BITS, s.DECLARED) and a.graph is not None and b.graph is not None:
        return changed_choices(a.graph, b.graph, b.rewrites)
    return []


def _by_constants(c: Change, checked: Audit) -> Verdict:
    clipped = sum(checked.clipped.values())
    said = "every constant is the trained one, rounded" + (f"; {clipped:,} weights clipped" if clipped else "")
    return Verdict(ROUNDING if c.roots else SAME, said)


def _judge(a: Stage, b: Stage, inputs: Array, numbers: Array) -> j.Judgement | None:
    """Compare membranes under the bound that belongs to the stage."""
    if b.may == s.FLOAT32 and b.graph is not None:
        return j.judge_float32(a.run(inputs), view_graph(b.graph, inputs), j.dynamics_of(b.graph), numbers)
    if b.graph is not None and a.graph is not None:
        before, rules = view_graph(a.graph, inputs), j.dynamics_of(a.graph)
        bounds = j.slack(before, rules)
        if b.may == s.DECLARED:
            bounds = {n: x + j.declared_bound(a.graph, b.declared, n) for n, x in bounds.items()}
        return j.judge(before, view_graph(b.graph, inputs), rules, bounds, numbers)
    if b.program is not None and a.graph is not None and b.may == s.STATES:
        before, rules = view_graph(a.graph, inputs), j.dynamics_of(a.graph)
        known = {p.name: p for p in b.program.populations if p.name in rules}
        bounds = {n: x + j.state_bound(b.program, known[n]) for n, x in j.slack(before, rules).items() if n in known}
        before = View(before.membranes, {n: x for n, x in before.spikes.items() if n in known})
        return j.judge(before, view_program(b.program, inputs), rules, bounds, numbers)
    if b.program is not None and a.program is not None and b.may == s.WIDTH:
        before = view_program(a.program, inputs)
        return j.judge(
            before, view_program(b.program, inputs), {}, dict.fromkeys(before.spikes, np.asarray(0)), numbers
        )
    return None
