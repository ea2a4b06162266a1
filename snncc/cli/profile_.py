"""``snncc profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.cli import so_far

if TYPE_CHECKING:
    from snncc.energy.model import EnergyReport, Priced
    from snncc.feed import Inputs
    from snncc.program.program import Program
    from snncc.program.reference import IntegerRecording


@click.command("profile")
@click.argument("model")
@shared.target_option
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option("--energy", is_flag=True, help="Price the counts in joules too.")
@click.option("--costs", "cost_name", help="A cost set or a .toml file of your own (loihi1; --sources lists them).")
@click.option("--sources", is_flag=True, help="Print every constant with its conditions and source.")
@click.option("--write-counts", metavar="FILE", help="Write the counts as JSON, for snncc energy.")
@shared.engine_options
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    target_name: str | None,
    data_name: str,
    limit: int | None,
    energy: bool,
    cost_name: str | None,
    sources: bool,
    write_counts: str | None,
    path: str,
    threads: int | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Count every spike and operation of MODEL on data, exactly, and price them.

    The counts are those of the integer program, which every target runs alike; fixed-sim counts them. The signal
    SIGUSR1 (kill -USR1 PID; where the system has it, SIGINFO: Ctrl-T) prints the results so far; the run goes on.
    """
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.energy.model import price
    from snncc.energy.record import report_dict
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions, run_all

    so_far.on_request(lambda: "nothing yet")
    if write_counts:
        _check_counts_file(write_counts)
    costs = load_costs(cost_name or DEFAULT_COSTS)
    graph, program, target, folder = shared.compiled_or_compile(model, target_name, rest)
    inputs, _ = shared.load_data(data_name, limit, graph)
    engine = get_target("fixed-sim")
    with shared.announced(engine), terminal.progress("counting", not as_json) as update:
        done = so_far.Parts(update)
        so_far.on_request(done.spikes)
        how = RunOptions(progress=done.progress, part=done.part, path=path, threads=threads or 0)
        run = run_all(engine, program, folder, inputs, how)
    report = price(program, run.counts, run.samples, costs, source_events(program, inputs))
    if write_counts:
        _write_counts(write_counts, program, report)
    if as_json:
        priced = report_dict(report) if energy else None
        terminal.print_json(
            {
                "target": target.name,
                "samples": run.samples,
                "layers": [layer_facts(p) for p in report.layers],
                "energy": priced,
            }
        )
        return
    show(report, run, energy)
    if sources:
        _show_sources(report)


def _check_counts_file(name: str) -> None:
    """Refuse before the run what cannot be written after it."""
    from pathlib import Path

    from snncc.errors import InputError
    from snncc.files import check_writable

    if not name.endswith(".json"):
        raise InputError(f"{name}: counts are written as JSON; give a name that ends in .json")
    check_writable(Path(name))


def _write_counts(name: str, program: Program, report: EnergyReport) -> None:
    import json
    from pathlib import Path

    from snncc.energy.counted import Counted
    from snncc.energy.counts_file import counts_document
    from snncc.files import written_beside

    run = Counted(program.name, report.total.counts, samples=report.samples, steps=program.time_steps)
    with written_beside(Path(name)) as path:
        path.write_text(json.dumps(counts_document(run), indent=1) + "\n", encoding="utf-8")


def source_events(program: Program, inputs: Inputs) -> int | None:
    """Messages from the host: non-zero input values, of a source that is not static."""
    import numpy as np

    from snncc.feed import portions

    if program.source.encoding == "static":
        return None
    return sum(int(np.count_nonzero(x)) for x in portions(inputs, program.source, program.time_steps))


def layer_facts(p: Priced) -> dict[str, Any]:
    """Events of a layer per inference."""
    return {
        "layer": p.name,
        "neurons": p.neurons,
        **p.per_inference,
        "synaptic_operations": p.synaptic_operations / p.samples,
    }


def show(report: EnergyReport, run: IntegerRecording, energy: bool) -> None:
    """The table, the scopes, and what is left out."""
    from snncc.report import terminal as t

    highest = max((p.energy.typ for p in report.layers), default=0.0) or 1.0
    head = ["layer", "neurons", "updates", "spikes", "synaptic ops", "host ops"]
    rows = [[p.name, f"{p.neurons:,}", *_events(p)] for p in (*report.layers, report.total)]
    if energy:
        head += ["energy S1", ""]
        for row, p in zip(rows, (*report.layers, report.total), strict=True):
            row += [t.joules(p.energy.typ), t.bar(p.energy.typ / highest) if p is not report.total else ""]
    t.table(head, rows)
    click.echo(f" per inference, mean of {run.samples:,} samples")
    if not energy:
        return
    total, costs = report.total.energy, report.costs
    for scope in report.scopes:
        if scope.missing:
            t.fact(scope.key, f"{scope.title}: not modelled: {scope.missing}")
        elif scope.key == "S0":
            t.fact(
                scope.key,
                f"{scope.title}: {t.count(report.total.synaptic_operations / report.samples)} synaptic operations",
            )
        else:
            interval = f"[{t.joules(total.low)} … {t.joules(total.high)}]"
            t.fact(scope.key, f"{scope.title}: {t.joules(total.typ)}", interval, f"grade {costs.grade}")
    for event, reason in report.not_modelled.items():
        if event != "host_operations":
            t.fact("left out", f"{event}: {reason}")
    for note in report.notes:
        t.fact("note", note)
    t.fact("costs", f"{costs.name}: {costs.title}", "(--sources lists every constant)")


def _events(p: Priced) -> list[str]:
    from snncc.report.terminal import count

    mean = p.per_inference
    return [
        count(mean["updates"]),
        count(mean["spikes"]),
        count(p.synaptic_operations / p.samples),
        count(mean["host_operations"]) if mean["host_operations"] else "",
    ]


def _show_sources(report: EnergyReport) -> None:
    from snncc.energy.costs import cost_sets
    from snncc.energy.record import constants
    from snncc.report import terminal as t

    for name, c in constants(report.costs).items():
        t.fact(name, f"{c.value.typ:g} [{c.value.low:g} … {c.value.high:g}] {c.unit}", c.kind, c.conditions, c.source)
    t.fact("cost sets", ", ".join(cost_sets()), f"sha256 of this one {report.costs.sha256}")
