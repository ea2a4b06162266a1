"""Random small networks for property tests.

All numbers of a Graph are whole multiples of a power of two, so that float64 arithmetic on them is exact and tests can ask
for equality. Structure is drawn by hypothesis (it shrinks), the many numbers by a generator with a drawn seed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from snncc.ir.dynamics import COMPARES, CURRENT_TIMINGS, DECAY_TIMINGS, RESET_TIMINGS, RESETS, Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import (
    READOUTS,
    TIE_RULES,
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Input,
    Neuron,
    Node,
    Output,
    Scale,
    SumPool2d,
)
from snncc.ir.shapes import node_shape

Array = np.ndarray
Shape = tuple[int, ...]
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
seeds = st.integers(0, 2**32 - 1)


def examples(count: int) -> settings:
    """A test draws ``count`` examples, times ``SNNCC_EXAMPLES``."""
    return settings(max_examples=count * int(os.environ.get("SNNCC_EXAMPLES", "1")))


@dataclass(frozen=True)
class Grid:
    """On which numbers a network lives.

    Attributes:
        unit: everything is a whole multiple of it.
        span: thresholds are 4..24 of ``unit · span``, the other constants alike.
        decays: to choose from.
        gains, spike_values, scales: powers of two to choose from, also negative.
        largest_weight: in units; ``full``: every output channel has a weight of that size.
    """

    unit: float = 0.125
    span: int = 1
    decays: tuple[float, ...] = QUARTERS
    gains: tuple[float, ...] = (1.0, 0.5, 2.0, -1.0)
    spike_values: tuple[float, ...] = (1.0, 0.5, 2.0, -1.0)
    scales: tuple[float, ...] = (1.0, 0.25)
    largest_weight: int = 12
    full: bool = False


REAL = Grid()
WHOLE = Grid(0.125, 24, (0.0, 1.0), (1.0,), (1.0,), (1.0,), 127, True)
"""Networks that 8-bit weights hold exactly."""
HALVING = Grid(0.125, 24, (0.0, 0.5, 1.0), (1.0,), (1.0,), (1.0,), 127, True)
"""The same with leaks of a half, which 6 guard bits hold exactly over up to 5 steps."""


@st.composite
def dynamics(draw: Any, shape: Shape, grid: Grid = REAL, fires: bool | None = None, last: bool = False) -> Dynamics:
    """Every field of :class:`Dynamics`; constants as scalars, one a channel or one a neuron."""
    rng = np.random.default_rng(draw(seeds))

    def size() -> Shape:
        form = draw(st.sampled_from(("scalar", "scalar", "channel", "neuron")))
        return {"scalar": (), "channel": (shape[0], *(1,) * (len(shape) - 1)), "neuron": shape}[form]

    def among(values: Sequence[float]) -> Any:
        made = rng.choice(np.asarray(values), size())
        return float(made) if np.ndim(made) == 0 else made

    def number(low: int, high: int) -> Any:
        made = rng.integers(low * grid.span, high * grid.span + 1, size()) * grid.unit
        return float(made) if np.ndim(made) == 0 else made

    made = Dynamics(
        threshold=number(4, 24),
        compare=draw(st.sampled_from(COMPARES)),
        membrane_decay=among(grid.decays),
        current_decay=among(grid.decays) if draw(st.booleans()) else None,
        current_bias=number(-2, 2) if draw(st.booleans()) else 0.0,
        input_gain=among(grid.gains) if not last else draw(st.sampled_from(tuple(g for g in grid.gains if g > 0))),
        bias=number(-3, 6),
        levels=draw(st.integers(1, 4)),
        signed=draw(st.booleans()),
        reset=draw(st.sampled_from(RESETS)),
        reset_amount=number(2, 30) if draw(st.booleans()) else None,
        reset_value=number(-16, 8),
        reset_timing=draw(st.sampled_from(RESET_TIMINGS)),
        decay_timing=draw(st.sampled_from(DECAY_TIMINGS)),
        reset_current=draw(st.booleans()),
        current_timing=draw(st.sampled_from(CURRENT_TIMINGS)),
        v_init=number(-8, 16),
        v_min=number(-24, -1) if draw(st.booleans()) else None,
        spike_value=among(grid.spike_values),
        fires=draw(st.booleans()) if fires is None else fires,
    )
    return fitting(made)


def fitting(neuron: Any) -> Any:
    """A Dynamics or a Population, changed where its fields do not allow its timings."""
    if neuron.reset_timing == "immediate_pending":
        neuron = replace(neuron, reset="subtract", levels=1, signed=False)
    decay = neuron.current_decay if isinstance(neuron, Dynamics) else neuron.decay_u
    if decay is None:
        neuron = replace(neuron, current_timing="before")
    clears = neuron.reset == "to_value" and neuron.reset_timing in ("immediate", "next_step_after_input")
    return neuron if clears and decay is not None else replace(neuron, reset_current=False)


@dataclass
class Net:
    """A graph in the making; :meth:`add` knows the shapes."""

    draw: Any
    rng: np.random.Generator
    grid: Grid
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def add(self, name: str, node: Node, *sources: str) -> str:
        """Add a node that the sources feed; returns its name."""
        given = self.shapes[sources[0]] if sources else ()
        self.nodes[name] = node
        self.edges += [Edge(s, name) for s in sources]
        self.shapes[name] = node_shape(name, node, given)
        return name

    def maybe(self) -> bool:
        return bool(self.draw(st.booleans()))

    def weight(self, *shape: int) -> Array:
        limit = self.grid.largest_weight
        made = self.rng.integers(-limit, limit + 1, shape)
        made[self.rng.random(shape) < 0.2] = 0
        if self.grid.full:
            made.reshape(len(made), -1)[:, 0] = limit
        return made * self.grid.unit

    def bias(self, outputs: int) -> Array | None:
        return self.rng.integers(-8, 9, outputs) * self.grid.unit if self.maybe() else None

    def conv(self, name: str, source: str, outputs: int = 2, same: bool = False) -> str:
        """A convolution over one or two axes with random geometry, or of unchanged shape."""
        channels, *sizes = self.shapes[source]
        groups = 2 if channels % 2 == 0 and outputs % 2 == 0 and self.maybe() else 1
        kernel = 3 if same else self.draw(st.integers(1, min(3, *sizes)))
        stride = 1 if same else self.draw(st.integers(1, 2))
        padding = 1 if same else self.draw(st.integers(0, 1))
        dilation = 2 if not same and kernel == 2 and min(sizes) > 2 and self.maybe() else 1
        weight = self.weight(outputs, channels // groups, *(kernel,) * len(sizes))
        bias = self.bias(outputs)
        if len(sizes) == 1:
            return self.add(name, Conv1d(weight, bias, stride, padding, dilation, groups), source)
        pairs = ((n, n) for n in (stride, padding, dilation))
        return self.add(name, Conv2d(weight, bias, *pairs, groups), source)  # type: ignore[arg-type]

    def dense(self, name: str, source: str, outputs: int) -> str:
        if len(self.shapes[source]) > 1:
            source = self.add(f"{name}-flat", Flatten(), source)
        return self.add(name, Dense(self.weight(outputs, self.shapes[source][0]), self.bias(outputs)), source)

    def batch_norm(self, name: str, source: str) -> str:
        """Gains are powers of two: ``var + eps`` is 1 or 4."""
        channels = self.shapes[source][0]
        mean, bias = (self.rng.integers(-4, 5, channels) * self.grid.unit for _ in range(2))
        var, gain = self.rng.choice([0.75, 3.75], channels), self.rng.choice([0.5, 1.0, -2.0], channels)
        return self.add(name, BatchNorm(mean, var, gain, bias, 0.25), source)

    def pool(self, name: str, source: str) -> str:
        """Average or sum pooling over 2×2, sometimes overlapping or padded."""
        kind = self.draw(st.sampled_from((AvgPool2d, SumPool2d)))
        stride, padding = self.draw(st.sampled_from(((2, 0), (2, 0), (1, 0), (2, 1))))
        return self.add(name, kind((2, 2), (stride, stride), (padding, padding)), source)

    def decorate(self, name: str, source: str) -> str:
        """Nodes that passes remove or fold."""
        if self.grid.full:
            return source
        if self.maybe():
            source = self.batch_norm(f"{name}-norm", source)
        if self.maybe():
            source = self.add(f"{name}-drop", Identity(), source)
        if self.maybe():
            factor = self.draw(st.sampled_from((1.0, 0.5, -2.0, "neuron")))
            shape = self.shapes[source]
            scale = self.rng.choice([0.5, 1.0, 2.0], shape) if factor == "neuron" else factor
            source = self.add(f"{name}-scale", Scale(scale), source)  # type: ignore[arg-type]
        return source

    def neuron(self, name: str, *sources: str, **options: Any) -> str:
        made = self.draw(dynamics(self.shapes[sources[0]], self.grid, **options))
        self.add(name, Neuron(made), *sources)
        if made.fires and self.maybe():
            self.recur(name)
        return name

    def recur(self, name: str) -> None:
        """A loop with a delay: the neuron's spikes as they are, or through weights."""
        delay, shape = self.draw(st.integers(1, 2)), self.shapes[name]
        way = [name]
        if len(shape) == 1:
            self.nodes[f"{name}-back"] = Dense(self.weight(*shape, *shape))
            way.append(f"{name}-back")
        elif self.maybe() and len(shape) == 3:
            self.nodes[f"{name}-back"] = Conv2d(self.weight(shape[0], shape[0], 1, 1))
            way.append(f"{name}-back")
        before = self.maybe() or len(way) == 1
        self.edges.append(Edge(name, way[-1], delay if before else 0))
        if len(way) > 1:
            self.edges.append(Edge(way[-1], name, 0 if before else delay))


def finish(net: Net, last: str, steps: int) -> Graph:
    """Put an output behind ``last``, through nothing, a Flatten or an Identity, and build the graph."""
    node = net.nodes[last]
    counted = isinstance(node, Neuron) and node.dynamics.fires
    kinds = READOUTS if counted else ("membrane", "summed_current")
    if not isinstance(node, Neuron):
        kinds = ("spike_count", "membrane", "summed_current")
    kind = net.draw(st.sampled_from(kinds))
    times = tuple(int(w) for w in net.rng.integers(-2, 5, steps)) if kind == "weighted_count" else None
    between = net.draw(st.sampled_from((None, Flatten(), Identity())))
    if between is not None:
        last = net.add("way-out", between, last)
    each_step = times is None and net.draw(st.sampled_from((False, False, True)))
    net.add("output", Output(kind, net.draw(st.sampled_from(TIE_RULES)), times, each_step), last)
    return build_graph(net.nodes, net.edges, steps, "random")


@st.composite
def graphs(draw: Any, grid: Grid = REAL) -> Graph:
    """Two or three populations over an image, a line or features, with residual adds, loops and pooling."""
    steps = draw(st.integers(1, 5))
    net = Net(draw, np.random.default_rng(draw(seeds)), grid)
    shape = draw(st.sampled_from(((2, 5, 4), (1, 4, 4), (2, 6), (5,))))
    encoding = draw(st.sampled_from(("static", "frames", "spikes")))
    low, high = (-1, 2) if encoding == "spikes" else (0, 7)
    scale = draw(st.sampled_from(grid.scales)) if encoding != "spikes" else 1.0
    last = net.add("input", Input(shape, encoding, scale, low, high))
    if len(shape) > 1:
        last = net.neuron("n1", net.decorate("c1", net.conv("c1", last)), fires=True)
        if net.maybe():
            way = net.decorate("c2", net.conv("c2", last, net.shapes[last][0], same=True))
            shortcut = net.decorate("cut", last) if not grid.full and net.maybe() else last
            last = net.neuron("n2", way, shortcut, fires=True)
        if len(shape) == 3 and min(net.shapes[last][1:]) > 1 and not grid.full and net.maybe():
            last = net.pool("pool", last)
            if net.maybe():
                last = net.neuron("n3", net.conv("c3", last, 2), fires=True)
    if len(shape) == 1 or net.maybe():
        last = net.decorate("d1", net.dense("d1", last, draw(st.integers(1, 4))))
        if draw(st.integers(0, 3)) > 0:
            last = net.neuron("n4", last, last=True)
    if not isinstance(net.nodes[last], Neuron) and net.nodes[last] is net.nodes.get("input"):
        last = net.neuron("n5", last, last=True)
    return finish(net, last, steps)


def data_for(graph: Graph, seed: int, samples: int = 3) -> Array:
    """Integer input in range; the first sample has only the ends of the range."""
    node = graph.nodes[graph.input]
    assert isinstance(node, Input)
    return random_input(node.shape, node.encoding, node.low, node.high, graph.time_steps, seed, samples)


def random_input(shape: Shape, encoding: str, low: int, high: int, steps: int, seed: int, samples: int) -> Array:
    """(N, *shape) where static, else (T, N, *shape); the first sample has only the ends of the range."""
    rng = np.random.default_rng(seed)
    lead = (samples,) if encoding == "static" else (steps, samples)
    made = rng.integers(low, high + 1, (*lead, *shape))
    ends = rng.choice([low, high], made.shape)
    first = (slice(0, 1),) if encoding == "static" else (slice(None), slice(0, 1))
    made[first] = ends[first]
    return made
