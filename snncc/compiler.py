"""From a Graph to a target's Program and its folder: the whole way, in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import SnnccError, UnsupportedError
from snncc.feed import sample_count
from snncc.files import sha256_of, without_folder
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input
from snncc.pipeline import Context, Pass, PassResult, run_pipeline
from snncc.program.artifact import write_artifact
from snncc.program.bounds import Bounds, prove_bounds
from snncc.program.lower import lower
from snncc.program.program import ARITHMETICS, Arithmetic, Program
from snncc.program.recording import Recorded
from snncc.records import dump_json
from snncc.target import CompileOptions, Finding, Target


class RefusedError(SnnccError):
    """The target cannot take the network; ``findings`` says why, all at once."""

    def __init__(self, target: str, findings: list[Finding]) -> None:
        self.findings = findings
        between = "\n   " if len(findings) > 1 else " "
        super().__init__(f"{target} cannot take this network:" + "".join(f"{between}{f}" for f in findings))


@dataclass(frozen=True, eq=False)
class Compilation:
    """What compiling made.

    Attributes:
        graph: the float network as it was read.
        quantised: the same after the target's pipeline.
        program: its integer form.
        bounds: proven extremes of every state.
        findings: what the target says of the program.
        steps: (pass, what it did) for the passes that did something.
        remarks: what a person should know.
    """

    graph: Graph
    quantised: Graph
    program: Program
    bounds: Bounds
    findings: list[Finding]
    steps: list[tuple[str, str]]
    remarks: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """Findings that forbid deployment."""
        return [f for f in self.findings if f.severity == "error"]


def compile_graph(
    graph: Graph,
    target: Target,
    options: CompileOptions | None = None,
    after: Callable[[Pass, PassResult], None] | None = None,
) -> Compilation:
    """Run the target's pipeline, lower, prove bounds, and let the target check; nothing is written."""
    context = Context()
    steps: list[tuple[str, str]] = []

    def note(one: Pass, result: PassResult) -> None:
        if result.summary:
            steps.append((one.name, result.summary))
        if after is not None:
            after(one, result)

    quantised = run_pipeline(graph, passes_of(target, options or CompileOptions()), context, note)
    program = lower(quantised, arithmetic_of(graph, target), context.facts.get("units"))
    return Compilation(
        graph, quantised, program, prove_bounds(program), target.check(program), steps, list(context.remarks)
    )


def passes_of(target: Target, options: CompileOptions) -> Sequence[Pass]:
    """The target's pipeline. Raises :class:`UnsupportedError` where it cannot round as the options say."""
    passes = target.pipeline(options)
    if options.rounding != "nearest" and not any(one.name == "learn-rounding" for one in passes):
        raise UnsupportedError(f"rounding {options.rounding}: {target.name} rounds to nearest only; leave it out")
    return passes


def arithmetic_of(graph: Graph, target: Target) -> Arithmetic:
    """The target's own profile, or the one the network is defined in where the target runs that too."""
    named = str(graph.origin.get("arithmetic", ""))
    return ARITHMETICS[named] if named in target.also else target.arithmetic


def write_compilation(
    made: Compilation,
    target: Target,
    options: CompileOptions,
    model: Path,
    folder: Path,
    recorded: Recorded | None = None,
) -> Path:
    """Write the artefact folder, with samples to replay if any are ``recorded``. Raises :class:`RefusedError` where the target has
    errors to report."""
    if made.errors:
        raise RefusedError(target.name, made.errors)
    manifest = {
        "model": {"file": model.name, "sha256": sha256_of(model)},
        "target": target.name,
        "target_sha256": hashlib.sha256(dump_json(dict(target.limits)).encode()).hexdigest(),
        "options": {
            "bits": options.bits,
            "layer_bits": dict(options.layer_bits),
            "guard_bits": options.guard_bits,
            "per_channel": options.per_channel,
            "variant": target.variant,
            "calibration_samples": _samples(made.graph, options),
            "rounding": options.rounding,
            **_calibration(options),
        },
    }
    return write_artifact(folder, made.program, made.graph, manifest, compilation_report(made), target.emit, recorded)


def _calibration(options: CompileOptions) -> dict[str, Any]:
    """The name of the calibration data, and what tells it from other data of that name."""
    if options.calibration is None:
        return {}
    return {
        "calibration": {
            "data": without_folder(options.calibration_data),
            "sha256": sha256_of_samples(options.calibration),
        }
    }


def sha256_of_samples(inputs: np.ndarray) -> str:
    """Of integer inputs, whatever type they are stored as."""
    return hashlib.sha256(np.ascontiguousarray(inputs, np.int64).tobytes()).hexdigest()


def _samples(graph: Graph, options: CompileOptions) -> int:
    """How many samples the calibration had."""
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)
    return 0 if options.calibration is None else sample_count(options.calibration, entry)


def compilation_report(made: Compilation) -> dict[str, Any]:
    """What ``report.json`` holds: the same compilation gives the same value."""
    return {
        "steps": [{"pass": name, "did": did} for name, did in made.steps],
        "remarks": made.remarks,
        "findings": [vars(f) for f in made.findings],
        "bounds": {
            name: {
                "sums": {k: list(v) for k, v in b.sums.items()},
                "current": list(b.current),
                "membrane": list(b.membrane),
                "accumulator_bits": b.accumulator_bits,
                "state_bits": b.state_bits,
                "overflow_impossible": b.current_fits and b.membrane_fits,
            }
            for name, b in made.bounds.populations.items()
        },
        "populations": {p.name: {"shape": list(p.shape), "neurons": p.size} for p in made.program.populations},
        "synapses": {p.name: int((p.weight != 0).sum()) for p in made.program.projections},
    }
