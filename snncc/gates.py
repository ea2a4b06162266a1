"""Conditions that a deployment must meet, and whether it does: yes, no, or not known from so few samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from snncc.errors import InputError
from snncc.evidence import (
    FAILED,
    MET,
    UNDECIDED,
    Errors,
    Sampled,
    interval,
    judge_at_least,
    judge_at_most,
    samples_needed,
)

DROP, AGREEMENT, ACCURACY = "accuracy drop", "agreement with the float network", "accuracy of the integer network"
"""Names of the gates on samples."""
LOST, AGREED = "accuracy, samples lost since the baseline", "agreement, samples lost since the baseline"
"""Of those against a baseline."""
LARGEST_LIMIT = 1e12
"""Of costs and tolerances, in whatever unit: far beyond any network, and far from where numbers end."""


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """Raise :class:`InputError` where an option's number is given and not in ``low`` .. ``high``, which nan and inf never are."""
    if value is not None and not low <= value <= high:
        said = f"{value:g}" if isinstance(value, float) else str(value)[:40]
        raise InputError(f"{name} {said}: give a number in {low:g}..{high:g}, or leave it out")


def figure(value: float) -> str:
    """A gate's number for people: four digits, and all of a whole or a large one."""
    if isinstance(value, int | np.integer) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class Limits:
    """What is asked for; None asks nothing.

    Attributes:
        max_accuracy_drop: float minus integer accuracy in percentage points, at most; below 0, integers must be better.
        min_agreement: share of samples (of steps, where each has its answer) with the same class, in percent, at least.
        errors: how often a verdict on some samples may be wrong.
        min_accuracy: of the integer network in percent, at least: what a network that was broken before it was compiled misses.
    """

    max_accuracy_drop: float | None = None
    min_agreement: float | None = None
    errors: Errors = field(default_factory=Errors)
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_range("--max-accuracy-drop", self.max_accuracy_drop, -100, 100)
        check_range("--min-agreement", self.min_agreement, 0, 100)
        check_range("--min-accuracy", self.min_accuracy, 0, 100)

    @property
    def of_samples(self) -> bool:
        """Whether any of them is judged by samples."""
        return any(x is not None for x in (self.max_accuracy_drop, self.min_agreement, self.min_accuracy))


@dataclass(frozen=True)
class Gate:
    """A condition and its verdict.

    Attributes:
        value: what was found, in ``unit``; ``limit`` likewise, an upper one unless ``at_least``.
        outcome: :data:`snncc.evidence.MET`, :data:`FAILED` or :data:`UNDECIDED`.
        interval: where the value of all there is lies, as sure as the gate's errors say; None where the value is exact.
        remark: what decides it, or what it was found by.
    """

    name: str
    value: float
    limit: float
    outcome: str
    unit: str = ""
    at_least: bool = False
    interval: tuple[float, float] | None = None
    remark: str = ""

    @property
    def passed(self) -> bool:
        """It is met."""
        return self.outcome == MET

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        said = f"{self.name}: {figure(self.value)}{unit}, limit {figure(self.limit)}"
        if self.interval is not None:
            said += f" (somewhere in {figure(self.interval[0])} … {figure(self.interval[1])})"
        return said + (f"; {self.remark}" if self.remark else "")


def outcome_of(gates: Iterable[Gate]) -> str:
    """Of all together: failed where any is, else undecided where any is."""
    outcomes = {g.outcome for g in gates}
    return next((o for o in (FAILED, UNDECIDED) if o in outcomes), MET)


def exact_gate(name: str, differing: int) -> Gate:
    """No cell may differ."""
    return Gate(name, differing, 0, FAILED if differing else MET)


def drop_gate(pairs: Sampled, limits: Limits) -> Gate:
    """``pairs``: float minus integer correctness of each sample."""
    assert limits.max_accuracy_drop is not None
    limit = limits.max_accuracy_drop / 100
    outcome = judge_at_most(pairs, limit, limits.errors)
    return _sampled(DROP, "points", pairs, limit, outcome, limits.errors, at_least=False)


def agreement_gate(same: Sampled, limits: Limits) -> Gate:
    """``same``: 1 for each sample to which both give the same class, else 0."""
    assert limits.min_agreement is not None
    limit = limits.min_agreement / 100
    outcome = judge_at_least(same, limit, limits.errors)
    return _sampled(AGREEMENT, "%", same, limit, outcome, limits.errors, at_least=True)


def accuracy_gate(right: Sampled, limits: Limits) -> Gate:
    """``right``: correctness of the integer network on each sample."""
    assert limits.min_accuracy is not None
    limit = limits.min_accuracy / 100
    outcome = judge_at_least(right, limit, limits.errors)
    return _sampled(ACCURACY, "%", right, limit, outcome, limits.errors, at_least=True)


def _sampled(
    name: str, unit: str, sampled: Sampled, limit: float, outcome: str, errors: Errors, at_least: bool
) -> Gate:
    """A gate on a mean in percent of what ``sampled`` holds."""
    spread, remark = None, ""
    if not sampled.whole:
        low, high = interval(sampled, errors)
        spread = 100 * low, 100 * high
    if outcome == UNDECIDED:
        side = (sampled.mirrored(), -limit) if at_least else (sampled, limit)
        needed = samples_needed(*side, errors)
        if needed is not None and sampled.population is not None:
            needed = min(needed, sampled.population)
        more = f"about {_rounded(needed):,} like these would" if needed else "take all of the test set"
        remark = f"{len(sampled.values):,} samples do not decide it, {more}"
    return Gate(name, 100 * sampled.mean, 100 * limit, outcome, unit, at_least, spread, remark)


def _rounded(count: int) -> int:
    """Up to two digits: an estimate."""
    scale = 10 ** max(0, len(str(count)) - 2)
    return -(-count // scale) * scale
