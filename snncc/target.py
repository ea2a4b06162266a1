"""What a target is: data, a pipeline of passes, and functions that check, emit and run a Program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from snncc.feed import Inputs, portions, sample_count
from snncc.program.program import Arithmetic, Program
from snncc.program.reference import IntegerRecording, join


@dataclass(frozen=True)
class Finding:
    """One thing a target cannot take, or takes at a price: where, what, the actual value, the limit, the way out."""

    layer: str
    what: str
    actual: str
    limit: str
    remedy: str
    severity: str = "error"  # or "warning"

    def __str__(self) -> str:
        return f"{self.layer}: {self.what}: {self.actual}, limit {self.limit}; {self.remedy}"


@dataclass(frozen=True)
class CompileOptions:
    """What a user may choose for a compilation.

    Attributes:
        bits: of a weight, sign included.
        guard_bits: fraction bits of membranes and currents; None takes the target's.
        per_channel: one weight scale an output channel instead of one a layer.
        calibration: integer inputs to measure activity on, as the network takes them, or None; calibration_data: their name.
        layer_bits: neurons whose weights have other bits, with these; a neuron may be named by a synapse into it.
        rounding: "nearest", or "learned" on the calibration data.
    """

    bits: int = 8
    guard_bits: int | None = None
    per_channel: bool = True
    calibration: np.ndarray | None = field(default=None, repr=False, compare=False)
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    rounding: str = "nearest"
    calibration_data: str = field(default="", compare=False)


ROUNDINGS = ("nearest", "learned")


PATHS = ("auto", "event", "dense")


@dataclass(frozen=True)
class RunOptions:
    """How to run a Program.

    Attributes:
        record: keep the spikes of every population, and with ``membranes`` their membranes.
        batch: samples at once, at most.
        threads: over samples; 0 takes every processor.
        path: "event", "dense" or "auto" (the cheaper one a layer, by measured cost): how fixed-sim adds synapses up; the
            result is the same.
        timeout_s: for targets that run elsewhere.
        progress: called with (samples done, samples in all).
        part: called with the recording of each part of the samples, in their order and before ``progress``, by targets that
            run in parts.
    """

    record: bool = False
    membranes: bool = True
    batch: int = 256
    threads: int = 0
    path: str = "auto"
    timeout_s: float = 600.0
    progress: Callable[[int, int], None] | None = field(default=None, repr=False, compare=False)
    part: Callable[[IntegerRecording], None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Target:
    """A target.

    Attributes:
        name, description: for people.
        arithmetic: the profile its Programs use.
        also: names of other profiles it runs, for networks that are defined in one (``origin["arithmetic"]``).
        limits: the numbers ``check`` compares with, each with its source, for ``snncc targets`` and the manifest's hash.
        pipeline: the passes from an imported Graph to one that :func:`snncc.program.lower.lower` takes.
        check: all findings of a Program at once.
        emit: writes the target's own sources into an artefact folder and returns their names.
        run: executes a Program, given the artefact folder it came from (None: not compiled to disk), on integer inputs.
        setup: installs what the target needs and says where, or None where it needs nothing.
        describe: what each population and projection of a Program becomes on the target, in words, or None.
        exact_samples: how many samples ``snncc verify`` runs on it by default; None runs them all. A target too slow
            for a whole test set is compared on these, and fixed-sim stands in for the rest.
        announce: a context in which runs tell a person, through the function given, what takes time besides the run itself;
            None where nothing does.
        variants: the target under options that ask more of it: "int8" is what ``--int8`` takes. They run what they
            compiled as the target itself does.
        variant: the option that asked for it; empty for the target itself.
    """

    name: str
    description: str
    arithmetic: Arithmetic
    limits: Mapping[str, Any]
    pipeline: Callable[[CompileOptions], Sequence[Any]]
    check: Callable[[Program], list[Finding]]
    emit: Callable[[Program, Path], list[str]]
    run: Callable[[Program, Path | None, np.ndarray, RunOptions], IntegerRecording]
    setup: Callable[[Callable[[str], None]], str] | None = None
    describe: Callable[[Program], Mapping[str, str]] | None = None
    also: tuple[str, ...] = ()
    exact_samples: int | None = None
    announce: Callable[[Callable[[str], None]], AbstractContextManager[None]] | None = None
    variants: Mapping[str, Target] = field(default_factory=dict)
    variant: str = ""


def run_all(
    target: Target, program: Program, folder: Path | None, inputs: Inputs, options: RunOptions
) -> IntegerRecording:
    """``target.run`` on what :func:`snncc.feed.feed` returned; encoded samples a portion at a time."""
    samples, parts, done = sample_count(inputs, program.source), [], 0
    for portion in portions(inputs, program.source, program.time_steps):

        def progress(count: int, _: int, before: int = done) -> None:
            if options.progress is not None:
                options.progress(before + count, samples)

        parts.append(target.run(program, folder, portion, replace(options, progress=progress)))
        done += parts[-1].samples
    return join(program, parts)
