"""``c``: portable C99 for microcontrollers. No allocation, no floating point, every integer type proven wide enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
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
INT8_LIMITS = {
    "work_bits": {"value": 32, "source": "the promise of --int8: no 64-bit integer"},
    "weight_bits": {"value": 8, "source": "the promise of --int8: int8_t or narrower"},
}


def check(program: Program, int8: bool = False) -> list[Finding]:
    """States, intermediate results and scores that are not proven to fit 64 bits; with ``int8`` 32, and weights 8."""
    from snncc.targets.c99.check import check as findings

    return findings(program, int8)


def emit(program: Program, folder: Path, int8: bool = False) -> list[str]:
    """The C sources and the report of their memory."""
    from snncc.targets.c99.emit import emit as write

    return write(program, folder, int8)


def run(
    program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions, int8: bool = False
) -> IntegerRecording:
    """Compile with the system's C compiler and run; ``int8`` is for sources made for the occasion."""
    from snncc.targets.c99.runner import run_program

    return run_program(program, folder, inputs, options, int8=int8)


def describe(program: Program, int8: bool = False) -> Mapping[str, str]:
    """Flash and RAM of each part, and of all."""
    from snncc.targets.c99.emit import sources
    from snncc.targets.c99.plan import plan

    report = sources(program, int8)[1].report()
    names: dict[str, str] = {}
    for p in plan(program, int8).populations:
        names |= {q.name: q.projection.name for q in p.incoming} | {p.name: p.population.name}
    parts = {name: _words(report["parts"].get(key)) for key, name in names.items()}
    left_out = {q.name: "brings nothing, left out" for q in program.projections if q.name not in parts}
    scratch = {"scratch of all": f"{report['ram_scratch_bytes']:,} bytes of RAM"} if report["ram_scratch_bytes"] else {}
    return parts | left_out | scratch | {"in all": _words(report)}


def _words(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "numbers that another part has too"
    sizes = {"flash": part["flash_bytes"], "RAM": part["ram_bytes"]}
    return ", ".join(f"{size:,} bytes of {kind}" for kind, size in sizes.items() if size)


_PLAIN = Target(
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
_INT8 = replace(
    _PLAIN,
    variant="int8",
    limits=LIMITS | INT8_LIMITS,
    check=partial(check, int8=True),
    emit=partial(emit, int8=True),
    run=partial(run, int8=True),
    describe=partial(describe, int8=True),
)
TARGET = replace(_PLAIN, variants={"int8": _INT8})
