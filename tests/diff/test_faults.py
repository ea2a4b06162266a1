"""Faults planted in a Graph, in a pass, in the Program and in a target: ``snncc diff`` must name the layer, the first step and the
stage of each. Where each shows first is worked out here, by the loops of ``small_net``, for the fault as a person would write
it down, not by snncc."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_faults import X, delayed, dynamics, early, faulty_target, flip_one, named, negated, node, of, walked
from small_net import (
    Net,
    first_place,
    graph_of,
    grid_net,
    random_net,
    simulate,
)

from snncc.diff.stages import ANYTHING, compile_stages, read_stage
from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.ir.nodes import Conv2d
from snncc.target import CompileOptions


def silenced(net: Net) -> Net:
    return net.with_(gamma=net.gamma * [1, 0, 1], beta=net.beta * [1, 0, 1] - [0, 3, 0])


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


def times(factor: float) -> Callable[[Any], Any]:
    return lambda dense: replace(dense, weight=dense.weight * factor)


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
    assert step.why == "compare of lif2 is >, not >="


def test_an_answer_that_no_spike_explains() -> None:
    """The tie rule changes in a pass: every spike is as it was, and ties are common in eight steps."""
    graph = graph_of(random_net())
    spoil = node("output", lambda output: replace(output, ties="highest_index"))
    counts = simulate(random_net(), X)["lif3"].sum(axis=0)
    assert (counts.argmax(axis=1) != 3 - counts[:, ::-1].argmax(axis=1)).any()
    found = walked(compile_stages(graph, faulty_target("merge-synapses", spoil), CompileOptions()))
    step = found.first_fault
    assert (
        step is not None
        and step.after == "merge-synapses"
        and step.why.startswith("ties of output is")
        and step.first is None
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            node("output", lambda output: replace(output, readout="membrane")),
            "readout of output is membrane, not spike_count",
        ),
        (dynamics("lif3", reset="subtract", reset_value=0.0), "reset of lif3 is subtract, not to_value"),
        (dynamics("lif1", levels=3), "levels of lif1 is 3, not 1"),
    ],
)
def test_a_rule_changed_in_a_float_pass(spoil: Callable[[Graph], Graph], said: str) -> None:
    """A pass that changes no rule may not, whether a spike of these samples shows it or not."""
    found = walked(compile_stages(graph_of(random_net()), faulty_target("fold-pooling", spoil), CompileOptions()))
    step = found.first_fault
    assert step is not None and step.after == "fold-pooling" and step.why == said
    finding = next(f for f in found.findings if "beyond rounding" in f.what)
    assert finding.layer == {"output": "lif3"}.get(said.split()[2], said.split()[2])
    assert "mend that pass" in finding.remedy


def test_a_pass_that_leaves_steps_out_is_named() -> None:
    shorter = faulty_target("fold-pooling", lambda graph: replace(graph, time_steps=graph.time_steps - 1))
    with pytest.raises(InputError, match="fold-pooling: what it leaves does not run on the data"):
        walked(compile_stages(graph_of(random_net()), shorter, CompileOptions()))
