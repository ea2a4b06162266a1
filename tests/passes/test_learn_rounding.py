"""Learned rounding on whole networks: fewer spikes change than with nearest rounding, on data that it did not see, and every
executor still agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networks
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from snncc.compiler import Compilation, compile_graph
from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.ir.dynamics import Dynamics, initial_state, step
from snncc.ir.graph import Edge, Graph, build_graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import AvgPool2d, Conv1d, Conv2d, Dense, Flatten, Input, MaxPool2d, Neuron, Output
from snncc.memory import word_bits
from snncc.passes import forward, learn_rounding
from snncc.passes.forward import groups, simulate, source_values
from snncc.passes.moments import Gathered, lacking, moments
from snncc.passes.rounding import DAMPING, Moments
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

Array = np.ndarray
STEPS = 6
RNG = np.random.default_rng
FIXED = get_target("fixed-sim")


def lif(**changes: Any) -> Neuron:
    return Neuron(Dynamics(membrane_decay=0.9).with_(**changes))


def feedforward() -> Graph:
    """Convolution, pooling, grouped convolution, dense layers; inputs that speak together."""
    rng = RNG(1)
    nodes = {
        "input": Input((2, 8, 8), "spikes", 1.0, 0, 1),
        "conv1": Conv2d(rng.normal(0.06, 0.3, (6, 2, 3, 3)), rng.normal(0, 0.1, 6), padding=(1, 1)),
        "lif1": lif(),
        "pool": AvgPool2d((2, 2), (2, 2)),
        "conv2": Conv2d(rng.normal(0.08, 0.5, (8, 3, 3, 3)), groups=2),
        "lif2": lif(levels=3, reset_amount=1.0),
        "flat": Flatten(),
        "fc3": Dense(rng.normal(0.05, 0.3, (20, 32))),
        "lif3": lif(current_decay=0.5, reset="to_value"),
        "fc4": Dense(rng.normal(0, 0.4, (5, 20)), rng.normal(0, 0.2, 5)),
        "out": Neuron(Dynamics(fires=False, membrane_decay=0.95)),
        "output": Output("membrane"),
    }
    return chain(nodes, STEPS)


def recurrent() -> Graph:
    """Two inputs into one neuron, one of them its own spikes of the step before."""
    rng = RNG(2)
    nodes = {
        "input": Input((16,), "spikes", 1.0, 0, 1),
        "fc": Dense(rng.normal(0.1, 0.4, (24, 16))),
        "again": Dense(rng.normal(0, 0.2, (24, 24))),
        "lif": lif(),
        "last": Dense(rng.normal(0.05, 0.4, (4, 24))),
        "lif2": lif(),
        "output": Output(),
    }
    pairs = (("input", "fc"), ("fc", "lif"), ("again", "lif"), ("lif", "last"), ("last", "lif2"), ("lif2", "output"))
    return build_graph(nodes, [*(Edge(*p) for p in pairs), Edge("lif", "again", 1)], STEPS)


def pooled_currents() -> Graph:
    """Convolution, max pooling of its sums, neuron; a static image in front."""
    rng = RNG(3)
    nodes = {
        "input": Input((1, 10, 10), "static", 1 / 255, 0, 255),
        "conv1": Conv2d(rng.normal(0.05, 0.4, (4, 1, 3, 3)), rng.normal(0, 0.1, 4)),
        "max1": MaxPool2d((2, 2), (2, 2)),
        "lif1": lif(),
        "flat": Flatten(),
        "fc2": Dense(rng.normal(0.02, 0.4, (6, 64))),
        "lif2": lif(),
        "output": Output(),
    }
    return chain(nodes, STEPS)


def over_time() -> Graph:
    """Conv1d with two groups on graded spikes."""
    rng = RNG(4)
    nodes = {
        "input": Input((4, 20), "spikes", 1.0, -3, 3),
        "conv1": Conv1d(rng.normal(0.05, 0.3, (6, 2, 5)), stride=2, groups=2),
        "lif1": lif(signed=True),
        "flat": Flatten(),
        "fc2": Dense(rng.normal(0.02, 0.4, (6, 48))),
        "lif2": lif(),
        "output": Output(),
    }
    return chain(nodes, STEPS)


NETWORKS = {
    "feed-forward": feedforward, "recurrent": recurrent, "pooled currents": pooled_currents, "over time": over_time,
}  # fmt: skip


def data(graph: Graph, seed: int, samples: int) -> Array:
    """Neighbours speak together, and some inputs more often than others: a picture's worth of correlation."""
    entry, rng = graph.nodes[graph.input], RNG(seed)
    assert isinstance(entry, Input)
    sources = rng.random((samples, 4)) @ RNG(0).random((4, int(np.prod(entry.shape)))) / 3
    if entry.encoding == "static":
        return (sources * 255).clip(0, 255).astype(np.int64).reshape(samples, *entry.shape)
    drawn = (rng.random((STEPS, *sources.shape)) < sources) * entry.high
    return drawn.astype(np.int64).reshape(STEPS, samples, *entry.shape)


def made(graph: Graph, bits: int, rounding: str, target: str = "fixed-sim") -> Compilation:
    options = CompileOptions(bits, calibration=data(graph, 1, 64), rounding=rounding)
    return compile_graph(graph, get_target(target), options)


def spike_error(compilation: Compilation, inputs: Array) -> float:
    """Mean share of cells whose spikes are not those of the float network, over the layers; of what never fires, the mean
    squared distance of its membranes over their own mean square."""
    trained = run_graph(compilation.graph, inputs, record_membranes=True)
    deployed = run_reference(compilation.program, inputs)
    found = []
    for p in compilation.program.populations:
        if p.fires:
            found.append(np.mean(trained.spikes[p.name] != deployed.spikes[p.name]))
        else:
            a, b = trained.membranes[p.name], deployed.membranes[p.name] * (p.unit / 2.0**p.guard_bits)
            found.append(np.mean(np.square(a - b)) / np.mean(np.square(a)))
    return float(np.mean(found))


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_fewer_spikes_change_on_other_data(name: str, bits: int) -> None:
    graph = NETWORKS[name]()
    unseen = data(graph, 2, 200)
    errors = {r: spike_error(made(graph, bits, r), unseen) for r in ("nearest", "learned")}
    assert errors["learned"] < 0.95 * errors["nearest"], errors


def test_what_spikes_have_lost_is_made_up_for() -> None:
    """Of two inputs that say the same one falls silent, and the other takes its weight, where it has a synapse; a third, apart from
    both, is left alone. With a convolution over one place and in two groups it is the same."""
    same, apart = RNG(5).random((2, 1, 400)) < 0.5
    trained = np.stack([same, same, apart], axis=-1).astype(np.float32)
    arriving = trained * np.asarray([0, 1, 1], np.float32)
    ridge = 1 + (learn_rounding.RIDGE * (1 + DAMPING) + DAMPING) * 2 / 3  # of the second moments 0, m and m
    weight = np.asarray([[0.6, 0.2, -0.4], [-0.5, 0.1, 0.5], [-1.0, 0.0, 0.5]])
    wanted = weight + np.outer(weight[:, 0], [0, 1 / ridge, 0]) * (weight != 0)

    def made(node: Any, values: Array, complete: Array) -> Array:
        now, wanted = (Gathered(x, Dynamics()) for x in (values, complete))
        seen, lack = [Moments(m) for m in moments(node, now)], lacking(node, now, wanted)
        return learn_rounding._recalled(node, seen, lack).weight

    np.testing.assert_allclose(made(Dense(weight), arriving, trained), wanted, atol=0.05)
    image = [x[..., None, None] for x in (arriving, trained)]
    np.testing.assert_allclose(made(Conv2d(weight[:, :, None, None]), *image)[:, :, 0, 0], wanted, atol=0.05)
    twice = [np.concatenate([x, x], axis=2) for x in image]
    grouped = Conv2d(np.concatenate([weight, 2 * weight])[:, :, None, None], groups=2)
    np.testing.assert_allclose(made(grouped, *twice)[:, :, 0, 0], np.concatenate([wanted, 2 * wanted]), atol=0.1)
    assert np.array_equal(made(Dense(weight), trained, trained), weight)


@given(st.integers(1, 3), st.integers(1, 150), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_has_gathered_is_that_of_the_neuron(steps: int, samples: int, current: bool, seed: int) -> None:
    """The membrane without a threshold, at any steps and samples that are asked for."""
    random = RNG(seed)
    d = Dynamics(membrane_decay=0.75, current_decay=0.5 if current else None, fires=False, reset="none")
    spikes = random.integers(0, 3, (steps, samples, 2)).astype(np.int8)
    numbers = np.flatnonzero(random.random(steps * samples) < 0.6)
    state, membranes = initial_state(d, (samples, 2), np.float32), []
    for x in spikes:
        state = step(d, state, x.astype(np.float32))
        membranes.append(state.v)
    expected = (np.stack(membranes) if steps > 1 else spikes).reshape(-1, 2)[numbers]
    np.testing.assert_array_equal(Gathered(spikes, d).at(numbers), expected)


@pytest.mark.parametrize("name", ["feed-forward", "pooled currents", "over time"])
def test_fewer_spikes_change_than_without_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = NETWORKS[name]()
    unseen = data(graph, 2, 200)
    found = spike_error(made(graph, 2, "learned"), unseen)
    monkeypatch.setattr(learn_rounding, "RIDGE", 1e12)
    assert found < 0.99 * spike_error(made(graph, 2, "learned"), unseen)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_executors_agree_and_the_same_input_gives_the_same_program(name: str, bits: int) -> None:
    graph = NETWORKS[name]()
    program, inputs = made(graph, bits, "learned").program, data(graph, 3, 9)
    expected, found = run_reference(program, inputs), FIXED.run(program, None, inputs, RunOptions(record=True))
    assert all(np.array_equal(expected.spikes[n], found.spikes[n]) for n in expected.spikes)
    assert np.array_equal(expected.scores, found.scores)
    again = made(graph, bits, "learned").program
    for a, b in zip(program.projections, again.projections, strict=True):
        assert np.array_equal(a.weight, b.weight) and word_bits(a) <= bits and np.abs(a.weight).max() <= 127
    for p, q in zip(program.populations, again.populations, strict=True):
        assert np.array_equal(p.bias, q.bias) and np.array_equal(p.threshold, q.threshold)


def test_mean_rates_come_back() -> None:
    """Of the rates that 2 bits cost the channels, on the data that was learned from, most are given back."""
    graph = feedforward()
    inputs = data(graph, 1, 64)
    expected = run_graph(graph, inputs).spikes

    def off(rounding: str) -> float:
        found = run_reference(made(graph, 2, rounding).program, inputs).spikes
        return float(np.mean([np.abs((found[n] - expected[n]).mean(axis=(0, 1))).mean() for n in ("lif1", "lif2")]))

    assert off("learned") < 0.5 * off("nearest")


def test_loihi_takes_it() -> None:
    graph = feedforward()
    compilation = made(graph, 4, "learned", "loihi-sim")
    assert not compilation.errors and any(name == "learn-rounding" for name, _ in compilation.steps)
    unseen = data(graph, 2, 100)
    assert spike_error(compilation, unseen) < spike_error(made(graph, 4, "nearest", "loihi-sim"), unseen)


def test_what_a_shift_follows_stays_and_is_named() -> None:
    compilation = made(pooled_currents(), 8, "learned", "loihi-sim")
    plain = made(pooled_currents(), 8, "nearest", "loihi-sim")
    if not plain.errors:
        assert any("shift" in remark and "lif1" in remark for remark in compilation.remarks)


def test_without_data_it_is_refused() -> None:
    with pytest.raises(InputError, match="--calibrate"):
        compile_graph(feedforward(), FIXED, CompileOptions(rounding="learned"))
    with pytest.raises(InputError, match="nearest or learned"):
        compile_graph(feedforward(), FIXED, CompileOptions(rounding="up"))


def test_a_target_that_cannot_says_so() -> None:
    plain = replace(FIXED, name="plain", pipeline=lambda options: FIXED.pipeline(CompileOptions(options.bits)))
    with pytest.raises(UnsupportedError, match="plain rounds to nearest only"):
        compile_graph(feedforward(), plain, CompileOptions(calibration=data(feedforward(), 1, 4), rounding="learned"))


def test_groups_come_in_the_order_in_which_they_feed_each_other() -> None:
    assert groups(feedforward()) == [["lif1"], ["lif2"], ["lif3"], ["out"]]
    assert groups(recurrent()) == [["lif"], ["lif2"]]


@networks.examples(60)
@given(networks.graphs(), networks.seeds)
def test_population_by_population_is_the_same_run(graph: Graph, seed: int) -> None:
    """The quantised network of any graph, simulated group by group in float64, has the spikes of the interpreter."""
    try:
        compilation = compile_graph(graph, FIXED)
    except SnnccError:
        assume(False)
    quantised, inputs = compilation.quantised, networks.data_for(graph, seed)
    known = {quantised.input: source_values(quantised, inputs)}
    for group in groups(quantised):
        known |= simulate(quantised, group, known, dtype=np.float64)
    for name, spikes in run_graph(quantised, inputs).spikes.items():
        assert np.array_equal(known[name], spikes)


@pytest.mark.parametrize("samples", [5, 6, 7])
def test_samples_in_parts_spike_as_all_at_once(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "SAMPLES_AT_ONCE", 3)
    at_once: list[int] = []

    def watched(graph: Graph, members: list[str], known: dict[str, Array]) -> dict[str, Array]:
        at_once.append(next(iter(known.values())).shape[1])
        return simulate(graph, members, known)

    monkeypatch.setattr(forward, "simulate", watched)
    graph = feedforward()
    known = {graph.input: source_values(graph, data(graph, 1, samples))}
    for group in groups(graph):
        found, whole = forward.simulate_in_parts(graph, group, known), simulate(graph, group, known)
        assert found.keys() == whole.keys()
        for name, spikes in whole.items():
            np.testing.assert_array_equal(found[name], spikes)
        known |= whole
    assert max(at_once) == 3 and sum(at_once) == samples * len(groups(graph))
