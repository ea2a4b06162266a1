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

from pathlib import Path
from typing import Any

from snncc.energy.counted import Counted
from snncc.errors import InputError
from snncc.tables import FORMAT, read_tables, table, text

MAX_FILE_BYTES = 1 << 25
"""32 MiB: 8 events of 200,000 cores × steps with room to spare."""

MAX_NAME = 200
_HEAD = (
    "samples", "steps", "cores", "tiles", "chips", "period_seconds", "inference_seconds", "host_seconds", "host",
)  # fmt: skip


def read_counts(path: str | Path) -> Counted:
    """The counts in a file that ends in .json or .toml. Raises :class:`InputError` naming file and field."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix not in (".json", ".toml"):
        raise InputError(f"{path}: ends in {path.suffix!r}; counts come in a .json or a .toml file")
    content = read_tables(path, "a file of counts", ("name", *_HEAD, "counts", "per_core"), MAX_FILE_BYTES).content
    name = text(str(path), {"name": path.stem, **content}, "name", MAX_NAME)
    counts, per_core = (table(str(path), content, key, optional=True) for key in ("counts", "per_core"))
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
