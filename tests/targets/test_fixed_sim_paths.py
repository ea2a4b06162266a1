"""The two ways to synaptic sums, each against the golden ones, on layers of every form; and how one of them is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.errors import InputError
from snncc.program.currents import weigh
from snncc.program.program import EXACT, Population, Program, Projection, Readout, Source, conv_shape
from snncc.program.reference import run_reference
from snncc.target import PATHS, RunOptions
from snncc.targets.fixed_sim import dense, onednn, synapses
from snncc.targets.fixed_sim.dense import dense_path
from snncc.targets.fixed_sim.engine import run
from snncc.targets.fixed_sim.forms import form_of
from snncc.targets.fixed_sim.layout import from_kernel, to_kernel
from snncc.targets.fixed_sim.prepare import PreparedProjection, prepare
from snncc.targets.fixed_sim.synapses import Cost, Paths, by_dense, by_events

RANDOM = np.random.default_rng(1)


def whole(shape: tuple[int, ...], largest: int = 127) -> np.ndarray:
    made = RANDOM.integers(-largest, largest + 1, shape)
    made[RANDOM.random(shape) < 0.2] = 0
    return made


def pooled(small: np.ndarray, s: int) -> np.ndarray:
    return np.repeat(np.repeat(small, s, axis=-2), s, axis=-1)


def conv(weight: np.ndarray, **how: Any) -> Projection:
    return Projection("w", "input", "n", "conv", weight, **how)


# Projection, shape of its source, range of what arrives
LAYERS: dict[str, tuple[Projection, tuple[int, int, int], tuple[int, int]]] = {
    "3x3": (conv(whole((16, 8, 3, 3)), padding=(1, 1)), (8, 7, 6), (0, 1)),
    "7 channels": (conv(whole((5, 7, 3, 2)), padding=(1, 0)), (7, 6, 9), (0, 1)),
    "strides": (conv(whole((8, 8, 5, 3)), stride=(3, 2), padding=(2, 2)), (8, 9, 8), (0, 4)),
    "wide stride": (conv(whole((4, 8, 2, 2)), stride=(3, 3)), (8, 8, 8), (0, 1)),
    "folded pool": (conv(pooled(whole((9, 8, 3, 3)), 2), stride=(2, 2), padding=(2, 2)), (8, 8, 8), (0, 4)),
    "folded pool, odd": (conv(pooled(whole((9, 8, 2, 2)), 3), stride=(3, 3), padding=(3, 0)), (8, 8, 10), (0, 1)),
    "folded pool, large": (conv(pooled(whole((9, 3, 3, 3)), 2), stride=(2, 2), padding=(2, 2)), (3, 8, 8), (0, 255)),
    "folded pool, 3 channels": (conv(pooled(whole((9, 3, 3, 3)), 2), stride=(2, 2), padding=(2, 2)), (3, 8, 8), (0, 1)),
    "folded pool, 5 channels": (conv(pooled(whole((9, 5, 2, 3)), 2), stride=(2, 2), padding=(0, 2)), (5, 7, 9), (0, 4)),
    "groups": (conv(whole((6, 4, 3, 3)), padding=(1, 1), groups=2), (8, 6, 6), (0, 1)),
    "folded pool, groups": (conv(pooled(whole((8, 1, 1, 1)), 2), stride=(2, 2), groups=8), (8, 6, 6), (0, 1)),
    "dilated": (conv(whole((6, 8, 3, 3)), padding=(2, 2), dilation=(2, 2)), (8, 6, 7), (0, 1)),
    "signed": (conv(whole((6, 8, 3, 3)), padding=(1, 1)), (8, 6, 7), (-2, 2)),
    "pixels": (conv(whole((6, 3, 5, 5)), padding=(2, 2)), (3, 9, 9), (0, 255)),
    "16 bits": (conv(whole((6, 8, 3, 3), 30_000), padding=(1, 1)), (8, 6, 7), (0, 1)),
    "beyond float32": (conv(whole((6, 8, 3, 3), 2**27), padding=(1, 1)), (8, 6, 7), (0, 255)),
    "1x1": (conv(whole((6, 8, 1, 1))), (8, 6, 7), (0, 1)),
    "dense": (Projection("w", "input", "n", "dense", whole((10, 8 * 4 * 6))), (8, 4, 6), (0, 1)),
    "dense, folded pool": (
        Projection("w", "input", "n", "dense", pooled(whole((10, 8, 2, 3)), 2).reshape(10, -1)), (8, 4, 6), (0, 4),
    ),
    "dense, 16 bits": (Projection("w", "input", "n", "dense", whole((10, 8 * 4 * 6), 30_000)), (8, 4, 6), (-3, 255)),
}  # fmt: skip


def program_of(layer: str) -> Program:
    projection, given, (low, high) = LAYERS[layer]
    shape = conv_shape(projection, given) if projection.kind == "conv" else (len(projection.weight),)
    one = np.asarray(1)
    neurons = Population("n", shape, np.asarray(100), np.asarray(3000), one, one, np.asarray(90), one, guard_bits=2)
    source = Source("input", given, "frames", low, high)
    return Program("layer", 3, EXACT, source, (neurons,), (projection,), Readout("n", "spike_count"))


def prepared(layer: str) -> tuple[Program, PreparedProjection]:
    program = program_of(layer)
    return program, prepare(program).populations[0].projections[0]


def spikes_for(q: PreparedProjection, rows: int = 5) -> np.ndarray:
    low, high = q.spike_range
    values = RANDOM.integers(low, high + 1, (rows, *q.given)) * (RANDOM.random((rows, *q.given)) < 0.5)
    values[0], values[1] = high, 0  # everything at once, and silence
    return values


@pytest.mark.parametrize("layer", LAYERS)
def test_both_paths_give_the_golden_sums(layer: str) -> None:
    program, q = prepared(layer)
    values = spikes_for(q)
    spikes = to_kernel(values, q.given).astype(np.uint8 if q.spike_range[0] >= 0 else np.int32)
    wanted = weigh(program, q.projection, values, q.projection.weight.astype(np.int64))
    used = weigh(
        program, q.projection, (values != 0).astype(np.int64), (q.projection.weight != 0).astype(np.int64)
    ).sum()
    ways = {"events": by_events(q, spikes[None])}
    for torch_too in (False, True):
        path = dense_path(q, torch_too)
        assert path is not None
        ways[f"dense, torch {torch_too}"] = by_dense(q, path, spikes[None])
    for way, (sums, operations) in ways.items():
        np.testing.assert_array_equal(from_kernel(sums, q.wanted), wanted, err_msg=way)
        assert operations.tolist() == [used], way


@pytest.mark.parametrize("layer", LAYERS)
def test_whole_runs_are_the_reference_on_every_path(layer: str) -> None:
    program, q = prepared(layer)
    data = np.stack([spikes_for(q, 4) for _ in range(3)])
    expected = run_reference(program, data)
    for path in PATHS:
        for threads, batch in ((1, 4), (2, 1)):
            found = run(program, data, RunOptions(record=True, path=path, threads=threads, batch=batch))
            np.testing.assert_array_equal(found.spikes["n"], expected.spikes["n"], err_msg=path)
            np.testing.assert_array_equal(found.membranes["n"], expected.membranes["n"], err_msg=path)
            np.testing.assert_array_equal(found.counts["n"].spikes, expected.counts["n"].spikes)


def test_folded_pooling_is_unfolded_again() -> None:
    """A kernel that repeats its weights runs as one of a quarter of the size; one that does not runs as it is."""
    _, q = prepared("folded pool")
    form = form_of(q)
    assert form.block == 2 and form.weight.shape == (9, 8, 3, 3) and form.spare == 0
    assert form_of(prepared("folded pool, 3 channels")[1]).spare == 1  # a lane that holds other sums
    broken = q.projection.weight.copy()
    broken[3, 2, 1, 1] += 1
    assert form_of(replace(q, projection=replace(q.projection, weight=broken))).block == 1
    _, large = prepared("folded pool, large")  # four pixels of 255 leave 8 bits
    assert form_of(large).block == 1


def test_8_bit_kernels_are_not_used_where_they_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    used: list[str] = []
    for name in ("by_onednn", "_by_torch"):
        plain = getattr(dense, name)
        monkeypatch.setattr(dense, name, lambda *a, name=name, plain=plain: used.append(name) or plain(*a))
    for most, wanted in ((onednn.PAIRS_FIT, ["_by_torch", "by_onednn"]), (-1, ["_by_torch", "_by_torch"])):
        monkeypatch.setattr(dense, "eight_bits_are_exact", lambda most=most: most)
        used.clear()
        for layer in ("pixels", "3x3"):
            dense_path(prepared(layer)[1], True)
        assert used == wanted


def test_the_cheaper_path_is_taken() -> None:
    _, q = prepared("3x3")
    path = dense_path(q, False)
    both = Paths(q, path, Cost(dense=1000.0, dense_call=0.0, silent=100.0, silent_call=0.0, event=1.0))
    breaks_even = 900 / q.mean_fan_out  # events a row
    assert not both.prefers_dense(10, int(10 * breaks_even * 0.9))
    assert both.prefers_dense(10, int(10 * breaks_even * 1.1))
    assert not Paths(q, None, None).prefers_dense(10, 10**9)


def test_costs_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(synapses.CACHE_VARIABLE, str(tmp_path))
    for kept in (synapses._kept, synapses._file):
        kept.cache_clear()
    _, q = prepared("3x3")
    path = dense_path(q, False)
    assert path is not None
    first = synapses.cost_of(q, path)
    assert first.dense is not None and first.dense > 0 and first.silent > 0 and first.event >= 0
    synapses._kept.cache_clear()
    monkeypatch.setattr(synapses, "_measure", lambda *_: pytest.fail("measured again"))
    assert synapses.cost_of(q, path) == first
    (file,) = tmp_path.glob("paths-*.json")
    file.write_text("{ damaged", encoding="utf-8")
    synapses._kept.cache_clear()
    monkeypatch.setattr(synapses, "_measure", lambda *_: first)
    assert synapses.cost_of(q, path) == first
    for kept in (synapses._kept, synapses._file):
        kept.cache_clear()


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(InputError, match="path is 'fast'"):
        run(program_of("3x3"), np.zeros((3, 1, 8, 7, 6), np.int64), RunOptions(path="fast"))
