"""A small Program, and the comparison of two runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snncc.program.program import EXACT, Population, Program, Projection, Readout, Source
from snncc.program.reference import IntegerRecording


def assert_equal(expected: IntegerRecording, actual: IntegerRecording) -> None:
    """Every score, prediction, spike and membrane is the same, and every event count where events were counted."""
    np.testing.assert_array_equal(actual.scores, expected.scores)
    np.testing.assert_array_equal(actual.predictions, expected.predictions)
    for kind in ("spikes", "membranes"):
        theirs, ours = getattr(expected, kind), getattr(actual, kind)
        assert list(ours) == list(theirs)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{kind} of {name}")
    for name, theirs in expected.counts.items() if actual.counts else ():
        ours = actual.counts[name]
        for kind in ("updates", "active", "spikes"):
            np.testing.assert_array_equal(getattr(ours, kind), getattr(theirs, kind), err_msg=f"{kind} of {name}")
        assert ours.synaptic_operations.keys() == theirs.synaptic_operations.keys()
        for projection, operations in theirs.synaptic_operations.items():
            np.testing.assert_array_equal(ours.synaptic_operations[projection], operations, err_msg=projection)


def small(**fields: object) -> Program:
    """Two inputs, static 0..3, onto three neurons that integrate and fire."""
    made = Population(
        "n", (3,), np.asarray(40), np.asarray(4096), np.asarray(0), np.asarray(0), np.asarray(40), np.asarray(0),
        guard_bits=2,
    )  # fmt: skip
    weight = np.asarray([[1, 2], [-3, 4], [5, -6]])
    population = replace(made, **fields)  # type: ignore[arg-type]
    projection = Projection("w", "in", "n", "dense", weight)
    source = Source("in", (2,), "static", 0, 3)
    return Program("small", 5, EXACT, source, (population,), (projection,), Readout("n", "spike_count"))
