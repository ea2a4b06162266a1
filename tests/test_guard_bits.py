"""``--guard-bits auto``: as few fraction bits as the spikes on calibration data ask for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from snncc.cli import main as cli_main
from snncc.guard_bits import TRIED, choose_guard_bits, measure_guard_bits
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.target import CompileOptions

STEPS, SAMPLES = 12, 40
X = np.random.default_rng(1).integers(0, 2, (STEPS, SAMPLES, 10))


def network(decay: float, step: float) -> Graph:
    """Weights and biases in multiples of ``step``."""
    rng = np.random.default_rng(2)
    nodes = {
        "input": Input((10,), "spikes", 1.0, 0, 1),
        "fc": Dense(rng.integers(-3, 8, (8, 10)) / 8, rng.integers(-3, 4, 8) * step),
        "lif": Neuron(Dynamics(membrane_decay=decay)),
        "last": Dense(rng.integers(-3, 8, (4, 8)) / 8),
        "lif2": Neuron(Dynamics()),
        "output": Output(),
    }
    return chain(nodes, STEPS)


@pytest.mark.parametrize(("step", "needed"), [(1 / 8, 0), (1 / 64, 3)])
def test_as_many_as_the_bias_has(step: float, needed: int) -> None:
    """Weights of whole eighths and no leak: only the bias needs fraction bits, down to which the run is exact."""
    errors = measure_guard_bits(network(1.0, step), CompileOptions(4, calibration=X))
    assert list(errors) == list(TRIED)
    assert all(error == 0 for bits, error in errors.items() if bits >= needed)
    assert all(error > 0 for bits, error in errors.items() if bits < needed - 1)
    assert choose_guard_bits(errors) <= needed


def test_a_leak_needs_some() -> None:
    errors = measure_guard_bits(network(0.9, 0.013), CompileOptions(4, calibration=X))
    assert errors[0] > 2 * errors[6] and choose_guard_bits(errors) > 0


def test_the_fewest_that_do() -> None:
    assert choose_guard_bits({0: 0.5, 2: 0.109, 4: 0.1, 6: 0.11}) == 2
    assert choose_guard_bits({0: 0.0, 2: 0.0}) == 0


def test_at_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from snncc.frontends.nir_export import export_nir

    export_nir(network(1.0, 1 / 64), tmp_path / "net.nir")
    np.savez(tmp_path / "data.npz", x=np.moveaxis(X, 0, 1).astype(np.uint8))

    def run(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["snncc", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli_main.main()
        return left.value.code, capsys.readouterr().err

    given = (
        "compile",
        tmp_path / "net.nir",
        "-t",
        "fixed-sim",
        "-o",
        tmp_path / "out",
        "--bits",
        4,
        "--guard-bits",
        "auto",
    )
    code, said = run(*given)
    assert code == 2 and "--guard-bits auto: has no data" in said
    code, said = run(*given, "--calibrate", tmp_path / "data.npz")
    assert not code and "guard bits; spikes that differ" in said
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["options"]["guard_bits"] in (2, 3)
