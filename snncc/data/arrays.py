"""Reader of a user's own data: an ``.npz`` file with ``x`` (or ``inputs``) and, where known, ``y`` (or ``labels``)."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from snncc.errors import InputError

MAX_BYTES = 1 << 32  # of one array; larger sets do not fit the interpreters' memory
INPUT_KEYS = ("x", "inputs")
LABEL_KEYS = ("y", "labels")


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs (N, …) as integers and labels (N,) int64 or None, from an ``.npz``; pickled objects are refused and sizes
    are checked before memory is taken. Raises :class:`InputError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            inputs = _whole_numbers(path, _member(path, archive, INPUT_KEYS, required=True))
            labels = _member(path, archive, LABEL_KEYS, required=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as .npz ({error})") from error
    if inputs.ndim < 2 or len(inputs) == 0:
        raise InputError(f"{path}: x has shape {inputs.shape}; at least one sample on a first axis is needed")
    if labels is None:
        return inputs, None
    if labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; whole numbers of shape {inputs.shape[:1]} are needed"
        )
    return inputs, labels.astype(np.int64)


def _member(path: Path, archive: zipfile.ZipFile, keys: tuple[str, ...], required: bool) -> np.ndarray | None:
    """The array stored under the first of ``keys`` that is there, or None."""
    names = archive.namelist()
    name = next((f"{key}.npy" for key in keys if f"{key}.npy" in names), None)
    if name is None:
        if required:
            raise InputError(f"{path}: holds {', '.join(names) or 'nothing'}; an array named {' or '.join(keys)} is needed")
        return None
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise InputError(f"{path}: {name} holds Python objects, which are never loaded; store numbers")
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_BYTES or archive.getinfo(name).file_size < size:
        stored = archive.getinfo(name).file_size
        raise InputError(f"{path}: {name} declares {size:,} bytes and stores {stored:,}; the limit is {MAX_BYTES:,}")
    with archive.open(name) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _whole_numbers(path: Path, array: np.ndarray | None) -> np.ndarray:
    assert array is not None  # required above
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and np.all(np.isfinite(array)) and np.array_equal(array, np.round(array)):
        return array.astype(np.int32)
    raise InputError(
        f"{path}: x is {array.dtype} and not all whole numbers; store the integers (such as 0..255 pixels) "
        "which the network's input scale turns into values"
    )
