"""Files that leave their semantics open: a warning on standard error, or with ``--strict`` one refusal that lists everything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

nir = pytest.importorskip("nir", reason="the files are written with it: pip install snncc[nir]")

STEPS = ("--time-steps", "5")
SAID = ("--dialect", "snntorch", "--reset", "zero", "--reset-delay", "yes")


@pytest.fixture
def unsaid(tmp_path: Path) -> Path:
    """Two snnTorch layers, of which the file says nothing."""
    rng, tau = np.random.default_rng(0), 1e-3
    layers = []
    for into, size in ((6, 8), (8, 3)):
        one = np.ones(size)
        layers += [nir.Linear(rng.normal(0.2, 0.5, (size, into))), nir.LIF(tau * one, tau / 1e-4 * one, 0 * one, one)]
    nir.write(tmp_path / "net.nir", nir.NIRGraph.from_list(*layers))
    np.savez(tmp_path / "data.npz", x=rng.integers(0, 2, (4, 5, 6)), y=np.zeros(4, int))
    return tmp_path / "net.nir"


def verbs(model: Path) -> dict[str, list[object]]:
    """Every verb that reads a model, with what it needs besides."""
    target, data = ["--target", "fixed-sim"], ["--data", model.with_name("data.npz")]
    return {
        "inspect": [model],
        "check": [model, *target],
        "compile": [model, *target, "-o", model.with_name("out")],
        "export": [model, "-o", model.with_name("again.nir")],
        "verify": [model, *target, *data],
        "profile": [model, *target, *data],
    }


@pytest.mark.parametrize("verb", ["inspect", "check", "compile", "export", "verify", "profile"])
def test_strict_refuses_what_a_warning_says_otherwise(snncc, unsaid: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    arguments = [*verbs(unsaid)[verb], *STEPS]
    before = sorted(unsaid.parent.iterdir())
    code, out, err = snncc(verb, *arguments, "--strict")
    assert (code, out) == (2, "") and sorted(unsaid.parent.iterdir()) == before
    for line in (
        "net.nir: --strict, and the file does not say, nor did anybody else:",
        "  dialect: it looks like snntorch (r = τ/1e-4; the input is named 'input', as SpikingJelly's exporter never has it): "
        "--dialect snntorch",
        "  reset: subtract by default: --reset subtract|zero",
        "  reset_delay: yes by default: --reset-delay yes|no",
    ):
        assert line in err
    code, _, err = snncc(verb, *arguments)
    assert code == 0
    assert " warning net.nir does not say whose it is; read as snntorch because r = τ/1e-4" in err
    assert "taken as snntorch has it by default: reset subtract, reset_delay yes; say --reset subtract|zero" in err
    code, _, err = snncc(verb, *arguments, *SAID, "--strict")
    assert (code, err) == (0, "")


def test_warnings_leave_json_alone(snncc, unsaid: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, err = snncc("inspect", unsaid, *STEPS, "--json")
    origin = json.loads(out)["origin"]
    assert code == 0 and [f" warning {text}" for text in origin["warnings"]] == err.splitlines()
    assert origin["semantics_from"]["dialect"] == "guessed" and origin["defaults"] == "reset subtract, reset_delay yes"
    code, out, _ = snncc("inspect", unsaid, *STEPS)
    assert code == 0 and "defaults   reset subtract, reset_delay yes" in out and "does not say whose" not in out


def test_a_compiled_folder_remembers_what_was_guessed(snncc, unsaid: Path) -> None:  # type: ignore[no-untyped-def]
    folder = unsaid.with_name("out")
    assert snncc("compile", unsaid, *STEPS, "--target", "fixed-sim", "-o", folder)[0] == 0
    code, out, err = snncc("inspect", folder)
    assert (code, err) == (0, "") and "net.nir does not say whose it is; read as snntorch" in out
    code, _, err = snncc("inspect", folder, "--strict")
    assert code == 2 and "is compiled already, so --strict would change nothing" in err


def test_strict_is_no_bar_to_files_that_say_everything(snncc, unsaid: Path) -> None:  # type: ignore[no-untyped-def]
    exported = unsaid.with_name("own.nir")
    assert snncc("export", unsaid, *STEPS, *SAID, "-o", exported)[0] == 0
    for model in (exported, "mnist-multi-threshold"):
        code, _, err = snncc("inspect", model, "--strict")
        assert (code, err) == (0, "")
