"""``snncc compile``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import budget as mixed
from snncc.cli import options as shared
from snncc.cli.needs import only_with

if TYPE_CHECKING:
    from snncc.compiler import Compilation
    from snncc.ir.graph import Graph
    from snncc.mixed.search import Found
    from snncc.program.program import Program
    from snncc.program.recording import Recorded
    from snncc.target import Target


@click.command("compile")
@click.argument("model")
@shared.target_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write (build/MODEL.TARGET).")
@shared.encode_option
@shared.quantise_options
@mixed.budget_options
@shared.semantics_options
@click.option(
    "--print-after",
    "print_after",
    metavar="PASS",
    multiple=True,
    help="Print the network after a pass (or 'all'); with --json, on standard error.",
)
@click.option("--record", "record_data", metavar="DATA", help="Put samples and their spikes in, for snncc replay.")
@click.option("--record-samples", type=click.IntRange(min=1), default=4, show_default=True, help="How many of DATA.")
@shared.json_option
def command(
    model: str,
    target_name: str | None,
    output: Path | None,
    encode_text: str | None,
    int8: bool,
    budget_accuracy: float | None,
    minimise: str,
    confirm: str | None,
    budget_samples: int,
    semantics: dict[str, str],
    print_after: tuple[str, ...],
    record_data: str | None,
    record_samples: int,
    as_json: bool,
    **quantise: Any,
) -> None:
    """Compile MODEL (a file, or the name of a zoo model) for a target into a folder."""
    from snncc.compiler import compilation_report, compile_graph, write_compilation
    from snncc.ir.text import format_graph
    from snncc.registry import entries
    from snncc.report import terminal

    only_with("--budget-accuracy", budget_accuracy is not None, "confirm", "minimise", "budget_samples")
    only_with("--record", record_data is not None, "record_samples")
    target = shared.need_target(target_name, int8)
    unknown = set(print_after) - {"all"} - set(entries("snncc.passes"))
    if unknown:
        raise click.BadParameter(f"no pass {', '.join(sorted(unknown))}; see snncc passes", param_hint="--print-after")
    path, graph = shared.read_graph(model, semantics)
    graph = shared.with_encoder(graph, encode_text)
    chosen = shared.chosen_options(quantise, graph)

    def after(one: Any, result: Any) -> None:
        if one.name in print_after or "all" in print_after:
            click.echo(f"; after {one.name}\n{format_graph(result.graph)}", err=as_json)

    found = None
    if budget_accuracy is not None:
        found = _found(
            graph, target, chosen, quantise["calibration"], quantise["calibration_samples"],
            budget_accuracy, minimise, confirm, budget_samples, as_json,
        )  # fmt: skip
        chosen = found.options
    made = found.made if found and not print_after else compile_graph(graph, target, chosen, after)
    folder = output or Path("build") / f"{path.stem}.{target.name}"
    if made.errors:
        _refuse(made, target, as_json)
    recorded = None if record_data is None else _recorded(made, record_data, record_samples)
    writing = _with_search(target, found, quantise["calibration"], confirm)
    write_compilation(made, writing, chosen, path, folder, recorded)
    if as_json:
        more = {"search": json.loads((folder / "search.json").read_text(encoding="utf-8"))} if found else {}
        terminal.print_json(
            {"folder": str(folder), "model": str(path), "target": target.name, **compilation_report(made), **more}
        )
        return
    if found is not None:
        mixed.show(found)
    _show(made, path, folder, target.describe(made.program) if target.describe else {})
    if recorded is not None:
        terminal.fact(
            "recorded", f"{recorded.run.samples} samples ({record_data}) and their spikes: snncc replay {folder}"
        )


def _found(graph: Graph, target: Target, *rest: Any) -> Found:
    """The search, or exit code 1 where no network keeps the budget."""
    from snncc.compiler import RefusedError
    from snncc.mixed.search import BudgetMissedError
    from snncc.report import terminal
    from snncc.report.findings import show_findings

    as_json = bool(rest[-1])
    try:
        return mixed.find(graph, target, *rest)
    except RefusedError as error:
        said = {"target": target.name, "findings": [vars(f) for f in error.findings]}
        if not as_json:
            show_findings(error.findings)
        code = 2 if target.variant else 1
    except BudgetMissedError as error:
        said = {"target": target.name, "budget_missed": str(error)}
        if not as_json:
            terminal.verdict("failed", str(error))
        code = 1
    if as_json:
        terminal.print_json(said)
    else:
        click.echo(" nothing was written")
    raise click.exceptions.Exit(code)


def _with_search(target: Target, found: Found | None, data: str | None, confirm: str | None) -> Target:
    """The target, which writes the search's log and plot too."""
    if found is None or data is None:
        return target
    result, name, emit = found, data, target.emit

    def with_log(program: Program, folder: Path) -> list[str]:
        return [*emit(program, folder), *mixed.write_search(result, folder, name, confirm)]

    return replace(target, emit=with_log)


def _recorded(made: Compilation, data: str, samples: int) -> Recorded:
    from snncc.feed import take
    from snncc.files import without_folder
    from snncc.program.recording import record

    inputs = shared.load_inputs(data, samples, made.graph)
    return record(made.program, take(inputs, made.program.source, 0, samples), f"the first of {without_folder(data)}")


def _refuse(made: Compilation, target: Target, as_json: bool) -> None:
    """Findings that forbid deployment: list them all, write nothing, exit 1, or 2 where an option asked too much."""
    from snncc.report import terminal
    from snncc.report.findings import show_findings

    if as_json:
        terminal.print_json({"target": target.name, "findings": [vars(f) for f in made.findings]})
    else:
        show_findings(made.findings)
        click.echo(" nothing was written")
    raise click.exceptions.Exit(2 if target.variant else 1)


def _show(made: Compilation, path: Path, folder: Path, parts: Mapping[str, str]) -> None:
    from snncc.report import terminal
    from snncc.report.words import describe_graph, describe_proof

    terminal.fact("read", path.name, describe_graph(made.graph))
    folded = [did for name, did in made.steps if name.startswith("fold")]
    if folded:
        terminal.fact("folded", "; ".join(folded))
    for name, did in made.steps:
        if name == "calibrate":
            terminal.fact("calibrated", did)
        if name in ("quantise", "learn-rounding"):
            terminal.fact("quantised", did)
    terminal.fact("proven", describe_proof(made.program, made.bounds))
    for form in dict.fromkeys(parts.values()):
        terminal.fact("built", f"{', '.join(n for n, f in parts.items() if f == form)}: {form}")
    for remark in made.remarks:
        terminal.fact("note", remark)
    for finding in made.findings:
        terminal.fact("warning", str(finding))
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    terminal.fact("wrote", f"{folder}", f"({size / 1e6:.1f} MB)")
