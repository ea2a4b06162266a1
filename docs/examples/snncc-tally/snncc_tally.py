"""A third party's target: an imaginary chip with 4-bit weights and 64 KiB for them, programmed with one CSV file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snncc.pipeline import Pass
from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.target import CompileOptions, Finding, RunOptions, Target

WEIGHT_BITS = 4
MEMORY_BYTES = 64 * 1024


def pipeline(options: CompileOptions) -> tuple[Pass, ...]:
    """The passes that every integer target needs, with this chip's bits."""
    from snncc.passes.quantise import Quantise
    from snncc.targets.common import float_passes

    narrow = {layer: min(bits, WEIGHT_BITS) for layer, bits in options.layer_bits.items()}
    quantise = Quantise(bits=min(options.bits, WEIGHT_BITS), layer_bits=narrow)
    return (*float_passes(options), quantise)


def check(program: Program) -> list[Finding]:
    """All findings at once: layer, what, actual, limit, remedy."""
    used = sum((p.weight != 0).sum() * WEIGHT_BITS // 8 for p in program.projections)
    if used <= MEMORY_BYTES:
        return []
    return [
        Finding(program.name, "weight memory", f"{used:,} bytes", f"{MEMORY_BYTES:,} bytes", "train a smaller network")
    ]


def emit(program: Program, folder: Path) -> list[str]:
    """One line a synapse group: source, target, kind, non-zero weights."""
    lines = [f"{p.source},{p.target},{p.kind},{np.count_nonzero(p.weight)}" for p in program.projections]
    (folder / "tally.csv").write_text("\n".join(["source,target,kind,weights", *lines]) + "\n")
    return ["tally.csv"]


def run(program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions) -> IntegerRecording:
    """The chip computes what the reference computes; a real target would start it here."""
    return run_reference(program, inputs, options.record)


TARGET = Target(
    name="tally",
    description="an imaginary chip with 4-bit weights",
    arithmetic=EXACT,
    limits={
        "weight_bits": {"value": WEIGHT_BITS, "source": "made up"},
        "memory_bytes": {"value": MEMORY_BYTES, "source": "made up"},
    },
    pipeline=pipeline,
    check=check,
    emit=emit,
    run=run,
)
