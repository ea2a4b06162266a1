"""Rate-coded input: the same spikes for any batches, threads and order; the statistics asked for; through every verb."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from snncc.encode import Encoded, encode, parse_encoder, rates
from snncc.errors import InputError, SnnccError
from snncc.feed import feed, portions, sample_count, take
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import chain
from snncc.ir.nodes import Dense, Encoder, Flatten, Input, Neuron, Output
from snncc.ir.shapes import infer_shapes
from snncc.ir.store import decode_graph, encode_graph
from snncc.report.words import describe_encoder

SHAPE, STEPS = (2, 5, 3), 7
SAMPLES = np.random.default_rng(0).integers(0, 256, (9, *SHAPE)).astype(np.uint8)
SIGNED = Encoder(gain=(1.5, 2.0), offset=(-0.75, -1.0), signed=True, seed=5)


def test_spikes_do_not_depend_on_batches_threads_or_steps() -> None:
    whole = encode(SAMPLES, SIGNED, STEPS)
    assert whole.shape == (STEPS, 9, *SHAPE) and whole.dtype == np.int8 and set(np.unique(whole)) == {-1, 0, 1}
    inputs = Encoded(SAMPLES, SIGNED, STEPS)
    for size in (1, 4, 20):
        parts = [inputs.take(start, start + size) for start in range(0, 9, size)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    with ThreadPoolExecutor(4) as pool:
        backwards = list(pool.map(lambda n: inputs.take(n, n + 1), reversed(range(9))))
    np.testing.assert_array_equal(np.concatenate(backwards[::-1], axis=1), whole)
    np.testing.assert_array_equal(encode(SAMPLES, SIGNED, STEPS + 3)[:STEPS], whole)  # the same train, only longer
    same = encode(np.stack([SAMPLES[0]] * 2), SIGNED, STEPS)
    assert not np.array_equal(same[:, 0], same[:, 1])  # every sample draws its own
    assert not np.array_equal(encode(SAMPLES, parse_encoder("poisson:gain=1,seed=6"), STEPS), whole)


def test_the_spikes_are_those_of_philox() -> None:
    """Written out once more from the definition, and pinned, so that no release of NumPy may change them."""
    spikes = encode(SAMPLES[3:4], SIGNED, STEPS, numbers=[3]).reshape(STEPS, -1)
    words = np.random.Philox(key=np.array([5, 3], np.uint64)).random_raw(STEPS * 30 // 2)
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).reshape(STEPS, 30)
    x = SAMPLES[3].reshape(2, 15) / 255
    rate = np.concatenate([x[0] * 1.5 - 0.75, x[1] * 2 - 1])
    np.testing.assert_array_equal(spikes, np.sign(rate) * (np.abs(rate) > halves / 2**32))
    ones = encode(np.full((1, 4), 128, np.uint8), Encoder(seed=1), 4)
    assert ones.reshape(4, 4).tolist() == PINNED


PINNED = [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_rates_are_met() -> None:
    grey = np.array([[0, 51, 102, 255]], np.uint8)
    steps = 20_000
    found = encode(grey, Encoder(gain=0.5), steps).mean(0)[0]
    expected = np.array([0, 0.1, 0.2, 0.5])
    assert found[0] == 0
    np.testing.assert_allclose(found, expected, atol=4 * 0.5 / steps**0.5)
    assert (encode(grey, Encoder(gain=1.0), 100)[:, 0, 3] == 1).all()  # a rate of 1 fires at every step
    steep = encode(grey, Encoder(gain=11.0, offset=-1.0), 50)[:, 0]
    assert (steep == [0, 1, 1, 1]).all()  # below 0 never, beyond 1 always
    assert (encode(grey, Encoder(offset=-1.0, signed=True), 50)[:, 0, [0, 3]] == [-1, 0]).all()


def test_steps_and_neighbours_are_independent() -> None:
    spikes = encode(np.full((1, 400), 128, np.uint8), Encoder(), 400)[:, 0].astype(float) - 128 / 255
    for a, b in ((spikes[1:], spikes[:-1]), (spikes[:, 1:], spikes[:, :-1])):
        assert abs(float((a * b).mean())) < 4 * 0.25 / 400


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("poisson", Encoder()),
        ("poisson:gain=0.5,seed=3", Encoder(gain=0.5, seed=3)),
        ("poisson:offset=-1,scale=1,signed=yes", Encoder(offset=-1.0, scale=1.0, signed=True)),
    ],
)
def test_codes_in_words(text: str, found: Encoder) -> None:
    assert parse_encoder(text) == found


@pytest.mark.parametrize(
    "text", ["latency", "poisson:gain", "poisson:gain=x", "poisson:seed=-1", "poisson:scale=0", "poisson:gain=nan",
             "poisson:rate=2", "poisson:seed=1,seed=2", "poisson:signed=1"],
)  # fmt: skip
def test_codes_that_make_no_sense(text: str) -> None:
    with pytest.raises(InputError, match="--encode"):
        parse_encoder(text)


def network(**changes: Any) -> Any:
    encoder = Encoder(**({"seed": 2} | changes))
    nodes = {
        "input": Input(SHAPE, "spikes", 1.0, -1, 1, encoder), "flatten": Flatten(),
        "fc": Dense(np.random.default_rng(1).normal(0, 0.4, (4, 30))),
        "lif": Neuron(Dynamics(membrane_decay=0.9)), "output": Output(),
    }  # fmt: skip
    return chain(nodes, STEPS, "coded")


def test_feeding() -> None:
    entry = network().nodes["input"]
    inputs = feed(SAMPLES, entry, STEPS, "data", entry.encoder)
    assert sample_count(inputs, entry) == 9
    np.testing.assert_array_equal(take(inputs, entry, 2, 5), encode(SAMPLES, entry.encoder, STEPS)[:, 2:5])
    frames = np.moveaxis(encode(SAMPLES, entry.encoder, STEPS), 0, 1)
    np.testing.assert_array_equal(feed(frames, entry, STEPS, "data", entry.encoder), np.moveaxis(frames, 0, 1))
    with pytest.raises(InputError, match="--encode"):
        feed(SAMPLES, entry, STEPS, "data")
    with pytest.raises(InputError, match="float64"):
        feed(SAMPLES / 255, entry, STEPS, "data", entry.encoder)


def test_portions_cover_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = network().nodes["input"]
    inputs = feed(SAMPLES, entry, STEPS, "data", entry.encoder)
    monkeypatch.setattr("snncc.feed.PORTION", 2 * STEPS * 30)
    parts = list(portions(inputs, entry, STEPS))
    assert [p.shape[1] for p in parts] == [2, 2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), encode(SAMPLES, entry.encoder, STEPS))


def test_an_encoder_survives_storing() -> None:
    graph = network(gain=(1.0, 0.5))
    value, arrays = encode_graph(graph)
    again = decode_graph(json.loads(json.dumps(value)), arrays, "file").nodes["input"]
    assert isinstance(again, Input) and again.encoder == Encoder(gain=(1.0, 0.5), seed=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "latency"}, "latency"), ({"gain": (1.0, 2.0, 3.0)}, "2 channels"), ({"offset": float("nan")}, "nan"),
     ({"scale": 0.0}, "scale"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_encoders_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SnnccError, match=message):
        infer_shapes(network(**changes))


def test_rates_of_channels() -> None:
    assert rates(np.full((1, 2, 1, 1), 255), SIGNED).flatten().tolist() == [0.75, 1.0]


def test_an_encoder_in_words() -> None:
    assert describe_encoder(Encoder()) == "poisson spikes of rate x, x = integer / 255, seed 0"
    assert describe_encoder(Encoder(gain=0.5, offset=-0.25, scale=1.0, signed=True, seed=2)) == (
        "poisson spikes of rate 0.5·x + -0.25, −1 where negative, seed 2"
    )
