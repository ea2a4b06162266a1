"""``snncc replay``: recorded samples give the spikes that they gave, on every executor, in every later version."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.files import load_arrays, save_arrays, sha256_of
from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.program.artifact import read_artifact
from snncc.program.recording import read_recording
from snncc.program.reference import run_reference

OLD = Path(__file__).parent.parent / "golden" / "recording-1"
"""A folder that the first version with recordings wrote (SNNCC_UPDATE_GOLDEN=1 writes it anew; later versions must read this)."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir and own.npz."""
    made = tmp_path_factory.mktemp("replay")
    random = np.random.default_rng(3)
    neuron = Neuron(Dynamics(compare=">", reset="subtract", threshold=1.0, reset_amount=1.0, membrane_decay=0.5))
    layers = {"a": Dense(random.normal(0, 0.8, (9, 6))), "lif": neuron, "b": Dense(random.normal(0, 0.8, (3, 9)))}
    nodes = {"in": Input((6,), "spikes", 1.0, 0, 1), **layers, "last": neuron, "out": Output()}
    export_nir(build_graph(nodes, pairwise(nodes), 8), made / "net.nir")
    np.savez(made / "own.npz", x=(random.random((9, 8, 6)) < 0.5).astype(np.uint8), y=np.zeros(9, np.int64))
    return made


@pytest.fixture
def folder(snncc: Any, sources: Path, tmp_path: Path) -> Path:
    made = tmp_path / "net"
    record = ("--record", sources / "own.npz", "--record-samples", 5)
    code, out, err = snncc("compile", sources / "net.nir", "-t", "fixed-sim", "-o", made, *record)
    assert code == 0 and "recorded   5 samples" in out, err
    return made


def spikes(folder: Path) -> int:
    made = read_artifact(folder)
    return int(sum(s.sum() for s in read_recording(folder, made.program).run.spikes.values()))


@pytest.mark.parametrize("on", [(), ("--on", "reference"), ("--on", "onnx-int")])
def test_the_same_spikes_on_every_executor(snncc: Any, folder: Path, on: tuple[str, ...]) -> None:
    code, out, err = snncc("replay", folder, *on, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["passed"] and found["samples"] == 5 and found["cells"] == 5 * (8 * 12 + 3 + 1)
    assert found["sha256"]["recorded"] == found["sha256"]["replayed"]
    assert spikes(folder) > 50
    code, out, _ = snncc("replay", folder, *on)
    assert code == 0 and "as recorded" in out and f"PASS   0 of {found['cells']} cells differ" in out


def test_recording_changes_nothing_else_and_gives_the_same_bytes(snncc: Any, sources: Path, folder: Path) -> None:
    names = {p.name for p in folder.iterdir()}
    bytes_of = {name: (folder / name).read_bytes() for name in names}
    assert {"recorded.json", "recorded.npz"} <= names
    for record in ((), ("--record", sources / "own.npz", "--record-samples", 5)):
        assert snncc("compile", sources / "net.nir", "-t", "fixed-sim", "-o", folder, *record)[0] == 0
        for name in (p.name for p in folder.iterdir()):
            assert (folder / name).read_bytes() == bytes_of[name] or (name == "manifest.json" and not record), name
    assert {p.name for p in folder.iterdir()} == names


def changed(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    """``name`` changed, and the manifest made to agree: as if another version had written it."""
    path = folder / name
    if name.endswith(".json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        change(value)
        path.write_text(json.dumps(value), encoding="utf-8")
    else:
        arrays = load_arrays(path)
        change(arrays)
        save_arrays(path, arrays)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][name] = sha256_of(path)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_program_that_fires_otherwise_fails(snncc: Any, folder: Path) -> None:
    def heavier(arrays: dict[str, np.ndarray]) -> None:
        name = "population/last/threshold"
        arrays[name] = arrays[name] // 2

    changed(folder, "weights.npz", heavier)
    code, out, _ = snncc("replay", folder)
    assert code == 1 and "FAIL" in out and "cells differ, first last spikes[" in out and "not " in out


def test_another_recorded_answer_fails(snncc: Any, folder: Path) -> None:
    changed(folder, "recorded.npz", lambda arrays: arrays.update(predictions=(arrays["predictions"] + 1) % 3))
    code, out, _ = snncc("replay", folder)
    assert code == 1 and "as recorded" in out and "5 of 500 cells differ, first readout prediction of sample 0" in out


MISTAKES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "newer": (
        "recorded.json",
        lambda v: v.update(version=2),
        "has recording version 2; this snncc reads 1; install a newer",
    ),
    "older": (
        "recorded.json",
        lambda v: v.update(version=0),
        "this snncc reads 1; compile the model again with --record",
    ),
    "no version": ("recorded.json", lambda v: v.pop("version"), "version None"),
    "odd version": ("recorded.json", lambda v: v.update(version="one"), "version 'one'"),
    "foreign": ("recorded.json", lambda v: v.update(format="x"), "is no recording of snncc"),
    "other spikes": (
        "recorded.json",
        lambda v: v.update(sha256="0" * 64),
        "are not those that recorded.json speaks of",
    ),
    "missing": ("recorded.npz", lambda v: v.pop("spikes/lif"), "spikes/lif is missing"),
    "shape": ("recorded.npz", lambda v: v.update({"spikes/lif": v["spikes/lif"][:3]}), "spikes/lif has shape"),
    "reals": ("recorded.npz", lambda v: v.update(scores=v["scores"] * 0.5), "holds more than whole numbers"),
    "answers": ("recorded.npz", lambda v: v.update(predictions=v["predictions"][:2]), "the network gives (5,) answers"),
    "inputs": ("recorded.npz", lambda v: v.update(inputs=v["inputs"][..., :4]), "does not fit its program"),
}


@pytest.mark.parametrize("name", list(MISTAKES))
def test_other_versions_and_damage_are_refused_with_what_to_do(snncc: Any, folder: Path, name: str) -> None:
    file, change, message = MISTAKES[name]
    changed(folder, file, change)
    code, out, err = snncc("replay", folder)
    assert code == 2 and message in err and out == ""


def test_a_changed_file_and_a_folder_without_a_recording_are_refused(snncc: Any, sources: Path, folder: Path) -> None:
    (folder / "recorded.npz").write_bytes((folder / "recorded.npz").read_bytes()[:-3])
    code, _, err = snncc("replay", folder)
    assert code == 2 and "was changed after it was compiled" in err
    assert snncc("compile", sources / "net.nir", "-t", "fixed-sim", "-o", folder)[0] == 0
    code, _, err = snncc("replay", folder)
    assert code == 2 and "holds no recorded samples; compile the model again with --record DATA" in err
    code, _, err = snncc("replay", sources)
    assert code == 2 and "did not write" in err
    code, _, err = snncc("replay", folder.parent / "none")
    assert code == 2 and "no such compiled folder" in err


def test_data_that_does_not_fit_writes_nothing(snncc: Any, sources: Path, tmp_path: Path) -> None:
    code, _, err = snncc(
        "compile", sources / "net.nir", "-t", "fixed-sim", "-o", tmp_path / "x", "--record", "mnist:demo"
    )
    assert code == 2 and "mnist:demo: its samples have shape" in err and list(tmp_path.iterdir()) == []


def test_a_number_of_samples_without_data_is_refused(snncc: Any, sources: Path, tmp_path: Path) -> None:
    options = ("-t", "fixed-sim", "-o", tmp_path / "x", "--record-samples", 9)
    code, _, err = snncc("compile", sources / "net.nir", *options)
    assert code == 2 and "--record-samples is for --record: say that too, or leave it out" in err
    assert list(tmp_path.iterdir()) == []


def test_too_many_samples_are_refused_with_how_many_there_may_be(
    snncc: Any, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snncc.program.recording.MAX_CELLS", 200)
    record = ("--record", sources / "own.npz", "--record-samples", 3)
    code, _, err = snncc("compile", sources / "net.nir", "-t", "fixed-sim", "-o", tmp_path / "x", *record)
    assert code == 2 and "288 cells, more than 200: record --record-samples 2 at most" in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_first_version_still_replays(snncc: Any, folder: Path) -> None:
    if os.environ.get("SNNCC_UPDATE_GOLDEN"):
        shutil.rmtree(OLD, ignore_errors=True)
        shutil.copytree(folder, OLD)
    code, out, err = snncc("replay", OLD, "--json")
    assert code == 0, err
    assert json.loads(out)["passed"] and json.loads(out)["samples"] == 5 and spikes(OLD) > 50
    made = read_artifact(OLD)
    recorded = read_recording(OLD, made.program)
    again = run_reference(made.program, recorded.inputs)
    assert all(np.array_equal(again.spikes[name], recorded.run.spikes[name]) for name in again.spikes)
