"""Damaged files of every format through the command line: refused with a message, or read; nothing in them runs.

``SNNCC_EXAMPLES=10`` reads ten times as many; ``python -m tests.hostile --files 2000`` counts outcomes by format.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = 200 * int(os.environ.get("SNNCC_EXAMPLES", "1"))


def python(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder or ROOT, env=environment, capture_output=True, text=True
    )


def test_damaged_files() -> None:
    run = python("-m", "tests.hostile", "--files", str(FILES))
    assert run.returncode == 0, run.stdout + run.stderr
    rows = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines()[1:]}
    assert set(rows) == {"pt", "pt2", "nir", "onnx", "net", "npz", "toml", "json", "all"}
    files, refused, same, other, _, fault = map(int, rows["all"][:6])
    assert files == FILES and fault == 0
    assert refused > FILES // 2 and same > 5 and other > 0


LOOK = """
import json, os, pickle, subprocess, sys
from pathlib import Path
from tests.hostile import watch
import snncc.cli.main as cli
watch.SECONDS, watch.MAX_MIB = 2, 100
watched = watch.Watch(Path.cwd())
watched.start()
for act in json.loads(sys.argv[1]):
    ready = compile(act, 'act', 'eval')
    cli.main = lambda: eval(ready)
    print(watch.judge(watched.run("inspect", "x"), False, "")[1])
"""
ACTS = {
    "os.system('true')": "did os.system",
    "subprocess.run(['true'])": "did subprocess.Popen",
    "eval(''.join(['len(\"hostile', 'mark\")']))": "did compile",
    "pickle.loads(pickle.dumps(os.system))": "did pickle.find_class",
    "open('/tmp/no-such-file', 'w')": "did open",
    "os.open('/tmp/no-such-file', os.O_CREAT)": "did open",
    "os.mkdir('/tmp/no-such-file')": "did os.mkdir",
    "__import__('time').sleep(60)": "HangError",
    "bytearray(b'1') * (150 << 20)": "took 1",
    "1 / 0": "ZeroDivisionError",
    "sys.exit(2)": "exit 2 with 0 characters",
    "sys.exit(3)": "exit 3",
    "(sys.stderr.write('Traceback'), sys.exit(2))": "exit 2 with 9 characters",
    "(sys.stderr.write(chr(27) + '[2J'), sys.exit(2))": "exit 2 with control characters",
    "(sys.stderr.write('bad file'), sys.exit(2))": "",
    "(open('here', 'w').close(), sys.exit(0))": "",
}


def test_the_watch_sees(tmp_path: Path) -> None:
    """What no reader may do, done on purpose."""
    run = python("-c", LOOK, json.dumps(list(ACTS)), folder=tmp_path)
    assert run.returncode == 0, run.stderr
    for said, (act, fault) in zip(run.stdout.splitlines(), ACTS.items(), strict=True):
        assert said.startswith(fault) and bool(said) == bool(fault), (act, said)
    assert not Path("/tmp/no-such-file").exists()


def test_a_hang_outside_of_python_ends_the_process(tmp_path: Path) -> None:
    act = "all(__import__('itertools').repeat(1))"
    run = python("-c", LOOK, json.dumps([act]), folder=tmp_path)
    assert run.returncode == 1 and "Timeout" in run.stderr
