"""Powers of two of synapses that meet in a neuron: fewer bits lose less, and all executors and checks know of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from snncc.compiler import Compilation, compile_graph
from snncc.diff.audit import audit
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Conv2d, Input, Neuron, Node, Output
from snncc.memory import shared_exponent, word_bits
from snncc.passes.exponents import LARGEST, choose_scale
from snncc.passes.quantise import UNITS, Quantise
from snncc.passes.scales import ScaleChoice, scale_and_error
from snncc.pipeline import EXPONENTS, Context, run_pipeline
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

Array = np.ndarray
RULES = ScaleChoice.Rules(1, 6, 2, 2**40, False)


def block(shortcut: float = 0.75, spread: float = 0.05, seed: int = 0) -> Graph:
    """A residual block: a convolution and a shortcut of one large weight a channel meet in a neuron."""
    rng = np.random.default_rng(seed)
    identity = np.zeros((4, 4, 1, 1))
    identity[range(4), range(4)] = shortcut
    nodes: dict[str, Node] = {
        "input": Input((4, 6, 6), "spikes", 1.0, 0, 1),
        "conv": Conv2d(rng.normal(0, spread, (4, 4, 3, 3)), padding=(1, 1)),
        "short": Conv2d(identity),
        "lif": Neuron(Dynamics(membrane_decay=0.9, threshold=0.6)),
        "last": Conv2d(rng.normal(0, 0.3, (3, 4, 6, 6))),
        "end": Neuron(Dynamics(membrane_decay=0.9)),
        "output": Output(),
    }
    pairs = (("input", "conv"), ("input", "short"), ("conv", "lif"), ("short", "lif"), ("lif", "last"), ("last", "end"))
    return build_graph(nodes, [*(Edge(*p) for p in pairs), Edge("end", "output")], 8)


def quantised(graph: Graph, **options: Any) -> tuple[Graph, dict[str, Any]]:
    context = Context()
    return run_pipeline(graph, [Quantise(**options)], context), context.facts


def spikes(count: int = 3) -> Array:
    return np.random.default_rng(5).integers(0, 2, (8, count, 4, 6, 6))


def test_a_shortcut_keeps_its_size() -> None:
    """Of three levels, one scale gives the shortcut at most what a wide weight of the convolution gets."""
    graph = block()
    made, facts = quantised(graph, bits=2)
    k = facts[EXPONENTS]["short"]
    assert k >= 2 and facts[EXPONENTS]["conv"] == 0
    short, conv = (made.nodes[n].weight for n in ("short", "conv"))  # type: ignore[union-attr]
    assert set(np.unique(short)) == {0, 2**k} and set(np.unique(conv)) == {-1, 0, 1}
    unit = facts[UNITS]["lif"]
    assert np.abs(np.diag(short[:, :, 0, 0]) * unit / 0.75 - 1).max() < 0.45
    assert np.abs(unit / 0.05 - 1).max() < 0.6  # and the convolution its own scale
    assert [word_bits(p) for p in compiled(graph, 2).program.projections] == [2, 2, 2]


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_exponents_near_lose_less(bits: int, seed: int) -> None:
    graph = block(spread=0.02 * 3**seed, seed=seed)
    synapses, dynamics = {n: graph.nodes[n] for n in ("conv", "short")}, graph.nodes["lif"].dynamics  # type: ignore[union-attr]
    rules = replace(RULES, largest_weight=2 ** (bits - 1) - 1)
    power = {"conv": np.full(4, 0.3), "short": np.full(4, 0.3)}

    def error(exponents: dict[str, int]) -> float:
        given = replace(rules, exponents=exponents)
        return float(scale_and_error(dynamics, synapses, (4, 6, 6), given, power)[1].sum())

    chosen = choose_scale(dynamics, synapses, (4, 6, 6), rules, power).rules.exponents
    most = LARGEST // rules.largest_weight
    for k in range(most.bit_length()):
        assert error(dict(chosen)) <= error({"conv": 0, "short": k}) * (1 + 1e-9)
    assert all(rules.largest_weight * 2**k <= LARGEST for k in chosen.values())


def test_where_there_is_nothing_to_gain_there_are_none() -> None:
    assert not quantised(block(), bits=8)[1][EXPONENTS]  # a weight of 8 bits has no room
    alike = block(shortcut=0.06, spread=0.04)
    assert not any(quantised(alike, bits=4)[1][EXPONENTS].values())


def test_weights_on_such_a_grid_stay_exact() -> None:
    """What was trained as whole numbers times a scale and a power of two is found again."""
    graph = block()
    made, facts = quantised(graph, bits=3)
    weights = {n: made.nodes[n].weight * facts[UNITS]["lif"].reshape(-1, 1, 1, 1) for n in ("conv", "short")}  # type: ignore[union-attr]
    trained = graph.with_nodes({n: replace(graph.nodes[n], weight=w) for n, w in weights.items()})  # type: ignore[type-var]
    again, found = quantised(trained, bits=3)
    for name in weights:
        assert np.array_equal(again.nodes[name].weight, made.nodes[name].weight)  # type: ignore[union-attr]
    np.testing.assert_allclose(found[UNITS]["lif"], facts[UNITS]["lif"], rtol=1e-9)


def compiled(graph: Graph, bits: int, target: str = "fixed-sim", **options: Any) -> Compilation:
    return compile_graph(graph, get_target(target), CompileOptions(bits=bits, **options))


@pytest.mark.parametrize("rounding", ["nearest", "learned"])
@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("target", ["fixed-sim", "c", "onnx-int", "loihi-sim"])
def test_every_executor_agrees(target: str, bits: int, rounding: str, request: pytest.FixtureRequest) -> None:
    if target == "loihi-sim":
        request.getfixturevalue("lava")
    made = compiled(block(), bits, target, rounding=rounding, calibration=spikes(20)).program
    short = next(p for p in made.projections if p.name == "short")
    assert shared_exponent(short.weight) >= 1 and word_bits(short) <= bits
    expected = run_reference(made, spikes())
    assert all(expected.spikes[n].any() for n in ("lif", "end"))
    found = get_target(target).run(made, None, spikes(), RunOptions(record=True))
    assert all(np.array_equal(expected.spikes[n], found.spikes[n]) for n in expected.spikes)


def test_learned_rounding_stays_on_the_grid_and_loses_less() -> None:
    """The current that arrives is closer to the trained one than with nearest rounding."""
    graph, data = block(), spikes(200)
    made = {r: compiled(graph, 2, rounding=r, calibration=data).program for r in ("nearest", "learned")}
    expected = compiled(graph, 16).program
    trained = run_reference(expected, spikes(50)).spikes["lif"]
    changed = {r: np.mean(run_reference(p, spikes(50)).spikes["lif"] != trained) for r, p in made.items()}
    assert changed["learned"] < changed["nearest"]


@pytest.mark.parametrize("name", ["conv", "short"])
def test_the_audit_knows_them(name: str) -> None:
    """Rounded weights pass it; one that is one step of its grid off does not, nor do all of a synapse doubled."""
    graph = block()
    made, facts = quantised(graph, bits=2)
    units, exponents = facts[UNITS], facts[EXPONENTS]
    assert not audit(graph, made, units, 2, exponents=exponents).offences
    assert audit(graph, made, units, 2).offences  # without knowing, the shortcut's are too large
    node = made.nodes[name]
    assert isinstance(node, Conv2d)
    one = node.weight.copy()
    one.flat[0] += 2 ** exponents[name] * (1 if one.flat[0] <= 0 else -2)
    for weight in (one, 2 * node.weight):
        spoilt = made.with_nodes({name: replace(node, weight=weight)})
        found = audit(graph, spoilt, units, 2, exponents=exponents)
        assert {(o.layer, o.node, o.field) for o in found.offences} == {("lif", name, "weight")}
        assert found.repaired is not None and not audit(graph, found.repaired, units, 2, exponents=exponents).offences
