"""``snncc compile --budget-accuracy`` as a person meets it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import chain
from snncc.ir.nodes import Dense, Input, Neuron, Output

SAMPLES = 9200


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(net.nir, train.npz): two layers that tell which half of 8 inputs fires more, nearly always."""
    folder, rng = tmp_path_factory.mktemp("budget"), np.random.default_rng(3)
    half = np.repeat([[1.0, -1.0], [-1.0, 1.0]], 6, axis=0)
    nodes = {
        "in": Input((8,), "spikes", 1.0, 0, 1),
        "first": Dense(np.repeat(half, 4, axis=1)[:, :8] * rng.uniform(0.3, 0.6, (12, 8))),
        "hidden": Neuron(Dynamics(threshold=1.0, reset="subtract")),
        "second": Dense(np.repeat(half.T[:, ::6], 6, axis=1) * rng.uniform(0.2, 0.4, (2, 12))),
        "out": Neuron(Dynamics(threshold=1.0, reset="subtract")),
        "result": Output(),
    }
    export_nir(chain(nodes, 6), folder / "net.nir")
    y = rng.integers(0, 2, SAMPLES)
    rate = np.where((np.arange(8) < 4)[None] == (y == 0)[:, None], 0.8, 0.2)
    x = (rng.random((SAMPLES, 6, 8)) < rate[:, None]).astype(np.uint8)
    np.savez(folder / "train.npz", x=x, y=y)
    return folder / "net.nir", folder / "train.npz"


def test_finds_bits_and_writes_what_it_did(snncc, files: tuple[Path, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = files
    folder = tmp_path / "out"
    asked = ("-t", "fixed-sim", "--budget-accuracy", 1, "--calibrate", data)
    code, out, err = snncc("compile", net, *asked, "-o", folder)
    assert code == 0, err
    assert "2,000 samples to measure on, 7,000 others to confirm with" in err and "try 1:" in err
    assert "of the weight memory saved" in out and "within 1, 95 % sure" in out and "chosen " in out
    found = json.loads((folder / "search.json").read_text())
    assert found["chosen"]["confirmation"]["outcome"] == "met" and found["confirmed_on"]["data"] == "train.npz"
    assert found["chosen"]["confirmation"]["drop_points"]["float"]["at_most"] <= 1
    options = json.loads((folder / "manifest.json").read_text())["options"]
    wanted = {name: bits for name, bits in found["chosen"]["layer_bits"].items() if bits != 8}
    assert options["layer_bits"] == wanted and wanted
    plot = ET.parse(folder / "pareto.svg").getroot()
    assert plot.tag.endswith("svg") and len(plot.findall(".//{*}title")) == 1 + len(found["tried"])
    assert {"search.json", "pareto.svg"} <= set(json.loads((folder / "manifest.json").read_text())["files"])
    by_hand = tmp_path / "by-hand"
    layer_bits = ",".join(f"{name}={bits}" for name, bits in wanted.items())
    guard = ("--guard-bits", options["guard_bits"]) if options["guard_bits"] is not None else ()
    again = ("--layer-bits", layer_bits, *guard, "--calibrate", data)
    assert snncc("compile", net, "-t", "fixed-sim", *again, "-o", by_hand)[0] == 0
    assert (by_hand / "weights.npz").read_bytes() == (folder / "weights.npz").read_bytes()
    assert snncc("verify", folder, "--data", data, "--max-accuracy-drop", 1)[0] == 0


def test_json_on_standard_output_alone(snncc, files: tuple[Path, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = files
    asked = ("-t", "fixed-sim", "--budget-accuracy", 1, "--minimise", "energy", "--calibrate", data, "--json")
    code, out, _ = snncc("compile", net, *asked, "-o", tmp_path / "out")
    said = json.loads(out)
    assert code == 0 and said["search"]["minimise"] == "energy" and said["search"]["costs"] == "loihi1"
    assert said["search"]["chosen"]["cost"] <= said["search"]["uniform"]["cost"]


def test_a_budget_that_uniform_bits_miss_is_no_success(snncc, files: tuple[Path, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = files
    folder = tmp_path / "out"
    asked = ("-t", "fixed-sim", "--calibrate", data, "--budget-accuracy", 0.01, "--budget-samples", 900)
    code, out, _ = snncc("compile", net, *asked, "-o", folder)
    assert code == 1 and not folder.exists() and "nothing was written" in out
    assert "too few to show a budget of 0.01 kept; give more" in out
    code, out, _ = snncc("compile", net, *asked, "-o", folder, "--json")
    assert code == 1 and "too few" in json.loads(out)["budget_missed"]


def test_what_is_missing_is_said(snncc, files: tuple[Path, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = files
    run = ("compile", net, "-t", "fixed-sim", "-o", tmp_path / "out")
    code, _, err = snncc(*run, "--budget-accuracy", 0.5)
    assert code == 2 and "say --calibrate with labelled training data" in err
    code, _, err = snncc(*run, "--budget-accuracy", -1, "--calibrate", data)
    assert code == 2 and "--budget-accuracy -1: give percentage points" in err
    for alone in (("--confirm", data), ("--minimise", "energy"), ("--budget-samples", 100)):
        code, _, err = snncc(*run, *alone)
        assert code == 2 and f"{alone[0]} is for --budget-accuracy: say that too" in err
    code, _, err = snncc(*run, "--budget-accuracy", 1, "--calibrate", data, "--confirm", data)
    assert code == 2 and "train.npz: is what --calibrate names" in err
    code, _, err = snncc(*run, "--budget-accuracy", 1, "--calibrate", data, "--calibration-samples", SAMPLES)
    assert code == 2 and "train.npz has 9,200 samples, and all are calibrated on" in err and "than 9,200" in err
    np.savez(tmp_path / "bare.npz", x=np.load(data)["x"][:300])
    code, _, err = snncc(*run, "--budget-accuracy", 1, "--calibrate", tmp_path / "bare.npz")
    assert code == 2 and "bare.npz: has no labels" in err
    code, _, err = snncc(*run, "--budget-accuracy", 1, "--calibrate", data, "--layer-bits", "first=8,second=4")
    assert code == 2 and "nothing is left to search" in err


def test_confirming_on_other_data(snncc, files: tuple[Path, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = files
    with np.load(data) as whole:
        np.savez(tmp_path / "other.npz", x=whole["x"][:5000], y=whole["y"][:5000])
    asked = ("-t", "fixed-sim", "--budget-accuracy", 1, "--calibrate", data, "--confirm", tmp_path / "other.npz")
    code, _, err = snncc("compile", net, *asked, "-o", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert code == 0 and "2,000 samples to measure on, 5,000 others to confirm with" in err
    assert found["confirmed_on"] == {"data": "other.npz", "samples": 5000}
