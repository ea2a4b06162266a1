"""lava-dl files against their equations in plain integers, and the integers that arrive in the Program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lava_net_files import conv_layer, correlate, dense_layer, input_layer, late, lif, neuron, write

from snncc.compiler import compile_graph
from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends import nir
from snncc.frontends.lava_net import FRONTEND, read_net
from snncc.ir.nodes import Input, Output
from snncc.program.reference import run_reference
from snncc.target import CompileOptions, RunOptions
from snncc.targets.fixed_sim.engine import run as run_fixed
from snncc.targets.loihi_sim import TARGET as LOIHI_SIM

STEPS = 60
T = {"time_steps": str(STEPS)}


def even(rng: np.random.Generator, *shape: int, most: int = 127) -> np.ndarray:
    return 2 * rng.integers(-most, most + 1, shape)


def dense(seed: int = 0, **more: Any) -> dict[str, Any]:
    return dense_layer(even(np.random.default_rng(seed), 5, 8), **more)


@pytest.mark.parametrize("seed", range(4))
def test_a_network_with_everything_equals_its_equations(tmp_path: Path, seed: int) -> None:
    """Convolution, flatten, two dense layers; bias, synaptic current, constants a neuron, delays that differ."""
    rng = np.random.default_rng(seed)
    w1, w2, w3 = even(rng, 4, 2, 3, 3, most=20), even(rng, 9, 4 * 3 * 3, most=30), even(rng, 6, 9)
    b1, b2 = rng.integers(-9, 30, 4), rng.integers(-20, 20, 9)
    n1 = {"iDecay": 4096, "vDecay": int(rng.integers(0, 4097)), "vThMant": 40}
    n2 = {"iDecay": 1024, "vDecay": 300, "vThMant": rng.integers(200, 900, 9)}
    n3 = {"iDecay": rng.integers(0, 4097, 6), "vDecay": 4096, "vThMant": 300}
    d1, d2 = rng.integers(0, 4, 4), rng.integers(0, 3, 9)
    path = write(
        tmp_path / "n.net",
        input_layer(2, 7, 7),
        conv_layer(w1, (4, 3, 3), stride=2, bias=b1, delay=d1.astype("f4"), neuron=neuron(**n1)),
        {"type": "flatten", "shape": np.array([36, 1, 1])},
        dense_layer(w2, bias=b2, delay=d2, neuron=neuron(**n2)),
        dense_layer(w3, neuron=neuron(**n3)),
    )
    x = (rng.random((STEPS, 2, 7, 7)) < 0.3).astype(np.int64)
    s1 = lif(correlate(x, w1, 2, 0), n1, b1[:, None, None])
    s2 = lif(late(s1, d1[:, None, None]).reshape(STEPS, -1) @ w2.T, n2, b2)
    s3 = lif(late(s2, d2) @ w3.T, n3, 0)
    made = compile_graph(read_net(path, T), LOIHI_SIM)
    assert not made.errors
    for found in (
        run_reference(made.program, x[:, None]),
        run_fixed(made.program, x[:, None], RunOptions(record=True)),
    ):
        for name, wanted in (("layer1", s1), ("layer3", s2), ("layer4", s3)):
            assert 10 < wanted.sum() < wanted.size - 10
            assert int((found.spikes[name][:, 0] != wanted).sum()) == 0, name


def test_grouped_convolution_with_a_delay_a_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    w1, w2 = even(rng, 4, 1, 2, 2), even(rng, 6, 2, 2, 2)
    delay = np.array([0, 2, 2, 1])
    path = write(
        tmp_path / "n.net",
        input_layer(1, 4, 4),
        conv_layer(w1, (4, 5, 5), padding=1, delay=delay),
        conv_layer(w2, (6, 4, 4), groups=2),
    )
    x = (rng.random((STEPS, 1, 4, 4)) < 0.2).astype(np.int64)
    constants = neuron()
    s1 = late(lif(correlate(x, w1, 1, 1), constants, 0), delay[:, None, None])
    halves = [correlate(s1[:, 2 * g : 2 * g + 2], w2[3 * g : 3 * g + 3], 1, 0) for g in range(2)]
    wanted = lif(np.concatenate(halves, axis=1), constants, 0)
    graph = read_net(path, T)
    assert {e.delay for e in graph.edges} == {0, 1, 2}
    got = run_reference(compile_graph(graph, LOIHI_SIM).program, x[:, None])
    assert wanted.sum() > 50 and int((got.spikes["layer2"][:, 0] != wanted).sum()) == 0


@pytest.mark.parametrize("weights", [[-256, 254, 2], [127, -128, 3], [64, -1024, 4064]])
@pytest.mark.parametrize("options", [CompileOptions(), CompileOptions(bits=4, per_channel=False)])
def test_every_integer_arrives(tmp_path: Path, weights: list[int], options: CompileOptions) -> None:
    """Nothing is scaled or rounded, whatever bits were asked for; wide weights go by the chip's weight exponent."""
    constants = neuron(iDecay=1000, vDecay=77, vThMant=201)
    made = compile_graph(
        read_net(write(tmp_path / "n.net", dense_layer(np.array([weights]), bias=[-7], neuron=constants)), T),
        LOIHI_SIM,
        options,
    )
    population, projection = made.program.populations[0], made.program.projections[0]
    assert projection.weight.tolist() == [weights] and projection.shift == 0
    assert (population.threshold, population.bias, population.guard_bits) == (201 << 6, -7 << 6, 6)
    assert (population.decay_u, population.decay_v) == (4096 - 1000, 4096 - 77)
    assert (population.compare, population.reset, population.reset_value) == (">", "to_value", 0)
    assert not made.errors and made.program.arithmetic.name == "loihi"


def test_weights_of_nine_odd_bits_are_a_finding(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense_layer(np.array([[255, -3]])))
    findings = compile_graph(read_net(path, T), LOIHI_SIM).findings
    assert [f.layer for f in findings] == ["layer0.dense"] and findings[0].actual == "-3..255"


def test_equal_delays_stay_on_one_edge(tmp_path: Path) -> None:
    graph = read_net(write(tmp_path / "n.net", dense(delay=[3.0]), dense_layer(np.eye(2, 5) * 64)), T)
    assert [(e.source, e.target, e.delay) for e in graph.edges if e.delay] == [("layer0", "layer1.dense", 3)]


def test_an_input_layer_takes_currents_or_its_spikes(tmp_path: Path) -> None:
    """With neurons of its own it fires from the current 2·weight·x − weight + bias; without, spikes come in."""
    rng = np.random.default_rng(1)
    weight = even(rng, 5, 8)
    front = input_layer(8, weight=np.array([36.0]), bias=np.array([34.0]), neuron=neuron(type="LOIHI", wgtExp=0))
    path = write(tmp_path / "n.net", front, dense_layer(weight), simulation={"Ts": 1, "tSample": STEPS})
    graph = read_net(path, {})
    entry = graph.nodes["input"]
    assert isinstance(entry, Input) and (entry.encoding, entry.low, entry.high) == ("static", -2, 70)
    assert graph.time_steps == STEPS and graph.origin["input_transform"]["weight"] == 36
    currents = rng.integers(-2, 71, (1, 8))
    fired = lif(np.repeat(currents, STEPS, 0), neuron(), 0)
    wanted = lif(fired @ weight.T, neuron(), 0)
    got = run_reference(compile_graph(graph, LOIHI_SIM).program, currents)
    assert wanted.sum() > 10 and np.array_equal(got.spikes["layer0"][:, 0], fired)
    assert np.array_equal(got.spikes["layer1"][:, 0], wanted)
    spiking = read_net(path, {"input_encoding": "spikes"})
    assert "layer0" not in spiking.nodes and "input_transform" not in spiking.origin
    got = run_reference(compile_graph(spiking, LOIHI_SIM).program, fired[:, None])
    assert np.array_equal(got.spikes["layer1"][:, 0], wanted)


def test_where_everything_came_from(tmp_path: Path) -> None:
    graph = read_net(
        write(tmp_path / "net.net", dense()), {**T, "readout": "weighted_count", "time_weights": "1," * 59 + "2"}
    )
    assert (
        graph.name == "net" and graph.origin["format"] == "lava-dl" and graph.origin["whole_units"] == {"layer0": 1.0}
    )
    assert graph.origin["semantics_from"]["time_steps"] == "option" == graph.origin["semantics_from"]["readout"]
    assert graph.origin["semantics_from"]["input_encoding"] == "file"
    sink = graph.nodes["output"]
    assert isinstance(sink, Output) and sink.time_weights == (1,) * 59 + (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "does not say how many steps .* --time-steps"),
        ({"time_steps": "0"}, "time_steps is '0'"),
        ({**T, "dialect": "snntorch"}, "takes no option 'dialect'; it takes time_steps"),
        ({**T, "input_scale": "0.5"}, "takes no option 'input_scale'"),
        ({**T, "readout": "votes"}, "readout is 'votes'"),
        ({**T, "input_encoding": "sound"}, "input_encoding is 'sound'"),
    ],
)
def test_options(tmp_path: Path, options: Mapping[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_net(write(tmp_path / "n.net", dense()), options)


def test_the_sidecar_speaks_too(tmp_path: Path) -> None:
    path = write(tmp_path / "n.net", dense())
    (tmp_path / "n.semantics.toml").write_text("time_steps = 9\n")
    assert read_net(path, {}).time_steps == 9
    (tmp_path / "n.semantics.toml").write_text('time_steps = 9\nreset = "zero"\n')
    with pytest.raises(InputError, match="its sidecar gives 'reset'"):
        read_net(path, {})


TINY = np.ones((2, 1, 2, 2))
REFUSED: list[tuple[str, list[dict[str, Any]], type[SnnccError], str]] = [
    ("resonator", [dense(neuron=neuron(type="RF"))], UnsupportedError, "layer0: its neurons are 'RF'"),
    ("sigma-delta", [dense(neuron=neuron(type="SDNN"))], UnsupportedError, "layer0: its neurons are 'SDNN'"),
    ("adaptive", [dense(neuron=neuron(thDecay=3))], UnsupportedError, "layer0: its neurons have a 'thDecay'"),
    ("graded", [dense(neuron=neuron(gradedSpike=True))], UnsupportedError, "layer0: gradedSpike is 1, not 0"),
    ("refractory", [dense(neuron=neuron(refDelay=4))], UnsupportedError, "layer0: refDelay is 4, not 1: a refractory"),
    ("exponent", [dense(neuron=neuron(wgtExp=2))], UnsupportedError, "layer0: wgtExp is 2, not 0"),
    ("messages", [dense(neuron=neuron(messageBits=8))], UnsupportedError, "layer0: messageBits is 8"),
    ("affine", [{k: v for k, v in dense().items() if k != "neuron"}], UnsupportedError, "layer0: has no neurons"),
    ("pool", [input_layer(4, 4, 4), {"type": "pool"}], UnsupportedError, "layer1: lava-dl's 'pool' layer"),
    ("average", [dense(), {"type": "average"}], UnsupportedError, "layer1: lava-dl's 'average' layer"),
    ("recurrent", [{**dense(), "type": "dense_rec"}], UnsupportedError, "layer0: lava-dl's 'dense_rec' layer"),
    ("complex", [dense() | {"weight": {"real": 1, "imag": 1}}], UnsupportedError, "layer0: its synapses are complex"),
    ("unknown key", [dense(mask=np.ones(3))], UnsupportedError, "layer0: has mask, which is not known"),
    ("floats", [dense_layer(np.full((2, 3), 0.37))], UnsupportedError, "layer0: weight holds 0.37, no whole number"),
    ("last delay", [dense(delay=[2])], UnsupportedError, "layer0: the last layer delays its spikes by up to 2"),
    (
        "delays in a channel",
        [
            input_layer(1, 3, 3),
            conv_layer(TINY, (2, 2, 2), delay=np.arange(8)),
            conv_layer(np.ones((1, 2, 1, 1)), (1, 2, 2)),
        ],
        UnsupportedError,
        "layer2: the spikes it reads have delays that differ within a channel",
    ),
    ("no input layer", [conv_layer(TINY, (2, 2, 2))], InputError, "layer0: a conv comes first"),
    ("second input", [dense(), input_layer(5)], InputError, "layer1: is a second input layer"),
    ("only input", [input_layer(5)], InputError, "has no layer with neurons"),
    ("conv shape", [input_layer(1, 3, 3), conv_layer(TINY, (2, 3, 3))], InputError, r"layer1: shape is \(2, 3, 3\)"),
    ("conv channels", [input_layer(2, 3, 3), conv_layer(TINY, (2, 2, 2))], InputError, "layer1: weight has shape"),
    ("dense size", [input_layer(7), dense()], InputError, r"layer1: weight has shape \(5, 8\); 5 neurons of 7 inputs"),
    ("no flatten", [input_layer(2, 2, 2), dense()], InputError, "layer1: a dense layer after .* needs a flatten"),
    ("threshold", [dense(neuron=neuron(vThMant=0))], InputError, "layer0: vThMant is 0; it must be 1 or more"),
    ("decay", [dense(neuron=neuron(vDecay=4097))], InputError, "layer0: vDecay is 4097"),
    ("NaN", [dense(bias=np.full(5, np.nan))], InputError, "layer0: bias holds 5 values that are NaN"),
    ("huge", [dense(bias=np.full(5, 2.0**40))], InputError, "layer0: bias reaches 1.1e.12; the limit is 2.31"),
    ("bias size", [dense(bias=np.ones(4))], InputError, "layer0: bias has 4 values for a population"),
    ("delay", [dense(delay=[-1]), dense_layer(np.ones((1, 5)))], InputError, "layer0: delay is -1"),
    ("missing", [dense(neuron={"type": "CUBA"})], InputError, "layer0: vThMant is missing"),
    ("text", [dense() | {"weight": "heavy"}], InputError, "layer0: weight is the text 'heavy'"),
    ("empty", [dense() | {"weight": np.ones((0, 8))}], InputError, "layer0: weight has shape .*empty"),
    ("shape", [input_layer(2**20, 2**20, 2**20), dense()], InputError, "layer0: shape is"),
    ("flat shape", [input_layer(2, 3)], InputError, r"layer0: shape is \[2, 3\]"),
]


@pytest.mark.parametrize(("what", "layers", "error", "message"), REFUSED, ids=[r[0] for r in REFUSED])
def test_refused_by_name(
    tmp_path: Path, what: str, layers: list[dict[str, Any]], error: type[SnnccError], message: str
) -> None:
    with pytest.raises(error) as caught:
        read_net(write(tmp_path / "n.net", *layers), T)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_each_reader_knows_its_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", dense())
    head = path.read_bytes()[:8]
    assert FRONTEND.sniff(path, head) and not nir.FRONTEND.sniff(path, head)
    assert nir.FRONTEND.sniff(Path("a.nir"), head) and not FRONTEND.sniff(Path("a.nir"), head)
