"""Events of a Program that is on no chip: by hand, per inference, with messages from the host, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from worked_program import small_program, whole

from snncc.energy.account import core_dynamic
from snncc.energy.costs import load_costs
from snncc.energy.counted import Counted
from snncc.energy.scopes import EVENTS
from snncc.energy.unplaced import host_operations, unplaced_counts
from snncc.errors import InputError
from snncc.program.counts import StepCounts
from snncc.program.reference import run_reference


def picojoules(counts: Mapping[str, float]) -> float:
    """Typical core dynamic energy of one inference at SANA-FE's costs."""
    energies = core_dynamic(Counted("x", counts), load_costs("loihi1-sanafe"))
    return sum(e.typ for e in energies.values()) * 1e12


def test_by_hand() -> None:
    """One sample, input (1, 0, 1), worked on paper.

    a receives (2, 1) in each of 3 steps: neuron 0 fires 3 times, neuron 1 (0, 1, 0) once: 4 spikes.
    b: a0 drives both, a1 drives b1: t0 (1, 1), t1 (1 − 1, 2), t2 (1 − 0, 1): b fires t0 both, t1 b1, t2 both: 5 spikes.
    """
    program = small_program()
    run = run_reference(program, whole([[1, 0, 1]]))
    made = unplaced_counts(program, run.counts, run.samples)
    a, b, c = made["a"], made["b"], made["c"]
    assert list(made) == ["a", "b", "c"]
    assert a == {
        **dict.fromkeys(EVENTS, 0),
        "updates": 6,
        "active": 6,
        "spikes": 4,
        "axons_out": 8,  # to b and to c
        "host_operations": 3,  # weights 1, 1 of neuron 0 and 1 of neuron 1
    }
    assert b["spikes"] == 5
    assert b["axons_in"] == 4 + 5 and b["axons_out"] == 10  # its loop is a destination too
    assert b["synaptic_dense"] == (3 * 2 + 1) + 1  # a0 ×3 on two neurons, a1 once on one; b0's loop at t1 only
    assert c["synaptic_sparse"] == 1 and c["synaptic_dense"] == 5
    assert c["axons_out"] == 0 and c["axons_in"] == 4 + 5
    assert picojoules(a) == pytest.approx(6 * 51.2 + 6 * 21.6 + 4 * 69.3 + 8 * 111.0, rel=1e-12)
    first = sum(c[e] * p for e, p in (("updates", 51.2), ("active", 21.6), ("spikes", 69.3)))
    assert picojoules(c) == pytest.approx(first + 33.6 + 5 * 35.5, rel=1e-12)
    assert host_operations(program, "a", run.counts["a"]) == 3 and host_operations(program, "b", run.counts["b"]) == 0


def test_twice_the_samples_count_twice() -> None:
    program = small_program()
    data = np.random.default_rng(4).integers(0, 6, (5, 3))
    once, twice = run_reference(program, data), run_reference(program, np.concatenate([data, data]))
    one, two = (unplaced_counts(program, r.counts, r.samples) for r in (once, twice))
    assert two == {name: {event: 2 * n for event, n in counts.items()} for name, counts in one.items()}


def test_input_that_arrives_as_messages() -> None:
    """Frames and spikes reach the chip as messages and synaptic operations, not as operations of the host."""
    program = small_program("frames")
    data = np.random.default_rng(5).integers(0, 2, (3, 4, 3))
    run = run_reference(program, data)
    a = unplaced_counts(program, run.counts, 4, source_events=int(np.count_nonzero(data)))["a"]
    assert a["host_operations"] == 0
    assert a["synaptic_dense"] == np.count_nonzero(data[..., 0]) + 2 * np.count_nonzero(data[..., 2])
    assert a["axons_in"] == np.count_nonzero(data)


def test_counts_of_something_else_are_refused() -> None:
    program = small_program()
    run = run_reference(program, whole([[1, 0, 1], [5, 5, 5]]))
    with pytest.raises(
        InputError, match=r"a: the counts hold 12 neuron updates; 2 neurons × 3 steps × 1 samples make 6"
    ):
        unplaced_counts(program, run.counts, 1)
    with pytest.raises(InputError, match="b: the counts say nothing"):
        unplaced_counts(program, {"a": run.counts["a"], "c": run.counts["c"]}, 2)
    lost: dict[str, StepCounts] = {**run.counts, "c": replace(run.counts["c"], synaptic_operations={})}
    with pytest.raises(InputError, match="a-c: the counts of c hold no synaptic operations"):
        unplaced_counts(program, lost, 2)
