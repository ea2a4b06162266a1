"""Networks, neurons and proofs in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Encoder, Neuron, Node, Sparse
from snncc.program.bounds import Bounds
from snncc.program.program import Program


def number(value: object) -> str:
    """A constant, or the range of an array of constants."""
    array = np.asarray(value, dtype=float)
    low, high = float(array.min()), float(array.max())
    return f"{low:g}" if low == high else f"{low:.4g} … {high:.4g}"


def drop_in_points(drop: float, ends: Sequence[float]) -> str:
    """A drop of accuracy, of 1, and its interval in percentage points."""
    low, high = (f"{100 * end:.2f}" for end in ends)
    return f"{100 * drop:.2f} points, 95 % interval {low} … {high}"


LATE = {
    "immediate": "",
    "next_step": " one step later",
    "next_step_after_input": " one step later, that step's input included",
    "immediate_pending": " at once, before firing too where v is still above the threshold",
}


def describe_neuron(d: Dynamics) -> str:
    """What a neuron does, so that a person can check it against their own code."""
    parts = []
    current = [] if d.current_decay is None else [f"u = {number(d.current_decay)}·u + i"]
    if d.current_timing == "before":
        parts += current
    leak = "v" if np.all(np.asarray(d.membrane_decay) == 1) else f"{number(d.membrane_decay)}·v"
    gain = "" if np.all(np.asarray(d.input_gain) == 1) else f"{number(d.input_gain)}·"
    drive = "u" if d.current_decay is not None else "i"
    late = d.decay_timing == "after" and leak != "v"
    parts.append(
        f"v = {'v' if late else leak} + {gain}{drive}" + ("" if not np.any(d.bias) else f" + {number(d.bias)}")
    )
    if d.current_timing == "after":
        parts += current
    if d.v_min is not None:
        parts.append(f"v ≥ {number(d.v_min)}")
    if not d.fires:
        return "; ".join([*parts, "never fires", *([f"then v = {leak}"] if late else [])])
    spikes = "fires" if d.levels == 1 else f"fires up to {d.levels} times"
    parts.append(
        f"{spikes} on v {'≥' if d.compare == '>=' else '>'} {number(d.threshold)}"
        + (", either sign" if d.signed else "")
    )
    resets = {
        "subtract": f"subtracts {number(d.subtracted)}",
        "to_value": f"resets to {number(d.reset_value)}",
        "none": "no reset",
    }
    if d.reset_current:
        resets["to_value"] += " and u to 0"
    parts.append(resets[d.reset] + (LATE[d.reset_timing] if d.reset != "none" else ""))
    if late:
        parts.append(f"then v = {leak}")
    if np.any(d.v_init):
        parts.append(f"starts at {number(d.v_init)}")
    if not np.all(np.asarray(d.spike_value) == 1):
        parts.append(f"a spike is worth {number(d.spike_value)}")
    return "; ".join(parts)


def describe_node(node: Node) -> str:
    """A node in words."""
    if isinstance(node, Neuron):
        return describe_neuron(node.dynamics)
    shown = []
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, np.ndarray) or value is None:
            continue
        if isinstance(value, Encoder):
            value = f"({describe_encoder(value)})"
        shown.append(f"{f.name} {'×'.join(map(str, value)) if isinstance(value, tuple) else value}")
    if isinstance(node, Dense | Conv1d | Conv2d):
        shape = "×".join(map(str, node.weight.shape))
        shown.insert(0, f"weight {shape}" + (", bias" if node.bias is not None else ""))
    return ", ".join(shown)


def describe_encoder(encoder: Encoder) -> str:
    """How static samples become spikes."""
    gain = "" if np.all(np.asarray(encoder.gain) == 1) else f"{number(encoder.gain)}·"
    offset = f" + {number(encoder.offset)}" if np.any(encoder.offset) else ""
    sign = ", −1 where negative" if encoder.signed else ""
    unit = "" if encoder.scale == 1 else f", x = integer / {number(1 / encoder.scale)}"
    return f"{encoder.kind} spikes of rate {gain}x{offset}{sign}{unit}, seed {encoder.seed}"


def parameters(node: Node) -> int:
    """Trained numbers a node holds."""
    return sum(v.size for f in fields(node) if isinstance(v := getattr(node, f.name), np.ndarray) and f.name != "index")


def fan_in(node: Node) -> int | None:
    """Most synapses into one neuron, None where the node has none."""
    if isinstance(node, Sparse):
        return int(np.bincount(node.index[0]).max(initial=0))
    return int(np.prod(node.weight.shape[1:])) if isinstance(node, Dense | Conv1d | Conv2d) else None


def describe_graph(graph: Graph) -> str:
    """One line: where from, how many layers, how many steps, how its spiking neurons reset and fire."""
    source = str(graph.origin.get("format", graph.origin.get("source", "network")))
    weighted = len(graph.of_type(Dense, Conv1d, Conv2d, Sparse))
    kinds = []
    for name in graph.of_type(Neuron):
        d = graph.nodes[name].dynamics  # type: ignore[union-attr]
        if d.fires:
            reset = {
                "subtract": "reset by subtraction",
                "to_value": f"reset to {number(d.reset_value)}",
                "none": "no reset",
            }[d.reset]
            kind = f"{reset}, fires on v {'≥' if d.compare == '>=' else '>'} θ"
            kinds.append(kind + (f", up to {d.levels} spikes a step" if d.levels > 1 else ""))
    shown = " / ".join(dict.fromkeys(kinds))
    return f"{source}, {weighted} weight layers, T = {graph.time_steps}" + (f", {shown}" if shown else "")


def power_of_two(value: int) -> str:
    """A magnitude as a power of two."""
    return f"2^{math.log2(value):.1f}" if value > 0 else "0"


def describe_proof(program: Program, bounds: Bounds) -> str:
    """What the bounds prove."""
    limit = program.arithmetic.state_bits - 1
    worst = f"worst case {power_of_two(bounds.largest)} of 2^{limit}"
    if bounds.proven:
        return f"no state overflows, whatever the input ({worst})"
    can = [n for n, b in bounds.populations.items() if not (b.current_fits and b.membrane_fits)]
    wraps = [n for n, b in bounds.populations.items() if not b.current_fits]
    if wraps:
        return f"currents may wrap in {', '.join(wraps)} ({worst}); every executor wraps alike"
    return f"no current overflows; membranes may saturate in {', '.join(can)} ({worst}), in every executor alike"
