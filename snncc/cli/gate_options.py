"""Options of ``snncc verify`` that say what is asked for, how sure to be of it, and where it is written."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from snncc.cli.needs import only_with
from snncc.cli.options import F
from snncc.errors import InputError


@dataclass(frozen=True)
class GateOptions:
    """What they said; fields as the options are called."""

    max_accuracy_drop: float | None
    min_accuracy: float | None
    min_agreement: float | None
    max_energy_uj: float | None
    max_latency_ms: float | None
    max_cores: int | None
    energy_scope: str
    costs: str | None
    chip: str | None
    baseline: Path | None
    baseline_tolerance: float
    samples: str
    seed: int
    as_sample: bool
    alpha: float
    beta: float
    allow_undecided: bool
    junit: Path | None
    markdown: Path | None


def gate_options(function: F) -> F:
    """Adds them; the function gets one argument ``asked``, a :class:`GateOptions`."""

    @wraps(function)
    def call(**values: Any) -> Any:
        given = {f.name: values.pop(f.name) for f in fields(GateOptions)}
        return function(**values, asked=GateOptions(**given))

    file = click.Path(path_type=Path, dir_okay=False)
    for option in reversed((
        click.option(
            "--max-accuracy-drop", type=float, metavar="POINTS", help="Points of accuracy it may lose."
        ),
        click.option(
            "--min-accuracy",
            type=float,
            metavar="PERCENT",
            help="Samples that it must get right.",
        ),
        click.option(
            "--min-agreement",
            type=float,
            metavar="PERCENT",
            help="Samples with the class that the float network gives.",
        ),
        click.option("--max-energy-uj", type=float, metavar="UJ", help="Microjoules an inference may take."),
        click.option("--max-latency-ms", type=float, metavar="MS", help="Milliseconds it may take."),
        click.option("--max-cores", type=int, metavar="N", help="Cores of the chip it may fill."),
        click.option(
            "--energy-scope",
            type=click.Choice(["S1", "S2", "S3", "S4", "S5"]),
            default="S3",
            show_default=True,
            help="Which energy is meant (docs/energy.md).",
        ),
        click.option("--costs", help="What prices it: a cost set or a .toml file of your own (loihi1)."),
        click.option("--chip", metavar="NAME|FILE", help="Where it is placed; the chip that the costs are of."),
        click.option(
            "--baseline",
            type=file,
            metavar="FILE",
            help="Fail where it got worse, beyond chance, or dearer than what an earlier verify --json wrote.",
        ),
        click.option(
            "--baseline-tolerance",
            type=float,
            default=2.0,
            show_default=True,
            metavar="PERCENT",
            help="By which energy and latency may rise beyond the baseline's.",
        ),
        click.option(
            "--samples",
            default="all",
            show_default=True,
            metavar="N|auto|all",
            help="N drawn at random; auto: until the gates are decided.",
        ),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of --samples."),
        click.option(
            "--as-sample", is_flag=True, help="Judge what the data stands for by an interval, not the data itself."
        ),
        click.option(
            "--alpha", type=float, default=0.025, show_default=True, help="Chance to fail a gate that is met."
        ),
        click.option("--beta", type=float, default=0.025, show_default=True, help="Chance to pass one that is not."),
        click.option("--allow-undecided", is_flag=True, help="Exit with 0 where no gate failed but some are open."),
        click.option("--junit", type=file, metavar="FILE", help="Write the gates as JUnit XML."),
        click.option("--markdown", type=file, metavar="FILE", help="Write them as Markdown."),
    )):  # fmt: skip
        call = option(call)
    return cast(F, call)


def check_needs(asked: GateOptions, as_json: bool) -> None:
    """Raises :class:`InputError` on options that would do nothing, for want of those that they are for, and on one file for two."""
    compared = asked.baseline is not None
    modelled = asked.max_energy_uj is not None or asked.max_latency_ms is not None
    only_with("--samples N or auto", asked.samples != "all", "seed")
    only_with("--baseline", compared, "baseline_tolerance")
    only_with("--max-energy-uj or --baseline", asked.max_energy_uj is not None or compared, "energy_scope")
    priced = modelled or asked.max_cores is not None or compared or as_json
    only_with("--max-energy-uj, --max-latency-ms, --max-cores, --baseline or --json", priced, "costs", "chip")
    if asked.junit is not None and asked.markdown is not None and asked.junit.resolve() == asked.markdown.resolve():
        raise InputError(f"--junit and --markdown are one file ({asked.junit}); give each its own")
