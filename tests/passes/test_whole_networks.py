"""SEMANTICS of the integers: networks whose constants are whole multiples of a scale keep every spike, exactly."""

from __future__ import annotations

import networks
import numpy as np
from hypothesis import assume, event, given

from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.pipeline import Context, run_pipeline
from snncc.program.bounds import prove_bounds
from snncc.program.lower import lower
from snncc.program.program import EXACT, LOIHI, Arithmetic, Program
from snncc.program.reference import run_reference
from snncc.target import CompileOptions
from snncc.targets.common import float_passes

from snncc.passes.quantise import Quantise  # isort: skip

GUARD_BITS = 6


def quantised(graph: Graph, per_channel: bool = True) -> Graph:
    """The graph after all passes of the exact pipeline."""
    passes = (*float_passes(CompileOptions()), Quantise(8, GUARD_BITS, per_channel))
    return run_pipeline(graph, passes, Context())


def assert_exact(graph: Graph, seed: int, arithmetic: Arithmetic) -> Program:
    """Float network == quantised graph in the float interpreter == integer program: spikes, membranes, decisions."""
    data = networks.data_for(graph, seed)
    expected = run_graph(graph, data, record_membranes=True)
    whole = quantised(graph)
    program = lower(whole, arithmetic)
    if arithmetic is LOIHI:
        assume(prove_bounds(program).proven)
    middle = run_graph(whole, data, record_membranes=True)
    actual = run_reference(program, data)
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(middle.spikes[name], spikes, err_msg=name)
        np.testing.assert_array_equal(actual.spikes[name], spikes, err_msg=name)
        np.testing.assert_array_equal(actual.membranes[name], middle.membranes[name], err_msg=name)
        grain = networks.WHOLE.unit / 2**GUARD_BITS
        np.testing.assert_array_equal(actual.membranes[name] * grain, expected.membranes[name], err_msg=name)
    np.testing.assert_array_equal(actual.predictions, expected.predictions)
    factor = 1.0 if program.readout.kind in ("spike_count", "weighted_count") else networks.WHOLE.unit / 2**GUARD_BITS
    np.testing.assert_array_equal(actual.scores * factor, expected.scores)
    event(f"spikes: {any(s.any() for s in actual.spikes.values())}")
    return program


@networks.examples(80)
@given(networks.graphs(networks.WHOLE), networks.seeds)
def test_without_a_leak_every_spike_is_exact(graph: Graph, seed: int) -> None:
    assert_exact(graph, seed, EXACT)


@networks.examples(40)
@given(networks.graphs(networks.HALVING), networks.seeds)
def test_leaks_of_a_half_are_exact_within_the_guard_bits(graph: Graph, seed: int) -> None:
    assert_exact(graph, seed, EXACT)


@networks.examples(40)
@given(networks.graphs(networks.HALVING), networks.seeds)
def test_loihi_arithmetic_is_exact_where_nothing_can_overflow(graph: Graph, seed: int) -> None:
    assert_exact(graph, seed, LOIHI)
