"""Spike-coded ECG: PhysioNet's QT database as level crossings of two leads, one class of six a step."""

from __future__ import annotations

import numpy as np

from snncc.data.dataset import Dataset, Request, need_no_options
from snncc.data.download import DATA_VARIABLE, folder_of
from snncc.data.mat import read_mat
from snncc.errors import InputError

CHANNELS, CLASSES = 4, 6


def ecg(part: str, request: Request) -> Dataset:
    """Inputs (N, T, 4) int8 in {-1, 0, 1} and ``step_labels`` (N, T) in 0..5, -1 where a step has no class.
    Raises :class:`InputError`."""
    need_no_options(request)
    path = folder_of("ecg-qtdb") / f"QTDB_{part}.mat"
    if not path.is_file():
        raise InputError(
            f"{request.name}: there is no {path}; put QTDB_train.mat and QTDB_test.mat into a folder ecg-qtdb/ and point "
            f"{DATA_VARIABLE} at its parent"
        )
    arrays = read_mat(path)
    x, y = arrays.get("x"), arrays.get("y")
    if x is None or y is None or x.ndim != 3 or y.ndim != 3 or x.shape[:2] != y.shape[:2] or x.size == 0:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise InputError(f"{path}: has {found or 'nothing'}; x (N, T, {CHANNELS}) and y (N, T, {CLASSES}) are needed")
    if x.shape[2] != CHANNELS or y.shape[2] != CLASSES:
        raise InputError(
            f"{path}: x has {x.shape[2]} channels and y {y.shape[2]} classes; {CHANNELS} and {CLASSES} are needed"
        )
    x, y = x[: request.limit], y[: request.limit]
    if not np.isin(x, (-1, 0, 1)).all() or not np.isin(y, (0, 1)).all() or (y.sum(axis=2) > 1).any():
        raise InputError(
            f"{path}: x must be -1, 0 or 1 and y one class of {CLASSES} or none a step; get the file again"
        )
    classes = np.where(y.any(axis=2), y.argmax(axis=2), -1).astype(np.int64)
    text = f"{len(x):,} ECG sequences (QTDB {part}), {x.shape[1]:,} steps × {CHANNELS} channels, a class a step"
    return Dataset(request.name, x.astype(np.int8), None, text, classes)
