"""``--rounding learned`` as a person meets it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from small_network import write_network


@pytest.mark.parametrize("verb", ["compile", "check", "verify", "profile", "diff"])
def test_without_data_to_learn_from(snncc, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    net, data = write_network(tmp_path)
    rest = ("--data", data) if verb in ("verify", "profile", "diff") else ()
    code, _, err = snncc(verb, net, "-t", "fixed-sim", "--rounding", "learned", *rest)
    assert code == 2 and "--rounding learned: has no data" in err and "--calibrate mnist:train" in err


@pytest.mark.parametrize("verb", ["compile", "verify", "diff"])
def test_how_many_samples_of_nothing(snncc, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    net, data = write_network(tmp_path)
    rest = ("--data", data) if verb != "compile" else ()
    code, _, err = snncc(verb, net, "-t", "fixed-sim", "--calibration-samples", 5, *rest)
    assert code == 2 and "--calibration-samples is for --calibrate: say that too, or leave it out" in err


needs_mnist = pytest.mark.skipif(
    not (Path(os.environ.get("SNNCC_DATA", "none")) / "mnist").is_dir(), reason="SNNCC_DATA holds no mnist/"
)


@pytest.mark.parametrize("split", ["demo", pytest.param("train", marks=needs_mnist)])
def test_learning_from_test_data_is_warned_of(snncc, tmp_path: Path, split: str) -> None:  # type: ignore[no-untyped-def]
    given = ("--calibrate", f"mnist:{split}", "--calibration-samples", 2, "-o", tmp_path / "net", "--json")
    code, out, err = snncc("compile", "mnist-lif", "-t", "fixed-sim", *given)
    assert code == 0 and json.loads(out)["folder"]
    warned = "--calibrate mnist:demo: the network is fitted to it, so its accuracy there is no test any more; take mnist:train"
    assert (warned in err) == (split == "demo")


def test_compiled_verified_and_explained(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = write_network(tmp_path)
    folder = tmp_path / "net"
    given = ("-t", "fixed-sim", "--bits", 2, "--rounding", "learned", "--calibrate", data, "--calibration-samples", 7)
    code, out, _ = snncc("compile", net, *given, "-o", folder)
    assert code == 0 and "weights of 2 layers rounded for the spikes of 7 samples; biases" in out
    options = json.loads((folder / "manifest.json").read_text())["options"]
    assert options["rounding"] == "learned" and options["calibration_samples"] == 7
    for model, more in ((net, given), (folder, ())):
        found = json.loads(snncc("verify", model, *more, "--data", data, "--json")[1])
        assert found["passed"] and found["fixed_sim_against_reference"]["differing"] == 0
    found = json.loads(snncc("diff", net, *given, "--data", data, "--json")[1])
    causes = {step["after"]: step["cause"] for step in found["steps"]}
    assert "fault" not in causes.values() and causes["learn-rounding"] == "rounding"
    code, _, err = snncc("verify", folder, "--data", data, "--rounding", "learned")
    assert code == 2 and "is compiled already, so --rounding would change nothing" in err
