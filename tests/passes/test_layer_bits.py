"""Bits a weight, layer by layer: each layer is what it would be with these bits everywhere, and names are told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_net

from snncc.compiler import compile_graph
from snncc.diff.stages import compile_stages
from snncc.errors import InputError, UnsupportedError
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input
from snncc.layer_bits import of_neurons, parse_layer_bits
from snncc.memory import weight_bits, weight_bytes, word_bits
from snncc.pipeline import Context, run_pipeline
from snncc.program.lower import lower
from snncc.program.program import EXACT, Program
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions
from snncc.targets.common import float_passes

FIXED = get_target("fixed-sim")
CHOSEN = {"lif1": 3, "lif3": 5}


def graph() -> Graph:
    return small_net.graph_of(small_net.random_net())


def compiled(options: CompileOptions, target: str = "fixed-sim") -> Program:
    return compile_graph(graph(), get_target(target), options).program


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
@pytest.mark.parametrize("per_channel", [True, False])
def test_each_layer_is_that_of_a_uniform_network_with_its_bits(target: str, per_channel: bool) -> None:
    mixed = compiled(CompileOptions(8, None, per_channel, layer_bits=CHOSEN), target)
    for name in ("lif1", "lif2", "lif3"):
        alone = compiled(CompileOptions(CHOSEN.get(name, 8), None, per_channel), target)
        assert np.array_equal(mixed.incoming(name)[0].weight, alone.incoming(name)[0].weight)
        mine, other = mixed.population(name), alone.population(name)
        for constant in ("threshold", "bias", "reset_amount", "decay_v", "unit"):
            assert np.array_equal(getattr(mine, constant), getattr(other, constant)), constant
    assert [word_bits(p) for p in mixed.projections] == [3, 8, 5]


def test_it_is_what_the_pass_does_by_hand() -> None:
    from snncc.passes.quantise import BITS, Quantise

    context = Context()
    made = run_pipeline(graph(), [*float_passes(CompileOptions()), Quantise(layer_bits=CHOSEN)], context)
    assert context.facts[BITS] == {"lif1": 3, "lif2": 8, "lif3": 5}
    by_hand, program = lower(made, EXACT, context.facts["units"]), compiled(CompileOptions(layer_bits=CHOSEN))
    assert all(
        np.array_equal(a.weight, b.weight) for a, b in zip(by_hand.projections, program.projections, strict=True)
    )
    assert (
        "8-bit weights (lif1 3, lif3 5)"
        in compile_graph(graph(), FIXED, CompileOptions(layer_bits=CHOSEN)).steps[-1][1]
    )


def test_fixed_sim_runs_it_exactly() -> None:
    program = compiled(CompileOptions(layer_bits=CHOSEN))
    inputs = small_net.data()
    golden, run = run_reference(program, inputs), FIXED.run(program, None, inputs, RunOptions(record=True))
    assert all(np.array_equal(golden.spikes[n], run.spikes[n]) for n in golden.spikes)
    assert all(np.array_equal(golden.membranes[n], run.membranes[n]) for n in golden.membranes)


def test_diff_knows_the_width_of_each_layer() -> None:
    """Clipped at 1 is rounding in a layer of 2 bits; in one of 8 it would be a fault."""
    from snncc.diff.walk import walk

    stages = compile_stages(graph(), FIXED, CompileOptions(layer_bits={"lif2": 2}))
    entry = graph().nodes["input"]
    assert isinstance(entry, Input)
    assert walk(stages, entry, small_net.data(), None).first_fault is None
    narrow = [replace(stage, layer_bits={}) for stage in stages]
    fault = walk(narrow, entry, small_net.data(), None).first_fault
    assert fault is not None and "lif2" in str(fault)


def test_names_are_followed_to_their_neuron() -> None:
    """A name of the network as it was read, before passes fold it away."""
    assert of_neurons(graph(), {"conv1": 3, "norm1": 3, "dense3": 5}) == CHOSEN
    assert of_neurons(graph(), {"lif2": 4, "absent": 2}) == {"lif2": 4, "absent": 2}
    with pytest.raises(InputError, match=r"conv1 and lif1 both lead to lif1, .* not 4 and 3"):
        of_neurons(graph(), {"conv1": 4, "lif1": 3})


@pytest.mark.parametrize(
    ("layer_bits", "kind", "said"),
    [
        ({"lif4": 3}, InputError, "there is no layer lif4; the layers with weights are lif1, lif2, lif3"),
        ({"input": 3}, InputError, "there is no layer input"),
        ({"lif2": 1}, UnsupportedError, "lif2: bits is 1; weights of 2 to 16 bits are supported"),
        ({"lif2": 17}, UnsupportedError, "lif2: bits is 17"),
    ],
)
def test_what_is_refused(layer_bits: dict[str, int], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        compiled(CompileOptions(layer_bits=layer_bits))


def test_text_on_the_command_line() -> None:
    assert parse_layer_bits("conv1=4, fc1=3") == {"conv1": 4, "fc1": 3}
    assert parse_layer_bits("a=b=4") == {"a=b": 4}
    for wrong in ("conv1", "conv1=", "=4", "conv1=4,", "conv1=four", "conv1=-4"):
        with pytest.raises(InputError, match="is not NAME=BITS"):
            parse_layer_bits(wrong)
    with pytest.raises(InputError, match="conv1 has 4 and 3 bits"):
        parse_layer_bits("conv1=4,conv1=3")


def test_weight_memory_by_hand() -> None:
    """conv1 3·9 words, dense2 8·12·4, for the mean over 2×2 is folded in, dense3 4·8; at 3, 8 and 5 bits."""
    program = compiled(CompileOptions(layer_bits=CHOSEN))
    assert weight_bits(program) == {"lif1": 27 * 3, "lif2": 384 * 8, "lif3": 32 * 5}
    assert weight_bytes(program) == (27 * 3 + 384 * 8 + 32 * 5) / 8
    one = program.projections[0]
    for largest, bits in ((0, 2), (1, 2), (-2, 3), (3, 3), (4, 4), (-127, 8), (128, 9)):
        weight = np.full_like(one.weight, largest)
        assert word_bits(replace(one, weight=4 * weight)) == (
            bits if largest % 2 else 2
        )  # the shared power of two is not stored
        weight.flat[0] = 1
        assert word_bits(replace(one, weight=weight)) == bits
