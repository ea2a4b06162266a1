"""Max pooling of spikes becomes neurons that pass a spike on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snncc.ir.dynamics import Dynamics, Value
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import MaxPool2d, Neuron, Node, SumPool2d
from snncc.pipeline import Context, PassResult, unused_name


@dataclass(frozen=True)
class RelayMaxPooling:
    """Rule: ``Neuron → MaxPool2d``, where the neuron fires at most one spike of a positive value in a step, becomes ``Neuron →
    SumPool2d → Neuron``: the largest of some zeros and ones is whether their sum reaches one. The new neurons take the
    pool's name, forget everything in every step, and fire where half a spike or more arrives, with the value of the spikes
    that they stand for.

    Untouched: max pooling of currents, which :class:`~snncc.program.program.Projection` holds itself, and of spikes that have
    signs, levels, or values that differ inside a channel.
    """

    name: ClassVar[str] = "relay-max-pooling"
    requires: ClassVar[tuple[str, ...]] = ("no-identities",)
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Replace one pool after the other."""
        relayed = {n: value for n in graph.of_type(MaxPool2d) if (value := _pooled_value(graph, n)) is not None}
        if not relayed:
            return PassResult(graph, False)
        nodes: dict[str, Node] = {}
        edges = list(graph.edges)
        for name, node in graph.nodes.items():
            if name not in relayed or not isinstance(node, MaxPool2d):
                nodes[name] = node
                continue
            window = unused_name(f"{name}_window", {*graph.nodes, *nodes})
            value = relayed[name]
            nodes[window] = SumPool2d(node.kernel, node.stride, node.padding)
            nodes[name] = Neuron(
                Dynamics(threshold=np.asarray(value) / 2, membrane_decay=0.0, reset="to_value", spike_value=value)
            )
            edges = [Edge(e.source, window, e.delay) if e.target == name else e for e in edges] + [Edge(window, name)]
        made = build_graph(nodes, edges, graph.time_steps, graph.name, graph.origin)
        return PassResult(made, True, f"max pooling of spikes ×{len(relayed)} → neurons")


def _pooled_value(graph: Graph, name: str) -> Value | None:
    """What one of the spikes that the pool looks at is worth; None where it looks at something else."""
    incoming = graph.incoming(name)
    source = graph.nodes[incoming[0].source] if len(incoming) == 1 else None
    if not isinstance(source, Neuron):
        return None
    d = source.dynamics
    value = np.asarray(d.spike_value)
    per_channel = value.ndim == 0 or (value.ndim == 3 and value.shape[1:] == (1, 1))
    if not d.fires or d.signed or d.levels != 1 or not per_channel or value.min() <= 0:
        return None
    return d.spike_value
