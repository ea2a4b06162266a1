"""Verdicts on samples: right at the end, seldom wrong before, and the same whichever way they are worked out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from benchmarks.gate_errors import Case, first_verdict, simulate
from snncc.errors import InputError
from snncc.evidence import (
    FAILED,
    MET,
    SHARES,
    UNDECIDED,
    WEIGHTS,
    Errors,
    Sampled,
    interval,
    judge_at_least,
    judge_at_most,
    log_evidence,
    samples_needed,
    sign_test,
)

ERRORS = Errors()
pairs = st.lists(st.sampled_from((-1.0, 0.0, 0.0, 0.0, 1.0)), min_size=1, max_size=40)


def capital(values: list[float], limit: float, population: int | None) -> float:
    """The equation of the module, one bet and one sample at a time."""
    total = 0.0
    for share, weight in zip(SHARES, WEIGHTS, strict=True):
        money, seen = float(weight), 0.0
        for i, x in enumerate(values):
            expected = limit if population is None else (population * limit - seen) / (population - i)
            money *= 1 + share * (expected - x) / (1 - expected)
            seen += x
        total += money
    return total


@given(pairs, st.floats(-0.5, 0.5))
def test_the_evidence_is_that_of_its_equation(values: list[float], limit: float) -> None:
    found = log_evidence(Sampled(np.array(values), -1, 1), limit)
    assert found == pytest.approx(math.log(capital(values, limit, None)), abs=1e-9)
    drawn = log_evidence(Sampled(np.array(values), -1, 1, 200), limit / 4)
    assert drawn == pytest.approx(math.log(capital(values, limit / 4, 200)), abs=1e-9)


def test_the_weights_are_one_capital() -> None:
    assert WEIGHTS.sum() == pytest.approx(1) and len(WEIGHTS) == len(SHARES)


@given(pairs, st.floats(-1, 1))
def test_a_whole_set_is_judged_by_its_figure(values: list[float], limit: float) -> None:
    whole = Sampled(np.array(values), -1, 1, len(values))
    assert judge_at_most(whole, limit, ERRORS) == (MET if np.mean(values) <= limit + 1e-9 else FAILED)
    assert judge_at_least(whole, limit, ERRORS) == (MET if np.mean(values) >= limit - 1e-9 else FAILED)
    assert interval(whole, ERRORS) == (np.mean(values), np.mean(values))


@given(st.lists(st.sampled_from((-1.0, 0.0, 1.0)), min_size=4, max_size=60), st.floats(-0.9, 0.9), st.booleans())
def test_interval_and_verdict_agree(values: list[float], limit: float, drawn: bool) -> None:
    sampled = Sampled(np.array(values), -1, 1, 2 * len(values) if drawn else None)
    low, high = interval(sampled, ERRORS)
    assert low <= sampled.mean <= high
    if min(abs(limit - low), abs(limit - high)) > 1e-6:
        wanted = MET if limit > high else FAILED if limit < low else UNDECIDED
        assert judge_at_most(sampled, limit, ERRORS) == wanted


def test_the_order_of_samples_without_end_does_not_count() -> None:
    values = np.array([1.0] * 5 + [0.0] * 90 + [-1.0] * 5)
    found = {round(log_evidence(Sampled(order, -1, 1), 0.05), 9) for order in (values, values[::-1], np.sort(values))}
    assert len(found) == 1


def test_few_samples_fail_nothing_by_chance_and_pass_nothing_either() -> None:
    few = np.zeros(200)
    assert judge_at_most(Sampled(few, -1, 1), 0.005, ERRORS) == UNDECIDED
    few[:3] = 1  # a drop of 1.5 points where 0.5 are allowed
    assert judge_at_most(Sampled(few, -1, 1), 0.005, ERRORS) == UNDECIDED
    few[:20] = 1
    assert judge_at_most(Sampled(few, -1, 1), 0.005, ERRORS) == FAILED
    needed = samples_needed(Sampled(np.zeros(200), -1, 1), 0.005, ERRORS)
    assert needed is not None and judge_at_most(Sampled(np.zeros(needed), -1, 1), 0.005, ERRORS) == MET
    assert judge_at_most(Sampled(np.zeros(needed * 2 // 3), -1, 1), 0.005, ERRORS) == UNDECIDED


@pytest.mark.parametrize("limit", [-2.0, 2.0])
def test_limits_that_no_mean_can_pass(limit: float) -> None:
    few = Sampled(np.zeros(40), -1, 1)
    assert judge_at_most(few, limit, ERRORS) == (MET if limit > 0 else FAILED)


@pytest.mark.parametrize("lost, won", [(0, 0), (0, 4), (1, 0), (6, 0), (12, 5), (300, 260)])
def test_the_sign_test_is_the_exact_binomial_one(lost: int, won: int) -> None:
    wanted = binomtest(lost, lost + won, alternative="greater").pvalue if lost + won else 1.0
    assert sign_test(lost, won) == pytest.approx(wanted)


@pytest.mark.parametrize("field", ["alpha", "beta"])
@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, math.nan])
def test_errors_that_are_none_are_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=field):
        Errors(**{field: value})


@pytest.mark.parametrize("population", [400, None])
def test_the_simulation_does_what_the_verb_does(population: int | None) -> None:
    random = np.random.default_rng(4)
    case, errors, outcomes = Case(lost=20, won=8, population=population, limit=0.03), Errors(0.1, 0.1), set()
    for _ in range(12):
        values = case.draw(random)[:400]
        steps = ((judge_at_most(Sampled(values[:n], -1, 1, population), 0.03, errors), n) for n in range(30, 430, 30))
        steps = ((outcome, min(n, 400)) for outcome, n in steps)
        wanted = next(((o, n) for o, n in steps if o != UNDECIDED), (UNDECIDED, 400))
        assert first_verdict(case, values, errors, 30) == wanted
        outcomes.add(wanted)
    assert len(outcomes) > 2


HALF_POINT = {"lost": 20, "won": 15, "population": 1000}
"""A drop of exactly 0.5 points."""


@pytest.mark.parametrize("population", [1000, None])
@pytest.mark.parametrize("limit, wrong", [(0.005, FAILED), (0.00499, MET)])
def test_a_sequential_verdict_is_wrong_no_oftener_than_it_says(
    population: int | None, limit: float, wrong: str
) -> None:
    """At the limit itself, where it is hardest, looked at after every 100 of 1,000 samples."""
    errors = Errors(0.1, 0.1)
    found = simulate(
        Case(limit=limit, **{**HALF_POINT, "population": population}), errors, runs=300, look=100, longest=1000
    )
    assert found.share(wrong) <= 0.1
    assert found.runs == 300 and found.share(MET) + found.share(FAILED) + found.share(UNDECIDED) == pytest.approx(1)


def test_a_sequential_verdict_is_right_and_early_far_from_the_limit() -> None:
    errors = Errors(0.1, 0.1)
    good = simulate(Case(lost=2, won=2, population=2000, limit=0.02), errors, runs=60, look=50)
    bad = simulate(Case(lost=120, won=2, population=2000, limit=0.005), errors, runs=60, look=50)
    assert good.share(MET) == bad.share(FAILED) == 1
    assert good.samples < 600 and bad.samples < 600
