"""Running the emitted C: compiled by the system's compiler into a temporary folder, one process a batch of samples."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from snncc.errors import TargetError, UnsupportedError
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs, join
from snncc.target import RunOptions
from snncc.targets.c99.emit import SOURCES, emit

Array = np.ndarray
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
_TAIL_CHARACTERS = 3000


def find_compiler() -> str | None:
    """Path of the system's C compiler."""
    return next((path for path in map(shutil.which, COMPILERS) if path), None)


def run_program(
    program: Program,
    folder: Path | None,
    inputs: Array,
    options: RunOptions,
    flags: Sequence[str] = FLAGS,
    int8: bool = False,
) -> IntegerRecording:
    """Run a Program in C: the sources of its compiled folder, or ones made for the occasion (``int8``: packed). Events
    are not counted: ``counts`` is empty.

    Raises :class:`UnsupportedError` where there is no compiler, :class:`TargetError` where compiling or running fails or
    takes longer than ``options.timeout_s``, and :class:`snncc.errors.InputError` where the data does not fit.
    """
    check_inputs(program, inputs)
    compiler = find_compiler()
    if compiler is None:
        raise UnsupportedError(
            f"c: no C compiler was found ({', '.join(COMPILERS)}); install one to run the network here"
        )
    samples = inputs if program.source.encoding == "static" else np.moveaxis(inputs, 0, 1)
    deadline = time.monotonic() + options.timeout_s
    parts: list[IntegerRecording] = []
    with tempfile.TemporaryDirectory(prefix="snncc-c-") as made:
        if folder is None:
            emit(program, Path(made), int8)
        elif not all((folder / name).is_file() for name in SOURCES):
            raise TargetError(f"{folder}: holds no C sources; compile with --target c")
        binary = str(Path(made) / "network")
        given = [str((folder or Path(made)) / name) for name in SOURCES]
        _call([compiler, *flags, "-o", binary, *given], "", deadline, options.timeout_s)
        level = 0 if not options.record else 2 if options.membranes else 1
        for start in range(0, len(samples), options.batch):
            part = samples[start : start + options.batch]
            text = "\n".join(" ".join(map(str, row)) for row in part.reshape(len(part), -1).tolist())
            output = _call([binary, str(level)], text, deadline, options.timeout_s)
            parts.append(_recording(program, np.array(output.split(), np.int64), len(part), level))
            if options.part:
                options.part(parts[-1])
            if options.progress:
                options.progress(start + len(part), len(samples))
    return join(program, parts)


def _call(command: list[str], text: str, deadline: float, timeout_s: float) -> str:
    """Standard output of a command, which is ended with all that it started when its time is over."""
    what = Path(command[0]).name
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(text, max(0.01, deadline - time.monotonic()))
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        raise TargetError(
            f"c: {what} did not finish in {timeout_s:g} s and was stopped; give it longer (--timeout), or fewer samples "
            "(--limit)"
        ) from None
    if process.returncode:
        raise TargetError(f"c: {what} failed (exit {process.returncode}):\n{errors[-_TAIL_CHARACTERS:].strip()}")
    return output


def _recording(program: Program, numbers: Array, samples: int, level: int) -> IntegerRecording:
    """What the driver printed: each step spikes and membranes, then scores and the winning class after the last step, or
    after each."""
    steps, readout = program.time_steps, program.readout
    answer = program.population(readout.population).size + 1
    firing = [p for p in program.populations if p.fires] if level > 0 else []
    seen = list(program.populations) if level > 1 else []
    width = sum(p.size for p in (*firing, *seen))
    a_step = width + (answer if readout.each_step else 0)
    wanted = steps * a_step + (0 if readout.each_step else answer)
    if numbers.size != samples * wanted:
        raise TargetError(
            f"c: the network printed {numbers.size} numbers; {samples * wanted} belong to {samples} samples"
        )
    numbers = numbers.reshape(samples, wanted)
    table = numbers[:, : steps * a_step].reshape(samples, steps, a_step).swapaxes(0, 1)
    spikes = {p.name: np.zeros((steps, samples, *p.shape), np.int64) for p in program.populations if level > 0}
    membranes: dict[str, Array] = {}
    at = 0
    for kept, parts in ((spikes, firing), (membranes, seen)):
        for p in parts:
            kept[p.name] = table[..., at : at + p.size].reshape(steps, samples, *p.shape)
            at += p.size
    answers = table[..., at:].swapaxes(0, 1) if readout.each_step else numbers[:, -answer:]
    return IntegerRecording(spikes, membranes, answers[..., :-1], answers[..., -1], {}, samples)
