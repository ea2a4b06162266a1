"""Cutting and placing large networks: cores, chips, traffic against cores in their order, and how long it takes.

    python -m benchmarks.placing            a line each, with seconds
    python -m benchmarks.placing --write    the table of docs/chips.md, without seconds, which belong to a machine

Without a run's spikes every neuron is taken to spike once. Networks without a checkpoint have the weights that training would
start from; that of VGG-16's size has random ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chips import DOCUMENT, neurons, zoo
from benchmarks.networks import random_graph, vgg16
from benchmarks.pages import parted
from snncc.chip.fit import fit
from snncc.chip.place import Placement, place
from snncc.chip.spec import load_chip
from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.registry import get_target
from snncc.target import CompileOptions

BEGIN, END = "<!-- python -m benchmarks.placing --write -->", "<!-- end of placing -->"
HEAD = ["| network | chip | cores | chips | less than in order |", "|---|---|---|---|---|"]


@dataclass(frozen=True)
class Placed:
    """A network on a chip, and the seconds that compiling and cutting it took, and placing."""

    name: str
    placement: Placement
    compiling: float
    placing: float

    @property
    def line(self) -> str:
        """Of the table."""
        cut, made = self.placement.partition, self.placement
        saved = 1 - made.cost / made.naive_cost if made.naive_cost else 0.0
        return f"| {self.name} | {cut.chip.name} | {len(cut.cores)} | {cut.chips} | {saved:.0%} |"


def networks(folder: Path) -> list[tuple[str, Callable[[], Graph], str]]:
    """(what it is, how to read it, chip)."""
    known = {n.name: n.read for n in zoo(folder)}
    return [
        ("`mnist-lif`", known["mnist-lif"], "loihi1"),
        ("`mnist-plain19`, 19 layers, not trained here", known["mnist-plain19"], "loihi1"),
        ("VGG-16 size, random weights", lambda: random_graph(vgg16()), "loihi2"),
    ]


def measured(name: str, graph: Graph, chip_name: str) -> Placed:
    """Compile for the chip's target, cut and place. Raises :class:`InputError` where the chip refuses it."""
    chip, start = load_chip(chip_name), time.perf_counter()
    target = get_target(chip.target)
    found = fit(graph, target, CompileOptions(), chip)  # compiles, and cuts
    if found.made is None or found.partition is None:
        raise InputError(f"{name}: {chip_name} refuses it: {found.errors[0].what}")
    cut = time.perf_counter()
    made = place(found.partition)
    return Placed(f"{name}, {neurons(found.made.program):,} neurons", made, cut - start, time.perf_counter() - cut)


def written(text: str, lines: list[str]) -> str:
    """``text`` with the table between its marks."""
    before, _, after = parted(DOCUMENT.name, text, BEGIN, END)
    return "\n".join([before + BEGIN, "", *HEAD, *lines, "", END + after])


def main() -> None:
    """Exit code 0, or 1 where a network is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/chips.md")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name, read, chip in networks(Path(folder)):
            try:
                found = measured(name, read(), chip)
            except InputError as error:
                sys.exit(str(error))
            print(
                f"{found.line}   compiled and cut in {found.compiling:.1f} s, placed in {found.placing:.1f} s",
                flush=True,
            )
            lines.append(found.line)
    if given.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), lines), encoding="utf-8")


if __name__ == "__main__":
    main()
