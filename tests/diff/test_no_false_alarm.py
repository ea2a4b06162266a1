"""What compiles honestly is never called a fault, whatever the network."""

from __future__ import annotations

import networks
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snncc.diff.stages import compile_stages
from snncc.diff.walk import walk
from snncc.errors import SnnccError
from snncc.ir.graph import Graph
from snncc.registry import get_target
from snncc.target import CompileOptions


@pytest.mark.parametrize("name", ["fixed-sim", "loihi-sim"])
@networks.examples(25)
@given(
    networks.graphs(),
    networks.seeds,
    st.sampled_from((2, 4, 8)),
    st.booleans(),
    st.sampled_from((None, 0, 3)),
    st.booleans(),
)
def test_no_false_alarm(
    name: str, graph: Graph, seed: int, bits: int, per_channel: bool, guard_bits: int | None, learned: bool
) -> None:
    inputs = networks.data_for(graph, seed) if learned else None
    rounding = "learned" if learned else "nearest"
    options = CompileOptions(bits, guard_bits, per_channel, inputs, rounding=rounding)
    try:
        stages = compile_stages(graph, get_target(name), options)
    except SnnccError:  # refused by a pass
        assume(False)
    found = walk(stages, graph.nodes[graph.input], networks.data_for(graph, seed), None)  # type: ignore[arg-type]
    fault = found.first_fault
    assert fault is None, f"{fault.after}: {fault.why} ({fault.fault})"
