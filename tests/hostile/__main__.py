"""``python -m tests.hostile --files 2000``: damages files of every format, has ``snncc`` read them, and counts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Result = dict[str, Any]


def results(numbers: list[int], workers: int) -> list[Result]:
    """What became of the files with these numbers, in order."""
    found: dict[int, Result] = {}
    threads = [threading.Thread(target=_share, args=(numbers[k::workers], found)) for k in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not found:
        raise SystemExit(1)
    return [found[n] for n in numbers if n in found]


def _share(numbers: list[int], found: dict[int, Result]) -> None:
    """Read files in a process, and in another one where a file ended it."""
    while numbers:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TMPDIR": folder}
            command = [sys.executable, "-m", "tests.hostile.worker", folder]
            process = subprocess.run(
                command, cwd=ROOT, env=environment, input=json.dumps(numbers), stdout=subprocess.PIPE, stderr=said,
                text=True,
            )  # fmt: skip
            said.seek(0)
            message = said.read()[-1500:]
        lines = process.stdout.splitlines()
        for line in lines:
            if line.startswith("{"):
                result = json.loads(line)
                found[result["number"]] = result
        if process.returncode == 0:
            return
        if not lines:
            raise RuntimeError(f"the worker does not start: {message}")
        last = next(int(line) for line in reversed(lines) if not line.startswith("{"))
        found.setdefault(last, _ended(last, process.returncode, message))
        numbers = numbers[numbers.index(last) + 1 :]


def _ended(number: int, code: int, message: str) -> Result:
    from .formats import case

    name, kind, _ = case(number)
    fault = f"ended the process with {code}"
    return {
        "number": number, "format": name, "seed": "", "kind": kind.name, "outcome": "fault", "fault": fault,
        "seconds": 0.0, "mib": 0.0, "bytes": 0, "message": message, "command": "",
    }  # fmt: skip


def summary(made: list[Result]) -> str:
    """Outcomes by format, the slowest file, the hungriest, and every fault."""
    outcomes = ("refused", "same", "other", "findings", "fault")
    lines = ["format  files  " + "".join(f"{o:>9}" for o in outcomes) + "   slowest s   most MiB"]
    for name in [*dict.fromkeys(r["format"] for r in made), "all"]:
        rows = [r for r in made if name in (r["format"], "all")]
        count = Counter("fault" if r["fault"] else r["outcome"] for r in rows)
        slow, big = (max(r[key] for r in rows) for key in ("seconds", "mib"))
        lines.append(
            f"{name:<6}  {len(rows):>5}  " + "".join(f"{count[o]:>9}" for o in outcomes) + f"{slow:>12.2f}{big:>11.0f}"
        )
    return "\n".join([*lines, *(str(r) for r in made if r["fault"])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write every result to this file")
    given = parser.parse_args()
    made = results(list(range(given.first, given.first + given.files)), given.workers)
    if given.json:
        given.json.write_text(json.dumps(made, indent=0))
    print(summary(made))
    sys.exit(any(r["fault"] for r in made) or len(made) != given.files)


if __name__ == "__main__":
    main()
