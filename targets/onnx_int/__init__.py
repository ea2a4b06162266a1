"""``onnx-int``: the integer network as ONNX, whole numbers throughout, which onnxruntime runs bit for bit without snncc."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording
from snncc.target import Finding, RunOptions, Target
from snncc.targets.common import exact_pipeline

LIMITS = {
    "state_bits": {"value": 51, "source": "64-bit integers with room for a 12-bit decay"},
    "work_bits": {"value": 64, "source": "int64 of ONNX"},
    "row_of_products": {"value": 2**31 - 1, "source": "int32 sums of ConvInteger and MatMulInteger"},
    "file_bytes": {"value": 2**31 - 1, "source": "protobuf"},
    "opset": {"value": 18, "source": "BitwiseAnd, ScatterElements that adds; onnxruntime 1.14"},
}


def check(program: Program) -> list[Finding]:
    """States, intermediate results and scores that are not proven to fit 64 bits, and sums that do not fit 32."""
    from snncc.targets.onnx_int.check import check as findings

    return findings(program)


def emit(program: Program, folder: Path) -> list[str]:
    """``network.onnx`` and ``recorded.onnx``."""
    from snncc.targets.onnx_int.emit import emit as write

    return write(program, folder)


def run(program: Program, folder: Path | None, inputs: np.ndarray, options: RunOptions) -> IntegerRecording:
    """Run with onnxruntime."""
    from snncc.targets.onnx_int.runner import run_program

    return run_program(program, folder, inputs, options)


def describe(program: Program) -> Mapping[str, str]:
    """Operators and types of each part."""
    from snncc.targets.onnx_int.emit import describe as words

    return words(program)


TARGET = Target(
    name="onnx-int",
    description="ONNX in whole numbers, which onnxruntime runs without snncc; any network, exact arithmetic",
    arithmetic=EXACT,
    limits=LIMITS,
    pipeline=exact_pipeline,
    check=check,
    emit=emit,
    run=run,
    describe=describe,
    also=("loihi",),
)
