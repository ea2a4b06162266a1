"""``fixed-sim``: the integer simulator. It runs any Program, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording
from snncc.target import Finding, RunOptions, Target
from snncc.targets.common import exact_pipeline

LIMITS = {
    "state_bits": {"value": 51, "source": "64-bit arithmetic of the simulator with room for a 12-bit decay"},
    "weight_bits": {"value": 16, "source": "quantise pass"},
}


def check(program: Program) -> list[Finding]:
    """Only states beyond 51 bits are too large."""
    from snncc.program.bounds import prove_bounds
    from snncc.targets.fixed_sim.prepare import MAX_STATE_BITS

    bounds = prove_bounds(program)
    return [
        Finding(
            name,
            "state too wide",
            f"{b.state_bits} bits",
            f"{MAX_STATE_BITS} bits",
            "use fewer time steps, --bits or --guard-bits",
        )
        for name, b in bounds.populations.items()
        if max(b.state_bits, b.accumulator_bits) > MAX_STATE_BITS
    ]


def emit(program: Program, folder: Path) -> list[str]:
    """Nothing beyond the Program itself."""
    return []


def run(program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions) -> IntegerRecording:
    """Run on the machine at hand."""
    from snncc.targets.fixed_sim.engine import run as run_program

    return run_program(program, inputs, options)


def announce(say: Callable[[str], None]) -> AbstractContextManager[None]:
    """Says what compiling kernels takes."""
    from snncc.targets.fixed_sim.compiled import announced

    return announced(say)


TARGET = Target(
    name="fixed-sim",
    description="integer simulator: events or exact dense arithmetic, the cheaper one a layer; any network",
    arithmetic=EXACT,
    limits=LIMITS,
    pipeline=exact_pipeline,
    check=check,
    emit=emit,
    run=run,
    also=("loihi",),
    announce=announce,
)
