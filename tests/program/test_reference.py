"""The golden interpreter against plain numbers: rounding, overflow, spike counts, projections and event counters."""

from __future__ import annotations

import math

import integer_networks
import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.errors import UnsupportedError
from snncc.program.counts import add_counts
from snncc.program.currents import project
from snncc.program.program import EXACT, LOIHI, Population, Program, Projection, Readout, Source, conv_shape
from snncc.program.reference import count_spikes, decay, overflow, run_reference

LIMIT = 2**23


@networks.examples(200)
@given(st.integers(-(2**24), 2**24), st.integers(0, 4096))
def test_rounding_of_a_decay(x: int, factor: int) -> None:
    exact = x * factor / 4096
    array = np.asarray([x])
    assert decay(array, np.asarray(factor), "floor") == math.floor(exact)
    assert decay(array, np.asarray(factor), "toward_zero") == math.trunc(exact)
    assert decay(array, np.asarray(factor), "nearest") == math.floor(exact + 0.5)


def test_overflow_of_24_bits() -> None:
    """Lava's LIF wraps a current once, 2^23 itself stays and −2^23 does not; a membrane stops at ±(2^23 − 1)."""
    x = np.array([LIMIT - 1, LIMIT, LIMIT + 1, -LIMIT + 1, -LIMIT, 3 * LIMIT + 5])
    wrapped = overflow("n", "current", x, "wrap", 24)
    assert wrapped.tolist() == [LIMIT - 1, LIMIT, -LIMIT + 1, -LIMIT + 1, LIMIT, LIMIT + 5]
    saturated = overflow("n", "membrane", x, "saturate", 24)
    assert saturated.tolist() == [LIMIT - 1, LIMIT - 1, LIMIT - 1, -LIMIT + 1, -LIMIT + 1, LIMIT - 1]


def test_an_exact_program_that_overflows_says_where() -> None:
    with pytest.raises(UnsupportedError, match="n: the current reached 8388608, beyond 24 bits"):
        overflow("n", "current", np.array([LIMIT]), "error", 24)


def neuron(**fields: object) -> Population:
    whole = {k: np.asarray(0) for k in ("bias", "v_init", "reset_value")}
    made = {"threshold": np.asarray(10), "decay_v": np.asarray(4096), "reset_amount": np.asarray(4), **whole, **fields}
    return Population("n", (1,), **made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "v", "expected"),
    [
        ({}, [9, 10, 11, 100], [0, 1, 1, 1]),
        ({"compare": ">"}, [10, 11], [0, 1]),
        ({"levels": 3}, [9, 10, 13, 14, 17, 18, 99], [0, 1, 1, 2, 2, 3, 3]),
        ({"levels": 3, "reset": "to_value"}, [9, 10, 19, 20, 30, 99], [0, 1, 1, 2, 3, 3]),
        ({"levels": 2, "signed": True}, [-9, -10, -14, -99, 14], [0, -1, -2, -2, 2]),
        ({"signed": True, "compare": ">"}, [-10, -11], [0, -1]),
    ],
)
def test_spikes_of_a_membrane(fields: dict[str, object], v: list[int], expected: list[int]) -> None:
    assert count_spikes(neuron(**fields), np.asarray(v)).tolist() == expected


def sum_shape(program: Program, projection: Projection) -> tuple[int, ...]:
    """Shape of a projection's sums, before any pooling."""
    if projection.kind == "conv":
        return conv_shape(projection, program.shape_of(projection.source))
    return program.shape_of(projection.target)


def pooled(program: Program, projection: Projection, sums: np.ndarray) -> np.ndarray:
    """The largest sum of each window, one by one; flattened."""
    if projection.pool is None:
        return sums
    shaped = sums.reshape(len(sums), *sum_shape(program, projection))
    wanted = program.shape_of(projection.target)
    result = np.zeros((len(sums), *wanted), np.int64)
    for c, y, x in np.ndindex(*wanted):
        top, left = y * projection.pool_stride[0], x * projection.pool_stride[1]
        window = shaped[:, c, top : top + projection.pool[0], left : left + projection.pool[1]]
        result[:, c, y, x] = window.reshape(len(sums), -1).max(axis=1)
    return result.reshape(len(sums), -1)


def synapses(program: Program, projection: Projection) -> list[tuple[int, int, int]]:
    """Every (source, target, weight) of a projection over flattened ends, one by one."""
    given, wanted = program.shape_of(projection.source), sum_shape(program, projection)
    w = projection.weight
    if projection.kind == "dense":
        return [(i, o, int(w[o, i])) for o in range(w.shape[0]) for i in range(w.shape[1])]
    if projection.kind == "sparse":
        assert projection.index is not None
        return [(int(i), int(o), int(x)) for o, i, x in zip(*projection.index, w, strict=True)]
    found = []
    step = w.shape[0] // projection.groups
    for o, y, x in np.ndindex(*wanted):
        for c, a, b in np.ndindex(*w.shape[1:]):
            row = y * projection.stride[0] + a * projection.dilation[0] - projection.padding[0]
            column = x * projection.stride[1] + b * projection.dilation[1] - projection.padding[1]
            if 0 <= row < given[1] and 0 <= column < given[2]:
                source = np.ravel_multi_index(((o // step) * w.shape[1] + c, row, column), given)
                found.append((int(source), int(np.ravel_multi_index((o, y, x), wanted)), int(w[o, c, a, b])))
    return found


@networks.examples(60)
@given(integer_networks.programs(EXACT), networks.seeds)
def test_projections_and_counters_synapse_by_synapse(program: Program, seed: int) -> None:
    data = integer_networks.data_for(program, seed, 2)
    recording = run_reference(program, data)
    static = program.source.encoding == "static"
    for projection in program.projections:
        each = synapses(program, projection)
        counted = recording.counts[projection.target].synaptic_operations[projection.name]
        for t in range(program.time_steps):
            before = t - projection.delay
            if before < 0 or (program.is_static(projection) and before > 0):
                assert counted[t] == 0
                continue
            if projection.source == program.source.name:
                spikes = data if static else data[before]
            else:
                spikes = recording.spikes[projection.source][before]
            flat = spikes.reshape(2, -1)
            assert counted[t] == sum(int(np.count_nonzero(flat[:, i])) for i, _, w in each if w)
            total = np.zeros((2, int(np.prod(sum_shape(program, projection)))), np.int64)
            for i, o, w in each:
                total[:, o] += flat[:, i] * w
            expected = pooled(program, projection, total >> projection.shift)
            np.testing.assert_array_equal(project(program, projection, spikes).reshape(2, -1), expected)


@given(integer_networks.programs(LOIHI), networks.seeds)
def test_counters_follow_from_the_recording(program: Program, seed: int) -> None:
    recording = run_reference(program, integer_networks.data_for(program, seed))
    for p in program.populations:
        counts = recording.counts[p.name]
        assert (counts.updates == 3 * p.size).all()
        fired = np.count_nonzero(recording.spikes[p.name].reshape(program.time_steps, -1), axis=1)
        np.testing.assert_array_equal(counts.spikes, fired)
        assert (fired <= counts.active).all() and (counts.active <= counts.updates).all()


@given(integer_networks.programs(LOIHI), networks.seeds)
def test_samples_do_not_see_each_other(program: Program, seed: int) -> None:
    """A batch is its samples one by one, counters included."""
    data = integer_networks.data_for(program, seed)
    static = program.source.encoding == "static"
    together = run_reference(program, data)
    alone = [run_reference(program, data[i : i + 1] if static else data[:, i : i + 1]) for i in range(3)]
    np.testing.assert_array_equal(together.scores, np.concatenate([r.scores for r in alone]))
    for name, counts in add_counts([r.counts for r in alone]).items():
        for kind in ("updates", "active", "spikes"):
            np.testing.assert_array_equal(getattr(counts, kind), getattr(together.counts[name], kind))
        for projection, operations in counts.synaptic_operations.items():
            np.testing.assert_array_equal(operations, together.counts[name].synaptic_operations[projection])


def test_a_run_by_hand() -> None:
    """Input 3 through weight 2, guard bits 1: 12 a step onto a membrane that leaks a half; fires from 20, keeps the rest."""
    population = Population(
        "n", (1,), np.asarray(20), np.asarray(2048), np.asarray(1), np.asarray(4), np.asarray(20), np.asarray(0),
        compare=">=", guard_bits=1,
    )  # fmt: skip
    source = Source("in", (1,), "static", 0, 9)
    projection = Projection("w", "in", "n", "dense", np.array([[2]]))
    program = Program("net", 5, EXACT, source, (population,), (projection,), Readout("n", "spike_count"))
    recording = run_reference(program, np.array([[3]]))
    # 4/2 + 13 = 15; 7.5 → 8 + 13 = 21 fires, 1 stays; 0.5 → 1 + 13 = 14; 7 + 13 = 20 fires; 0 + 13
    assert recording.membranes["n"].reshape(-1).tolist() == [15, 1, 14, 0, 13]
    assert recording.spikes["n"].reshape(-1).tolist() == [0, 1, 0, 1, 0]
    assert recording.scores.tolist() == [[2]]
    assert recording.counts["n"].synaptic_operations["w"].tolist() == [1, 0, 0, 0, 0]
