"""Remove nodes that do nothing in evaluation mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Flatten, Identity, Node, Output, Scale
from snncc.pipeline import Context, PassResult


@dataclass(frozen=True)
class RemoveIdentities:
    """Rules:

    1. ``x → Identity → y`` becomes ``x → y`` (dropout is read as an Identity); delays of the two edges add up.
    2. ``x → Scale(1) → y`` likewise.

    Untouched: a Scale(1) right before an output that would then look into a neuron's state; an identity through which two
    equal edges would coincide (``x → I → y`` beside ``x → y``: the sum of both is 2x, and a graph holds an edge once); it
    becomes ``Scale(1)``, which a later pass merges as a synapse.
    """

    name: ClassVar[str] = "remove-identities"
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ("no-identities",)
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Bypass one node after the other."""
        removed: list[str] = []
        edges = set(graph.edges)
        nodes = dict(graph.nodes)
        for name, node in graph.nodes.items():
            if not _does_nothing(graph, name, node):
                continue
            if any(e.source == e.target == name for e in edges):
                raise UnsupportedError(
                    f"{name}: feeds itself with no neuron on the loop; only neurons can hold a state"
                )
            before = [e for e in edges if e.target == name]
            after = [e for e in edges if e.source == name]
            bypass = [Edge(b.source, a.target, b.delay + a.delay) for b in before for a in after]
            if len(set(bypass)) < len(bypass) or set(bypass) & edges:
                nodes[name] = Scale(1.0)
                continue
            edges = (edges - set(before) - set(after)) | set(bypass)
            del nodes[name]
            removed.append(name)
        changed = bool(removed) or any(nodes.get(n) is not graph.nodes[n] for n in nodes)
        if not changed:
            return PassResult(graph, False)
        rank = {n: i for i, n in enumerate(graph.nodes)}
        ordered = sorted(edges, key=lambda e: (rank[e.target], rank[e.source], e.delay))
        made = build_graph(nodes, ordered, graph.time_steps, graph.name, graph.origin)
        return PassResult(replace(made), True, f"removed {', '.join(removed)}" if removed else "")


def _does_nothing(graph: Graph, name: str, node: Node) -> bool:
    if not isinstance(node, Scale):
        return isinstance(node, Identity)
    output = graph.nodes[graph.output]
    looks_behind = isinstance(output, Output) and output.readout in ("membrane", "summed_current")
    before_output = any(isinstance(graph.nodes[e.target], Output | Flatten | Identity) for e in graph.outgoing(name))
    return bool(np.all(np.asarray(node.factor) == 1)) and not (looks_behind and before_output)
