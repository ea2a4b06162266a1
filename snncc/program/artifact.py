"""The compiled folder: ``program.json`` + ``weights.npz`` (the Program), ``graph.json`` + ``graph.npz`` (the float
network it came from), ``manifest.json``, ``report.json``, what the target emits, and samples recorded with the spikes that they
give, where that was asked for. The same Program and options give
the same bytes; a folder is written beside and then renamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snncc import __version__
from snncc.errors import ArtifactError, GraphError, InputError
from snncc.files import folder_written_beside, load_arrays, save_arrays, sha256_of
from snncc.ir.graph import Graph
from snncc.ir.store import decode_graph, encode_graph
from snncc.program.program import ARITHMETICS, Population, Program, Projection, Readout, Source, check_program
from snncc.program.recording import Recorded, write_recording
from snncc.records import decode_record, dump_json, encode_record

FORMAT = "snncc-program"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
PROGRAM = "program.json"
WEIGHTS = "weights.npz"
REPORT = "report.json"
GRAPH = "graph.json"
GRAPH_ARRAYS = "graph.npz"
READ_BACK = (PROGRAM, WEIGHTS, GRAPH, GRAPH_ARRAYS, REPORT)
_MAX_JSON_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Artifact:
    """A compiled folder read back: its Program, the float network, manifest and report."""

    folder: Path
    program: Program
    graph: Graph
    manifest: Mapping[str, Any]
    report: Mapping[str, Any]


def is_artifact(path: Path) -> bool:
    """Whether ``path`` is a folder that ``snncc compile`` wrote, of whatever version."""
    if not ((path / MANIFEST).is_file() and (path / PROGRAM).is_file()):
        return False
    try:
        manifest = _read_json(path / MANIFEST)
    except ArtifactError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def encode_program(program: Program) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(JSON value, arrays): every array field becomes ``{"array": key}``."""
    arrays: dict[str, np.ndarray] = {}
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "name": program.name,
        "time_steps": program.time_steps,
        "arithmetic": program.arithmetic.name,
        "source": encode_record(program.source, "source", arrays),
        "populations": [encode_record(p, f"population/{p.name}", arrays) for p in program.populations],
        "projections": [encode_record(p, f"projection/{p.name}", arrays) for p in program.projections],
        "readout": encode_record(program.readout, "readout", arrays),
        "origin": dict(program.origin),
    }, arrays


def decode_program(value: Mapping[str, Any], arrays: Mapping[str, np.ndarray], where: str) -> Program:
    """The Program of :func:`encode_program`, checked. Raises :class:`ArtifactError` saying what is wrong."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ArtifactError(f"{where}: is no snncc program")
    if value.get("version") != FORMAT_VERSION:
        raise ArtifactError(
            f"{where}: has format version {value.get('version')}, this snncc reads {FORMAT_VERSION}; compile the model again"
        )
    try:
        program = Program(
            name=str(value["name"]),
            time_steps=int(value["time_steps"]),
            arithmetic=ARITHMETICS[value["arithmetic"]],
            source=decode_record(Source, value["source"], arrays, where),
            populations=tuple(decode_record(Population, p, arrays, where) for p in value["populations"]),
            projections=tuple(decode_record(Projection, p, arrays, where) for p in value["projections"]),
            readout=decode_record(Readout, value["readout"], arrays, where),
            origin=value.get("origin", {}),
        )
        check_program(program)
    except ArtifactError:
        raise
    except GraphError as error:
        raise ArtifactError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise ArtifactError(f"{where}: is damaged ({type(error).__name__}: {error})") from error
    return program


def write_artifact(
    folder: Path,
    program: Program,
    graph: Graph,
    manifest: Mapping[str, Any],
    report: Mapping[str, Any],
    emit: Callable[[Program, Path], list[str]],
    recorded: Recorded | None = None,
) -> Path:
    """Write the folder; refuses to replace one that is not an artefact of ours."""
    check_program(program)
    if folder.exists() and not is_artifact(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and was not written by snncc compile; give another folder with -o")
    with folder_written_beside(folder) as beside:
        value, arrays = encode_program(program)
        (beside / PROGRAM).write_text(dump_json(value), encoding="utf-8")
        save_arrays(beside / WEIGHTS, arrays)
        value, arrays = encode_graph(graph)
        (beside / GRAPH).write_text(dump_json(value), encoding="utf-8")
        save_arrays(beside / GRAPH_ARRAYS, arrays)
        (beside / REPORT).write_text(dump_json(report), encoding="utf-8")
        emit(program, beside)
        if recorded is not None:
            write_recording(beside, recorded)
        names = sorted(p.relative_to(beside).as_posix() for p in beside.rglob("*") if p.is_file())
        stamped = {
            **manifest,
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "snncc": __version__,
            "files": {name: sha256_of(beside / name) for name in names},
        }
        (beside / MANIFEST).write_text(dump_json(stamped), encoding="utf-8")
    return folder


def read_artifact(folder: Path) -> Artifact:
    """Read a compiled folder back. Raises :class:`ArtifactError` where it is missing, foreign, damaged or changed."""
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    manifest = _read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{folder}: was not written by snncc compile")
    if manifest.get("version") != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder}: has format version {manifest.get('version')}; this snncc reads {FORMAT_VERSION}"
        )
    _check_files(folder, manifest.get("files"))
    program = decode_program(_read_json(folder / PROGRAM), load_arrays(folder / WEIGHTS), str(folder / PROGRAM))
    graph = decode_graph(_read_json(folder / GRAPH), load_arrays(folder / GRAPH_ARRAYS), str(folder / GRAPH))
    return Artifact(folder, program, graph, manifest, _read_json(folder / REPORT))


def _check_files(folder: Path, hashes: Any) -> None:
    """Every file that was compiled is there and as it was; nothing outside the folder is looked at."""
    if not isinstance(hashes, dict) or not set(READ_BACK) <= set(hashes):
        raise ArtifactError(f"{folder}: its {MANIFEST} is damaged; compile the model again")
    for name, expected in sorted(hashes.items()):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{folder}: its {MANIFEST} names {name!r}, which lies outside")
        if not path.is_file():
            raise ArtifactError(f"{folder}: {name} is missing; compile the model again")
        if sha256_of(path) != expected:
            raise ArtifactError(f"{path}: was changed after it was compiled; compile the model again")


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ArtifactError(f"{path}: is {path.stat().st_size:,} bytes, more than {_MAX_JSON_BYTES:,}")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: is no readable JSON ({error})") from error
