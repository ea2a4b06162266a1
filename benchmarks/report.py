"""What the benchmark prints and writes."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checks import Check, LayerTime
from benchmarks.claims import AUTO, DENSE, Result, shown
from benchmarks.limit import Rate, best
from benchmarks.rounds import Timing


def progress(text: str) -> None:
    """A line that the next one replaces; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K  {text[:110]}", end="", file=sys.stderr, flush=True)


def done() -> None:
    """Take the last line of progress away."""
    progress("")


def print_limits(rates: Sequence[Rate], threads: int) -> None:
    """The machine's limit."""
    print(f"The machine's limit, {threads} threads")
    for rate in rates:
        value = f"{rate.per_second / 1e9:>10.1f} G/s" if not rate.failed else f"  left out: {rate.failed}"
        print(f"  {rate.kind:<9} {rate.what:<52}{value}")
    print()


def print_result(result: Result, rates: Sequence[Rate]) -> None:
    """One workload: a line a contender."""
    work = result.work
    print(f"{result.title}: T = {work.graph.time_steps}; {work.origin}")
    print(f"  fires {percent(work.rates)} of hidden layers' neurons a step in the float network")
    print(f"  {'':<24}{'ms/sample':>10}  {'× snncc auto':<28}{'samples × rounds':<18}activity found")
    for t in result.timings:
        ratio = f"{t.ratio.median:.2f} [{t.ratio.low:.2f} … {t.ratio.high:.2f}]"
        found = f"{100 * float(np.mean(t.rates)):.2f} %" if t.rates else "–"
        extra = "; ".join(x for x in (share(result, t, rates), t.note) if x)
        print(
            f"  {t.name:<24}{1e3 * t.seconds.median:>10.3f}  {ratio:<28}{f'{t.samples} × {t.rounds}':<18}{found:<9}{extra}"
        )
    for name, why in result.left_out:
        print(f"  {name:<24}left out: {why}")
    print(flush=True)


def percent(rates: Iterable[float]) -> str:
    """Rates of layers in percent."""
    return ", ".join(f"{100 * r:.3g}" for r in rates) + " %"


def achieved(result: Result, timing: Timing) -> tuple[str, float] | None:
    """(kind of operation, rate a second) of one of snncc's paths: additions of the event path, multiplications of the dense
    one, over the whole run with its neurons."""
    if timing.name not in result.did:
        return None
    did, seconds = result.did[timing.name], timing.seconds.median * timing.samples
    return ("multiply", did.products / seconds) if timing.name == DENSE else ("add", did.operations / seconds)


def share(result: Result, timing: Timing, rates: Sequence[Rate]) -> str:
    """What a path achieved, and of the limit where that is known."""
    found = achieved(result, timing)
    if found is None:
        return ""
    kind, rate = found
    word = "products" if kind == "multiply" else "synaptic operations"
    if timing.name == AUTO or not rates:
        return f"{rate / 1e9:.2f} G {word}/s"
    return f"{rate / 1e9:.2f} G {word}/s, {100 * rate / best(rates, kind):.1f} % of the limit"


def print_layers(times: Sequence[LayerTime], rates: Sequence[Rate]) -> None:
    """Single layers against activity."""
    if not times:
        return
    print("Single layers with their neurons; shortest of the runs")
    for name in dict.fromkeys(t.layer for t in times):
        own = [t for t in times if t.layer == name]
        silent = own[0].event
        print(f"  {name:<32}{'event ms':>10}{'dense ms':>10}   additions/s without the silent run, of the limit")
        for t in own:
            took = t.event - silent
            rate = t.operations / took if t.operations and took > 0 else 0.0
            part = f"   {rate / 1e9:.1f} G/s" if rate else ""
            if rate and rates:
                part += f", {100 * rate / best(rates, 'add'):.0f} %"
            if rates:
                dense_rate = t.products / t.dense
                of = 100 * dense_rate / best(rates, "multiply")
                part += f"   dense {dense_rate / 1e9:.1f} G products/s, {of:.0f} %"
            print(f"  {shown(t.activity):<32}{1e3 * t.event:>10.2f}{1e3 * t.dense:>10.2f}{part}")
    print(flush=True)


def print_checks(title: str, checks: Sequence[Check]) -> None:
    """Figures, and whether they are what they should be."""
    if not checks:
        return
    print(title)
    for c in checks:
        verdict = "" if c.holds is None else f"wanted {c.wanted}: {'holds' if c.holds else 'DOES NOT HOLD'}"
        print(f"  {c.what:<92}{c.value:>9.3g} {c.unit:<4}{verdict}")
    print(flush=True)


def rows(results: Iterable[Result], rates: Sequence[Rate]) -> Iterator[dict[str, Any]]:
    """Of the CSV file: one a contender and workload; those left out have a note alone."""
    for result in results:
        work = result.work
        head = {
            "network": work.case.name, "time_steps": work.graph.time_steps, "batch": work.samples,
            "activity": work.activity, "float_rate": float(np.mean(work.rates)),
        }  # fmt: skip
        for t in result.timings:
            found = achieved(result, t)
            limit = best(rates, found[0]) if found and rates else None
            yield head | {
                "contender": t.name, "samples": t.samples, "rounds": t.rounds,
                "seconds_per_sample": t.seconds.median, "seconds_low": t.seconds.low, "seconds_high": t.seconds.high,
                "times_snncc": t.ratio.median, "times_snncc_low": t.ratio.low, "times_snncc_high": t.ratio.high,
                "rate_found": float(np.mean(t.rates)) if t.rates else None,
                "operations_per_second": found[1] if found else None, "operations_limit": limit, "note": t.note,
            }  # fmt: skip
        for name, why in result.left_out:
            yield head | {"contender": name, "note": f"left out: {why}"}


def write_csv(path: Path, table: Sequence[dict[str, Any]]) -> None:
    """All columns that any row has."""
    if not table:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in table for key in row)))
        writer.writeheader()
        writer.writerows(table)


def check_rows(checks: Iterable[Check], rates: Iterable[Rate]) -> list[dict[str, Any]]:
    """Limits and checks in one table."""
    limits = [Check("limit", f"{r.kind}: {r.what}", r.per_second, "1/s", r.failed) for r in rates]
    return [asdict(c) for c in (*limits, *checks)]
