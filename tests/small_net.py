"""A small network with everything that a fault can hide in, twice: as a Graph, and simulated here by plain loops over its
parameters, which share no code with snncc. So where a fault shows first is known without asking ``snncc diff``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import AvgPool2d, BatchNorm, Conv2d, Dense, Flatten, Input, Neuron, Output
from snncc.program.program import Program

Array = np.ndarray
STEPS, SAMPLES, SIDE = 8, 4, 12
EPS = 1e-5
LAYERS = ("lif1", "lif2", "lif3")
Place = tuple[str, int, int, tuple[int, ...]]
"""(layer, step, sample, neuron)."""


@dataclass(frozen=True, eq=False)
class Lif:
    """``v = decay·v + i + bias``; fires; resets."""

    threshold: float = 1.0
    decay: float = 0.9
    bias: float = 0.0
    start: float = 0.0
    reset: str = "subtract"
    strict: bool = False


@dataclass(frozen=True, eq=False)
class Net:
    """Convolution (stride 3), batch norm, lif1, mean over 2×2, dense, lif2, a delay, dense, lif3, whose spikes count."""

    w1: Array
    mean: Array
    var: Array
    gamma: Array
    beta: Array
    w2: Array
    w3: Array
    lif1: Lif = Lif()
    lif2: Lif = Lif(decay=0.83, bias=0.2)
    lif3: Lif = Lif(decay=0.77, reset="to_value")
    padding: int = 0
    divisor: float = 4.0
    delay: int = 1

    def with_(self, **changes: Any) -> Net:
        return replace(self, **changes)


def random_net(seed: int = 3) -> Net:
    """Weights as trained ones are: of any value."""
    rng = np.random.default_rng(seed)
    return Net(
        rng.normal(0, 0.5, (3, 1, 3, 3)), rng.normal(0, 0.2, 3), rng.uniform(0.5, 2, 3), rng.uniform(0.5, 1.5, 3),
        rng.uniform(0.1, 0.5, 3), rng.normal(0.05, 0.6, (8, 12)), rng.normal(0.3, 0.6, (4, 8)),
    )  # fmt: skip


def grid_net(seed: int = 0) -> Net:
    """Weights in eighths, leaks of a half and one: sums are exact, and membranes meet the threshold to the bit."""
    rng = np.random.default_rng(seed)

    def eighths(*shape: int) -> Array:
        return rng.integers(-5, 9, shape) / 8

    ones = np.ones(3)
    return Net(
        eighths(3, 1, 3, 3), 0 * ones, ones - EPS, ones, 0 * ones, eighths(8, 12), eighths(4, 8),
        Lif(decay=1.0), Lif(decay=1.0, bias=0.125), Lif(decay=0.5, reset="to_value"),
    )  # fmt: skip


def data(seed: int = 1) -> Array:
    """Spikes (T, N, 1, 12, 12)."""
    return (np.random.default_rng(seed).random((STEPS, SAMPLES, 1, SIDE, SIDE)) < 0.4).astype(np.int64)


def _lif(lif: Lif, shape: tuple[int, ...] = ()) -> Dynamics:
    return Dynamics(
        threshold=lif.threshold, compare=">" if lif.strict else ">=", membrane_decay=lif.decay, bias=lif.bias,
        v_init=lif.start, reset=lif.reset,  # type: ignore[arg-type]
    )  # fmt: skip


def graph_of(net: Net) -> Graph:
    """The same as snncc has it."""
    nodes = {
        "input": Input((1, SIDE, SIDE), "spikes", 1.0, 0, 1),
        "conv1": Conv2d(net.w1, None, (3, 3), (net.padding, net.padding)),
        "norm1": BatchNorm(net.mean, net.var, net.gamma, net.beta, EPS),
        "lif1": Neuron(_lif(net.lif1)),
        "pool": AvgPool2d((2, 2), (2, 2)),
        "flat": Flatten(),
        "dense2": Dense(net.w2 * 4 / net.divisor),
        "lif2": Neuron(_lif(net.lif2)),
        "dense3": Dense(net.w3),
        "lif3": Neuron(_lif(net.lif3)),
        "output": Output(),
    }
    names = list(nodes)
    edges = [Edge(a, b, net.delay if b == "dense3" else 0) for a, b in pairwise(names)]
    return build_graph(nodes, edges, STEPS, "small")


def simulate(net: Net, x: Array) -> dict[str, Array]:
    """Spikes (T, N, *shape) of the three layers, by loops."""
    gain = net.gamma / np.sqrt(net.var + EPS)
    spikes: dict[str, list[Array]] = {n: [] for n in LAYERS}
    states = {
        n: np.full((SAMPLES, *s), getattr(net, n).start) for n, s in zip(LAYERS, ((3, 4, 4), (8,), (4,)), strict=True)
    }

    def fire(name: str, current: Array) -> Array:
        lif: Lif = getattr(net, name)
        v = states[name] * lif.decay + current + lif.bias
        fired = (v > lif.threshold if lif.strict else v >= lif.threshold).astype(int)
        states[name] = np.where(fired == 1, v - lif.threshold if lif.reset == "subtract" else 0.0, v)
        spikes[name].append(fired)
        return fired

    for t in range(STEPS):
        current = np.zeros((SAMPLES, 3, 4, 4))
        image = np.pad(x[t, :, 0], ((0, 0), (net.padding, 4), (net.padding, 4)))
        for c in range(3):
            for i in range(4):
                for k in range(4):
                    window = image[:, 3 * i : 3 * i + 3, 3 * k : 3 * k + 3]
                    current[:, c, i, k] = (window * net.w1[c, 0]).sum(axis=(1, 2))
            current[:, c] = (current[:, c] - net.mean[c]) * gain[c] + net.beta[c]
        s1 = fire("lif1", current)
        means = np.zeros((SAMPLES, 3, 2, 2))
        for i in range(2):
            for k in range(2):
                means[:, :, i, k] = s1[:, :, 2 * i : 2 * i + 2, 2 * k : 2 * k + 2].sum(axis=(2, 3)) / net.divisor
        fire("lif2", means.reshape(SAMPLES, 12) @ net.w2.T)
        late = spikes["lif2"][t - net.delay] if t >= net.delay else np.zeros((SAMPLES, 8))
        fire("lif3", late @ net.w3.T)
    return {n: np.stack(s) for n, s in spikes.items()}


Leak = Callable[[Any], Any]
"""4096 times a membrane after its leak to that membrane."""


def nearest(product: int) -> int:
    return (product + 2048) // 4096


def down(product: int) -> int:
    return product // 4096


def exactly(product: Any) -> Fraction:
    return Fraction(product, 4096)


def simulate_program(program: Program, x: Array, leak: Leak = nearest, width: int | None = None) -> dict[str, Array]:
    """Spikes of the small network's Program by Python's own integers: leaks as ``leak`` rounds them, currents and
    membranes cut off beyond ``width`` bits."""

    def within(value: Any) -> Any:
        return value if width is None else max(-(2 ** (width - 1)) + 1, min(2 ** (width - 1) - 1, value))

    spikes: dict[str, Array] = {p.name: np.zeros((STEPS, SAMPLES, *p.shape), int) for p in program.populations}
    for n in range(SAMPLES):
        state: dict[str, list[Any]] = {
            p.name: [int(v) for v in np.broadcast_to(p.v_init, p.shape).flat] for p in program.populations
        }
        for t in range(STEPS):
            for p in program.populations:
                arriving = np.zeros(p.size, dtype=object)
                for q in program.incoming(p.name):
                    if t < q.delay:
                        continue
                    given = x[t - q.delay, n] if q.source == "input" else spikes[q.source][t - q.delay, n]
                    arriving = arriving + _sums(q, given, p.shape)
                per = {
                    f: np.broadcast_to(getattr(p, f), p.shape).flat
                    for f in ("decay_v", "bias", "threshold", "reset_amount")
                }
                for i in range(p.size):
                    leaked = leak(state[p.name][i] * int(per["decay_v"][i]))
                    v = within(leaked + within(int(arriving[i]) << p.guard_bits) + int(per["bias"][i]))
                    threshold = int(per["threshold"][i])
                    fired = v > threshold if p.compare == ">" else v >= threshold
                    spikes[p.name][t, n].flat[i] = int(fired)
                    down = v - int(per["reset_amount"][i]) if p.reset == "subtract" else 0
                    state[p.name][i] = down if fired else v
    return spikes


def _sums(q: Any, given: Array, shape: tuple[int, ...]) -> Array:
    if q.kind == "dense":
        return q.weight.astype(object) @ given.reshape(-1).astype(object)
    assert q.kind == "conv" and q.groups == 1 and q.dilation == (1, 1)
    (sy, sx), (py, px), (ky, kx) = q.stride, q.padding, q.weight.shape[2:]
    image = np.pad(given, ((0, 0), (py, py + 4), (px, px + 4))).astype(object)
    made = np.zeros(shape, dtype=object)
    for c in range(shape[0]):
        for i in range(shape[1]):
            for k in range(shape[2]):
                made[c, i, k] = (image[:, i * sy : i * sy + ky, k * sx : k * sx + kx] * q.weight[c]).sum()
    return made.reshape(-1)


def first_place(a: Mapping[str, Array], b: Mapping[str, Array]) -> Place | None:
    """Where two runs differ first: earliest step, then layer, then sample, then neuron, by loops."""
    for t in range(STEPS):
        for name in LAYERS:
            for n in range(SAMPLES):
                for neuron in np.ndindex(a[name].shape[2:]):
                    if a[name][(t, n, *neuron)] != b[name][(t, n, *neuron)]:
                        return name, t, n, neuron
    return None
