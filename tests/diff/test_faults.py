"""Faults planted in a Graph, in a pass, in the Program and in a target: ``snncc diff`` must name the layer, the first step and the
stage of each. Where each shows first is worked out here, by the loops of ``small_net``, for the fault as a person would write
it down, not by snncc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from small_net import (
    Net,
    Place,
    data,
    down,
    exactly,
    first_place,
    graph_of,
    grid_net,
    random_net,
    simulate,
    simulate_program,
)

from snncc.compare import Cell
from snncc.compiler import compile_graph
from snncc.diff.stages import ANYTHING, Stage, compile_stages, read_stage, target_stage
from snncc.diff.walk import Walk, walk
from snncc.ir.graph import Edge, Graph
from snncc.ir.nodes import Conv2d, Dense, Node
from snncc.pipeline import Context, PassResult
from snncc.program.lower import lower
from snncc.program.program import Arithmetic, Program
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions, Target

Array = np.ndarray
X = data()
FIXED = get_target("fixed-sim")


def named(cell: Cell | None) -> Place | None:
    return None if cell is None else (cell.layer, cell.step, cell.sample, cell.neuron)


def walked(stages: list[Stage]) -> Walk:
    graph = stages[0].graph
    assert graph is not None
    return walk(stages, graph.nodes[graph.input], X, None)  # type: ignore[arg-type]


def early(net: Net) -> Net:
    """The bias of lif2 comes in one step before the first."""
    return net.with_(lif2=replace(net.lif2, start=net.lif2.bias))


def silenced(net: Net) -> Net:
    return net.with_(gamma=net.gamma * [1, 0, 1], beta=net.beta * [1, 0, 1] - [0, 3, 0])


def of(name: str, **changes: Any) -> Callable[[Net], Net]:
    return lambda net: net.with_(**{name: replace(getattr(net, name), **changes)})


def negated(w: Array, *place: int) -> Array:
    made = w.copy()
    made[place] *= -1
    return made


GRAPH_FAULTS: dict[str, tuple[Callable[[Net], Net], str]] = {
    "threshold doubled": (of("lif2", threshold=2.0), "lif2"),
    "leak of another layer": (of("lif3", decay=0.9), "lif3"),
    "kernel flipped": (lambda net: net.with_(w1=net.w1[:, :, ::-1, ::-1]), "lif1"),
    "kernel transposed": (lambda net: net.with_(w1=net.w1.swapaxes(2, 3)), "lif1"),
    "bias one step early": (early, "lif2"),
    "dead channel": (silenced, "lif1"),
    "delay one too long": (lambda net: net.with_(delay=2), "lif3"),
    "delay missing": (lambda net: net.with_(delay=0), "lif3"),
    "wrong reset kind": (of("lif1", reset="to_value"), "lif1"),
    "weight sign flipped": (lambda net: net.with_(w3=negated(net.w3, 2, 5)), "lif3"),
    "channels permuted": (lambda net: net.with_(w2=net.w2.reshape(8, 3, 4)[:, [1, 0, 2]].reshape(8, 12)), "lif2"),
    "pooling factor missing": (lambda net: net.with_(divisor=1.0), "lif2"),
    "padding shifted": (lambda net: net.with_(padding=1), "lif1"),
}


@pytest.mark.parametrize("fault", GRAPH_FAULTS)
def test_a_fault_in_a_graph(fault: str) -> None:
    """Two networks of which nothing is known: the first differing cell is the one that the loops find."""
    plant, layer = GRAPH_FAULTS[fault]
    net = random_net()
    expected = first_place(simulate(net, X), simulate(plant(net), X))
    assert expected is not None and expected[0] == layer
    found = walked([read_stage(graph_of(net)), read_stage(graph_of(plant(net)), may=ANYTHING)])
    assert named(found.steps[0].first) == expected and found.steps[0].cause == "other"
    before = [x for x in found.steps[0].layers if x.layer < layer]
    assert all(x.differing == 0 and x.distance == 0 for x in before)
    assert next(x for x in found.steps[0].layers if x.layer == layer).distance > 0


def test_comparison_at_the_threshold() -> None:
    net = grid_net()
    wrong = net.with_(lif2=replace(net.lif2, strict=True))
    expected = first_place(simulate(net, X), simulate(wrong, X))
    assert expected is not None and expected[0] == "lif2"
    found = walked([read_stage(graph_of(net)), read_stage(graph_of(wrong))])
    assert named(found.steps[0].first) == expected


@dataclass(frozen=True)
class Planted:
    """A pass that does what ``real`` does and then spoils it."""

    real: Any
    spoil: Callable[[Graph], Graph]
    analysis: ClassVar[bool] = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run(self, graph: Graph, context: Context) -> PassResult:
        result = self.real.run(graph, context)
        return PassResult(self.spoil(result.graph), True, result.summary)


def faulty_target(name: str, spoil: Callable[[Graph], Graph], target: Target = FIXED) -> Target:
    """``target`` with its pass ``name`` spoilt."""

    def pipeline(options: CompileOptions) -> list[Any]:
        return [Planted(p, spoil) if p.name == name else p for p in target.pipeline(options)]

    return replace(target, pipeline=pipeline)


def node(name: str, change: Callable[[Any], Node]) -> Callable[[Graph], Graph]:
    return lambda graph: graph.with_nodes({name: change(graph.nodes[name])})


def dynamics(name: str, **changes: Any) -> Callable[[Graph], Graph]:
    def change(given: Any) -> Node:
        made = {k: v(getattr(given.dynamics, k)) if callable(v) else v for k, v in changes.items()}
        return replace(given, dynamics=given.dynamics.with_(**made))

    return node(name, change)


def unfolded(channel: int) -> Callable[[Graph], Graph]:
    """Batch norm's gain is lost in one channel."""

    def change(conv: Any) -> Conv2d:
        net = random_net()
        weight = conv.weight.copy()
        weight[channel] = net.w1[channel]
        return replace(conv, weight=weight)

    return node("conv1", change)


def lost_gain(net: Net) -> Net:
    gain = net.gamma / np.sqrt(net.var + 1e-5)
    w1 = net.w1.copy()
    w1[2] = net.w1[2] / gain[2]
    return net.with_(w1=w1)


def delayed(by: int) -> Callable[[Graph], Graph]:
    """The delay before dense3 changes."""

    def spoil(graph: Graph) -> Graph:
        edges = tuple(Edge(e.source, e.target, e.delay + by if e.target == "dense3" else e.delay) for e in graph.edges)
        return replace(graph, edges=edges)

    return spoil


def times(factor: float) -> Callable[[Any], Any]:
    return lambda dense: replace(dense, weight=dense.weight * factor)


def flip_one(dense: Any) -> Dense:
    return replace(dense, weight=negated(dense.weight, 2, 5))


FLOAT_PASSES: dict[str, tuple[str, Callable[[Graph], Graph], Callable[[Net], Net]]] = {
    "batch norm lost in one channel": ("fold-batch-norm", unfolded(2), lost_gain),
    "pooling factor lost": ("fold-pooling", node("dense2", times(4.0)), lambda net: net.with_(divisor=1.0)),
    "kernel flipped": (
        "merge-synapses",
        node("conv1", lambda c: replace(c, weight=c.weight[:, :, ::-1, ::-1])),
        lambda net: net.with_(w1=net.w1[:, :, ::-1, ::-1]),
    ),
    "padding shifted": (
        "merge-synapses",
        node("conv1", lambda c: replace(c, padding=(1, 1))),
        lambda net: net.with_(padding=1),
    ),
    "weight sign flipped": (
        "merge-synapses",
        node("dense3", flip_one),
        lambda net: net.with_(w3=negated(net.w3, 2, 5)),
    ),
    "delay lost": ("merge-synapses", delayed(-1), lambda net: net.with_(delay=0)),
    "bias one step early": ("merge-synapses", dynamics("lif2", v_init=0.2), early),
    "wrong reset kind": ("merge-synapses", dynamics("lif1", reset="to_value"), of("lif1", reset="to_value")),
    "threshold doubled": ("fold-batch-norm", dynamics("lif2", threshold=2.0), of("lif2", threshold=2.0)),
}


@pytest.mark.parametrize("fault", FLOAT_PASSES)
def test_a_fault_in_a_float_pass(fault: str) -> None:
    """The pass is named, and its first cell, though quantisation behind it changes spikes too."""
    name, spoil, plant = FLOAT_PASSES[fault]
    net = random_net()
    expected = first_place(simulate(net, X), simulate(plant(net), X))
    assert expected is not None
    found = walked(compile_stages(graph_of(net), faulty_target(name, spoil), CompileOptions()))
    step = found.first_fault
    assert step is not None and step.after == name and found.first_change is step
    assert named(step.first) == expected
    assert step.fault is not None and step.fault.layer == expected[0] and step.fault.step <= expected[1]
    assert [s.after for s in found.steps if s.cause == "fault"] == [name]
    assert any(f.severity == "error" and f.layer == expected[0] and name in f.what for f in found.findings)


def test_a_comparison_changed_in_a_pass_is_no_tie() -> None:
    """Membranes that equal the threshold to the bit: what float sums cannot do is told from what they can."""
    net = grid_net()
    expected = first_place(simulate(net, X), simulate(of("lif2", strict=True)(net), X))
    target = faulty_target("merge-synapses", dynamics("lif2", compare=">"))
    step = walked(compile_stages(graph_of(net), target, CompileOptions())).first_fault
    assert step is not None and step.after == "merge-synapses" and named(step.first) == expected == named(step.fault)
    assert "comparison" in step.why


def test_an_answer_that_no_spike_explains() -> None:
    """The tie rule changes in a pass: every spike is as it was, and ties are common in eight steps."""
    graph = graph_of(random_net())
    spoil = node("output", lambda output: replace(output, ties="highest_index"))
    counts = simulate(random_net(), X)["lif3"].sum(axis=0)
    assert (counts.argmax(axis=1) != 3 - counts[:, ::-1].argmax(axis=1)).any()
    found = walked(compile_stages(graph, faulty_target("merge-synapses", spoil), CompileOptions()))
    step = found.first_fault
    assert step is not None and step.after == "merge-synapses" and "tie rule" in step.why and step.first is None


def coarse(decay: Any) -> Array:
    """A leak cut off to 8 bits where it should be rounded to 12."""
    return np.asarray(np.floor(np.asarray(decay) * 256) / 256)


def program_with(name: str, **changes: Any) -> Callable[[Program], Program]:
    """One population, some of its fields changed."""

    def change(program: Program) -> Program:
        made = {k: v(getattr(program.population(name), k)) if callable(v) else v for k, v in changes.items()}
        populations = tuple(replace(p, **made) if p.name == name else p for p in program.populations)
        return replace(program, populations=populations)

    return change


def projection_with(name: str, **changes: Any) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        made = {
            k: v(next(q for q in program.projections if q.name == name).__dict__[k]) if callable(v) else v
            for k, v in changes.items()
        }
        return replace(
            program, projections=tuple(replace(q, **made) if q.name == name else q for q in program.projections)
        )

    return change


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
