"""A step from ``torch.onnx.export`` on the command line: looked at, compiled, run, refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def step_file(tmp_path: Path) -> Path:
    torch, snntorch = pytest.importorskip("torch"), pytest.importorskip("snntorch", reason="make frameworks")

    class Step(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc, self.lif = torch.nn.Linear(6, 5), snntorch.Leaky(0.9)

        def forward(self, x: Any, mem: Any) -> Any:
            return self.lif(self.fc(x), mem)

    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Step(), (torch.zeros(1, 6), torch.zeros(1, 5)), held, dynamo=False, input_names=["x", "mem"])
    path = tmp_path / "step.onnx"
    path.write_bytes(held.getvalue())
    return path


def test_inspect_and_compile(snncc: Any, step_file: Path, tmp_path: Path) -> None:
    code, out, _ = snncc("inspect", step_file, "--time-steps", 25)
    assert code == 0 and "T = 25" in out and "subtracts 1 one step later" in out and "0 (default)" in out
    folder = tmp_path / "out"
    code, _, err = snncc("compile", step_file, "--target", "fixed-sim", "--time-steps", 25, "-o", folder)
    assert code == 0, err
    assert any(folder.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--time-steps N"),
        (("--time-steps", 5, "--opt", "states=mem:lost"), "each part is IN:OUT"),
        (("--time-steps", 5, "--dialect", "snntorch"), "dialect belongs to NIR"),
    ],
)
def test_refused(snncc: Any, step_file: Path, options: tuple[object, ...], message: str) -> None:
    code, out, err = snncc("inspect", step_file, *options)
    said = " ".join((out + err).split())
    assert code == 2 and message in said and "Traceback" not in said
