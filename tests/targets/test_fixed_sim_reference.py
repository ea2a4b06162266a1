"""fixed-sim against the golden interpreter: every spike, membrane, score and counter, bit for bit."""

from __future__ import annotations

import integer_networks
import networks
import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from snncc.errors import InputError
from snncc.program import reference
from snncc.program.program import EXACT, LOIHI, Population, Program, Projection, Readout, Source, check_program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.target import PATHS, RunOptions
from snncc.targets.fixed_sim.engine import run
from snncc.targets.fixed_sim.prepare import prepare

batches = st.sampled_from((1, 2, 5))


def assert_equal(expected: IntegerRecording, actual: IntegerRecording, recorded: bool = True) -> None:
    """All that a run leaves behind is the same; without recording, no spikes and membranes."""
    assert actual.samples == expected.samples
    np.testing.assert_array_equal(actual.scores, expected.scores)
    np.testing.assert_array_equal(actual.predictions, expected.predictions)
    for kind in ("spikes", "membranes"):
        theirs, ours = getattr(expected, kind), getattr(actual, kind)
        assert list(ours) == (list(theirs) if recorded else [])
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{kind} of {name}")
    for name, counts in expected.counts.items():
        ours = actual.counts[name]
        for kind in ("updates", "active", "spikes"):
            np.testing.assert_array_equal(getattr(ours, kind), getattr(counts, kind), err_msg=f"{kind} of {name}")
        assert ours.synaptic_operations.keys() == counts.synaptic_operations.keys()
        for projection, operations in counts.synaptic_operations.items():
            np.testing.assert_array_equal(ours.synaptic_operations[projection], operations, err_msg=projection)


def check_against_reference(program: Program, seed: int, batch: int) -> IntegerRecording:
    check_program(program)
    data = integer_networks.data_for(program, seed)
    expected = run_reference(program, data)
    threads = 1 + seed % 2
    for path in PATHS:
        assert_equal(expected, run(program, data, RunOptions(record=True, batch=batch, path=path)))
        plain = RunOptions(record=False, batch=batch, path=path, threads=threads)
        assert_equal(expected, run(program, data, plain), recorded=False)
    only_spikes = run(program, data, RunOptions(record=True, membranes=False, batch=batch))
    assert only_spikes.membranes == {} and list(only_spikes.spikes) == list(expected.spikes)
    return expected


@networks.examples(120)
@given(integer_networks.programs(EXACT), networks.seeds, batches)
def test_equals_the_reference_in_exact_arithmetic(program: Program, seed: int, batch: int) -> None:
    check_against_reference(program, seed, batch)


WRAPPED, SATURATED = "a current wrapped", "a membrane saturated"


@networks.examples(120)
@given(integer_networks.programs(LOIHI), networks.seeds, batches)
def test_equals_the_reference_in_loihi_arithmetic(program: Program, seed: int, batch: int) -> None:
    check_against_reference(program, seed, batch)


def test_loihi_examples_really_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random networks reach the rules they are meant to test: both overflows, both signs."""
    seen: set[tuple[str, bool]] = set()
    plain = reference.overflow

    def watched(name: str, what: str, x: np.ndarray, rule: str, bits: int) -> np.ndarray:
        seen.update((rule, bool(sign > 0)) for sign in np.sign(x[plain(name, what, x, rule, bits) != x]))
        return plain(name, what, x, rule, bits)

    monkeypatch.setattr(reference, "overflow", watched)

    @networks.examples(60)
    @given(integer_networks.programs(LOIHI), networks.seeds)
    def look(program: Program, seed: int) -> None:
        recording = run_reference(program, integer_networks.data_for(program, seed))
        event(f"spikes: {any(s.any() for s in recording.spikes.values())}")

    look()
    assert seen == {("wrap", True), ("wrap", False), ("saturate", True), ("saturate", False)}


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_at_the_edges_of_24_bits(off: int) -> None:
    """Currents of exactly ±2^23, one guarded unit less and more, two and three times that; membranes at the edge too."""
    population = Population(
        "n", (7,), np.asarray(2**22), np.asarray(4096), np.asarray(0), np.asarray(0), np.asarray(1), np.asarray(0),
        current_bias=np.asarray(off), reset="none", guard_bits=6,
    )  # fmt: skip
    source = Source("in", (1,), "static", 1, 1)
    weight = np.arange(-3, 4)[:, None] << 17
    projection = Projection("w", "in", "n", "dense", weight)
    program = Program("edge", 3, LOIHI, source, (population,), (projection,), Readout("n", "summed_current"))
    data = np.ones((1, 1), np.int64)
    expected = run_reference(program, data)
    assert_equal(expected, run(program, data, RunOptions(record=True)))
    once = {-1: [2**23 - 1, -1, 2**23 - 1], 0: [2**23, 0, 2**23], 1: [-(2**23) + 1, 1, -(2**23) + 1]}[off]
    assert expected.scores[0, [2, 3, 4]].tolist() == [3 * u for u in once]


@pytest.mark.parametrize("what", ["float", "range", "shape", "steps", "empty"])
def test_refuses_data_that_does_not_fit(what: str) -> None:
    @networks.examples(5)
    @given(integer_networks.programs(EXACT))
    def refuse(program: Program) -> None:
        data = integer_networks.data_for(program, 0)
        bad = {
            "float": data.astype(np.float32),
            "range": np.full_like(data, program.source.high + 1),
            "shape": data[..., None],
            "steps": data[:, :-1] if program.source.encoding == "static" else data[:-1],
            "empty": data[:0] if program.source.encoding == "static" else data[:, :0],
        }[what]
        for execute in (run, run_reference):
            with pytest.raises(InputError, match="input: the data"):
                execute(program, bad)

    refuse()


@pytest.mark.parametrize("delay", [2, 3, 4, 1_000_000])
def test_a_delay_beyond_the_run_brings_nothing_and_takes_no_memory(delay: int) -> None:
    """Three steps; buffers for a million steps of 4,000 neurons would be gigabytes."""
    source = Source("in", (4000,), "spikes", 0, 1)
    one = np.asarray(1)
    neuron = Population("n", (4000,), one, np.asarray(4096), one, np.asarray(0), one, np.asarray(0), guard_bits=0)
    index = np.stack([np.arange(4000)] * 2)
    arcs = [(s, Projection(f"{s}-n", s, "n", "sparse", np.ones(4000, int), 0, delay, index=index)) for s in ("in", "n")]
    program = Program("far", 3, EXACT, source, (neuron,), tuple(p for _, p in arcs), Readout("n", "spike_count"))
    assert prepare(program).past <= 3 and prepare(program).populations[0].past <= 3
    recorded = check_against_reference(program, 1, 2)
    assert any(c.any() for c in recorded.counts["n"].synaptic_operations.values()) == (delay < 3)
