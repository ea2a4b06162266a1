"""``loihi-sim``: a self-contained Lava package with Loihi's fixed-point arithmetic, and its run in a subprocess."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from snncc.pipeline import Pass
from snncc.program.program import LOIHI, Program
from snncc.program.reference import IntegerRecording
from snncc.target import CompileOptions, Finding, RunOptions, Target
from snncc.targets.common import float_passes
from snncc.targets.loihi_sim.limits import GUARD_BITS, LIMITS, THRESHOLD_REGISTER_HIGH

CURRENT_BITS = 18
"""Signed units that a 24-bit current holds after the shift by 6 (Lava's LIF)."""
EXACT_SAMPLES = 8
"""The Lava runtime takes some 0.1 to 1 s a sample."""


def pipeline(options: CompileOptions) -> Sequence[Pass]:
    """The common passes, then quantisation to Loihi's registers."""
    from snncc.passes.learn_rounding import learned_passes
    from snncc.passes.legalise_loihi import LegaliseLoihi
    from snncc.passes.quantise import Quantise

    one = 1 << GUARD_BITS
    quantise = Quantise(
        options.bits,
        GUARD_BITS if options.guard_bits is None else options.guard_bits,
        options.per_channel,
        threshold_step=one,
        threshold_limit=THRESHOLD_REGISTER_HIGH * one,
        current_bits=CURRENT_BITS,
        layer_bits=options.layer_bits,
    )
    return (*float_passes(options), quantise, *learned_passes(options.rounding, options.calibration), LegaliseLoihi())


def check(program: Program) -> list[Finding]:
    """Everything that Loihi's registers or Lava cannot take."""
    from snncc.targets.loihi_sim.check import check as findings

    return findings(program)


def emit(program: Program, folder: Path) -> list[str]:
    """The Lava package."""
    from snncc.targets.loihi_sim.emit import emit as write

    return write(program, folder)


def run(program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions) -> IntegerRecording:
    """Run in the real Lava runtime, in a subprocess."""
    from snncc.targets.loihi_sim.runner import run_program

    return run_program(program, folder, inputs, options)


def describe(program: Program) -> Mapping[str, str]:
    """Which of Lava's own Processes, or of ours and why, each part becomes."""
    from snncc.program.bounds import prove_bounds
    from snncc.targets.loihi_sim.placement import place

    return place(program, prove_bounds(program)).describe()


def setup(say: Callable[[str], None]) -> str:
    """Install Lava into a folder of its own."""
    from snncc.targets.loihi_sim.setup import install

    return f"Lava is in {install(progress=say)}"


TARGET = Target(
    name="loihi-sim",
    description="Lava package with Loihi's 24-bit arithmetic; stock Dense, Conv and LIF where they fit",
    arithmetic=LOIHI,
    limits=LIMITS,
    pipeline=pipeline,
    check=check,
    emit=emit,
    run=run,
    setup=setup,
    describe=describe,
    exact_samples=EXACT_SAMPLES,
)
