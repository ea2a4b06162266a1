"""Texts of an HDF5 file, read without the HDF5 library.

A text of variable length is a 16-byte reference (length, address of a global heap, index) to an object in that heap. The
library believes all of it: a damaged length makes it allocate 4 GiB, a damaged object size makes it loop for ever. So the
heaps are walked and the references followed here. Layout: HDF5 File Format Specification 3.0, III.E and VIII.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snncc.errors import InputError

HEAP_SIGNATURE = b"GCOL\x01\x00\x00\x00"
HEAP_HEADER = 16
"""Bytes before the first object of a global heap, and before the data of each object."""
REFERENCE = 16
MAX_TEXT = 65_536
"""Bytes of one text: a name, a type, a version."""

Content = bytes | mmap.mmap


class TextHeaps:
    """Where the texts of a file lie: (heap address, index) to (place, length) in ``content``."""

    def __init__(self, where: str, content: Content) -> None:
        self.where = where
        self.content = content
        self.objects: dict[tuple[int, int], tuple[int, int]] = {}
        start = content.find(HEAP_SIGNATURE)
        while start >= 0:
            self._walk(start)
            start = content.find(HEAP_SIGNATURE, start + 1)

    def _walk(self, start: int) -> None:
        """Note the objects of the heap at byte ``start``, each of which must lead forward and end inside."""
        size = self._whole(start + 8, 8)
        place, end = start + HEAP_HEADER, min(start + size, len(self.content))
        while place + HEAP_HEADER <= end:
            index, length = self._whole(place, 2), self._whole(place + 8, 8)
            step = HEAP_HEADER + (length + 7) // 8 * 8 if index else length
            if step < HEAP_HEADER or place + step > end:
                raise InputError(
                    f"{self.where}: the HDF5 file is damaged (heap object at byte {place}); export it again"
                )
            if index:
                self.objects[start, index] = (place + HEAP_HEADER, length)
            place += step

    def _whole(self, place: int, size: int) -> int:
        return int.from_bytes(self.content[place : place + size], "little")

    def texts(self, place: str, dataset: Any) -> list[str]:
        """All texts of a data set of variable-length texts, in order. Raises :class:`InputError` where one is damaged."""
        offset = dataset.id.get_offset()
        if offset is None:
            raise InputError(
                f"{self.where}: {place} is stored in chunks; texts must lie in one piece: export with nir.write"
            )
        return [self._text(place, offset + REFERENCE * i) for i in range(int(dataset.size))]

    def _text(self, place: str, at: int) -> str:
        length, heap, index = self._whole(at, 4), self._whole(at + 4, 8), self._whole(at + 12, 4)
        start, size = self.objects.get((heap, index), (0, 0))
        if length > size or length > MAX_TEXT:
            raise InputError(
                f"{self.where}: {place} refers to a text of {length} bytes that is not there; export it again"
            )
        try:
            return bytes(self.content[start : start + length]).split(b"\0")[0].decode("utf8")
        except UnicodeDecodeError:
            raise InputError(f"{self.where}: {place} is no UTF-8 text; export it again") from None


@contextmanager
def text_heaps(path: Path, limit: int) -> Iterator[TextHeaps]:
    """The heaps of the file at ``path``, which may have ``limit`` bytes at most."""
    size = path.stat().st_size
    if size > limit:
        raise InputError(f"{path.name}: has {size:,} bytes; the limit is {limit:,}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield TextHeaps(path.name, content)
