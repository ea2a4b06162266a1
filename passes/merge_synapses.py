"""Leave exactly one weight node on every way from one population to the next, and no bias on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snncc.errors import Refusals, UnsupportedError
from snncc.ir.compose import LINEAR, compose, per_channel
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Scale,
    Sparse,
)
from snncc.ir.shapes import Shape, infer_shapes, input_shape
from snncc.pipeline import SYNAPSES, Context, PassResult, readout_neuron, unused_name

Array = np.ndarray
Path = tuple[str, int, tuple[str, ...]]
"""(population it starts at, delay, nodes on the way in order)."""


@dataclass(frozen=True)
class MergeSynapses:
    """Rules:

    1. Each way from a population (or the input) to a neuron, over any linear nodes, becomes one Dense, Conv or Sparse
       node; sharing of weights is kept where :func:`snncc.ir.compose.compose` can. Branches and sums in between give a
       way each. The delays on the way add up, before the node.
       Max pooling right before the neuron stays behind its convolution, whose bias passes it.
    2. A way with no node on it (a residual add) becomes a convolution with one weight 1 a channel, or a Sparse identity.
    3. All constant offsets (biases, batch norms before a padded convolution) arrive in the neuron's bias, exactly, a value
       a neuron where they differ within a channel; in ``current_bias`` where the neuron has a synaptic current or its
       current is what the output reads.
    4. What no neuron reads goes away. A Dense over (C, H, W) keeps a Flatten before it.

    Refused: other max pooling and non-firing neurons on the way, and an offset that a delay would postpone.
    """

    name: ClassVar[str] = "merge-synapses"
    requires: ClassVar[tuple[str, ...]] = ("no-identities", "unit-spikes", "neuron-readout")
    ensures: ClassVar[tuple[str, ...]] = ("single-synapses", "no-synapse-bias", "no-batch-norm", "no-scales")
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Rebuild the graph from its populations and the ways between them."""
        shapes = infer_shapes(graph)
        nodes: dict[str, Node] = {graph.input: graph.nodes[graph.input]}
        edges: list[Edge] = []
        refusals = Refusals()
        for name in graph.of_type(Neuron):
            with refusals:
                _merge_into(graph, shapes, name, nodes, edges)
        refusals.report()
        edges += _readout(graph, nodes)
        made = build_graph(_in_order(graph, nodes), edges, graph.time_steps, graph.name, graph.origin)
        return PassResult(made, True)


def _merge_into(graph: Graph, shapes: dict[str, Shape], name: str, nodes: dict[str, Node], edges: list[Edge]) -> None:
    """Rebuild one neuron with the ways into it."""
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    paths = _paths(graph, name)
    offset = _Offsets(graph, shapes).arriving(name)
    nodes[name] = Neuron(_with_offset(node.dynamics, offset, _current_is_read(graph, name)))
    for path in paths:
        _add_synapse(graph, shapes, path, name, nodes, edges)


def _paths(graph: Graph, target: str) -> list[Path]:
    """Every way into ``target``, in the order of its edges. Max pooling may only stand last on a way, right behind one
    convolution, whose sums it then compares."""

    def back(name: str, delay: int, way: tuple[str, ...]) -> Iterator[Path]:
        for edge in graph.incoming(name):
            node, total = graph.nodes[edge.source], delay + edge.delay
            if edge.source in way:
                raise UnsupportedError(
                    f"{edge.source}: lies on a loop with no neuron on it; only neurons can hold a state"
                )
            if isinstance(node, Input | Neuron):
                if isinstance(node, Neuron) and not node.dynamics.fires:
                    raise UnsupportedError(
                        f"{edge.source}: never fires, yet {target} reads its membrane; only spikes travel between populations"
                    )
                yield edge.source, total, way
            elif isinstance(node, MaxPool2d):
                if not _keeps_order(graph, way) or not _pools_sums(graph, edge.source):
                    raise UnsupportedError(
                        f"{edge.source}: max pooling has an integer form only over the sums of one convolution, right before a "
                        "neuron, without padding; use average pooling and train again"
                    )
                yield from back(edge.source, total, (edge.source, *way))
            elif isinstance(node, LINEAR):
                yield from back(edge.source, total, (edge.source, *way))
            else:
                raise UnsupportedError(f"{edge.source}: {type(node).__name__} has no integer form")

    return list(back(target, 0, ()))


def _keeps_order(graph: Graph, way: tuple[str, ...]) -> bool:
    """Whether only positive gains, one for all, stand on the way: they may as well act before max pooling."""
    between = [graph.nodes[name] for name in way]
    return all(isinstance(n, Scale) and np.ptp(n.factor) == 0 and np.min(n.factor) > 0 for n in between)


def _pools_sums(graph: Graph, name: str) -> bool:
    """Whether max pooling sees one convolution, perhaps through batch norm or gains that keep the order of values."""
    node = graph.nodes[name]
    assert isinstance(node, MaxPool2d)
    if any(node.padding):
        return False
    while True:
        edges = graph.incoming(name)
        before = graph.nodes[edges[0].source]
        if len(edges) != 1 or edges[0].delay:
            return False
        if isinstance(before, Conv2d):
            return True
        if not isinstance(before, BatchNorm | Scale):
            return False
        name = edges[0].source


def _add_synapse(
    graph: Graph, shapes: dict[str, Shape], path: Path, target: str, nodes: dict[str, Node], edges: list[Edge]
) -> None:
    source, delay, way = path
    given, wanted = shapes[source], input_shape(target, graph, shapes)
    pool = next((n for n in way if isinstance(graph.nodes[n], MaxPool2d)), None)
    node = _merged(graph, given, tuple(n for n in way if n != pool), target)
    if pool and not isinstance(node, Conv2d):
        raise UnsupportedError(f"{pool}: the layers before max pooling do not merge into one convolution")
    if isinstance(node, Flatten | Scale) or node is None:
        node = _diagonal(node, given, wanted)
    elif not isinstance(node, SYNAPSES):
        raise UnsupportedError(
            f"{target}: {type(node).__name__} alone leads to it from {source}; fold-pooling comes first"
        )
    weighted = [n for n in way if isinstance(graph.nodes[n], SYNAPSES)]
    name = weighted[-1] if weighted else f"{source}→{target}"
    taken = {*nodes, *graph.nodes} - (set(way) - set(nodes))
    name = unused_name(name, taken)
    nodes[name] = node
    start = source
    if isinstance(node, Dense) and len(given) > 1:
        start = unused_name(f"{name}.flatten", {*taken, name})
        nodes[start] = Flatten()
        edges.append(Edge(source, start, delay))
        delay = 0
    edges.append(Edge(start, name, delay))
    if pool:
        nodes[pool] = graph.nodes[pool]
        edges.append(Edge(name, pool))
        name = pool
    edges.append(Edge(name, target))


def _merged(graph: Graph, given: Shape, way: tuple[str, ...], target: str) -> Node | None:
    """The nodes on the way as one, without biases; None where there are none."""
    if not way:
        return None
    merged: Node = Identity()
    for name in way:
        merged = compose(f"{target} ({name})", merged, graph.nodes[name], given)
    return merged


def _diagonal(node: Flatten | Scale | None, given: Shape, wanted: Shape) -> Conv2d | Sparse:
    """One weight a neuron: a depthwise 1×1 convolution where it is the same over a channel."""
    factor = np.broadcast_to(np.asarray(node.factor, np.float64) if isinstance(node, Scale) else 1.0, given)
    gain = per_channel(factor, given)
    if len(given) == 3 and given == wanted and gain is not None:
        return Conv2d(gain.reshape(-1, 1, 1, 1), None, groups=given[0])
    index = np.tile(np.arange(factor.size, dtype=np.int64), (2, 1))
    return Sparse(factor.reshape(-1).copy(), index, wanted, factor.size)


class _Offsets:
    """What constant reaches a node when every population is silent."""

    def __init__(self, graph: Graph, shapes: dict[str, Shape]) -> None:
        self.graph, self.shapes = graph, shapes

    def arriving(self, name: str) -> Array:
        total = np.zeros((1, *input_shape(name, self.graph, self.shapes)))
        for edge in self.graph.incoming(name):
            node = self.graph.nodes[edge.source]
            if isinstance(node, Input | Neuron):
                continue
            arriving = self.arriving(edge.source)
            if isinstance(node, MaxPool2d) and per_channel(arriving, arriving.shape) is None:
                raise UnsupportedError(f"{edge.source}: biases that differ within a channel do not pass max pooling")
            offset = apply_node(node, arriving[None])
            if edge.delay and offset.any():
                raise UnsupportedError(
                    f"{edge.source} → {name}: a bias before a delay of {edge.delay} would be late; put the delay before the layer"
                )
            total = total + offset
        return total[0]


def _current_is_read(graph: Graph, name: str) -> bool:
    output = graph.nodes[graph.output]
    return isinstance(output, Output) and output.readout == "summed_current" and readout_neuron(graph) == name


def _with_offset(dynamics: Dynamics, offset: Array, in_current: bool) -> Dynamics:
    if not offset.any():
        return dynamics
    gain = per_channel(offset, offset.shape)
    if gain is not None and offset.ndim > 1:
        offset = gain.reshape((-1,) + (1,) * (offset.ndim - 1))
    if dynamics.current_decay is None and not in_current:
        return dynamics.with_(bias=np.asarray(dynamics.bias) + np.asarray(dynamics.input_gain) * offset)
    return dynamics.with_(current_bias=np.asarray(dynamics.current_bias) + offset)


def _readout(graph: Graph, nodes: dict[str, Node]) -> list[Edge]:
    """The edges from the output back to its neuron, Flatten nodes included."""
    edges: list[Edge] = []
    name = graph.output
    nodes[name] = graph.nodes[name]
    while not isinstance(graph.nodes[name], Neuron):
        edge = graph.incoming(name)[0]
        edges.append(edge)
        name = edge.source
        nodes.setdefault(name, graph.nodes[name])
    return edges


def _in_order(graph: Graph, nodes: dict[str, Node]) -> dict[str, Node]:
    """Synapses right before what they lead to, as they were added; the output last."""
    return {**{n: v for n, v in nodes.items() if n != graph.output}, graph.output: nodes[graph.output]}
