"""Faults planted in the Program, in lowering and in a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_faults import FIXED, X, named, negated, program_with, projection_with, walked
from small_net import (
    Place,
    down,
    first_place,
    graph_of,
    grid_net,
    random_net,
    simulate_program,
)

from snncc.compiler import compile_graph
from snncc.diff.stages import compile_stages, target_stage
from snncc.diff.walk import Step
from snncc.errors import TargetError
from snncc.program.lower import lower
from snncc.program.program import Arithmetic, Program
from snncc.program.reference import run_reference
from snncc.target import CompileOptions, RunOptions, Target

Array = np.ndarray


PROGRAM_FAULTS: dict[str, tuple[Callable[[Program], Program], str]] = {
    "threshold doubled": (program_with("lif2", threshold=lambda x: 2 * x), "lif2"),
    "weight sign flipped": (projection_with("dense3", weight=lambda w: negated(w, 2, 5)), "lif3"),
    "delay one too long": (projection_with("dense3", delay=2), "lif3"),
    "wrong reset kind": (program_with("lif1", reset="to_value"), "lif1"),
    "dead channel": (program_with("lif1", bias=lambda b: b - 10**6 * np.eye(3, dtype=int)[1][:, None, None]), "lif1"),
    "padding shifted": (projection_with("conv1", padding=(1, 1)), "lif1"),
}


@pytest.mark.parametrize("fault", PROGRAM_FAULTS)
def test_a_fault_in_the_program(fault: str) -> None:
    """A Program that is not what the pipeline makes: its constants are named, and the first cell is the fault's own."""
    spoil, layer = PROGRAM_FAULTS[fault]
    graph = graph_of(random_net())
    right = compile_graph(graph, FIXED).program
    expected = first_place(simulate_program(right, X), simulate_program(spoil(right), X))
    assert expected is not None and expected[0] == layer
    found = walked(compile_stages(graph, FIXED, CompileOptions(), program=spoil(right)))
    step = found.first_fault
    assert step is not None and step.after == "program" and step.before == "program (compiled again)"
    assert named(step.first) == named(step.fault) == expected and {o.layer for o in step.offences} == {layer}
    if fault == "dead channel":
        dead = next(
            f for f in found.findings if f.what == "dead neurons" and f.layer == "lif1" and "channel 1" in f.actual
        )
        assert "never from program on" in dead.actual and dead.remedy


@pytest.mark.parametrize("fault", PROGRAM_FAULTS)
def test_a_fault_in_lowering(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no right Program to compare with: leaks may round the membranes of the quantised Graph, and nothing else. The
    fault is seen in the first membrane that it moves, in the layer and no later than in the spike that the loops find."""
    spoil, layer = PROGRAM_FAULTS[fault]
    graph = graph_of(random_net())
    right = compile_graph(graph, FIXED).program
    expected = first_place(simulate_program(right, X), simulate_program(spoil(right), X))
    monkeypatch.setattr("snncc.diff.stages.lower", lambda *given: spoil(lower(*given)))
    step = walked(compile_stages(graph, FIXED, CompileOptions())).first_fault
    assert step is not None and step.after == "program" and step.fault is not None and expected is not None
    assert step.fault.layer == layer and step.fault.step <= expected[1]


def test_a_comparison_in_the_program() -> None:
    graph = graph_of(grid_net())
    right = compile_graph(graph, FIXED).program
    wrong = program_with("lif2", compare=">")(right)
    expected = first_place(simulate_program(right, X), simulate_program(wrong, X))
    step = walked(compile_stages(graph, FIXED, CompileOptions(), program=wrong)).first_fault
    assert step is not None and step.after == "program" and named(step.first) == named(step.fault) == expected


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (program_with("lif2", compare=">"), "comparison, threshold or levels"),
        (lambda p: replace(p, readout=replace(p.readout, ties="highest_index")), "the same spikes and another answer"),
    ],
)
def test_a_rule_changed_in_lowering(
    spoil: Callable[[Program], Program], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no right Program is there to compare with, membranes and answers tell."""
    monkeypatch.setattr("snncc.diff.stages.lower", lambda *given: spoil(lower(*given)))
    graph = graph_of(grid_net() if "comparison" in said else random_net())
    step = walked(compile_stages(graph, FIXED, CompileOptions())).first_fault
    assert step is not None and step.after == "program" and said in step.why


def on_target(run: Callable[[Program, Array], Any]) -> Target:
    return replace(FIXED, name="odd-chip", run=lambda program, folder, x, options: run(program, x))


def test_a_target_that_rounds_leaks_down() -> None:
    graph = graph_of(random_net())
    program = compile_graph(graph, FIXED, CompileOptions(guard_bits=0)).program
    expected = first_place(simulate_program(program, X), simulate_program(program, X, leak=down))
    floor = replace(program.arithmetic, rounding="floor")
    odd = on_target(lambda p, x: run_reference(replace(p, arithmetic=floor), x))
    stages = compile_stages(graph, FIXED, CompileOptions(guard_bits=0))
    found = walked([*stages, target_stage(odd, program, None, RunOptions())])
    step = found.first_fault
    assert expected is not None and step is not None and step.after == "odd-chip" and named(step.first) == expected


def added(array: Array, place: tuple[int, ...]) -> Array:
    made = array.copy()
    made[place] += 1
    return made


TARGET_FAULTS: dict[str, tuple[Callable[[Any], Any], Place]] = {
    "membrane of a hidden layer": (
        lambda run: replace(run, membranes={**run.membranes, "lif2": added(run.membranes["lif2"], (3, 2, 5))}),
        ("lif2", 3, 2, (5,)),
    ),
    "score": (lambda run: replace(run, scores=added(run.scores, (1, 3))), ("readout", -1, 1, (3,))),
    "answers": (lambda run: replace(run, predictions=added(run.predictions, (2,)) % 4), ("readout", -1, 2, ())),
}


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("fault", TARGET_FAULTS)
def test_a_target_whose_spikes_are_right(fault: str, few: bool) -> None:
    """Spikes alone do not tell: all that a target gives is compared, on some samples or on all."""
    spoil, expected = TARGET_FAULTS[fault]
    program = compile_graph(graph_of(random_net()), FIXED).program

    def first_fault(odd: Target) -> Step | None:
        stages = compile_stages(graph_of(random_net()), FIXED, CompileOptions())
        return walked([*stages, replace(target_stage(odd, program, None, RunOptions()), few=few)]).first_fault

    step = first_fault(on_target(lambda p, x: spoil(run_reference(p, x))))
    assert step is not None and step.after == "odd-chip" and step.differing == 0 and named(step.fault) == expected
    assert first_fault(on_target(run_reference)) is None


def test_a_target_that_leaves_a_layer_out() -> None:
    def short(program: Program, x: Array) -> Any:
        run = run_reference(program, x)
        return replace(run, spikes={n: s for n, s in run.spikes.items() if n != "lif2"})

    program = compile_graph(graph_of(random_net()), FIXED).program
    stages = compile_stages(graph_of(random_net()), FIXED, CompileOptions())
    with pytest.raises(TargetError, match="odd-chip: gives no spikes of lif2"):
        walked([*stages, target_stage(on_target(short), program, None, RunOptions())])


@pytest.mark.parametrize("bits", [14, 15])
def test_a_saturating_accumulator(bits: int) -> None:
    """What rounding does and what too few bits do stand apart: "lower" has room for all, "program" has not."""
    graph = graph_of(random_net())
    program = compile_graph(graph, FIXED).program
    expected = first_place(simulate_program(program, X), simulate_program(program, X, width=bits))
    narrow = Arithmetic("loihi", "nearest", "saturate", "saturate", bits)
    found = walked(compile_stages(graph, replace(FIXED, arithmetic=narrow), CompileOptions()))
    lower, step = found.steps[-2:]
    assert (lower.after, step.after, step.cause) == ("lower", "program", "saturation")
    assert expected is not None and named(step.first) == expected
    assert step.fault is not None and step.fault.step <= expected[1]
    said = next(f for f in found.findings if "saturation" in f.what)
    assert said.layer == step.fault.layer and "--guard-bits" in said.remedy and found.first_fault is None
