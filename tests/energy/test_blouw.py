"""The prediction of Blouw et al.'s slope: the figures of docs/energy.md, and the product of counts and costs by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="benchmarks need torch: pip install snncc[torch]")

from benchmarks.blouw import LAYERS, MEASURED, STEPS, WIDTH, counted, measured_slope, predicted
from snncc.energy.costs import load_costs


def test_the_slope_that_was_measured() -> None:
    assert measured_slope() == pytest.approx(16.9e-6, abs=0.1e-6) and sorted(MEASURED) == [1, 2, 4, 6, 8, 10]


def test_the_prediction_is_the_one_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(encoding="utf-8")
    found = predicted("nengo")
    low, typ, high = (f"{1e6 * x:.1f}" for x in (found.joules.low, found.joules.typ, found.joules.high))
    error = 100 * (found.joules.typ / measured_slope() - 1)
    row = f"| {100 * found.rate:.2f} | {typ} µJ [{low} … {high}] | {error:.0f} % |".replace("| -", "| −")
    assert row in page


def test_a_copy_by_hand() -> None:
    """Where next to nothing fires, a copy costs its accesses and little more."""
    (one, rate), costs = counted(1, "published"), load_costs()
    neurons = WIDTH * (LAYERS + 2)
    assert one.count("updates") == neurons * STEPS * one.samples and rate < 0.001
    accesses = costs.energy["neuron_access"].joules.typ * WIDTH * LAYERS * STEPS
    assert accesses < predicted("published").joules.typ < 2 * accesses
