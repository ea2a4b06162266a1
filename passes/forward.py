"""Run a single-synapse Graph population by population over all steps, in the order in which they feed each other, so that the
constants of one can be chosen when its inputs are known. Populations in a loop run together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from snncc.ir.dynamics import initial_state, step
from snncc.ir.fast import apply_fast, torch_there
from snncc.ir.graph import Graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Input, Neuron, Node
from snncc.ir.shapes import infer_shapes
from snncc.pipeline import SYNAPSES

Array = np.ndarray
Known = Mapping[str, Array]
"""Population to its spikes (T, N, *shape), or to (1, N, *shape) where it is the same at every step."""

SAMPLES_AT_ONCE = 1024
"""Whose currents and states are in memory."""


@dataclass(frozen=True)
class Path:
    """One way into a neuron: from the population ``source``, ``delay`` steps late, through ``nodes`` (names), one of which is the
    synapse."""

    source: str
    delay: int
    nodes: tuple[str, ...]
    synapse: str


def paths_into(graph: Graph, neuron: str) -> list[Path]:
    """All ways into ``neuron``, in the order of its edges."""
    found = []
    for edge in graph.incoming(neuron):
        names: list[str] = []
        delay, name = edge.delay, edge.source
        while not isinstance(graph.nodes[name], Input | Neuron):
            names.insert(0, name)
            before = graph.incoming(name)[0]
            delay, name = delay + before.delay, before.source
        synapse = next(n for n in names if isinstance(graph.nodes[n], SYNAPSES))
        found.append(Path(name, delay, tuple(names), synapse))
    return found


def groups(graph: Graph) -> list[list[str]]:
    """The neurons in an order in which each comes after what feeds it; those in a loop stand together, in the Graph's order."""
    names = graph.of_type(Neuron)
    feeds = {n: {p.source for p in paths_into(graph, n) if p.source in names} for n in names}
    behind = {n: _ancestors(n, feeds) for n in names}
    left, done, found = list(names), set[str](), []
    while left:
        first = next(n for n in left if all(m in done or n in behind[m] for m in behind[n]))
        group = [n for n in left if n == first or (n in behind[first] and first in behind[n])]
        found.append(group)
        done.update(group)
        left = [n for n in left if n not in done]
    return found


def _ancestors(name: str, feeds: Mapping[str, set[str]]) -> set[str]:
    """All that reaches ``name``."""
    found: set[str] = set()
    waiting = list(feeds[name])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += feeds[one]
    return found


def apply_path(graph: Graph, path: Path, x: Array) -> Array:
    """What arrives at the neuron for ``x`` (N, *shape) at the source."""
    for name in path.nodes:
        x = _apply(graph.nodes[name], x)
    return x


def _apply(node: Node, x: Array) -> Array:
    return apply_fast(node, x) if torch_there() else apply_node(node, x)


def simulate(
    graph: Graph,
    members: Iterable[str],
    known: Known,
    observe: Callable[[str, int, Array], None] | None = None,
    dtype: type = np.float32,
) -> dict[str, Array]:
    """Spikes (T, N, *shape) of a group's ``members`` from those that are ``known``, in float arithmetic. ``observe``
    sees the current (N, *shape) that arrives at a member at each step, without its constants."""
    shapes, names = infer_shapes(graph), list(members)
    samples = next(iter(known.values())).shape[1]
    ways = {n: paths_into(graph, n) for n in names}
    dynamics = {n: graph.nodes[n].dynamics for n in names}  # type: ignore[union-attr]
    states = {n: initial_state(dynamics[n], (samples, *shapes[n]), dtype) for n in names}
    made = {
        n: np.zeros((graph.time_steps, samples, *shapes[n]), np.int8 if dynamics[n].levels < 128 else np.int32)
        for n in names
    }
    same: dict[Path, Array] = {}
    for t in range(graph.time_steps):
        for name in names:
            current = np.zeros((samples, *shapes[name]), dtype)
            for path in ways[name]:
                if t < path.delay:
                    continue
                source = made.get(path.source, known.get(path.source))
                assert source is not None
                if len(source) == 1 < graph.time_steps:
                    if path not in same:
                        same[path] = apply_path(graph, path, source[0].astype(dtype))
                    current += same[path]
                else:
                    current += apply_path(graph, path, source[t - path.delay].astype(dtype))
            if observe is not None:
                observe(name, t, current)
            states[name] = step(dynamics[name], states[name], current)
            made[name][t] = states[name].spikes
    return made


def simulate_in_parts(graph: Graph, members: Iterable[str], known: Known) -> dict[str, Array]:
    """:func:`simulate`, some samples at a time, for their currents and states are floats, and take far more memory than spikes."""
    names, samples = list(members), next(iter(known.values())).shape[1]
    made: dict[str, Array] = {}
    for start in range(0, samples, SAMPLES_AT_ONCE):
        part = slice(start, start + SAMPLES_AT_ONCE)
        for name, spikes in simulate(graph, names, {n: x[:, part] for n, x in known.items()}).items():
            if name not in made:
                made[name] = np.empty((len(spikes), samples, *spikes.shape[2:]), spikes.dtype)
            made[name][:, part] = spikes
    return made


def source_values(graph: Graph, inputs: Array) -> Array:
    """Integer inputs as :data:`Known` has them: (1, N, *shape) where the input is static."""
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)
    return inputs[None] if entry.encoding == "static" else inputs
