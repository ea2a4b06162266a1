"""The two published forms of a CIFAR-10 batch (A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009).

Binary: per image one byte of label and 3,072 bytes, channel first. Python: a pickle of a dictionary with the images as a
NumPy array and the labels as a list. A pickle can call anything, so this one is read with stand-ins: the two classes and the
one function that such a file names become plain records here, every other name is refused, and nothing is called.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from snncc.errors import InputError

SHAPE = (3, 32, 32)
IMAGE_BYTES = 3 * 32 * 32
BATCH = 10_000
MAX_OPERATIONS = 200_000  # the published files have some 40,000
MAX_PROTOCOL = 2  # the published files'; later protocols allocate what they declare


def binary_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) uint8 and labels (n,) int64 of a binary batch. Raises :class:`InputError` naming ``where``."""
    if len(content) != BATCH * (IMAGE_BYTES + 1):
        raise InputError(
            f"{where}: has {len(content):,} bytes; a batch has {BATCH * (IMAGE_BYTES + 1):,}; get it again"
        )
    rows = np.frombuffer(content, np.uint8).reshape(BATCH, IMAGE_BYTES + 1)
    return rows[:, 1:].reshape(BATCH, *SHAPE), _labels(where, rows[:, 0])


def python_batch(where: str, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The same of a Python batch."""
    try:
        for number, (code, _, _) in enumerate(pickletools.genops(content)):
            if number > MAX_OPERATIONS:
                raise ValueError(f"it takes over {MAX_OPERATIONS:,} steps")
            if code.proto > MAX_PROTOCOL:
                raise ValueError(f"it uses {code.name} of protocol {code.proto}")
        batch = _Reader(io.BytesIO(content), encoding="latin1").load()
        images, labels = batch["data"].raw, batch["labels"]
        if not isinstance(labels, list) or len(labels) != BATCH or len(images) != BATCH * IMAGE_BYTES:
            raise ValueError(f"it has {len(labels):,} labels and {len(images):,} bytes of images")
        if not all(type(label) is int and 0 <= label <= 9 for label in labels):
            raise ValueError("its labels are not all in 0..9")
    except Exception as error:  # whatever a damaged pickle provokes
        raise InputError(f"{where}: is no CIFAR-10 batch ({str(error)[:200]}); get the file again") from error
    return np.frombuffer(images, np.uint8).reshape(BATCH, *SHAPE), np.array(labels, np.int64)


def _labels(where: str, labels: np.ndarray) -> np.ndarray:
    if labels.max() > 9:
        raise InputError(f"{where}: holds the label {labels.max()}; CIFAR-10 has 0..9")
    return labels.astype(np.int64)


class _Type:
    """Stands for ``numpy.dtype``; takes no part."""

    def __init__(self, *arguments: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


class _Array:
    """Stands for ``numpy.ndarray``; keeps the bytes."""

    raw: bytes

    def __setstate__(self, state: Any) -> None:
        raw = state[4]
        self.raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw if isinstance(raw, bytes) else b"")


def _make(*arguments: object) -> _Array:
    """Stands for ``_reconstruct``."""
    return _Array()


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for ``_codecs.encode``."""
    return text.encode("latin1")


class _Reader(pickle._Unpickler):  # the Python one: a huge memo index costs it nothing
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for what a batch names."""
        known = {"_reconstruct": _make, "ndarray": _Array, "dtype": _Type}
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in protocol 2
            return _latin1
        if module.split(".")[0] != "numpy" or name not in known:
            raise ValueError(f"it names {module[:40]}.{name[:40]}")
        return known[name]
