"""Draws of the parameters: their distribution, their correlation, and that a seed gives the same ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from snncc.energy.account import account
from snncc.energy.costs import Interval, load_costs
from snncc.energy.counted import Counted
from snncc.energy.uncertainty import CORRELATION, draws, parameters, triangular
from snncc.errors import InputError

V = Interval(1.0, 2.0, 5.0)


def test_the_triangular_quantile() -> None:
    """F(x) = (x − low)² / ((high − low)(typ − low)) below typ: the mode's quantile, ends, and the mean (low + typ + high) / 3."""
    u = np.array([0.0, (V.typ - V.low) / (V.high - V.low), 1.0])
    assert triangular(V, u).tolist() == pytest.approx([1.0, 2.0, 5.0])
    even = (np.arange(100_000) + 0.5) / 100_000
    assert triangular(V, even).mean() == pytest.approx((1 + 2 + 5) / 3, rel=1e-6)
    variance = (1 + 4 + 25 - 2 - 5 - 10) / 18
    assert triangular(V, even).var() == pytest.approx(variance, rel=1e-5)
    for edge in (Interval(3.0, 3.0, 3.0), Interval(0.0, 0.0, 2.0), Interval(1.0, 4.0, 4.0)):
        values = triangular(edge, even)
        assert np.all((values >= edge.low) & (values <= edge.high)) and np.all(np.diff(values) >= 0)


def test_parameters_of_a_target_move_together() -> None:
    """Correlation of ranks of two parameters under a Gaussian copula: 6/π · asin(ρ/2); serial stands alone."""
    values = {"a": V, "b": Interval(0.0, 0.0, 1.0), "serial": Interval(0.0, 0.0, 1.0)}
    found = draws(values, 20_000, seed=3)
    ranks = {name: np.argsort(np.argsort(x)) for name, x in found.items()}
    expected = 6 / math.pi * math.asin(CORRELATION / 2)
    assert np.corrcoef(ranks["a"], ranks["b"])[0, 1] == pytest.approx(expected, abs=0.02)
    assert abs(np.corrcoef(ranks["a"], ranks["serial"])[0, 1]) < 0.03
    assert found["a"].mean() == pytest.approx(8 / 3, rel=0.01)


def test_a_seed_gives_the_same_draws() -> None:
    values = parameters(load_costs("loihi1"), 4)
    one, same, other = (draws(values, 50, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in values)
    assert not np.array_equal(one["energy.spike_out"], other["energy.spike_out"])
    run = Counted("x", {"updates": 1000, "spikes": 100})
    found = [account(run, load_costs(), 200, seed).scopes[1].energy for seed in (5, 5, 6)]
    assert found[0] == found[1] and found[0] != found[2]


def test_one_parameter_alone() -> None:
    """With one uncertain parameter the percentiles are its own, and all of the interval is its share."""
    found = account(Counted("x", {"spikes": 100}), load_costs("loihi1"), 20_000)
    energy = found.scopes[1].energy
    assert energy is not None
    spike = load_costs("loihi1").energy["spike_out"].si
    expected = triangular(spike, np.array([0.05, 0.5, 0.95])) * 100
    assert [energy.p5, energy.p50, energy.p95] == pytest.approx(expected.tolist(), rel=0.04)
    assert found.swings == {"energy.spike_out": pytest.approx(1.0)}


def test_shares_of_the_interval() -> None:
    """Two additive terms: each parameter's share is its width times its count."""
    run = Counted("x", {"updates": 1000, "spikes": 100})
    found = account(run, load_costs("loihi1"), 10).swings
    access, spike = 1000 * (52.0 - 51.2), 100 * 69.3
    assert found["energy.spike_out"] == pytest.approx(spike / (access + spike))
    assert list(found) == ["energy.spike_out", "energy.neuron_access"]


@pytest.mark.parametrize("number", [0, -1, 10**6])
def test_how_many_draws(number: int) -> None:
    with pytest.raises(InputError, match="draws; give 1 to"):
        account(Counted("x", {"spikes": 1}), load_costs(), number)
