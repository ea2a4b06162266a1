"""The pass framework keeps passes to what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from snncc.errors import GraphError, UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph, chain
from snncc.ir.nodes import BatchNorm, Dense, Flatten, Identity, Input, Neuron, Output, Scale
from snncc.pipeline import PROPERTIES, Context, PassError, PassResult, run_pipeline, unused_name


def graph() -> Graph:
    nodes = {"in": Input((2,)), "a": Identity(), "w": Dense(np.eye(2)), "n": Neuron(Dynamics()), "out": Output()}
    return chain(nodes, 2)


@dataclass(frozen=True)
class Fake:
    """A pass that does what its fields say."""

    does: Any = None
    name: str = "fake"
    requires: tuple[str, ...] = ()
    ensures: tuple[str, ...] = ()
    analysis: bool = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        return PassResult(graph, False) if self.does is None else self.does(graph)


def test_requires_is_checked_before() -> None:
    passes = [Fake(name="first"), Fake(name="second", requires=("no-identities",))]
    with pytest.raises(PassError, match=r"pass second requires 'no-identities', .* hold for a \(after first\)"):
        run_pipeline(graph(), passes, Context())


def test_ensures_is_checked_after() -> None:
    with pytest.raises(PassError, match=r"pass fake ensures 'no-identities', .* hold for a \(after fake\)"):
        run_pipeline(graph(), [Fake(ensures=("no-identities",))], Context())


def test_errors_list_the_passes_that_ran() -> None:
    def fail(graph: Graph) -> PassResult:
        raise KeyError("lost")

    with pytest.raises(PassError, match=r"pass third failed after one, two: KeyError: 'lost'"):
        run_pipeline(graph(), [Fake(name="one"), Fake(name="two"), Fake(fail, "third")], Context())


def test_a_users_mistake_goes_through_as_it_is() -> None:
    def refuse(graph: Graph) -> PassResult:
        raise UnsupportedError("n: too large")

    with pytest.raises(UnsupportedError, match=r"^n: too large$"):
        run_pipeline(graph(), [Fake(refuse)], Context())


def test_an_analysis_touches_nothing() -> None:
    with pytest.raises(PassError, match="fake is an analysis but returned another graph"):
        run_pipeline(graph(), [Fake(lambda g: PassResult(replace(g), True), analysis=True)], Context())


def test_a_change_is_said() -> None:
    with pytest.raises(PassError, match="fake returned another graph but says that nothing changed"):
        run_pipeline(graph(), [Fake(lambda g: PassResult(replace(g), False))], Context())


def test_a_broken_graph_does_not_pass_on() -> None:
    broken = {"w": Dense(np.zeros((2, 3)))}
    with pytest.raises(GraphError, match="w: input has 2 features"):
        run_pipeline(graph(), [Fake(lambda g: PassResult(g.with_nodes(broken), True))], Context())
    with pytest.raises(GraphError, match="w: input has 2 features"):
        run_pipeline(graph().with_nodes(broken), [], Context())


def test_after_sees_every_result() -> None:
    seen = []
    run_pipeline(graph(), [Fake(name="a"), Fake(name="b")], Context(), lambda p, r: seen.append((p.name, r.changed)))
    assert seen == [("a", False), ("b", False)]


def offenders(name: str, nodes: dict[str, Any], edges: list[Any]) -> list[str]:
    return PROPERTIES[name](build_graph(nodes, edges, 2))


def test_single_synapses_names_what_would_be_lost() -> None:
    """A sum before a weight, a weight with two readers, a delay behind a weight, and what is no weight at all."""
    n = Neuron(Dynamics())
    nodes = {"in": Input((2,)), "w": Dense(np.eye(2)), "n": n, "m": n, "out": Output()}
    good = [("in", "w"), ("w", "n"), ("n", "out")]
    alone = {k: v for k, v in nodes.items() if k != "m"}
    assert offenders("single-synapses", alone, good) == []
    assert offenders("single-synapses", nodes, [*good, ("w", "m")]) == ["w"]
    assert offenders("single-synapses", alone, [*good, ("n", "w", 1)]) == ["w"]
    assert offenders("single-synapses", alone, [("in", "w"), ("w", "n", 1), ("n", "out")]) == ["w"]
    assert offenders("single-synapses", alone, [*good, ("in", "n")]) == ["in"]
    summed = {**alone, "f": Flatten()}
    assert offenders("single-synapses", summed, [("in", "f"), ("n", "f", 1), ("f", "w"), ("w", "n"), ("n", "out")]) == [
        "f"
    ]
    scaled = {**alone, "s": Scale(0.5)}
    assert set(offenders("single-synapses", scaled, [("in", "w"), ("w", "s"), ("s", "n"), ("n", "out")])) == {"w", "s"}


def test_the_other_properties() -> None:
    norm = BatchNorm(*(np.ones(2) for _ in range(4)))
    nodes = {
        "in": Input((2,), scale=0.5), "w": Dense(np.eye(2), np.zeros(2)), "bn": norm, "s": Scale(2.0),
        "n": Neuron(Dynamics(spike_value=2.0)), "m": Neuron(Dynamics(input_gain=0.5)), "out": Output(),
    }  # fmt: skip
    names = list(nodes)
    edges = [Edge(*pair) for pair in pairwise(names)]
    assert offenders("no-batch-norm", nodes, edges) == ["bn"]
    assert offenders("no-scales", nodes, edges) == ["s"]
    assert offenders("unit-spikes", nodes, edges) == ["in", "n", "m"]
    assert offenders("no-synapse-bias", nodes, edges) == ["w"]
    assert offenders("neuron-readout", nodes, edges) == []
    assert offenders("neuron-readout", nodes, [*edges, ("n", "out")]) == ["m", "n"]


def test_unused_name() -> None:
    assert unused_name("a", {"b"}) == "a"
    assert unused_name("a", {"a", "a'"}) == "a''"
