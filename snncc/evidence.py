"""How sure a mean is to lie on one side of a limit: exact for any number of samples, and however often one looks.

Every sample gives a bounded value: +1 where only the float network is right, -1 where only the integer one is, 0 where they
agree, so their mean is the drop of accuracy over pairs; 1 and 0 for an agreement. Against "the mean is limit or more" one bets
on every value to be lower. With x_1 … x_n in low..high, shares r_j of the largest bet that cannot lose everything, and weights
w_j that add up to 1, the capital is ::

    E_n = Σ_j w_j Π_i (1 + r_j (m_i − x_i) / (high − m_i))

    m_i = limit                                                    samples of something without end
    m_i = (N limit − x_1 − … − x_{i−1}) / (N − i + 1)              drawn from N samples without replacement

If the mean is limit or more then E_n is a non-negative supermartingale from 1 on, and ever reaches 1/β with probability β at
most (Ville 1939): whoever says "below the limit" when it does is wrong that often, whether he looks once or after every sample.
Of samples without end, E_n does not depend on their order. Nothing is approximated, so no number of samples is too small.

Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, J. R. Stat. Soc. B 86 (2024), theorem 3
and section 5 (without replacement); the mixture over bets is Robbins's (Ann. Math. Stat. 41, 1970).
McNemar, Psychometrika 12 (1947), in its exact form: the smaller of two counts under a fair coin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.errors import InputError

Array = np.ndarray
Outcome = str
MET, FAILED, UNDECIDED = "met", "failed", "undecided"

SHARES = np.array([0.95, 0.6, 0.35, 0.2, 0.12, 0.07, 0.04, 0.02, 0.01])
"""Of the largest bet. Large ones are quick where few samples differ, small ones where many do."""
WEIGHTS = np.array([0.30, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.06, 0.04])
"""Capital put on each; the largest bet gets most, for a compiled network seldom differs from its float original."""
_LEAST_ROOM = 1e-9
_SLACK = 1e-9
"""Rounding of sums, beyond which a figure counts as over its limit."""
_HALVINGS = 40


@dataclass(frozen=True)
class Errors:
    """How often a verdict on samples may be wrong: ``alpha``, saying "failed" of what meets its limit; ``beta``, saying "met"
    of what does not. Probabilities in 0..0.5, both ends excluded. Raises :class:`InputError` elsewhere."""

    alpha: float = 0.025
    beta: float = 0.025

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) < 0.5:
                raise InputError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 0.5")


@dataclass(frozen=True, eq=False)
class Sampled:
    """Values of samples, and what they are samples of.

    Attributes:
        values: (n,) in the order in which they were taken, in ``low`` .. ``high``.
        population: size N of the set they were drawn from at random, without replacement, about whose mean is judged; None:
            they are samples of something without end.
    """

    values: Array
    low: float
    high: float
    population: int | None = None

    @property
    def whole(self) -> bool:
        """Nothing is left to draw, so the mean is known."""
        return self.population is not None and len(self.values) >= self.population

    @property
    def mean(self) -> float:
        """Of the values."""
        return float(np.mean(self.values))

    def mirrored(self) -> Sampled:
        """Negated: what is above a limit is below its negative."""
        return Sampled(-self.values, -self.high, -self.low, self.population)


def log_evidence(sampled: Sampled, limit: float) -> float:
    """Natural logarithm of the capital E_n against "the mean is ``limit`` or more"."""
    return float(np.logaddexp.reduce(np.log(WEIGHTS) + _bets(sampled, limit)))


def evidence_path(sampled: Sampled, limit: float) -> Array:
    """:func:`log_evidence` after each sample (n,)."""
    expected = np.full(len(sampled.values), float(limit))
    if sampled.population is not None:
        expected = _expected(sampled.values, limit, sampled.population)
    paths = np.cumsum(_logs(sampled.values, expected, sampled.high), axis=1)
    return np.asarray(np.logaddexp.reduce(np.log(WEIGHTS)[:, None] + paths, axis=0))


def _bets(sampled: Sampled, limit: float) -> Array:
    """Logarithm of what became of each bet (bets,)."""
    if sampled.population is not None:
        expected = _expected(sampled.values, limit, sampled.population)
        return np.asarray(_logs(sampled.values, expected, sampled.high).sum(axis=1))
    values, times = np.unique(sampled.values, return_counts=True)
    return np.asarray(_logs(values, np.full(len(values), float(limit)), sampled.high) @ times)


def _expected(values: Array, limit: float, population: int) -> Array:
    """m_i: mean of what is left before each value is drawn, if that of the whole population is ``limit``."""
    seen = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    return np.asarray((population * limit - seen) / (population - np.arange(len(values))))


def _logs(values: Array, expected: Array, high: float) -> Array:
    """Logarithm of what each bet gains by each value (bets, n)."""
    growth = (expected - values) / np.maximum(high - expected, _LEAST_ROOM)
    return np.asarray(np.log1p(SHARES[:, None] * np.maximum(growth, -1.0)))


def judge_at_most(sampled: Sampled, limit: float, errors: Errors) -> Outcome:
    """Whether the mean is ``limit`` or less: :data:`MET`, :data:`FAILED` or :data:`UNDECIDED`. Of a whole population the mean
    itself is judged."""
    if sampled.whole:
        return MET if sampled.mean <= limit + _SLACK else FAILED
    if log_evidence(sampled.mirrored(), -limit) >= -np.log(errors.alpha):
        return FAILED
    return MET if log_evidence(sampled, limit) >= -np.log(errors.beta) else UNDECIDED


def judge_at_least(sampled: Sampled, limit: float, errors: Errors) -> Outcome:
    """As :func:`judge_at_most`, whether the mean is ``limit`` or more."""
    return judge_at_most(sampled.mirrored(), -limit, errors)


def interval(sampled: Sampled, errors: Errors) -> tuple[float, float]:
    """(low, high) that hold the mean with a probability of 1 − alpha − beta or more, however often one looks: limits above
    high are met, those below low are failed."""
    if sampled.whole:
        return sampled.mean, sampled.mean
    return -_upper(sampled.mirrored(), errors.alpha), _upper(sampled, errors.beta)


def _upper(sampled: Sampled, error: float) -> float:
    """The least limit that the mean is shown to be below; the evidence grows with the limit."""
    below, above = sampled.mean, sampled.high
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        if log_evidence(sampled, middle) >= -np.log(error):
            above = middle
        else:
            below = middle
    return above


def samples_needed(sampled: Sampled, limit: float, errors: Errors) -> int | None:
    """About how many samples in all would decide whether the mean is ``limit`` or less, if more were like these; None where
    these lean to neither side."""
    sides = ((sampled, limit, errors.beta), (sampled.mirrored(), -limit, errors.alpha))
    needed = [
        (-np.log(error) - np.log(weight)) * len(side.values) / gained
        for side, at, error in sides
        for weight, gained in zip(WEIGHTS, _bets(Sampled(side.values, side.low, side.high), at), strict=True)
        if gained > 0
    ]
    return int(np.ceil(min(needed))) if needed else None


def sign_test(lost: int, won: int) -> float:
    """One-sided p value of ``lost`` or more of lost + won under a fair coin: McNemar's test in its exact form."""
    from scipy.special import bdtrc

    return float(bdtrc(lost - 1, lost + won, 0.5)) if lost else 1.0
