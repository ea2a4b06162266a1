"""``snncc energy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    from snncc.energy.account import Account, Estimate


@click.command("energy")
@click.option("--counts", "file", required=True, metavar="FILE", help="Event counts, .json or .toml (docs/energy.md).")
@click.option(
    "--target", "-t", "--costs", "cost_name", help="A cost set or a .toml file of your own; loihi1 if not given."
)
@click.option("--draws", type=click.IntRange(1, 100_000), default=2000, show_default=True, help="Of the parameters.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option("--sources", is_flag=True, help="Print every constant with its conditions and source.")
@shared.json_option
def command(file: str, cost_name: str | None, draws: int, seed: int, sources: bool, as_json: bool) -> None:
    """Price event counts from a file: energy by scope, latency and their uncertainty.

    The counts may come from anywhere, a published measurement too; "snncc profile --write-counts" writes those of a model.
    Cost sets: loihi1, loihi1-davies2018, loihi1-sanafe, loihi2 (assumed), truenorth, spinnaker1, spinnaker2, digital.
    """
    from snncc.energy.account import account
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.energy.counts_file import read_counts
    from snncc.energy.record import account_dict
    from snncc.report import terminal

    costs = load_costs(cost_name or DEFAULT_COSTS)
    result = account(read_counts(file), costs, draws, seed)
    if as_json:
        terminal.print_json(account_dict(result))
        return
    show(result)
    if sources:
        show_sources(result)


def show(a: Account) -> None:
    """The terms, the scopes, latency, and what is left out."""
    from snncc.report import terminal as t

    run = a.run
    parts = (
        (run.samples, "samples"),
        (run.steps, "steps"),
        (run.cores, "cores"),
        (run.tiles, "tiles"),
        (run.chips, "chips"),
    )
    known = [f"{n:,} {what if n > 1 else what[:-1]}" for n, what in parts if n is not None]
    t.fact("counts", shared.visible(run.name), ", ".join(known))
    rows = [
        [
            term.name,
            term.scope,
            "–" if term.count is None else t.count(term.count),
            t.joules(term.energy.typ),
            f"{t.joules(term.energy.low)} … {t.joules(term.energy.high)}",
            t.percent(term.share),
        ]
        for term in a.terms
        if term.energy is not None and term.count
    ]
    t.table(["term", "scope", "per inference", "energy", "low … high", "share"], rows, left=2)
    show_scopes(a)
    if a.energy_delay is not None:
        from snncc.energy.account import EDP

        t.fact("EDP", f"{a.energy_delay.typ:.3g} J·s [{a.energy_delay.low:.3g} … {a.energy_delay.high:.3g}]", EDP)
    if a.swings:
        shown = [f"{name} {100 * share:.0f} %" for name, share in list(a.swings.items())[:4]]
        t.fact("unsure", f"the interval up to S3 comes from {', '.join(shown)}")
    show_left_out(a)
    for what, cost in a.costs.discrepancy.items():
        t.fact(
            "model", f"{what} as a whole may lie off by {cost.value.low:g} … {cost.value.high:g} times", cost.conditions
        )
    t.fact("grade", f"{a.costs.grade}: {a.costs.grade_reason}")
    t.fact(
        "costs",
        f"{a.costs.name}: {a.costs.title}",
        f"sha256 {a.costs.sha256[:12]}…",
        "(--sources lists every constant)",
    )


def show_scopes(a: Account, brief: bool = False) -> None:
    """S1 to S5 and the latency; ``brief`` leaves out those without a figure."""
    from snncc.report import terminal as t

    for scope in a.scopes:
        if scope.key == "S0" or (brief and scope.energy is None):
            continue
        if scope.energy is None:
            t.fact(scope.key, f"{scope.title}: not modelled, see below")
            continue
        without = len(scope.leaves_out)
        note = [f"without {without} term{'s' if without > 1 else ''} left out below"] if without else []
        t.fact(scope.key, f"{scope.title}: {estimate(scope.energy, t.joules)}", f"grade {a.costs.grade}", *note)
    if a.latency is None and brief:
        return
    if a.latency is None:
        t.fact("latency", f"not modelled: {a.latency_missing.get('latency', '')}")
    else:
        given = a.run.inference_seconds is not None
        t.fact("latency", f"{t.seconds(a.run.inference_seconds)} as given" if given else estimate(a.latency, t.seconds))


def show_left_out(a: Account, brief: bool = False) -> None:
    """Terms that are not modelled, and why; ``brief``: those that nobody priced alone."""
    from snncc.energy.account import grouped
    from snncc.report import terminal as t

    unpriced = [x.name for x in a.terms if x.energy is None and x.missing.endswith(x.cost)]
    if unpriced:
        t.fact("left out", f"{', '.join(unpriced)}: {a.costs.name} holds no published figure")
    if brief:
        return
    for reason, names in grouped({n: why for n, why in a.not_modelled.items() if n not in unpriced}).items():
        t.fact("left out", f"{names}: {reason}")
    if a.latency is not None:
        for reason, names in grouped(a.latency_missing).items():
            t.fact("left out", f"of latency, {names}: {reason}")


def estimate(e: Estimate, words: object) -> str:
    """Typical, envelope and percentiles."""
    assert callable(words)
    return f"{words(e.typ)}   [{words(e.low)} … {words(e.high)}]   5–95 %: {words(e.p5)} … {words(e.p95)}"


def show_sources(a: Account) -> None:
    """Every constant with where it is from."""
    from snncc.energy.record import constants
    from snncc.report import terminal as t

    for name, c in constants(a.costs).items():
        t.fact(name, f"{c.value.typ:g} [{c.value.low:g} … {c.value.high:g}] {c.unit}", c.kind, c.conditions, c.source)
    t.fact("costs", a.costs.file, f"sha256 {a.costs.sha256}")
