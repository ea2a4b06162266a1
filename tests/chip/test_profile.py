"""A Program measured, placed and priced: sums over cores, the same on any batches, and what is left where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_partition import convolutions
from test_place import small_mesh
from worked_program import small_program

from snncc.chip.counts import count_placed
from snncc.chip.spec import Chip, load_chip
from snncc.energy.costs import CostSet, load_costs
from snncc.energy.unplaced import unplaced_counts
from snncc.errors import InputError
from snncc.profile import Measured, Profile, chip_of, measure, profile
from snncc.program.program import Program
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.report.profile_facts import profile_facts
from snncc.target import RunOptions

STATIC = np.random.default_rng(3).integers(0, 6, (7, 3))
FRAMES = np.random.default_rng(4).integers(0, 2, (4, 5, 2, 9, 7))
COSTS = load_costs()


def measured(program: Program, inputs: np.ndarray, neurons: bool = True) -> Measured:
    return measure(program, get_target("fixed-sim"), inputs, RunOptions(threads=1), neurons)


def scopes(p: Profile) -> dict[str, float | None]:
    return {s.key: s.energy and s.energy.typ for s in p.account.scopes}


def test_placed_counts_are_those_of_the_cores(tmp_path: Path) -> None:
    program = convolutions(np.random.default_rng(8))
    made = profile(measured(program, FRAMES), COSTS, small_mesh(tmp_path, neurons_per_core=8))
    assert made.placement is not None and made.total.cores == len(made.placement.partition.cores) > 10
    counted = count_placed(made.placement, run_reference(program, FRAMES).spikes, FRAMES)
    run, totals = made.account.run, counted.totals()
    assert {event: run.counts[event] for event in totals} == totals
    assert (run.cores, run.tiles, run.chips) == (counted.cores, counted.tiles, counted.chips)
    assert (run.samples, run.steps, run.counts["inputs"]) == (5, 4, np.count_nonzero(FRAMES))
    for event, array in run.per_core.items():
        np.testing.assert_array_equal(array, getattr(counted, event))
        assert sum(layer.counts[event] for layer in made.layers) == totals[event] == made.total.counts[event]
    assert scopes(made)["S1"] == pytest.approx(made.total.energy.typ, rel=1e-12)
    assert sum(layer.energy.typ for layer in made.layers) == pytest.approx(made.total.energy.typ, rel=1e-12)
    assert sum(layer.cores or 0 for layer in made.layers) == made.total.cores
    assert made.account.latency is not None and made.account.latency.typ > 4 * 0.6e-6  # four barriers at least
    assert all(scopes(made)[key] is not None for key in ("S2", "S3", "S4"))


def test_one_core_a_layer_costs_what_the_unplaced_network_does() -> None:
    """The figure of docs/results.md: core dynamic energy on no chip."""
    program = convolutions(np.random.default_rng(9))
    there, run = measured(program, FRAMES), run_reference(program, FRAMES)
    on_chip, on_none = (profile(there, COSTS, c) for c in (load_chip("unlimited"), None))
    assert on_chip.total.energy == on_none.total.energy
    assert scopes(on_chip)["S1"] == scopes(on_none)["S1"] == pytest.approx(on_none.total.energy.typ, rel=1e-12)
    counts = unplaced_counts(program, run.counts, run.samples, np.count_nonzero(FRAMES))
    assert {x.name: x.counts for x in on_none.layers} == counts
    assert on_none.placement is None and "nobody described" in on_none.unplaced and on_none.account.latency is None
    assert [key for key, energy in scopes(on_none).items() if energy is not None] == ["S1"]


def test_where_it_does_not_fit_the_rest_is_still_there(tmp_path: Path) -> None:
    program = convolutions(np.random.default_rng(8))
    there = measured(program, FRAMES)
    made = profile(there, COSTS, small_mesh(tmp_path, input_axons_per_core=2))
    assert made.placement is None and made.findings and "does not fit tight" in made.unplaced.replace("loihi1", "tight")
    assert all(f.layer and f.actual and f.limit and f.remedy for f in made.findings)
    assert made.total.cores is None and made.total.energy == profile(there, COSTS, None).total.energy
    assert scopes(made)["S1"] and scopes(made)["S3"] is None and made.account.not_modelled["core_static"]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = small_program("frames")
    inputs = np.random.default_rng(5).integers(0, 2, (3, 9, 3))
    whole = measured(program, inputs)
    monkeypatch.setattr("snncc.profile.BATCH", 2)
    parts = measured(program, inputs)
    assert (parts.samples, parts.source_events) == (whole.samples, whole.source_events) == (9, np.count_nonzero(inputs))
    np.testing.assert_array_equal(parts.predictions, whole.predictions)
    chip = load_chip("unlimited")
    one, two = (profile(m, COSTS, chip, draws=10) for m in (whole, parts))
    assert one.account.scopes == two.account.scopes and one.total == two.total


def test_a_clock_and_a_chip_of_ones_own() -> None:
    """A step takes its period at least; TrueNorth's tick is 1 ms. A cost set finds the chip of its name."""
    there = measured(small_program(), STATIC)
    slow = profile(there, load_costs("truenorth"), load_chip("unlimited"), period_seconds=1e-3)
    assert slow.account.latency is not None and slow.account.latency.typ == pytest.approx(3e-3)
    assert scopes(slow)["S3"] == pytest.approx(64.6e-3 * 3e-3, rel=1e-3)
    found = chip_of(load_costs("loihi1-sanafe"))
    assert found is not None and found.name == "loihi1" and chip_of(load_costs("truenorth")) is None


def test_what_cannot_be_placed_is_refused() -> None:
    program = small_program()
    there = measured(program, STATIC, neurons=False)
    with pytest.raises(InputError, match="neurons were not followed"):
        profile(there, COSTS, load_chip("unlimited"))
    with pytest.raises(InputError, match="no samples"):
        measured(program, STATIC[:0])
    assert profile(there, COSTS, None).total == replace(profile(measured(program, STATIC), COSTS, None).total)


def test_any_constant_changes_the_hash(tmp_path: Path) -> None:
    """Each end of each figure, each source, and the chip's limits: none can change behind a report's back."""
    there = measured(small_program(), STATIC)
    text = Path(COSTS.file).read_text(encoding="utf-8")

    def digest_of(costs: CostSet, chip: Chip) -> str:
        digest: str = profile_facts(profile(there, costs, chip, draws=1), "fixed-sim", None)["sha256"]
        return digest

    chip = load_chip("loihi1")
    first = digest_of(COSTS, chip)
    assert digest_of(load_costs("loihi1"), chip) == first
    found = [first]
    known = {f"{section}.{name}": c for section, entries in COSTS.sections().items() for name, c in entries.items()}
    for place, cost in known.items():
        section, _, name = place.partition(".")
        value = cost.value
        for changed in (
            replace(cost, value=replace(value, high=2 * value.high + 1)),
            replace(cost, value=replace(value, typ=(value.typ + 3 * value.high) / 4, high=value.high + 1e-9)),
            replace(cost, source="elsewhere"),
        ):
            found.append(digest_of(replace(COSTS, **{section: {**getattr(COSTS, section), name: changed}}), chip))
    assert len(set(found)) == len(found) == 3 * len(known) + 1 > 60
    path = tmp_path / "loihi1.toml"
    path.write_text(text + "\n# a remark\n", encoding="utf-8")
    assert digest_of(load_costs(path), chip) != first  # the file's own hash is in the report
    assert digest_of(COSTS, small_mesh(tmp_path)) != first
