"""Thresholds that are found on data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from anns import images, residual

from snncc.errors import InputError
from snncc.models import thresholds
from snncc.models.thresholds import Search, activations, find_thresholds, squared_error

RELU = {"kind": "relu"}


def arriving(name: str, x: torch.Tensor) -> np.ndarray:
    """What reaches an activation, (N, …), from the module's own record."""
    network = residual(RELU).module()
    with torch.no_grad():
        values = network.record(x)
    total = sum(values[source][0] for source in network.inputs[name])
    return np.asarray(total)


def test_percentile_of_the_positive_values() -> None:
    x = images(120)
    found = find_thresholds(residual(RELU), Search(percentile=97.0), 16, 0.5, x)
    assert list(found) == ["act1", "act2", "act3"]
    for name, threshold in found.items():
        values = arriving(name, x)
        positive = values[values > 0]
        assert threshold.value == pytest.approx(np.percentile(positive, 97.0), rel=1e-5)
        assert threshold.rule == "percentile" and threshold.clipped == pytest.approx(0.03, abs=0.002)


@pytest.mark.parametrize(("steps", "offset"), [(4, 0.5), (4, 0.0), (64, 0.5)])
def test_mse_is_the_best_of_a_fine_search(steps: int, offset: float) -> None:
    x = images(60)
    found = find_thresholds(residual(RELU), Search("mse"), steps, offset, x)
    for name, threshold in found.items():
        values = arriving(name, x)
        positive = values[values > 0]
        assert isinstance(threshold.value, float)

        def error(theta: float, positive: np.ndarray = positive) -> float:
            """Mean square of x − q(x), written anew."""
            step = theta / steps
            return float(np.mean((positive - step * np.clip(np.floor(positive / step + offset), 0, steps)) ** 2))

        assert squared_error(positive, threshold.value, steps, offset) == pytest.approx(
            error(threshold.value), rel=0.01
        )
        best = min(error(theta) for theta in np.linspace(0.02, 1.0, 400) * positive.max())
        assert error(threshold.value) < 1.1 * best
    wide = find_thresholds(residual(RELU), Search("mse"), 256, offset, x)
    assert all(wide[n].value >= found[n].value for n in found if steps == 4)


def test_a_threshold_each_channel_where_there_are_channels() -> None:
    x = images(40)
    found = find_thresholds(residual(RELU), Search(percentile=100.0, per_channel=True), 16, 0.5, x)
    assert [np.shape(t.value) for t in found.values()] == [(6, 1, 1), (6, 1, 1), ()]
    largest = arriving("act2", x).max(axis=(0, 2, 3))
    np.testing.assert_allclose(np.ravel(found["act2"].value), np.where(largest > 0, largest, largest.max()), rtol=1e-6)
    assert found["act2"].clipped == 0


def test_values_are_drawn_evenly_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(120)
    monkeypatch.setattr(thresholds, "KEPT_VALUES", 6 * 3 * 200)
    drawn, every = activations(residual(RELU), x)["act1"], arriving("act1", x)
    assert drawn.shape == (6, 1, 1, 600)
    assert drawn.mean() == pytest.approx(every.mean(), abs=3 * every.std() / np.sqrt(drawn.size))


def test_trained_bounds_stay_unless_replaced() -> None:
    ann, x = residual({"kind": "clip", "bound": 0.4}), images(20)
    assert [t.value for t in find_thresholds(ann, Search(), 8, 0.5, None).values()] == [0.4] * 3
    assert [t.rule for t in find_thresholds(ann, Search(), 8, 0.5, x).values()] == ["trained"] * 3
    found = find_thresholds(ann, Search(percentile=50.0, replace_bounds=True), 8, 0.5, x)
    assert all(t.value <= 0.4 and t.rule == "percentile" for t in found.values())
    assert min(t.value for t in found.values()) < 0.4  # type: ignore[type-var]


def test_what_cannot_be_found_is_named() -> None:
    with pytest.raises(InputError, match="act1: has no trained bound; give data"):
        find_thresholds(residual(RELU), Search(), 8, 0.5, None)
    ann = residual(RELU)
    state = {k: torch.zeros_like(v) if k.startswith(("bn1.weight", "bn1.bias")) else v for k, v in ann.state.items()}
    with pytest.raises(InputError, match="act1: no value above 0"):
        find_thresholds(type(ann)(ann.description, state), Search(), 8, 0.5, images(3))
    with pytest.raises(InputError, match="percentile is 0"):
        Search(percentile=0)
    with pytest.raises(InputError, match="'max'"):
        Search("max")
