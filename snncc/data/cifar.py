"""CIFAR-10 in whichever form a user has it: the binary or Python batches (unpacked or as the published archive), or
sprites, PNG files of 1,000 rows each of which is one image.

The test images of a folder with sprites are those that are there without loss: ``cifar10_test_lossless_1900.npz``, else the
first 1,000 in ``batch_50.png``. The description of the data set says which images were read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from snncc.data.archives import read_plain, tar_members
from snncc.data.cifar_batches import BATCH, IMAGE_BYTES, SHAPE, binary_batch, python_batch
from snncc.data.dataset import Dataset, Request, need_no_options
from snncc.data.download import CIFAR10, find_file, folder_of
from snncc.errors import InputError
from snncc.files import load_arrays

TRAIN, TEST, HELDOUT = 50_000, 10_000, 5_000
SPRITE_ROWS = 1_000
SUBSET_FILE = "cifar10_test_lossless_1900.npz"
MAX_ARCHIVE_BYTES = 1 << 28  # unpacked; the published archives have 184 MB
MAX_SUBSET_BYTES = 1 << 26
RANGES = {
    "train": (0, TRAIN, "training images"),
    "train45k": (0, TRAIN - HELDOUT, "training images (all but the last 5,000)"),
    "heldout": (TRAIN - HELDOUT, TRAIN, "held-out images (the last of cifar10:train; train on cifar10:train45k)"),
}

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Form:
    """Where the images are: ``train(k)`` and ``test()`` give batches of ``rows`` images, (n, 3, 32, 32) uint8 and (n,) labels;
    ``kind`` names the form."""

    kind: str
    rows: int
    train: Callable[[int], Batch]
    test: Callable[[], tuple[Batch, str]]


def cifar10(part: str, request: Request) -> Dataset:
    """The images of one part, (N, 3, 32, 32) uint8. Raises :class:`InputError`."""
    need_no_options(request)
    form = _form(folder_of("cifar10"))
    if part == "test":
        (images, labels), what = form.test()
        return Dataset(request.name, images, labels, what)
    first, stop, what = RANGES[part]
    if request.limit is not None:
        stop = min(stop, first + request.limit)
    batches = [form.train(k) for k in range(first // form.rows, -(-stop // form.rows))]
    offset = first // form.rows * form.rows
    images = np.concatenate([b[0] for b in batches])[first - offset : stop - offset]
    labels = np.concatenate([b[1] for b in batches])[first - offset : stop - offset]
    return Dataset(request.name, images, labels, f"{len(images):,} CIFAR-10 {what}, 32×32 RGB")


def _form(folder: Path) -> Form:
    """The first form that the folder has; the published archive is downloaded where it has none."""
    for sub in (folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py", folder):
        if (sub / "test_batch.bin").is_file():
            return _complete("binary", partial(_from_file, sub, ".bin", binary_batch))
        if (sub / "test_batch").is_file():
            return _complete("Python", partial(_from_file, sub, "", python_batch))
    if (folder / "cifar-10-python.tar.gz").is_file():
        return _archive(folder / "cifar-10-python.tar.gz", "", python_batch)
    if (folder / "sprites").is_dir() and not (folder / "cifar-10-binary.tar.gz").is_file():
        return Form("sprites", SPRITE_ROWS, lambda k: _sprite_batch(folder, k), lambda: _sprite_test(folder))
    return _archive(find_file(CIFAR10, "cifar-10-binary.tar.gz"), ".bin", binary_batch)


def _complete(kind: str, read: Callable[[str], Batch]) -> Form:
    text = f"{TEST:,} CIFAR-10 test images (all of them), 32×32 RGB"
    return Form(kind, BATCH, lambda k: read(f"data_batch_{k + 1}"), lambda: (read("test_batch"), text))


def _from_file(folder: Path, suffix: str, reader: Callable[[str, bytes], Batch], name: str) -> Batch:
    path = folder / f"{name}{suffix}"
    about = f"; a batch of CIFAR-10 has about {BATCH * IMAGE_BYTES:,}"
    return reader(str(path), read_plain(path, BATCH * (IMAGE_BYTES + 200), about, "; the set is not complete"))


def _archive(path: Path, suffix: str, reader: Callable[[str, bytes], Batch]) -> Form:
    wanted = {f"{name}{suffix}" for name in ("test_batch", *(f"data_batch_{k}" for k in range(1, 6)))}
    found = {
        short: content()
        for name, content in tar_members(path, MAX_ARCHIVE_BYTES)
        if (short := name.rpartition("/")[2]) in wanted
    }
    if len(found) != len(wanted):
        raise InputError(f"{path}: has no {min(wanted - set(found))}; get the file again")
    return _complete("archive", lambda name: reader(f"{path}, {name}{suffix}", found[name + suffix]))


def _sprite_batch(folder: Path, number: int) -> Batch:
    images = read_sprite(folder / "sprites" / f"batch_{number:02d}.png")
    path = folder / "sprites" / "labels.npy"
    try:
        labels = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever a damaged header provokes
        raise InputError(f"{path}: cannot be read ({str(error)[:200]}); get the file again") from error
    if labels.ndim != 1 or labels.dtype != np.uint8 or len(labels) < SPRITE_ROWS * (number + 1):
        raise InputError(f"{path}: is {labels.dtype} of shape {labels.shape}; uint8 (51000,) is needed")
    return images, _checked(path, np.array(labels[SPRITE_ROWS * number : SPRITE_ROWS * (number + 1)]))


def _sprite_test(folder: Path) -> tuple[Batch, str]:
    path = folder / SUBSET_FILE
    if not path.is_file():
        return _sprite_batch(folder, TRAIN // SPRITE_ROWS), "the first 1,000 CIFAR-10 test images of 10,000, 32×32 RGB"
    arrays = load_arrays(path, MAX_SUBSET_BYTES)
    images, labels = arrays.get("x_nchw_uint8"), arrays.get("y")
    if images is None or labels is None or images.dtype != np.uint8 or images.shape[1:] != SHAPE or not len(images):
        found = ", ".join(name[:80] for name in list(arrays)[:6])
        raise InputError(f"{path}: has {found}; x_nchw_uint8 (N, 3, 32, 32) uint8 and y (N,) are needed")
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; whole numbers ({len(images)},) are needed"
        )
    text = f"{len(images):,} CIFAR-10 test images of 10,000 (those at hand without loss), 32×32 RGB"
    return (images, _checked(path, labels)), text


def _checked(path: Path, labels: np.ndarray) -> np.ndarray:
    if labels.min() < 0 or labels.max() > 9:
        raise InputError(f"{path}: holds labels {labels.min()}..{labels.max()}; CIFAR-10 has 0..9")
    return labels.astype(np.int64)


def read_sprite(path: Path) -> np.ndarray:
    """(1000, 3, 32, 32) uint8 of one PNG whose rows are images. Raises :class:`InputError`; needs Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(f"{path}: reading PNG files needs Pillow: pip install 'snncc[images]'") from error
    size = (SHAPE[1] * SHAPE[2], SPRITE_ROWS)
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size != size or image.mode != "RGB":
                raise InputError(f"{path}: is {image.size} {image.mode}; a sprite of CIFAR-10 is {size} RGB")
            pixels = np.asarray(image)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; the set is not complete") from None
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file provokes in Pillow
        raise InputError(f"{path}: is no intact PNG ({str(error)[:200]}); get the file again") from error
    return np.ascontiguousarray(pixels.reshape(SPRITE_ROWS, *SHAPE[1:], 3).transpose(0, 3, 1, 2))
