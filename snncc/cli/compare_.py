"""``snncc compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.errors import InputError

if TYPE_CHECKING:
    from snncc.chip.spec import Chip
    from snncc.energy.account import Estimate
    from snncc.energy.costs import CostSet
    from snncc.ir.graph import Graph
    from snncc.profile import Measured
    from snncc.target import Finding, Target

NO_COSTS = "no costs of it: give a cost set to price it"
MOST_FINDINGS = 8
"""Of a target, shown here; --json and snncc check have them all."""
UNPLACED = "no chip of it is described: each layer counts as one core"


@dataclass(frozen=True)
class Asked:
    """A target to compare: a cost set with its chip, or what a compiler target computes, without costs.

    ``arithmetic`` names the compiler target whose whole numbers are run.
    """

    name: str
    arithmetic: str
    costs: CostSet | None
    chip: Chip | None


@dataclass(frozen=True)
class Row:
    """A target's figures an inference, None where there is none; ``why`` says so. Accuracy of 1, joules, seconds.

    ``leaves_out``: terms that the energies are without, since nobody published a cost or counted them. ``findings``: what the
    target or its chip cannot take.
    """

    target: str
    arithmetic: str
    accuracy: float | None = None
    spikes: float | None = None
    synaptic_operations: float | None = None
    chip: str | None = None
    cores: int | None = None
    energy_s1: Estimate | None = None
    energy_s3: Estimate | None = None
    latency: Estimate | None = None
    grade: str | None = None
    costs_sha256: str | None = None
    leaves_out: tuple[str, ...] = ()
    why: str = ""
    findings: tuple[Finding, ...] = ()


@click.command("compare")
@click.argument("model")
@click.option(
    "--targets",
    "names",
    required=True,
    metavar="A,B,…",
    help="Cost sets, .toml files of your own, or compiler targets.",
)
@shared.data_option
@shared.limit_option
@shared.encode_option
@shared.cut_option
@shared.engine_options
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    names: str,
    data_name: str,
    limit: int | None,
    cut: str,
    path: str,
    threads: int | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Hold MODEL on several targets side by side: accuracy, spikes, operations, cores, energy and latency.

    A target is a cost set (loihi1, loihi2, truenorth, spinnaker1, spinnaker2, digital …): the network is placed on its chip, where
    there is a description of one, in the arithmetic of that chip. Or it is a compiler target (snncc targets): its arithmetic
    alone, without costs. One that cannot take the network is a row that says why.
    """
    from snncc.compiler import RefusedError
    from snncc.errors import UnsupportedError
    from snncc.profile import measure
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions

    compiled = shared.read_compiled(model)
    compiled_for = None if compiled is None else str(compiled.manifest.get("target"))
    every = [asked(name, compiled_for) for name in split(names)]
    graph = shared.read_graph(model, rest["semantics"])[1] if compiled is None else compiled.graph
    graph = shared.with_encoder(graph, rest["encode_text"])
    inputs, labels = shared.load_data(data_name, limit, graph)
    engine, rows = get_target("fixed-sim"), dict[str, Row]()
    for arithmetic in dict.fromkeys(a.arithmetic for a in every):
        mine = [a for a in every if a.arithmetic == arithmetic]
        target = shared.need_target(arithmetic, rest["int8"] and compiled is None)
        try:
            program = shared.compile_read(graph, target, rest) if compiled is None else compiled.program
        except (RefusedError, UnsupportedError):
            rows |= {a.name: refused(a, graph, target, rest) for a in mine}
            continue
        with shared.announced(engine), terminal.progress(arithmetic, not as_json) as update:
            how = RunOptions(progress=update, path=path, threads=threads or 0)
            measured = measure(program, engine, inputs, how, any(a.chip for a in mine))
        accuracy = accuracy_of(measured, labels)
        rows |= {a.name: row(a, measured, accuracy, cut) for a in mine}
    found = [rows[a.name] for a in every]
    if as_json:
        terminal.print_json([facts(r) for r in found])
    else:
        show(found)


def split(names: str) -> list[str]:
    """The names between commas, each once."""
    made = list(dict.fromkeys(part.strip() for part in names.split(",")))
    if "" in made:
        raise InputError(
            f"--targets {names!r}: a name is missing; give names with commas between them, such as loihi1,loihi2"
        )
    return made


def asked(name: str, compiled_for: str | None) -> Asked:
    """What a name of ``--targets`` means. Raises :class:`InputError` where it is nothing that is known."""
    from snncc.energy.costs import cost_sets, load_costs
    from snncc.profile import chip_of
    from snncc.registry import entries

    known = entries("snncc.targets")
    if name in known:
        if compiled_for not in (None, name):
            raise InputError(
                f"--targets {name}: the model is compiled for {compiled_for} already; give the network itself"
            )
        return Asked(name, name, None, None)
    if name not in cost_sets() and not Path(name).is_file():
        raise InputError(
            f"--targets {name}: is neither a cost set ({', '.join(cost_sets())}), a file, nor a compiler target "
            f"({', '.join(known)})"
        )
    costs = load_costs(name)
    chip = chip_of(costs)
    return Asked(name, compiled_for or (chip.target if chip else "fixed-sim"), costs, chip)


def refused(a: Asked, graph: Graph, target: Target, rest: dict[str, Any]) -> Row:
    """A target whose arithmetic cannot take the network; what its chip cannot take either is said too."""
    from snncc.chip.fit import fit

    reasons = fit(graph, target, shared.chosen_options(rest, graph), a.chip).errors
    why, chip = f"{target.name} cannot take this network", None if a.chip is None else a.chip.name
    return Row(a.name, a.arithmetic, chip=chip, why=why, findings=tuple(reasons))


def row(a: Asked, measured: Measured, accuracy: float | None, cut: str) -> Row:
    """A target's figures."""
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.fastest import FASTEST, fastest
    from snncc.profile import profile

    costs = a.costs or load_costs(DEFAULT_COSTS)
    p = profile(measured, costs, a.chip, placer=fastest(costs) if cut == FASTEST else None)
    spikes, operations = p.total.per_inference["spikes"], p.total.synaptic_operations
    if a.costs is None:
        return Row(a.name, a.arithmetic, accuracy, spikes, operations, why=NO_COSTS)
    energies = {} if p.findings else {s.key: s.energy for s in p.account.scopes}
    widest = [s for s in p.account.scopes if s.key <= "S3" and energies.get(s.key) is not None]
    return Row(
        a.name,
        a.arithmetic,
        accuracy,
        spikes,
        operations,
        None if a.chip is None else a.chip.name,
        p.total.cores,
        energies.get("S1"),
        energies.get("S3"),
        None if p.findings else p.account.latency,
        a.costs.grade,
        a.costs.sha256,
        widest[-1].leaves_out if widest else (),
        "" if p.placement is not None else p.unplaced if p.findings else UNPLACED,
        p.findings,
    )


def accuracy_of(measured: Measured, labels: Any) -> float | None:
    """Share of right classes; None without labels."""
    from snncc.report.profile_facts import accuracy_facts

    found: float | None = accuracy_facts(measured, labels)["integer"]
    return found


def facts(r: Row) -> dict[str, Any]:
    """A row as plain values."""
    from dataclasses import asdict

    return asdict(r)


def show(rows: Sequence[Row]) -> None:
    """The table, and below it what a row leaves open."""
    from snncc.report import terminal as t

    def number(value: float | None) -> str:
        return "–" if value is None else t.count(value)

    def spread(e: Estimate | None, words: Any) -> str:
        return "–" if e is None else f"{words(e.typ)} [{words(e.low)} … {words(e.high)}]"

    head = ["target", "accuracy", "spikes", "synaptic ops", "cores", "energy S1", "energy S3", "latency", "grade"]
    t.table(
        head,
        [
            [
                shared.visible(r.target), t.percent(r.accuracy), number(r.spikes), number(r.synaptic_operations), number(r.cores),
                spread(r.energy_s1, t.joules), spread(r.energy_s3, t.joules), spread(r.latency, t.seconds), r.grade or "–",
            ]
            for r in rows
        ],
    )  # fmt: skip
    click.echo(" an inference; S1 core dynamic, S3 + network on chip and static power; – is not modelled, never zero")
    width = max(len(r.target) for r in rows)
    for r in rows:
        without = f"without {', '.join(r.leaves_out)}" if r.leaves_out else ""
        said = "; ".join(filter(None, (r.why, without)))
        if said:
            click.secho(f" {shared.visible(r.target):<{width}}  ", bold=True, nl=False)
            click.echo(shared.visible(said))
        for f in r.findings[:MOST_FINDINGS]:
            click.echo(f" {'':<{width}}  {shared.visible(str(f))}")
        if len(r.findings) > MOST_FINDINGS:
            chip = f" --chip {r.chip}" if r.chip else ""
            more = f"and {len(r.findings) - MOST_FINDINGS:,} more: --json, or snncc check -t {r.arithmetic}{chip}"
            click.echo(f" {'':<{width}}  {more}")
