"""A Graph as plain data: what a compiled folder keeps so that it can be checked against the float network it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snncc.errors import ArtifactError, GraphError
from snncc.ir import nodes as node_types
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Encoder, Input, Neuron, Node
from snncc.ir.shapes import infer_shapes
from snncc.records import decode_record, encode_record

Array = np.ndarray
KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        node_types.Input,
        node_types.Output,
        node_types.Dense,
        node_types.Conv1d,
        node_types.Conv2d,
        node_types.Sparse,
        node_types.SumPool2d,
        node_types.AvgPool2d,
        node_types.MaxPool2d,
        node_types.Flatten,
        node_types.BatchNorm,
        node_types.Scale,
        node_types.Identity,
        node_types.Neuron,
    )
}


def encode_graph(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """(JSON value, arrays by key)."""
    arrays: dict[str, Array] = {}
    nodes = [
        {"name": name, "kind": type(node).__name__, "fields": encode_record(node, f"node/{name}", arrays)}
        for name, node in graph.nodes.items()
    ]
    edges = [[e.source, e.target, e.delay] for e in graph.edges]
    return {
        "name": graph.name,
        "time_steps": graph.time_steps,
        "nodes": nodes,
        "edges": edges,
        "origin": dict(graph.origin),
    }, arrays


def decode_graph(value: Any, arrays: Mapping[str, Array], where: str) -> Graph:
    """The Graph of :func:`encode_graph`, checked. Raises :class:`ArtifactError`."""
    try:
        nodes = {str(n["name"]): _node(n, arrays, where) for n in value["nodes"]}
        edges = [Edge(str(a), str(b), int(d)) for a, b, d in value["edges"]]
        graph = build_graph(nodes, edges, int(value["time_steps"]), str(value["name"]), value.get("origin", {}))
        infer_shapes(graph)
    except ArtifactError:
        raise
    except GraphError as error:
        raise ArtifactError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise ArtifactError(f"{where}: is damaged ({type(error).__name__}: {error})") from error
    return graph


def _node(item: Any, arrays: Mapping[str, Array], where: str) -> Node:
    kind = KINDS.get(item["kind"])
    if kind is None:
        raise ArtifactError(f"{where}: {item['name']} is of kind {item['kind']!r}, which this snncc does not know")
    if kind is Neuron:
        dynamics = decode_record(Dynamics, item["fields"]["dynamics"], arrays, where)
        return Neuron(dynamics)
    if kind is Input and item["fields"].get("encoder") is not None:
        encoder = decode_record(Encoder, item["fields"]["encoder"], arrays, where)
        return decode_record(Input, item["fields"], arrays, where, encoder=encoder)
    made: Node = decode_record(kind, item["fields"], arrays, where)
    return made
