"""The C compiler of the tests: flags that stop at undefined behaviour, and what it makes of the emitted sources."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snncc.targets.c99 import runner

SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")


def compiler() -> str:
    """Path of the compiler; for tests that are skipped where there is none."""
    found = runner.find_compiler()
    assert found is not None
    return found


def sanitizers_work() -> bool:
    """Whether the compiler has its sanitizers' libraries."""
    if runner.find_compiler() is None:
        return False
    command = [compiler(), "-x", "c", "-", "-o", "/dev/null", *SANITIZERS]
    return not subprocess.run(command, input="int main(void){return 0;}", capture_output=True, text=True).returncode


FLAGS = (*(f for f in runner.FLAGS if f != "-O2"), "-O1", *(SANITIZERS if sanitizers_work() else ()))


def output_of(code: str, folder: Path) -> str:
    """What a C program prints that is built with the sanitizers."""
    (folder / "program.c").write_text(code)
    built = [compiler(), *FLAGS, "-o", str(folder / "program"), str(folder / "program.c")]
    subprocess.run(built, check=True, timeout=60)
    return subprocess.run([str(folder / "program")], capture_output=True, text=True, check=True, timeout=60).stdout


def symbols(folder: Path, optimisation: str) -> dict[str, dict[str, int]]:
    """Bytes of each array in ``network.c``'s object file, by kind as ``nm`` names it: "r" ``const``, "b" zero at the start, "d" any
    other."""
    if not (shutil.which("nm") and sys.platform.startswith("linux")):
        pytest.skip("no nm (binutils) that says sizes: the memory that the compiler takes is not measured")
    target = folder / "network.o"
    command = [compiler(), optimisation, "-std=c99", "-c", "-o", str(target), str(folder / "network.c")]
    subprocess.run(command, check=True, timeout=120)
    listed = subprocess.run(["nm", "-S", str(target)], capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, int]] = {"r": {}, "b": {}, "d": {}}
    for size, kind, name in re.findall(r"^[0-9a-f]+ ([0-9a-f]+) ([rbdRBD]) (\w+)$", listed, re.M):
        found[kind.lower()][name] = int(size, 16)
    return found


def check_memory(folder: Path, optimisation: str = "-Os") -> dict[str, Any]:
    """``memory.json``, which must be what the compiler makes of the sources, array by array and in all."""
    report: dict[str, Any] = json.loads((folder / "memory.json").read_text())
    made = symbols(folder, optimisation)
    arrays = {name: text for part in report["parts"].values() for name, text in part["arrays"].items()}
    sizes = {}
    for name, text in arrays.items():
        bits, count, where = re.fullmatch(r"u?int(\d+)_t x (\d+)(?: of \d each)?, (flash|ram)", text).groups()  # type: ignore[union-attr]
        sizes[name] = (where, int(bits) // 8 * int(count))
    assert made["r"] == {name: size for name, (where, size) in sizes.items() if where == "flash"}
    assert report["flash_bytes"] == sum(made["r"].values())
    state, scratch = made["b"].pop("snn"), sum(made["b"].values())
    assert all(name.startswith("scratch_") for name in made["b"]) and made["d"] == {}
    assert (report["ram_state_bytes"], report["ram_scratch_bytes"]) == (state, scratch)
    assert report["ram_bytes"] == state + scratch
    for kind, where in (("flash_bytes", "flash"), ("ram_bytes", "ram")):
        parts = sum(part[kind] for part in report["parts"].values())
        assert parts == sum(size for found, size in sizes.values() if found == where)
        assert 0 <= {"flash": report["flash_bytes"], "ram": state}[where] - parts < 8
    return report
