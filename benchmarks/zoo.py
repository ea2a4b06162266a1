"""Every trained network of the zoo through compile, verify and profile; the table of docs/results.md is made of what this
records beside the checkpoints.

    python -m benchmarks.zoo [NAME …] [--limit 200]        verify only; exit 1 where a network fails
    python -m benchmarks.zoo [NAME …] --record             on the whole test set; writes models/checkpoints/NAME.json
    python -m benchmarks.zoo --table                       writes docs/results.md from recipes, logs and records
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import snncc
from benchmarks.results import record_path, write_results
from snncc.compiler import compile_graph
from snncc.data import load
from snncc.energy.costs import DEFAULT_COSTS, load_costs
from snncc.energy.model import price
from snncc.errors import SnnccError
from snncc.files import sha256_of, written_beside
from snncc.frontends import load_model
from snncc.registry import get_models, get_target
from snncc.target import RunOptions
from snncc.targets.loihi_sim.setup import find_lava
from snncc.verify import Verification, verify

MAX_DROP = 0.2
"""Points of accuracy that 8-bit compilation may cost on a whole test set; on a part of it at least two samples may tip."""
EXACT = 16
EXACT_ON_LAVA = 2


def verified(name: str, limit: int | None) -> tuple[Verification, dict[str, Any]]:
    """``snncc verify`` on fixed-sim with the recipe's test set, and what a record holds of it."""
    recipe = get_models()[name]
    graph = load_model(recipe.checkpoint)
    engine = get_target("fixed-sim")
    program = compile_graph(graph, engine).program
    data = load(f"{recipe.training.data}:{recipe.training.test_splits[0]}", limit)
    most = MAX_DROP if limit is None else max(MAX_DROP, 200 / limit)
    found = verify(graph, program, engine, engine, None, data.inputs, data.labels, EXACT, most)
    run = engine.run(program, None, data.inputs, RunOptions())
    report = price(program, run.counts, run.samples, load_costs(DEFAULT_COSTS))
    energy = report.total.energy
    others = {}
    for split in recipe.training.test_splits[1:]:
        more = load(f"{recipe.training.data}:{split}", limit)
        answers = engine.run(program, None, more.inputs, RunOptions()).predictions
        others[split] = {"samples": len(answers), "integer_accuracy": float(np.mean(answers == more.labels))}
    return found, {
        "snncc": snncc.__version__,
        "checkpoint_sha256": sha256_of(recipe.checkpoint),
        "data": data.name,
        "samples": found.samples,
        "float_accuracy": found.float_accuracy,
        "integer_accuracy": found.integer_accuracy,
        "drop_interval_95": found.drop_interval,
        "agreement": found.agreement,
        "differing_cells": found.reference.differing,
        "spikes_per_inference": found.integer_spikes,
        "synaptic_operations_per_inference": report.total.synaptic_operations / report.samples,
        "energy_s1_joules": [energy.low, energy.typ, energy.high],
        "energy_costs": report.costs.name,
        "other_splits": others,
    }


def on_lava(name: str) -> dict[str, int]:
    """Cells in which the Lava runtime differs from the reference, on a few samples."""
    recipe = get_models()[name]
    graph = load_model(recipe.checkpoint)
    target = get_target("loihi-sim")
    made = compile_graph(graph, target)
    if made.errors:
        return {"refused": len(made.errors)}
    data = load(f"{recipe.training.data}:{recipe.training.test_splits[0]}", EXACT_ON_LAVA)
    found = verify(graph, made.program, target, get_target("fixed-sim"), None, data.inputs, data.labels, EXACT_ON_LAVA)
    assert found.target is not None
    return {"samples": EXACT_ON_LAVA, "cells": found.target.cells, "differing": found.target.differing}


def main() -> int:
    """Exit code 0 where every network passes."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", help="networks; all that are trained")
    arguments.add_argument("--limit", type=int, help="test samples")
    arguments.add_argument("--record", action="store_true", help="write NAME.json beside each checkpoint")
    arguments.add_argument("--table", action="store_true", help="write docs/results.md")
    arguments.add_argument("--no-lava", action="store_true", help="leave the Lava runtime out")
    given = arguments.parse_args()
    if given.table:
        write_results(Path("docs/results.md"))
        return 0
    trained = [name for name, recipe in get_models().items() if recipe.checkpoint.is_file()]
    failed = 0
    for name in given.names or trained:
        found, record = verified(name, given.limit)
        record["lava"] = on_lava(name) if find_lava() and not given.no_lava else None
        exact = record["lava"] is None or not record["lava"].get("differing")
        passed = found.passed and exact
        failed += not passed
        print(
            f"{'PASS' if passed else 'FAIL'}  {name:<32} float {100 * record['float_accuracy']:.2f} %  "
            f"8-bit {100 * record['integer_accuracy']:.2f} %  on {record['samples']:,}; differing cells: fixed-sim "
            f"{record['differing_cells']}, Lava {record['lava']}",
            flush=True,
        )
        if given.record:
            with written_beside(record_path(name)) as beside:
                beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SnnccError as error:
        sys.exit(f"error  {error}")
