"""Data sets: what is read is what was stored, and nothing broken gets through."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.data import datasets, download, load
from snncc.data.idx import read_idx
from snncc.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
LABELS = np.arange(7, dtype=np.uint8)


def idx_bytes(array: np.ndarray, extents: tuple[int, ...] | None = None, element: int = 8) -> bytes:
    extents = array.shape if extents is None else extents
    return bytes([0, 0, element, len(extents)]) + struct.pack(f">{len(extents)}I", *extents) + array.tobytes()


def write_set(folder: Path, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix in ("train", "t10k"):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No user's data, no user's cache, no network."""
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for source in ("MNIST", "FASHION_MNIST"):
        offline = replace(getattr(download, source), homes=((tmp_path / "nowhere").as_uri() + "/",))
        monkeypatch.setattr(download, source, offline)
        monkeypatch.setattr(datasets, source, offline)


def test_the_demo_is_the_first_thousand_test_images() -> None:
    demo = load("mnist:demo")
    assert demo.inputs.shape == (1000, 1, 28, 28)
    assert demo.inputs.dtype == np.uint8
    assert demo.labels is not None
    assert demo.labels.dtype == np.int64
    assert demo.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(demo.labels).tolist() == [85, 126, 116, 107, 110, 87, 87, 99, 89, 94]
    assert datasets.DEMO_FILE.stat().st_size < 200_000


def test_reads_idx_files_from_the_data_folder(tmp_path: Path) -> None:
    for name in ("mnist", "fashion-mnist"):
        write_set(tmp_path / "data" / name)
        for part in ("train", "test"):
            dataset = load(f"{name}:{part}")
            np.testing.assert_array_equal(dataset.inputs, IMAGES[:, None])
            assert dataset.inputs.flags.writeable
            assert dataset.labels is not None
            assert dataset.labels.dtype == np.int64
            assert dataset.labels.tolist() == LABELS.tolist()


def test_limit_takes_the_first(tmp_path: Path) -> None:
    write_set(tmp_path / "data" / "mnist")
    some = load("mnist:test", limit=3)
    np.testing.assert_array_equal(some.inputs, IMAGES[:3, None])
    assert (len(some), some.description[:11]) == (3, "the first 3")
    assert len(load("mnist:test", limit=100)) == 7
    with pytest.raises(InputError, match="limit of 0"):
        load("mnist:test", limit=0)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(InputError, match=r"mnist:tset.*mnist:test.*fashion-mnist:train.*\.npz"):
        load("mnist:tset")


def test_without_network_the_remedy_is_named() -> None:
    with pytest.raises(InputError, match=r"mnist: train-images.*could not be downloaded.*SNNCC_DATA"):
        load("mnist:train")
    assert not list(download.cache_folder().rglob("*.gz*"))


def test_downloads_once_and_only_what_is_unaltered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered, home = tmp_path / "altered", tmp_path / "home"
    write_set(home)
    write_set(altered, images=IMAGES[::-1])
    md5 = {f.name: hashlib.md5(f.read_bytes(), usedforsecurity=False).hexdigest() for f in home.iterdir()}
    source = download.Source("mnist", (altered.as_uri() + "/", home.as_uri() + "/"), md5)
    monkeypatch.setattr(datasets, "MNIST", source)
    np.testing.assert_array_equal(load("mnist:test").inputs, IMAGES[:, None])
    for file in home.iterdir():
        file.unlink()
    np.testing.assert_array_equal(load("mnist:test").inputs, IMAGES[:, None])  # from the cache
    monkeypatch.setattr(datasets, "MNIST", replace(source, homes=source.homes[:1]))
    with pytest.raises(InputError, match="published is"):
        load("mnist:train")
    assert sorted(p.name for p in (download.cache_folder() / "mnist").iterdir()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]


def packed(content: bytes) -> bytes:
    """Compressed without the time, which would be in the names of tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no idx file"),
        (b"hello, world, hello", "cannot be read"),
        (packed(idx_bytes(IMAGES))[:-900], "cannot be read"),
        (packed(b"\1\2\3\4" * 40), "is no idx file"),
        (packed(idx_bytes(IMAGES, element=0x0D)), "type 0x0d"),
        (packed(idx_bytes(LABELS, (7,)) + b"123456789"), "in 1 axes"),
        (packed(idx_bytes(IMAGES, (8, 28, 28))), "declares 6,272 elements but holds 5,488"),
        (packed(idx_bytes(IMAGES) + b"x"), "declares 5,488 elements but holds 5,489"),
        (packed(idx_bytes(IMAGES, (2**32 - 1, 2**32 - 1, 28))), "the limit is"),
    ],
)
def test_broken_idx_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(path, 3)


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_set(tmp_path / "data" / "mnist", labels=LABELS[:5])
    with pytest.raises(InputError, match="7 images and 5 labels"):
        load("mnist:test")


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("inputs", "labels")])
def test_own_npz(tmp_path: Path, x: str, y: str) -> None:
    path = str(tmp_path / "own.npz")
    arrays: dict[str, Any] = {x: IMAGES.astype(np.float32), y: LABELS}
    np.savez_compressed(path, **arrays)
    dataset = load(path, limit=4)
    np.testing.assert_array_equal(dataset.inputs, IMAGES[:4])
    assert dataset.inputs.dtype == np.int32
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1, 2, 3]


def test_own_npz_without_labels_keeps_its_integers(tmp_path: Path) -> None:
    path = str(tmp_path / "own.npz")
    np.savez(path, x=IMAGES.astype(np.int16) - 100)
    dataset = load(path)
    assert dataset.labels is None
    assert (dataset.inputs.dtype, int(dataset.inputs.min())) == (np.int16, int(IMAGES.min()) - 100)


def test_own_spikes_may_be_booleans(tmp_path: Path) -> None:
    path = str(tmp_path / "own.npz")
    np.savez(path, x=IMAGES > 99)
    assert load(path).inputs.dtype == np.uint8


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": IMAGES}, "holds z; an array named x or inputs"),
        ({"x": IMAGES / 255}, "not all whole"),
        ({"x": np.full((2, 2), np.nan)}, "not all whole"),
        ({"x": np.full((2, 2), 1e12)}, "not all whole"),
        ({"x": np.array([["a", "b"]])}, "not all whole"),
        ({"x": np.array([[{}, []]], object)}, "Python objects"),
        ({"x": np.zeros((0, 3), np.uint8)}, "at least one sample"),
        ({"x": LABELS}, "at least one sample"),
        ({"x": IMAGES, "y": LABELS[:3]}, r"y is uint8 of shape \(3,\)"),
        *(({"x": np.array(3, kind)}, r"x has shape \(\); at least one") for kind in ("f4", "i8", "?", "c8", "U3")),
        ({"x": IMAGES, "y": np.full(7, 2**63, np.uint64)}, "y reaches 9223372036854775808; labels are classes"),
        ({"x": IMAGES, "y": LABELS / 2}, "y is float64"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        load(str(path))


def test_missing_or_damaged_npz(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(str(tmp_path / "none.npz"))
    path = tmp_path / "own.npz"
    np.savez_compressed(path, x=IMAGES)
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            load(str(path))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    path.write_bytes(flipped)
    with pytest.raises(InputError):
        load(str(path))
