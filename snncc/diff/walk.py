"""Walk the stages of a deployment in order on data: what each changes, whether it may, and what it costs in accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from snncc.accuracy import correct, paired, steps_with_label
from snncc.compare import Cell
from snncc.diff import stages as s
from snncc.diff.audit import Audit, Offence, audit
from snncc.diff.health import Activity, LayerHealth, health_findings, healths
from snncc.diff.measure import TAU, Change, LayerChange
from snncc.diff.stages import Stage
from snncc.diff.trace import Trace, trace_graph
from snncc.diff.verdict import FAULT, OTHER, SAME, SATURATION, Pair, Pick, verdict_on
from snncc.errors import InputError
from snncc.evidence import Errors, interval
from snncc.feed import Entry, Inputs, pick, sample_count, take
from snncc.ir.nodes import Neuron
from snncc.ir.shapes import infer_shapes
from snncc.target import Finding

Array = np.ndarray
BATCH, CELLS = 100, 1 << 24
"""Samples at once, at most, and how many (neuron, step, sample) cells: spikes and membranes of two stages are in memory."""
FEW = 8
"""Samples whose membranes are compared in any case, and that a target runs."""


@dataclass(frozen=True, eq=False)
class Step:
    """From one stage to the next.

    Attributes:
        before, after: names of the stages.
        cause: one of :data:`CAUSES`. why: the same in words, with numbers.
        samples: run in both; differing: samples with any other spike.
        first: the earliest cell with other spikes. fault: the earliest cell beyond what the stage may do, or None.
        layers: how far each layer is apart.
        accuracy: of the stage after, None without labels; drop: before minus after, with the interval that
            holds it at 95 % for samples without end that are like these (:mod:`snncc.evidence`); share: of the
            drop from the first stage to the last, None where that is 0 or the stage saw only some samples.
        judged: how many samples were looked into; explained: how many of the differing ones are by what the stage may do.
        offences: constants that rounding does not explain. clipped: weights cut to the largest one, by layer.
        misfits: layers whose shapes differ; alone: layers that only one stage has. by_target: the stage after is a
            target's run of the Program before.
    """

    before: str
    after: str
    cause: str
    why: str
    samples: int
    differing: int
    first: Cell | None
    fault: Cell | None
    layers: list[LayerChange]
    accuracy: float | None
    drop: float | None
    drop_interval: tuple[float, float] | None
    share: float | None
    judged: int
    explained: int
    offences: list[Offence] = field(default_factory=list)
    clipped: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    note: str = ""
    by_target: bool = False


@dataclass(frozen=True, eq=False)
class Walk:
    """All steps, and first stage against last.

    Attributes:
        stages: their names. accuracy: of the first stage. overall: first against last (as a step of its own).
        health: neurons that never fire or are never silent, by layer. findings: faults, saturation and such neurons, each
            with a remedy. tau: of the distance, steps.
    """

    stages: list[str]
    samples: int
    accuracy: float | None
    steps: list[Step]
    overall: Step
    health: list[LayerHealth]
    findings: list[Finding]
    tau: float

    @property
    def first_change(self) -> Step | None:
        """The first step that changes a spike."""
        return next((step for step in self.steps if step.first is not None or step.misfits), None)

    @property
    def first_fault(self) -> Step | None:
        """The first step that goes beyond what it may do."""
        return next((step for step in self.steps if step.cause == FAULT), None)


def walk(
    stages: Sequence[Stage],
    entry: Entry,
    inputs: Inputs,
    labels: Array | None,
    few: int = FEW,
    tau: float = TAU,
    progress: Callable[[int, int], None] | None = None,
) -> Walk:
    """Run all ``stages`` (two at least) on ``inputs``; those marked ``few`` on the first ``few`` samples, each against the
    stage before them that is not.

    ``labels`` are (N,), or (N, T) where the network answers each step. Raises :class:`InputError` where the data is empty.
    """
    samples = sample_count(inputs, entry)
    if samples == 0:
        raise InputError("the data holds no samples")
    if len(stages) < 2:
        raise InputError("there is only one stage; a difference needs two")
    main, repaired = _with_repairs([stage for stage in stages if not stage.few], samples)
    pairs = [Pair(a, b, Change(tau, exact=b.may == s.NOTHING)) for a, b in pairwise(main)]
    for pair in pairs:
        pair.audit = repaired.get(pair.after.name)
    overall = Pair(main[0], main[-1], Change(tau))
    activities = [Activity() for _ in main]
    predictions: list[list[Array]] = [[] for _ in main]
    size = min(BATCH, max(2, CELLS // _cells(main)))
    for start in range(0, samples, size):
        first = trace = None
        for i, now in enumerate(_traces(main, take(inputs, entry, start, start + size))):
            if trace is not None:
                pairs[i - 1].change.add(start, trace, now)
            first, trace = first or now, now
            activities[i].add(trace)
            predictions[i].append(trace.predictions)
        overall.change.add(start, first, trace)  # type: ignore[arg-type]
        if progress is not None:
            progress(min(start + size, samples), samples)
    pairs += _few_pairs(stages, main, take(inputs, entry, 0, max(few, 1)), tau)
    scores = _Scores(main, [np.concatenate(p) for p in predictions], labels)

    def some(numbers: Sequence[int]) -> Array:
        return pick(inputs, entry, np.asarray(numbers))

    steps = [_step(pair, scores, some, min(few, samples)) for pair in pairs]
    whole = _overall(overall, scores)
    names = [stage.name for stage in main]
    found = [f for step in steps for f in _step_findings(step)] + health_findings(names, activities, samples)
    return Walk(
        [*names, *(x.name for x in stages if x.few)], samples, scores.accuracy(0), steps, whole,
        healths(activities[0], activities[-1]), found, tau,
    )  # fmt: skip


def _cells(stages: Sequence[Stage]) -> int:
    """Cells of a sample: neurons times steps."""
    graph = next((x.graph for x in stages if x.graph is not None), None)
    if graph is not None:
        shapes = infer_shapes(graph)
        return graph.time_steps * sum(int(np.prod(shapes[n])) for n in graph.of_type(Neuron)) or 1
    program = next((x.program for x in stages if x.program is not None), None)
    return program.time_steps * sum(p.size for p in program.populations) if program is not None else 1


def _traces(stages: Sequence[Stage], chunk: Array) -> Iterator[Trace]:
    """A trace a stage; a pass that did nothing has that of the stage before."""
    trace: Trace | None = None
    for i, stage in enumerate(stages):
        again = stage.may == s.NOTHING and stage.graph is not None and stage.graph is stages[i - 1].graph
        if not again or trace is None:
            trace = stage.run(chunk) if i == 0 or stage.graph is None else _run(stage, chunk)
        yield trace


def _run(stage: Stage, chunk: Array) -> Trace:
    """Of a Graph, on data that ran on a stage before it."""
    try:
        return stage.run(chunk)
    except InputError as error:
        raise InputError(f"{stage.name}: what it leaves does not run on the data: {error}") from error


def _with_repairs(stages: list[Stage], samples: int) -> tuple[list[Stage], dict[str, Audit]]:
    """Check what quantising passes rounded. Where constants are beyond rounding, a stage with them as rounding would have
    them comes in between, so that what rounding does and what the fault does stand apart."""
    made: list[Stage] = []
    audits: dict[str, Audit] = {}
    for stage in stages:
        before = made[-1] if made else None
        if stage.may == s.CONSTANTS and before is not None and before.graph and stage.graph:
            trained = before.graph if stage.learned is None else stage.learned.graph
            checked = audit(
                trained,
                stage.graph,
                stage.units,
                stage.bits,
                stage.layer_bits,
                stage.learned,
                stage.exponents,
                stage.rewrites,
            )
            audits[stage.name] = checked
            if checked.repaired is not None:
                graph = checked.repaired
                between = replace(
                    stage, name=f"{stage.name} (rounding alone)", graph=graph,
                    run=lambda x, graph=graph, units=stage.units: trace_graph(graph, x, units, samples),  # type: ignore[misc]
                )  # fmt: skip
                made.append(between)
                audits[between.name] = replace(checked, offences=[], repaired=None)
        made.append(stage)
    return made, audits


def _few_pairs(stages: Sequence[Stage], main: Sequence[Stage], chunk: Array, tau: float) -> list[Pair]:
    """Targets on a few samples, against the golden interpreter."""
    pairs = []
    for stage in (x for x in stages if x.few):
        before = s.program_stage(stage.program, s.reference_engine, main[-1].name)  # type: ignore[arg-type]
        pair = Pair(before, stage, Change(tau, exact=True), fewer=True)
        pair.change.add(0, before.run(chunk), stage.run(chunk))
        pairs.append(pair)
    return pairs


class _Scores:
    """Which samples each stage has right."""

    def __init__(self, stages: Sequence[Stage], predictions: list[Array], labels: Array | None) -> None:
        self.names = [stage.name for stage in stages]
        self.predictions = predictions
        self.labels = None if labels is None else labels[: len(predictions[0])]
        self.scale = steps_with_label(self.labels)

    def accuracy(self, i: int) -> float | None:
        if self.labels is None:
            return None
        return float(correct(self.predictions[i], self.labels, self.scale).mean())

    def drop(self, a: str, b: str) -> tuple[float | None, tuple[float, float] | None]:
        if self.labels is None or a not in self.names or b not in self.names:
            return None, None
        first, second = (self.predictions[self.names.index(name)] for name in (a, b))
        pairs = paired(first, second, self.labels, self.scale)
        return pairs.mean, interval(pairs, Errors())

    def share(self, drop: float | None) -> float | None:
        total = self.drop(self.names[0], self.names[-1])[0]
        return None if drop is None or not total else drop / total


def _overall(pair: Pair, scores: _Scores) -> Step:
    c = pair.change
    drop, interval = scores.drop(pair.before.name, pair.after.name)
    return Step(
        pair.before.name, pair.after.name, SAME if not c.roots else OTHER, "", c.samples, len(c.roots), c.first, None,
        c.result(), scores.accuracy(-1), drop, interval, None, 0, 0, misfits=c.misfits, alone=c.alone,
    )  # fmt: skip


def _step(pair: Pair, scores: _Scores, some: Pick, few: int) -> Step:
    c, a, b = pair.change, pair.before, pair.after
    drop, interval = (None, None) if pair.fewer else scores.drop(a.name, b.name)
    accuracy = None if pair.fewer or scores.labels is None else scores.accuracy(scores.names.index(b.name))
    verdict = verdict_on(pair, some, few)
    checked = pair.audit
    return Step(
        a.name, b.name, verdict.cause, verdict.why, c.samples, len(c.roots), c.first, verdict.fault, c.result(),
        accuracy, drop, interval, None if pair.fewer else scores.share(drop), verdict.judged, verdict.explained,
        verdict.offences, dict(checked.clipped) if checked else {}, c.misfits, c.alone, b.note, _is_target(b),
    )  # fmt: skip


def _is_target(stage: Stage) -> bool:
    return stage.program is not None and stage.may == s.NOTHING and stage.name != s.PROGRAM


def _step_findings(step: Step) -> list[Finding]:
    """What a person should do about a step."""
    if step.cause not in (FAULT, SATURATION):
        return []
    layers = dict.fromkeys(o.layer for o in step.offences if o.layer)
    cell = step.fault or step.first
    shown = [cell.layer] if cell else [*step.misfits, "the network"]
    layer = next(iter([*layers, *shown]))
    if step.cause == SATURATION:
        remedy = "fewer --guard-bits, --bits or time steps; snncc compile says which states may leave their width"
        return [
            Finding(layer, f"saturation at {step.after}", str(cell), "no state beyond its width", remedy, "warning")
        ]
    remedy = f"look at what it does: snncc compile MODEL --print-after {step.after.partition(' ')[0]}"
    if step.by_target:
        remedy = "the target does not run the Program as its golden interpreter does (snncc verify): tell its author"
    elif step.after in (s.PROGRAM, s.LOWER):
        remedy = "the Program is not what compiling makes of this network: compile the model again, with this snncc"
    elif step.offences:
        remedy = f"this was not rounded but changed, by {step.after}: mend that pass"
    return [Finding(layer, f"{step.after} goes beyond rounding", str(cell or step.why), step.why, remedy)]
