"""The trained networks, from checkpoint to integers to Lava, on real images: the figures the README quotes."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import pytest

from benchmarks import zoo
from snncc.compare import compare_recordings
from snncc.compiler import compile_graph
from snncc.data import load
from snncc.evidence import FAILED
from snncc.frontends import load_model
from snncc.gates import Limits
from snncc.ir.graph import Graph
from snncc.program.program import Program
from snncc.program.reference import run_reference
from snncc.registry import get_models, get_target, resolve_model
from snncc.target import RunOptions
from snncc.verify import verify

MODELS = {"mnist-lif": 0.993, "mnist-multi-threshold": 0.996}
"""Float accuracy on the whole test set that each must reach."""

needs_data = pytest.mark.skipif(
    not os.environ.get("SNNCC_DATA"),
    reason="whole test sets: point SNNCC_DATA at a folder that holds mnist/ and the others",
)
TRAINED = [name for name, recipe in get_models().items() if recipe.checkpoint.is_file()]


@cache
def network(model: str) -> Graph:
    return load_model(resolve_model(model))


@cache
def program(model: str, target: str) -> Program:
    made = compile_graph(network(model), get_target(target))
    assert not made.errors
    return made.program


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
@pytest.mark.parametrize("model", MODELS)
def test_fixed_sim_is_the_reference_on_200_images(model: str, target: str) -> None:
    images = load("mnist:demo", 200).inputs
    made = program(model, target)
    golden = run_reference(made, images)
    fast = get_target("fixed-sim").run(made, None, images, RunOptions(record=True, batch=64))
    found = compare_recordings(golden, fast, [p.name for p in made.populations])
    assert found.differing == 0, found.first
    assert found.cells > 200 * 2 * made.time_steps * 10_000
    for name, counts in golden.counts.items():
        for kind in ("updates", "active", "spikes"):
            assert np.array_equal(getattr(counts, kind), getattr(fast.counts[name], kind)), (name, kind)
        for synapse, operations in counts.synaptic_operations.items():
            assert np.array_equal(operations, fast.counts[name].synaptic_operations[synapse]), synapse


@pytest.mark.parametrize("model", MODELS)
def test_the_lava_runtime_is_the_reference_on_8_images(model: str, lava: None) -> None:
    images = load("mnist:demo", 8).inputs
    made = program(model, "loihi-sim")
    run = get_target("loihi-sim").run(made, None, images, RunOptions(record=True))
    found = compare_recordings(run_reference(made, images), run, [p.name for p in made.populations])
    assert found.differing == 0, found.first
    assert found.cells > 8 * made.time_steps * 10_000


def test_lavas_own_arithmetic_is_the_reference_on_1000_images(lava: None) -> None:
    from snncc.targets.loihi_sim.runner import run_program

    images = load("mnist:demo").inputs
    made = program("mnist-lif", "loihi-sim")
    for start in range(0, 1000, 250):
        part = images[start : start + 250]
        run = run_program(made, None, part, RunOptions(record=True), direct=True)
        found = compare_recordings(run_reference(made, part), run, [p.name for p in made.populations])
        assert found.differing == 0, found.first


def test_the_lif_net_uses_lavas_stock_neurons() -> None:
    from snncc.program.bounds import prove_bounds
    from snncc.targets.loihi_sim.placement import place

    made = program("mnist-lif", "loihi-sim")
    placed = {p.name: p.process for p in place(made, prove_bounds(made)).populations}
    assert [placed[f"lif{i}"] for i in (1, 2, 3)] == ["lif"] * 3


@needs_data
@pytest.mark.parametrize("model", TRAINED)
def test_every_trained_network_deploys(model: str, lava: None) -> None:
    """``make zoo LIMIT=100``: fixed-sim in accuracy and cell by cell, the Lava runtime on two samples."""
    found, _ = zoo.verified(model, 100)
    assert found.outcome != FAILED, found.gates
    assert zoo.on_lava(model)["differing"] == 0


@needs_data
@pytest.mark.parametrize("model", MODELS)
def test_accuracy_on_the_whole_test_set(model: str) -> None:
    test = load("mnist:test")
    fixed_sim = get_target("fixed-sim")
    made = program(model, "fixed-sim")
    found = verify(
        network(model), made, fixed_sim, fixed_sim, None, test.inputs, test.labels, 4, Limits(max_accuracy_drop=0.1)
    )
    assert found.samples == 10_000
    assert found.float_accuracy is not None and found.float_accuracy >= MODELS[model]
    assert found.passed, found.gates
