"""snncc's integer engine against its peers: the same networks, weights and inputs, in one run.

    python -m benchmarks.peers                 everything; takes about an hour on two cores
    python -m benchmarks.peers --quick         a minute: small batches, two networks
    python -m benchmarks.peers --networks mnist-lif vgg9-t4 --activities trained 1 --rounds 7

docs/benchmarks.md says what is measured, and how to read it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import checks, report
from benchmarks.claims import Result, claims
from benchmarks.contenders import Engine, peers
from benchmarks.limit import Rate, limits
from benchmarks.networks import CASES, TRAINED, Case, find_case, workload
from benchmarks.plot import plot
from benchmarks.rounds import timings
from snncc.errors import InputError, SnnccError

ACTIVITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, TRAINED)
QUICK_NETWORKS = ("mnist-lif", "mlp")


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        batch: samples at once; None takes each network's own.
        patience_s: what a contender may take of a workload's rounds before it sits out.
        peers: whether they are measured, or snncc's paths alone.
    """

    cases: tuple[Case, ...]
    activities: tuple[float | str, ...] = ACTIVITIES
    rounds: int = 5
    batch: int | None = None
    threads: int = 1
    patience_s: float = 30.0
    peers: bool = True


def measure(plan: Plan, folder: Path) -> Iterator[Result]:
    """Every network at every activity. Names what cannot be had, and goes on."""
    for case in plan.cases:
        for activity in plan.activities:
            report.progress(f"{case.name}: inputs and thresholds")
            try:
                work = workload(case, activity, plan.batch or case.batch)
                engine = Engine(work, plan.threads)
            except SnnccError as error:
                report.done()
                print(f"{case.name} at {activity}: left out: {error}\n", flush=True)
                continue
            contenders, left_out = engine.contenders(), []
            own = folder / f"{case.name}-{activity}"
            for found in peers(work, plan.threads, own) if plan.peers else ():
                if isinstance(found, tuple):
                    left_out.append(found)
                else:
                    contenders.append(found)
                    report.progress(f"{case.name}: {found.name} built")

            def seen(text: str, where: str = f"{case.name}, {activity}") -> None:
                report.progress(f"{where}: {text}")

            times, failed = timings(contenders, plan.rounds, plan.patience_s, seen)
            report.done()
            yield Result(work, tuple(times), engine.did, (*left_out, *failed))


def other_checks(threads: int, quick: bool) -> Iterator[checks.Check]:
    """Memory, first use, the whole test set, compiling."""
    with tempfile.TemporaryDirectory(prefix="snncc-bench-") as made:
        folder = checks.write_folder(Path(made))
        report.progress("the whole test set")
        yield checks.whole_test_set(threads, 1000 if quick else 10_000)
        report.progress("memory")
        yield from checks.memory(folder, threads, *((100, 1000) if quick else (1000, 10_000)))
        if not quick:
            report.progress("first use of the kernels")
            yield from checks.first_use(folder, Path(made) / "cache", threads)
            report.progress("compiling a network of VGG-16's size")
            yield checks.compile_time()
    report.done()


def planned(given: argparse.Namespace) -> Plan:
    """What the options ask for. Raises :class:`InputError`."""
    names = given.networks or (QUICK_NETWORKS if given.quick else tuple(CASES))
    cases = tuple(find_case(name) for name in names)
    if given.quick:
        cases = tuple(replace(case, lava=False) for case in cases)
    activities: tuple[float | str, ...] = tuple(_activity(text) for text in given.activities or ())
    return Plan(
        cases,
        activities or ((0.05, TRAINED) if given.quick else ACTIVITIES),
        given.rounds or (2 if given.quick else 5),
        given.batch or (16 if given.quick else None),
        given.threads or os.cpu_count() or 1,
        1.0 if given.quick else given.patience,
        not given.no_peers,
    )


def _activity(text: str) -> float | str:
    if text == TRAINED:
        return text
    try:
        value = float(text.rstrip("%")) / 100
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise InputError(f"activity {text!r}: write a percentage of the neurons above 0 and below 100, or {TRAINED!r}")
    return value


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", metavar="NAME", help=f"{', '.join(CASES)}, or a trained zoo network")
    parser.add_argument("--activities", nargs="+", metavar="PERCENT", help="0.5 1 2 5 10 20 trained, if not given")
    parser.add_argument("--rounds", type=int, help="in each of which all take their turn (5)")
    parser.add_argument("--batch", type=int, help="samples at once (64; vgg9-t100: 16)")
    parser.add_argument("--threads", type=int, default=0, help="of every contender; 0: as many as there are processors")
    parser.add_argument(
        "--patience", type=float, default=30.0, help="seconds after which a contender sits out rounds (30)"
    )
    parser.add_argument("--quick", action="store_true", help="a minute")
    parser.add_argument("--no-peers", action="store_true", help="snncc's own paths alone")
    parser.add_argument(
        "--no-checks", action="store_true", help="networks alone; no layers, memory, start and compiling"
    )
    parser.add_argument("--csv", type=Path, default=Path("build/bench.csv"), help="(build/bench.csv)")
    parser.add_argument("--plot", type=Path, default=Path("build/bench.png"), help=".png or .svg (build/bench.png)")
    return parser.parse_args(arguments)


def run(plan: Plan, given: argparse.Namespace) -> list[checks.Check]:
    """Measure, print and write; the checks of everything."""
    torch.set_num_threads(plan.threads)
    rates: list[Rate] = limits(plan.threads, 0.1 if given.quick else 0.5)
    report.print_limits(rates, plan.threads)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="snncc-bench-") as folder:
        for result in measure(plan, Path(folder)):
            results.append(result)
            report.print_result(result, rates)
            report.write_csv(given.csv, list(report.rows(results, rates)))
    found = list(claims(results, rates))
    if not given.no_checks:
        found += _more(plan, given, rates)
    report.print_checks("Claims and checks", found)
    report.write_csv(beside(given.csv), report.check_rows(found, rates))
    print(f"{given.csv}, {beside(given.csv)}: all figures")
    print(plot(results, given.plot) if results else "no plot: nothing was measured")
    return found


def beside(path: Path) -> Path:
    """Where limits and checks go: bench-checks.csv beside bench.csv."""
    return path.with_name(f"{path.stem}-checks{path.suffix}")


def _more(plan: Plan, given: argparse.Namespace, rates: list[Rate]) -> Iterable[checks.Check]:
    times = list(checks.layer_times(plan.threads, 2 if given.quick else 16, report.progress))
    report.done()
    report.print_layers(times, rates)
    return [*checks.layer_checks(times, rates), *other_checks(plan.threads, given.quick)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where everything could be measured."""
    given = options(arguments)
    run(planned(given), given)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SnnccError as error:
        sys.exit(f"error  {error}")
