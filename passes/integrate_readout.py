"""Give the network an output population where its last layer is read as a current."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Neuron, Output
from snncc.pipeline import Context, PassResult, readout_neuron, unused_name


@dataclass(frozen=True)
class IntegrateReadout:
    """Rules:

    1. Where the output reads layers that are no neuron (a last Dense), a neuron that never fires and never leaks is put
       in between. "spike_count" and "summed_current" (the sum of what arrives) become the "membrane" of that neuron
       after the last step; "membrane" (what arrives at the last step) its current, read as the membrane of a neuron that
       forgets everything (decay 0). So does every readout where each step has its answer.

    Untouched: an output that reads a neuron, also through Flatten. "weighted_count" of a current is refused, and so is a
    count of a neuron that never fires.
    """

    name: ClassVar[str] = "integrate-readout"
    requires: ClassVar[tuple[str, ...]] = ("no-identities",)
    ensures: ClassVar[tuple[str, ...]] = ("neuron-readout",)
    analysis: ClassVar[bool] = False
    rewrites: ClassVar[tuple[str, ...]] = ("readout",)

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Insert the neuron where it is missing."""
        edges = graph.incoming(graph.output)
        output = graph.nodes[graph.output]
        assert isinstance(output, Output)
        neuron = graph.nodes.get(readout_neuron(graph) or "")
        if isinstance(neuron, Neuron):
            if not neuron.dynamics.fires and output.readout in ("spike_count", "weighted_count"):
                raise UnsupportedError(
                    f"{graph.output}: {output.readout} of {readout_neuron(graph)}, which never fires; "
                    'read its "membrane" or "summed_current"'
                )
            return PassResult(graph, False)
        if output.readout == "weighted_count":
            raise UnsupportedError(
                f"{graph.output}: reads a time-weighted count of {edges[0].source}, which does not spike; put a neuron there"
            )
        keep = 0.0 if output.readout == "membrane" or output.each_step else 1.0
        name = unused_name(f"{graph.output}.integrator", graph.nodes)
        nodes = {**graph.nodes, name: Neuron(Dynamics(membrane_decay=keep, fires=False, reset="none"))}
        nodes[graph.output] = replace(output, readout="membrane")
        moved = [Edge(e.source, name, e.delay) if e.target == graph.output else e for e in graph.edges]
        made = build_graph(nodes, [*moved, Edge(name, graph.output)], graph.time_steps, graph.name, graph.origin)
        return PassResult(made, True, "last layer summed by a neuron that never fires")
