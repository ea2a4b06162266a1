"""Kernels that are compiled in a run are told of; those that come from the cache are not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.caching import CacheImpl

from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.targets.fixed_sim.compiled import announced, compiled

BEGINS = "compiling kernels of fixed-sim, at their first use"


def doubled(x):  # type: ignore[no-untyped-def]
    return 2 * x


def said_by(times: int) -> list[str]:
    """What is said of two kernels, each called so often, one of which calls a third."""
    inner = compiled()(doubled)

    def outer(x):  # type: ignore[no-untyped-def]
        return inner(x) + 1

    said: list[str] = []
    with announced(said.append):
        for kernel in (compiled()(outer), compiled()(doubled)):
            for _ in range(times):
                assert kernel(3) in (6, 7)
    return said


def test_a_kernel_counts_once_with_all_that_it_calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    begins, ends = said_by(times=2)
    assert begins == BEGINS
    # ``doubled`` alone is found where compiling ``outer`` has put it
    assert re.fullmatch(r"compiled 1 kernel in \d+\.\d s, kept for the next run", ends)


def test_kernels_that_cannot_be_kept_are_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    for _ in range(2):
        begins, ends = said_by(times=1)
        assert begins == BEGINS
        assert re.fullmatch(r"compiled 2 kernels in \d+\.\d s, kept nowhere: let NUMBA_CACHE_DIR name .*", ends)


def test_the_first_run_on_a_machine_says_what_compiling_took_and_the_next_says_nothing(tmp_path: Path) -> None:
    nodes = {
        "in": Input((4,), "spikes", 1.0, 0, 1),
        "a": Dense(np.eye(4)),
        "lif": Neuron(Dynamics(threshold=1.0, reset="subtract", membrane_decay=0.5)),
        "out": Output(),
    }
    export_nir(build_graph(nodes, pairwise(nodes), 3), tmp_path / "net.nir")
    np.savez(tmp_path / "data.npz", x=np.ones((5, 3, 4), np.uint8))
    command = [sys.executable, "-m", "snncc.cli.main", "profile", str(tmp_path / "net.nir"), "-t", "fixed-sim"]
    command += ["--data", str(tmp_path / "data.npz"), "--path", "event", "--threads", "1", "--json"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    runs = [subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment) for _ in range(2)]
    first, second = ([line for line in r.stderr.splitlines() if line.startswith(" note ")] for r in runs)
    assert first[0] == f" note       {BEGINS}" and len(first) == 2
    kernels, seconds = re.fullmatch(r" note       compiled (\d+) kernels? in (\d+\.\d) s, kept .*", first[1]).groups()  # type: ignore[union-attr]
    assert 1 <= int(kernels) <= 10 and float(seconds) > 0
    assert second == [] and runs[0].returncode == runs[1].returncode == 0
    assert json.loads(runs[0].stdout) == json.loads(runs[1].stdout)
