"""Readers: from a file to a Graph. ``load_model`` picks the one whose file it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.ir.shapes import infer_shapes


def load_model(path: Path, options: Mapping[str, str] | None = None) -> Graph:
    """Read ``path`` with the frontend that knows it; ``strict`` among the options goes to those that guess, the others never
    do. Raises :class:`InputError` where none knows it."""
    from snncc.registry import get_frontends

    frontends = get_frontends()
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a model is a file")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise InputError(f"{path}: is empty")
    for frontend in frontends.values():
        if frontend.sniff(path, head):
            given = {k: v for k, v in (options or {}).items() if k != "strict" or frontend.guesses}
            graph = frontend.read(path, given)
            infer_shapes(graph)
            return graph
    known = "; ".join(f"{f.name} ({', '.join(f.suffixes)})" for f in frontends.values())
    raise InputError(f"{path}: is no model that snncc reads; known kinds: {known}")
