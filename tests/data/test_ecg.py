"""MAT-files: equal to what SciPy reads, and every size checked."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from snncc.data import load
from snncc.data.mat import read_mat
from snncc.errors import InputError

REAL = Path(os.environ.get("SNNCC_DATA", "/nonexistent")) / "ecg-qtdb"
RANDOM = np.random.default_rng(0)
X = RANDOM.integers(-1, 2, (5, 9, 4)).astype(np.int16)
Y = np.eye(6, dtype=np.uint8)[RANDOM.integers(0, 6, (5, 9))]
Y[0, 0] = 0


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_equals_scipy(tmp_path: Path, kind: str, packed: bool) -> None:
    path = tmp_path / "a.mat"
    arrays = {
        "a": (RANDOM.random((3, 4, 5)) * 100).astype(kind),
        "b": np.array([[1]], kind),
        "empty": np.zeros((0, 2), kind),
    }
    scipy.io.savemat(path, arrays, do_compression=packed)
    read = read_mat(path)
    assert list(read) == list(arrays)
    for name, array in scipy.io.loadmat(path).items():
        if not name.startswith("__"):
            np.testing.assert_array_equal(read[name], array)
            np.testing.assert_array_equal(read[name], arrays[name])


@pytest.mark.parametrize(
    "content",
    [
        {"a": "text"},
        {"a": {"b": 1}},
        {"a": np.array([[{}]], object)},
        {"a": np.ones((2, 2)) * 1j},
        {"a": np.ones((2, 2)) > 3},
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content)
    if isinstance(content["a"], np.ndarray) and content["a"].dtype == bool:
        assert read_mat(path)["a"].tolist() == [[0, 0], [0, 0]]
        return
    with pytest.raises(InputError, match=r"is no array of real numbers|more than arrays of numbers"):
        read_mat(path)


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    packed = zlib.compress(bytes(1 << 28), 1)
    head = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputError, match="unpacks to over"):
        read_mat(path)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(128), b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no Level 5 MAT-file"):
        read_mat(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path))
    (tmp_path / "ecg-qtdb").mkdir()
    return tmp_path / "ecg-qtdb"


def test_ecg(folder: Path) -> None:
    scipy.io.savemat(folder / "QTDB_test.mat", {"x": X, "y": Y})
    dataset = load("ecg:test")
    np.testing.assert_array_equal(dataset.inputs, X)
    assert (dataset.inputs.dtype, dataset.labels) == (np.int8, None)
    assert dataset.step_labels is not None
    assert dataset.step_labels[0, 0] == -1
    np.testing.assert_array_equal(dataset.step_labels[1:], Y[1:].argmax(axis=2))
    some = load("ecg:test", limit=2)
    assert some.step_labels is not None and (len(some), len(some.step_labels)) == (2, 2)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X + 1, Y, "x must be -1, 0 or 1"),
        (X, Y + 1, "y one class of 6"),
        (X[:3], Y, r"x \(3, 9, 4\), y \(5, 9, 6\)"),
        (X[..., :2], Y, "x has 2 channels"),
        (X[..., 0], Y, "are needed"),
    ],
)
def test_bad_ecg(folder: Path, x: np.ndarray, y: np.ndarray, message: str) -> None:
    scipy.io.savemat(folder / "QTDB_train.mat", {"x": x, "y": y})
    with pytest.raises(InputError, match=message):
        load("ecg:train")


def test_missing_ecg(folder: Path) -> None:
    with pytest.raises(InputError, match=r"QTDB_test\.mat.*SNNCC_DATA"):
        load("ecg:test")


@pytest.mark.skipif(not REAL.is_dir(), reason="no ecg-qtdb under SNNCC_DATA")
def test_the_real_sequences_equal_scipys() -> None:
    for part, count in (("train", 618), ("test", 141)):
        dataset, arrays = load(f"ecg:{part}"), scipy.io.loadmat(REAL / f"QTDB_{part}.mat")
        assert dataset.inputs.shape == (count, 1301, 4)
        np.testing.assert_array_equal(dataset.inputs, arrays["x"])
        assert dataset.step_labels is not None
        np.testing.assert_array_equal(dataset.step_labels == 2, arrays["y"][:, :, 2] == 1)
        np.testing.assert_array_equal(dataset.step_labels == -1, arrays["y"].sum(axis=2) == 0)
