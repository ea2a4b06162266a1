"""Rounding a layer's weights together, against all ways to round them up or down."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from snncc.passes.rounding import Moments, bounds, learn, nearest, objective

Array = np.ndarray


def correlated(seed: int, size: int, samples: int = 500) -> Moments:
    """Inputs that speak together, as spikes of neighbours do."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, size)) @ rng.normal(0, 1, (size, size))
    return Moments(x.T @ x / samples)


def every_choice(row: Array, limit: int) -> Array:
    """All ways (2^K at most, K) to round a row up or down."""
    low, high = bounds(row, limit)
    return np.array(list(product(*({a, b} for a, b in zip(low, high, strict=True)))))


@pytest.mark.parametrize("seed", range(6))
def test_near_the_best_of_all_choices(seed: int) -> None:
    """In many rows the best there is; of what nearest rounding loses beyond that, a fifth at most is left."""
    moments, rng = correlated(seed, 8), np.random.default_rng(seed)
    weight = rng.normal(0, 2, (30, 8))
    found = objective(weight, learn(weight, moments, 7), moments)
    plain = objective(weight, nearest(weight, 7), moments)
    choices = [every_choice(row, 7) for row in weight]
    best = np.array(
        [objective(np.tile(row, (len(c), 1)), c, moments).min() for row, c in zip(weight, choices, strict=True)]
    )
    assert (best <= found + 1e-9).all() and (found <= plain + 1e-9).all()
    assert np.mean(found <= best * (1 + 1e-9)) >= 0.4
    assert found.sum() - best.sum() <= 0.2 * (plain.sum() - best.sum()) and plain.sum() >= 3 * best.sum()


@pytest.mark.parametrize("limit", [1, 3, 7, 127])
def test_up_or_down_and_no_single_step_gains(limit: int) -> None:
    moments, rng = correlated(7, 60), np.random.default_rng(limit)
    weight = rng.normal(0, limit / 2, (20, 60))
    q = learn(weight, moments, limit)
    low, high = bounds(weight, limit)
    assert np.array_equal(q, np.round(q)) and (low <= q).all() and (q <= high).all() and np.abs(q).max() <= limit
    least = objective(weight, q, moments)
    for k in range(60):
        for step in (-1, 1):
            moved = q.copy()
            moved[:, k] += step
            allowed = (low[:, k] <= moved[:, k]) & (moved[:, k] <= high[:, k])
            assert (objective(weight, moved, moments)[allowed] >= least[allowed] - 1e-6 * least[allowed]).all()


def test_whole_weights_stay() -> None:
    weight = np.arange(-7.0, 8).reshape(3, 5)
    assert np.array_equal(learn(weight, correlated(0, 5), 7), weight)


def test_inputs_that_know_nothing_of_each_other_are_rounded_to_nearest() -> None:
    weight = np.random.default_rng(0).normal(0, 3, (10, 12))
    assert np.array_equal(learn(weight, Moments(np.diag(np.arange(1.0, 13))), 7), nearest(weight, 7))
    assert np.array_equal(learn(weight, Moments(np.zeros((12, 12))), 7), nearest(weight, 7))


def test_an_error_is_made_up_for_by_an_input_that_says_the_same() -> None:
    """Two inputs that always speak together: only the sum of their weights counts."""
    q = learn(np.array([[0.5, 0.6], [0.4, 0.4], [1.3, 1.3]]), Moments(np.ones((2, 2))), 7)
    assert q.sum(axis=1).tolist() == [1, 1, 3]
