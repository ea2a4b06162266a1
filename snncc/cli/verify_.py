"""``snncc verify``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.cli import so_far
from snncc.cli.gate_options import GateOptions, check_needs, gate_options

if TYPE_CHECKING:
    from snncc.compare import Comparison
    from snncc.gates import Limits
    from snncc.verify import Tally, Verification

DEFAULT_EXACT = 16
EXIT_FAILED, EXIT_UNDECIDED = 1, 3
OUTCOME_WORDS = {"met": "met", "failed": "failed", "undecided": "open"}


@click.command("verify")
@click.argument("model")
@shared.target_option
@shared.data_option
@shared.limit_option
@shared.encode_option
@gate_options
@click.option("--exact", type=click.IntRange(min=0), help="Samples to compare cell by cell with the reference.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds for the target."
)
@click.option(
    "--dask",
    "address",
    metavar="ADDRESS",
    help="Spread the samples over a Dask cluster: its scheduler's address, or local:N for N processes here.",
)
@shared.engine_options
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    target_name: str | None,
    data_name: str,
    limit: int | None,
    exact: int | None,
    timeout: float,
    address: str | None,
    path: str,
    threads: int | None,
    as_json: bool,
    asked: GateOptions,
    **rest: Any,
) -> None:
    """Check MODEL (a file, a zoo model, or a compiled folder) against its integer program and the target.

    Exits with 0 where every gate is met, with 1 where one fails (a cell of the target differs from the reference, accuracy
    drops too far), with 3 where none fails but too few samples were seen to decide one. The whole data is judged by its
    figure, a part of it (--limit, --samples) by an interval that holds however often one looks.

    The signal SIGUSR1 (kill -USR1 PID; where the system has it, SIGINFO: Ctrl-T) prints the results so far; the run goes on.
    """
    from dataclasses import replace
    from functools import partial

    from snncc.baseline import check_same_samples, read_baseline, regressions
    from snncc.baseline_costs import (
        SAMPLES,
        check_same_number,
        check_same_prices,
        cost_regressions,
        measured_costs,
        prices_of,
        read_costs,
    )
    from snncc.cluster import cluster
    from snncc.cost_gates import CostLimits, check_costs, cost_gates
    from snncc.evidence import FAILED, UNDECIDED, Errors
    from snncc.feed import sample_count
    from snncc.files import check_writable
    from snncc.gates import LARGEST_LIMIT, Limits, check_range
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.report.junit import junit
    from snncc.report.verify_facts import verify_facts
    from snncc.report.verify_markdown import verify_markdown
    from snncc.sampling import choose_samples, sample_marks
    from snncc.target import RunOptions
    from snncc.testing import where_to_look
    from snncc.verify import verify

    began = time.monotonic()
    check_needs(asked, as_json)
    limits = Limits(asked.max_accuracy_drop, asked.min_agreement, Errors(asked.alpha, asked.beta), asked.min_accuracy)
    priced = CostLimits(
        asked.max_energy_uj, asked.max_latency_ms, asked.max_cores, asked.energy_scope, asked.costs, asked.chip
    )
    check_range("--baseline-tolerance", asked.baseline_tolerance, 0, LARGEST_LIMIT)
    earlier = None if asked.baseline is None else read_baseline(asked.baseline)
    dear = None if earlier is None else read_costs(earlier.file, earlier.costs)
    if earlier is not None and dear is not None:
        check_same_prices(earlier.file, dear, *prices_of(priced))
    for file in filter(None, (asked.junit, asked.markdown)):
        check_writable(file)
    so_far.on_request(lambda: "nothing yet")
    graph, program, target, folder = shared.compiled_or_compile(model, target_name, rest)
    inputs, labels = shared.load_data(data_name, limit, graph)
    few = exact if exact is not None else (target.exact_samples or DEFAULT_EXACT)
    engine, loaded = get_target("fixed-sim"), sample_count(inputs, program.source)
    sampling = choose_samples(asked.samples, loaded, limit, asked.as_sample, asked.seed)
    count = loaded if sampling.order is None else len(sampling.order)
    marks = sample_marks(inputs, labels, program.source, sampling, count) if as_json or earlier is not None else None
    if earlier is not None and marks is not None:
        check_same_samples(earlier, data_name, sampling.name, marks)
    if earlier is not None and dear is not None:
        check_same_number(earlier.file, dear, count)

    truth = labels if labels is None or sampling.order is None else labels[sampling.order]

    def watch(tally: Tally, reference: Comparison, on_target: Comparison | None) -> None:
        so_far.on_request(lambda: so_far.of_verify(tally, count, truth, reference, on_target))

    how = RunOptions(timeout_s=timeout, path=path, threads=threads or 0)
    so_far.on_request(lambda: f"0 of {count:,} samples   the first {max(few, 1)} are being compared cell by cell")
    with (
        shared.announced(engine),
        terminal.progress("verifying", not as_json) as update,
        cluster(address) as spread,
    ):
        check_costs(program, engine, inputs, priced)
        found = verify(
            graph, program, target, engine, folder, inputs, labels, few, limits,
            how, update, spread, watch, sampling,
        )  # fmt: skip
        gates = [
            *found.gates,
            *cost_gates(program, engine, inputs, priced, how, sampling, found.samples, limits.errors),
        ]
        cost = partial(measured_costs, program, engine, inputs, priced, how, sampling)
        costs = cost(min(found.samples, SAMPLES)) if as_json else None
        same = None  # the costs of the samples that the baseline's are of
        if dear is not None:
            same = costs if costs is not None and costs.samples == dear.samples else cost(dear.samples)
    if earlier is not None:
        gates += regressions(earlier, found, limits.errors)
        if dear is not None and same is not None:
            gates += cost_regressions(dear, same, priced.scope, asked.baseline_tolerance)
        else:
            terminal.fact("note", f"{earlier.file} holds no costs, so none are judged; write it anew", err=True)
    found = replace(found, gates=gates)
    if asked.junit is not None:
        suite, seconds = f"{Path(model).name}.{target.name}", time.monotonic() - began
        _write(asked.junit, junit(found.gates, suite, seconds, asked.allow_undecided))
    if asked.markdown is not None:
        _write(asked.markdown, verify_markdown(found, Path(model).name, target.name, data_name))
    if as_json:
        terminal.print_json(verify_facts(found, target.name, data_name, costs, marks))
    else:
        show(found, target.name, limits)
        for look in where_to_look(found, model, target.name, data_name):
            terminal.fact("look", look)
    if found.outcome == FAILED:
        raise click.exceptions.Exit(EXIT_FAILED)
    if found.outcome == UNDECIDED and not asked.allow_undecided:
        raise click.exceptions.Exit(EXIT_UNDECIDED)


def _write(file: Path, text: str) -> None:
    from snncc.files import written_beside

    with written_beside(file) as beside:
        beside.write_text(text, encoding="utf-8")


def show(v: Verification, target: str, limits: Limits) -> None:
    """The verification as a person reads it."""
    from snncc.evidence import MET, sign_test
    from snncc.report import terminal as t

    rows = [
        ["float network", t.percent(v.float_accuracy), "–", t.count(v.float_spikes)],
        ["integer program", t.percent(v.integer_accuracy), t.percent(v.agreement), t.count(v.integer_spikes)],
    ]
    t.table(["", "accuracy", "agrees", "spikes/inference"], rows)
    click.echo(f" {v.samples:,} samples{_which(v.sampling)}")
    if v.lost is not None and v.won is not None:
        p = min(1.0, 2 * sign_test(max(v.lost, v.won), min(v.lost, v.won)))
        t.fact(
            "tipped", f"{v.lost:,} right in float alone, {v.won:,} in integers alone (exact McNemar test: p = {p:.2g})"
        )
    _show_exact("reference", "fixed-sim", v.reference, None)
    if v.target is not None:
        _show_exact("on target", target, v.target, v.target_accuracy)
    elif target != "fixed-sim":
        t.fact("on target", f"{target}: not run (--exact 0)")
    t.table(
        ["layer", "spikes agree", "float rate", "integer rate"],
        [
            [x.layer, f"{100 * x.spike_agreement:.3f} %", f"{x.float_rate:.4f}", f"{x.integer_rate:.4f}"]
            for x in v.layers
        ],
    )
    if v.first_deviation:
        t.fact("deviates", f"first from float: {v.first_deviation}")
    if v.outcome != MET:
        for gate in (g for g in v.gates if g.limit or not g.passed):
            t.fact(OUTCOME_WORDS[gate.outcome], str(gate))
        t.verdict(v.outcome, "; ".join(g.name for g in v.gates if g.outcome == v.outcome))
        return
    for gate in (g for g in v.gates if g.limit and g.name != "accuracy drop"):
        t.fact("met", str(gate))
    said = "no cell differs"
    if v.drop is not None and v.drop_interval is not None:
        low, high = v.drop_interval
        limit = f"limit {limits.max_accuracy_drop:.2f}; " if limits.max_accuracy_drop is not None else ""
        said = f"drop {100 * v.drop:.2f} points ({limit}95 % interval {100 * low:.2f} … {100 * high:.2f}); {said}"
    t.verdict(v.outcome, said)


def _which(sampling: str) -> str:
    kind, _, seed = sampling.partition(":")
    return {"whole": "", "first": ", the first of the data", "random": f", drawn at random (seed {seed})"}[kind]


def _show_exact(label: str, who: str, c: Any, accuracy: float | None) -> None:
    from snncc.report import terminal as t

    state = "exact" if c.differing == 0 else f"first differing cell: {c.first}"
    right = "" if accuracy is None else f", accuracy there {t.percent(accuracy)}"
    t.fact(label, f"{who}: {state} on {c.samples} samples, {c.differing:,} of {c.cells:,} cells differ{right}")
