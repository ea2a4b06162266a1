"""``snncc verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.cli import so_far

if TYPE_CHECKING:
    from snncc.compare import Comparison
    from snncc.verify import Tally, Verification

DEFAULT_EXACT = 16


@click.command("verify")
@click.argument("model")
@shared.target_option
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option(
    "--max-accuracy-drop", "max_drop", type=float, help="Fail if accuracy falls by more than this many points."
)
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
    max_drop: float | None,
    exact: int | None,
    timeout: float,
    address: str | None,
    path: str,
    threads: int | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Check MODEL (a file, a zoo model, or a compiled folder) against its integer program and the target.

    Exits with 1 where a gate fails: a cell of the target differs from the reference, or accuracy drops too far. The
    signal SIGUSR1 (kill -USR1 PID; where the system has it, SIGINFO: Ctrl-T) prints the results so far; the run goes on.
    """
    from snncc.cluster import cluster
    from snncc.feed import sample_count
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions
    from snncc.verify import verify

    so_far.on_request(lambda: "nothing yet")
    graph, program, target, folder = shared.compiled_or_compile(model, target_name, rest)
    inputs, labels = shared.load_data(data_name, limit, graph)
    few = exact if exact is not None else (target.exact_samples or DEFAULT_EXACT)
    engine, samples = get_target("fixed-sim"), sample_count(inputs, program.source)

    def watch(tally: Tally, reference: Comparison, on_target: Comparison | None) -> None:
        so_far.on_request(lambda: so_far.of_verify(tally, samples, labels, reference, on_target))

    so_far.on_request(lambda: f"0 of {samples:,} samples   the first {max(few, 1)} are being compared cell by cell")
    with (
        shared.announced(engine),
        terminal.progress("verifying", not as_json) as update,
        cluster(address) as spread,
    ):
        found = verify(
            graph, program, target, engine, folder, inputs, labels, few, max_drop,
            RunOptions(timeout_s=timeout, path=path, threads=threads or 0), update, spread, watch,
        )  # fmt: skip
    if as_json:
        terminal.print_json(facts(found, target.name))
    else:
        show(found, target.name, max_drop)
    if not found.passed:
        raise click.exceptions.Exit(1)


def facts(v: Verification, target: str) -> dict[str, Any]:
    """The verification as plain data."""

    def comparison(c: Any) -> Any:
        return c and {
            "samples": c.samples,
            "cells": c.cells,
            "differing": c.differing,
            "first": c.first and vars(c.first),
        }

    return {
        "target": target,
        "samples": v.samples,
        "accuracy": {"float": v.float_accuracy, "integer": v.integer_accuracy, "target": v.target_accuracy},
        "accuracy_drop": v.drop,
        "accuracy_drop_interval_95": v.drop_interval,
        "prediction_agreement": v.agreement,
        "spikes_per_inference": {"float": v.float_spikes, "integer": v.integer_spikes},
        "layers": [vars(layer) for layer in v.layers],
        "first_deviation_from_float": v.first_deviation,
        "fixed_sim_against_reference": comparison(v.reference),
        "target_against_reference": comparison(v.target),
        "gates": [vars(g) for g in v.gates],
        "passed": v.passed,
    }


def show(v: Verification, target: str, max_drop: float | None) -> None:
    """The verification as a person reads it."""
    from snncc.report import terminal as t

    rows = [
        ["float network", t.percent(v.float_accuracy), "–", t.count(v.float_spikes)],
        ["integer program", t.percent(v.integer_accuracy), t.percent(v.agreement), t.count(v.integer_spikes)],
    ]
    t.table(["", "accuracy", "agrees", "spikes/inference"], rows)
    click.echo(f" {v.samples:,} samples")
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
    failed = [g for g in v.gates if not g.passed]
    if failed:
        t.verdict(False, "; ".join(f"{g.name}: {g.value:g}, limit {g.limit:g}" for g in failed))
        return
    said = "no cell differs"
    if v.drop is not None and v.drop_interval is not None:
        low, high = v.drop_interval
        limit = f"limit {max_drop:.2f}; " if max_drop is not None else ""
        said = f"drop {100 * v.drop:.2f} points ({limit}95 % interval {100 * low:.2f} … {100 * high:.2f}); {said}"
    t.verdict(True, said)


def _show_exact(label: str, who: str, c: Any, accuracy: float | None) -> None:
    from snncc.report import terminal as t

    state = "exact" if c.differing == 0 else f"first differing cell: {c.first}"
    right = "" if accuracy is None else f", accuracy there {t.percent(accuracy)}"
    t.fact(label, f"{who}: {state} on {c.samples} samples, {c.differing:,} of {c.cells:,} cells differ{right}")
