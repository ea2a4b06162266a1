"""Running an emitted package in Lava's own Python: a process group of its own, with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from snncc.errors import TargetError
from snncc.files import MAX_ARCHIVE_BYTES, load_arrays
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs
from snncc.target import RunOptions
from snncc.targets.loihi_sim.emit import RUN, write_package
from snncc.targets.loihi_sim.setup import LavaInstall, clean_environment, require_lava

Array = np.ndarray
_TAIL_CHARACTERS = 3000
_GRACE_S = 5.0
_POLL_S = 0.05


@dataclass(frozen=True, eq=False)
class LavaResult:
    """What Lava computed: spikes and membranes (T, N, *shape) by population where recorded, scores (N, classes),
    predictions (N,), whole numbers; ``seconds`` of the whole subprocess."""

    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    scores: Array
    predictions: Array
    seconds: float


def run_program(
    program: Program, folder: Path | None, inputs: Array, options: RunOptions, direct: bool = False
) -> IntegerRecording:
    """Run a Program in Lava: from its compiled folder, or from one made for the occasion. Lava counts no events: ``counts``
    is empty. Raises as :func:`run_lava` does, and :class:`snncc.errors.InputError` where the data does not fit."""
    check_inputs(program, inputs)
    if options.progress:
        options.progress(0, inputs.shape[_sample_axis(program)])
    with tempfile.TemporaryDirectory(prefix="snncc-lava-") as made:
        where = write_package(program, Path(made)) if folder is None else folder
        result = run_lava(where, inputs, options.timeout_s, options.record, direct)
    samples = len(result.scores)
    if options.progress:
        options.progress(samples, samples)
    return IntegerRecording(result.spikes, result.membranes, result.scores, result.predictions, {}, samples)


def _sample_axis(program: Program) -> int:
    return 0 if program.source.encoding == "static" else 1


def run_lava(
    folder: Path,
    inputs: Array,
    timeout_s: float,
    record: bool = False,
    direct: bool = False,
    lava: LavaInstall | None = None,
) -> LavaResult:
    """Run a compiled folder's ``run.py`` on whole numbers, (N, *shape) where the source is static, else (T, N, *shape).

    ``direct`` calls Lava's ProcessModels without its runtime, in batches. Raises :class:`TargetError` where Lava is not
    installed, fails (with the end of its output), or has not finished in ``timeout_s`` seconds.
    """
    if not (folder / RUN).is_file():
        raise TargetError(f"{folder}: holds no Lava package; compile with --target loihi-sim")
    lava = lava or require_lava()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="snncc-lava-") as scratch:
        given, made = Path(scratch) / "input.npy", Path(scratch) / "output.npz"
        np.save(given, inputs)
        # -I: no user packages, no environment variables; -B: the compiled folder stays as it is.
        command = [str(lava.python), "-I", "-B", str(folder / RUN), "--input", str(given), "--output", str(made)]
        command += ["--record"] * record + ["--direct"] * direct
        with tempfile.TemporaryFile() as output:
            _run(command, {**clean_environment(), "TMPDIR": scratch}, timeout_s, output)
            if not made.is_file():
                raise TargetError(f"loihi-sim: Lava ended without a result:\n{_tail(output)}")
        arrays = load_arrays(made, MAX_ARCHIVE_BYTES)
    return LavaResult(
        _under("spikes/", arrays), _under("membranes/", arrays), arrays["scores"].astype(np.int64),
        arrays["predictions"].astype(np.int64), time.perf_counter() - start,
    )  # fmt: skip


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {key.removeprefix(prefix): x for key, x in arrays.items() if key.startswith(prefix)}


def _run(command: list[str], environment: Mapping[str, str], timeout_s: float, output: IO[bytes]) -> None:
    """Run in a session of its own; whatever happens, nothing of it is left behind."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        code = process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"loihi-sim: Lava did not finish in {timeout_s:g} s and was stopped; give it longer (--timeout), or fewer samples "
            f"(--limit)\n{_tail(output)}".rstrip()
        ) from None
    finally:
        end_group(process)
    if code:
        raise TargetError(f"loihi-sim: Lava failed (exit {code}):\n{_tail(output)}")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a session leader and all it started. Asked first: Python's resource tracker ignores that and then frees the
    shared memory of the others; killed where they will not go."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            process.poll()
            if not _alive(process.pid):
                break
            time.sleep(_POLL_S)
        else:
            continue
        break
    process.wait()


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _tail(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip()
