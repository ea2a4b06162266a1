"""Plain max-scaling, as other tools quantise: a layer's weights times (2^(bits−1) − 1) / max|w|, rounded; threshold, biases and all
other constants times the same number, rounded to whole units; no guard bits, so that membranes are rounded to units after
every leak. It is a measure for what snncc's own quantisation gains, no part of snncc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Neuron, Node
from snncc.pipeline import Context, Pass, PassResult, synapses_of
from snncc.registry import get_target
from snncc.target import CompileOptions, Target
from snncc.targets.common import float_passes

DECAY_ONE = 4096


@dataclass(frozen=True)
class MaxScaling:
    """One scale a layer, by its largest weight."""

    bits: int
    name: ClassVar[str] = "max-scaling"
    requires: ClassVar[tuple[str, ...]] = ("single-synapses", "no-synapse-bias", "unit-spikes", "neuron-readout")
    ensures: ClassVar[tuple[str, ...]] = ()
    analysis: ClassVar[bool] = False

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Scale and round."""
        nodes: dict[str, Node] = {}
        units = {}
        for name in graph.of_type(Neuron):
            neuron = graph.nodes[name]
            assert isinstance(neuron, Neuron)
            synapses: dict[str, Any] = synapses_of(graph, name)
            largest = max(float(np.abs(s.weight).max(initial=0)) for s in synapses.values()) or 1.0
            unit = largest / (2 ** (self.bits - 1) - 1)
            units[name] = np.asarray([unit])
            nodes |= {n: replace(s, weight=np.round(s.weight / unit) + 0.0) for n, s in synapses.items()}
            nodes[name] = Neuron(_whole(neuron.dynamics, unit))
        context.facts["units"] = units
        return PassResult(graph.with_nodes(nodes), True, f"{self.bits}-bit weights, max-scaled per layer")


def _whole(d: Dynamics, unit: float) -> Dynamics:
    """``d`` in whole units; thresholds and reset amounts stay 1 at least."""

    def units(value: Any, least: float = -np.inf) -> Any:
        return np.maximum(np.round(np.asarray(value) / unit), least) + 0.0

    def decay(value: Any) -> Any:
        return np.round(np.asarray(value) * DECAY_ONE) / DECAY_ONE

    return d.with_(
        threshold=units(d.threshold, 1),
        reset_amount=units(d.subtracted, 1) if d.fires else None,
        bias=units(d.bias),
        current_bias=units(d.current_bias),
        v_init=units(d.v_init),
        reset_value=units(d.reset_value),
        v_min=None if d.v_min is None else units(d.v_min),
        membrane_decay=decay(d.membrane_decay),
        current_decay=None if d.current_decay is None else decay(d.current_decay),
    )


def plain_target() -> Target:
    """``fixed-sim`` with plain max-scaling in place of its quantisation."""

    def pipeline(options: CompileOptions) -> Sequence[Pass]:
        return (*float_passes(options), MaxScaling(options.bits))

    return replace(get_target("fixed-sim"), pipeline=pipeline)
