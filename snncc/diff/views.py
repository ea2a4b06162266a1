"""The membranes that thresholds see, of a Graph and of a Program: what decides whether a cell fires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snncc.ir.dynamics import Dynamics, NeuronState, count_spikes, initial_state, step
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron
from snncc.ir.shapes import infer_shapes
from snncc.program.program import DECAY_ONE, Population, Program
from snncc.program.reference import State, run_reference, update
from snncc.program.reference import count_spikes as count_integer_spikes

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class View:
    """One run, by layer in the order of the network, arrays (T, N, *shape).

    Attributes:
        membranes: before firing (of a layer that never fires: at the end of the step), in the run's own units.
        spikes: what fired.
    """

    membranes: Mapping[str, Array]
    spikes: Mapping[str, Array]


def view_graph(graph: Graph, inputs: Array) -> View:
    """``graph`` in float64, every neuron's membrane as its threshold sees it."""
    shapes = infer_shapes(graph)
    neurons = {n: node.dynamics for n, node in graph.nodes.items() if isinstance(node, Neuron)}
    states: dict[str, NeuronState] = {}
    seen: dict[str, list[Array]] = {n: [] for n in neurons}

    def observe(name: str, _t: int, current: Array) -> None:
        if name not in neurons:
            return
        d = neurons[name]
        if name not in states:
            states[name] = initial_state(d, (len(current), *shapes[name]), np.float64)
        seen[name].append(before_firing(d, states[name], current))
        states[name] = step(d, states[name], current)

    run = run_graph(graph, inputs, np.float64, observe=observe)
    return View({n: np.stack(m) for n, m in seen.items()}, run.spikes)


def before_firing(d: Dynamics, state: NeuronState, current: Array) -> Array:
    """The membrane of a step that the threshold sees, (N, *shape)."""
    if d.decay_timing == "after" and d.fires:
        d = d.with_(membrane_decay=1.0)
    if d.reset_timing == "immediate":
        d = d.with_(reset="none", reset_current=False)
    if d.reset_timing == "immediate_pending":  # what the last step left above the threshold is taken off first
        state = NeuronState(state.u, state.v, count_spikes(d, state.v) if d.fires else state.spikes)
        d = d.with_(reset_timing="next_step_after_input")
    return step(d, state, current).v


def view_program(program: Program, inputs: Array) -> View:
    """``program`` by its golden interpreter."""
    seen: dict[str, list[Array]] = {p.name: [] for p in program.populations}
    populations = {p.name: p for p in program.populations}

    def observe(name: str, _t: int, state: State, current: Array) -> None:
        p, before = _before_firing(populations[name], state)
        seen[name].append(update(p, program.arithmetic, before, current)[1])

    run = run_reference(program, inputs, observe=observe)
    return View({n: np.stack(m) for n, m in seen.items()}, run.spikes)


def _before_firing(p: Population, state: State) -> tuple[Population, State]:
    """As :func:`before_firing`: a population and a state whose next membrane is the one that the threshold sees."""
    if p.decay_timing == "after" and p.fires:
        p = replace(p, decay_v=np.asarray(DECAY_ONE))
    if p.reset_timing == "immediate":
        p = replace(p, reset="none", reset_current=False)
    if p.reset_timing == "immediate_pending":
        state = (state[0], state[1], count_integer_spikes(p, state[1]) if p.fires else state[2])
        p = replace(p, reset_timing="next_step_after_input")
    return p, state
