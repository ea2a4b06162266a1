"""What goes to which stream, and what a person sees when the world around snncc fails."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

SNNCC = [sys.executable, "-m", "snncc.cli.main"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:  # type: ignore[no-untyped-def]
    """mnist-multi-threshold for fixed-sim."""
    folder = tmp_path_factory.mktemp("streams") / "net ü"
    assert run("compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o", folder).returncode == 0
    return folder


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*SNNCC, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    subprocess.run([*SNNCC, *arguments], stdout=theirs, stderr=theirs, env={**clean, **environment}, timeout=60)
    os.close(theirs)
    return os.read(ours, 65536).decode()


@pytest.mark.parametrize("arguments", [("models",), ("inspect", "nothing")])
def test_colour_only_on_a_terminal_that_wants_it(arguments: tuple[str, ...]) -> None:
    assert "\x1b[" in on_a_terminal(*arguments)
    assert "\x1b[" not in on_a_terminal(*arguments, NO_COLOR="1")
    said = run(*arguments)
    assert "\x1b[" not in said.stdout + said.stderr


def test_json_stays_json_beside_print_after(tmp_path: Path) -> None:
    said = run(
        "compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o", tmp_path / "x", "--json", "--print-after", "all"
    )
    assert json.loads(said.stdout)["target"] == "fixed-sim" and "; after quantise" in said.stderr


def test_setup_speaks_json() -> None:
    assert json.loads(run("setup", "fixed-sim", "--json").stdout)["target"] == "fixed-sim"


@pytest.mark.parametrize(
    "arguments", [["verify", "--bits", "4"], ["profile", "--per-layer"], ["inspect", "--dialect", "norse"]]
)
def test_options_that_a_compiled_folder_cannot_follow_are_refused(compiled: Path, arguments: list[str]) -> None:
    data = [] if arguments[0] == "inspect" else ["--data", "mnist:demo", "--limit", "2"]
    said = run(arguments[0], compiled, *data, *arguments[1:])
    assert said.returncode == 2 and arguments[1] in said.stderr and "compiled already" in said.stderr


@pytest.mark.parametrize("place", ["file/below", "folder"])
def test_an_output_that_cannot_be_written_is_one_message(compiled: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    said = run("run", compiled, "--data", "mnist:demo", "--limit", 2, "-o", tmp_path / place)
    assert said.returncode == 2 and "Traceback" not in said.stderr and place.split("/")[0] in said.stderr
    assert (tmp_path / "file").read_text() == "mine" and list((tmp_path / "folder").iterdir()) == []


def test_training_into_a_place_that_cannot_be_written_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = run("train", "mnist-lif", "-o", tmp_path / "file" / "x.pt")
    assert said.returncode == 2 and "file" in said.stderr and "epoch" not in said.stderr


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    said = run("train", "mnist-lif", "-o", tmp_path / "x.pt", PYTHONPATH=str(tmp_path))
    assert said.returncode == 2 and "snncc[torch]" in said.stderr and "Traceback" not in said.stderr


def test_a_reader_that_has_seen_enough_gets_no_complaint(compiled: Path) -> None:
    with subprocess.Popen(
        [*SNNCC, "inspect", str(compiled)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""


def test_kernels_run_where_no_cache_can_be_written(tmp_path: Path) -> None:
    program = "\n".join(
        [
            "from numba.core.caching import CacheImpl",
            "CacheImpl._locator_classes = []",
            "import numpy as np",
            "from snncc.targets.fixed_sim.kernels import scatter_dense",
            "current = np.zeros((1, 2), np.int64)",
            "spikes, none = np.ones((1, 3), np.int32), np.zeros((1, 0), np.uint64)",
            "scatter_dense(spikes, none, np.zeros(0, np.int64), np.ones((3, 2), np.int32), np.full(3, 2), current)",
            "assert current.tolist() == [[3, 3]]",
        ]
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_target_that_is_not_installed_says_so_before_the_data_set_runs(tmp_path: Path) -> None:
    said = run(
        "verify", "mnist-multi-threshold", "-t", "loihi-sim", "--data", "mnist:demo", "--exact", 1,
        SNNCC_LAVA=str(tmp_path / "none"),
    )  # fmt: skip
    assert said.returncode == 2 and "snncc setup loihi-sim" in said.stderr
