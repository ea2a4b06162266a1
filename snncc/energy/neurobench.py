"""NeuroBench's metrics of a network, counted from its Graph as NeuroBench 2.3.0 counts them from a PyTorch module.

What its harness counts (Yik et al., Nature Communications 16, 1545, 2025; the names here are those of its results):

- *SynapticOperations*: for every call of a layer with weights, non-zero weight × non-zero input, padding respected, biases left
  out. They are accumulates (``Effective_ACs``) where the whole input of the call lies in {−1, 0, 1}, and multiply-accumulates
  (``Effective_MACs``) otherwise; ``Dense`` takes every weight and input for non-zero. All are means over samples.
- *ActivationSparsity*: share of neurons × steps × samples that did not fire; also by layer.
- *MembraneUpdates*: every neuron at step 0, and later those whose membrane changed; mean over samples.
- *NeuronOperations*: membrane updates times the operations that the harness takes for one, by snnTorch's class and reset
  (:data:`NEURON_OPERATIONS`); ``Dense`` takes every neuron at every step. The class is told from the equations
  (:func:`snntorch_class`). The harness itself fails on neurons that are not in its table, recurrent ones among them; here
  recurrence is an edge of the Graph, and its neurons count as those without. A neuron of no class in the table (graded spikes, no
  reset, no spikes) leaves the metric None.
- *ConnectionSparsity*: share of weights that are zero, rounded to four decimals. *ParameterCount*. *Footprint*: bytes of parameters
  and buffers.

A call is what the module's code makes of it. Modules that take one step a call (as NeuroBench asks of snnTorch's) call each layer
at every step, the ones behind a static input too: ``calls="step"``. Others call a layer once for all steps: ``calls="run"``. Which
values share a call depends on the batch, and so does what counts as an accumulate.

The harness adds up in float32, so beyond 2**24 operations a call its own figures are rounded; these are exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.feed import Inputs, sample_count, take
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.interpreter import Recording, run_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import BatchNorm, Conv1d, Conv2d, Dense, Input, Neuron, Node, Sparse

Array = np.ndarray
Weighted = Dense | Conv1d | Conv2d | Sparse
CALLS = ("step", "run")
BATCH = 64
NEURON_OPERATIONS = {
    ("Leaky", "subtract"): 4,
    ("Leaky", "to_value"): 4,
    ("Synaptic", "subtract"): 6,
    ("Synaptic", "to_value"): 8,
    ("Lapicque", "subtract"): 11,
    ("Lapicque", "to_value"): 11,
    ("Alpha", "subtract"): 18,
    ("Alpha", "to_value"): 24,
}
"""(Class, reset) to operations an update: neurobench 2.3.0, metrics/workload/neuron_operations.py."""
FLOAT_BYTES, COUNTER_BYTES = 4, 8
"""Of a float32, and of the int64 counter that PyTorch keeps in every batch norm."""


@dataclass
class _Totals:
    """Sums over batches."""

    accumulates: int = 0
    multiplies: int = 0
    dense: int = 0
    updates: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    right: int = 0


def neurobench(
    graph: Graph, inputs: Inputs, labels: Array | None = None, calls: str = "step", batch: int = BATCH
) -> dict[str, Any]:
    """NeuroBench's results for ``graph`` on integer ``inputs`` as :func:`snncc.feed.feed` gives them: its metric's name to
    the value, as its ``Benchmark.run`` returns them. ``ClassificationAccuracy`` is there where ``labels`` (N,) are given.

    The network runs in float32, ``batch`` samples a call. ``Footprint`` and ``ParameterCount`` are the module's own where
    the Graph was read from one; else they are those of PyTorch's layers without the buffers of neurons. Raises
    :class:`InputError` where the data does not fit or no layer has weights.
    """
    if calls not in CALLS or batch < 1:
        raise InputError(
            f"neurobench: calls is {calls!r} and batch {batch}; give one of {', '.join(CALLS)}, and 1 or more"
        )
    weighted = {name: node for name, node in graph.nodes.items() if isinstance(node, Weighted)}
    fixed = static_metrics(graph)
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)
    samples = sample_count(inputs, entry)
    totals = _Totals()
    silent, cells = (dict.fromkeys(graph.of_type(Neuron), 0) for _ in range(2))
    for start in range(0, max(samples, 1), batch):
        stop = min(start + batch, samples)
        run = _count_run(graph, take(inputs, entry, start, stop), weighted, calls, totals)
        for name, membrane in run.membranes.items():
            totals.updates[name] += _updates(membrane)
        for name, spikes in run.spikes.items():
            silent[name] += int(np.count_nonzero(spikes == 0))
            cells[name] += spikes.size
        if labels is not None:
            totals.right += int(np.count_nonzero(run.predictions == labels[start:stop]))
    accuracy = {} if labels is None else {"ClassificationAccuracy": totals.right / labels.size}
    return {
        **fixed,
        **accuracy,
        "ActivationSparsity": sum(silent.values()) / sum(cells.values()) if cells else 0.0,
        "ActivationSparsityByLayer": {name: silent[name] / cells[name] for name in cells},
        "SynapticOperations": {
            "Effective_MACs": totals.multiplies / samples,
            "Effective_ACs": totals.accumulates / samples,
            "Dense": totals.dense / samples,
        },
        "MembraneUpdates": sum(totals.updates.values()) / samples,
        "NeuronOperations": _neuron_operations(graph, totals.updates, cells, samples),
    }


def snntorch_class(d: Dynamics) -> str | None:
    """Which of snnTorch's neurons has these equations: without a synaptic current Leaky, or Lapicque where the input has a gain;
    with one Synaptic, or Alpha where the membrane takes the current of the step before. None: none of them."""
    if not d.fires or d.levels > 1 or d.signed:
        return None
    if d.current_decay is None:
        return "Leaky" if np.all(np.asarray(d.input_gain) == 1) else "Lapicque"
    return "Synaptic" if d.current_timing == "before" else "Alpha"


def _neuron_operations(
    graph: Graph, updates: Mapping[str, int], cells: Mapping[str, int], samples: int
) -> dict[str, float] | None:
    """The metric, of updates and of neurons × steps × samples; None where a neuron has no figure, or there are none."""
    neurons = {name: node.dynamics for name, node in graph.nodes.items() if isinstance(node, Neuron)}
    factors = {name: NEURON_OPERATIONS.get((str(snntorch_class(d)), d.reset)) for name, d in neurons.items()}
    known = {name: factor for name, factor in factors.items() if factor is not None}
    if not neurons or len(known) < len(factors):
        return None
    return {
        "Effective Neuron Ops": sum(factor * updates[name] for name, factor in known.items()) / samples,
        "Neuron Dense Ops": sum(factor * cells[name] for name, factor in known.items()) / samples,
    }


def static_metrics(graph: Graph) -> dict[str, Any]:
    """The metrics that need no data. Raises :class:`InputError` where no layer has weights."""
    weights = [node.weight for node in graph.nodes.values() if isinstance(node, Weighted)]
    if not weights:
        raise InputError(f"{graph.name}: no layer has weights, so there is nothing to count")
    zeros, size = (sum(counts) for counts in zip(*((np.count_nonzero(w == 0), w.size) for w in weights), strict=True))
    stored = graph.origin.get("stored", {})
    parameters, buffers = _stored(graph)
    return {
        "ParameterCount": stored.get("parameters", parameters),
        "Footprint": stored.get("bytes", parameters * FLOAT_BYTES + buffers),
        "ConnectionSparsity": round(float(np.float32(zeros) / np.float32(size)), 4),  # the harness divides in float32
    }


def _stored(graph: Graph) -> tuple[int, int]:
    """(parameters, bytes of buffers) of PyTorch's layers for the nodes of a Graph."""
    parameters = buffers = 0
    for node in graph.nodes.values():
        if isinstance(node, Weighted):
            bias = None if isinstance(node, Sparse) else node.bias
            parameters += node.weight.size + (0 if bias is None else bias.size)
        elif isinstance(node, BatchNorm):
            parameters += node.weight.size + node.bias.size
            buffers += (node.mean.size + node.var.size) * FLOAT_BYTES + COUNTER_BYTES
    return parameters, buffers


def _count_run(graph: Graph, inputs: Array, weighted: dict[str, Weighted], calls: str, totals: _Totals) -> Recording:
    """Run one batch, and add up what its layers do."""
    seen: dict[str, list[tuple[int, int, bool]]] = {name: [] for name in weighted}

    def observe(name: str, t: int, x: Array) -> None:
        if name in weighted:
            seen[name].append((*_operations(weighted[name], x), bool(np.isin(x, (-1, 0, 1)).all())))

    run = run_graph(graph, inputs, np.float32, record_membranes=True, observe=observe)
    for effective, dense, spiking in (
        call for steps in seen.values() for call in _calls(steps, graph.time_steps, calls)
    ):
        totals.dense += dense
        if spiking:
            totals.accumulates += effective
        else:
            totals.multiplies += effective
    return run


def _calls(steps: list[tuple[int, int, bool]], time_steps: int, calls: str) -> Iterator[tuple[int, int, bool]]:
    """(effective operations, all operations, whether on spikes) of each call; one step alone is the same at every step."""
    if calls == "step":
        yield from steps if len(steps) == time_steps else steps * time_steps
        return
    effective, dense, spiking = zip(*steps, strict=True)
    yield sum(effective), sum(dense), all(spiking)


def _operations(node: Weighted, x: Array) -> tuple[int, int]:
    """(non-zero weight × non-zero input, weight × input) at valid positions, of ``x`` (N, …)."""
    used, ones = node.weight != 0, np.ones_like(node.weight, bool)
    effective = apply_node(_summed(node, used), (x != 0).astype(np.float64))
    return int(effective.sum()), int(apply_node(_summed(node, ones), np.ones(x.shape)).sum())


def _summed(node: Weighted, used: Array) -> Node:
    """The layer that gives the sum of the outputs of ``node`` with the weights ``used``: one output a group."""
    counts = used.astype(np.float64)
    if isinstance(node, Sparse):
        return replace(node, weight=counts)
    if isinstance(node, Dense):
        return replace(node, weight=counts.sum(axis=0, keepdims=True), bias=None)
    groups = node.groups
    summed = counts.reshape(groups, -1, *counts.shape[1:]).sum(axis=1)
    return replace(node, weight=summed, bias=None)


def _updates(membrane: Array) -> int:
    """Of membranes (T, N, …): all at step 0, then those that changed."""
    return membrane[0].size + int(np.count_nonzero(membrane[1:] != membrane[:-1]))
