"""Neurons that are each other: the identities on which conversion, DSR and pooling rest, at 20,000 draws each."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.ir.dynamics import Dynamics, initial_state, step

Array = np.ndarray
DRAWS = 20_000
STEPS = 12


def spikes(dynamics: Dynamics, currents: Array) -> Array:
    """Spikes (T, N) for currents (T, N)."""
    state = initial_state(dynamics, currents.shape[1:], np.float64)
    fired = []
    for current in currents:
        state = step(dynamics, state, current)
        fired.append(state.spikes)
    return np.stack(fired)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


def grid(rng: np.random.Generator, low: int, high: int, *shape: int) -> Array:
    """Multiples of 1/64, whose sums are exact, so that a membrane on its threshold counts too."""
    return rng.integers(low, high + 1, shape) / 64.0


def test_dsr_if_is_if_that_starts_above_zero(rng: np.random.Generator) -> None:
    """Fires at αVth and pays Vth = fires at Vth and pays Vth, from (1 − α)Vth on."""
    v_th, alpha = grid(rng, 32, 256, DRAWS), rng.integers(1, 8, DRAWS) / 8.0
    currents = grid(rng, -64, 256, STEPS, DRAWS)
    dsr = Dynamics(threshold=alpha * v_th, reset_amount=v_th)
    plain = Dynamics(threshold=v_th, v_init=(1 - alpha) * v_th)
    found = spikes(dsr, currents)
    assert np.array_equal(found, spikes(plain, currents))
    assert 0.1 < found.mean() < 0.9


def test_dsr_lif_is_lif_with_a_bias(rng: np.random.Generator) -> None:
    """With c = (1 − α)Vth: starts at c and gets (1 − β)c in every step."""
    v_th, alpha = rng.uniform(0.2, 2.0, DRAWS), rng.uniform(0.1, 0.9, DRAWS)
    beta = rng.uniform(0.5, 0.99, DRAWS)
    currents = rng.uniform(-1.0, 8.0, (STEPS, DRAWS))
    shared = {"membrane_decay": beta, "input_gain": 1 - beta, "reset_amount": v_th}
    dsr = Dynamics(threshold=alpha * v_th, **shared)
    c = (1 - alpha) * v_th
    plain = Dynamics(threshold=v_th, v_init=c, bias=(1 - beta) * c, **shared)
    found = spikes(dsr, currents)
    assert np.array_equal(found, spikes(plain, currents))
    assert 0.1 < found.mean() < 0.9


def test_a_start_at_half_the_threshold_rounds(rng: np.random.Generator) -> None:
    """IF from θ/2 on a constant input z fires clip(floor(zT/θ + ½), 0, T) times (Bu et al. 2022)."""
    theta, z = grid(rng, 32, 256, DRAWS) * 2, grid(rng, -128, 600, DRAWS)
    found = spikes(Dynamics(threshold=theta, v_init=theta / 2), np.broadcast_to(z, (STEPS, DRAWS))).sum(0)
    assert np.array_equal(found, np.clip(np.floor(z * STEPS / theta + 0.5), 0, STEPS))
    assert len(np.unique(found)) == STEPS + 1


def test_levels_are_steps_for_evenly_spread_input(rng: np.random.Generator) -> None:
    """S-level IF over T steps fires as often as binary IF over S·T steps that get z/S each; a leak breaks it."""
    levels = 4
    theta, z = grid(rng, 64, 256, DRAWS), grid(rng, 0, 255, DRAWS) * levels
    once = np.broadcast_to(z, (STEPS, DRAWS))
    spread = np.broadcast_to(z / levels, (STEPS * levels, DRAWS))
    few = spikes(Dynamics(threshold=theta, levels=levels), once).sum(0)
    assert np.array_equal(few, spikes(Dynamics(threshold=theta), spread).sum(0))
    assert few.max() == STEPS * levels
    leaky = spikes(Dynamics(threshold=theta, levels=levels, membrane_decay=0.5), once).sum(0)
    assert not np.array_equal(leaky, spikes(Dynamics(threshold=theta, membrane_decay=0.5), spread).sum(0))


def test_a_mean_above_three_quarters_is_four_of_four(rng: np.random.Generator) -> None:
    """The pool neuron of Lee et al. 2020, of one step: mean of 2×2 > 0.75 where all four fired."""
    window = rng.integers(0, 2, (4, DRAWS)).astype(np.float64)
    mean = Dynamics(threshold=0.75, compare=">", reset="to_value")
    whole = Dynamics(threshold=4.0, compare=">=", reset="to_value")
    found = spikes(mean, window.mean(0)[None])
    assert np.array_equal(found, spikes(whole, window.sum(0)[None]))
    assert found.any()
