"""Reader of gzipped idx files, the format of MNIST and its drop-in replacements.

A file is two zero bytes, one byte of element type (0x08: unsigned byte), one byte of rank, then the extents as
big-endian 32-bit integers, then the elements in row-major order (Y. LeCun, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from snncc.errors import InputError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 28  # five times the largest MNIST file; what is bigger is not one of these sets


def read_idx(path: Path, rank: int) -> np.ndarray:
    """The uint8 array of ``rank`` axes in a gzipped idx file; sizes are checked before memory is taken.

    Raises :class:`InputError` naming the file where it is missing, damaged, of another kind, or too large.
    """
    try:
        with gzip.open(path, "rb") as stream:
            header = stream.read(4 + 4 * rank)
            if len(header) < 4 + 4 * rank or header[:2] != b"\0\0":
                raise InputError(f"{path}: is no idx file (it starts with {header[:4].hex() or 'nothing'})")
            if header[2] != UNSIGNED_BYTE or header[3] != rank:
                raise InputError(
                    f"{path}: holds elements of type 0x{header[2]:02x} in {header[3]} axes; "
                    f"unsigned bytes (0x08) in {rank} axes are needed"
                )
            extents = tuple(int(n) for n in np.frombuffer(header, ">u4", rank, 4))
            size = math.prod(extents)
            if size > MAX_BYTES:
                raise InputError(f"{path}: declares {extents}, {size:,} bytes; the limit is {MAX_BYTES:,}")
            content = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file again") from error
    if len(content) != size:
        raise InputError(f"{path}: declares {size:,} elements but holds {len(content):,} or more; get the file again")
    return np.frombuffer(content, np.uint8).reshape(extents).copy()
