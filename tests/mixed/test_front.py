"""The front of assignments against every assignment there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from snncc.mixed.front import Choice, front


def random_layers(seed: int, layers: int = 4, widths: int = 5) -> list[dict[int, Choice]]:
    rng = np.random.default_rng(seed)
    return [
        {8 - i: Choice(-float(i * rng.uniform(1, 40)), float(i * rng.random())) for i in range(widths)}
        for _ in range(layers)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_no_assignment_beats_it_and_none_is_missing(seed: int) -> None:
    layers = random_layers(seed)
    every = [
        (
            sum(at[b].cost for at, b in zip(layers, bits, strict=True)),
            sum(at[b].distortion for at, b in zip(layers, bits, strict=True)),
        )
        for bits in itertools.product(*layers)
    ]
    found = front(layers)
    for a in found:
        costs = [at[b].cost for at, b in zip(layers, a.bits, strict=True)]
        assert a.cost == pytest.approx(sum(costs))
        assert not [e for e in every if e[0] < a.cost - 1e-9 and e[1] <= a.distortion + 1e-12]
    for size in np.linspace(min(c for c, _ in every), 0, 25):
        best = min(d for c, d in every if c <= size + 1e-9)
        assert min(a.distortion for a in found if a.cost <= size + 1e-9) == pytest.approx(best)


def test_rises_in_cost_and_falls_in_distortion() -> None:
    found = front(random_layers(3))
    assert all(a.cost < b.cost and a.distortion > b.distortion for a, b in itertools.pairwise(found))


def test_thinned_it_is_nearly_as_good() -> None:
    layers = random_layers(1, 8, 5)
    whole, few = front(layers, 10**6), front(layers, 20)
    assert len(few) <= 20 < len(whole)
    reach = whole[-1].cost - whole[0].cost
    for a in whole:
        assert min(b.distortion for b in few if b.cost <= a.cost + 0.2 * reach) <= a.distortion + 1e-9


def test_a_negative_distortion_buys_nothing() -> None:
    """Noise of a measurement is no credit for other layers."""
    found = front([{8: Choice(0, 0), 4: Choice(-10, -0.5)}, {8: Choice(0, 0), 4: Choice(-10, 0.4)}])
    assert [a.bits for a in found] == [(4, 4), (4, 8)] and [a.distortion for a in found] == [0.4, 0.0]
