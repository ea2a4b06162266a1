"""``load(name)``: every data set the command line knows, and a user's own ``.npz`` files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snncc.data.arrays import read_npz
from snncc.data.download import FASHION_MNIST, MNIST, Source, find_file
from snncc.data.idx import read_idx
from snncc.errors import InputError

DEMO_FILE = Path(__file__).parent / "mnist_demo.npz"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to run a network on.

    Attributes:
        name: what was asked for.
        inputs: (N, C, H, W) uint8 for images; a user's own file may hold other integers and shapes (N, …).
        labels: (N,) int64, or None where a user's file has none.
        description: one line on what they are.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray | None
    description: str

    def __len__(self) -> int:
        return len(self.inputs)


def known_names() -> tuple[str, ...]:
    """The names :func:`load` knows, besides paths of ``.npz`` files."""
    return tuple(_READERS)


def load(name: str, limit: int | None = None) -> Dataset:
    """The data set ``name``, its first ``limit`` samples (all, if None).

    ``name`` is one of :func:`known_names` or the path of an ``.npz`` with ``x`` and, where known, ``y``.
    Raises :class:`InputError` where the name is unknown or the data cannot be had.
    """
    if limit is not None and limit < 1:
        raise InputError(f"{name}: a limit of {limit} samples leaves nothing; give 1 or more")
    if name in _READERS:
        dataset = _READERS[name]()
    elif name.endswith(".npz"):
        inputs, labels = read_npz(Path(name))
        dataset = Dataset(name, inputs, labels, f"{len(inputs):,} samples of a user's file")
    else:
        raise InputError(f"{name}: is no known data set; known are {', '.join(_READERS)}, or the path of an .npz file")
    if limit is None or limit >= len(dataset):
        return dataset
    labels = None if dataset.labels is None else dataset.labels[:limit]
    description = f"the first {limit:,} of {dataset.description}"
    return replace(dataset, inputs=dataset.inputs[:limit], labels=labels, description=description)


def _idx_set(source: Source, part: str, description: str) -> Dataset:
    prefix = {"train": "train", "test": "t10k"}[part]
    images = read_idx(find_file(source, f"{prefix}-images-idx3-ubyte.gz"), rank=3)
    labels = read_idx(find_file(source, f"{prefix}-labels-idx1-ubyte.gz"), rank=1)
    name = f"{source.name}:{part}"
    if len(images) != len(labels) or len(images) == 0:
        raise InputError(f"{name}: has {len(images)} images and {len(labels)} labels; get the files again")
    return Dataset(name, images[:, None], labels.astype(np.int64), description)


def _demo() -> Dataset:
    inputs, labels = read_npz(DEMO_FILE)
    return Dataset("mnist:demo", inputs, labels, "1,000 MNIST test images (the first of the set), bundled with snncc")


_READERS: dict[str, Callable[[], Dataset]] = {
    "mnist:train": lambda: _idx_set(MNIST, "train", "60,000 MNIST training images, 28×28 grey"),
    "mnist:test": lambda: _idx_set(MNIST, "test", "10,000 MNIST test images, 28×28 grey"),
    "mnist:demo": _demo,
    "fashion-mnist:train": lambda: _idx_set(FASHION_MNIST, "train", "60,000 Fashion-MNIST training images, 28×28 grey"),
    "fashion-mnist:test": lambda: _idx_set(FASHION_MNIST, "test", "10,000 Fashion-MNIST test images, 28×28 grey"),
}
