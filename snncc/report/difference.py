"""What ``snncc diff`` found, as tables for a terminal, for Markdown, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from snncc.compare import Cell
from snncc.diff.verdict import CAUSES, FAULT
from snncc.diff.walk import Step, Walk
from snncc.report.terminal import percent
from snncc.target import Finding

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A head and rows; the first ``left`` columns are text."""

    head: Sequence[str]
    rows: list[list[str]]
    left: int = 1


def stage_table(walk: Walk) -> Table:
    """A row a stage that does something; accuracies, and what each stage takes off."""
    rows = [[walk.stages[0], "", NOTHING, NOTHING, percent(walk.accuracy), NOTHING, NOTHING, NOTHING]]
    for step in walk.steps:
        if step.why == "did nothing":
            continue
        cells, differing = (sum(getattr(x, what) for x in spiking(step)) for what in ("cells", "differing"))
        rows.append([
            step.after,
            CAUSES[step.cause],
            f"{step.differing:,} of {step.samples:,}",
            f"{differing:,} of {cells:,}",
            percent(step.accuracy),
            NOTHING if step.drop is None else f"{100 * step.drop:+.2f}",
            interval_text(step.drop_interval),
            NOTHING if step.share is None else f"{100 * step.share:.0f} %",
        ])  # fmt: skip
    return Table(["stage", "what changes", "samples", "cells", "accuracy", "drop", "95 %", "share"], rows, left=2)


def interval_text(interval: tuple[float, float] | None) -> str:
    """A drop's interval in points."""
    return NOTHING if interval is None else f"{100 * interval[0]:+.2f} … {100 * interval[1]:+.2f}"


def spiking(step: Step) -> list[Any]:
    """The layers that fire; of others a membrane has no cells to compare one by one."""
    return [x for x in step.layers if x.rate_before is not None]


def layer_table(walk: Walk) -> Table:
    """A row a layer, the first stage against the last: cells, distance, rates, dead and never-silent neurons."""
    health = {h.layer: h for h in walk.health}
    rows = []
    for x in spiking(walk.overall):
        h = health.get(x.layer)
        rows.append([
            x.layer,
            f"{100 * x.differing / max(x.cells, 1):.3f} %",
            f"{x.distance:.4f}",
            f"{x.rate_before:.4f}",
            f"{x.rate_after:.4f}",
            f"{x.rate_change:+.4f}",
            NOTHING if h is None else f"{h.dead_before:,} → {h.dead_after:,}",
            NOTHING if h is None else f"{h.restless_before:,} → {h.restless_after:,}",
        ])  # fmt: skip
    head = ["layer", "cells differ", "distance", "rate before", "rate after", "change", "dead", "never silent"]
    return Table(head, rows)


def distance_table(walk: Walk) -> Table:
    """A row a layer, a column a step that changes a spike: van Rossum's distance."""
    steps = [step for step in walk.steps if step.differing]
    layers = dict.fromkeys(x.layer for step in steps for x in spiking(step))
    by_step = [{x.layer: x for x in step.layers} for step in steps]
    rows = [[n, *(f"{d[n].distance:.4f}" if n in d else NOTHING for d in by_step)] for n in layers]
    return Table(["distance", *(step.after for step in steps)], rows)


def lines(walk: Walk) -> list[tuple[str, str]]:
    """(label, text): where the first spike changes, where a stage goes beyond rounding, and why."""
    found = []
    change, fault = walk.first_change, walk.first_fault
    if change is None:
        found.append(("first", "no spike differs in any stage"))
    else:
        where = str(change.first) if change.first else change.why
        found.append(("first", f"{change.after} is the first to change a spike: {where}"))
    for step in walk.steps:
        if step.cause == FAULT:
            cell = step.fault or step.first
            found.append(("beyond", f"{step.after}: {cell or 'no cell of these samples'}"))
            found.append(("why", step.why))
        elif step.differing or step.clipped:
            found.append(("within", f"{step.after}: {CAUSES[step.cause]}; {step.why}"))
        elif step.cause == "saturation":
            found.append(("within", f"{step.after}: {step.why}, and no spike changes; first {step.fault}"))
        if step.alone:
            found.append(("note", f"{step.after}: {', '.join(step.alone)} is in one of the two stages only"))
    if fault is None and len(walk.stages) > 1 and all(step.cause != "other" for step in walk.steps):
        judged = sum(step.judged for step in walk.steps)
        found.append(("note", f"membranes were looked into in {judged:,} runs of single samples; faults too small to show "
                              "there beside rounding are not seen"))  # fmt: skip
    return found


def finding_text(finding: Finding) -> str:
    """One finding with its remedy."""
    return f"{finding.layer}: {finding.what}: {finding.actual}; {finding.remedy}"


def markdown(walk: Walk, title: str) -> str:
    """The whole report as Markdown."""
    parts = [f"## {title}", "", f"{walk.samples:,} samples.", ""]
    for table in (stage_table(walk), layer_table(walk), distance_table(walk)):
        if table.rows and len(table.head) > 1:
            parts += [*_markdown_table(table), ""]
    parts += [f"- **{label}** {_escaped(text)}" for label, text in lines(walk)]
    if walk.findings:
        parts += ["", "### Findings", ""]
        parts += [f"- {f.severity}: {_escaped(finding_text(f))}" for f in walk.findings]
    return "\n".join(parts) + "\n"


def _markdown_table(table: Table) -> list[str]:
    rule = [":--" if i < table.left else "--:" for i in range(len(table.head))]
    rows = [table.head, rule, *table.rows]
    return ["| " + " | ".join(_escaped(cell) if row is not rule else cell for cell in row) + " |" for row in rows]


def _escaped(text: str) -> str:
    """Names of layers come from files: no sign of them may end a cell or start markup."""
    return "".join(f"\\{sign}" if sign in "|`*_<>[]\\" else " " if sign in "\r\n" else sign for sign in text)


def facts(walk: Walk) -> dict[str, Any]:
    """The whole report as plain data."""
    change, fault = walk.first_change, walk.first_fault
    return {
        "stages": walk.stages,
        "samples": walk.samples,
        "accuracy": walk.accuracy,
        "distance_tau_steps": walk.tau,
        "first_change": change and {"stage": change.after, "cell": _cell(change.first)},
        "first_fault": fault and {"stage": fault.after, "cell": _cell(fault.fault or fault.first), "why": fault.why},
        "steps": [_step(step) for step in walk.steps],
        "overall": _step(walk.overall),
        "health": [asdict(h) for h in walk.health],
        "findings": [asdict(f) for f in walk.findings],
        "passed": fault is None,
    }


def _step(step: Step) -> dict[str, Any]:
    layers = [{**asdict(x), "rate_change": x.rate_change} for x in step.layers]
    return {**asdict(step), "first": _cell(step.first), "fault": _cell(step.fault), "layers": layers}


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    return None if cell is None else asdict(cell)
