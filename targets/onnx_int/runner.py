"""Running the emitted files with onnxruntime on the processor at hand."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from snncc.errors import TargetError, UnsupportedError
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs, join
from snncc.target import RunOptions
from snncc.targets.onnx_int.build import recorded
from snncc.targets.onnx_int.counting import count_events
from snncc.targets.onnx_int.emit import NETWORK, RECORDED, models

Array = np.ndarray
BATCH = 16
"""Samples at once, at most: states of more leave the caches (measured: half the time a sample of 256)."""
_FATAL_ONLY = 4
"""Of onnxruntime's levels of messages; errors arrive as exceptions."""


def run_program(program: Program, folder: Path | None, inputs: Array, options: RunOptions) -> IntegerRecording:
    """Run a Program: the files of its compiled folder, or models made for the occasion. Scores come from ``network.onnx``,
    spikes and membranes from ``recorded.onnx``; events are counted where both are recorded, otherwise ``counts`` is empty.

    Raises :class:`UnsupportedError` where onnxruntime is missing, :class:`TargetError` where it fails or takes longer than
    ``options.timeout_s``, and :class:`snncc.errors.InputError` where the data does not fit.
    """
    check_inputs(program, inputs)
    runtime = _onnxruntime()
    names = (NETWORK, RECORDED) if options.record else (NETWORK,)
    if folder is None:
        sessions = _made_for(runtime, program, names, options.threads)
    else:
        sessions = [_session(runtime, name, data, options.threads) for name, data in _read(folder, names).items()]
    axis = 0 if program.source.encoding == "static" else 1
    samples, deadline = inputs.shape[axis], time.monotonic() + options.timeout_s
    parts: list[IntegerRecording] = []
    batch = min(options.batch, BATCH)
    for start in range(0, samples, batch):
        part = inputs.take(range(start, min(start + batch, samples)), axis)
        given = [_run(runtime, session, part, deadline, options.timeout_s) for session in sessions]
        parts.append(_recording(program, part, given, options))
        if options.part:
            options.part(parts[-1])
        if options.progress:
            options.progress(start + part.shape[axis], samples)
    return join(program, parts)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnsupportedError(
            "onnx-int: onnxruntime is not installed, which runs the network here: pip install 'snncc[onnx]'"
        ) from error
    return onnxruntime


@lru_cache(maxsize=4)
def _made_for(runtime: Any, program: Program, names: tuple[str, ...], threads: int) -> list[Any]:
    """Sessions of models that are made for the occasion, once for all runs of a Program."""
    return [_session(runtime, name, data, threads) for name, data in models(program, names).items()]


def _read(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise TargetError(f"{folder}: holds no {' and no '.join(missing)}; compile with --target onnx-int")
    return {name: (folder / name).read_bytes() for name in names}


def _session(runtime: Any, name: str, data: bytes, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise TargetError(f"onnx-int: onnxruntime {runtime.__version__} does not load {name}: {error}") from error


def _run(runtime: Any, session: Any, part: Array, deadline: float, timeout_s: float) -> list[Array]:
    """All outputs, unless the time is over."""
    options = runtime.RunOptions()
    options.log_severity_level = _FATAL_ONLY
    options.terminate = time.monotonic() >= deadline
    timer = Timer(max(0.0, deadline - time.monotonic()), setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        made: list[Array] = session.run(None, {"input": np.ascontiguousarray(part, np.int32)}, options)
        return made
    except Exception as error:
        if options.terminate:
            raise TargetError(
                f"onnx-int: onnxruntime did not finish in {timeout_s:g} s and was stopped; give it longer (--timeout), or "
                "fewer samples (--limit)"
            ) from None
        raise TargetError(f"onnx-int: onnxruntime failed: {error}") from error
    finally:
        timer.cancel()


def _recording(program: Program, part: Array, given: list[list[Array]], options: RunOptions) -> IntegerRecording:
    scores, predictions = given[0]
    samples = len(scores)
    if not options.record:
        return IntegerRecording({}, {}, scores, predictions, {}, samples)
    kept: dict[str, dict[str, Array]] = {"spikes": {}, "membrane": {}, "current": {}}
    for (name, what), values in zip(recorded(program), given[1][2:], strict=True):
        kept[what][name] = values.astype(np.int64)
    steps = program.time_steps
    spikes = {
        p.name: kept["spikes"].get(p.name, np.zeros((steps, samples, *p.shape), np.int64)) for p in program.populations
    }
    if not options.membranes:
        return IntegerRecording(spikes, {}, scores, predictions, {}, samples)
    counts = count_events(program, part, spikes, kept["membrane"], kept["current"])
    return IntegerRecording(spikes, kept["membrane"], scores, predictions, counts, samples)
