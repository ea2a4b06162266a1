"""Recordings of events (x, y, time, polarity), and frames made from them.

Address events, the format of N-MNIST (``.bin``) and of SLAYER's excerpt of it (``.bs2``), take 5 bytes each: x, y, then 24
bits big-endian of which the top one is the polarity and the others the time in µs (G. Orchard et al., "Converting static
image datasets to spiking neuromorphic datasets using saccades", Frontiers in Neuroscience 9:437, 2015). An event with
y = 240 marks that the clock passed 2^13 µs more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snncc.data.dataset import Request
from snncc.errors import InputError

EVENT_BYTES = 5
OVERFLOW_ROW = 240
OVERFLOW_STEP = 1 << 13  # µs
MAX_EVENTS = 1 << 22  # of one recording; N-MNIST's longest has some ten thousand
MAX_RECORDING_BYTES = MAX_EVENTS * EVENT_BYTES
MAX_CELLS = 1 << 26  # of one recording's frames
MAX_FRAME_BYTES = 1 << 31  # of all recordings
MAX_SPAN = 1 << 42  # of time stamps, so that the arithmetic below stays within 64 bits

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Events:
    """One recording; each (n,) int64. ``time`` in the file's unit (µs for address events), ``polarity`` 0 off, 1 on."""

    x: np.ndarray
    y: np.ndarray
    time: np.ndarray
    polarity: np.ndarray


def read_address_events(where: str, content: bytes) -> Events:
    """The events in the bytes of a ``.bs2`` or ``.bin`` file. Raises :class:`InputError` naming ``where``."""
    if len(content) > MAX_RECORDING_BYTES:
        raise InputError(
            f"{where}: has {len(content):,} bytes or more; the limit of a recording is {MAX_RECORDING_BYTES:,}"
        )
    if len(content) % EVENT_BYTES:
        raise InputError(
            f"{where}: has {len(content):,} bytes, no multiple of the {EVENT_BYTES} of an event; get it again"
        )
    raw = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES)
    last = raw[:, 2:].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    marks = raw[:, 1] == OVERFLOW_ROW
    time = (last & 0x7FFFFF) + OVERFLOW_STEP * np.cumsum(marks)
    keep = ~marks
    return Events(raw[keep, 0].astype(np.int64), raw[keep, 1].astype(np.int64), time[keep], (last >> 23)[keep])


def read_recording(path: Path) -> Events:
    """The events of one ``.bs2`` or ``.bin`` file. Raises :class:`InputError`."""
    try:
        with path.open("rb") as stream:
            return read_address_events(str(path), stream.read(MAX_RECORDING_BYTES + 1))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def from_structured(where: str, array: np.ndarray) -> Events:
    """Events of a structured array with fields x, y, t, p, as tonic makes them; without y the sensor is a line.
    Polarity is 0/1, -1/1 or a boolean. Raises :class:`InputError`."""
    names = array.dtype.names or ()
    if array.ndim != 1 or not {"x", "t", "p"} <= set(names):
        raise InputError(
            f"{where}: is {array.ndim}-dimensional with fields {', '.join(names) or 'none'}; events are a list with x, y, t, p"
        )
    if len(array) > MAX_EVENTS:
        raise InputError(f"{where}: has {len(array):,} events; the limit of a recording is {MAX_EVENTS:,}")
    columns = {key: _column(where, key, array[key]) for key in ("x", "y", "t", "p") if key in names}
    polarity = columns["p"]
    if polarity.size and (polarity.min() < -1 or polarity.max() > 1):
        raise InputError(f"{where}: polarity p reaches {polarity.min()}..{polarity.max()}; it must be 0/1 or -1/1")
    y = columns.get("y", np.zeros_like(columns["x"]))
    return Events(columns["x"], y, columns["t"], (polarity > 0).astype(np.int64))


def _column(where: str, key: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise InputError(
            f"{where}: field {key} is {values.dtype}; whole numbers are needed (t in µs, x and y in pixels)"
        )
    if values.size and (int(values.min()) < -MAX_SPAN or int(values.max()) > MAX_SPAN):
        raise InputError(f"{where}: field {key} reaches {values.min()}..{values.max()}; the limit is ±{MAX_SPAN:,}")
    return values.astype(np.int64)


def frames(where: str, events: Events, request: Request, sensor: Shape) -> np.ndarray:
    """(T, P, H, W) uint8: events a cell and frame, at most 255 (or 1 with ``values=binary``).

    With ``request.bin``, frame k holds the events of times [k·bin, (k+1)·bin) after the first, and later ones are left out;
    else the recording from its first to its last event is divided into T equal parts. A sensor of one polarity merges both.
    Raises :class:`InputError` where an event lies outside the sensor or the frames are too large.
    """
    width, height, polarities = sensor
    steps = need_steps(where, request)
    cells = steps * polarities * height * width
    if cells > MAX_CELLS or polarities > 2:
        raise InputError(f"{where}: {steps} frames of {sensor} are {cells:,} cells; the limit is {MAX_CELLS:,}")
    outside = (events.x < 0) | (events.x >= width) | (events.y < 0) | (events.y >= height)
    if outside.any():
        k = int(outside.argmax())
        raise InputError(
            f"{where}: {int(outside.sum()):,} of {len(outside):,} events lie outside the sensor of {width}x{height}, the first "
            f"at ({events.x[k]}, {events.y[k]}); is it a file of another sensor?"
        )
    step = _steps_of(events.time, steps, request.bin)
    inside = step < steps
    channel = events.polarity if polarities == 2 else np.zeros_like(events.polarity)
    index = ((step * polarities + channel) * height + events.y) * width + events.x
    counts = np.bincount(index[inside], minlength=cells)
    limit = 1 if request.values == "binary" else 255
    return np.minimum(counts, limit).astype(np.uint8).reshape(steps, polarities, height, width)


def _steps_of(time: np.ndarray, steps: int, width: int | None) -> np.ndarray:
    if not time.size:
        return time
    since = time - time.min()
    if width is not None:
        return since // width
    return since * steps // (int(since.max()) + 1)


def need_steps(where: str, request: Request) -> int:
    """How many frames a recording becomes. Raises :class:`InputError` where nobody said."""
    if request.steps is None:
        raise InputError(f"{where}: events must be put into frames; say how many: {request.name}?steps=20")
    return request.steps


def check_total(request: Request, samples: int, sensor: Shape) -> None:
    """Raise :class:`InputError` where ``samples`` recordings would take too much memory as frames."""
    total = samples * need_steps(request.name, request) * sensor[0] * sensor[1] * sensor[2]
    if total > MAX_FRAME_BYTES:
        raise InputError(
            f"{request.name}: {samples:,} recordings in {request.steps} frames are {total:,} bytes; the limit is "
            f"{MAX_FRAME_BYTES:,}; take fewer samples (--limit) or fewer steps"
        )
