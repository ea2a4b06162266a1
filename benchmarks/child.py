"""Runs a compiled folder in a process of its own and prints what it took: for peak memory, and for the first use of kernels.

python -m benchmarks.child FOLDER --samples 1000 [--times 2] [--threads 0]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from snncc.data import load
from snncc.errors import SnnccError
from snncc.program.artifact import read_artifact
from snncc.registry import get_target
from snncc.target import PATHS, RunOptions


def mnist(samples: int) -> np.ndarray:
    """The first test images; those bundled with snncc, again and again, where the test set is not at hand."""
    try:
        found = load("mnist:test", samples).inputs
    except SnnccError:
        found = load("mnist:demo").inputs
    return found if len(found) >= samples else np.resize(found, (samples, *found.shape[1:]))


def peak_mib() -> float:
    """Most memory that this program had at a time. Linux' ``ru_maxrss`` counts that of the process which started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Prints seconds of each run, and the peak memory in MiB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--path", choices=PATHS, default="auto")
    given = parser.parse_args()
    program = read_artifact(given.folder).program
    inputs, target, seconds = mnist(given.samples), get_target("fixed-sim"), []
    for _ in range(given.times):
        start = time.perf_counter()
        target.run(program, given.folder, inputs, RunOptions(batch=64, threads=given.threads, path=given.path))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
