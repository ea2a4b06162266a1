"""A stranger's target, found through its entry point, treated like ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "snncc-tally"


def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example is installed: its module and its entry point on the path."""
    site = tmp_path / "site"
    info = site / "snncc_tally-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: snncc-tally\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[snncc.targets]\ntally = snncc_tally:TARGET\n")
    (site / "snncc_tally.py").write_text((EXAMPLE / "snncc_tally.py").read_text())
    return {**os.environ, "PYTHONPATH": str(site)}


def call(environment: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snncc.cli.main", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_it_is_listed_checked_and_refuses_what_is_too_large(tmp_path: Path) -> None:
    environment = installed(tmp_path)
    assert "tally" in call(environment, tmp_path, "targets").stdout
    refused = call(environment, tmp_path, "compile", "mnist-multi-threshold", "-t", "tally", "-o", "out")
    assert refused.returncode == 1 and "weight memory" in refused.stdout and "nothing was written" in refused.stdout
    assert not (tmp_path / "out").exists()


def test_the_example_is_as_short_as_promised() -> None:
    assert sum(len(p.read_text().splitlines()) for p in EXAMPLE.iterdir() if p.is_file()) < 100
