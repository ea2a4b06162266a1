"""Neurons that fire as often as their input says, as sinabs's and Rockpool's do by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snncc.compare import compare_recordings
from snncc.compiler import compile_graph
from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.program.program import check_population
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import RunOptions


def test_thousands_of_spikes_in_a_step() -> None:
    neuron = Neuron(Dynamics(threshold=1.0, levels=65_536))
    graph = chain(
        {
            "input": Input((2,), "frames", 1.0, 0, 20_000),
            "fc1": Dense(np.array([[1.0, 0.5], [0.25, 1.0]])),
            "iaf1": neuron,
            "fc2": Dense(np.array([[1.0, -0.5]])),
            "iaf2": neuron,
            "output": Output(),
        },
        3,
    )
    fixed_sim = get_target("fixed-sim")
    made = compile_graph(graph, fixed_sim)
    inputs = np.array([[[20_000, 7]], [[3, 19_999]], [[0, 0]]])
    golden = run_reference(made.program, inputs)
    found = fixed_sim.run(made.program, None, inputs, RunOptions(record=True))
    assert compare_recordings(golden, found, ["iaf1", "iaf2"]).differing == 0
    assert golden.spikes["iaf1"].max() > 15_000
    exact = run_graph(graph, inputs).spikes["iaf1"]
    assert np.abs(golden.spikes["iaf1"] / np.maximum(exact, 1) - 1)[exact > 100].max() < 0.01


def test_spikes_whose_resets_leave_64_bits_are_refused() -> None:
    program = compile_graph(
        chain({"input": Input((1,), "frames", 1.0, 0, 1), "fc": Dense(np.ones((1, 1))), "iaf": Neuron(Dynamics(levels=60_000)),
               "output": Output()}, 2),
        get_target("fixed-sim"),
    ).program  # fmt: skip
    (population,) = program.populations
    with pytest.raises(GraphError, match="60000 spikes of 281474976710655 units each leave 64 bits"):
        check_population(replace(population, reset_amount=np.full(1, 2**48 - 1)))
