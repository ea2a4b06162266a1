"""``snncc compile --budget-accuracy``: bits for every layer, found under an accuracy budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snncc.cli import options as shared
from snncc.cli.needs import warn_of_test_data
from snncc.errors import InputError

if TYPE_CHECKING:
    from snncc.ir.graph import Graph
    from snncc.mixed.samples import Samples
    from snncc.mixed.search import Found
    from snncc.target import CompileOptions, Target

F = TypeVar("F", bound=Callable[..., Any])
MEASURE = 2000
"""Samples to measure on, at most; and a third of those there are, at most."""
MOST = 20_000
SEED = 0
"""Which samples measure and which confirm."""


def budget_options(function: F) -> F:
    """Adds them; the function gets ``budget_accuracy``, ``minimise``, ``confirm`` and ``budget_samples``."""
    for option in (
        click.option(
            "--budget-samples",
            type=click.IntRange(min=1),
            default=MOST,
            show_default=True,
            help="Samples of --calibrate (and of --confirm) that the search takes, at most.",
        ),
        click.option(
            "--confirm",
            metavar="DATA",
            help="Confirm the budget on this data set instead of on a part of --calibrate. No test set.",
        ),
        click.option(
            "--minimise",
            type=click.Choice(["memory", "energy"]),
            default="memory",
            show_default=True,
            help="What --budget-accuracy saves: memory of weights and states, or core dynamic energy at loihi1 costs.",
        ),
        click.option(
            "--budget-accuracy",
            type=float,
            metavar="POINTS",
            help="Find bits for every layer, of --bits and 6, 5, 4, 3, 2, that lose so many points of accuracy at most. "
            "Needs --calibrate with training data.",
        ),
    ):
        function = option(function)
    return function


def find(
    graph: Graph,
    target: Target,
    options: CompileOptions,
    calibration: str | None,
    skip: int,
    points: float,
    minimise: str,
    confirm: str | None,
    most: int,
    quiet: bool,
) -> Found:
    """The search, on samples of ``calibration`` behind the first ``skip``; says on standard error what it runs.

    Raises :class:`InputError` where there is no labelled data for it.
    """
    from snncc.mixed.search import Budget, search
    from snncc.registry import get_target
    from snncc.report import terminal

    budget = Budget(points, minimise)
    if calibration is None:
        raise InputError("--budget-accuracy: say --calibrate with labelled training data, which the search measures on")
    if confirm is not None:
        if confirm == calibration:
            raise InputError(
                f"--confirm {confirm}: is what --calibrate names, so bits would be confirmed on the samples that chose them; leave "
                "it out, and a part of the data is kept to confirm with, or name other data"
            )
        warn_of_test_data("--confirm", confirm)
    measured, confirming = parts(graph, calibration, skip, confirm, most)
    terminal.fact(
        "search", f"{len(measured):,} samples to measure on, {len(confirming):,} others to confirm with", err=True
    )
    engine = get_target("fixed-sim")
    context = click.get_current_context()

    def say(text: str) -> None:
        with context.scope(cleanup=False):
            terminal.fact("search", text, err=True)

    with shared.announced(engine), terminal.progress("layers", not quiet) as update:
        return search(
            graph,
            target,
            engine,
            options,
            measured,
            confirming,
            budget,
            say,
            lambda what, done, total: update(done, total),
        )


def parts(graph: Graph, calibration: str, skip: int, confirm: str | None, most: int) -> tuple[Samples, Samples]:
    """(to measure with, to confirm with), drawn at random; the first ``skip``, which the compiler calibrates on, are in neither."""
    import numpy as np

    from snncc.accuracy import steps_with_label
    from snncc.feed import sample_count
    from snncc.mixed.samples import Samples, split

    entry = shared.input_of(graph)

    def drawn(name: str, skip: int) -> Samples:
        inputs, labels = shared.load_data(name, None, graph)
        if labels is None:
            raise InputError(f"{name}: has no labels, so no accuracy; --budget-accuracy needs them")
        count = sample_count(inputs, entry)
        order = np.random.Generator(np.random.PCG64(SEED)).permutation(np.arange(min(skip, count), count))[:most]
        if len(order) == 0:
            raise InputError(
                f"--budget-accuracy: {name} has {count:,} samples, and all are calibrated on; name more data, or fewer "
                f"--calibration-samples than {skip:,}"
            )
        return Samples(inputs, labels, entry, order, steps_with_label(labels))

    first = drawn(calibration, skip)
    if confirm is None:
        measure = min(MEASURE, len(first) // 3)
        return split(first.inputs, first.labels, entry, first.numbers, measure)
    measure = min(MEASURE, len(first))
    return split(first.inputs, first.labels, entry, first.numbers, measure)[0], drawn(confirm, 0)


def write_search(found: Found, folder: Path, data: str, confirm: str | None) -> list[str]:
    """``search.json`` and the plot, into a compiled folder."""
    from snncc.mixed.record import FILE, PLOT, search_value
    from snncc.records import dump_json

    value = search_value(found, plain_name(data), plain_name(data if confirm is None else confirm))
    (folder / FILE).write_text(dump_json(value), encoding="utf-8")
    (folder / PLOT).write_text(plot(found), encoding="utf-8")
    return [FILE, PLOT]


def plain_name(data: str) -> str:
    """Without the folders: where a file lies is nobody else's business."""
    return Path(data).name if Path(data.partition("?")[0]).suffix else data


def plot(found: Found) -> str:
    """Cost against accuracy, as SVG."""
    from snncc.mixed.record import pareto
    from snncc.mixed.search import MEMORY
    from snncc.report.pareto import Mark, pareto_svg

    memory = found.budget.minimise == MEMORY
    front = {id(one) for one in pareto(found.tried)}
    marks = []
    for one in found.tried:
        widths = set(one.bits.values())
        uniform = len(widths) == 1 and one.guard_bits is None
        label = f"{min(widths)} bits" if uniform else " ".join(f"{n}={b}" for n, b in one.bits.items())
        cost = one.cost / 1000 if memory else one.cost * 1e6
        marks.append(Mark(cost, one.accuracy, label, uniform, one is found.chosen, id(one) in front))
    axis = "memory of weights and states, kB" if memory else "energy of an inference, µJ"
    best = max(found.float_accuracy, found.uniform.accuracy)
    title = f"{found.made.graph.name}: at most {found.budget.points:g} points for {found.budget.minimise}"
    return pareto_svg(title, axis, marks, best - found.budget.share)


def show(found: Found) -> None:
    """The front as a table, and what was chosen."""
    from snncc.mixed.record import rows
    from snncc.mixed.search import ENERGY
    from snncc.report import terminal

    head, table = rows(found)
    terminal.table(head, table, left=2)
    click.echo()
    saved = 1 - found.chosen.weight_bytes / found.uniform.weight_bytes
    if found.chosen.judged is None:
        terminal.fact("chosen", f"{found.options.bits} bits everywhere: nothing cheaper was shown to keep the budget")
        return
    judged = found.chosen.judged
    against = ", ".join(
        f"{100 * d.mean:+.2f} points against {rival}"
        for d, rival in zip(judged.drops, ("float", f"{found.options.bits} bits"), strict=True)
    )
    sure = 100 * (1 - found.budget.error)
    least = (
        f"{100 * (1 - found.chosen.cost / found.uniform.cost):.1f} % of the energy and "
        if found.budget.minimise == ENERGY
        else ""
    )
    terminal.fact("chosen", f"{least}{100 * saved:.1f} % of the weight memory saved")
    terminal.fact(
        "confirmed",
        f"on {judged.samples:,} samples that chose nothing: {against}; within {found.budget.points:g}, {sure:g} % sure",
    )
