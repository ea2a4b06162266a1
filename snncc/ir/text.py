"""A stable text form of a Graph: what ``--print-after`` shows and what golden tests compare."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from snncc.ir.dynamics import Dynamics, dynamics_fields
from snncc.ir.graph import Graph
from snncc.ir.nodes import Neuron, Node
from snncc.ir.shapes import infer_shapes

_DEFAULT = Dynamics()
_ALWAYS = ("threshold", "compare", "membrane_decay", "reset")


def format_graph(graph: Graph) -> str:
    """One line a node: ``name: Type(fields) [shape] <- source, source@delay``; arrays by shape, range and mean."""
    shapes = infer_shapes(graph)
    lines = [f"graph {graph.name} time_steps={graph.time_steps}"]
    for name, node in graph.nodes.items():
        sources = ", ".join(e.source + (f"@{e.delay}" if e.delay else "") for e in graph.incoming(name))
        shape = "×".join(str(size) for size in shapes[name])
        lines.append(f"  {name}: {_format_node(node)} [{shape}]" + (f" <- {sources}" if sources else ""))
    return "\n".join(lines) + "\n"


def _format_node(node: Node) -> str:
    if isinstance(node, Neuron):
        return f"Neuron({_format_dynamics(node.dynamics)})"
    parts = [
        f"{f.name}={format_value(getattr(node, f.name))}" for f in fields(node)
        if getattr(node, f.name) is not None and getattr(node, f.name) is not False
    ]  # fmt: skip
    return f"{type(node).__name__}({', '.join(parts)})"


def _format_dynamics(dynamics: Dynamics) -> str:
    """The fields that differ from the defaults, and always the four that say what kind of neuron it is."""
    shown = []
    for name, value in dynamics_fields(dynamics).items():
        usual = getattr(_DEFAULT, name)
        same = value is usual or (np.ndim(value) == 0 and value == usual)
        if name in _ALWAYS or not same:
            shown.append(f"{name}={format_value(value)}")
    return ", ".join(shown)


def format_value(value: object) -> str:
    """A number to 9 digits; an array as ``f8[2×3; low … high; mean m]``."""
    if isinstance(value, np.ndarray) and value.size > 1:
        shape = "×".join(str(size) for size in value.shape)
        kind = f"{value.dtype.kind}{value.dtype.itemsize}"
        return f"{kind}[{shape}; {value.min():.9g} … {value.max():.9g}; mean {value.mean():.9g}]"
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0].item()
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, tuple):
        return "(" + ",".join(format_value(v) for v in value) + ")"
    return str(value)
