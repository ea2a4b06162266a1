"""Rate-coded networks at the command line: images in, one deterministic train of spikes a sample, whatever the verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.models.checkpoint import write_checkpoint
from snncc.models.initialise import initialise
from snncc.models.module import SpikingNetwork
from snncc.models.networks import describe
from snncc.program.artifact import read_artifact

DATA = ("--data", "mnist:demo", "--limit", "40")
FAMILY = {"family": "spike_based", "layers": "4C5-P4-20-10", "time_steps": 6, "padding": 0, "seed": 3, "gain": 0.8}
SAME = "poisson:gain=0.8,seed=3"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights with an encoder, without one, and with static input."""
    folder, made = tmp_path_factory.mktemp("coded"), {}
    torch.manual_seed(0)
    network = SpikingNetwork(describe("coded", FAMILY))
    initialise(network, {"kind": "fan_in", "kappa": 6.0}, torch.zeros(1, 1, 28, 28))
    entry = network.description["input"]
    plain = {k: v for k, v in entry.items() if k != "encoder"}
    static = plain | {"encoding": "static", "scale": 1 / 255, "high": 255}
    for name, fields in (("coded", entry), ("plain", plain), ("static", static)):
        made[name] = folder / f"{name}.pt"
        write_checkpoint(made[name], network.description | {"input": fields}, network.state_dict(), {})
    return made


def facts(snncc: Any, *arguments: object) -> dict[str, Any]:
    code, out, err = snncc(*arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_a_recorded_and_a_given_code_are_the_same(snncc: Any, files: dict[str, Path]) -> None:
    recorded = facts(snncc, "verify", files["coded"], "-t", "fixed-sim", *DATA)
    given = facts(snncc, "verify", files["plain"], "-t", "fixed-sim", *DATA, "--encode", SAME)
    other = facts(snncc, "verify", files["coded"], "-t", "fixed-sim", *DATA, "--encode", "poisson:gain=0.8,seed=4")
    assert recorded["passed"] and recorded["spikes_per_inference"]["integer"] > 0
    assert recorded["layers"] == given["layers"] and recorded["accuracy"] == given["accuracy"]
    assert recorded["layers"] != other["layers"]


def test_verbs_agree_in_any_portions(
    snncc: Any, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "net"
    facts(snncc, "compile", files["plain"], "-t", "fixed-sim", "-o", folder, "--encode", SAME)
    entry = read_artifact(folder).graph.nodes["input"]
    assert entry.encoder.gain == 0.8 and entry.encoder.seed == 3  # type: ignore[union-attr]
    verified = facts(snncc, "verify", folder, *DATA)
    whole = facts(snncc, "run", folder, *DATA, "-o", tmp_path / "whole.npz")
    profiled = facts(snncc, "profile", folder, *DATA)
    monkeypatch.setattr("snncc.feed.PORTION", 7 * 6 * 784)
    parts = facts(snncc, "run", folder, *DATA, "-o", tmp_path / "parts.npz")
    again = facts(snncc, "profile", folder, *DATA)
    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "parts.npz") as b:
        np.testing.assert_array_equal(a["scores"], b["scores"])
        assert a["scores"].shape == (40, 10)
    assert profiled == again and parts["spikes_per_inference"] == whole["spikes_per_inference"]
    assert whole["spikes_per_inference"] == pytest.approx(verified["spikes_per_inference"]["integer"])
    assert whole["accuracy"] == verified["accuracy"]["integer"] == parts["accuracy"]


def test_calibration_sees_spikes(snncc: Any, files: dict[str, Path]) -> None:
    calibrated = ("--calibrate", "mnist:demo")
    assert facts(snncc, "verify", files["coded"], "-t", "fixed-sim", *DATA, *calibrated)["passed"]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("plain", (), "say how they become spikes: --encode poisson"),
        ("static", ("--encode", SAME), "takes static input; leave --encode out"),
        ("plain", ("--encode", "latency"), "no known code"),
        ("plain", ("--encode", "poisson:signed=yes"), "gives -1..1"),
        ("plain", ("--encode", "poisson:gain=much"), "a number is needed"),
    ],
)
def test_what_does_not_fit(
    snncc: Any, files: dict[str, Path], model: str, options: tuple[str, ...], message: str
) -> None:
    code, _, err = snncc("verify", files[model], "-t", "fixed-sim", *DATA, *options)
    assert code == 2 and message in " ".join(err.split())
