"""What is written for SANA-FE, run by SANA-FE: the same energy as the model's, term by term."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import assume, given
from hypothesis import strategies as st
from integer_networks import data_for, programs
from networks import examples, seeds
from test_partition import convolutions
from test_place import small_mesh

from snncc.chip.counts import place_counts
from snncc.chip.partition import partition
from snncc.chip.place import Placement, place
from snncc.chip.sanafe import ARCHITECTURE, NETWORK, write_sanafe
from snncc.cli.main import cli
from snncc.energy.account import account
from snncc.energy.costs import CostSet, Interval, load_costs
from snncc.energy.counted import Counted
from snncc.errors import InputError
from snncc.feed import take
from snncc.program.activity import Activity, add_activities, measure_activity
from snncc.program.counts import fan_out
from snncc.program.program import EXACT, Program
from snncc.program.reference import run_reference

sanafe = pytest.importorskip("sanafe", reason="SANA-FE is not installed: make frameworks")


def told_apart() -> CostSet:
    """Costs of which no sum can be mistaken for another: powers of 10 pJ with odd factors, axons in among them."""
    costs, figures = load_costs("loihi1-sanafe"), (3, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    energy = {
        name: replace(cost, value=Interval(*[figure * 1.7**i] * 3), unit="pJ")
        for i, (figure, (name, cost)) in enumerate(zip(figures, costs.energy.items(), strict=True))
    }
    return replace(costs, energy=energy)


def simulated(folder: Path, steps: int) -> dict[str, Any]:
    """SANA-FE's own results."""
    architecture = sanafe.load_arch(folder / ARCHITECTURE)
    chip = sanafe.SpikingChip(architecture)
    chip.load(sanafe.load_net(folder / NETWORK, architecture))
    results: dict[str, Any] = chip.sim(steps, timing_model="simple")
    return results


def each_sample(program: Program, inputs: np.ndarray) -> list[Activity]:
    run = run_reference(program, inputs)
    return [
        measure_activity(
            program, {k: s[:, n : n + 1] for k, s in run.spikes.items()}, take(inputs, program.source, n, n + 1)
        )
        for n in range(run.samples)
    ]


def assert_same_energy(made: Placement, costs: CostSet, samples: Sequence[Activity], folder: Path) -> None:
    program = made.partition.program
    written = write_sanafe(made, costs, samples, folder)
    theirs = simulated(folder, written.steps)
    counts = place_counts(made, add_activities(samples))
    terms = account(Counted("x", {e: n for e, n in counts.totals().items() if e != "chip_crossings"}), costs, 1).terms
    ours = {t.name: t.energy.typ for t in terms if t.energy is not None}
    for p in program.projections:  # spikes that a delay carries beyond the end are processed there
        if p.delay and not program.is_static(p):
            late = sum(a.spikes[p.source][:, -p.delay :].sum(axis=1) for a in samples)
            operations = int((fan_out(program, p).ravel() * late).sum())
            ours[f"synaptic_{p.kind}"] += operations * costs.energy[f"synapse_{p.kind}"].si.typ
    parts = {
        "synapse": ("synaptic_dense", "synaptic_sparse", "synaptic_conv"),
        "soma": ("updates", "active", "spikes"),
        "network": ("axons_in", "axons_out", "hops_east_west", "hops_north_south"),
    }
    for part, names in parts.items():
        assert theirs["energy"][part] == pytest.approx(sum(ours[name] for name in names), rel=1e-9, abs=0), part
    assert theirs["packets_sent"] == counts.axons_in.sum() and theirs["timesteps_executed"] == written.steps


@given(st.data(), programs(EXACT), seeds)
@examples(8)
def test_random_programs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, p: Program, seed: int) -> None:
    assume(all(q.pool is None for q in p.projections))
    folder = tmp_path_factory.mktemp("chip")
    chip = small_mesh(
        folder, neurons_per_core=data.draw(st.sampled_from((2, 5))), per_tile=data.draw(st.sampled_from((2, 3))), columns=5, rows=3,
        threshold_profiles_per_core=99, neuron_profiles_per_core=99,
    )  # fmt: skip
    made, findings = partition(p, chip)
    assert made is not None, findings
    assume(made.chips == 1)
    assert_same_energy(place(made), told_apart(), each_sample(p, data_for(p, seed, 2)), folder / "out")


def test_convolutions(tmp_path: Path) -> None:
    """On a chip with sides so different that a mesh turned round would not do."""
    rng = np.random.default_rng(8)
    p = convolutions(rng)
    made, _ = partition(p, small_mesh(tmp_path, columns=16, rows=4, neurons_per_core=8))
    assert made is not None and made.chips == 1
    placed = place(made)
    inputs = rng.integers(0, 2, (4, 2, 2, 9, 7))
    samples = each_sample(p, inputs)
    counts = place_counts(placed, add_activities(samples))
    assert counts.hops_east_west.sum() != counts.hops_north_south.sum() > 0
    assert_same_energy(placed, told_apart(), samples, tmp_path / "out")


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    p, costs = convolutions(rng), load_costs()
    samples = each_sample(p, rng.integers(0, 2, (4, 2, 2, 9, 7)))
    made, _ = partition(p, small_mesh(tmp_path, neurons_per_core=8))
    assert made is not None
    with pytest.raises(InputError, match="SANA-FE has one mesh"):
        write_sanafe(place(made), costs, samples, tmp_path / "out")
    made, _ = partition(p, small_mesh(tmp_path, columns=16, rows=4, neurons_per_core=8))
    assert made is not None
    placed = place(made)
    for given_samples in ([], [add_activities(samples)]):
        with pytest.raises(InputError, match="single inferences"):
            write_sanafe(placed, costs, given_samples, tmp_path / "out")
    for limit in ("MAX_SYNAPSES", "MAX_CELLS"):
        with monkeypatch.context() as patch:
            patch.setattr(f"snncc.chip.sanafe.{limit}", 20)
            with pytest.raises(InputError, match="20"):
                write_sanafe(placed, costs, samples, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_the_zoo_from_the_command_line(tmp_path: Path) -> None:
    """Recurrent, 64 and 6 neurons on two cores of Loihi 2, 1,301 steps: within 1 %."""
    out = tmp_path / "out"
    data = np.random.default_rng(0).random((1, 1301, 4)) < 0.1
    np.savez(tmp_path / "own.npz", x=data.astype(np.uint8), y=np.zeros((1, 1301), np.int64))
    command = (
        "place",
        "ecg-recurrent",
        "--chip",
        "loihi2",
        "-t",
        "fixed-sim",
        "--data",
        tmp_path / "own.npz",
        "--limit",
        1,
    )

    def snncc(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments])

    facts = json.loads(snncc(*command, "--sanafe", out, "--costs", "loihi1-sanafe", "--json").stdout)["sanafe"]
    theirs = simulated(out, facts["steps"])["energy"]["total"]
    assert facts["steps"] == 1301 and facts["joules"] == pytest.approx(theirs, rel=0.01) and theirs > 1e-6
    assert facts["joules"] != theirs, "of the loop's last spikes"
    unsaid = snncc(*command[:6], "--sanafe", out)
    assert unsaid.exit_code == 2 and "--data" in unsaid.stderr
    shown = snncc(*command, "--sanafe", out)
    assert shown.exit_code == 0 and "1,301 steps" in shown.stdout
