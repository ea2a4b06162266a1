"""Distances, first cells and silent neurons against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.compare import compare_recordings
from snncc.diff.health import Activity, health_findings
from snncc.diff.measure import Change, van_rossum
from snncc.diff.trace import Trace
from snncc.errors import TargetError
from snncc.program.reference import IntegerRecording

Array = np.ndarray


def train(*steps: int, length: int = 12) -> Array:
    made = np.zeros(length, int)
    made[list(steps)] = 1
    return made


@given(st.integers(0, 11), st.floats(0.5, 20))
def test_one_spike_more_is_one_wherever_it_stands(step: int, tau: float) -> None:
    assert van_rossum(train(step, 3), train(3), tau) == pytest.approx(1.0 if step != 3 else 0.0)


@given(st.integers(0, 8), st.integers(1, 3), st.floats(0.5, 20))
def test_a_late_spike_costs_by_its_delay(step: int, late: int, tau: float) -> None:
    expected = np.sqrt(2 * (1 - np.exp(-late / tau)))
    assert van_rossum(train(step), train(step + late), tau) == pytest.approx(expected)


def test_distance_by_the_integral() -> None:
    """The sum of squares, written out over a long tail."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 10, 5))
    kernel = np.exp(-np.arange(400) / 4.0)
    filtered = [np.convolve(np.pad(d, (0, 400)), kernel)[:400] for d in (a - b).T.astype(float)]
    expected = np.sqrt(np.square(filtered).sum(axis=1) * (1 - np.exp(-2 / 4.0)))
    np.testing.assert_allclose(van_rossum(a, b, 4.0), expected, rtol=1e-9)


def trace(**spikes: Array) -> Trace:
    first = next(iter(spikes.values()))
    return Trace(spikes, {}, np.zeros((first.shape[1], 2)), np.zeros(first.shape[1], int))


def test_first_cell_over_batches() -> None:
    """The earliest step wins, then the layer, then the sample, over all batches; sample numbers are the data's."""
    rng = np.random.default_rng(1)
    a = [{n: rng.integers(0, 2, (6, 5, 3)) for n in "xy"} for _ in range(3)]
    b = [{n: v.copy() for n, v in part.items()} for part in a]
    b[0]["y"][4, 1, 2] ^= 1
    b[1]["y"][2, 3, 0] ^= 1
    b[2]["x"][2, 4, 1] ^= 1
    b[2]["x"][5, 0, 0] ^= 1
    change = Change()
    for i, (p, q) in enumerate(zip(a, b, strict=True)):
        change.add(5 * i, trace(**p), trace(**q))
    cell = change.first
    assert cell is not None and (cell.layer, cell.step, cell.sample, cell.neuron) == ("x", 2, 14, (1,))
    assert change.roots == {1: 4, 8: 2, 14: 2, 10: 5}
    found = {x.layer: x for x in change.result()}
    assert [found[n].differing for n in "xy"] == [2, 2] and found["x"].cells == 3 * 90
    before = np.mean([p["x"] for p in a])
    after = np.mean([q["x"] for q in b])
    assert found["x"].rate_before == before and found["x"].rate_change == pytest.approx(after - before)


def test_layers_of_other_shapes_are_said_and_not_compared() -> None:
    change = Change()
    change.add(
        0, trace(x=np.zeros((2, 3, 4)), y=np.zeros((2, 3, 2))), trace(x=np.zeros((2, 3, 5)), z=np.zeros((2, 3, 2)))
    )
    assert "(4,)" in change.misfits["x"] and "(5,)" in change.misfits["x"] and change.alone == ("y", "z")


def test_silent_and_restless_neurons() -> None:
    a, b = np.zeros((2, 5, 4, 2, 3, 3), int)
    a[:, :, 0] = 1  # channel 0 fires in every step, in both
    b[:, :, 0] = 1
    a[:3, :, 1, 0, 0] = 1  # one neuron of channel 1 goes silent
    a[0, 0, 1, 2, 2] = 1  # one spike less may be chance
    stages = []
    for spikes in (a, a, b):
        activity = Activity()
        activity.add(trace(conv=spikes[:, :2]))
        activity.add(trace(conv=spikes[:, 2:]))
        stages.append(activity)
    found = {(f.what, "never from" in f.actual): f for f in health_findings(["read", "fold", "quantise"], stages, 4)}
    lost, trained = found["dead neurons", True], found["dead neurons", False]
    assert "1 of 18" in lost.actual and "never from quantise on" in lost.actual and "--bits" in lost.remedy
    assert "7 of 18" in trained.actual and trained.remedy
    restless = found["never-silent neurons", False]
    assert "9 of 18" in restless.actual and "all of channel 0" in restless.actual and restless.remedy


@pytest.mark.parametrize("exact", [True, False])
def test_the_last_digit_of_a_membrane_that_never_fires(exact: bool) -> None:
    """Two runs of one Program are compared as they are; others as readouts, whose sums have an order."""
    runs = []
    for value in (2_000_000, 2_000_001):
        membranes = np.full((3, 2, 4), 7)
        membranes[0, 1, 2] = value
        scores, silent = membranes[-1], np.zeros((3, 2, 4), int)
        runs.append(IntegerRecording({"read": silent}, {"read": membranes}, scores, scores.argmax(1), {}, 2))
    change = Change(exact=exact)
    change.add(10, *(Trace({}, {"read": r.membranes["read"] * 0.5}, r.scores, r.predictions, r) for r in runs))
    found = change.unequal and (change.unequal.layer, change.unequal.step, change.unequal.sample, change.unequal.neuron)
    assert found == (("read", 0, 11, (2,)) if exact else None)
    assert change.first is None and change.first_value is None


def test_silent_spikes_may_be_left_out() -> None:
    """Of a layer that never fires there is nothing to compare; of one that does there is."""
    scores = np.zeros((2, 4), int)
    for spikes, refused in ((np.zeros((3, 2, 4), int), False), (np.eye(4, dtype=int)[:3, None].repeat(2, 1), True)):
        whole = IntegerRecording({"read": spikes}, {}, scores, scores.argmax(1), {}, 2)
        short = replace(whole, spikes={})
        if refused:
            with pytest.raises(TargetError, match="chip: gives no spikes of read"):
                compare_recordings(whole, short, ["read"], "chip")
        else:
            assert compare_recordings(whole, short, ["read"], "chip").differing == 0
