"""The meaning of a Graph: a plain NumPy interpreter, one time step after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.ir.dynamics import initial_state, step
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Input, Neuron, Node, Output
from snncc.ir.shapes import infer_shapes, input_shape

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Recording:
    """What a run left behind, arrays (T, N, *shape) by neuron name, and one score a class.

    Attributes:
        spikes: spikes of the recorded neurons, whole numbers (before ``spike_value``), int32.
        membranes: membrane at the end of each step, of the recorded neurons; empty unless asked for.
        scores: (N, classes) readout; (N, T, classes) where each step has its answer.
        predictions: (N,) or (N, T) winning class.
    """

    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    scores: Array
    predictions: Array


def input_values(node: Input, integers: Array, dtype: Any) -> Array:
    """The real input that integer data stands for."""
    return integers.astype(dtype) * np.asarray(node.scale, dtype)


def check_input(name: str, node: Input, inputs: Array, time_steps: int) -> None:
    """Raise :class:`InputError` unless ``inputs`` is (N, *shape) for static input, or (T, N, *shape), in range."""
    axes = 1 if node.encoding == "static" else 2
    wanted = ("N", *node.shape) if axes == 1 else (time_steps, "N", *node.shape)
    if inputs.shape[axes:] != node.shape or (axes == 2 and inputs.shape[:1] != (time_steps,)):
        raise InputError(f"{name}: the data has shape {inputs.shape}; the network takes {_shown(wanted)}")
    if not np.issubdtype(inputs.dtype, np.integer):
        raise InputError(f"{name}: the data holds {inputs.dtype}; whole numbers {node.low}..{node.high} are needed")
    if not inputs.size:
        raise InputError(f"{name}: the data holds no samples")
    if inputs.min() < node.low or inputs.max() > node.high:
        raise InputError(
            f"{name}: the data spans {inputs.min()}..{inputs.max()}; the input takes {node.low}..{node.high}"
        )


def run_graph(
    graph: Graph,
    inputs: Array,
    dtype: Any = np.float64,
    record_membranes: bool = False,
    observe: Callable[[str, int, Array], None] | None = None,
    apply: Callable[[Node, Array], Array] = apply_node,
) -> Recording:
    """Run ``graph`` on integer ``inputs``: (N, *shape) where the input is static, else (T, N, *shape).

    ``dtype`` is the float type of all arithmetic. ``observe(name, t, value)`` sees what arrives at every node at every
    step; at step 0 only where that can never change. ``apply`` runs the stateless nodes. Raises :class:`InputError` where the
    data does not fit.
    """
    shapes = infer_shapes(graph)
    source = graph.nodes[graph.input]
    assert isinstance(source, Input)
    check_input(graph.input, source, inputs, graph.time_steps)
    static = source.encoding == "static"
    samples = inputs.shape[0] if static else inputs.shape[1]
    neurons = {n: node for n, node in graph.nodes.items() if isinstance(node, Neuron)}
    states = {n: initial_state(node.dynamics, (samples, *shapes[n]), dtype) for n, node in neurons.items()}
    spikes: dict[str, list[Array]] = {n: [] for n in neurons}
    membranes: dict[str, list[Array]] = {n: [] for n in neurons}
    readout = _Readout(graph)
    history: list[dict[str, Array]] = []
    depth = max((e.delay for e in graph.edges), default=0)
    constants: dict[str, Array] = {}
    unchanging = _unchanging(graph) if static else set()

    for t in range(graph.time_steps):
        values: dict[str, Array] = {}
        history.append(values)
        for name, node in graph.nodes.items():
            if isinstance(node, Input):
                values[name] = input_values(node, inputs if static else inputs[t], dtype)
                continue
            if t > 0 and name in unchanging:
                values[name] = constants[name]
                continue
            x = _arriving(graph, name, t, history, (samples, *input_shape(name, graph, shapes)), dtype)
            if observe is not None:
                observe(name, t, x)
            if isinstance(node, Neuron):
                state = states[name] = step(node.dynamics, states[name], x)
                spikes[name].append(state.spikes.astype(np.int32))
                if record_membranes:
                    membranes[name].append(state.v)
                fired = state.spikes * np.asarray(node.dynamics.spike_value, dtype)
                values[name] = fired if node.dynamics.fires else state.v
            elif isinstance(node, Output):
                readout.add(t, x, states)
            else:
                values[name] = apply(node, x)
        if t == 0:
            constants = {name: values[name] for name in unchanging}
        if len(history) > depth:
            history[t - depth] = {}
    recorded = {n: np.stack(s) for n, s in spikes.items()}
    kept = {n: np.stack(m) for n, m in membranes.items() if m}
    scores = readout.scores()
    return Recording(recorded, kept, scores, winners(scores, readout.node.ties))


def winners(scores: Array, ties: str) -> Array:
    """Winning class (…) of ``scores`` (…, classes) under a tie rule."""
    if ties == "highest_index":
        return scores.shape[-1] - 1 - scores[..., ::-1].argmax(axis=-1)
    return scores.argmax(axis=-1)


def _unchanging(graph: Graph) -> set[str]:
    """Stateless nodes that see nothing but a static input: their value is the same at every step."""
    same: set[str] = {graph.input}
    for name, node in graph.nodes.items():
        edges = graph.incoming(name)
        if isinstance(node, Neuron | Output) or not edges:
            continue
        if all(e.delay == 0 and e.source in same for e in edges):
            same.add(name)
    return same - {graph.input}


def _arriving(
    graph: Graph, name: str, t: int, history: list[dict[str, Array]], shape: tuple[int, ...], dtype: Any
) -> Array:
    """Sum of what the edges into ``name`` bring at step t; nothing arrives from before step 0."""
    total: Array | None = None
    for edge in graph.incoming(name):
        if t - edge.delay < 0:
            continue
        value = history[t - edge.delay][edge.source]
        total = value if total is None else total + value
    return np.zeros(shape, dtype) if total is None else total


class _Readout:
    """Turns what reaches the output into one score a class."""

    def __init__(self, graph: Graph) -> None:
        node = graph.nodes[graph.output]
        assert isinstance(node, Output)
        self.node = node
        self.neuron = readout_neuron(graph)
        self.total: Array | None = None
        self.steps: list[Array] = []

    def add(self, t: int, x: Array, states: Mapping[str, Any]) -> None:
        match self.node.readout:
            case "membrane":
                value = x if self.neuron is None else states[self.neuron].v
            case "summed_current":
                value = x if self.neuron is None else states[self.neuron].u
            case "weighted_count":
                assert self.node.time_weights is not None
                value = x * self.node.time_weights[t]
            case _:
                value = x
        if self.node.each_step:
            self.steps.append(value.reshape(len(value), -1))
        elif self.node.readout == "membrane" or self.total is None:
            self.total = value
        else:
            self.total = self.total + value

    def scores(self) -> Array:
        if self.steps:
            return np.stack(self.steps, axis=1)
        assert self.total is not None
        return self.total.reshape(len(self.total), -1)


def _shown(shape: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ")"
