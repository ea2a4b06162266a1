"""What a person sees: short lines and plain tables; colour only on a terminal, nothing that needs one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

Row = Sequence[str]


def fact(label: str, *values: str, err: bool = False) -> None:
    """One line: a label and what there is to say; on standard error where it is no result, above a bar that is shown."""
    line = click.style(f" {label:<10} ", fg="cyan") + "   ".join(values)
    click.echo(line, file=sys.stderr if err else None)  # err=True would go past the bar


def table(head: Row, rows: Sequence[Row], left: int = 1) -> None:
    """Columns with a head; the first ``left`` are flush left, the others flush right."""
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]

    def line(row: Row) -> str:
        cells = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        return (" " + "  ".join(cells)).rstrip()

    click.secho(line(head), bold=True)
    for row in rows:
        click.echo(line(row))


def verdict(outcome: str, text: str) -> None:
    """PASS, FAIL or OPEN for met, failed and undecided, and why."""
    word, colour = {"met": ("PASS", "green"), "failed": ("FAIL", "red"), "undecided": ("OPEN", "yellow")}[outcome]
    click.secho(f" {word}   ", fg=colour, bold=True, nl=False)
    click.echo(text)


def print_json(value: Any) -> None:
    """The facts for machines."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def percent(value: float | None) -> str:
    """0.9931 as ``99.31 %``."""
    return "–" if value is None else f"{100 * value:.2f} %"


def count(value: float) -> str:
    """Thousands separated; a decimal below 100."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def joules(value: float | None) -> str:
    """Energy with the unit that fits."""
    if value is None:
        return "not modelled"
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"), (1e-12, "pJ")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {unit}"
    return "0 J" if value == 0 else f"{value:.2e} J"


def seconds(value: float | None) -> str:
    """Time with the unit that fits."""
    if value is None:
        return "not modelled"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def bar(share: float, width: int = 12) -> str:
    """A share of 1 as blocks."""
    return "▇" * round(share * width)


@contextmanager
def progress(label: str, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error with rate and time left, where that is a terminal."""
    if not show or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn(f" {label:<11}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    start = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=None, rate="")

        def update(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total, rate=f"{done / (time.monotonic() - start + 1e-9):,.0f}/s")

        yield update
