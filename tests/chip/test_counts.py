"""Counts on the placed Program: summed over cores those of the unplaced one; messages and hops one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brute import messages, synapses
from hypothesis import assume, given
from hypothesis import strategies as st
from integer_networks import data_for, programs
from networks import examples, seeds
from test_partition import convolutions, where
from test_place import small_mesh, walk

from snncc.chip.counts import EVENTS, count_placed, place_counts
from snncc.chip.partition import partition
from snncc.chip.place import Placement, place
from snncc.chip.spec import load_chip
from snncc.errors import InputError
from snncc.program.activity import add_activities, measure_activity
from snncc.program.program import EXACT, Program
from snncc.program.reference import run_reference


def assert_counts(made: Placement, inputs: np.ndarray) -> None:
    program = made.partition.program
    run = run_reference(program, inputs)
    counted = count_placed(made, run.spikes, inputs)
    quick = place_counts(made, measure_activity(program, run.spikes, inputs, run.counts))
    np.testing.assert_array_equal(quick.active, counted.active)  # the run's own counts save work and change nothing
    core_of = where(made.partition)
    held = [box.population for box in made.partition.cores]
    for name, expected in run.counts.items():
        mine = np.array([population == name for population in held])
        for event in ("updates", "active", "spikes"):
            np.testing.assert_array_equal(getattr(counted, event)[mine].sum(axis=0), getattr(expected, event))
        for kind in ("dense", "sparse", "conv"):
            wanted = sum(
                (expected.synaptic_operations[p.name] for p in program.incoming(name)
                 if p.kind == kind and not program.is_static(p)), np.zeros(program.time_steps, np.int64),
            )  # fmt: skip
            np.testing.assert_array_equal(getattr(counted, f"synaptic_{kind}")[mine].sum(axis=0), wanted)
    sent = messages(program, core_of, dict(run.spikes))
    out, reached = np.zeros_like(counted.axons_out), np.zeros_like(counted.axons_in)
    hops = np.zeros((3, program.time_steps), np.int64)
    chip = made.partition.chip
    width = int(np.ceil(np.sqrt(made.partition.chips)))
    for t, one, other in sent:
        out[one, t] += 1
        reached[other, t] += 1
        hops[:, t] += walk(width, chip.side("columns"), chip.side("rows"), int(made.tiles[one]), int(made.tiles[other]))
    if program.source.encoding != "static":
        reached += from_host(program, core_of, inputs, reached.shape)
    np.testing.assert_array_equal(counted.axons_out, out)
    np.testing.assert_array_equal(counted.axons_in, reached)
    np.testing.assert_array_equal(counted.hops_east_west, hops[0])
    np.testing.assert_array_equal(counted.hops_north_south, hops[1])
    np.testing.assert_array_equal(counted.chip_crossings, hops[2])
    assert (counted.cores, counted.samples) == (len(made.partition.cores), run.samples)
    assert counted.tiles == len(set(made.tiles.tolist()))
    assert counted.chips == len({int(t) // chip.tiles for t in made.tiles})
    assert counted.totals()["updates"] == sum(int(c.updates.sum()) for c in run.counts.values())
    assert all(getattr(counted, event).dtype == np.int64 for event in EVENTS)


def from_host(
    program: Program, core_of: dict[tuple[str, int], int], inputs: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """(cores, T) messages of a source that is not static."""
    found = np.zeros(shape, np.int64)
    pairs = {
        (source, core_of[p.target, target])
        for p in program.projections if p.source == program.source.name
        for target, source in zip(*(x.tolist() for x in synapses(program, p)), strict=True)
    }  # fmt: skip
    flat = inputs.reshape(*inputs.shape[:2], -1)
    for source, core in pairs:
        found[core] += (flat[:, :, source] != 0).sum(axis=1)
    return found


@given(st.data(), programs(EXACT), seeds)
@examples(25)
def test_random_programs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, p: Program, seed: int) -> None:
    assume(all(q.pool is None for q in p.projections))
    wide = {"threshold_profiles_per_core": 99, "neuron_profiles_per_core": 99}
    chip = small_mesh(
        tmp_path_factory.mktemp("chip"), neurons_per_core=data.draw(st.sampled_from((1, 3, 7))),
        per_tile=data.draw(st.sampled_from((1, 2))), columns=2, rows=2, **wide,
    )  # fmt: skip
    made, findings = partition(p, chip)
    assert made is not None, findings
    inputs = data_for(p, seed)
    spikes = {name: s.sum(axis=(0, 1)) for name, s in run_reference(p, inputs).spikes.items()} if seed % 2 else None
    assert_counts(place(made, spikes), inputs)


def test_convolutions(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    p = convolutions(rng)
    made, _ = partition(p, small_mesh(tmp_path, neurons_per_core=8))
    assert made is not None and made.chips > 4
    placed, inputs = place(made), rng.integers(0, 2, (4, 5, 2, 9, 7))
    assert_counts(placed, inputs)
    run = run_reference(p, inputs)
    assert run.spikes["c"].any() and run.spikes["a"].any()
    parts = [
        measure_activity(p, {n: s[:, part] for n, s in run.spikes.items()}, inputs[:, part])
        for part in (slice(0, 2), slice(2, 5))
    ]
    whole, added = count_placed(placed, run.spikes, inputs), place_counts(placed, add_activities(parts))
    for event in EVENTS:
        np.testing.assert_array_equal(getattr(added, event), getattr(whole, event))
    assert added.samples == 5


def test_one_core_a_population_sends_what_the_unplaced_model_counts() -> None:
    rng = np.random.default_rng(9)
    p = convolutions(rng)
    made, _ = partition(p, load_chip("unlimited"))
    assert made is not None
    inputs = rng.integers(0, 2, (4, 3, 2, 9, 7))
    run = run_reference(p, inputs)
    counted = count_placed(place(made), run.spikes, inputs)
    np.testing.assert_array_equal(counted.axons_out.sum(axis=1)[:2], [run.counts[n].spikes.sum() for n in "ab"])


def test_spikes_of_something_else_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    p = convolutions(rng)
    made, _ = partition(p, small_mesh(tmp_path))
    assert made is not None
    placed, inputs = place(made), rng.integers(0, 2, (4, 2, 2, 9, 7))
    run = run_reference(p, inputs)
    with pytest.raises(InputError, match="fire otherwise at step"):
        count_placed(placed, {**run.spikes, "b": 1 - run.spikes["b"]}, inputs)
    with pytest.raises(InputError, match="record"):
        count_placed(placed, {"a": run.spikes["a"]}, inputs)
