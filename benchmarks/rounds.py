"""Contenders take turns within rounds; ratios are of times of the same round, so that whatever else the machine does meets
them all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from snncc.errors import SnnccError

FAILURES = (SnnccError, ImportError, RuntimeError, TypeError, ValueError, OSError)
"""What a contender that cannot run may raise; it is then named, and the others go on."""
LeftOut = tuple[str, str]
"""A contender and why it is not measured."""


@dataclass(frozen=True, eq=False)
class Contender:
    """Something that runs a network.

    Attributes:
        name: what people read.
        samples: how many it runs at a time.
        run: runs them; returns the seconds it took where it measured them itself, else anything but a float.
        warm: runs them once before, untimed, and returns the share of neurons that fired in a step, by hidden layer, as
            the contender itself counts; empty where it cannot.
        note: what a reader should know.
    """

    name: str
    samples: int
    run: Callable[[], object] = field(repr=False)
    warm: Callable[[], tuple[float, ...]] = field(repr=False)
    note: str = ""


@dataclass(frozen=True)
class Spread:
    """Median of several values, and their extremes."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g} … {self.high:.3g}]"


@dataclass(frozen=True)
class Timing:
    """Seconds a sample over the rounds.

    Attributes:
        ratio: this contender's time over the first one's, of the same rounds.
        rates: share of neurons that fired in a step, by hidden layer; may be empty.
    """

    name: str
    samples: int
    rounds: int
    seconds: Spread
    ratio: Spread
    rates: tuple[float, ...] = ()
    note: str = ""


def spread_of(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(min(values), statistics.median(values), max(values))


def said(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0][:200]}"


TURN_S = 0.2
"""A run shorter than this is repeated until that much time is spent; the first finds the caches as the contender before left them,
and does not count."""


def seconds_of(contender: Contender) -> float:
    """One turn: the median of its runs, in seconds. As in :mod:`timeit`, Python collects no garbage meanwhile: what it would
    look through are the objects of all contenders."""
    taken: list[float] = []
    gc.collect()
    gc.disable()
    try:
        while sum(taken) < TURN_S:
            start = time.perf_counter()
            own = contender.run()
            if isinstance(own, float):
                return own
            taken.append(time.perf_counter() - start)
    finally:
        gc.enable()
    return statistics.median(taken[1:] or taken)


def timings(
    contenders: Sequence[Contender],
    rounds: int,
    patience_s: float,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[list[Timing], list[LeftOut]]:
    """Time ``contenders`` in turns; those that fail when they warm up are left out.

    The first one is what the others are compared with; it takes part in every round. Each runs once untimed before. One that
    has taken ``patience_s`` seconds sits out what is left of the rounds, but none takes part in fewer than two.
    """
    taken: dict[str, dict[int, float]] = {c.name: {} for c in contenders}
    rates, left_out = {}, []
    for contender in contenders:
        progress(f"{contender.name}: warming up")
        try:
            rates[contender.name] = contender.warm()
        except FAILURES as error:
            if contender is contenders[0]:
                raise
            left_out.append((contender.name, said(error)))
    contenders = [c for c in contenders if c.name in rates]
    for number in range(rounds):
        for contender in contenders:
            own = taken[contender.name]
            if contender is not contenders[0] and len(own) >= 2 and sum(own.values()) > patience_s:
                continue
            progress(f"round {number + 1} of {rounds}: {contender.name}")
            own[number] = seconds_of(contender)
    first = contenders[0]
    return [_timing(c, taken[c.name], first, taken[first.name], rates[c.name]) for c in contenders], left_out


def _timing(
    contender: Contender, own: Mapping[int, float], first: Contender, its: Mapping[int, float], rates: tuple[float, ...]
) -> Timing:
    """From seconds by round, of this contender and of the one it is compared with."""
    each = {number: s / contender.samples for number, s in own.items()}
    ratios = [s / (its[number] / first.samples) for number, s in each.items()]
    spreads = spread_of(list(each.values())), spread_of(ratios)
    return Timing(contender.name, contender.samples, len(own), *spreads, rates, contender.note)
