"""Reader of a user's own data: an ``.npz`` file with ``x`` (or ``inputs``) and, where known, ``y`` (or ``labels``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snncc.errors import InputError
from snncc.files import load_arrays

INPUT_KEYS = ("x", "inputs")
LABEL_KEYS = ("y", "labels")


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs (N, …) as integers and labels (N,) int64 or None. Raises :class:`InputError`."""
    arrays = load_arrays(path)
    found = _first(arrays, INPUT_KEYS)
    if found is None:
        raise InputError(
            f"{path}: holds {', '.join(arrays) or 'nothing'}; an array named {' or '.join(INPUT_KEYS)} is needed"
        )
    inputs, labels = _whole_numbers(path, found), _first(arrays, LABEL_KEYS)
    if inputs.ndim < 2 or inputs.size == 0:
        raise InputError(f"{path}: x has shape {inputs.shape}; at least one sample on a first axis is needed")
    if labels is None:
        return inputs, None
    if labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; whole numbers of shape {inputs.shape[:1]} are needed"
        )
    return inputs, labels.astype(np.int64)


def _first(arrays: Mapping[str, np.ndarray], keys: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[key] for key in keys if key in arrays), None)


def _whole_numbers(path: Path, array: np.ndarray) -> np.ndarray:
    """``array`` as integers of a type that holds them; floats pass where all of them are whole 32-bit numbers."""
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and np.all(np.abs(array) < 2**31) and np.array_equal(array, np.round(array)):
        return array.astype(np.int32)
    raise InputError(
        f"{path}: x is {array.dtype} and not all whole 32-bit numbers; store the integers (such as 0..255 pixels) "
        "which the network's input scale turns into values"
    )
