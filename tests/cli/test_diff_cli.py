"""``snncc diff`` as a person meets it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_net import data, first_place, graph_of, random_net, simulate, simulate_program

from snncc.compiler import compile_graph, write_compilation
from snncc.frontends.nir_export import export_nir
from snncc.passes.fold_batch_norm import FoldBatchNorm
from snncc.pipeline import Context
from snncc.program.artifact import read_artifact, write_artifact
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.target import CompileOptions

X = data()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network as a file, one with a fault, its compiled folder, one with a fault, and data."""
    folder = tmp_path_factory.mktemp("diff")
    net = random_net()
    right, wrong = graph_of(net), graph_of(net.with_(w1=net.w1[:, :, ::-1, ::-1]))
    for name, graph in (("right", right), ("wrong", wrong)):
        export_nir(FoldBatchNorm().run(graph, Context()).graph, folder / f"{name}.nir")  # NIR has no batch norm
    labels = np.arange(X.shape[1]) % 4
    np.savez(folder / "data.npz", x=np.moveaxis(X, 0, 1).astype(np.uint8), y=labels)
    np.savez(folder / "plain.npz", x=np.moveaxis(X, 0, 1).astype(np.uint8))
    target, options = get_target("fixed-sim"), CompileOptions()
    made = compile_graph(right, target, options)
    write_compilation(made, target, options, folder / "right.nir", folder / "good")
    populations = [replace(p, threshold=2 * p.threshold) if p.name == "lif2" else p for p in made.program.populations]
    spoilt = replace(made.program, populations=tuple(populations))
    manifest = {"target": "fixed-sim", "options": {"bits": 8, "guard_bits": None, "per_channel": True}}
    write_artifact(folder / "bad", spoilt, right, manifest, {}, target.emit)
    return {p.name: p for p in folder.iterdir()}


def test_two_files(snncc, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    code, out, err = snncc("diff", files["right.nir"], files["wrong.nir"], "--data", files["data.npz"], "--json")
    said = json.loads(out)
    net = random_net()
    layer, step, sample, neuron = first_place(simulate(net, X), simulate(net.with_(w1=net.w1[:, :, ::-1, ::-1]), X))  # type: ignore[misc]
    cell = said["first_change"]["cell"]
    assert code == 1, err
    assert (cell["layer"], cell["step"], cell["sample"], tuple(cell["neuron"])) == (layer, step, sample, neuron)
    assert said["overall"]["layers"][0]["distance"] > 0 and said["passed"]


def test_all_stages(snncc, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("diff", files["right.nir"], "--stages", "--data", files["data.npz"], "--bits", "4", "--json")
    said = json.loads(out)
    assert (
        code == 0 and said["passed"] and said["stages"][0] == "read" and said["stages"][-2:] == ["program", "fixed-sim"]
    )
    assert said["first_change"]["stage"] == "quantise" and said["first_fault"] is None
    drops = [step["drop"] for step in said["steps"] if step["drop"] is not None]
    assert sum(drops) == pytest.approx(said["overall"]["drop"])
    shares = [step["share"] for step in said["steps"] if step["share"] is not None]
    assert not shares or sum(shares) == pytest.approx(1.0)
    code, out, _ = snncc("diff", files["right.nir"], "--data", files["plain.npz"])
    assert code == 0 and "quantise is the first to change a spike" in out and "share" in out


def test_a_compiled_folder_with_a_fault(snncc, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    """The Program in the folder is not what its network compiles to: layer, step and constant are named."""
    code, out, _ = snncc("diff", files["bad"], "--data", files["data.npz"], "--json")
    said = json.loads(out)
    program = compile_graph(graph_of(random_net()), get_target("fixed-sim")).program
    doubled = [replace(p, threshold=2 * p.threshold) if p.name == "lif2" else p for p in program.populations]
    spoilt = replace(program, populations=tuple(doubled))
    expected = first_place(simulate_program(program, X), simulate_program(spoilt, X))
    cell = said["first_fault"]["cell"]
    assert code == 1 and said["first_fault"]["stage"] == "program" and "threshold" in said["first_fault"]["why"]
    assert (cell["layer"], cell["step"], cell["sample"], tuple(cell["neuron"])) == expected
    error = next(f for f in said["findings"] if f["severity"] == "error")
    assert error["layer"] == "lif2" and "compile" in error["remedy"]
    code, out, _ = snncc("diff", files["good"], "--data", files["data.npz"])
    assert code == 0 and "error" not in out
    code, out, _ = snncc("diff", files["good"], files["bad"], "--data", files["data.npz"])
    assert code == 1 and "program of" in out and "lif2" in out


def test_markdown(snncc, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("diff", files["bad"], "--data", files["data.npz"], "--markdown")
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert code == 1 and out.startswith("## snncc diff") and "### Findings" in out
    assert any(line.startswith("| program | beyond rounding") for line in tables)
    assert all(line.count(" | ") >= 1 and line.endswith(" |") for line in tables)


def test_stages_by_name(snncc, files: dict[str, Path]) -> None:  # type: ignore[no-untyped-def]
    model = files["right.nir"]
    code, out, _ = snncc(
        "diff", f"{model}@merge-synapses", f"{model}@fold-batch-norm", "--data", files["data.npz"], "--json"
    )
    said = json.loads(out)
    assert code == 0 and said["stages"][0] == "fold-batch-norm" and said["stages"][-1] == "merge-synapses"
    assert said["first_change"] is None
    code, out, _ = snncc("diff", files["good"], f"{files['good']}@target", "--data", files["data.npz"], "--json")
    assert code == 0 and json.loads(out)["stages"] == ["program", "fixed-sim"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["right.nir@fold-nothing", "right.nir"], "no such stage"),
        (["right.nir@program", "right.nir@program"], "both sides are the stage program"),
        (["right.nir@framework", "right.nir"], "begin at @read"),
        (["good@framework", "good"], "holds no module"),
        (["right.nir@program"], "is one stage"),
        (["right.nir", "good", "--stages"], "leave SECOND out"),
        (["right.nir", "--json", "--markdown"], "take one"),
        (["nothing.nir"], "no such file"),
        (["good", "--bits", "4"], "compiled already"),
        (["good", "-t", "loihi-sim"], "compiled for fixed-sim"),
        (["@program", "right.nir"], "MODEL@STAGE"),
        (["right.nir", "mnist-lif"], "takes samples of shape"),
        (["right.nir", "--tau", "nan"], "--tau nan: give a number in 0..1e+06"),
        (["right.nir", "--tau", "inf"], "--tau inf: give a number in"),
    ],
)
def test_what_is_refused(snncc, files: dict[str, Path], arguments: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    def path(text: str) -> str:
        name, _, stage = text.partition("@")
        return text if name not in files else f"{files[name]}{'@' + stage if stage else ''}"

    code, _, err = snncc("diff", *map(path, arguments), "--data", files["data.npz"])
    assert code == 2 and said in err and "Traceback" not in err


def test_a_calibrated_folder(  # type: ignore[no-untyped-def]
    snncc, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its passes are run again on the data that it names, or that is named, and on no other."""
    own, plain = tmp_path / "own.npz", files["plain.npz"]
    own.write_bytes(plain.read_bytes())
    asked = ("-t", "fixed-sim", "--bits", 3, "--rounding", "learned", "--calibrate", own, "--calibration-samples", 3)
    code, _, err = snncc("compile", files["right.nir"], *asked, "-o", tmp_path / "net")
    assert code == 0, err
    assert read_artifact(tmp_path / "net").manifest["options"]["calibration"]["data"] == "own.npz"  # without its folder
    monkeypatch.chdir(tmp_path)
    run = ("diff", tmp_path / "net", "--data", plain, "--json")
    code, out, _ = snncc(*run)
    known = json.loads(out)
    assert code == 0 and known["stages"][-4:] == ["quantise", "learn-rounding", "program", "fixed-sim"]
    own.unlink()
    code, out, err = snncc(*run)
    steps = json.loads(out)["steps"]
    assert code == 0 and [s["cause"] for s in steps] == ["unjudged", "same"] and "name that data: --calibrate" in err
    code, out, _ = snncc(*run, "--calibrate", plain)
    assert code == 0 and json.loads(out)["steps"] == known["steps"]
    x = np.load(plain)["x"]
    np.savez(tmp_path / "other.npz", x=x[::-1])
    code, _, err = snncc(*run, "--calibrate", tmp_path / "other.npz")
    assert code == 2 and "its first 3 samples are not those that" in err
    code, _, err = snncc("diff", files["good"], "--data", plain, "--calibrate", plain)
    assert code == 2 and "was not calibrated" in err


def heavier(program: Program, by: int) -> Program:
    """One weight that is 0 is another."""
    first, *others = program.projections
    weight = first.weight.copy()
    weight[tuple(np.argwhere(weight == 0)[0])] = by
    return replace(program, projections=(replace(first, weight=weight), *others))


def doubled(program: Program) -> Program:
    populations = [replace(p, threshold=2 * p.threshold) if p.name == "lif2" else p for p in program.populations]
    return replace(program, populations=tuple(populations))


@pytest.mark.parametrize(
    ("change", "keep", "code", "said"),
    [
        (doubled, ("calibration",), 1, "threshold[0] of lif2 is"),
        (lambda program: heavier(program, 2), ("calibration",), 1, "is 2, not 0"),
        (lambda program: heavier(program, 1), ("calibration",), 0, "as it may on another machine"),
        (doubled, (), 0, "on the same data is not known"),
    ],
)
def test_a_calibrated_folder_that_is_not_what_is_made_now(  # type: ignore[no-untyped-def]
    snncc, files: dict[str, Path], tmp_path: Path, change, keep: tuple[str, ...], code: int, said: str
) -> None:
    """A fault, unless it is what learned rounding may do elsewhere, or the folder does not say which samples it learned from."""
    odd = tmp_path / "odd.npz"
    np.savez(odd, x=np.load(files["plain.npz"])["x"], y=np.full(X.shape[1], 99))  # labels that nobody looks at
    asked = ("-t", "fixed-sim", "--bits", 3, "--rounding", "learned", "--calibrate", odd, "--calibration-samples", 3)
    assert snncc("compile", files["right.nir"], *asked, "-o", tmp_path / "net")[0] == 0
    made = read_artifact(tmp_path / "net")
    options = {n: v for n, v in made.manifest["options"].items() if n != "calibration" or n in keep}
    manifest = {"target": made.manifest["target"], "options": options}
    write_artifact(tmp_path / "other", change(made.program), made.graph, manifest, {}, get_target("fixed-sim").emit)
    run = ("--data", files["plain.npz"], "--json")
    found, out, err = snncc("diff", tmp_path / "other", *run, "--calibrate", odd)
    assert found == code, err
    step = next(s for s in json.loads(out)["steps"] if s["after"] == "program")
    assert said in step["why"] and step["cause"] == ("fault" if code else "unjudged")
    found, out, err = snncc("diff", f"{tmp_path / 'other'}@program", f"{tmp_path / 'other'}@target", *run)
    assert found == 0 and "calibrated" not in err and [s["cause"] for s in json.loads(out)["steps"]] == ["same"]
