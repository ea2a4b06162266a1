"""The compiled folder: what is read is what was written, byte for byte; nothing damaged, foreign or hostile gets through."""

from __future__ import annotations

import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import integer_networks
import networks
import numpy as np
import pytest
from hostile.archives import bomb
from hypothesis import given

from snncc.errors import ArtifactError, InputError
from snncc.files import load_arrays, save_arrays, sha256_of
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.program.artifact import decode_program, encode_program, is_artifact, read_artifact, write_artifact
from snncc.program.bounds import prove_bounds
from snncc.program.lower import lower
from snncc.program.program import EXACT, LOIHI, Program
from snncc.records import dump_json


def network(weight: float = 3.0) -> Graph:
    """Two neurons; thresholds and weights are whole numbers, so that it lowers as it is."""
    neuron = Neuron(Dynamics(threshold=np.array([100.0, 127.0]), compare=">", levels=4))
    nodes = {"in": Input((2,)), "w": Dense(np.array([[weight, 1], [-2, 4]])), "n": neuron, "out": Output()}
    return chain(nodes, 3, "small", {"made": "by hand"})


def nothing(program: Program, folder: Path) -> list[str]:
    return []


def write(folder: Path, weight: float = 3.0, emit: Callable[[Program, Path], list[str]] = nothing) -> Program:
    graph = network(weight)
    program = lower(graph, EXACT)
    write_artifact(folder, program, graph, {"target": "none"}, {"remarks": []}, emit)
    return program


def everything_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def assert_same_program(a: Program, b: Program) -> None:
    assert (a.name, a.time_steps, a.arithmetic, a.source.name) == (b.name, b.time_steps, b.arithmetic, b.source.name)
    assert vars(a.source) == vars(b.source) and a.readout == b.readout and dict(a.origin) == dict(b.origin)
    for xs, ys in ((a.populations, b.populations), (a.projections, b.projections)):
        assert len(xs) == len(ys)
        for x, y in zip(xs, ys, strict=True):
            for f in fields(x):
                one, other = getattr(x, f.name), getattr(y, f.name)
                if isinstance(one, np.ndarray | np.generic):
                    assert np.shape(one) == np.shape(other), f"{x.name}.{f.name}"
                    np.testing.assert_array_equal(one, other, err_msg=f"{x.name}.{f.name}")
                    assert np.asarray(other).dtype == np.asarray(one).dtype, f"{x.name}.{f.name}"
                else:
                    assert one == other, f"{x.name}.{f.name}"


@given(integer_networks.programs(LOIHI))
def test_any_program_survives_the_round_trip(program: Program) -> None:
    value, arrays = encode_program(program)
    assert_same_program(program, decode_program(json.loads(dump_json(value)), arrays, "here"))


@given(integer_networks.programs(EXACT), networks.seeds)
def test_bounds_of_a_program_read_back_are_the_same(program: Program, seed: int) -> None:
    """Small integer types on disk must not overflow in what works with them."""
    value, arrays = encode_program(program)
    assert prove_bounds(decode_program(value, arrays, "here")) == prove_bounds(program)


def test_written_and_read(tmp_path: Path) -> None:
    program = write(tmp_path / "a")
    artifact = read_artifact(tmp_path / "a")
    assert_same_program(program, artifact.program)
    assert artifact.manifest["target"] == "none" and artifact.report == {"remarks": []}
    assert list(artifact.graph.nodes) == ["in", "w", "n", "out"] and artifact.graph.origin == {"made": "by hand"}
    assert is_artifact(tmp_path / "a")


def test_two_writes_give_the_same_bytes(tmp_path: Path) -> None:
    def emit(program: Program, folder: Path) -> list[str]:
        (folder / "src").mkdir()
        (folder / "src" / "main.c").write_text("int main;")
        return ["src/main.c"]

    write(tmp_path / "a", emit=emit)
    write(tmp_path / "b", emit=emit)
    assert everything_in(tmp_path / "a") == everything_in(tmp_path / "b")
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["files"]["src/main.c"] == sha256_of(tmp_path / "a" / "src" / "main.c")


def test_an_older_artefact_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "a"
    write(folder)
    (folder / "left-over.txt").write_text("old")
    write(folder, weight=5.0)
    assert not (folder / "left-over.txt").exists()
    assert read_artifact(folder).program.projections[0].weight[0, 0] == 5
    assert [p.name for p in folder.parent.iterdir()] == ["a"]


def test_a_failure_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    write(folder)
    before = everything_in(folder)

    def fail(program: Program, folder: Path) -> list[str]:
        raise RuntimeError("disk full")

    for target in (folder, tmp_path / "new"):
        with pytest.raises(RuntimeError, match="disk full"):
            write(target, emit=fail)
    assert everything_in(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_failing_rename_brings_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    write(folder)
    before, rename = everything_in(folder), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise PermissionError("not now")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        write(folder, weight=5.0)
    assert everything_in(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    """Not even one that has files of these names, as a web project does."""
    photos, web, file = tmp_path / "photos", tmp_path / "web", tmp_path / "file"
    for folder in (photos, web):
        folder.mkdir()
    (photos / "cat.jpg").write_bytes(b"cat")
    (web / "manifest.json").write_text('{"name": "my app"}')
    (web / "program.json").write_text("{}")
    file.write_text("text")
    for path in (photos, web, file):
        with pytest.raises(InputError, match="exists and was not written by snncc compile"):
            write(path)
    assert everything_in(photos) == {"cat.jpg": b"cat"} and len(everything_in(web)) == 2 and file.read_text() == "text"
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "web", "file"}


def test_the_current_folder_and_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    write(Path())
    assert is_artifact(tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    write(tmp_path / "link", weight=5.0)
    assert read_artifact(tmp_path / "empty").program.projections[0].weight[0, 0] == 5
    assert {p.name for p in tmp_path.iterdir()} == {"empty", "link"}


def rehash(folder: Path) -> None:
    """What an attacker would do: put the right hashes of changed files into the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {n: sha256_of(folder / n) for n in manifest["files"] if (folder / n).is_file()}
    path.write_text(json.dumps(manifest))


def edit(name: str, change: Callable[[Any], Any], hashed: bool = True) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        value = json.loads(path.read_text())
        path.write_text(json.dumps(change(value)))
        if hashed:
            rehash(folder)

    return apply


def put(*keys: Any, value: Any) -> Callable[[Any], Any]:
    """Set a value deep inside."""

    def change(root: Any) -> Any:
        item = root
        for key in keys[:-1]:
            item = item[key]
        item[keys[-1]] = value
        return root

    return change


def with_arrays(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        arrays = load_arrays(folder / "weights.npz")
        arrays.update({k.replace("__", "/"): v for k, v in changes.items()})
        save_arrays(folder / "weights.npz", arrays)
        rehash(folder)

    return apply


def truncate(folder: Path) -> None:
    path = folder / "weights.npz"
    path.write_bytes(path.read_bytes()[:-30])
    rehash(folder)


def pickled(folder: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / "weights.npz", "w") as archive:
        archive.writestr("population/n/threshold.npy", buffer.getvalue())
    rehash(folder)


def inflated(folder: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(folder / "weights.npz", "w") as archive:
        archive.writestr("population/n/threshold.npy", header.getvalue() + bytes(64))
    rehash(folder)


def bombed(seed: int) -> Callable[[Path], None]:
    """1.2 GiB of zeros in a megabyte, whose size is given as it is, or as a small one."""

    def damage(folder: Path) -> None:
        (folder / "weights.npz").write_bytes(bomb((folder / "weights.npz").read_bytes(), random.Random(seed)))
        rehash(folder)

    return damage


N, W = ("populations", 0), ("projections", 0)
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (shutil.rmtree, "no such folder"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "no such file"),
    "no weights": (lambda f: (f / "weights.npz").unlink(), r"weights\.npz is missing; compile"),
    "foreign": (edit("manifest.json", put("format", value="other"), False), "was not written by snncc compile"),
    "a list": (lambda f: (f / "manifest.json").write_text("[1]"), "was not written by snncc compile"),
    "no json": (lambda f: (f / "manifest.json").write_text("{"), "no readable JSON"),
    "bytes": (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), "no readable JSON"),
    "deep json": (lambda f: (f / "manifest.json").write_text("[" * 200_000), "no readable JSON"),
    "version": (edit("manifest.json", put("version", value=99), False), "has format version 99; this snncc reads 1"),
    "no hashes": (edit("manifest.json", put("files", value=None), False), r"manifest\.json is damaged"),
    "changed": (edit("program.json", put("time_steps", value=4), False), r"program\.json: was changed after"),
    "truncated": (truncate, "no intact .npz"),
    "pickle": (pickled, "holds Python objects; only plain arrays are read"),
    "inflated": (inflated, "says it holds 8,796,093,022,208 bytes but has"),
    "bomb": (bombed(1), "unpacks to 1,258,291,328 bytes; the limit is 536,870,912"),
    "bomb of a small size": (bombed(0), "says it holds 1,258,291,200 bytes but has 5,000"),
    "no program": (edit("program.json", lambda v: []), "is no snncc program"),
    "program version": (edit("program.json", put("version", value=2)), "has format version 2, this snncc reads 1"),
    "arithmetic": (edit("program.json", put("arithmetic", value="fuzzy")), "is damaged"),
    "no steps": (edit("program.json", put("time_steps", value=0)), "runs 0 time steps"),
    "endless": (edit("program.json", put("time_steps", value=float("inf"))), "is damaged"),
    "unknown field": (edit("program.json", put(*N, "colour", value="red")), "has fields this snncc does not know"),
    "missing field": (edit("program.json", lambda v: v["populations"][0].pop("shape") and v), "is damaged"),
    "missing array": (edit("program.json", put(*N, "bias", value={"array": "x"})), "array 'x' is missing"),
    "no array": (edit("program.json", put(*N, "bias", value=3)), "is damaged"),
    "compare": (edit("program.json", put(*N, "compare", value="=")), "n: compare is '='"),
    "reset": (edit("program.json", put(*N, "reset", value="hard")), "n: reset is 'hard'"),
    "levels": (edit("program.json", put(*N, "levels", value=10**9)), "n: levels is 1000000000"),
    "guard bits": (edit("program.json", put(*N, "guard_bits", value=17)), "n: guard_bits is 17"),
    "kind": (edit("program.json", put(*W, "kind", value="fft")), "w: kind is 'fft'"),
    "stride": (edit("program.json", put(*W, "stride", value=[0, 1])), "w: stride and dilation"),
    "source": (edit("program.json", put(*W, "source", value="moon")), "w: its source 'moon' is no population"),
    "target": (edit("program.json", put(*W, "target", value="moon")), "w: its target 'moon' is no population"),
    "twice": (edit("program.json", lambda v: v["projections"].append(v["projections"][0]) or v), "two projections"),
    "shift": (edit("program.json", put(*W, "shift", value=40)), r"w: shift is 40; .* 0\.\.31"),
    "far away": (edit("program.json", put(*W, "delay", value=10**12)), r"w: delay is 10{12}; .* 0\.\.1,000,000"),
    "half a step": (edit("program.json", put(*W, "delay", value=0.5)), "w: delay is 0.5; it must be a whole number"),
    "a true step": (edit("program.json", put(*W, "delay", value=True)), "w: delay is True; it must be a whole number"),
    "no step": (edit("program.json", put(*W, "delay", value=None)), "w: delay is None; it must be a whole number"),
    "half a shift": (edit("program.json", put(*W, "shift", value="1")), "w: shift is '1'; it must be a whole number"),
    "readout": (edit("program.json", put("readout", "kind", value="vote")), "readout: kind is 'vote'"),
    "readout of nothing": (edit("program.json", put("readout", "population", value="in")), "readout: reads 'in'"),
    "encoding": (edit("program.json", put("source", "encoding", value="smell")), "in: encoding is 'smell'"),
    "wide input": (edit("program.json", put("source", "high", value=2**31)), "in: range .* is beyond 32 bits"),
    "float weights": (with_arrays(projection__w__weight=np.ones((2, 2))), "w: weight is float64"),
    "weight shape": (with_arrays(projection__w__weight=np.ones((2, 3), int)), "w: dense weight .* does not lead"),
    "huge weights": (with_arrays(projection__w__weight=np.full((2, 2), 2**40)), "w: weights reach"),
    "huge bias": (with_arrays(population__n__bias=np.array(-(2**60))), "n: bias spans"),
    "decay": (with_arrays(population__n__decay_v=np.array(5000)), "n: decay_v is 5000"),
    "threshold": (
        with_arrays(population__n__threshold=np.array([-1, 5])),
        "n: threshold is -1; a silent neuron would fire",
    ),
    "graph": (edit("graph.json", put("time_steps", value=0)), r"graph\.json: small: runs 0 time steps"),
    "graph kind": (edit("graph.json", put("nodes", 1, "kind", value="Magic")), "w is of kind 'Magic'"),
    "graph of nothing": (edit("graph.json", lambda v: 7), r"graph\.json: is damaged"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(what: str, tmp_path: Path) -> None:
    damage, message = DAMAGE[what]
    folder = tmp_path / "a"
    write(folder)
    damage(folder)
    with pytest.raises(InputError, match=message) as error:
        read_artifact(folder)
    assert isinstance(error.value, ArtifactError) or "npz" in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.npz", {"zeros": np.zeros(10_000)})
    with pytest.raises(InputError, match="unpacks to 80,128 bytes; the limit is 80,000"):
        load_arrays(tmp_path / "a.npz", 80_000)


def test_no_flipped_byte_goes_unnoticed(tmp_path: Path) -> None:
    """Every byte of the archive in turn: either it is refused, or it was one that means nothing (a date)."""
    expected = {"a": np.arange(40), "b": np.asarray(7)}
    save_arrays(tmp_path / "a.npz", expected)
    whole = (tmp_path / "a.npz").read_bytes()
    refused = 0
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 0x55
        (tmp_path / "b.npz").write_bytes(bytes(data))
        try:
            arrays = load_arrays(tmp_path / "b.npz")
        except InputError:
            refused += 1
            continue
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, expected[name], err_msg=f"byte {position}")
    assert refused > len(whole) // 2


@pytest.mark.parametrize(
    "array", [np.asarray(5), np.zeros((0, 3)), np.arange(6).reshape(2, 3).T, np.array([1.5], np.float32)]
)
def test_arrays_keep_their_shape_and_type(array: np.ndarray, tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.npz", {"x/y": array})
    back = load_arrays(tmp_path / "a.npz")["x/y"]
    assert back.shape == array.shape and back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_a_changed_emitted_file_is_noticed(tmp_path: Path) -> None:
    from snncc.compiler import CompileOptions, compile_graph, write_compilation
    from snncc.frontends import load_model
    from snncc.registry import get_target, resolve_model

    model, target, options = resolve_model("mnist-lif"), get_target("loihi-sim"), CompileOptions()
    folder = write_compilation(
        compile_graph(load_model(model), target, options), target, options, model, tmp_path / "net"
    )
    assert read_artifact(folder).program.name == "mnist-lif"
    script = folder / "run.py"
    script.write_text(script.read_text() + "\n# a small change\n")
    with pytest.raises(ArtifactError, match=r"run\.py: was changed"):
        read_artifact(folder)
