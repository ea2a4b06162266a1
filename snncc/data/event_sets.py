"""N-MNIST, whole or SLAYER's small excerpt, and a user's own files of events, binned to frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from snncc.data.archives import tar_members
from snncc.data.dataset import Dataset, Request
from snncc.data.download import DATA_VARIABLE, folder_of
from snncc.data.events import (
    Events,
    Shape,
    check_total,
    frames,
    from_structured,
    read_address_events,
    read_recording,
)
from snncc.errors import InputError

NMNIST_SENSOR: Shape = (34, 34, 2)
SMALL_LISTS = {"train": "train1K.txt", "test": "test100.txt"}
SMALL_ARCHIVE = "NMNISTsmall.tar.gz"
MAX_LIST_BYTES = 1 << 20
MAX_ARCHIVE_BYTES = 1 << 26  # unpacked; the excerpt has 27 MB

Sample = tuple[str, Events]


def nmnist(part: str, request: Request) -> Dataset:
    """The complete N-MNIST: ``$SNNCC_DATA/nmnist/Train|Test/<digit>/<number>.bin``, in the order of their numbers."""
    folder = folder_of("nmnist") / part.capitalize()
    files = sorted((f for f in folder.glob("[0-9]/*.bin")), key=lambda f: (f.stem.zfill(9), f.parent.name))
    if not files:
        raise InputError(
            f"{request.name}: there are no files {folder}/<digit>/<number>.bin; put N-MNIST's folders Train and Test into a "
            f"folder nmnist/ and point {DATA_VARIABLE} at its parent (the small excerpt is nmnist-small:{part})"
        )
    files = files[: request.limit]
    labels = np.array([int(f.parent.name) for f in files], np.int64)
    check_total(request, len(files), NMNIST_SENSOR)
    return _dataset(request, ((str(f), read_recording(f)) for f in files), labels, NMNIST_SENSOR, "N-MNIST recordings")


def nmnist_small(part: str, request: Request) -> Dataset:
    """SLAYER's excerpt of N-MNIST: 1,000 training and 100 test recordings, in a ``.tar.gz`` or unpacked beside the lists."""
    folder = folder_of("nmnist-small")
    entries = _sample_list(request, folder / SMALL_LISTS[part])[: request.limit]
    check_total(request, len(entries), NMNIST_SENSOR)
    names = [f"{number}.bs2" for number, _ in entries]
    unpacked = next((d for d in (folder / "NMNISTsmall", folder) if (d / names[0]).is_file()), None)
    if unpacked is not None:
        samples: Iterable[Sample] = ((str(unpacked / n), read_recording(unpacked / n)) for n in names)
    else:
        samples = _from_archive(folder / SMALL_ARCHIVE, names)
    labels = np.array([label for _, label in entries], np.int64)
    return _dataset(request, samples, labels, NMNIST_SENSOR, f"N-MNIST recordings ({part} part of the small excerpt)")


def event_file(request: Request) -> Dataset:
    """A user's file: ``.bs2``/``.bin`` is one recording; ``.npy``/``.npz`` hold one structured array (x, y, t, p) a recording,
    an ``.npz`` also labels ``y`` where known. The sensor must be said (``?sensor=34x34x2``)."""
    from snncc.data.arrays import labels_of, read_structured

    if request.sensor is None:
        raise InputError(
            f"{request.name}: a file of events does not say how large its sensor is; say so: {request.name}?sensor=34x34x2"
        )
    path = Path(request.name)
    if path.suffix in (".npy", ".npz"):
        arrays, rest = read_structured(path)
        count, labels = len(arrays), labels_of(path, rest, len(arrays))
        recordings: Iterable[Sample] = (
            (f"{path}, {key}", from_structured(f"{path}, {key}", a)) for key, a in arrays.items()
        )
    else:
        count, labels, recordings = 1, None, ((str(p), read_recording(p)) for p in (path,))
    if request.limit is not None:
        count, recordings = min(count, request.limit), islice(recordings, request.limit)
        labels = None if labels is None else labels[:count]
    check_total(request, count, request.sensor)
    return _dataset(request, recordings, labels, request.sensor, "recordings of a user's file")


def _dataset(
    request: Request, samples: Iterable[Sample], labels: np.ndarray | None, sensor: Shape, what: str
) -> Dataset:
    shown = [frames(where, events, request, sensor) for where, events in samples]
    steps, width, height = request.steps, sensor[0], sensor[1]
    binned = f"in {steps} equal parts" if request.bin is None else f"in {steps} frames of {request.bin:,}"
    text = f"{len(shown):,} {what}, {width}×{height}, {binned}, {request.values}"
    return Dataset(request.name, np.stack(shown), labels, text)


def _sample_list(request: Request, path: Path) -> list[tuple[int, int]]:
    """(number, label) of every line; lines that start with # are comments."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes; the limit is {MAX_LIST_BYTES:,}")
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{request.name}: {path} cannot be read ({error}); put {SMALL_ARCHIVE}, train1K.txt and test100.txt into a folder "
            f"nmnist-small/ and point {DATA_VARIABLE} at its parent"
        ) from error
    entries: list[tuple[int, int]] = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != 2 or not all(f.isdigit() and len(f) < 8 for f in fields) or int(fields[1]) > 9:
            raise InputError(f"{path}: line {number} is {line[:40]!r}; a sample number and a digit are needed")
        entries.append((int(fields[0]), int(fields[1])))
    if not entries:
        raise InputError(f"{path}: lists no samples; get the file again")
    return entries


def _from_archive(path: Path, names: list[str]) -> list[Sample]:
    """The recordings of these names, in this order; nothing is written, and sizes are checked before anything is read."""
    wanted, found = set(names), dict[str, Events]()
    for name, content in tar_members(path, MAX_ARCHIVE_BYTES):
        short = name.rpartition("/")[2]
        if short in wanted and short not in found:
            found[short] = read_address_events(f"{path}, {short}", content())
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"{path}: has no {missing[0]} ({len(missing)} of {len(names)} recordings are missing); get it again"
        )
    return [(f"{path}, {name}", found[name]) for name in names]
