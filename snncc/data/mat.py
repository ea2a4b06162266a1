"""Reader of numeric arrays in MATLAB's Level 5 MAT-files, the ``.mat`` of ``save -v6`` and ``-v7``.

After a header of 128 bytes come elements: type and length, 32 bits each, then the data, padded to 8 bytes. A short element
packs length, type and up to 4 bytes of data into 8. A compressed element holds one other element (MathWorks, "MAT-File
Format", chapter 1). Only arrays of numbers are read; cells, structs, text, objects and sparse matrices are refused, and
every size is checked against the bytes there are. ``scipy.io.loadmat`` reads more kinds, but takes their sizes on trust.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snncc.data.archives import read_plain
from snncc.errors import InputError

HEADER_BYTES = 128
MAX_FILE_BYTES = 1 << 26  # a hundred times the largest file of the ECG set
MAX_UNPACKED_BYTES = 1 << 26
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
REAL_CLASSES = range(6, 16)  # double, single, and integers of 8 to 64 bits
COMPLEX = 0x0800
MAX_RANK = 8


@dataclass(frozen=True)
class Element:
    """One element: its type, its data, and where the next one starts."""

    kind: int
    data: memoryview
    end: int


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.mat`` by name, C-ordered, in the type that stores them (whole doubles may be stored as int16).
    Raises :class:`InputError` where it is missing, damaged, or holds what is
    not a numeric array."""
    content = read_plain(path, MAX_FILE_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if content[:8] == b"\x89HDF\r\n\x1a\n" or order is None or content[124:126] not in (b"\x00\x01", b"\x01\x00"):
        raise InputError(f"{path}: is no Level 5 MAT-file; save it from MATLAB with -v7, or from scipy.io.savemat")
    arrays: dict[str, np.ndarray] = {}
    try:
        whole, at, left = memoryview(content), HEADER_BYTES, MAX_UNPACKED_BYTES
        while at < len(whole):
            element = _element(whole, at, order, padded=False)
            at = element.end
            if element.kind == COMPRESSED:
                unpacked = _unpack(element.data, left)
                left -= len(unpacked)
                element = _element(memoryview(unpacked), 0, order, padded=False)
            if element.kind != MATRIX:
                raise ValueError(f"element of type {element.kind}, not a matrix")
            name, array = _matrix(element.data, order)
            arrays[name] = array
    except (ValueError, zlib.error) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); it is damaged or holds more than arrays of numbers"
        ) from error
    return arrays


def _unpack(data: memoryview, limit: int) -> bytes:
    unpacker = zlib.decompressobj()
    if limit <= 0:  # which zlib takes for no limit
        raise ValueError(f"unpacks to over {MAX_UNPACKED_BYTES:,} bytes")
    unpacked = unpacker.decompress(data, limit)
    if unpacker.unconsumed_tail or (limit <= len(unpacked) and not unpacker.eof):
        raise ValueError(f"unpacks to over {MAX_UNPACKED_BYTES:,} bytes")
    if not unpacker.eof:
        raise ValueError("a compressed element is cut short")
    return unpacked


def _element(buffer: memoryview, at: int, order: str, padded: bool = True) -> Element:
    """The element at ``at``; those inside a matrix are padded to 8 bytes."""
    if at + 8 > len(buffer):
        raise ValueError(f"an element starts {len(buffer) - at} bytes before the end")
    kind, size = (int(v) for v in np.frombuffer(buffer, order + "u4", 2, at))
    if kind >> 16:  # a short element
        short, kind = kind >> 16, kind & 0xFFFF
        if short > 4:
            raise ValueError(f"a short element of {short} bytes")
        return Element(kind, buffer[at + 4 : at + 4 + short], at + 8)
    end = at + 8 + size
    if end > len(buffer):
        raise ValueError(f"an element declares {size:,} bytes and {len(buffer) - at - 8:,} are left")
    return Element(kind, buffer[at + 8 : end], end + (-size % 8 if padded else 0))


def _matrix(data: memoryview, order: str) -> tuple[str, np.ndarray]:
    flags = _element(data, 0, order)
    extents = _element(data, flags.end, order)
    name = _element(data, extents.end, order)
    text = bytes(name.data).decode("ascii", "replace")
    if flags.kind != 6 or len(flags.data) != 8 or extents.kind != 5 or name.kind != 1:
        raise ValueError("a matrix without flags, extents and name")
    word = int(np.frombuffer(flags.data, order + "u4", 1)[0])
    if word & 0xFF not in REAL_CLASSES or word & COMPLEX:
        raise ValueError(f"{text[:40]} is no array of real numbers (class {word & 0xFF})")
    shape = tuple(int(n) for n in np.frombuffer(extents.data, order + "i4"))
    values = _element(data, name.end, order)
    if values.kind not in NUMBERS:
        raise ValueError(f"{text[:40]} stores type {values.kind}, no numbers")
    stored = np.frombuffer(values.data, order + NUMBERS[values.kind])
    if not 2 <= len(shape) <= MAX_RANK or min(shape) < 0 or math.prod(shape) != len(stored):
        raise ValueError(f"{text[:40]} declares {shape[:MAX_RANK]} and stores {len(stored):,} numbers")
    return text, np.ascontiguousarray(stored.reshape(shape, order="F"))
