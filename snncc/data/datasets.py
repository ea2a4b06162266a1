"""``load(name)``: every data set the command line knows, and a user's own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from snncc.data.arrays import read_npz
from snncc.data.cifar import cifar10
from snncc.data.dataset import Dataset, Reader, Request, need_no_options, parse_request
from snncc.data.download import FASHION_MNIST, MNIST, Source, find_file
from snncc.data.ecg import ecg
from snncc.data.event_sets import event_file, nmnist, nmnist_small
from snncc.data.idx import read_idx
from snncc.errors import InputError

DEMO_FILE = Path(__file__).parent / "mnist_demo.npz"
EVENT_SUFFIXES = (".bs2", ".bin", ".npy")


def known_names() -> tuple[str, ...]:
    """The names :func:`load` knows, besides paths of files."""
    return tuple(_READERS)


def load(name: str, limit: int | None = None, time_steps: int | None = None) -> Dataset:
    """The data set ``name``, its first ``limit`` samples (all, if None).

    ``name`` is one of :func:`known_names`, or the path of an ``.npz`` with ``x`` and, where known, ``y``, or of a file of
    events (``.bs2``, ``.bin``; ``.npy`` and ``.npz`` with structured arrays) with its sensor: ``own.npz?sensor=34x34``.
    Events become frames: as many as ``?steps=20`` says, else ``time_steps``, which are the network's.
    :data:`snncc.data.dataset.OPTIONS` lists what may follow the ``?``. Raises :class:`InputError` where the name is unknown
    or the data cannot be had.
    """
    request = parse_request(name, limit, time_steps)
    suffix = Path(request.name).suffix
    if request.name in _READERS:
        dataset = _READERS[request.name](request)
    elif suffix in EVENT_SUFFIXES or (suffix == ".npz" and "sensor" in request.given):
        dataset = event_file(request)
    elif suffix == ".npz":
        dataset = _own(request)
    else:
        raise InputError(
            f"{request.name}: is no known data set; known are {', '.join(_READERS)}, or the path of an .npz file "
            f"or of a file of events ({', '.join(EVENT_SUFFIXES)})"
        )
    if limit is None or limit >= len(dataset):
        return dataset
    labels = None if dataset.labels is None else dataset.labels[:limit]
    classes = None if dataset.step_labels is None else dataset.step_labels[:limit]
    description = f"the first {limit:,} of {dataset.description}"
    return replace(dataset, inputs=dataset.inputs[:limit], labels=labels, description=description, step_labels=classes)


def _own(request: Request) -> Dataset:
    need_no_options(request)
    inputs, labels = read_npz(Path(request.name))
    text = f"{len(inputs):,} samples of a user's file"
    if labels is not None and labels.ndim == 2:
        return Dataset(request.name, inputs, None, text, labels)
    return Dataset(request.name, inputs, labels, text)


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


def _plain(read: Callable[[], Dataset]) -> Reader:
    """A reader of a set without options."""

    def reader(request: Request) -> Dataset:
        need_no_options(request)
        return read()

    return reader


_READERS: dict[str, Reader] = {
    "mnist:train": _plain(lambda: _idx_set(MNIST, "train", "60,000 MNIST training images, 28×28 grey")),
    "mnist:test": _plain(lambda: _idx_set(MNIST, "test", "10,000 MNIST test images, 28×28 grey")),
    "mnist:demo": _plain(_demo),
    "fashion-mnist:train": _plain(
        lambda: _idx_set(FASHION_MNIST, "train", "60,000 Fashion-MNIST training images, 28×28 grey")
    ),
    "fashion-mnist:test": _plain(
        lambda: _idx_set(FASHION_MNIST, "test", "10,000 Fashion-MNIST test images, 28×28 grey")
    ),
    **{f"cifar10:{part}": partial(cifar10, part) for part in ("train", "train45k", "heldout", "test")},
    **{f"nmnist:{part}": partial(nmnist, part) for part in ("train", "test")},
    **{f"nmnist-small:{part}": partial(nmnist_small, part) for part in ("train", "test")},
    **{f"ecg:{part}": partial(ecg, part) for part in ("train", "test")},
}
