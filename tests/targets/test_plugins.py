"""Plug-ins are found by entry point alone: ours, and a third party's from its own package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snncc import registry
from snncc.compiler import RefusedError, compile_graph, write_compilation
from snncc.errors import InputError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.program.artifact import read_artifact
from snncc.program.bounds import prove_bounds
from snncc.program.program import EXACT, LOIHI
from snncc.target import CompileOptions, RunOptions, Target
from snncc.targets.fixed_sim import TARGET, check

THIRD_PARTY = """
from snncc.program.program import EXACT
from snncc.program.reference import run_reference
from snncc.target import Target

def pipeline(options):
    from snncc.targets.common import float_passes
    from snncc.passes.quantise import Quantise
    return (*float_passes(options), Quantise(options.bits))

TARGET = Target("abacus", "counts on fingers", EXACT, {}, pipeline, lambda program: [], lambda program, folder: [],
                lambda program, folder, inputs, options: run_reference(program, inputs, options.record))
"""


def graph(weight: float = 1.0) -> Graph:
    nodes = {"in": Input((3,)), "w": Dense(np.eye(3) * weight), "n": Neuron(Dynamics(threshold=300.0)), "out": Output()}
    return chain(nodes, 4, "eye")


def test_ours_are_found() -> None:
    assert {"fixed-sim", "loihi-sim"} <= set(registry.entries("snncc.targets"))
    assert {"checkpoint", "nir"} <= set(registry.get_frontends())
    assert {"quantise", "merge-synapses"} <= set(registry.entries("snncc.passes"))
    for name in registry.entries("snncc.targets"):
        target = registry.get_target(name)
        assert isinstance(target, Target) and target.name == name
        assert all(hasattr(p, "requires") for p in target.pipeline(CompileOptions()))


@pytest.mark.parametrize(
    ("group", "kind"), [("snncc.targets", "target"), ("snncc.passes", "pass"), ("snncc.models", "model")]
)
def test_an_unknown_one_lists_the_known(group: str, kind: str) -> None:
    with pytest.raises(InputError, match=f"there is no {kind} 'abacus'; known: "):
        registry.get(group, "abacus")


def test_a_third_partys_target_compiles_and_runs(tmp_path: Path) -> None:
    """A package with one entry point, installed nowhere near ours."""
    (tmp_path / "abacus.py").write_text(THIRD_PARTY)
    info = tmp_path / "abacus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[snncc.targets]\nabacus = abacus:TARGET\n[snncc.passes]\nbroken = abacus.gone:X\n"
    )
    script = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parent)!r}]
import numpy as np
from snncc.errors import InputError
from snncc import registry
from snncc.compiler import compile_graph
from snncc.target import RunOptions
from test_plugins import graph
target = registry.get_target("abacus")
program = compile_graph(graph(), target).program
print(target.run(program, None, np.array([[255, 0, 100]]), RunOptions()).scores.tolist())
try:
    registry.get("snncc.passes", "broken")
except InputError as error:
    print(error)
"""
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    first, second = made.stdout.splitlines()
    assert first == "[[3, 0, 1]]"
    assert second.startswith("pass 'broken' cannot be loaded") and "install what it needs" in second


@pytest.mark.parametrize("name", ["fixed-sim", "loihi-sim"])
def test_compiled_for_a_target(name: str, tmp_path: Path) -> None:
    """Float network, program and the program read back agree; two compilations give the same bytes."""
    target, options = registry.get_target(name), CompileOptions()
    model = tmp_path / "model"
    model.write_bytes(b"model")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        made = compile_graph(graph(), target, options)
        assert made.errors == []
        write_compilation(made, target, options, model, folder)
    files = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders]
    assert files[0] == files[1]
    data = np.random.default_rng(1).integers(0, 256, (20, 3))
    program = read_artifact(folders[0]).program
    assert program.arithmetic is target.arithmetic
    found = TARGET.run(program, None, data, RunOptions(record=True))
    np.testing.assert_array_equal(found.spikes["n"], run_graph(graph(), data).spikes["n"])
    np.testing.assert_array_equal(TARGET.run(made.program, None, data, RunOptions()).scores, found.scores)


def test_fixed_sim_refuses_states_it_cannot_hold(tmp_path: Path) -> None:
    nodes = {
        "in": Input((1,), high=2**31 - 1), "w": Dense(np.array([[100.0]])),
        "n": Neuron(Dynamics(threshold=2.0**20, current_decay=1.0, fires=False)), "out": Output("membrane"),
    }  # fmt: skip
    deep = chain(nodes, 2000, "deep")
    made = compile_graph(deep, TARGET)
    assert not prove_bounds(made.program).proven
    finding = made.errors[0]
    assert (finding.layer, finding.what, finding.limit) == ("n", "state too wide", "51 bits")
    assert check(made.program) == made.errors
    with pytest.raises(RefusedError, match="fixed-sim cannot take this network: n: state too wide"):
        write_compilation(made, TARGET, CompileOptions(), tmp_path / "x", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(Exception, match=r"n: .* limit 51"):
        TARGET.run(made.program, None, np.array([[1]]), RunOptions())


def test_profiles() -> None:
    assert registry.get_target("fixed-sim").arithmetic is EXACT
    assert registry.get_target("loihi-sim").arithmetic is LOIHI
