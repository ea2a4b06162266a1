"""How often a gate on samples is wrong, measured: verdicts of ``snncc verify --samples auto`` on sets whose drop is known.

    python -m benchmarks.gate_errors [--runs 2000] [--alpha 0.025] [--beta 0.025]     exit 1 where an error rate is beyond

Each run draws the samples of a set in a new order (or, of a set without end, new samples), and looks after every 250, as the
verb does, until the gate is decided. At a drop of just the limit "failed" is wrong, just above it "met" is.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np

from snncc.evidence import FAILED, MET, UNDECIDED, Errors, Sampled, evidence_path, judge_at_most

LOOK = 250
LONGEST = 10_000
"""Samples drawn of a set without end, at most."""
JUST_BELOW = 1e-6
"""Between the drop of a set and a limit that it just does not meet."""


@dataclass(frozen=True)
class Case:
    """A set of samples of which the float network alone gets ``lost`` right and the integer one alone ``won``, of ``of``;
    ``population`` None: without end, with these shares of ``of``."""

    lost: int
    won: int
    population: int | None
    limit: float
    of: int = 1000

    @property
    def drop(self) -> float:
        """Of accuracy, in 0..1."""
        return (self.lost - self.won) / (self.population or self.of)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """All differences in the order in which one run meets them."""
        size = self.population or self.of
        values = np.zeros(size)
        values[: self.lost], values[size - self.won :] = 1, -1
        return random.permutation(values) if self.population else random.choice(values, LONGEST)


@dataclass(frozen=True)
class Verdicts:
    """Of ``runs`` runs, how many came to which; ``samples``: the mean number looked at."""

    counts: Counter[str]
    runs: int
    samples: float

    def share(self, outcome: str) -> float:
        """Of an outcome, in 0..1."""
        return self.counts[outcome] / self.runs


def simulate(
    case: Case, errors: Errors, runs: int, look: int = LOOK, longest: int = LONGEST, seed: int = 0
) -> Verdicts:
    """``runs`` sequential verdicts on ``case``, looking after every ``look`` samples."""
    random = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    seen = 0
    for _ in range(runs):
        outcome, samples = first_verdict(case, case.draw(random)[:longest], errors, look)
        counts[outcome] += 1
        seen += samples
    return Verdicts(counts, runs, seen / runs)


def first_verdict(case: Case, values: np.ndarray, errors: Errors, look: int) -> tuple[str, int]:
    """(outcome, samples seen) of looking after every ``look`` of ``values``: that of :func:`snncc.evidence.judge_at_most` on
    more and more of them, worked out in one go."""
    sampled = Sampled(values, -1.0, 1.0, case.population)
    looks = np.append(np.arange(look, len(values), look), len(values))
    before_end = looks[:-1] if sampled.whole else looks
    met = evidence_path(sampled, case.limit)[before_end - 1] >= -np.log(errors.beta)
    failed = evidence_path(sampled.mirrored(), -case.limit)[before_end - 1] >= -np.log(errors.alpha)
    decided = np.flatnonzero(met | failed)
    if decided.size:
        first = decided[0]
        return (FAILED if failed[first] else MET), int(looks[first])
    return judge_at_most(sampled, case.limit, errors), len(values)


def cases(population: int | None) -> list[tuple[Case, str | None]]:
    """(case, the outcome that is wrong): drops at a limit of 0.5 points, with few and with many samples that differ; and,
    for how many samples it takes, drops far from the limit."""
    scale = (population or 1000) // 1000
    found: list[tuple[Case, str | None]] = []
    for lost, won in ((5, 0), (7, 2), (20, 15), (60, 55)):
        for limit, wrong in ((0.005, FAILED), (0.005 - JUST_BELOW, MET)):
            found.append((Case(lost * scale, won * scale, population, limit), wrong))
    return found + [
        (Case(a * scale, b * scale, population, 0.005), None) for a, b in ((0, 0), (2, 2), (10, 10), (15, 5))
    ]


def main() -> int:
    """Exit code 0 where no error rate is beyond what is allowed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=2000, help="for each case")
    arguments.add_argument("--alpha", type=float, default=0.025)
    arguments.add_argument("--beta", type=float, default=0.025)
    given = arguments.parse_args()
    errors = Errors(given.alpha, given.beta)
    beyond = 0
    for population in (10_000, None):
        for case, wrong in cases(population):
            found = simulate(case, errors, given.runs)
            allowed = errors.alpha if wrong == FAILED else errors.beta
            beyond += wrong is not None and found.share(wrong) > allowed
            shares = "  ".join(f"{o} {100 * found.share(o):6.2f} %" for o in (MET, FAILED, UNDECIDED))
            print(
                f"{population or 'no end':>6}  drop {100 * case.drop:5.2f}  lost {case.lost:>4}  won {case.won:>4}  limit "
                f"{100 * case.limit:.4f}   {shares}   {found.samples:7,.0f} samples   wrong: {wrong or '-'}",
                flush=True,
            )
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
