"""Reads and writes a run's counts as a JSON or TOML file, so that the model can be held against any published measurement.

::

    format = 1
    name = "what ran"
    samples = 1                    # the counts are summed over so many inferences
    steps = 10                     # the rest of the head is optional: what is missing is named and not modelled
    cores = 20
    tiles = 5
    chips = 1
    period_seconds = 1e-3          # shortest time of a step
    inference_seconds = 0.01       # measured; without it latency is computed
    host_seconds = 0.0             # of the host, an inference; or host = true for the cost set's; without either, no host
    [counts]                       # any of EVENTS and PLACED_EVENTS of snncc.energy.scopes
    updates = 1000
    spikes = 30
    [per_core]                     # optional, for latency: cores rows of steps counts each, summed over samples
    updates = [[50, 50], [50, 50]]
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from snncc.energy.counted import Counted
from snncc.errors import InputError

FORMAT = 1
MAX_FILE_BYTES = 1 << 25
"""32 MiB: 8 events of 200,000 cores × steps with room to spare."""

MAX_NAME = 200
_HEAD = (
    "samples", "steps", "cores", "tiles", "chips", "period_seconds", "inference_seconds", "host_seconds", "host",
)  # fmt: skip
_FIELDS = ("format", "name", *_HEAD, "counts", "per_core")


def read_counts(path: str | Path) -> Counted:
    """The counts in a file that ends in .json or .toml. Raises :class:`InputError` naming file and field."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix not in (".json", ".toml"):
        raise InputError(f"{path}: ends in {path.suffix!r}; counts come in a .json or a .toml file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path}: has {path.stat().st_size:,} bytes; a file of counts has at most {MAX_FILE_BYTES:,}")
    try:
        text = path.read_bytes().decode()
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text, object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no readable {path.suffix[1:].upper()} file ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; it must be a table with {', '.join(_FIELDS)}")
    for key in content:
        if key not in _FIELDS:
            raise InputError(f"{path}: {shown(key)} is unknown; known are {', '.join(_FIELDS)}")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path}: format is {shown(content.get('format'))}; this version of snncc reads format = {FORMAT}"
        )
    name = content.get("name", path.stem)
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME:
        raise InputError(f"{path}: name is {shown(name)}; it must be text of at most {MAX_NAME} characters")
    counts, per_core = (_table(path, content, key) for key in ("counts", "per_core"))
    if not counts and not per_core:
        raise InputError(f"{path}: holds no [counts]; give how often each event happened")
    try:
        return Counted(name, counts, per_core=per_core, **{key: content[key] for key in _HEAD if key in content})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def counts_document(run: Counted) -> dict[str, Any]:
    """``run`` as the values of a counts file; :func:`read_counts` of their JSON gives it back."""
    head = {key: getattr(run, key) for key in _HEAD if getattr(run, key) not in (None, False)}
    per_core = {event: array.tolist() for event, array in run.per_core.items()}
    return {
        "format": FORMAT,
        "name": run.name,
        **head,
        "counts": dict(run.counts),
        **({"per_core": per_core} if per_core else {}),
    }


def _table(path: Path, content: dict[str, Any], key: str) -> dict[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: {key} is {type(table).__name__}; it must be a table of events")
    return table


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two counts of one event, neither is right."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(n for n, times in Counter(names).items() if times > 1)
        raise ValueError(f"{shown(twice)} stands there twice")
    return result
