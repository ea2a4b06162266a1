"""``c``: portable C99 for microcontrollers. No allocation, no floating point, every integer type proven wide enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording
from snncc.target import Finding, RunOptions, Target
from snncc.targets.common import exact_pipeline

LIMITS = {
    "state_bits": {"value": 51, "source": "64-bit integers with room for a 12-bit decay"},
    "work_bits": {"value": 64, "source": "int64_t of C99"},
    "array_elements": {"value": 2**31 - 1, "source": "int32_t indices"},
}


def check(program: Program) -> list[Finding]:
    """States, intermediate results and scores that are not proven to fit 64 bits."""
    from snncc.targets.c99.check import check as findings

    return findings(program)


def emit(program: Program, folder: Path) -> list[str]:
    """The C sources and the report of their memory."""
    from snncc.targets.c99.emit import emit as write

    return write(program, folder)


def run(program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions) -> IntegerRecording:
    """Compile with the system's C compiler and run."""
    from snncc.targets.c99.runner import run_program

    return run_program(program, folder, inputs, options)


def describe(program: Program) -> Mapping[str, str]:
    """Flash and RAM of each part, and of all."""
    from snncc.targets.c99.emit import sources
    from snncc.targets.c99.plan import plan

    report = sources(program)[1].report()
    made = plan(program).populations
    names = {p.name: p.population.name for p in made} | {q.name: q.projection.name for p in made for q in p.incoming}
    parts = {names[key]: _words(part) for key, part in report["parts"].items() if key in names}
    left_out = {q.name: "brings nothing, left out" for q in program.projections if q.name not in parts}
    return parts | left_out | {"in all": _words(report)}


def _words(part: Mapping[str, Any]) -> str:
    sizes = {"flash": part["flash_bytes"], "RAM": part["ram_bytes"]}
    return ", ".join(f"{size:,} bytes of {kind}" for kind, size in sizes.items() if size)


TARGET = Target(
    name="c",
    description="portable C99 for microcontrollers: no allocation, no floating point; any network, exact arithmetic",
    arithmetic=EXACT,
    limits=LIMITS,
    pipeline=exact_pipeline,
    check=check,
    emit=emit,
    run=run,
    describe=describe,
    also=("loihi",),
)
