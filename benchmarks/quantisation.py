"""What bits and methods cost in accuracy: the table in docs/quantisation.md.

    python -m benchmarks.quantisation --write [NAME …] [--bits 8 4]    measures on fixed-sim; writes docs/quantisation/NAME.json
    python -m benchmarks.quantisation --table                          writes the table into docs/quantisation.md

Float accuracy is that of the network's record (``make zoo-record``), and the test samples are the record's. Images held out of
training, where a recipe has any, are measured besides: CIFAR-10's test set at hand is small.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import snncc
from benchmarks.plain import plain_target
from benchmarks.quantisation_table import BITS, METHODS, folder, read_record, write_table
from benchmarks.results import record_path
from benchmarks.zoo import deployed
from snncc.accuracy import correct
from snncc.cli.options import load_data
from snncc.compiler import compile_graph
from snncc.errors import InputError, SnnccError
from snncc.feed import Inputs, take
from snncc.files import sha256_of, written_beside
from snncc.ir.graph import Graph
from snncc.program.program import Program
from snncc.registry import get_models, get_target
from snncc.target import CompileOptions, RunOptions, run_all

SAMPLES = {"learned": 256, "learned-1024": 1024}
"""Training samples that learned rounding sees, by method."""
HELD_OUT = "heldout"
"""The part of a data set that its recipes do not train on, besides the test set."""


def networks() -> list[str]:
    """Trained networks that were not trained for low bits."""
    return [n for n, r in get_models().items() if r.checkpoint.is_file() and not r.training.bits]


def program_of(graph: Graph, bits: int, method: str, calibration: Any) -> Program:
    """The network for fixed-sim. Raises :class:`SnnccError` where the method cannot take it."""
    target = plain_target() if method == "plain" else get_target("fixed-sim")
    learned = method in SAMPLES
    options = CompileOptions(
        bits, calibration=calibration if learned else None, rounding="learned" if learned else "nearest"
    )
    return compile_graph(graph, target, options).program


def measured(name: str, all_bits: list[int], methods: list[str]) -> None:
    """Measure and write the record of a network; what an earlier record of the same checkpoint has besides stays."""
    recipe = get_models()[name]
    zoo = json.loads(record_path(name).read_text(encoding="utf-8"))
    sha256 = sha256_of(recipe.checkpoint)
    if zoo["checkpoint_sha256"] != sha256:
        raise InputError(f"{record_path(name).name} is of another {recipe.checkpoint.name}; make zoo-record")
    graph = deployed(recipe)
    entry: Any = graph.nodes[graph.input]
    training = f"{recipe.training.data}:{recipe.training.train_split}"
    drawn, _ = load_data(training, max(SAMPLES.values()), graph)
    parts = {"accuracy": load_data(zoo["data"], zoo["samples"], graph)}
    held_out = None
    before = graph.origin.get("training", {}).get("other_accuracies", {}).get(HELD_OUT)  # a converted network has none
    if before is not None:
        parts["held_out"] = load_data(f"{recipe.training.data}:{HELD_OUT}", None, graph)
        held_out = {"samples": len(parts["held_out"][1]), "float_accuracy": before}
    for bits in all_bits:
        for method in methods:
            row = measure(graph, bits, method, take(drawn, entry, 0, SAMPLES.get(method, 1)), parts)
            kept = read_record(name)  # again, since another process may measure other rows
            same = kept is not None and kept["checkpoint_sha256"] == sha256 and kept["data"] == zoo["data"]
            rows = kept["rows"] if same and kept is not None else {}
            rows[f"{bits} {method}"] = row | {"snncc": snncc.__version__}
            said = row.get("refused") or f"{100 * row['accuracy']:.2f} %, {row['compile_seconds']:.0f} s"
            print(f"{name} {bits} {method}: {said}", flush=True)
            record = {
                "checkpoint_sha256": sha256,
                "data": zoo["data"],
                "samples": zoo["samples"],
                "float_accuracy": zoo["float_accuracy"],
                "held_out": held_out,
                "calibration": {"data": training, "samples": SAMPLES},
                "rows": dict(sorted(rows.items())),
            }
            with written_beside(folder() / f"{name}.json") as beside:
                beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(
    graph: Graph, bits: int, method: str, calibration: Any, parts: Mapping[str, tuple[Inputs, Any]]
) -> dict[str, Any]:
    """Accuracy of a network so quantised on each of ``parts``, and the processor seconds that compiling took; or why it is
    refused."""
    start = time.process_time()
    try:
        program = program_of(graph, bits, method, calibration)
    except SnnccError as error:
        return {"refused": str(error)}
    row = {"compile_seconds": round(time.process_time() - start, 1)}
    for name, (inputs, labels) in parts.items():
        found = run_all(get_target("fixed-sim"), program, None, inputs, RunOptions(threads=1))
        row[name] = float(correct(found.predictions, labels).mean())
    return row


def main() -> int:
    """Exit code 0."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--write", nargs="*", metavar="NAME", help="networks to measure; all")
    arguments.add_argument("--bits", nargs="+", type=int, default=list(BITS), help="bits a weight")
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    arguments.add_argument("--table", action="store_true", help="write the table into docs/quantisation.md")
    given = arguments.parse_args()
    if given.write is not None:
        for name in given.write or networks():
            if name not in networks():
                raise InputError(f"{name}: no trained network of that name; there are {', '.join(networks())}")
            measured(name, given.bits, given.methods)
    if given.table:
        write_table(Path("docs/quantisation.md"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SnnccError as error:
        sys.exit(f"error  {error}")
