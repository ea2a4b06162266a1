"""Thresholds for a wanted activity: layer after layer, so that each fires in the wanted share of its neurons and steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.chain import Chain, Stage, chain_of
from benchmarks.torch_layers import affine, real_inputs
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron

Array = np.ndarray
HALVINGS = 22
"""Of the interval in which a threshold is looked for; a threshold is then known to one part in four million of it."""
MOST_VALUES = 1 << 22
"""Membranes of the largest layer over all steps that are looked at; more samples than that holds tell little more."""
MEASURED_SAMPLES = 16


def spread(rates: Sequence[float], graph: Graph) -> list[float]:
    """One rate for each hidden layer from a profile over depth, stretched to as many layers."""
    hidden = len(chain_of(graph).hidden)
    places = np.linspace(0, 1, len(rates))
    return [float(x) for x in np.interp(np.linspace(0, 1, hidden), places, rates)]


def measured_rates(graph: Graph, inputs: Array) -> list[float]:
    """Share of neurons that fire in a step in the float network, hidden layer by hidden layer."""
    axis = 0 if len(inputs.shape) == 1 + len(graph.nodes[graph.input].shape) else 1  # type: ignore[union-attr]
    few = inputs[:MEASURED_SAMPLES] if axis == 0 else inputs[:, :MEASURED_SAMPLES]
    recording = run_graph(graph, few, np.float32)
    fires = [name for name, node in graph.nodes.items() if isinstance(node, Neuron) and node.dynamics.fires]
    return [float((recording.spikes[name] != 0).mean()) for name in fires]


def calibrate(graph: Graph, inputs: Array, rates: Sequence[float]) -> tuple[Graph, tuple[float, ...]]:
    """``graph`` with one threshold a layer, found by halving an interval while the neurons run over all steps; and the rates
    that were reached. Uses as many samples as :data:`MOST_VALUES` holds."""
    chain = chain_of(graph)
    with torch.inference_mode():
        x = real_inputs(chain, inputs, torch.float32)
        thresholds: dict[str, float] = {}
        reached: list[float] = []
        for stage, rate in zip(chain.hidden, rates, strict=True):
            currents = _currents(chain, stage, x, first=not reached)
            threshold = _threshold(chain, stage, currents, rate)
            x, _ = _fire(chain, stage, currents, threshold)
            thresholds[stage.name] = threshold
            reached.append(float(x.mean()))
    changed = {
        name: Neuron(node.dynamics.with_(threshold=thresholds[name]))
        for name, node in graph.nodes.items()
        if isinstance(node, Neuron) and name in thresholds
    }
    return graph.with_nodes(changed), tuple(reached)


def _currents(chain: Chain, stage: Stage, x: Tensor, first: bool) -> Tensor:
    """(T, N, …), or (1, N, …) where they are the same in every step; of fewer samples where the layer is large."""
    layers = affine(stage.layers)
    once = first and chain.static
    steps = x[None] if once else x
    one = layers(steps[:1, :1].flatten(0, 1))
    keep = min(steps.shape[1], max(2, MOST_VALUES // (chain.time_steps * one.numel())))
    steps = steps[:, :keep]
    return layers(steps.flatten(0, 1)).unflatten(0, steps.shape[:2])


def _threshold(chain: Chain, stage: Stage, currents: Tensor, rate: float) -> float:
    decay = float(np.asarray(stage.dynamics.membrane_decay))
    steps = chain.time_steps if decay == 1 else min(chain.time_steps, 1 / (1 - decay))
    high = float(currents.amax()) * steps
    if stage.recurrent is not None:
        high += float(np.abs(stage.recurrent).sum(axis=1).max()) * steps
    low = 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fired = float(_fire(chain, stage, currents, middle)[0].mean())
        low, high = (middle, high) if fired > rate else (low, middle)
    _, (below, above) = _fire(chain, stage, currents, high)
    apart = (below + above) / 2  # as far from every membrane as can be, so that no rounding tips one
    return apart if 0 < apart < float("inf") else high if high > 0 else 1.0


def _fire(chain: Chain, stage: Stage, currents: Tensor, threshold: float) -> tuple[Tensor, tuple[float, float]]:
    """Spikes (T, N, …) for currents (T, N, …) or (1, N, …); the highest membrane that did not fire, the lowest that did."""
    d: Dynamics = stage.dynamics
    decay, strict = float(np.asarray(d.membrane_decay)), d.compare == ">"
    loop = None if stage.recurrent is None else torch.from_numpy(np.ascontiguousarray(stage.recurrent.T)).float()
    v = torch.zeros_like(currents[0])
    spikes = v
    fired, below, above = [], -float("inf"), float("inf")
    for t in range(chain.time_steps):
        v = decay * v + currents[t if len(currents) > 1 else 0]
        if loop is not None:
            v = v + spikes @ loop
        over = v > threshold if strict else v >= threshold
        below = max(below, float(v.masked_fill(over, below).amax()))
        above = min(above, float(v.masked_fill(~over, above).amin()))
        spikes = over.float()
        v = v.masked_fill(over, 0.0)
        fired.append(spikes)
    return torch.stack(fired), (below, above)
