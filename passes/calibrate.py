"""Measure, on data, what flows through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from snncc.feed import sample_count, take
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Input, Neuron
from snncc.pipeline import SYNAPSES, Context, PassResult

Array = np.ndarray
FACT = "calibration"
SAMPLES_AT_ONCE = 256
"""All their spikes and membranes are in memory."""


@dataclass(frozen=True)
class Calibration:
    """What a run of the float network on data showed.

    Attributes:
        power: synapse name to mean square of each of its input channels (C,) or features (N,).
        rate: neuron name to mean spikes a neuron and step.
        membrane: neuron name to (lowest, highest) membrane at the end of a step.
        current: neuron name to (lowest, highest) input of a step.
        samples: how many were run.
    """

    power: dict[str, Array]
    rate: dict[str, float]
    membrane: dict[str, tuple[float, float]]
    current: dict[str, tuple[float, float]]
    samples: int


@dataclass(frozen=True)
class Calibrate:
    """Analysis: runs the float network on ``inputs`` and leaves a :class:`Calibration` in the context. Without inputs it
    does nothing, and scales are chosen from the weights alone."""

    inputs: Array | None = field(default=None, repr=False)
    name: ClassVar[str] = "calibrate"
    requires: ClassVar[tuple[str, ...]] = ("single-synapses",)
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = True

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Run and summarise."""
        if self.inputs is None:
            return PassResult(graph, False)
        entry = graph.nodes[graph.input]
        assert isinstance(entry, Input)
        samples = sample_count(self.inputs, entry)
        starts = range(0, samples, SAMPLES_AT_ONCE)
        context.facts[FACT] = _together(
            [_measured(graph, take(self.inputs, entry, i, i + SAMPLES_AT_ONCE)) for i in starts]
        )
        return PassResult(graph, False, f"activity of {samples} samples")


def _measured(graph: Graph, inputs: Array) -> Calibration:
    power: dict[str, Array] = {}
    seen: dict[str, int] = {}
    current: dict[str, tuple[float, float]] = {}

    def observe(name: str, t: int, x: Array) -> None:
        node = graph.nodes[name]
        if isinstance(node, SYNAPSES):
            axes = tuple(i for i in range(x.ndim) if i != 1)
            power[name] = power.get(name, 0) + np.square(x, dtype=np.float64).mean(axis=axes)
            seen[name] = seen.get(name, 0) + 1  # once where the input is static
        elif isinstance(node, Neuron):
            low, high = current.get(name, (np.inf, -np.inf))
            current[name] = (min(low, float(x.min())), max(high, float(x.max())))

    run = run_graph(graph, inputs, np.float32, record_membranes=True, observe=observe)
    return Calibration(
        {n: p / seen[n] for n, p in power.items()},
        {n: float(np.abs(s).mean()) for n, s in run.spikes.items()},
        {n: (float(m.min()), float(m.max())) for n, m in run.membranes.items()},
        current,
        run.scores.shape[0],
    )


def _together(parts: Sequence[Calibration]) -> Calibration:
    """What one run on the samples of all parts shows."""
    samples = sum(p.samples for p in parts)

    def mean(field: str, name: str) -> Any:
        return sum(getattr(p, field)[name] * (p.samples / samples) for p in parts)

    def ends(field: str, name: str) -> tuple[float, float]:
        found = [getattr(p, field)[name] for p in parts]
        return min(low for low, _ in found), max(high for _, high in found)

    one = parts[0]
    return Calibration(
        {n: mean("power", n) for n in one.power},
        {n: mean("rate", n) for n in one.rate},
        {n: ends("membrane", n) for n in one.membrane},
        {n: ends("current", n) for n in one.current},
        samples,
    )
