"""The command line as a person meets it: exit codes, messages, files written whole or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from snncc.cli.main import VERBS


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    """The multi-threshold zoo model, compiled for fixed-sim."""
    folder = tmp_path_factory.mktemp("compiled") / "net"
    command = [
        sys.executable,
        "-m",
        "snncc.cli.main",
        "compile",
        "mnist-multi-threshold",
        "-t",
        "fixed-sim",
        "-o",
        folder,
    ]
    subprocess.run([str(c) for c in command], check=True, capture_output=True, timeout=300)
    return folder


def test_help_is_quick() -> None:
    """It imports nothing that takes long."""
    heavy = ("numpy", "numba", "torch", "onnx", "scipy", "networkx", "rich", "matplotlib", "jinja2")
    code = (
        "import sys; from snncc.cli.main import main; sys.argv[1:] = ['--help']\n"
        f"try: main()\nfinally: print([m for m in {heavy} if m in sys.modules])"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert "Usage: snncc" in made.stdout
    assert made.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself(snncc, verb: str) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc(verb, "--help")
    assert code == 0 and "Usage: snncc" in out


@pytest.mark.parametrize("verb", ["targets", "passes", "models"])
def test_lists_speak_json(snncc, verb: str) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc(verb, "--json")
    assert code == 0 and len(json.loads(out)) >= 2


def test_compile_twice_gives_the_same_bytes(snncc, compiled: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, _ = snncc("compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o", tmp_path / "again")
    assert code == 0
    names = sorted(p.relative_to(compiled) for p in compiled.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for name in names:
        assert (compiled / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_run_verify_and_profile_agree(snncc, compiled: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out_file = tmp_path / "out.npz"
    code, out, _ = snncc("run", compiled, "--data", "mnist:demo", "--limit", 60, "-o", out_file, "--json")
    ran = json.loads(out)
    assert code == 0 and ran["samples"] == 60 and ran["accuracy"] > 0.9
    assert np.array_equal(np.load(out_file)["predictions"], ran["predictions"])
    code, out, _ = snncc(
        "verify", compiled, "--data", "mnist:demo", "--limit", 60, "--exact", 3, "--max-accuracy-drop", 20, "--json"
    )
    found = json.loads(out)
    assert code == 0 and found["passed"]
    assert found["accuracy"]["integer"] == ran["accuracy"]
    assert found["fixed_sim_against_reference"]["differing"] == 0
    assert found["spikes_per_inference"]["integer"] == pytest.approx(ran["spikes_per_inference"])
    code, out, _ = snncc("profile", compiled, "--energy", "--data", "mnist:demo", "--limit", 60, "--json")
    assert code == 0
    priced = json.loads(out)
    assert sum(layer["spikes"] for layer in priced["layers"]) == pytest.approx(ran["spikes_per_inference"])


def test_a_gate_that_fails_exits_with_1(snncc, compiled: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc(
        "verify", compiled, "--data", "mnist:demo", "--limit", 20, "--exact", 1, "--max-accuracy-drop", -90
    )
    assert code == 1 and "FAIL" in out and "accuracy drop" in out


def test_print_after_shows_the_network(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc(
        "compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o", tmp_path / "x", "--print-after", "merge-synapses"
    )
    assert code == 0
    assert "; after merge-synapses" in out and "graph mnist-multi-threshold time_steps=2" in out
    assert "BatchNorm" not in out and "AvgPool2d" not in out


BAD = {
    "missing": (["compile", "nothing.pt", "-t", "fixed-sim"], "no such file"),
    "no zoo model": (["compile", "nothing", "-t", "fixed-sim"], "no zoo model"),
    "no target": (["compile", "mnist-multi-threshold"], "--target"),
    "unknown target": (["compile", "mnist-multi-threshold", "-t", "abacus"], "abacus"),
    "unknown pass": (["compile", "mnist-multi-threshold", "-t", "fixed-sim", "--print-after", "x"], "no pass"),
    "unknown data": (["verify", "mnist-multi-threshold", "-t", "fixed-sim", "--data", "nothing:test"], "nothing"),
    "bits": (["compile", "mnist-multi-threshold", "-t", "fixed-sim", "--bits", "99"], "99"),
    "not a pair": (["inspect", "mnist-multi-threshold", "--opt", "nonsense"], "KEY=VALUE"),
    "no recipe": (["train", "nothing"], "no recipe"),
    "not an artefact": (["run", "{tmp}", "--data", "mnist:demo"], "did not write"),
    "no artefact": (["run", "{tmp}/none", "--data", "mnist:demo"], "no such"),
    "export elsewhere": (["export", "mnist-multi-threshold", "-o", "{tmp}/x.txt"], ".nir"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_usage_is_one_message_and_exit_2(snncc, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    arguments, part = BAD[name]
    code, _, err = snncc(*(a.format(tmp=tmp_path) for a in arguments))
    assert code == 2
    assert part in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 64, b"\x89HDF\r\n\x1a\n" + b"\0" * 64])
def test_foreign_files_are_refused(snncc, tmp_path: Path, content: bytes) -> None:  # type: ignore[no-untyped-def]
    model = tmp_path / "model.bin"
    model.write_bytes(content)
    code, _, err = snncc("compile", model, "-t", "fixed-sim", "-o", tmp_path / "out")
    assert code == 2 and "model.bin" in err
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_a_truncated_checkpoint_is_refused(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from snncc.registry import resolve_model

    whole = resolve_model("mnist-multi-threshold").read_bytes()
    model = tmp_path / "half.pt"
    model.write_bytes(whole[: len(whole) // 2])
    code, _, err = snncc("compile", model, "-t", "fixed-sim", "-o", tmp_path / "out")
    assert code == 2 and "half.pt" in err and not (tmp_path / "out").exists()


def test_a_folder_of_others_is_not_overwritten(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    code, _, err = snncc("compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o", tmp_path / "mine")
    assert code == 2 and "not written by snncc compile" in err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_nir_export_gives_the_same_spikes(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from snncc.data import load
    from snncc.frontends import load_model
    from snncc.ir.interpreter import run_graph
    from snncc.registry import resolve_model

    code, _, _ = snncc("export", "mnist-multi-threshold", "-o", tmp_path / "net.nir")
    assert code == 0
    images = load("mnist:demo", 20).inputs
    before = run_graph(load_model(resolve_model("mnist-multi-threshold")), images)
    after = run_graph(load_model(tmp_path / "net.nir"), images)
    for name, spikes in before.spikes.items():
        assert np.array_equal(spikes, after.spikes[name]), name
    assert np.array_equal(before.predictions, after.predictions)


def test_inspect_says_what_neurons_do(snncc) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("inspect", "mnist-multi-threshold")
    assert code == 0 and "fires up to 4 times on v ≥ 0.5; subtracts 0.5" in out


def test_check_lists_findings_and_exits_with_1(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("check", "mnist-multi-threshold", "-t", "loihi-sim", "--guard-bits", 3)
    assert code == 1 and "guard bits" in out
    code, out, _ = snncc("check", "mnist-multi-threshold", "-t", "loihi-sim")
    assert code == 0


def test_check_lists_every_refusal_at_once(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from snncc.frontends.nir_export import export_nir
    from snncc.ir.dynamics import Dynamics
    from snncc.ir.graph import build_graph
    from snncc.ir.nodes import Dense, Input, Neuron, Output

    silent = Neuron(Dynamics(fires=False, reset="none", membrane_decay=0.5))
    eye = Dense(np.eye(3))
    nodes = {"in": Input((3,), "spikes", 1.0, 0, 1), "a": eye, "li1": silent, "b": eye, "li2": silent, "c": eye}
    nodes |= {"lif": Neuron(Dynamics(compare=">", reset="to_value")), "out": Output()}
    names = list(nodes)
    export_nir(build_graph(nodes, pairwise(names), 5), tmp_path / "net.nir")
    code, out, _ = snncc("check", tmp_path / "net.nir", "-t", "fixed-sim", "--json")
    findings = json.loads(out)["findings"]
    assert code == 1 and [f["layer"] for f in findings] == ["li1", "li2"]
