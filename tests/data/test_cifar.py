"""CIFAR-10 in its four forms: the same images, whichever a user has; nothing else gets through."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snncc.data import cifar, download, load
from snncc.data.cifar_batches import BATCH, binary_batch, python_batch
from snncc.errors import InputError

REAL = Path(os.environ.get("SNNCC_DATA", "/nonexistent")) / "cifar10"
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (BATCH, 3, 32, 32), np.uint8)
LABELS = RANDOM.integers(0, 10, BATCH).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cifar10/ in an own data folder, without network."""
    monkeypatch.setenv("SNNCC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "CIFAR10", download.Source("cifar10", (), download.CIFAR10.md5))
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    return tmp_path / "data" / "cifar10"


def binary(shift: int = 0) -> bytes:
    return np.concatenate([LABELS[:, None], (IMAGES + np.uint8(shift)).reshape(BATCH, -1)], axis=1).tobytes()


def python(labels: Any = None, data: Any = None) -> bytes:
    """As the published ones: Python 2, protocol 2, keys and values as they are there."""
    batch = {
        "batch_label": "testing batch 1 of 1",
        "labels": LABELS.tolist() if labels is None else labels,
        "data": IMAGES.reshape(BATCH, -1) if data is None else data,
        "filenames": [f"{k}.png" for k in range(BATCH)],
    }
    return pickle.dumps(batch, protocol=2)


def python2() -> bytes:
    """The opcodes of the published files: Python 2 wrote byte strings where Python 3 writes text and a call."""
    labels = b"".join(b"K" + bytes([int(label)]) for label in LABELS)
    data = IMAGES.tobytes()
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01M\x10'M\x00\x0c\x86" + dtype
    )
    stored = b"\x89T" + len(data).to_bytes(4, "little") + data + b"tb"
    return b"\x80\x02}q\x01(U\x06labels](" + labels + b"eU\x04data" + array + stored + b"u."


def test_both_batches_hold_the_same() -> None:
    for images, labels in (
        binary_batch("b", binary()), python_batch("p", python()), python_batch("p", python2()),
    ):  # fmt: skip
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, LABELS)


def test_the_parts_of_a_complete_set(folder: Path) -> None:
    where = folder / "cifar-10-batches-bin"
    where.mkdir()
    for k in range(5):
        (where / f"data_batch_{k + 1}.bin").write_bytes(binary(k))
    (where / "test_batch.bin").write_bytes(binary(9))
    test = load("cifar10:test")
    np.testing.assert_array_equal(test.inputs, IMAGES + np.uint8(9))
    assert "all of them" in test.description
    held = load("cifar10:heldout")
    np.testing.assert_array_equal(held.inputs, IMAGES[5_000:] + np.uint8(4))
    np.testing.assert_array_equal(held.labels, LABELS[5_000:])
    some = load("cifar10:train", limit=10_001)
    assert some.inputs.shape == (10_001, 3, 32, 32)
    np.testing.assert_array_equal(some.inputs[-1], IMAGES[0] + np.uint8(1))
    assert len(load("cifar10:train45k", limit=60_000)) == 45_000
    (where / "data_batch_5.bin").unlink()
    with pytest.raises(InputError, match=r"data_batch_5\.bin: cannot be read.*not complete"):
        load("cifar10:heldout")


def test_the_published_archive(folder: Path) -> None:
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz", compresslevel=1) as archive:
        for name in ("test_batch", *(f"data_batch_{k}" for k in range(1, 6))):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            content = binary(7) if name == "test_batch" else b"short"
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    np.testing.assert_array_equal(load("cifar10:test").inputs, IMAGES + np.uint8(7))
    with pytest.raises(InputError, match=r"data_batch_1\.bin: has 5 bytes; a batch has 30,730,000"):
        load("cifar10:train", limit=1)


def write_sprites(folder: Path, numbers: tuple[int, ...], labels: int = 51_000) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (folder / "sprites").mkdir(exist_ok=True)
    for number in numbers:
        rows = (IMAGES[:1000] + np.uint8(number)).transpose(0, 2, 3, 1).reshape(1000, 1024, 3)
        image.fromarray(rows).save(folder / "sprites" / f"batch_{number:02d}.png", compress_level=1)
    np.save(folder / "sprites" / "labels.npy", np.resize(LABELS, labels))


def test_sprites(folder: Path) -> None:
    write_sprites(folder, (0, 1, 50))
    train = load("cifar10:train", limit=1_500)
    np.testing.assert_array_equal(train.inputs[1_000:], IMAGES[:500] + np.uint8(1))
    np.testing.assert_array_equal(train.labels, LABELS[:1_500])
    test = load("cifar10:test")
    np.testing.assert_array_equal(test.inputs, IMAGES[:1000] + np.uint8(50))
    assert "the first 1,000 CIFAR-10 test images of 10,000" in test.description
    np.savez(folder / cifar.SUBSET_FILE, x_nchw_uint8=IMAGES[:7], y=LABELS[:7])
    test = load("cifar10:test")
    assert (len(test), "7 CIFAR-10 test images of 10,000" in test.description) == (7, True)
    with pytest.raises(InputError, match=r"batch_45\.png: there is no such file"):
        load("cifar10:heldout")


def test_bad_sprites(folder: Path) -> None:
    write_sprites(folder, (0,), labels=999)
    with pytest.raises(InputError, match=r"labels\.npy: is uint8 of shape \(999,\)"):
        load("cifar10:train", limit=3)
    path = folder / "sprites" / "batch_00.png"
    whole = path.read_bytes()
    for cut in (0, 20, 50_000):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="is no intact PNG"):
            load("cifar10:train", limit=3)
    from PIL import Image

    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    with pytest.raises(InputError, match=r"is \(4, 4\) RGB; a sprite"):
        load("cifar10:train", limit=3)


def test_nothing_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"cifar-10-binary\.tar\.gz.*SNNCC_DATA"):
        load("cifar10:test")
    with pytest.raises(InputError, match="no events to bin; leave out steps"):
        load("cifar10:test?steps=3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no CIFAR-10 batch"),
        (python()[:-300], "is no CIFAR-10 batch"),
        (python(labels=[3]), "1 labels and 30,720,000 bytes"),
        (python(labels=[10] * BATCH), "not all in 0..9"),
        (python(data=IMAGES[:3]), "9,216 bytes"),
        (pickle.dumps({"data": 1}, protocol=4), "protocol 4"),
        (pickle.dumps([os.system], protocol=2), r"it names posix\.system"),
        (b"\x80\x02(" + b"]" * 1_000_000 + b"l.", "over 200,000 steps"),
        (pickle.dumps([3], protocol=2), "is no CIFAR-10 batch"),
    ],
)
def test_bad_python_batches(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        python_batch("batch", content)


def test_a_batch_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    with pytest.raises(InputError, match="it names"):
        python_batch("batch", pickle.dumps({"labels": Hostile()}, protocol=2))
    for line in (b"cnumpy\nsave\n.", b"cnumpy.lib.npyio\nload\n.", b"cos\nsystem\n(S'true'\ntR."):
        with pytest.raises(InputError, match="it names"):
            python_batch("batch", line)
    assert not marker.exists()


@pytest.mark.skipif(not (REAL / "sprites").is_dir(), reason="no CIFAR-10 sprites under SNNCC_DATA")
def test_the_real_sprites() -> None:
    test, held = load("cifar10:test"), load("cifar10:heldout")
    assert test.inputs.shape == (1_900, 3, 32, 32)
    assert "1,900 CIFAR-10 test images of 10,000" in test.description
    assert held.inputs.shape == (5_000, 3, 32, 32)
    assert held.labels is not None and test.labels is not None
    assert test.labels[:8].tolist() == [3, 8, 8, 0, 6, 6, 1, 6]
    np.testing.assert_array_equal(test.inputs[:1_000], cifar.read_sprite(REAL / "sprites" / "batch_50.png"))
    train = load("cifar10:train", limit=2)
    assert train.labels is not None and train.labels.tolist() == [6, 9]  # a frog and a truck, as published
