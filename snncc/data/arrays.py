"""Reader of a user's own data: an ``.npz`` file with ``x`` (or ``inputs``) and, where known, ``y`` (or ``labels``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snncc.errors import InputError
from snncc.files import MAX_UNPACKED_BYTES, load_arrays

INPUT_KEYS = ("x", "inputs")
BLOCK = 1 << 20  # elements checked at a time
LABEL_KEYS = ("y", "labels")


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs (N, …) as integers and labels int64, (N,) or, one a step, (N, T), or None. Raises :class:`InputError`."""
    arrays = load_arrays(path)
    found = _first(arrays, INPUT_KEYS)
    if found is None:
        events = next((key for key, array in arrays.items() if array.dtype.names), None)
        hint = f"; {events} looks like events: say {path}?sensor=WIDTHxHEIGHT" if events else ""
        raise InputError(f"{path}: holds {_names(arrays)}; an array named {' or '.join(INPUT_KEYS)} is needed{hint}")
    if found.ndim < 2 or found.size == 0:
        raise InputError(f"{path}: x has shape {found.shape}; at least one sample on a first axis is needed")
    inputs = _whole_numbers(path, found)
    return inputs, labels_of(path, arrays, len(inputs), inputs.shape[1])


def labels_of(
    path: Path, arrays: Mapping[str, np.ndarray], samples: int, steps: int | None = None
) -> np.ndarray | None:
    """Labels int64, (N,) of a file with ``samples`` samples, or (N, T) where they have ``steps``, or None.
    Raises :class:`InputError`."""
    labels = _first(arrays, LABEL_KEYS)
    if labels is None:
        return None
    each_step = steps is not None and labels.shape == (samples, steps)
    if not (labels.shape == (samples,) or each_step) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: y is {labels.dtype} of shape {labels.shape}; whole numbers of shape {(samples,)} are needed"
        )
    if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{path}: y reaches {labels.max()}; labels are classes, numbered from 0 on")
    return labels.astype(np.int64)


def read_structured(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(structured arrays, other arrays) of an ``.npy`` or ``.npz`` by name, in the file's order. Raises :class:`InputError`."""
    arrays = _read_npy(path) if path.suffix == ".npy" else load_arrays(path)
    structured = {key: array for key, array in arrays.items() if array.dtype.names}
    if not structured:
        raise InputError(f"{path}: holds no structured array with fields x, y, t, p (it has {_names(arrays)})")
    return structured, {key: array for key, array in arrays.items() if not array.dtype.names}


def _read_npy(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.stat().st_size > MAX_UNPACKED_BYTES:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes; the limit is {MAX_UNPACKED_BYTES:,}")
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # a map: a claimed size is checked against the file
        return {"events": np.array(mapped)}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except InputError:
        raise
    except Exception as error:  # whatever a damaged header provokes
        raise InputError(f"{path}: is no intact .npy file of plain values ({str(error)[:200]})") from error


def _names(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(name[:80] for name in list(arrays)[:6]) or "nothing"


def _first(arrays: Mapping[str, np.ndarray], keys: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[key] for key in keys if key in arrays), None)


def _whole(values: np.ndarray) -> bool:
    return bool(np.all(np.abs(values) < 2**31)) and np.array_equal(values, np.round(values))


def _whole_numbers(path: Path, array: np.ndarray) -> np.ndarray:
    """``array`` as integers of a type that holds them; floats pass where all of them are whole 32-bit numbers."""
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and all(_whole(part) for part in np.array_split(array, -(-array.size // BLOCK) or 1)):
        return array.astype(np.int32)
    raise InputError(
        f"{path}: x is {array.dtype} and not all whole 32-bit numbers; store the integers (such as 0..255 pixels) "
        "which the network's input scale turns into values"
    )
