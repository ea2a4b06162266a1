"""The fixture ``snncc_compiled`` as somebody else's tests use it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.passes import rounding_kernels
from snncc.targets.fixed_sim import compiled, synapses
from snncc.testing import Deployed

pytest_plugins = "pytester"
COMPILED = (compiled, synapses, rounding_kernels)
"""Imported here: what pytester imports it forgets again, which compiled modules do not survive."""
SAMPLES = 200


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir and own.npz, which its float network gets right throughout."""
    made = tmp_path_factory.mktemp("project")
    random = np.random.default_rng(1)
    neuron = Neuron(Dynamics(compare=">", reset="subtract", threshold=1.0, reset_amount=1.0))
    layers = {"a": Dense(random.normal(0, 0.5, (24, 12))), "lif": neuron, "b": Dense(random.normal(0, 0.5, (4, 24)))}
    nodes = {"in": Input((12,), "spikes", 1.0, 0, 1), **layers, "last": neuron, "out": Output()}
    graph = build_graph(nodes, pairwise(nodes), 10)
    export_nir(graph, made / "net.nir")
    x = (random.random((SAMPLES, 10, 12)) < 0.4).astype(np.uint8)
    np.savez(made / "own.npz", x=x, y=run_graph(graph, x.swapaxes(0, 1)).predictions)
    return made


@pytest.fixture
def project(files: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with both files. Where pytest sees that it runs in CI it prints each failure a second time, in its summary."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    for file in files.iterdir():
        shutil.copy(file, pytester.path)
    return pytester


HEAD = "import pytest\n"
GOOD = (
    HEAD
    + """
@pytest.mark.snncc(model="net.nir", data="own.npz", max_accuracy_drop=20, exact=2)
def test_deploys(snncc_compiled):
    found = snncc_compiled.verify()
    assert found.samples == 200 and found.passed
    with pytest.raises(AssertionError, match="is not ready for fixed-sim"):
        snncc_compiled.verify(max_accuracy_drop=-50)
"""
)


def test_a_network_that_deploys_and_a_broken_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_good=GOOD,
        test_broken=HEAD
        + """
pytestmark = pytest.mark.snncc("net.nir", data="own.npz", exact=2)

@pytest.mark.snncc(bits=2, max_accuracy_drop=1, min_agreement=97)
def test_too_few_bits(snncc_compiled):
    snncc_compiled.verify()
""",
    )
    said = project.runpytest_inprocess("-p", "no:cacheprovider")
    said.assert_outcomes(passed=1, failed=1)
    text = said.stdout.str()
    for part in (
        "net.nir is not ready for fixed-sim:",
        "failed: accuracy drop: ",
        "points, limit 1",
        "failed: agreement with the float network: ",
        "On 200 samples of ",
        "the float network gets 100.00 % right",
        "Spikes agree least in ",
        "What to try: more bits a weight: bits=2 now, 8 by default",
        "The whole picture: snncc verify ",
    ):
        assert part in text, part
    assert "snncc/verify.py" not in text and "snncc/testing.py:1" not in text  # no frames of ours to read through


BREAKING = """
from dataclasses import replace
from pathlib import Path
import pytest
from snncc.frontends import load_model
from snncc.ir.nodes import Neuron

GRAPH = load_model(Path("net.nir"), {})
pytestmark = pytest.mark.snncc(data="own.npz", exact=2, max_accuracy_drop=5, min_accuracy=90)

def negated():
    layer = GRAPH.nodes["a"]
    return GRAPH.with_nodes({"a": replace(layer, weight=-layer.weight)})

def deaf():
    lif = GRAPH.nodes["last"]
    dynamics = lif.dynamics.with_(threshold=10 * lif.dynamics.threshold)
    return GRAPH.with_nodes({"last": Neuron(dynamics)})
"""


def test_a_network_that_was_broken_before_compiling_is_said_to_be(project: pytest.Pytester) -> None:
    """Its integers agree with it, so no comparison fails: its accuracy does."""
    project.makepyfile(
        BREAKING
        + """
@pytest.mark.snncc(model=negated())
def test_negated_weights(snncc_compiled):
    snncc_compiled.verify()

@pytest.mark.snncc(model=deaf())
def test_threshold_times_ten(snncc_compiled):
    snncc_compiled.verify()

@pytest.mark.snncc(model=GRAPH)
def test_sound(snncc_compiled):
    snncc_compiled.verify()
"""
    )
    said = project.runpytest_inprocess("-p", "no:cacheprovider")
    said.assert_outcomes(passed=1, failed=2)
    text = said.stdout.str()
    assert text.count("failed: accuracy of the integer network: ") == 2 and "%, limit 90" in text
    assert text.count("% right, so it was broken before it was compiled: look at the weights in the file") == 2
    assert "which pass" not in text.lower() and "What to try" not in text


def test_a_layer_that_compiling_broke_is_named(project: pytest.Pytester) -> None:
    """A threshold ten times as high in the program alone, as a faulty pass would leave it."""
    project.makepyfile(
        BREAKING
        + """
@pytest.mark.snncc(model="net.nir")
def test_faulty_program(snncc_compiled):
    made = snncc_compiled.made
    broken = [replace(p, threshold=10 * p.threshold) if p.name == "lif" else p for p in made.program.populations]
    snncc_compiled.made = replace(made, program=replace(made.program, populations=tuple(broken)))
    snncc_compiled.verify()
"""
    )
    said = project.runpytest_inprocess("-p", "no:cacheprovider")
    said.assert_outcomes(failed=1)
    text = said.stdout.str()
    for part in (
        "net.nir is not ready for fixed-sim:",
        "failed: accuracy drop: ",
        "points, limit 5",
        "On 200 samples of ",
        "the float network gets 100.00 % right, the integer program that runs on the target ",
        "Spikes agree least in lif ",
        "The first that differs from the float network: lif[",
        "Which pass did it, and whether it is rounding or a fault: snncc diff ",
        "--stages --target fixed-sim --data ",
    ):
        assert part in text, part
    assert "broken before it was compiled" not in text and "Traceback" not in text


def test_parameters_add_to_the_marker_and_what_compiles_alike_is_compiled_once(project: pytest.Pytester) -> None:
    project.makepyfile(
        HEAD
        + """
seen = []
LEARNED = {"bits": 3, "rounding": "learned", "calibrate": "own.npz"}
FEW = {**LEARNED, "calibration_samples": 20}

@pytest.mark.snncc(model="net.nir", exact=2)
@pytest.mark.parametrize(
    "snncc_compiled", [{"bits": 8}, {"bits": 2}, {"min_agreement": 1}, LEARNED, FEW], indirect=True
)
def test_each(snncc_compiled):
    seen.append(snncc_compiled.made)
    assert snncc_compiled.verify(data="own.npz").passed

def test_of_all():
    assert seen[0] is seen[2] and seen[0] is not seen[1]
    assert "spikes of 200 samples" in str(seen[3].steps) and "spikes of 20 samples" in str(seen[4].steps)
"""
    )
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=6)


@pytest.mark.parametrize(
    "marker, outcome, message",
    [
        ('model="net.nir", colour="red"', "errors", "there is no colour; known: model, target, data"),
        ('data="own.npz"', "errors", "say which model"),
        ('model="nothing.nir"', "errors", "nothing.nir: no such file"),
        ('model="broken.nir"', "errors", "broken.nir"),
        ("model=3", "errors", "the model is a int; give a file"),
        ('model="net.nir", target="abacus"', "errors", "abacus"),
        ('model="net.nir", bits="8"', "errors", "snncc: bits is '8'; give int"),
        ('model="net.nir", exact=-1', "errors", "snncc: exact is -1; give 0 or more"),
        ('model="net.nir", limit=0', "errors", "snncc: limit is 0; give 1 or more"),
        ('model="net.nir", max_energy_uj=float("inf")', "errors", "--max-energy-uj inf: give a number in 0..1e+12"),
        ('model="net.nir", max_accuracy_drop=101', "errors", "--max-accuracy-drop 101: give a number in -100..100"),
        ('model="net.nir", bits=1', "errors", "bits is 1; weights of 2 to 16 bits are supported"),
        (
            'model="net.nir", layer_bits={"c": 4}',
            "errors",
            "there is no layer c; the layers with weights are lif, last",
        ),
        ('model="net.nir", rounding="learned"', "errors", "learned: has no data to learn from"),
        ('model="net.nir", guard_bits="few"', "errors", "--guard-bits: is 'few'; give 0..16, or auto"),
        ('model="net.nir", data="own.npz"', "errors", "test_it names data but never called snncc_compiled.verify()"),
    ],
)
def test_mistakes_are_one_message(project: pytest.Pytester, marker: str, outcome: str, message: str) -> None:
    (project.path / "broken.nir").write_bytes((project.path / "net.nir").read_bytes()[:700])
    project.makepyfile(HEAD + f"\n@pytest.mark.snncc({marker})\ndef test_it(snncc_compiled):\n    pass\n")
    said = project.runpytest_inprocess("-p", "no:cacheprovider")
    assert said.parseoutcomes()[outcome] == 1
    assert message in said.stdout.str() and "Traceback" not in said.stdout.str()


def test_workers_of_xdist_have_it_too(project: pytest.Pytester) -> None:
    project.makepyfile(test_one=GOOD, test_two=GOOD)
    project.runpytest_inprocess("-n", "2", "-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_loading_it_imports_next_to_nothing() -> None:
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport snncc.pytest_plugin\nprint(*(set(sys.modules) - before))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(made.stdout.split()) == {"snncc", "snncc.pytest_plugin"}


@pytest.mark.snncc(model="mnist-multi-threshold", data="mnist:demo", limit=60, exact=2, max_accuracy_drop=20)
@pytest.mark.parametrize(
    "snncc_compiled", [{"target": "fixed-sim"}, {"target": "loihi-sim", "exact": 0}], indirect=True
)
def test_a_network_of_the_zoo_deploys(snncc_compiled: Deployed) -> None:
    found = snncc_compiled.verify()
    assert found.samples == 60 and (found.float_accuracy or 0) > 0.9
