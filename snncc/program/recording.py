"""Samples that travel with a compiled folder, and every spike that they must give: what ``snncc replay`` runs again.

``recorded.json``: format, version, where the samples come from, and the SHA-256 of their spikes. ``recorded.npz``: ``inputs``
as the Program takes them, ``spikes/NAME`` (T, N, *shape) of each population, ``scores`` and ``predictions``. The spikes are the
golden interpreter's. A new version gets a new number and a reader of its own in :data:`_READERS`; old ones stay readable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import ArtifactError, InputError
from snncc.files import load_arrays, save_arrays
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs, run_reference
from snncc.records import compact, dump_json

Array = np.ndarray
FORMAT = "snncc-recording"
VERSION = 1
FACTS, ARRAYS = "recorded.json", "recorded.npz"
MAX_CELLS = 1 << 28
"""Spikes of all neurons, steps and samples that are recorded, at most: they are all in memory."""
_MAX_FACTS_BYTES = 1 << 20
_ANEW = "compile the model again with --record DATA"


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded: ``data`` says of which samples; ``run`` holds no membranes and no counts."""

    data: str
    inputs: Array
    run: IntegerRecording
    sha256: str


def record(program: Program, inputs: Array, data: str) -> Recorded:
    """The golden interpreter's run on a few ``inputs``, as the Program takes them. Raises :class:`InputError` where they do not
    fit the Program, or give more than :data:`MAX_CELLS`."""
    check_inputs(program, inputs)
    samples = inputs.shape[0 if program.source.encoding == "static" else 1]
    each = program.time_steps * sum(p.size for p in program.populations)
    if samples * each > MAX_CELLS:
        raise InputError(
            f"{program.name}: {samples} samples have {samples * each:,} cells, more than {MAX_CELLS:,}: record "
            f"--record-samples {MAX_CELLS // each} at most"
        )
    run = run_reference(program, inputs)
    return Recorded(data, inputs, run, spikes_sha256(program, run.spikes))


def spikes_sha256(program: Program, spikes: Mapping[str, Array]) -> str:
    """Hex digest of all spikes, population after population, as little-endian 32-bit integers in C order: the same spikes,
    the same bytes, wherever they were computed."""
    digest = hashlib.sha256()
    for population in program.populations:
        digest.update(np.ascontiguousarray(spikes[population.name], "<i4").tobytes())
    return digest.hexdigest()


def write_recording(folder: Path, recorded: Recorded) -> None:
    """Both files, into a folder that is being written. The same recording gives the same bytes."""
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "data": recorded.data,
        "samples": recorded.run.samples,
        "sha256": recorded.sha256,
    }
    (folder / FACTS).write_text(dump_json(facts), encoding="utf-8")
    arrays = {f"spikes/{name}": compact(spikes) for name, spikes in recorded.run.spikes.items()}
    run = recorded.run
    arrays |= {
        "inputs": compact(recorded.inputs),
        "scores": compact(run.scores),
        "predictions": compact(run.predictions),
    }
    save_arrays(folder / ARRAYS, arrays)


def read_recording(folder: Path, program: Program) -> Recorded:
    """What a compiled folder holds. Raises :class:`ArtifactError` where it holds none, one of another version, or a damaged
    one."""
    path = folder / FACTS
    if not path.is_file():
        raise ArtifactError(f"{folder}: holds no recorded samples; {_ANEW}")
    try:
        facts = json.loads(path.read_bytes()[: _MAX_FACTS_BYTES + 1].decode())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: is no readable JSON ({error}); {_ANEW}") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ArtifactError(f"{path}: is no recording of snncc; {_ANEW}")
    version = facts.get("version")
    if not isinstance(version, int) or version not in _READERS:
        known = ", ".join(map(str, _READERS))
        newer = isinstance(version, int) and version > VERSION
        remedy = "install a newer snncc" if newer else _ANEW
        raise ArtifactError(f"{path}: has recording version {version!r}; this snncc reads {known}; {remedy}")
    return _READERS[version](folder, program, facts)


def _read_1(folder: Path, program: Program, facts: Mapping[str, Any]) -> Recorded:
    arrays, where = load_arrays(folder / ARRAYS), folder / ARRAYS
    names = {f"spikes/{p.name}": p for p in program.populations}
    missing = sorted({"inputs", "scores", "predictions", *names} - set(arrays))
    if missing:
        raise ArtifactError(f"{where}: {missing[0]} is missing; {_ANEW}")
    if any(array.dtype.kind not in "iu" for array in arrays.values()):
        raise ArtifactError(f"{where}: holds more than whole numbers; {_ANEW}")
    inputs = arrays["inputs"]
    check_inputs(program, inputs)
    samples = inputs.shape[0 if program.source.encoding == "static" else 1]
    for name, population in names.items():
        wanted = (program.time_steps, samples, *population.shape)
        if arrays[name].shape != wanted:
            raise ArtifactError(f"{where}: {name} has shape {arrays[name].shape}, not {wanted}; {_ANEW}")
    of_answers = (samples, program.time_steps) if program.readout.each_step else (samples,)
    if arrays["predictions"].shape != of_answers or arrays["scores"].shape[:-1] != of_answers:
        raise ArtifactError(
            f"{where}: predictions and scores have shapes {arrays['predictions'].shape} and {arrays['scores'].shape}; the network "
            f"gives {of_answers} answers; {_ANEW}"
        )
    spikes = {p.name: arrays[name].astype(np.int64) for name, p in names.items()}
    if spikes_sha256(program, spikes) != facts.get("sha256"):
        raise ArtifactError(f"{where}: its spikes are not those that {FACTS} speaks of; {_ANEW}")
    scores, predictions = (arrays[name].astype(np.int64) for name in ("scores", "predictions"))
    run = IntegerRecording(spikes, {}, scores, predictions, {}, samples)
    return Recorded(str(facts.get("data")), inputs, run, str(facts.get("sha256")))


_READERS: Mapping[int, Callable[[Path, Program, Mapping[str, Any]], Recorded]] = {1: _read_1}
