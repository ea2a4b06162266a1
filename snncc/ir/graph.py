"""The float network with complete discrete-time semantics: named nodes, and edges with an integer delay."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from snncc.errors import GraphError
from snncc.ir.nodes import Flatten, Identity, Input, Neuron, Node, Output


@dataclass(frozen=True)
class Edge:
    """``source`` feeds ``target``; the value of step t arrives at step ``t + delay``. Edges into one node add up."""

    source: str
    target: str
    delay: int = 0


@dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
        nodes: name to node, in a topological order of the edges without delay.
        edges: who feeds whom.
        time_steps: how many steps one sample runs (T).
        name: what the network is called.
        origin: where it came from and which semantics were taken as given, for the report.
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    time_steps: int
    name: str = "network"
    origin: Mapping[str, Any] = field(default_factory=dict)

    def incoming(self, name: str) -> tuple[Edge, ...]:
        """Edges into ``name``, in order."""
        return tuple(e for e in self.edges if e.target == name)

    def outgoing(self, name: str) -> tuple[Edge, ...]:
        """Edges out of ``name``, in order."""
        return tuple(e for e in self.edges if e.source == name)

    def of_type(self, *types: type) -> list[str]:
        """Names of the nodes of these types, in order."""
        return [name for name, node in self.nodes.items() if isinstance(node, types)]

    @property
    def input(self) -> str:
        """Name of the only input."""
        return self._only(Input)

    @property
    def output(self) -> str:
        """Name of the only output."""
        return self._only(Output)

    def _only(self, kind: type) -> str:
        names = self.of_type(kind)
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise GraphError(f"{self.name}: has {len(names)} {kind.__name__} nodes ({found}); exactly one is needed")
        return names[0]

    def with_nodes(self, changed: Mapping[str, Node]) -> Graph:
        """A copy in which the nodes named in ``changed`` are replaced (same names, same edges)."""
        return replace(self, nodes={name: changed.get(name, node) for name, node in self.nodes.items()})


def readout_neuron(graph: Graph) -> str | None:
    """The neuron that the output reads, also through Flatten and Identity, without a delay; None where it reads
    something else. The readouts "membrane" and "summed_current" look into that neuron's state."""
    name = graph.output
    while not isinstance(graph.nodes[name], Neuron):
        edges = graph.incoming(name)
        if len(edges) != 1 or edges[0].delay:
            return None
        name = edges[0].source
        if not isinstance(graph.nodes[name], Neuron | Flatten | Identity):
            return None
    return name


def build_graph(
    nodes: Mapping[str, Node],
    edges: Iterable[Edge | tuple[str, str] | tuple[str, str, int]],
    time_steps: int,
    name: str = "network",
    origin: Mapping[str, Any] | None = None,
) -> Graph:
    """A :class:`Graph` with its nodes sorted topologically. Raises :class:`GraphError` where edges do not fit the nodes,
    a loop has no delay, or an input, output or step count is wrong."""
    made = tuple(e if isinstance(e, Edge) else Edge(*e) for e in edges)
    if time_steps < 1:
        raise GraphError(f"{name}: runs {time_steps} time steps; at least 1 is needed")
    if not nodes:
        raise GraphError(f"{name}: has no nodes")
    seen: set[tuple[str, str, int]] = set()
    for edge in made:
        for end in (edge.source, edge.target):
            if end not in nodes:
                raise GraphError(f"{name}: edge {edge.source} → {edge.target} names {end!r}, which is no node")
        if edge.delay < 0:
            raise GraphError(f"{name}: edge {edge.source} → {edge.target} has delay {edge.delay}; it must be 0 or more")
        if isinstance(nodes[edge.target], Input):
            raise GraphError(f"{name}: edge {edge.source} → {edge.target} feeds an input")
        if isinstance(nodes[edge.source], Output):
            raise GraphError(f"{name}: edge {edge.source} → {edge.target} leaves an output")
        key = (edge.source, edge.target, edge.delay)
        if key in seen:
            raise GraphError(
                f"{name}: edge {edge.source} → {edge.target} stands twice; put a Scale of 2 between them to add it twice"
            )
        seen.add(key)
    for node_name, node in nodes.items():
        if not isinstance(node, Input) and not any(e.target == node_name for e in made):
            raise GraphError(f"{name}: {node_name} has no input")
    order = _topological(name, nodes, made)
    graph = Graph({n: nodes[n] for n in order}, made, time_steps, name, dict(origin or {}))
    _ = graph.input, graph.output
    return graph


def chain(
    nodes: Mapping[str, Node], time_steps: int, name: str = "network", origin: Mapping[str, Any] | None = None
) -> Graph:
    """The graph in which every node feeds the next one."""
    names = list(nodes)
    return build_graph(nodes, list(pairwise(names)), time_steps, name, origin)


def _topological(name: str, nodes: Mapping[str, Node], edges: tuple[Edge, ...]) -> list[str]:
    """Kahn's algorithm on the edges without delay; ties go by the given order, so that the result is stable."""
    rank = {n: i for i, n in enumerate(nodes)}
    waiting = dict.fromkeys(nodes, 0)
    following: dict[str, list[str]] = {n: [] for n in nodes}
    for edge in edges:
        if edge.delay == 0:
            waiting[edge.target] += 1
            following[edge.source].append(edge.target)
    ready = [(rank[n], n) for n, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        _, current = heapq.heappop(ready)
        order.append(current)
        for target in following[current]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, (rank[target], target))
    if len(order) != len(nodes):
        stuck = ", ".join(n for n in nodes if n not in set(order))
        raise GraphError(f"{name}: {stuck} form a loop without a delay; a recurrent edge needs delay 1 or more")
    return order
