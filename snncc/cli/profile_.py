"""``snncc profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.cli import so_far

if TYPE_CHECKING:
    import numpy as np

    from snncc.energy.counted import Counted
    from snncc.profile import Layer, Profile

MOST_FINDINGS = 5
"""Shown here; snncc check --chip lists them all."""


@click.command("profile")
@click.argument("model")
@shared.target_option
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option("--energy", is_flag=True, help="Place the network and price it: joules by scope, latency, uncertainty.")
@click.option("--costs", "cost_name", help="A cost set or a .toml file of your own (loihi1; --sources lists them).")
@shared.chip_option()
@shared.cut_option
@click.option("--period", type=click.FloatRange(min=0, min_open=True), help="Seconds a step takes at least.")
@click.option("--sources", is_flag=True, help="Print every constant with its conditions and source.")
@click.option(
    "--write-counts", metavar="FILE", help="Write the counts as JSON, for snncc energy; placed with --energy."
)
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a report as one page; implies --energy.")
@click.option("--neuron", metavar="LAYER:INDEX", help="Whose membrane the page shows, such as lif2:17 or lif2:3,0,5.")
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Which the page shows.")
@click.option("--csv", "form", flag_value="csv", help="Print one fact a row.")
@click.option("--markdown", "form", flag_value="markdown", help="Print tables for a pull request.")
@shared.engine_options
@shared.quantise_options
@shared.semantics_options
@click.option("--json", "form", flag_value="json", help="Print the same facts as JSON.")
def command(
    model: str,
    target_name: str | None,
    data_name: str,
    limit: int | None,
    energy: bool,
    cost_name: str | None,
    chip_name: str | None,
    cut: str,
    period: float | None,
    sources: bool,
    write_counts: str | None,
    page: Path | None,
    neuron: str | None,
    sample: int,
    form: str | None,
    path: str,
    threads: int | None,
    **rest: Any,
) -> None:
    """Count every spike and operation of MODEL on data, exactly; place it on a chip and price it there.

    The counts are those of the integer program, which every target runs alike; fixed-sim counts them. --energy places the
    network on the chip that the costs are of, or on --chip; where --target names none, the target is then that chip's. The
    signal SIGUSR1 (kill -USR1 PID; where the system has it, SIGINFO: Ctrl-T) prints the results so far; the run goes on.
    """
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.fastest import FASTEST, fastest
    from snncc.files import check_writable
    from snncc.profile import chip_of, measure, profile
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions

    so_far.on_request(lambda: "nothing yet")
    if write_counts:
        _check_counts_file(write_counts)
    if page is not None:
        check_writable(page)
    energy = energy or page is not None or chip_name is not None or cut == FASTEST
    costs = load_costs(cost_name or DEFAULT_COSTS)
    chip = chip_of(costs, chip_name) if energy else None
    if target_name is None and energy and not Path(model).is_dir():
        target_name = chip.target if chip else "fixed-sim"
    graph, program, target, _ = shared.compiled_or_compile(model, target_name, rest, chip)
    inputs, labels = shared.load_data(data_name, limit, graph)
    engine = get_target("fixed-sim")
    traced = None
    if page is not None:
        from snncc.trace import trace

        traced = trace(
            graph, program, engine, inputs, sample, neuron
        )  # what is wrong with --neuron is said before the run
    with shared.announced(engine), terminal.progress("counting", form is None) as update:
        done = so_far.Parts(update)
        so_far.on_request(done.spikes)
        how = RunOptions(progress=done.progress, part=done.part, path=path, threads=threads or 0)
        measured = measure(program, engine, inputs, how, chip is not None, graph if page is not None else None)
    found = profile(measured, costs, chip, period, placer=fastest(costs, period) if cut == FASTEST else None)
    if write_counts:
        _write_counts(write_counts, found.account.run)
    _print(found, target.name, labels, energy, form, sources)
    if page is not None and traced is not None:
        from snncc.files import written_beside
        from snncc.report.page import profile_page
        from snncc.report.profile_facts import profile_facts

        with written_beside(page) as beside:
            made = profile_page(found, profile_facts(found, target.name, labels), traced, data_name)
            beside.write_text(made, encoding="utf-8")
        terminal.fact("wrote", str(page), err=form is not None)


def _print(p: Profile, target: str, labels: np.ndarray | None, energy: bool, form: str | None, sources: bool) -> None:
    """The facts in the form asked for."""
    from snncc.report import terminal
    from snncc.report.profile_facts import profile_csv, profile_facts

    if form is None:
        from snncc.report.profile_facts import accuracy_facts

        show(p, energy, target, accuracy_facts(p.measured, labels))
        if sources:
            from snncc.cli.energy_ import show_sources

            show_sources(p.account)
        return
    facts = profile_facts(p, target, labels, energy)
    if form == "json":
        terminal.print_json(facts)
    elif form == "csv":
        click.echo(profile_csv(facts), nl=False)
    else:
        from snncc.report.profile_markdown import profile_markdown

        click.echo(profile_markdown(facts), nl=False)


def _check_counts_file(name: str) -> None:
    """Refuse before the run what cannot be written after it."""
    from snncc.errors import InputError
    from snncc.files import check_writable

    if not name.endswith(".json"):
        raise InputError(f"{name}: counts are written as JSON; give a name that ends in .json")
    check_writable(Path(name))


def _write_counts(name: str, run: Counted) -> None:
    import json

    from snncc.energy.counts_file import counts_document
    from snncc.files import written_beside

    with written_beside(Path(name)) as path:
        path.write_text(json.dumps(counts_document(run), indent=1) + "\n", encoding="utf-8")


def show(p: Profile, energy: bool, target: str, accuracy: dict[str, Any]) -> None:
    """The table; then where the network is, the scopes, latency, and what is left out."""
    from snncc.report import terminal as t
    from snncc.report.words import drop_in_points

    highest = max((layer.energy.typ for layer in p.layers), default=0.0) or 1.0
    placed = p.placement is not None
    head = ["layer", "neurons", *(["cores"] if placed else []), "updates", "spikes", "synaptic ops", "host ops"]
    rows = [
        [x.name, f"{x.neurons:,}", *([f"{x.cores:,}"] if placed else []), *_events(x)] for x in (*p.layers, p.total)
    ]
    if energy:
        head += ["energy S1", ""]
        for row, x in zip(rows, (*p.layers, p.total), strict=True):
            row += [t.joules(x.energy.typ), t.bar(x.energy.typ / highest) if x is not p.total else ""]
    t.table(head, rows)
    right = "" if accuracy["integer"] is None else f"; accuracy {t.percent(accuracy['integer'])}"
    if accuracy["drop"] is not None:
        right += f", drop {drop_in_points(accuracy['drop'], accuracy['drop_interval_95'])}"
    click.echo(f" per inference, mean of {p.measured.samples:,} samples; arithmetic of {target}{right}")
    if energy:
        show_placement(p)
        show_energy(p)


def show_placement(p: Profile) -> None:
    """Cores, or why there are none."""
    from snncc.report import terminal as t
    from snncc.report.findings import show_findings

    if p.placement is not None and p.chip is not None:
        used = f"{len(p.placement.partition.cores):,} of {p.placement.partition.chips * p.chip.cores:,} cores"
        tiles, chips = p.placement.tiles_used, p.placement.chips_used
        where = f"{tiles:,} tile{'s' * (tiles > 1)}, {chips:,} chip{'s' * (chips > 1)}"
        t.fact("placed", f"{p.chip.name}: {used}, {where}", *(["cut for speed"] if p.placement.partition.least else []))
        return
    t.fact("not placed", f"{p.unplaced}; each layer counts as one core")
    if p.findings:
        show_findings(p.findings[:MOST_FINDINGS])
        if len(p.findings) > MOST_FINDINGS and p.chip is not None:
            t.fact("", f"and {len(p.findings) - MOST_FINDINGS:,} more: snncc check --chip {p.chip.name}")


def show_energy(p: Profile) -> None:
    """Scopes, latency, the largest terms, and what is left out."""
    from snncc.cli.energy_ import show_left_out, show_scopes
    from snncc.energy.account import HEADLINE
    from snncc.report import terminal as t

    a = p.account
    t.fact("S0", f"operations: {t.count(p.total.synaptic_operations)} synaptic operations")
    brief = p.placement is None
    show_scopes(a, brief)
    if brief:
        without = [s.key for s in a.scopes if s.key != "S0" and s.energy is None]
        t.fact(f"{without[0]} … {without[-1]}", f"not modelled: {p.unplaced}")
    largest = sorted((x for x in a.terms if x.share > 0), key=lambda x: -x.share)[:4]
    t.fact("shares", ", ".join(f"{x.name} {100 * x.share:.0f} %" for x in largest), "of the energy that is modelled")
    show_left_out(a, brief)
    on_host = p.total.per_inference["host_operations"]
    if on_host:
        t.fact(
            "note",
            f"the static input's {on_host:,.0f} multiply-accumulates run once on the host (S4): no synaptic operations",
        )
    t.fact("costs", f"{a.costs.name}, grade {a.costs.grade}: {a.costs.title}", f"sha256 {a.costs.sha256[:12]}…")
    found = [s for s in a.scopes if s.energy is not None and s.key <= HEADLINE]
    if found and found[-1].energy is not None:
        e = found[-1].energy
        said = f"{t.joules(e.typ)} an inference ({found[-1].key})   {t.joules(e.low)} … {t.joules(e.high)}"
        after = "" if a.latency is None else f"in {t.seconds(a.latency.typ)}   "
        t.fact("headline", f"{said}   {after}more: --html report.html, --sources, snncc place --map")


def _events(layer: Layer) -> list[str]:
    from snncc.report.terminal import count

    mean = layer.per_inference
    return [
        count(mean["updates"]),
        count(mean["spikes"]),
        count(layer.synaptic_operations),
        count(mean["host_operations"]) if mean["host_operations"] else "",
    ]
