"""Fold what a spike, an input unit and a neuron's gain are worth into gains beside them, which become weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.graph import Edge, Graph, build_graph, readout_neuron
from snncc.ir.nodes import Input, Neuron, Node, Output, Scale
from snncc.pipeline import Context, PassResult, unused_name


@dataclass(frozen=True)
class FoldSpikeValues:
    """Rules:

    1. A neuron whose spikes are worth c ≠ 1 fires spikes worth 1 into ``Scale(c)``; a readout keeps reading the neuron
       itself where it looks at its state, or counts spikes of one worth c > 0, by which the scores are divided.
    2. An input with scale s ≠ 1 becomes integers into ``Scale(s)``.
    3. A neuron with input gain g ≠ 1 (and so g·u on its membrane) is fed through ``Scale(g)``; its current bias is
       multiplied by g. A "summed_current" of it is multiplied too, so there g must be one number above 0.

    ``merge-synapses`` then takes the scales into the weights. Non-firing neurons put their membrane out and keep it.
    """

    name: ClassVar[str] = "fold-spike-values"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ("unit-spikes",)
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Insert the scales."""
        nodes: dict[str, Node] = {}
        edges = list(graph.edges)
        for name, node in graph.nodes.items():
            if isinstance(node, Input) and node.scale != 1.0:
                nodes[name] = replace(node, scale=1.0)
                edges = _insert_after(graph, nodes, edges, name, node.scale)
                continue
            if not isinstance(node, Neuron):
                nodes[name] = node
                continue
            dynamics = node.dynamics
            if not _is_one(dynamics.input_gain):
                _check_gain(graph, name, dynamics.input_gain)
                before = unused_name(f"{name}.gain", {*graph.nodes, *nodes})
                nodes[before] = Scale(dynamics.input_gain)
                edges = [Edge(e.source, before, e.delay) if e.target == name else e for e in edges]
                edges.append(Edge(before, name))
                dynamics = dynamics.with_(
                    input_gain=1.0, current_bias=np.asarray(dynamics.current_bias) * np.asarray(dynamics.input_gain)
                )
            worth, dynamics = dynamics.spike_value, dynamics.with_(spike_value=1.0)
            unchanged = dynamics.input_gain is node.dynamics.input_gain and _is_one(worth)
            nodes[name] = node if unchanged else Neuron(dynamics)
            if not _is_one(worth) and node.dynamics.fires:
                edges = _insert_after(graph, nodes, edges, name, worth)
        if len(nodes) == len(graph.nodes) and all(nodes[n] is graph.nodes[n] for n in nodes):
            return PassResult(graph, False)
        made = build_graph(nodes, edges, graph.time_steps, graph.name, graph.origin)
        return PassResult(made, True, "spike values and input scale → weights")


def _insert_after(graph: Graph, nodes: dict[str, Node], edges: list[Edge], name: str, factor: Any) -> list[Edge]:
    """Route the readers of ``name`` through a Scale; a readout that needs none reads ``name`` itself."""
    after = unused_name(f"{name}.value", {*graph.nodes, *nodes})
    direct: list[Edge] = []
    if readout_neuron(graph) == name and (_reads_state(graph) or _one_above_0(factor)):
        direct = [Edge(name, graph.output)]
        edges = [e for e in edges if e.target != graph.output]
    moved = [Edge(after, e.target, e.delay) if e.source == name else e for e in edges]
    if moved != edges:
        nodes[after] = Scale(factor)
        moved.append(Edge(name, after))
    return moved + direct


def _reads_state(graph: Graph) -> bool:
    output = graph.nodes[graph.output]
    return isinstance(output, Output) and output.readout in ("membrane", "summed_current")


def _check_gain(graph: Graph, name: str, gain: Any) -> None:
    output = graph.nodes[graph.output]
    assert isinstance(output, Output)
    if output.readout == "summed_current" and readout_neuron(graph) == name and not _one_above_0(gain):
        raise UnsupportedError(
            f"{name}: its current is read, but its input_gain is {np.min(gain):g} … {np.max(gain):g}; "
            "it must be one number above 0, or the membrane be read instead"
        )


def _one_above_0(value: Any) -> bool:
    return bool(np.ptp(value) == 0 and np.min(value) > 0)


def _is_one(value: Any) -> bool:
    return bool(np.all(np.asarray(value) == 1.0))
