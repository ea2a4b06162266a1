"""No float pass may change a spike or a decision of any network, and what they leave must lower."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from hypothesis import assume, given

from snncc.errors import UnsupportedError
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.interpreter import Recording, run_graph
from snncc.ir.nodes import Neuron, Output
from snncc.pipeline import PROPERTIES, Context, run_pipeline
from snncc.target import CompileOptions
from snncc.targets.common import float_passes

PASSES = {p.name: p for p in float_passes(CompileOptions())}


def worth_of_a_score(graph: Graph) -> float:
    """By what fold-spike-values divides the scores (rules 1 and 3)."""
    name, output = readout_neuron(graph), graph.nodes[graph.output]
    assert isinstance(output, Output)
    if name is None:
        return 1.0
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    if output.readout == "summed_current":
        return 1 / float(np.min(node.dynamics.input_gain))
    value = np.asarray(node.dynamics.spike_value)
    counted = output.readout != "membrane" and np.ptp(value) == 0 and value.min() > 0
    return float(value.min()) if counted else 1.0


def refusal(graph: Graph) -> str | None:
    """What the message says where the readout has no integer form: a time-weighted count of spikes that are not all worth
    the same, or a sum of currents whose gain cannot be left out."""
    name, output = readout_neuron(graph), graph.nodes[graph.output]
    node = graph.nodes.get(name or "")
    assert isinstance(output, Output)
    if not isinstance(node, Neuron):
        return None
    reads = {"weighted_count": "spike_value", "summed_current": "input_gain"}.get(output.readout)
    value = np.asarray(getattr(node.dynamics, reads)) if reads else np.ones(1)
    if np.ptp(value) == 0 and value.min() > 0:
        return None
    return "its current is read" if reads == "input_gain" else "reads a time-weighted count"


def assert_same(before: Recording, after: Recording, divided_by: float) -> None:
    for name, spikes in before.spikes.items():
        np.testing.assert_array_equal(after.spikes[name], spikes, err_msg=name)
    np.testing.assert_array_equal(after.scores * divided_by, before.scores)
    np.testing.assert_array_equal(after.predictions, before.predictions)


@networks.examples(150)
@given(networks.graphs(), networks.seeds)
def test_every_float_pass_keeps_every_spike(graph: Graph, seed: int) -> None:
    data = networks.data_for(graph, seed)
    context = Context()
    recording = run_graph(graph, data)
    message = refusal(graph)
    if message is not None:
        with pytest.raises(UnsupportedError, match=message):
            run_pipeline(graph, list(PASSES.values()), context)
        return
    for one in PASSES.values():
        divided_by = worth_of_a_score(graph) if one.name == "fold-spike-values" else 1.0
        graph = run_pipeline(graph, [one], context)
        after = run_graph(graph, data)
        assert_same(recording, after, divided_by)
        recording = after
    for name in ("single-synapses", "no-synapse-bias", "unit-spikes", "no-identities", "neuron-readout"):
        assert PROPERTIES[name](graph) == []


@networks.examples(40)
@given(networks.graphs(), networks.seeds)
def test_float_passes_change_nothing_the_second_time(graph: Graph, seed: int) -> None:
    assume(refusal(graph) is None)
    data = networks.data_for(graph, seed)
    once = run_pipeline(graph, list(PASSES.values()), Context())
    twice = run_pipeline(once, list(PASSES.values()), Context())
    assert list(twice.nodes) == list(once.nodes)
    assert_same(run_graph(once, data), run_graph(twice, data), 1.0)
