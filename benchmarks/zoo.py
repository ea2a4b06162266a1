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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import snncc
from benchmarks.results import record_path, write_results
from snncc.accuracy import correct
from snncc.cli.options import load_data
from snncc.compiler import Compilation, compile_graph
from snncc.energy.costs import DEFAULT_COSTS, load_costs
from snncc.errors import InputError, SnnccError
from snncc.evidence import FAILED
from snncc.feed import sample_count
from snncc.files import sha256_of, written_beside
from snncc.frontends import load_model
from snncc.frontends.description import ACTIVATIONS
from snncc.gates import Limits
from snncc.ir.graph import Graph
from snncc.models.conversion import convert_file
from snncc.profile import measure, profile
from snncc.registry import get_models, get_target
from snncc.sampling import ALL, choose_samples
from snncc.target import CompileOptions, RunOptions, Target, run_all
from snncc.targets.loihi_sim.setup import find_lava
from snncc.verify import Verification, verify

MAX_DROP = 0.2
"""Points of accuracy that 8-bit compilation may cost: on a whole test set as measured; a part of it, where some samples tip by
chance, fails a network only where it leaves no doubt."""
EXACT = 16
EXACT_ON_LAVA = 2
CONVERTED_STEPS = 16
"""Steps at which a network that is an ANN is converted and judged."""
REPORTED_STEPS = (4, 8, 16, 32)


def is_ann(recipe: Any) -> bool:
    """Whether the recipe trains an ANN, which becomes a spiking network by conversion."""
    return any(layer["kind"] in ACTIVATIONS for layer in recipe.network["layers"])


def deployed(recipe: Any) -> Graph:
    """The network of the recipe's checkpoint, converted where it is an ANN."""
    if not is_ann(recipe):
        return load_model(recipe.checkpoint)
    graph: Graph = convert_file(recipe.checkpoint, CONVERTED_STEPS).graph()
    return graph


def compiled(recipe: Any, graph: Graph, target: Target) -> Compilation:
    """The network on the bits that it was fine-tuned for, else on 8."""
    return compile_graph(graph, target, CompileOptions(bits=recipe.training.bits or CompileOptions.bits))


def conversion(recipe: Any, limit: int | None) -> dict[str, Any]:
    """Accuracy of the ANN, and of the converted, 8-bit compiled network after so many steps for both initial potentials."""
    data, engine = f"{recipe.training.data}:{recipe.training.test_splits[0]}", get_target("fixed-sim")
    found: dict[str, Any] = {
        "ann_accuracy": convert_file(recipe.checkpoint, 1, report_data=data, limit=limit).ann_accuracy
    }
    for v_init in ("half", "zero"):
        graph = convert_file(recipe.checkpoint, REPORTED_STEPS[-1], v_init=v_init).graph()
        program = compile_graph(graph, engine).program
        program = replace(program, readout=replace(program.readout, each_step=True))
        inputs, labels = load_data(data, limit, graph)
        predictions = run_all(engine, program, None, inputs, RunOptions()).predictions
        found[v_init] = {str(t): float(np.mean(predictions[:, t - 1] == labels)) for t in REPORTED_STEPS}
    return found


def verified(name: str, limit: int | None) -> tuple[Verification, dict[str, Any]]:
    """``snncc verify`` on fixed-sim with the recipe's test set, and what a record holds of it."""
    recipe = get_models()[name]
    graph = deployed(recipe)
    engine = get_target("fixed-sim")
    program = compiled(recipe, graph, engine).program
    first, *more = (f"{recipe.training.data}:{split}" for split in recipe.training.test_splits)
    inputs, labels = load_data(first, limit, graph)
    sampling = choose_samples(ALL, sample_count(inputs, program.source), limit, False, 0)
    gates = Limits(max_accuracy_drop=MAX_DROP)
    found = verify(graph, program, engine, engine, None, inputs, labels, EXACT, gates, sampling=sampling)
    measured = measure(program, engine, inputs, RunOptions(), neurons=False)
    report = profile(
        measured, load_costs(DEFAULT_COSTS), None, draws=1
    )  # on no chip: a spike is one message to each layer
    energy = report.total.energy
    others = {}
    for other in more:
        inputs, labels = load_data(other, limit, graph)
        assert labels is not None
        right = correct(run_all(engine, program, None, inputs, RunOptions()).predictions, labels)
        others[other.partition(":")[2]] = {"samples": len(labels), "integer_accuracy": float(np.mean(right))}
    return found, {
        "snncc": snncc.__version__,
        "checkpoint_sha256": sha256_of(recipe.checkpoint),
        "data": first,
        "time_steps": program.time_steps,
        "bits": recipe.training.bits or CompileOptions.bits,
        "samples": found.samples,
        "float_accuracy": found.float_accuracy,
        "integer_accuracy": found.integer_accuracy,
        "drop_interval_95": found.drop_interval,
        "agreement": found.agreement,
        "differing_cells": found.reference.differing,
        "spikes_per_inference": found.integer_spikes,
        "synaptic_operations_per_inference": report.total.synaptic_operations,
        "energy_s1_joules": [energy.low, energy.typ, energy.high],
        "energy_costs": report.costs.name,
        "other_splits": others,
    }


def on_lava(name: str) -> dict[str, int]:
    """Cells in which the Lava runtime differs from the reference, on a few samples."""
    recipe = get_models()[name]
    graph = deployed(recipe)
    target = get_target("loihi-sim")
    made = compiled(recipe, graph, target)
    if made.errors:
        return {"refused": len(made.errors)}
    inputs, labels = load_data(f"{recipe.training.data}:{recipe.training.test_splits[0]}", EXACT_ON_LAVA, graph)
    found = verify(graph, made.program, target, get_target("fixed-sim"), None, inputs, labels, EXACT_ON_LAVA)
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
    if unknown := [name for name in given.names if name not in trained]:
        raise InputError(f"{', '.join(unknown)}: no trained network of that name; there are {', '.join(trained)}")
    failed = 0
    for name in given.names or trained:
        found, record = verified(name, given.limit)
        record["lava"] = on_lava(name) if find_lava() and not given.no_lava else None
        exact = record["lava"] is None or not record["lava"].get("differing")
        passed = found.outcome != FAILED and exact
        failed += not passed
        print(
            f"{'PASS' if passed else 'FAIL'}  {name:<32} float {100 * record['float_accuracy']:.2f} %  "
            f"compiled {100 * record['integer_accuracy']:.2f} %  on {record['samples']:,}; differing cells: fixed-sim "
            f"{record['differing_cells']}, Lava {record['lava']}",
            flush=True,
        )
        if given.record:
            recipe = get_models()[name]
            record["conversion"] = conversion(recipe, given.limit) if is_ann(recipe) else None
            with written_beside(record_path(name)) as beside:
                beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SnnccError as error:
        sys.exit(f"error  {error}")
