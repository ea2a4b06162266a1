"""Fold average and sum pooling into the weights after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from snncc.ir.compose import depthwise, pool_then_conv, share
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import AvgPool2d, Conv2d, Dense, Flatten, SumPool2d
from snncc.ir.shapes import infer_shapes
from snncc.pipeline import Context, PassResult

Pool = AvgPool2d | SumPool2d


@dataclass(frozen=True)
class FoldPooling:
    """Rules:

    1. ``pool → Conv2d`` becomes one strided Conv2d with each weight repeated over the window (divided by its size for an
       average) where that is exact: windows do not overlap, and no left-over row meets the convolution's padding.
    2. ``pool → Flatten → Dense`` becomes ``Flatten → Dense`` with each column repeated over its window.
    3. Any other average or sum pooling becomes a depthwise Conv2d of equal weights, which ``merge-synapses`` takes.

    A pool with several readers is folded into each of them. The biases of the layers stay as they are: pooling has none.
    """

    name: ClassVar[str] = "fold-pooling"
    requires: ClassVar[tuple[str, ...]] = ("no-identities",)
    ensures: ClassVar[tuple[str, ...]] = ("no-linear-pooling",)
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Fold the pools one by one, later ones first, so that two pools in a row fold too."""
        pools = graph.of_type(AvgPool2d, SumPool2d)
        if not pools:
            return PassResult(graph, False)
        for name in reversed(pools):
            graph = _fold(graph, name)
        return PassResult(graph, True, f"average pool ×{len(pools)} → weights")


def _fold(graph: Graph, name: str) -> Graph:
    pool = graph.nodes[name]
    assert isinstance(pool, Pool)
    shapes = infer_shapes(graph)
    given = shapes[graph.incoming(name)[0].source]
    readers = [_folded_reader(graph, e, pool, given, shapes[name]) for e in graph.outgoing(name)]
    if len(graph.incoming(name)) != 1 or graph.incoming(name)[0].delay or any(r is None for r in readers):
        return graph.with_nodes({name: depthwise(pool, given[0])})
    changed = {k: v for r in readers if r is not None for k, v in r.items()}
    source = graph.incoming(name)[0].source
    nodes = {n: changed.get(n, node) for n, node in graph.nodes.items() if n != name}
    edges = [Edge(source, e.target, e.delay) if e.source == name else e for e in graph.edges if e.target != name]
    return build_graph(nodes, edges, graph.time_steps, graph.name, graph.origin)


def _folded_reader(graph: Graph, edge: Edge, pool: Pool, given, pooled) -> dict | None:  # type: ignore[no-untyped-def]
    """The nodes that change so that the reader at ``edge`` takes the unpooled input, or None."""
    reader = graph.nodes[edge.target]
    if len(graph.incoming(edge.target)) != 1:
        return None
    if isinstance(reader, Conv2d):
        merged = pool_then_conv(pool, reader, given)
        if merged is None:
            return None
        return {edge.target: Conv2d(merged.weight, reader.bias, merged.stride, merged.padding, (1, 1), merged.groups)}
    if not isinstance(reader, Flatten) or pool.kernel != pool.stride or any(pool.padding):
        return None
    dense = [e.target for e in graph.outgoing(edge.target)]
    if not dense or any(not isinstance(graph.nodes[d], Dense) or len(graph.incoming(d)) != 1 for d in dense):
        return None
    return {d: _expanded(graph.nodes[d], pool, given, pooled) for d in dense}  # type: ignore[arg-type]


def _expanded(dense: Dense, pool: Pool, given, pooled) -> Dense:  # type: ignore[no-untyped-def]
    """The dense layer over the unpooled (C, H, W); rows and columns that no window covers get weight 0."""
    weight = dense.weight.reshape(-1, *pooled) * share(pool)
    wide = np.repeat(np.repeat(weight, pool.kernel[0], axis=2), pool.kernel[1], axis=3)
    full = np.zeros((len(weight), *given), weight.dtype)
    full[:, :, : wide.shape[2], : wide.shape[3]] = wide
    return Dense(full.reshape(len(weight), -1), dense.bias)
