"""Results so far: a signal in the middle of a run prints what the first samples alone would give, and the run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from snncc.cli import so_far
from snncc.data import load
from snncc.report.terminal import percent

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")

ASKING = """
import os, signal
from contextlib import contextmanager
import snncc.verify
from snncc.cli import options
from snncc.cli.main import main
from snncc.report import terminal

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a parent in the background may have left off
snncc.verify.BATCH = 50
loading, running = (os.environ.get(name) for name in ("LOADING", "RUNNING"))
load = options.load_data

def send(name):
    if name:
        os.kill(os.getpid(), getattr(signal, name))

def load_data(*arguments):
    send(loading)
    return load(*arguments)

@contextmanager
def progress(label, show=True):
    seen = []
    def update(done, samples):
        if done < samples and not seen:
            seen.append(done)
            send(running)
    yield update

options.load_data, terminal.progress = load_data, progress
main()
"""
"""snncc, which gets a signal while data is loaded, and another one once the first part of the samples is done."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mnist-multi-threshold for fixed-sim; beside it images of which every third has a wrong label."""
    folder = tmp_path_factory.mktemp("so_far") / "net"
    data = load("mnist:demo")
    assert data.labels is not None
    labels = (data.labels + (np.arange(len(data)) % 3 == 0)) % 10
    np.savez(folder.parent / "data.npz", x=data.inputs, y=labels)
    command = [sys.executable, "-m", "snncc.cli.main", "compile", "mnist-multi-threshold", "-t", "fixed-sim", "-o"]
    subprocess.run([*command, str(folder)], check=True, capture_output=True, timeout=300)
    return folder


def run(verb: str, folder: Path, samples: int, *more: str, **signals: str) -> subprocess.CompletedProcess[str]:
    data = ["--data", str(folder.parent / "data.npz"), "--limit", str(samples), "--threads", "1", "--path", "event"]
    command = [sys.executable, "-c", ASKING, verb, str(folder), *data, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **signals})


def answers(said: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix(" so far ").strip() for line in said.stderr.splitlines() if line.startswith(" so far ")]


def test_verify_says_where_it_stands_and_comes_to_the_same_verdict(compiled: Path) -> None:
    few = ("--exact", "2", "--json")
    first = json.loads(run("verify", compiled, 50, *few).stdout)
    asked = run("verify", compiled, 150, *few, LOADING="SIGUSR1", RUNNING="SIGUSR1")
    alone = run("verify", compiled, 150, *few)
    assert asked.returncode == alone.returncode == 0
    assert first["accuracy"] != json.loads(alone.stdout)["accuracy"]
    assert asked.stdout == alone.stdout and answers(alone) == []
    floats, integers = percent(first["accuracy"]["float"]), percent(first["accuracy"]["integer"])
    cells = first["fixed_sim_against_reference"]["cells"]
    assert answers(asked) == [
        "nothing yet",
        f"50 of 150 samples   float {floats}   integer {integers}   reference: 0 of {cells:,} cells differ",
    ]


@pytest.mark.parametrize("verb", ["run", "profile"])
def test_run_and_profile_say_where_they_stand(snncc, compiled: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    asked = run(verb, compiled, 1000, "--json", LOADING="SIGUSR1", RUNNING="SIGUSR1")
    nothing, found = answers(asked)
    done, value = re.fullmatch(r"(\d+) of 1,000 samples   (?:accuracy )?(\S+ %|\S+ spikes) ?.*", found).groups()  # type: ignore[union-attr]
    code, out, _ = snncc(verb, compiled, "--data", compiled.parent / "data.npz", "--limit", done, "--json")
    first = json.loads(out)
    spikes = sum(layer["spikes"] for layer in first.get("layers", ()))
    assert code == asked.returncode == 0 and nothing == "nothing yet" and 0 < int(done) < 1000
    assert value == (percent(first["accuracy"]) if verb == "run" else f"{spikes:,.0f} spikes")
    assert json.loads(asked.stdout)["samples"] == 1000


def test_ctrl_c_still_ends_a_run(compiled: Path) -> None:
    stopped = run("verify", compiled, 150, "--exact", "1", LOADING="SIGUSR1", RUNNING="SIGINT")
    assert stopped.returncode == 130 and stopped.stdout == "" and answers(stopped) == ["nothing yet"]
    assert stopped.stderr.endswith("nothing is half-written\n") and "Traceback" not in stopped.stderr


def test_the_signal_means_what_it_did_before_once_a_verb_is_over(snncc, compiled: Path) -> None:  # type: ignore[no-untyped-def]
    before = signal.getsignal(signal.SIGUSR1)
    assert snncc("run", compiled, "--data", "mnist:demo", "--limit", 2)[0] == 0
    assert signal.getsignal(signal.SIGUSR1) is before


def test_verbs_run_where_there_is_no_such_signal(  # type: ignore[no-untyped-def]
    snncc, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("run", compiled, "--data", "mnist:demo", "--limit", 2)
    with ThreadPoolExecutor(1) as pool:  # Python gives signals to the main thread alone
        assert pool.submit(snncc, *arguments).result()[0] == 0
    monkeypatch.setattr(so_far, "SIGNALS", ("SIGNONE",))
    assert snncc(*arguments)[0] == 0
