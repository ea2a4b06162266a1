"""Reads damaged files one after another and says, a line of JSON each, what became of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from .damage import MARK
from .formats import case
from .seeds import COUNTS, Seed, make_seeds
from .watch import Watch, judge

PROGRAM = "program"
"""The compiled folder that runs data."""


def work(folder: Path, numbers: list[int]) -> None:
    """Read the files with these numbers in ``folder``; a line before each file and one after it, on standard output."""
    warnings.simplefilter("ignore")
    os.chdir(folder)
    seeds = make_seeds(folder)
    watch = Watch(folder)
    sound = _sound(watch, seeds)
    watch.start()
    for number in numbers:
        print(number, flush=True)
        print(json.dumps(_one(watch, folder, seeds, sound, number)), flush=True)


def commands(name: str, seed: Seed, kind: str, turn: int) -> list[list[str]]:
    """How a file of this format is read: the network printed, checked or compiled; the data run or verified; counts
    priced; cells of a chip filled."""
    path = f"net.{name}"
    if name == "npz":
        verify = ["verify", PROGRAM, "--data", path, "--exact", "2"]
        return [verify if turn % 4 == 0 else ["run", PROGRAM, "--data", path]]
    if name == "json":
        return [["energy", "--counts", path, "--draws", "10"]]
    if seed.name == "costs":
        return [["energy", "--counts", COUNTS, "--target", path, "--draws", "10", "--sources"]]
    if seed.name == "chip":
        return [["place" if turn % 2 else "check", PROGRAM, "--chip", path]]
    if kind.startswith("paths") or turn % 4 == 0:
        return [["compile", path, "-t", "fixed-sim", "-o", "out", *seed.options]]
    if turn % 4 == 1:
        return [["check", path, "-t", "fixed-sim", *seed.options]]
    return [["inspect", path, "--text", *seed.options]]


def _sound(watch: Watch, seeds: dict[str, list[Seed]]) -> dict[str, str]:
    """What every command says of the sound files, which also brings everything that is loaded once into memory."""
    Path("net.pt").write_bytes(seeds["pt"][0].content)
    made = watch.run("compile", "net.pt", "-t", "fixed-sim", "-o", PROGRAM)
    if made.code != 0 or made.fault:
        raise SystemExit(f"no program: {made}")
    said = {}
    for name, group in seeds.items():
        for seed in group:
            Path(f"net.{name}").write_bytes(seed.content)
            for turn in range(4):
                for command in commands(name, seed, "", turn):
                    seen = watch.run(*command)
                    wanted = (seed.code,) if command[0] == "inspect" else (0, 1, 2)
                    if seen.code not in wanted or seen.fault:
                        raise SystemExit(f"{seed.name}: {command}: {seen}")
                    said[_key(seed, command)] = seen.out
    return said


def _key(seed: Seed, command: list[str]) -> str:
    return f"{seed.name} {command[0]}"


def _one(
    watch: Watch, folder: Path, seeds: dict[str, list[Seed]], sound: dict[str, str], number: int
) -> dict[str, Any]:
    name, kind, rng = case(number)
    seed = rng.choice(seeds[name])
    path = folder / f"net.{name}"
    path.write_bytes(kind.damage(seed.content, rng))
    shutil.rmtree(folder / "out", ignore_errors=True)
    before = _names(folder)
    (command,) = commands(name, seed, kind.name, rng.randrange(4))
    seen = watch.run(*command)
    left = sorted(_names(folder) - before - ({"out"} if seen.code == 0 else set()))
    outcome, fault = judge(seen, kind.fatal, sound[_key(seed, command)])
    if left:
        fault = f"left {', '.join(left)}"
    return {
        "number": number, "format": name, "seed": seed.name, "kind": kind.name, "outcome": outcome, "fault": fault,
        "seconds": seen.seconds, "mib": seen.mib, "bytes": path.stat().st_size, "message": seen.err[-400:],
        "command": command[0],
    }  # fmt: skip


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


if __name__ == "__main__":
    work(Path(sys.argv[1]).resolve(), json.loads(sys.stdin.read()))
    assert not list(Path(sys.argv[1]).rglob(MARK))
