"""Steps from ONNX that leave a choice, have no form, or were made to harm: one clear error, in bounded time."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import parser
from onnx_steps import exported, made_step
from test_onnx_hostile import MUTATIONS, SECONDS, mutated

from snncc.errors import GraphError, InputError, SnnccError, UnsupportedError
from snncc.frontends import onnx_step
from snncc.frontends.onnx_read import read_onnx
from snncc.ir.graph import Graph
from snncc.ir.nodes import Neuron

LEAK = "d = Mul(v, beta) w = Add(d, x)"
FIRE = "f = Greater(w, one) s = Cast<to = 1>(f)"


def step(body: str, inputs: str = "x v", outputs: str = "s w", size: str = "N, 3", more: str = "") -> bytes:
    """A model in float32; ``beta`` is 0.5, ``one`` 1, ``zero`` 0."""
    ins, outs = (", ".join(f"float[{size}] {n}" for n in names.split()) for names in (inputs, outputs))
    text = f"""<ir_version: 8, opset_import: ["" : 17]> step ({ins}) => ({outs})
        <float beta = {{0.5}}, float one = {{1.0}}, float zero = {{0.0}}, float[4] four = {{1.0, 2.0, 3.0, 4.0}},
         int64[1] huge = {{1099511627776}}, int64[2] swap = {{-1, 3}}{more}> {{ {body} }}"""
    return bytes(parser.parse_model(text).SerializeToString())


def read(data: bytes, folder: Path, **options: str) -> Graph:
    (folder / "step.onnx").write_bytes(data)
    return read_onnx(folder / "step.onnx", {"time_steps": "6", **options})


def only_neuron(graph: Graph) -> Neuron:
    (name,) = graph.of_type(Neuron)
    node = graph.nodes[name]
    assert isinstance(node, Neuron)
    return node


def test_names_decide(tmp_path: Path) -> None:
    """The data goes straight into the neuron, so that it looks like another state."""
    made = step(f"d = Mul(mem_in, beta) w = Add(d, x) {FIRE} mem_out = Sub(w, s)", "x mem_in", "s mem_out")
    graph = read(made, tmp_path)
    assert graph.origin["states"] == {"pairs": {"mem_in": "mem_out"}, "from": "names, structure"}
    d = only_neuron(graph).dynamics
    assert (d.membrane_decay, d.compare, d.reset, d.reset_amount, d.reset_timing) == (
        0.5,
        ">",
        "subtract",
        1,
        "immediate",
    )


def test_order_decides_and_says_so(tmp_path: Path) -> None:
    graph = read(step(f"{LEAK} {FIRE}"), tmp_path)
    assert graph.origin["states"] == {"pairs": {"v": "w"}, "from": "order: the first input is data, structure"}
    assert graph.origin["initial_states"] == "0 (default)"
    assert only_neuron(graph).dynamics.reset == "none"


def test_the_option_decides(tmp_path: Path) -> None:
    """The other way around: v is data, and x decays by nothing."""
    graph = read(step(f"{LEAK} {FIRE}"), tmp_path, states="x:w")
    d = only_neuron(graph).dynamics
    assert graph.input == "v" and (d.membrane_decay, d.input_gain) == (1.0, 0.5)
    assert graph.origin["states"]["from"] == "option"


def test_constants_a_neuron(tmp_path: Path) -> None:
    """One threshold and one decay a neuron; a comparison that is scaled; a readout that the states do not name."""
    body = "d = Mul(v, decays) w = Add(d, x) r = Div(w, heights) f = GreaterOrEqual(r, one) s = Cast<to = 1>(f)"
    more = ", float[3] decays = {0.5, 0.25, 1.0}, float[1, 3] heights = {1.0, 2.0, 4.0}"
    d = only_neuron(read(step(body, more=more), tmp_path)).dynamics
    assert np.array_equal(d.membrane_decay, [0.5, 0.25, 1.0]) and np.array_equal(d.threshold, [1, 2, 4])
    assert d.compare == ">="


def test_fired_from_the_old_membrane(tmp_path: Path) -> None:
    """Spyx: it fires on what the membrane was, one step late."""
    body = "f = Greater(v, one) s = Cast<to = 1>(f) d = Mul(v, beta) i = Add(d, x) w = Sub(i, s)"
    graph = read(step(body), tmp_path)
    assert [e.delay for e in graph.edges] == [0, 1]
    assert only_neuron(graph).dynamics.reset_timing == "next_step"


SQUARES = " ".join(f"k{i + 1} = Mul(k{i}, k{i})" for i in range(60))
TWO = "x v r", "s w q"
REFUSED: dict[str, tuple[bytes, type[SnnccError], str]] = {
    "which output": (
        step(f"{LEAK} {FIRE} q = Sub(w, s)", "x v", "s w q"), UnsupportedError, r"'w', 'q' is the next value of 'v'.*states=IN:OUT",
    ),
    "two data inputs": (
        step(f"{LEAK} {FIRE} q = Mul(s, r)", *TWO), UnsupportedError, "the output: reads a product of 'r'",
    ),
    "an output too many": (
        step(f"{LEAK} {FIRE} h = Greater(x, one) q = Cast<to = 1>(h)", "x v", "s w q"), UnsupportedError, "one answer",
    ),
    "no states": (step("s = Mul(x, v)", "x v", "s"), UnsupportedError, "'x', 'v' are no states"),
    "another threshold for the reset": (
        step(f"{LEAK} {FIRE} h = Greater(v, beta) r = Cast<to = 1>(h) q = Sub(w, r) g = Greater(q, one) z = Cast<to = 1>(g)",
             "x v", "z q"),
        UnsupportedError, r"fires on > 1, but resets where the old membrane is > 0.5",
    ),
    "two comparisons": (
        step(f"{LEAK} {FIRE} h = Greater(w, beta) r = Cast<to = 1>(h) q = Sub(w, r)", "x v", "s q"),
        UnsupportedError, "compared in several ways",
    ),
    "a spike adds": (step(f"{LEAK} {FIRE} q = Add(w, s)", "x v", "s q"), UnsupportedError, "a reset takes off"),
    "a spike halves": (
        step(f"{LEAK} {FIRE} h = Mul(w, beta) q = Where(f, h, w)", "x v", "s q"), UnsupportedError, "neither subtracts",
    ),
    "a squared membrane": (
        step("k = Mul(v, v) d = Mul(v, beta) e = Add(d, k) w = Add(e, x) f = Greater(w, one) s = Cast<to = 1>(f)"),
        UnsupportedError, "multiplies 'v' and 'v'",
    ),
    "an operator": (step(f"{LEAK} {FIRE} q = Tanh(w)", "x v", "s q"), UnsupportedError, "q: Tanh is no operation"),
    "a computed divisor": (step(f"{LEAK} {FIRE} q = Div(w, x)", "x v", "s q"), UnsupportedError, "divides by a computed"),
    "division by zero": (step(f"{LEAK} {FIRE} q = Div(w, zero)", "x v", "s q"), UnsupportedError, "divides by 0"),
    "not finite": (
        step(f"k = Div(one, zero) d = Mul(v, k) w = Add(d, x) {FIRE}"), UnsupportedError, "not finite",
    ),
    "a constant that spreads": (
        step(f"k = Add(v, four) w = Add(k, x) {FIRE}"), UnsupportedError, r"combines a constant \(4,\)",
    ),
    "a huge constant": (
        step(f"k = ConstantOfShape(huge) d = Mul(v, k) w = Add(d, x) {FIRE}"), UnsupportedError, "makes a constant of the shape",
    ),
    "a huge batch": (step(f"{LEAK} {FIRE}", size="1099511627776, 3"), UnsupportedError, "batch sizes"),
    "a huge layer": (step(f"{LEAK} {FIRE}", size="N, 1099511627776"), UnsupportedError, "has the shape"),
    "an unknown size": (step(f"{LEAK} {FIRE}", size="N, M"), UnsupportedError, "has the shape"),
    "a computed type": (step(f"{LEAK} k = Cast<to = 7>(w) {FIRE}"), UnsupportedError, "k: Cast of a computed number"),
    "nothing gives it": (step(f"d = Mul(v, lost) w = Add(d, x) {FIRE}"), InputError, "'lost', which nothing"),
    "not at all a type": (step(f"{LEAK} f = Greater(w, one) s = Cast(f)"), UnsupportedError, "to the type"),
    "too few inputs": (step(f"{LEAK} f = Greater(w) s = Cast<to = 1>(f)"), UnsupportedError, "of 1 values"),
    "squares of squares": (
        step(f"k0 = Add(v, x) {SQUARES} d = Mul(v, beta) w = Add(d, k60) {FIRE}"),
        UnsupportedError, "more than any neuron needs",
    ),
    "no neuron's gain": (
        step(f"d = Mul(v, large) w = Add(d, x) {FIRE}", more=", float large = {4.0}"), GraphError, "membrane_decay is 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    data, kind, message = REFUSED[case]
    start = time.monotonic()
    with pytest.raises(kind, match=message) as caught:
        read(data, tmp_path)
    assert str(caught.value).startswith("step.onnx: ") and time.monotonic() - start < SECONDS


def test_steps_must_be_said(tmp_path: Path) -> None:
    (tmp_path / "step.onnx").write_bytes(step(f"{LEAK} {FIRE}"))
    with pytest.raises(InputError, match="--time-steps N"):
        read_onnx(tmp_path / "step.onnx", {})


@pytest.mark.parametrize("text", ["v:lost", "v", "x:w,x:s", "v:w,x:w", ":"])
def test_a_wrong_option(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"each part is IN:OUT.*'x', 'v' and the outputs 's', 'w'"):
        read(step(f"{LEAK} {FIRE}"), tmp_path, states=text)


def test_parity_catches_another_decay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = onnx_step.match_population

    def wrong(*given: Any) -> Any:
        from dataclasses import replace

        found = honest(*given)
        return replace(found, dynamics=found.dynamics.with_(membrane_decay=0.51))

    monkeypatch.setattr(onnx_step, "match_population", wrong)
    with pytest.raises(GraphError, match="v differs first in step 1: "):
        read(step(f"{LEAK} {FIRE}"), tmp_path)


def test_mutated_steps(tmp_path: Path) -> None:
    """Bits flipped, bytes overwritten, repeated, cut off: refused, or a Graph that does what the file does."""
    good = exported(*made_step("leaky subtract", 0, double=False))
    rng = random.Random(3)
    refused = 0
    for _ in range(MUTATIONS):
        start = time.monotonic()
        try:
            graph = read(mutated(good, rng), tmp_path)
            assert graph.origin["parity"]["cells"] > 0
        except SnnccError as error:
            refused += 1
            assert "\n" not in str(error)[:-1]
        assert time.monotonic() - start < SECONDS
    assert refused > 0.5 * MUTATIONS
