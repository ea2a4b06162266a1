"""Damaged files of data: a message or data, never a traceback, a hang or a flood. ``SNNCC_EXAMPLES=20`` tries more files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hostile.mutations import mutate

from snncc.data import load
from snncc.data.cifar import read_sprite
from snncc.data.cifar_batches import python_batch
from snncc.data.mat import read_mat
from snncc.errors import InputError

FILES = 60 * int(os.environ.get("SNNCC_EXAMPLES", "1"))
SECONDS = 10.0
RANDOM = np.random.default_rng(0)
FIELDS = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")]
EVENTS = np.array([(x, x, 7 * x, x % 2) for x in range(30)], FIELDS)


def good(kind: str) -> bytes:
    buffer = io.BytesIO()
    x, y = np.ones((3, 5, 4), np.int16), np.ones((3, 5, 6), np.uint8)
    if kind == "png":
        image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
        image.fromarray(np.zeros((1000, 1024, 3), np.uint8)).save(buffer, format="png")
    elif kind == "npz":
        np.savez_compressed(buffer, x=RANDOM.integers(0, 256, (5, 1, 4, 4), np.uint8), y=np.arange(5))
    elif kind == "events.npz":
        np.savez(buffer, EVENTS, EVENTS, y=np.arange(2))
    elif kind == "npy":
        np.save(buffer, EVENTS)
    elif kind in ("bs2", "bin"):
        return b"".join(bytes([k, k, 0, k, k]) for k in range(30))
    elif kind == "tar.gz":
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            entry = tarfile.TarInfo("NMNISTsmall/1.bs2")
            entry.size = 150
            archive.addfile(entry, io.BytesIO(good("bs2")))
    elif kind == "tar":
        return gzip.decompress(good("tar.gz"))
    elif kind == "pickle":
        return pickle.dumps({"labels": list(range(9)), "data": np.zeros((2, 3), np.uint8)}, protocol=2)
    else:
        scipy.io.savemat(buffer, {"x": x, "y": y}, do_compression=kind == "packed.mat")
    return buffer.getvalue()


def read(kind: str, path: Path) -> Any:
    """Read a file of this kind with the reader that a user's command would reach."""
    if kind == "png":
        return read_sprite(path)
    if kind.endswith("mat"):
        return read_mat(path)
    if kind == "pickle":
        return python_batch(str(path), path.read_bytes())
    if kind in ("tar.gz", "tar"):
        if kind == "tar":
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
        return load("nmnist-small:test?steps=3")
    return load(str(path) if kind == "npz" else f"{path}?sensor=34x34&steps=3")


KINDS = ("png", "npz", "events.npz", "npy", "bs2", "bin", "tar.gz", "tar", "pickle", "mat", "packed.mat")


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path))
    folder = tmp_path / "nmnist-small"
    folder.mkdir()
    (folder / "test100.txt").write_text("1 7\n")
    path = folder / "NMNISTsmall.tar.gz" if kind.startswith("tar") else tmp_path / f"file.{kind}"
    whole, random, refused = good(kind), np.random.default_rng(1), 0
    path.write_bytes(whole)
    if kind == "pickle":
        with pytest.raises(InputError, match="9 labels and 6 bytes"):
            read(kind, path)
    else:
        read(kind, path)
    for _ in range(FILES):
        path.write_bytes(mutate(whole, random, 4_000))
        start = time.perf_counter()
        try:
            read(kind, path)
        except InputError as error:
            refused += 1
            assert path.name in str(error) or "nmnist-small" in str(error)
            assert len(str(error)) < 1_500
        assert time.perf_counter() - start < SECONDS
    assert refused > FILES // 10


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gibibyte of zeros packed into a mebibyte is refused wherever it stands."""
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path))
    folder = tmp_path / "nmnist-small"
    folder.mkdir()
    (folder / "test100.txt").write_text("1 7\n")
    with gzip.open(folder / "NMNISTsmall.tar.gz", "wb", compresslevel=1) as stream:
        for _ in range(80):
            stream.write(bytes(1 << 20))
    with pytest.raises(InputError, match="unpacks to over 67,108,864 bytes"):
        load("nmnist-small:test?steps=3")
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros((520, 1 << 20), np.uint8))
    with pytest.raises(InputError, match="the limit is 536,870,912"):
        load(str(path))
