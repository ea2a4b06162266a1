"""What a frontend is: a named reader from a file to a :class:`~snncc.ir.graph.Graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from snncc.ir.graph import Graph


@dataclass(frozen=True)
class Frontend:
    """A reader.

    Attributes:
        name: what it is called in errors and in ``--help``.
        suffixes: file name endings it takes, with the dot.
        sniff: whether a file with this path and these first 8 bytes looks like its own.
        read: makes the Graph; takes the path and the options given by the user (``dialect``, ``reset`` …). Raises
            :class:`~snncc.errors.SnnccError` on anything it cannot take.
        description: one line.
        guesses: it may take what a file leaves open by a guess or a default, and then it has the option ``strict`` ("yes"
            refuses both) and puts a line for each into ``graph.origin["warnings"]``.
    """

    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path, bytes], bool]
    read: Callable[[Path, Mapping[str, str]], Graph]
    description: str
    guesses: bool = False
