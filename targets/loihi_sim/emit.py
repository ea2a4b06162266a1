"""Writing the Lava package: our templates as they are, and ``lava.json`` + ``lava.npz``, where everything goes in Lava."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.files import save_arrays
from snncc.program.artifact import PROGRAM, WEIGHTS, encode_program
from snncc.program.bounds import prove_bounds
from snncc.program.program import Program
from snncc.records import compact, dump_json
from snncc.targets.loihi_sim.check import check
from snncc.targets.loihi_sim.placement import Placement, place
from snncc.targets.loihi_sim.registers import LifRegisters

PACKAGE = "package"
PLACEMENT, REGISTERS = "lava.json", "lava.npz"
README = "README.md"
RUN = "run.py"


def emit(program: Program, folder: Path) -> list[str]:
    """Write the package into ``folder``, beside ``program.json`` and ``weights.npz``; names of the files written.

    Raises :class:`UnsupportedError` with every finding where Lava cannot run the Program.
    """
    findings = [finding for finding in check(program) if finding.severity == "error"]
    if findings:
        raise UnsupportedError("\n".join(str(finding) for finding in findings))
    placement = place(program, prove_bounds(program))
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for template in _templates():
        name = template.relative_to(_package()).as_posix()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, folder / name)
        names.append(name)
    value, arrays = encode_placement(placement)
    (folder / PLACEMENT).write_text(dump_json(value), encoding="utf-8")
    save_arrays(folder / REGISTERS, arrays)
    (folder / README).write_text(_readme(program, placement), encoding="utf-8")
    return [*names, PLACEMENT, REGISTERS, README]


def write_package(program: Program, folder: Path) -> Path:
    """A folder that runs on its own: ``program.json``, ``weights.npz`` and the package; for a Program not compiled to disk."""
    emit(program, folder)
    value, arrays = encode_program(program)
    (folder / PROGRAM).write_text(dump_json(value), encoding="utf-8")
    save_arrays(folder / WEIGHTS, arrays)
    return folder


def encode_placement(placement: Placement) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(JSON value, arrays): a register that differs between neurons becomes ``{"array": key}``."""
    arrays: dict[str, np.ndarray] = {}

    def encode(name: str, registers: LifRegisters | None) -> dict[str, Any] | None:
        if registers is None:
            return None
        made: dict[str, Any] = {}
        for f in fields(registers):
            value = getattr(registers, f.name)
            made[f.name] = int(value) if value.ndim == 0 else {"array": f"{name}/{f.name}"}
            if value.ndim:
                arrays[f"{name}/{f.name}"] = compact(value)
        return made

    populations = [
        {"name": p.name, "process": p.process, "offset": p.offset, "registers": encode(p.name, p.registers)}
        for p in placement.populations
    ]
    projections = [
        {"name": p.name, "process": p.process, "latency": p.latency, "message_bits": p.message_bits}
        for p in placement.projections
    ]
    return {"populations": populations, "projections": projections}, arrays


def _package() -> Path:
    return Path(__file__).parent / PACKAGE


def _templates() -> Iterator[Path]:
    yield from sorted(path for path in _package().rglob("*.py") if "__pycache__" not in path.parts)


def _readme(program: Program, placement: Placement) -> str:
    described = placement.describe()
    source = program.source
    axes = "(N, " if source.encoding == "static" else f"({program.time_steps}, N, "
    wanted = axes + ", ".join(map(str, source.shape)) + ")"
    each = f"N, {program.time_steps}" if program.readout.each_step else "N"
    scores, predictions = f"({each}, classes)", f"({each})" if program.readout.each_step else "(N,)"
    rows = [f"| {p.name} | {tuple(p.shape)} | {described[p.name]} |" for p in program.populations]
    rows += [f"| {p.name} | {p.source} → {p.target} | {described[p.name]} |" for p in program.projections]
    return f"""# {program.name} on Lava

A spiking network in whole numbers, for Lava's fixed-point models of Loihi. Needs lava-nc 0.10.0 and NumPy, nothing else:
Python 3.10 with `pip install lava-nc==0.10.0`, or a newer Python, for which `run.py` mends Lava's import itself.

    python run.py --input x.npy [--output out.npz] [--limit N] [--record] [--direct]

- input: whole numbers {source.low}..{source.high}, shape {wanted}, as `.npy`;
- output: `scores` {scores} and `predictions` {predictions}; with `--record` also `spikes/NAME` and `membranes/NAME`,
  (T, N, *shape), channel-first;
- `--direct` calls Lava's ProcessModels in batches without its runtime: the same numbers, for whole test sets.

Samples follow each other every {program.time_steps} steps; each population starts its first at its own offset, so that its biases
integrate in the right step. `program.json` and `weights.npz` hold the network, `lava.json` and `lava.npz` its place in Lava,
`snncc_lava/processes/` our own Processes.

| part | shape | in Lava |
|---|---|---|
{chr(10).join(rows)}
"""
