"""What the project says of its speed, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.checks import AT, Check, gain_check
from benchmarks.frameworks import FRAMEWORKS
from benchmarks.limit import Rate
from benchmarks.networks import TRAINED, Workload
from benchmarks.rounds import LeftOut, Timing
from benchmarks.work import Work

AUTO, EVENT, DENSE, LAVA = "snncc auto", "snncc event", "snncc dense", "Lava runtime"
FASTER = ("mnist-lif", "vgg9-t4")
"""Where the fastest float32 framework is to take ten times as long, at trained activity."""


@dataclass(frozen=True, eq=False)
class Result:
    """A workload measured.

    Attributes:
        timings: AUTO first.
        did: what snncc's paths did in a run, by contender.
        left_out: contenders that are not measured, and why.
    """

    work: Workload
    timings: tuple[Timing, ...]
    did: dict[str, Work]
    left_out: tuple[LeftOut, ...]

    def of(self, name: str) -> Timing | None:
        """The contender's timing, if it has one."""
        return next((t for t in self.timings if t.name == name), None)

    @property
    def title(self) -> str:
        """Network, batch and activity."""
        return f"{self.work.case.name}, batch {self.work.samples}, activity {shown(self.work.activity)}"


def shown(activity: float | str) -> str:
    """5 %, or trained."""
    return activity if isinstance(activity, str) else f"{100 * activity:g} %"


def claims(results: Iterable[Result], rates: Sequence[Rate]) -> Iterator[Check]:
    """All that these results say something about."""
    for result in results:
        yield from _against_frameworks(result)
        yield from _against_own_paths(result, rates)
        lava = result.of(LAVA)
        if lava is not None:
            ratio = lava.ratio.median
            yield Check("Lava", f"{result.title}: {LAVA} over snncc", ratio, "×", "≥ 300", ratio >= 300)


def _against_frameworks(result: Result) -> Iterator[Check]:
    found = [t for t in (result.of(f"{name} float32") for name in FRAMEWORKS) if t is not None]
    if not found:
        return
    fastest = min(found, key=lambda t: t.ratio.median)
    ratio, asked = fastest.ratio.median, result.work.case.name in FASTER and result.work.activity == TRAINED
    what = f"{result.title}: {fastest.name} (the fastest framework) over snncc"
    yield Check("frameworks", what, ratio, "×", "≥ 10" if asked else "", ratio >= 10 if asked else None)


def _against_own_paths(result: Result, rates: Sequence[Rate]) -> Iterator[Check]:
    event, dense = result.of(EVENT), result.of(DENSE)
    if event is None or dense is None:
        return
    better = min(event.ratio.median, dense.ratio.median)
    name = "event" if better == event.ratio.median else "dense"
    what = f"{result.title}: auto over the better path ({name})"
    yield Check("own paths", what, 1 / better, "×", "≤ 1.1", 1 / better <= 1.1)
    if result.work.activity == AT:
        did, gain = result.did[EVENT], dense.seconds.median / event.seconds.median
        yield gain_check("own paths", f"{result.title}: dense over event", gain, did.operations, did.products, rates)
