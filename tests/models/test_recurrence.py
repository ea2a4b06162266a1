"""Loops and delays: the module, the interpreter and the compiled network have one meaning, and gradients run through time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.compiler import compile_graph
from snncc.errors import GraphError, InputError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.frontends.description import graph_of, parse_source
from snncc.ir.graph import Edge
from snncc.ir.interpreter import run_graph
from snncc.models.checkpoint import load_module, write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.recipes import RECIPES
from snncc.models.recurrence import parts_of
from snncc.models.recurrent import recurrent
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions

STEPS = 9
ENTRY = {"encoding": "spikes", "scale": 1.0, "low": -1, "high": 1}
NEURON = {"threshold": 0.5, "compare": ">", "reset": "subtract", "reset_timing": "immediate", "decay_timing": "before"}
DENSE = {"kind": "dense", "in_features": 4, "out_features": 4, "bias": False}


def described(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "input_size": 3, "hidden": [5, 4], "classes": 2, "time_steps": STEPS, "neuron": NEURON, "entry": ENTRY,
        "readout_decay": 0.5, "time_constants": (2.0, 20.0),
    }  # fmt: skip
    return recurrent("loops", **fields | changes)


def network(seed: int = 0, **changes: Any) -> SpikingNetwork:
    torch.manual_seed(seed)
    made = SpikingNetwork(described(**changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2)
    return made


def spikes(samples: int = 5) -> np.ndarray:
    return np.random.default_rng(3).integers(-1, 2, (STEPS, samples, 3))


@pytest.mark.parametrize("seed", range(3))
def test_module_interpreter_and_program_agree(tmp_path: Path, seed: int) -> None:
    path, x = tmp_path / "loops.pt", spikes()
    write_checkpoint(path, *network(seed).deployed(), {})
    graph, module = read_checkpoint(path), load_module(path).double()
    assert Edge("loop1", "lif1", 1) in graph.edges
    recording = run_graph(graph, x)
    with torch.no_grad():
        values, scores = module.record(torch.from_numpy(x)), module(torch.from_numpy(x))
    for name in ("lif1", "lif2"):
        assert recording.spikes[name].any()
        np.testing.assert_array_equal(values[name].numpy(), recording.spikes[name])
    assert scores.shape == (5, STEPS, 2)
    np.testing.assert_allclose(scores.numpy(), recording.scores, rtol=1e-9, atol=1e-9)
    program = compile_graph(graph, get_target("fixed-sim"), CompileOptions()).program
    assert np.mean(run_reference(program, x).spikes["lif1"] == recording.spikes["lif1"]) > 0.95


def test_a_loop_is_the_sum_of_what_its_own_spikes_gave_before() -> None:
    module, x = network().double(), torch.from_numpy(spikes())
    with torch.no_grad():
        values = module.record(x)
        assert module.loop1.weight is not None
        heard = values["fc1"].clone()
        heard[1:] += values["lif1"][:-1] @ module.loop1.weight.T
        again = module.lif1(heard, STEPS)
    torch.testing.assert_close(again, values["lif1"], rtol=0, atol=0)


def test_gradients_through_the_loop_are_those_of_the_unrolled_network() -> None:
    """Without spikes, membranes are a linear map of time, whose derivative is known: finite differences."""
    silent = [
        {"name": "lif", "kind": "neuron", "inputs": ["input", "loop@2"], "fires": False, "membrane_decay": 0.8},
        {"name": "loop", **DENSE},
        {"name": "out", "kind": "dense", "in_features": 4, "out_features": 2, "bias": True, "inputs": ["lif"]},
    ]
    output = {"readout": "membrane", "ties": "lowest_index", "each_step": True}
    description = {
        "name": "n", "time_steps": 6, "input": {"shape": [4], **ENTRY}, "layers": silent, "output": output
    }  # fmt: skip
    torch.manual_seed(1)
    module, x = SpikingNetwork(description).double(), torch.randint(-1, 2, (6, 3, 4))
    weight = module.loop.weight
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(module, {"loop.weight": w}, (x,)),
        (weight.detach().clone().requires_grad_(),),
    )


def test_which_layers_run_step_by_step() -> None:
    inputs = {"a": ["input"], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["d"]}
    assert parts_of(inputs, {}) == [([n], False) for n in inputs]
    assert parts_of(inputs, {"b": [("c", 1)]}) == [(["a"], False), (["b", "c"], True), (["d"], False), (["e"], False)]
    overlapping = {"b": [("c", 1)], "c": [("d", 2)]}
    assert parts_of(inputs, overlapping) == [(["a"], False), (["b", "c", "d"], True), (["e"], False)]
    assert parts_of(inputs, {"d": [("a", 1)]})[3] == (["d"], True)
    assert parts_of(inputs, {"b": [("b", 1)], "c": [("c", 1)]})[1:3] == [(["b"], True), (["c"], True)]


def changed(position: int, **fields: Any) -> dict[str, Any]:
    description = described()
    description["layers"][position] |= fields
    return description


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (changed(1, inputs=["fc1", "nowhere@1"]), "lif1: is fed by nowhere of an earlier step"),
        (changed(1, inputs=["loop1@1"]), "lif1: has delayed inputs alone"),
        (changed(1, surrogate={"method": "leak_aware"}, reset="to_value"), "lif1: a LeakAwareNeuron sees all steps"),
        (changed(2, kind="batch_norm", channels=5, eps=1e-5), "loop1: a BatchNorm sees all steps at once"),
    ],
)
def test_what_cannot_hear_earlier_steps_is_named(description: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        SpikingNetwork(description)


@pytest.mark.parametrize("text", ["loop@0", "loop@", "loop@-1", "loop@1.5", "loop@x", "loop@99999999999"])
def test_wrong_delays(text: str) -> None:
    with pytest.raises(InputError, match=r"fc: is fed by 'loop@.*a delay is a whole number of steps"):
        parse_source("fc", text)
    assert parse_source("fc", "loop@12") == ("loop", 12) and parse_source("fc", "loop") == ("loop", 0)


def test_a_delay_to_a_layer_that_is_not_there() -> None:
    description = changed(1, inputs=["fc1", "nowhere@1"])
    state = {k: v.numpy() for k, v in network().state_dict().items()}
    with pytest.raises((InputError, GraphError), match="nowhere"):
        graph_of(description, state, {})


def test_the_recipe() -> None:
    recipe = RECIPES["ecg-recurrent"]
    module = SpikingNetwork(recipe.network | {"time_steps": 20})
    decays = module.lif1.dynamics.membrane_decay
    assert isinstance(decays, np.ndarray) and np.all(np.diff(decays) > 0)
    assert module(torch.ones(20, 2, 4)).shape == (2, 20, 6)
