"""Fold evaluation-mode batch norm into the weights and biases before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from snncc.ir.graph import Graph
from snncc.ir.linear import batch_norm_affine
from snncc.ir.nodes import BatchNorm, Conv1d, Conv2d, Dense, Identity
from snncc.pipeline import Context, PassResult

from snncc.passes.remove_identities import RemoveIdentities  # isort: skip

Weighted = Dense | Conv1d | Conv2d


@dataclass(frozen=True)
class FoldBatchNorm:
    """Rules (gain γ/√(σ²+ε), offset β − μ·gain, per channel):

    1. Where everything that feeds a batch norm is Dense, Conv1d or Conv2d without a delay and feeds nothing else, the
       gain multiplies all their weights and biases, and the offset joins the bias of the first.
    2. The batch norm itself goes away.

    Untouched: a batch norm after anything else (a neuron, pooling, a branch); ``merge-synapses`` folds that one
    forward into the next synapse, where it is exact at padded borders too. Never across a neuron.
    """

    name: ClassVar[str] = "fold-batch-norm"
    requires: ClassVar[tuple[str, ...]] = ("no-identities",)
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Fold each batch norm that rule 1 allows."""
        folded: list[str] = []
        nodes = dict(graph.nodes)
        for name, node in graph.nodes.items():
            if not isinstance(node, BatchNorm):
                continue
            edges = graph.incoming(name)
            feeding = [nodes[e.source] for e in edges]
            alone = all(len(graph.outgoing(e.source)) == 1 and e.delay == 0 for e in edges)
            if not alone or not all(isinstance(f, Weighted) for f in feeding):
                continue
            gain, offset = batch_norm_affine(node)
            for i, edge in enumerate(edges):
                nodes[edge.source] = _scaled(nodes[edge.source], gain, offset if i == 0 else 0 * offset)  # type: ignore[arg-type]
            nodes[name] = Identity()
            folded.append(name)
        if not folded:
            return PassResult(graph, False)
        bypassed = RemoveIdentities().run(replace(graph, nodes=nodes), context).graph
        return PassResult(bypassed, True, f"batch norm ×{len(folded)}")


def _scaled(node: Weighted, gain, offset) -> Weighted:  # type: ignore[no-untyped-def]
    weight = node.weight * gain.reshape((-1,) + (1,) * (node.weight.ndim - 1))
    bias = offset if node.bias is None else node.bias * gain + offset
    return replace(node, weight=weight, bias=bias)
