"""The workflow of docs/ci.md, run as it stands there on a network of the zoo, and on that network broken."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_ci_docs import steps

from snncc.cli.main import cli
from snncc.data import load
from snncc.frontends import load_model
from snncc.frontends.nir_export import export_nir
from snncc.ir.nodes import Dense

ZOO, SAMPLES = "mnist-spike-based-t20", 10
OF_OTHERS = " --dialect snntorch --time-steps 25"
"""What the page's network needs said; a network of the zoo says it itself."""


def snncc(words: Sequence[str]) -> Result:
    return CliRunner().invoke(cli, list(words), catch_exceptions=False)


def workflow() -> list[Result]:
    """Its snncc lines in this folder, up to the first that fails, as a shell's ``-e`` has them."""
    (script,) = [str(step["run"]) for step in steps() if "snncc verify" in str(step.get("run"))]
    done: list[Result] = []
    for line in script.strip().splitlines():
        if not done or done[-1].exit_code == 0:
            assert line.startswith("snncc ")
            done.append(snncc(shlex.split(line.replace(OF_OTHERS, ""))[1:]))
    assert len(script.strip().splitlines()) == 3 and OF_OTHERS in script
    return done


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir, tests/deploy.npz and tests/baseline.json, as the page asks for them."""
    made = tmp_path_factory.mktemp("repository")
    (made / "tests").mkdir()
    data = load("mnist:demo", SAMPLES, 1)
    np.savez(made / "tests" / "deploy.npz", x=data.inputs, y=data.labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        assert snncc(["export", ZOO, "-o", "net.nir"]).exit_code == 0
        before = snncc(
            ["verify", "net.nir", "--target", "fixed-sim", "--data", "tests/deploy.npz", "--exact", "1", "--json"]
        )
    assert before.exit_code == 0
    (made / "tests" / "baseline.json").write_text(before.stdout)
    return made


@pytest.fixture
def checkout(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to change, where the workflow runs."""
    copied = shutil.copytree(repository, tmp_path / "checkout")
    monkeypatch.chdir(copied)
    return copied


def test_it_is_green_for_a_network_of_the_zoo(checkout: Path) -> None:
    done = workflow()
    assert [one.exit_code for one in done] == [0, 0, 0], done[-1].output
    assert "0 of" in done[1].stdout and " PASS " in done[2].stdout
    gates = ElementTree.parse(checkout / "gates.xml").getroot()
    names = {case.get("name") for case in gates.iter("testcase")}
    assert {"accuracy drop", "agreement with the float network", "accuracy, samples lost since the baseline"} <= names
    assert not list(gates.iter("failure")) and "accuracy drop" in (checkout / "gates.md").read_text()


def test_it_is_red_for_the_network_broken(checkout: Path) -> None:
    """Classes in another order compile without loss, so that only the comparison with the main branch shows it."""
    graph = load_model(checkout / "net.nir", {})
    name, last = [(n, node) for n, node in graph.nodes.items() if isinstance(node, Dense)][-1]
    export_nir(graph.with_nodes({name: replace(last, weight=np.roll(last.weight, 1, axis=0))}), checkout / "net.nir")
    done = workflow()
    assert [one.exit_code for one in done] == [0, 0, 1], done[-1].output
    gates = ElementTree.parse(checkout / "gates.xml").getroot()
    red = {case.get("name") for case in gates.iter("testcase") if case.find("failure") is not None}
    assert red == {"accuracy, samples lost since the baseline"}
    assert "itself changed since the baseline, not what compiling does to it" in " ".join(done[2].stdout.split())
    for text in (done[2].stdout, (checkout / "gates.md").read_text()):
        assert "samples lost since the baseline" in text and f"got worse and 0 better of {SAMPLES}" in text
