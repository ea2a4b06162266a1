"""Events: what lies in the file is counted in the right cell, and nothing broken gets through."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.data import load
from snncc.data.dataset import Request, parse_request
from snncc.data.event_sets import NMNIST_SENSOR
from snncc.data.events import Events, frames, from_structured, read_address_events
from snncc.errors import InputError

REAL = Path(os.environ.get("SNNCC_DATA", "/nonexistent")) / "nmnist-small"
FIELDS = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")]
RECORDING = [(3, 5, 100, 1), (3, 5, 101, 1), (0, 33, 350, 0), (33, 0, 499, 1)]  # x, y, µs, polarity


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path))
    return tmp_path


def address_events(events: list[tuple[int, int, int, int]]) -> bytes:
    return b"".join(bytes([x, y]) + ((p << 23) | t).to_bytes(3, "big") for x, y, t, p in events)


def structured(events: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array(events, dtype=FIELDS)


def check_frames(inputs: np.ndarray) -> None:
    """RECORDING in 4 equal parts of 100 µs."""
    assert (inputs.shape, inputs.dtype) == ((4, 2, 34, 34), np.uint8)
    wanted = np.zeros((4, 2, 34, 34), np.uint8)
    wanted[0, 1, 5, 3] = 2
    wanted[2, 0, 33, 0] = 1
    wanted[3, 1, 0, 33] = 1
    np.testing.assert_array_equal(inputs, wanted)


@pytest.mark.parametrize("suffix", [".bs2", ".bin", ".npy", ".npz"])
def test_a_file_of_events(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own{suffix}"
    if suffix == ".npy":
        np.save(path, structured(RECORDING))
    elif suffix == ".npz":
        np.savez(path, structured(RECORDING), y=np.array([7]))
    else:
        path.write_bytes(address_events(RECORDING))
    dataset = load(f"{path}?sensor=34x34x2&steps=4")
    assert len(dataset) == 1
    check_frames(dataset.inputs[0])
    assert (dataset.labels is not None) == (suffix == ".npz")
    check_frames(load(f"{path}?sensor=34x34", time_steps=4).inputs[0])
    one = load(f"{path}?sensor=34x34x1&steps=1&values=binary").inputs
    assert (one.shape, int(one.sum()), int(one.max())) == ((1, 1, 1, 34, 34), 3, 1)
    with pytest.raises(InputError, match=r"does not say how large its sensor is|sensor=WIDTHxHEIGHT"):
        load(str(path))
    with pytest.raises(InputError, match=r"say how many: .*\?steps=20"):
        load(f"{path}?sensor=34x34")
    with pytest.raises(InputError, match=r"1 of 4 events lie outside the sensor of 33x34, the first at \(33, 0\)"):
        load(f"{path}?sensor=33x34&steps=4")


def test_several_recordings_and_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, structured(RECORDING[:1]), structured(RECORDING), structured([]), y=np.array([3, 1, 2]))
    dataset = load(f"{path}?sensor=34x34&steps=4")
    assert dataset.inputs.sum(axis=(1, 2, 3, 4)).tolist() == [1, 4, 0]
    check_frames(dataset.inputs[1])
    assert dataset.labels is not None and dataset.labels.tolist() == [3, 1, 2]
    assert load(f"{path}?sensor=34x34&steps=4", limit=2).inputs.shape[0] == 2


def test_frames_of_a_fixed_length() -> None:
    events = read_address_events("r", address_events(RECORDING))
    shown = frames("r", events, Request("r", steps=2, bin=150), NMNIST_SENSOR)
    assert shown.sum(axis=(1, 2, 3)).tolist() == [2, 1]  # the last event lies beyond both


def test_every_event_is_in_exactly_one_frame() -> None:
    random = np.random.default_rng(0)
    for steps in (1, 3, 7, 20, 300):
        n = int(random.integers(1, 400))
        events = Events(*(random.integers(0, high, n) for high in (34, 34, 2**23, 2)))
        shown = frames("r", events, Request("r", steps=steps), NMNIST_SENSOR)
        assert int(shown.sum()) == n
        slow = np.zeros(shown.shape, int)
        first, span = int(events.time.min()), int(events.time.max() - events.time.min()) + 1
        for x, y, t, p in zip(events.x, events.y, events.time, events.polarity, strict=True):
            slow[(int(t) - first) * steps // span, p, y, x] += 1
        np.testing.assert_array_equal(shown, slow)


def test_counts_saturate() -> None:
    events = read_address_events("r", address_events([(1, 1, 5, 1)] * 300))
    assert frames("r", events, Request("r", steps=1), NMNIST_SENSOR).max() == 255


def test_clock_overflow_marks() -> None:
    events = read_address_events("r", address_events([(1, 2, 10, 0), (0, 240, 0, 0), (1, 2, 10, 1)]))
    assert (events.time.tolist(), events.polarity.tolist()) == ([10, 8202], [0, 1])


def test_polarity_of_minus_one_is_off() -> None:
    array = np.array([(1, 2, 3, -1), (1, 2, 4, 1)], dtype=[("x", "i4"), ("y", "i4"), ("t", "i4"), ("p", "i4")])
    assert from_structured("r", array).polarity.tolist() == [0, 1]
    line = np.array([(1, 3, 1)], dtype=[("x", "i4"), ("t", "i4"), ("p", "i4")])
    assert from_structured("r", line).y.tolist() == [0]


def small_set(folder: Path, unpacked: bool) -> None:
    folder.mkdir(parents=True)
    (folder / "test100.txt").write_text("#sample #class\n60002\t2\n60001\t7\n")
    contents = {"60001.bs2": address_events(RECORDING[:1]), "60002.bs2": address_events(RECORDING)}
    if unpacked:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return
    with tarfile.open(folder / "NMNISTsmall.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"NMNISTsmall/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("unpacked", [True, False])
def test_the_small_set(data: Path, unpacked: bool) -> None:
    small_set(data / "nmnist-small", unpacked)
    dataset = load("nmnist-small:test?steps=4")
    check_frames(dataset.inputs[0])
    assert dataset.labels is not None and dataset.labels.tolist() == [2, 7]
    assert dataset.inputs[1].sum() == 1
    assert len(load("nmnist-small:test", limit=1, time_steps=3)) == 1
    with pytest.raises(InputError, match="say how many"):
        load("nmnist-small:test")


def test_a_small_set_that_is_not_whole(data: Path) -> None:
    with pytest.raises(InputError, match=r"test100\.txt cannot be read.*SNNCC_DATA"):
        load("nmnist-small:test?steps=4")
    folder = data / "nmnist-small"
    small_set(folder, unpacked=False)
    (folder / "test100.txt").write_text("60001\t7\n60009\t7\n")
    with pytest.raises(InputError, match=r"has no 60009\.bs2 \(1 of 2"):
        load("nmnist-small:test?steps=4")
    for text in ("60001\n", "../x 3\n", "60001 10\n", ""):
        (folder / "test100.txt").write_text(text)
        with pytest.raises(InputError, match=r"a sample number and a digit|lists no samples"):
            load("nmnist-small:test?steps=4")


def test_the_complete_set_in_the_order_of_its_numbers(data: Path) -> None:
    with pytest.raises(InputError, match=r"nmnist/Test/<digit>.*nmnist-small:test"):
        load("nmnist:test?steps=4")
    for number, digit in ((2, 1), (1, 7), (10, 0)):
        folder = data / "nmnist" / "Test" / str(digit)
        folder.mkdir(parents=True)
        (folder / f"{number:05d}.bin").write_bytes(address_events(RECORDING[:number]))
    dataset = load("nmnist:test?steps=4")
    assert dataset.labels is not None and dataset.labels.tolist() == [7, 1, 0]
    assert dataset.inputs.sum(axis=(1, 2, 3, 4)).tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("steps=0", "steps is '0'; it must be a whole number in 1"),
        ("steps=1e9", "steps is '1e9'"),
        ("steps=99999999999999999999", "steps is"),
        ("step=3", "'step=3' is no option of data.*steps, bin, values, sensor"),
        ("steps=3&steps=4", "'steps=4' is no option"),
        ("steps", "'steps' is no option"),
        ("values=mean", "values is 'mean'"),
        ("sensor=34", "sensor is '34'"),
        ("sensor=34x-1", "sensor is '-1'"),
        ("steps=100000", "231,200,000 cells; the limit is|are .* bytes; the limit is"),
    ],
)
def test_bad_options(data: Path, query: str, message: str) -> None:
    small_set(data / "nmnist-small", unpacked=True)
    with pytest.raises(InputError, match=message):
        load(f"nmnist-small:test?{query}")


def test_options_are_taken_as_written() -> None:
    request = parse_request("nmnist:test?steps=20&bin=3000&values=binary&sensor=3x4x1", 5, 7)
    assert request == Request("nmnist:test", 5, 20, 3000, "binary", (3, 4, 1), ("steps", "bin", "values", "sensor"))
    assert parse_request("nmnist:test", None, 7).steps == 7


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "holds no structured array"),
        (np.zeros(3, [("x", "i4"), ("t", "i4")]), "fields x, t; events are a list"),
        (np.zeros((2, 2), FIELDS), "is 2-dimensional"),
        (np.zeros(3, [("x", "i4"), ("y", "i4"), ("t", "f8"), ("p", "?")]), "field t is float64"),
        (np.full(3, 2**60, [("x", "i8"), ("y", "i8"), ("t", "i8"), ("p", "i8")]), "field x reaches"),
        (np.array([(1, 1, 1, 7)], [("x", "i4"), ("y", "i4"), ("t", "i4"), ("p", "i4")]), "polarity p reaches 7..7"),
        (np.zeros(3, [("x", "O"), ("t", "i4"), ("p", "?")]), "is no intact .npy|Object arrays"),
    ],
)
def test_bad_structured_arrays(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "own.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        load(f"{path}?sensor=34x34&steps=4")


def test_bad_address_events(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 7 bytes, no multiple of the 5"):
        read_address_events("r", b"1234567")
    with pytest.raises(InputError, match="the limit of a recording"):
        read_address_events("r", bytes((1 << 25) + 5))
    with pytest.raises(InputError, match="cannot be read"):
        load(f"{tmp_path / 'none.bs2'}?sensor=34x34&steps=2")


@pytest.mark.skipif(not REAL.is_dir(), reason="no nmnist-small under SNNCC_DATA")
def test_the_real_small_set() -> None:
    dataset = load("nmnist-small:test?steps=20")
    assert dataset.inputs.shape == (100, 20, 2, 34, 34)
    assert dataset.labels is not None and dataset.labels[:5].tolist() == [7, 2, 1, 0, 4]
    with tarfile.open(REAL / "NMNISTsmall.tar.gz") as archive:
        sizes = {m.name.rpartition("/")[2]: m.size for m in archive if m.isreg()}
    wanted = [sizes[f"{60001 + k}.bs2"] // 5 for k in range(100)]
    assert dataset.inputs.sum(axis=(1, 2, 3, 4), dtype=int).tolist() == wanted  # every event counted once
    assert load("nmnist-small:train?steps=5", limit=3).inputs.shape == (3, 5, 2, 34, 34)


def test_a_network_with_events_as_input_takes_the_frames(data: Path) -> None:
    from snncc.feed import feed
    from snncc.ir.nodes import Input

    small_set(data / "nmnist-small", unpacked=True)
    entry: Any = Input((2, 34, 34), "spikes", 1.0, 0, 255)
    fed = feed(load("nmnist-small:test", time_steps=4).inputs, entry, 4, "net")
    assert fed.shape == (4, 2, 2, 34, 34)
    check_frames(fed[:, 0])
