"""Quantisation on cases small enough to do by hand, and what it promises of any network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import networks
import numpy as np
import pytest
from hypothesis import given, reject

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Conv1d, Dense, Flatten, Input, Neuron, Output, Scale
from snncc.ir.text import format_graph
from snncc.passes import calibrate
from snncc.passes.calibrate import FACT, Calibrate
from snncc.passes.quantise import UNITS, Quantise
from snncc.pipeline import Context, run_pipeline
from snncc.program.lower import lower
from snncc.program.program import EXACT, LOIHI
from snncc.program.reference import run_reference
from snncc.target import CompileOptions
from snncc.targets.common import float_passes

Golden = Callable[[str, str], None]


def layer(
    weight: Any, encoding: str = "static", low: int = 0, high: int = 255, readout: str = "spike_count", **d: Any
) -> Graph:
    weight = np.asarray(weight, float)
    entry = Input(weight.shape[1:], encoding, low=low, high=high)
    return chain({"in": entry, "w": Dense(weight), "n": Neuron(Dynamics(**d)), "out": Output(readout)}, 3, "layer")


def quantise(graph: Graph, context: Context | None = None, **options: Any) -> tuple[Graph, Dynamics, np.ndarray]:
    """(graph, dynamics of n, weights of w)."""
    made = run_pipeline(graph, [Quantise(**options)], context or Context())
    neuron, synapse = made.nodes["n"], made.nodes["w"]
    assert isinstance(neuron, Neuron) and isinstance(synapse, Dense)
    return made, neuron.dynamics, synapse.weight


def test_one_layer_by_hand(golden: Golden) -> None:
    """Largest weight 1.27 per channel: a unit is 0.01, a guarded unit 0.01/64; θ = 1 is 6400 of them, even."""
    made, d, w = quantise(layer([[1.27, 0.33], [-0.127, 0.05]], bias=0.005, v_init=0.5, v_min=-2.0))
    assert w[0].tolist() == [127, 33]
    assert (d.input_gain, d.membrane_decay) == (64.0, 1.0)
    assert np.asarray(d.threshold).reshape(-1)[0] == 6400 and np.asarray(d.subtracted).reshape(-1)[0] == 6400
    assert np.asarray(d.bias).reshape(-1)[0] == 32 and np.asarray(d.v_init).reshape(-1)[0] == 3200
    assert np.asarray(d.v_min).reshape(-1)[0] == -12800
    golden("quantise", format_graph(made))


def test_one_wide_weight_does_not_silence_the_others_at_2_bits() -> None:
    """±1 around one weight of 6: a unit of 1, which clips it, has squared error 25; one of 3 rounds 40 others to 0."""
    weight = np.where(np.arange(41) % 2, -1.0, 1.0) * np.linspace(0.9, 1.1, 41)
    weight[[0, 1]] = 6.0, 0.01
    _, _, w = quantise(layer(weight[None], threshold=100.0), bits=2)
    assert w[0, 0] == 1 and w[0, 1] == 0 and np.array_equal(w[0, 2:], np.sign(weight[2:]))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_stay_in_their_bits(bits: int, per_channel: bool) -> None:
    weight = np.random.default_rng(bits).normal(size=(4, 30)) * [[1], [10], [0.1], [3]]
    context = Context()
    _, d, w = quantise(layer(weight, threshold=20.0), context, bits=bits, per_channel=per_channel)
    unit = context.facts[UNITS]["n"]
    limit = 2 ** (bits - 1) - 1
    assert np.abs(w).max() <= limit and (w == np.round(w)).all()
    assert unit.size == (4 if per_channel else 1)
    clipped = np.abs(w) == limit
    assert np.abs(w * unit.reshape(-1, 1) - weight)[~clipped].max() <= unit.max() / 2 * (1 + 1e-9)
    amount = np.asarray(d.subtracted, float)
    np.testing.assert_allclose(amount * unit / 64, 20.0, rtol=1e-12)  # snapped, so that the reset is exact
    assert (amount % 2 == 0).all()


@pytest.mark.parametrize(
    ("compare", "expected"), [(">=", math.ceil(64 * 1.5 / 0.7)), (">", math.floor(64 * 1.5 / 0.7))]
)
def test_thresholds_fold_where_they_do_not_anchor(compare: str, expected: int) -> None:
    """Two thresholds in one channel leave no single anchor: v ≥ θ becomes ceil(θ/s), v > θ floor(θ/s)."""
    nodes = {
        "in": Input((1, 2)), "w": Conv1d(np.full((1, 1, 1), 127 * 0.7)),
        "n": Neuron(Dynamics(threshold=np.array([[1.5, 9.0]]), reset="to_value", compare=compare)), "out": Output(),
    }  # fmt: skip
    made = run_pipeline(chain(nodes, 2), [Quantise()], Context())
    assert made.nodes["n"].dynamics.threshold[0, 0] == expected  # type: ignore[union-attr]


def test_membranes_are_compared_on_one_scale() -> None:
    """A readout of membranes across channels forbids a scale a channel."""
    weight = [[1.0, 0.5], [100.0, 3.0]]
    context = Context()
    quantise(layer(weight, readout="membrane"), context)
    assert context.facts[UNITS]["n"].size == 1


def test_a_shift_where_the_current_is_too_wide() -> None:
    """255·127·4 needs 18 bits; 12 are there: a shift of 6 after the sum, and half a unit back for what floor takes."""
    context = Context()
    made, d, w = quantise(layer([[1.0] * 4], threshold=4000.0), context, current_bits=12)
    assert w.tolist() == [[127.0] * 4]
    shift = made.nodes["w.shift"]
    assert isinstance(shift, Scale) and shift.factor == 2.0**-6
    assert made.incoming("n") == (Edge("w.shift", "n"),)
    assert float(np.asarray(d.bias)) == math.floor(64 * 63 / 128)
    assert context.remarks and "n: sums can reach 129,540 units; shifted right by 6 bits" in context.remarks[0]
    program = lower(made, LOIHI)
    assert program.projections[0].shift == 6
    data = np.full((1, 4), 255)
    assert run_reference(program, data).membranes["n"].reshape(-1)[0] == ((255 * 127 * 4 >> 6) << 6) + 31


def test_what_floor_takes_from_a_current_that_decays_comes_back_there() -> None:
    made, d, _ = quantise(layer([[1.0] * 4], threshold=4000.0, current_decay=0.5), current_bits=14)
    shift = made.nodes["w.shift"]
    assert isinstance(shift, Scale) and float(np.asarray(d.bias)) == 0
    lost = math.floor(64 * (1 - shift.factor) / 2)
    assert float(np.asarray(d.current_bias)) * 64 == lost > 0
    assert lower(made, LOIHI).populations[0].current_bias == lost


@pytest.mark.parametrize("bits", [1, 17])
def test_bits_out_of_range(bits: int) -> None:
    with pytest.raises(UnsupportedError, match=f"bits is {bits}; weights of 2 to 16 bits"):
        quantise(layer([[1.0]]), bits=bits)


def test_a_threshold_lost_beside_the_weights_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"n: its threshold is 1\.27e-07 guarded units, below 1"):
        quantise(layer([[1e6]], threshold=1e-3, compare=">", reset="none"), guard_bits=0)


def test_a_reset_lost_beside_the_weights_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"n: its reset_amount is 1\.27e-07 guarded units, which rounds to 0"):
        quantise(layer([[1e6]], threshold=1.0, reset_amount=1e-3), guard_bits=0)


def test_decays_become_twelve_bits() -> None:
    _, d, _ = quantise(layer([[1.0]], membrane_decay=0.9, current_decay=0.3))
    assert float(d.membrane_decay) * 4096 == 3686 and float(np.asarray(d.current_decay)) * 4096 == 1229


def test_a_network_of_zeros() -> None:
    _, _, w = quantise(layer(np.zeros((2, 3))))
    assert not w.any()


def test_calibration_measures_what_flows() -> None:
    data = np.array([[0, 2], [4, 2]])
    context = Context()
    graph = layer([[1.0, 0.0], [0.0, 1.0]], threshold=4.0)
    assert run_pipeline(graph, [Calibrate(data)], context) is graph
    found = context.facts[FACT]
    assert found.power["w"].tolist() == [8, 4] and found.samples == 2
    assert found.rate["n"] == (0 + 3 + 1 + 1) / (2 * 2 * 3)  # inputs 0, 4, 2, 2 against 4, over 3 steps
    assert found.membrane["n"] == (0, 2) and found.current["n"] == (0, 4)


@pytest.mark.parametrize("encoding", ["static", "spikes"])
def test_calibration_in_parts_is_that_of_all(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(4).integers(0, 9, (7, 3) if encoding == "static" else (3, 7, 3))
    graph = layer([[0.5, -1.0, 2.0], [1.0, 0.25, 0.0]], encoding, high=9, threshold=4.0, membrane_decay=0.5)
    found, runs = [], []

    def watched(graph: Graph, inputs: np.ndarray, *rest: Any, **more: Any) -> Any:
        runs.append(inputs.shape[0 if encoding == "static" else 1])
        return run_graph(graph, inputs, *rest, **more)

    monkeypatch.setattr(calibrate, "run_graph", watched)
    for at_once in (7, 3):
        monkeypatch.setattr(calibrate, "SAMPLES_AT_ONCE", at_once)
        context = Context()
        run_pipeline(graph, [Calibrate(data)], context)
        found.append(context.facts[FACT])
    whole, parts = found
    assert runs == [7, 3, 3, 1]
    np.testing.assert_allclose(parts.power["w"], whole.power["w"], rtol=1e-12)
    assert parts.rate["n"] == pytest.approx(whole.rate["n"]) and whole.rate["n"] > 0
    assert (parts.membrane, parts.current, parts.samples) == (whole.membrane, whole.current, 7)


def test_calibration_weighs_the_error() -> None:
    """An input that is never on does not decide the scale: its large weight is clipped."""
    weight = np.array([[1.6, 0.7, 0.7, 0.7]])
    data = np.zeros((4, 4), np.int64)
    data[:, 1:] = 200
    context = Context()
    run_pipeline(layer(weight, reset="none", fires=False, readout="membrane"), [Calibrate(data)], context)
    _, _, blind = quantise(layer(weight, reset="none", fires=False, readout="membrane"), bits=2)
    _, _, seen = quantise(layer(weight, reset="none", fires=False, readout="membrane"), context, bits=2)
    unit = context.facts[UNITS]["n"].item()
    assert seen.tolist() == [[1, 1, 1, 1]]
    assert abs(unit - 0.7) < abs(1.6 - 0.7) and blind.shape == seen.shape


@networks.examples(60)
@given(networks.graphs(), networks.seeds)
def test_any_network_becomes_a_program_that_computes_its_quantised_graph(graph: Graph, seed: int) -> None:
    """Whole numbers everywhere; without a leak the float interpreter runs the quantised Graph to the same bits."""
    try:
        made = run_pipeline(graph, [*float_passes(CompileOptions()), Quantise()], Context())
    except UnsupportedError:
        reject()
    program = lower(made, EXACT)
    data = networks.data_for(graph, seed)
    recording = run_reference(program, data)
    decays = [d for p in program.populations for d in (p.decay_v, p.decay_u) if d is not None]
    leaks = any(np.any(d % 4096) for d in decays)
    if not leaks:
        expected = run_graph(made, data, record_membranes=True)
        for name, membranes in expected.membranes.items():
            np.testing.assert_array_equal(recording.membranes[name], membranes)
            np.testing.assert_array_equal(recording.spikes[name], expected.spikes[name])


# --- lowering


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": [[0.5]]}, r"w: weight is 0\.5, no whole number; run the quantise pass first"),
        ({"threshold": 1.5}, r"n: threshold is 1\.5, no whole number"),
        ({"membrane_decay": 0.3}, r"n: membrane_decay · 4096 is 1228\.8, no whole number"),
        ({"input_gain": 3.0}, "n: input_gain is 3, no power of two"),
        ({"input_gain": 0.5}, "n: input_gain is 0.5, no power of two"),
        ({"v_init": 2.0**60}, r"n: v_init is 1\.15e\+18, beyond 2\^53"),
    ],
)
def test_lowering_takes_whole_numbers_only(changes: dict[str, Any], message: str) -> None:
    weight = changes.pop("weight", [[1.0]])
    with pytest.raises(UnsupportedError, match=message):
        lower(layer(weight, **changes), EXACT)


def test_lowering_loses_no_edge() -> None:
    """Two populations that add up before one weight would need two projections."""
    nodes = {"in": Input((2,)), "f": Flatten(), "w": Dense(np.eye(2)), "n": Neuron(Dynamics()), "out": Output()}
    graph = build_graph(nodes, [("in", "f"), ("n", "f", 1), ("f", "w"), ("w", "n"), ("n", "out")], 2)
    with pytest.raises(UnsupportedError, match="f: 2 inputs add up in it"):
        lower(graph, EXACT)
    late = build_graph({k: v for k, v in nodes.items() if k != "f"}, [("in", "w"), ("w", "n"), ("n", "out", 1)], 2)
    with pytest.raises(UnsupportedError, match="out: reads no neuron"):
        lower(late, EXACT)


def test_weights_that_are_whole_multiples_already_stay_exact() -> None:
    rng = np.random.default_rng(5)
    weight = rng.integers(-5, 6, (6, 9)).astype(float) * 0.25
    weight[:, 0] = 0.25
    nodes = {
        "input": Input((9,), "spikes", 1.0, 0, 1),
        "fc": Dense(weight),
        "lif": Neuron(Dynamics(threshold=2.0, membrane_decay=1.0, reset="to_value")),
        "output": Output("spike_count"),
    }
    quantised = Quantise(bits=4).run(chain(nodes, 5), Context()).graph
    made = quantised.nodes["fc"]
    assert isinstance(made, Dense)
    scale = weight[0, 0] / made.weight[0, 0]
    assert np.array_equal(made.weight * scale, weight)
