"""Weights that are 8-bit mantissas times one power of two: Lava's Dense takes them by its weight exponent."""

from __future__ import annotations

import numpy as np
import pytest
from programs import frames, neurons, program

from snncc.program.bounds import prove_bounds
from snncc.program.program import Program, Projection, Readout
from snncc.program.reference import run_reference
from snncc.target import RunOptions
from snncc.targets.loihi_sim import TARGET
from snncc.targets.loihi_sim.placement import place, weight_range_fits
from snncc.targets.loihi_sim.runner import run_program


def wide(exponent: int, shift: int = 0) -> Program:
    rng = np.random.default_rng(exponent)
    weight = rng.integers(-128, 128, (6, 10)) << exponent
    weight[0, :2] = -128 << exponent, 127 << exponent
    sparse = rng.integers(-128, 128, 8) << exponent
    index = np.array([[0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 3, 1]])
    return program(
        frames((10,), 0, 1),
        [
            neurons("a", (6,), threshold=np.asarray(150 << exponent + 6)),
            neurons("b", (4,), threshold=np.asarray(64 << 6)),
        ],
        [
            Projection("in-a", "input", "a", "dense", weight, shift=shift),
            Projection("a-b", "a", "b", "sparse", sparse, index=index),
        ],
        Readout("b", "spike_count"),
        time_steps=40,
    )


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ([-256, 254], True),
        ([255], False),
        ([-257], False),
        ([-128 << 7, 127 << 7], True),
        ([128 << 7], False),
        ([], True),
    ],
)
def test_what_fits(weights: list[int], fits: bool) -> None:
    weight = np.array([weights], np.int64)
    assert weight_range_fits(Projection("p", "a", "b", "dense", weight)) == fits


@pytest.mark.parametrize(("exponent", "shift"), [(0, 0), (1, 0), (4, 3), (2, 5)])
def test_lava_computes_them(lava: None, exponent: int, shift: int) -> None:
    p = wide(exponent, shift)
    assert not TARGET.check(p)
    assert [x.process for x in place(p, prove_bounds(p)).projections] == ["dense", "dense"]
    data = (np.random.default_rng(1).random((40, 3, 10)) < 0.4).astype(np.int64)
    wanted = run_reference(p, data)
    assert shift or wanted.spikes["a"].sum() > 50
    for direct in (True, False):
        if not direct and exponent != 1:
            continue  # the runtime is slow, and takes the same weights from the same function
        got = run_program(p, None, data, RunOptions(record=True, timeout_s=240), direct)
        for name in ("a", "b"):
            assert int((got.spikes[name] != wanted.spikes[name]).sum()) == 0
            assert int((got.membranes[name] != wanted.membranes[name]).sum()) == 0
