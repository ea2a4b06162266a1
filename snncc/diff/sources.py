"""What ``MODEL@STAGE`` names: a model file or a compiled folder, with the stages it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snncc.diff import stages as s
from snncc.diff.framework import framework_stage
from snncc.diff.stages import Engine, Stage
from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input
from snncc.program.artifact import Artifact
from snncc.program.program import Program
from snncc.target import CompileOptions, RunOptions, Target


@dataclass(frozen=True, eq=False)
class Source:
    """A model as given.

    Attributes:
        where: as it was written, without the stage. path: of the file or folder. graph: as read.
        target: what it is compiled for. artifact: the compiled folder, or None. semantics: options of the file's reader.
    """

    where: str
    path: Path
    graph: Graph
    target: Target
    artifact: Artifact | None = None
    semantics: Mapping[str, str] | None = None

    @property
    def entry(self) -> Input:
        """The network's input."""
        node = self.graph.nodes[self.graph.input]
        assert isinstance(node, Input)
        return node


def split(text: str) -> tuple[str, str | None]:
    """(model, stage or None) of ``MODEL@STAGE``; a file may have an @ in its name."""
    model, separator, stage = text.rpartition("@")
    if not separator or Path(text).exists():
        return text, None
    if not model or not stage:
        raise InputError(f"{text}: it must be MODEL or MODEL@STAGE, such as model.pt@program")
    return model, stage


def stages_of(
    source: Source, options: CompileOptions, engine: Engine, samples: int, framework: bool, running: RunOptions
) -> tuple[list[Stage], list[str]]:
    """(all stages of a source in order, remarks). ``framework`` puts the live module in front. Raises
    :class:`InputError` where the file holds none."""
    remarks: list[str] = []
    made, program, folder = _compiled(source, options, engine, samples, remarks)
    if framework:
        if source.artifact is not None:
            raise InputError(f"{source.where}@framework: a compiled folder holds no module; name the model's file")
        live = framework_stage(source.path, source.semantics or {}, source.graph)
        made = [live, replace(made[0], may=s.FLOAT32), *made[1:]]
    return [*made, s.target_stage(source.target, program, folder, running)], remarks


def _compiled(
    source: Source, options: CompileOptions, engine: Engine, samples: int, remarks: list[str]
) -> tuple[list[Stage], Program, Path | None]:
    """(stages from the Graph to the Program, the Program, the compiled folder or None)."""
    artifact = source.artifact
    if artifact is None:
        made = s.compile_stages(source.graph, source.target, options, engine, samples)
        program = made[-1].program
        assert program is not None
        return made, program, None
    given = _options_of(artifact)
    if calibration_of(artifact)[0] and options.calibration is None:
        remarks.append(
            f"{source.where}: was calibrated on data that it does not hold and that is not found, or has other samples now, so "
            "its passes cannot be run again; name that data: --calibrate DATA"
        )
        stages = [s.read_stage(source.graph, samples), *s.integer_stages(artifact.program, engine)]
        stages[1] = replace(stages[1], may=s.UNKNOWN)
        return stages, artifact.program, artifact.folder
    per_channel, other = bool(given.get("per_channel", True)), given.get("layer_bits")
    layer_bits = {str(k): v for k, v in other.items() if isinstance(v, int)} if isinstance(other, dict) else {}
    rounding = str(given.get("rounding", "nearest"))
    again = CompileOptions(
        _bits(given), given.get("guard_bits"), per_channel, options.calibration, layer_bits, rounding
    )
    sure = options.calibration is None or calibration_of(artifact)[2] != ""
    stages = s.compile_stages(source.graph, source.target, again, engine, samples, artifact.program, sure)
    return stages, artifact.program, artifact.folder


def calibration_of(artifact: Artifact) -> tuple[int, str, str]:
    """(samples, name of the data, hash of the samples) of a compiled folder's calibration; 0 and "" where it does not say."""
    given = _options_of(artifact)
    count, named = given.get("calibration_samples"), given.get("calibration")
    data, digest = (named.get(key) if isinstance(named, dict) else None for key in ("data", "sha256"))
    return (
        count if isinstance(count, int) and count > 0 else 0,
        data if isinstance(data, str) else "",
        digest if isinstance(digest, str) else "",
    )


def _options_of(artifact: Artifact) -> dict[str, Any]:
    given = artifact.manifest.get("options")
    return given if isinstance(given, dict) else {}


def _bits(given: Mapping[str, object]) -> int:
    bits = given.get("bits", CompileOptions().bits)
    return bits if isinstance(bits, int) else CompileOptions().bits


def between(stages: list[Stage], first: int, last: int, where: str) -> list[Stage]:
    """The stages ``first`` .. ``last``, in the order of the compilation whichever was named first."""
    if first == last:
        raise InputError(f"{where}: both sides are the stage {stages[first].name}; name two")
    low, high = sorted((first, last))
    chosen = stages[low : high + 1]
    few = sum(x.few for x in chosen)
    if len(chosen) - few < 2:  # a target against its Program: on all samples
        chosen = [replace(x, few=False) for x in chosen]
    return [replace(chosen[0], may=s.ANYTHING), *chosen[1:]]


def alone(stages: list[Stage], position: int) -> Stage:
    """One stage to be compared with one of another model."""
    return replace(stages[position], may=s.ANYTHING, few=False)


def check_comparable(a: Source, b: Source) -> None:
    """Raise :class:`InputError` where two models cannot run on the same data."""
    x, y = a.entry, b.entry
    for what, p, q in (
        ("takes samples of shape", x.shape, y.shape),
        ("takes input as", x.encoding, y.encoding),
        ("runs steps:", a.graph.time_steps, b.graph.time_steps),
        ("takes integers", (x.low, x.high), (y.low, y.high)),
    ):
        if p != q:
            raise InputError(f"{b.where}: {what} {q}, {a.where} {p}; two networks are compared on the same data")
