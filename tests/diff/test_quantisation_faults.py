"""Faults planted in quantisation: told from rounding, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_faults import (
    FIXED,
    X,
    delayed,
    dynamics,
    faulty_target,
    flip_one,
    named,
    negated,
    node,
    of,
    program_with,
    projection_with,
    walked,
)
from small_net import (
    exactly,
    first_place,
    graph_of,
    grid_net,
    random_net,
    simulate,
    simulate_program,
)

from snncc.compiler import compile_graph
from snncc.diff.stages import compile_stages
from snncc.ir.graph import Graph
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.target import CompileOptions

Array = np.ndarray


def coarse(decay: Any) -> Array:
    """A leak cut off to 8 bits where it should be rounded to 12."""
    return np.asarray(np.floor(np.asarray(decay) * 256) / 256)


QUANTISED: dict[str, tuple[Callable[[Graph], Graph], Callable[[Program], Program], str, str]] = {
    "threshold doubled": (
        dynamics("lif2", threshold=lambda x: 2 * x),
        program_with("lif2", threshold=lambda x: 2 * x),
        "lif2",
        "threshold",
    ),
    "leak rounded wrong": (
        dynamics("lif1", membrane_decay=coarse),
        program_with("lif1", decay_v=lambda x: x // 16 * 16),
        "lif1",
        "membrane_decay",
    ),
    "weight sign flipped": (
        node("dense3", flip_one),
        projection_with("dense3", weight=lambda w: negated(w, 2, 5)),
        "lif3",
        "weight",
    ),
    "kernel flipped": (
        node("conv1", lambda c: replace(c, weight=c.weight[:, :, ::-1, ::-1])),
        projection_with("conv1", weight=lambda w: w[:, :, ::-1, ::-1]),
        "lif1",
        "weight",
    ),
    "channel permuted": (
        node("conv1", lambda c: replace(c, weight=c.weight[[1, 0, 2]])),
        projection_with("conv1", weight=lambda w: w[[1, 0, 2]]),
        "lif1",
        "weight",
    ),
    "wrong reset kind": (
        dynamics("lif1", reset="to_value"),
        program_with("lif1", reset="to_value"),
        "lif1",
        "reset",
    ),
    "bias one step early": (
        dynamics("lif2", v_init=lambda _: 1000.0),
        program_with("lif2", v_init=np.asarray(1000)),
        "lif2",
        "v_init",
    ),
    "padding shifted": (
        node("conv1", lambda c: replace(c, padding=(1, 1))),
        projection_with("conv1", padding=(1, 1)),
        "lif1",
        "padding",
    ),
    "delay one too long": (delayed(1), projection_with("dense3", delay=2), "lif3", "delay or wiring"),
}


@pytest.mark.parametrize("fault", QUANTISED)
def test_a_fault_in_quantisation_is_told_from_rounding(fault: str) -> None:
    """The fault's own first cell, not the first of ordinary rounding: as between the Program that is right and the one that
    has the fault, both run by the loops in numbers that need no rounding of leaks."""
    spoil, spoil_program, layer, what = QUANTISED[fault]
    graph = graph_of(random_net())
    program = compile_graph(graph, FIXED).program
    expected = first_place(*(simulate_program(p, X, leak=exactly) for p in (program, spoil_program(program))))
    found = walked(compile_stages(graph, faulty_target("quantise", spoil), CompileOptions()))
    alone, step = (next(s for s in found.steps if s.after == n) for n in ("quantise (rounding alone)", "quantise"))
    assert alone.cause == "rounding" and step.cause == "fault" and found.first_fault is step
    assert {(o.layer, o.field) for o in step.offences} == {(layer, what)}
    assert expected is not None and expected[0] == layer and named(step.first) == expected
    assert found.first_change is not None and found.first_change.after == "quantise (rounding alone)"


def test_a_comparison_changed_by_quantisation() -> None:
    """Where no constant needs rounding, and nothing else changes a spike."""
    net = grid_net()
    expected = first_place(simulate(net, X), simulate(of("lif1", strict=True)(net), X))
    target = faulty_target("quantise", dynamics("lif1", compare=">"))
    found = walked(compile_stages(graph_of(net), target, CompileOptions()))
    step = found.first_fault
    assert step is not None and step.after == "quantise" and named(step.first) == expected is not None
    assert [(o.layer, o.field) for o in step.offences] == [("lif1", "compare")] and found.first_change is step


LEARNED: dict[str, tuple[Callable[[Graph], Graph], str, str]] = {
    "weight sign flipped": (node("dense3", flip_one), "lif3", "weight"),
    "weight two units off": (
        node("dense2", lambda d: replace(d, weight=d.weight + 2 * np.eye(*d.weight.shape))),
        "lif2",
        "weight",
    ),
    "bias beyond what was said": (dynamics("lif2", bias=lambda b: b + 1), "lif2", "bias"),
    "threshold doubled": (dynamics("lif1", threshold=lambda t: 2 * t), "lif1", "threshold"),
}


@pytest.mark.parametrize("fault", LEARNED)
def test_a_fault_in_learned_rounding(fault: str) -> None:
    """It may round up or down and add to biases what it says; what is more, is named."""
    spoil, layer, what = LEARNED[fault]
    options = CompileOptions(4, calibration=X, rounding="learned")
    step = walked(compile_stages(graph_of(random_net()), faulty_target("learn-rounding", spoil), options)).first_fault
    assert step is not None and step.after == "learn-rounding"
    assert {(o.layer, o.field) for o in step.offences} == {(layer, what)}


def test_rounding_alone_is_no_fault() -> None:
    for target in (FIXED, get_target("loihi-sim")):
        for options in (CompileOptions(), CompileOptions(bits=3), CompileOptions(per_channel=False, guard_bits=0)):
            found = walked(compile_stages(graph_of(random_net(5)), target, options))
            assert found.first_fault is None and any(step.cause == "rounding" for step in found.steps)


@pytest.mark.parametrize(
    ("spoil", "layer", "what"),
    [
        (dynamics("lif1", spike_value=2.0), "lif1", "spike_value"),
        (node("output", lambda output: replace(output, ties="highest_index")), "output", "ties"),
    ],
)
def test_a_rule_changed_in_quantisation(spoil: Callable[[Graph], Graph], layer: str, what: str) -> None:
    """Laid to the pass and its layer, not to what comes behind."""
    found = walked(compile_stages(graph_of(random_net()), faulty_target("quantise", spoil), CompileOptions()))
    step = found.first_fault
    assert step is not None and step.after == "quantise"
    assert [(o.layer, o.field) for o in step.offences] == [(layer, what)]
    finding = next(f for f in found.findings if "quantise goes beyond" in f.what)
    assert finding.layer == layer and "by quantise: mend that pass" in finding.remedy


def test_a_rule_that_a_quantising_pass_says_it_rewrites() -> None:
    spoil = dynamics("lif3", compare=">")
    for rewrites, cause in (((), "fault"), (("compare",), "rounding")):
        target = faulty_target("quantise", spoil, rewrites=rewrites)
        step = next(
            s
            for s in walked(compile_stages(graph_of(random_net()), target, CompileOptions())).steps
            if s.after == "quantise"
        )
        assert step.cause == cause
