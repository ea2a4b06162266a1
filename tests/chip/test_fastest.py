"""Layers cut over more cores than they need: never slower, within every limit, and the same events on other cores."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from brute import limits_of
from test_partition import assert_respects, convolutions
from test_place import small_mesh
from test_profile import COSTS, FRAMES, measured

from snncc.chip.partition import partition
from snncc.chip.spec import load_chip
from snncc.energy.costs import load_costs
from snncc.errors import InputError
from snncc.fastest import fastest, numbers, shares
from snncc.profile import Profile, profile


def seconds(p: Profile) -> float:
    assert p.account.latency is not None
    return p.account.latency.typ


def test_it_is_faster_and_fires_the_same(tmp_path: Path) -> None:
    there = measured(convolutions(np.random.default_rng(8)), FRAMES)
    for chip in (load_chip("loihi2"), small_mesh(tmp_path, columns=4, rows=4)):
        few, fast = (profile(there, COSTS, chip, draws=1, placer=p) for p in (None, fastest(COSTS)))
        assert few.placement is not None and fast.placement is not None
        assert few.placement.partition.chips == fast.placement.partition.chips == 1
        assert seconds(fast) < 0.8 * seconds(few) and len(fast.placement.partition.cores) > 3
        for event in ("updates", "active", "spikes", "synaptic_dense", "synaptic_conv"):
            assert fast.total.counts[event] == few.total.counts[event]
        assert_respects(fast.placement.partition, limits_of(chip.file))
        assert not few.placement.partition.least and fast.placement.partition.least


def test_where_nothing_is_gained_the_fewest_cores_stay(tmp_path: Path) -> None:
    """A chip that the fewest cores fill."""
    there = measured(convolutions(np.random.default_rng(8)), FRAMES)
    chip = small_mesh(tmp_path, columns=3, rows=1, per_tile=1)
    few, fast = (profile(there, COSTS, chip, draws=1, placer=p) for p in (None, fastest(COSTS)))
    assert few.total.cores == 3 and seconds(fast) == seconds(few)
    assert fast.placement is not None and not fast.placement.partition.least


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    there = measured(convolutions(np.random.default_rng(8)), FRAMES)
    made = profile(there, COSTS, small_mesh(tmp_path, input_axons_per_core=2), draws=1, placer=fastest(COSTS))
    assert made.placement is None and made.findings
    with pytest.raises(InputError, match="truenorth holds no time of any event; take --cut fewest"):
        profile(there, load_costs("truenorth"), load_chip("loihi2"), placer=fastest(load_costs("truenorth")))


def test_the_numbers_tried() -> None:
    assert numbers(10, 128) == [20, 40, 80, 128] and numbers(64, 128) == [128] and numbers(128, 128) == [128]


def test_no_other_shares_leave_a_core_less_work() -> None:
    work, fewest, sizes = {"a": 9.0, "b": 4.0, "c": 0.5}, {"a": 1, "b": 2, "c": 1}, {"a": 5, "b": 9, "c": 4}
    for number in range(4, 15):
        made = shares(work, fewest, sizes, number)
        all_others = product(*(range(fewest[n], sizes[n] + 1) for n in work))
        least = min(
            max(w / c for w, c in zip(work.values(), cs, strict=True)) for cs in all_others if sum(cs) <= number
        )
        assert sum(made.values()) <= number and max(w / made[n] for n, w in work.items()) == pytest.approx(least)
    assert shares({"a": 0.0}, {"a": 1}, {"a": 5}, 5) == {"a": 1}


def test_at_least_so_many_cores() -> None:
    chip = load_chip("loihi2")
    made, findings = partition(convolutions(np.random.default_rng(1)), chip, {"a": 5, "c": 400})
    assert made is not None and not findings
    held = [box.population for box in made.cores]
    assert [held.count(n) for n in "abc"] == [5, 1, 11], "nine rows by two; as it was; a core a neuron at most"
    assert_respects(made, limits_of(chip.file))
