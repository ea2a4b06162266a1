"""docs/ci.md and the pre-commit hooks say what is there: their files parse, and snncc takes every line of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from snncc.cli.main import cli
from snncc.testing import asked

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load(blocks("yaml")[0])
    found: list[dict[str, Any]] = workflow["jobs"]["verify"]["steps"]
    return found


def lines() -> list[str]:
    """Every line of the page that calls snncc, those of the workflow too."""
    plain = [line for block in blocks("") for line in block.splitlines()]
    of_steps = [line for step in steps() for line in str(step.get("run", "")).splitlines()]
    hooks = [
        " ".join([HOOKS[hook["id"]]["entry"], *map(str, hook["args"])])
        for repo in yaml.safe_load(blocks("yaml")[1])["repos"]
        for hook in repo["hooks"]
    ]
    return [line.strip() for line in (*plain, *of_steps, *hooks) if line.strip().startswith("snncc ")]


@pytest.mark.parametrize("line", lines())
def test_snncc_takes_the_line(line: str) -> None:
    words = shlex.split(line.partition("#")[0].partition(">")[0].replace("…", "net --target c --data x.npz"))
    verb = cli.get_command(click.Context(cli), words[1])
    assert verb is not None, line
    verb.make_context(verb.name, words[2:])


def test_there_are_lines_and_each_step_does_something() -> None:
    assert len(lines()) >= 7
    assert all(set(step) & {"run", "uses"} for step in steps())


def test_hooks_are_what_pre_commit_takes() -> None:
    for hook in HOOKS.values():
        assert {"id", "name", "entry", "language"} <= set(hook) and hook["language"] == "python"
        assert re.search(hook["files"], "nets/best.nir") and not re.search(hook["files"], "README.md")


def test_the_marker_on_the_page_is_taken() -> None:
    (example,) = blocks("python")
    found: dict[str, Any] = {}
    marker = re.search(r"pytest\.mark\.snncc\((.*)\)\ndef ", example, re.DOTALL)
    assert marker is not None
    exec(f"given = dict({marker.group(1)})", found)
    assert asked(found["given"]).data == "deploy.npz"
