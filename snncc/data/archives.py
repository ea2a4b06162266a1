"""Archives: the size of a ZIP directory, and gzipped tar archives read into memory. No size that they declare is trusted,
and nothing is ever unpacked to disk."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from snncc.errors import InputError

MAX_DIRECTORY_BYTES = 1 << 22
"""Of a ZIP archive; an entry takes 46 bytes or more there, and several hundred in memory."""


def check_directory(where: str, stream: IO[bytes]) -> None:
    """Raise :class:`InputError` where a ZIP archive's directory is too large to be read. The end record lies in the last
    64 KiB and declares the directory's size, in ZIP64 a record before it does (PKWARE APPNOTE 4.3.14 to 4.3.16)."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 22 - 76))
    tail = stream.read()
    stream.seek(0)
    declared = [0]
    for mark, form, place in ((b"PK\x05\x06", "<I", 12), (b"PK\x06\x06", "<Q", 40)):
        at = tail.rfind(mark)
        if at >= 0 and at + place + struct.calcsize(form) <= len(tail):
            declared.append(struct.unpack_from(form, tail, at + place)[0])
    found = max(n for n in declared if n != 0xFFFFFFFF)
    if found > MAX_DIRECTORY_BYTES:
        raise InputError(f"{where}: its directory has {found:,} bytes; the limit is {MAX_DIRECTORY_BYTES:,}")


def read_gzip(path: Path, limit: int) -> bytes:
    """The unpacked bytes. Raises :class:`InputError` where the file is missing or damaged or unpacks to over ``limit``."""
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file again") from error
    if len(content) > limit:
        raise InputError(f"{path}: unpacks to over {limit:,} bytes, the limit; it is not the file it should be")
    return content


def tar_members(path: Path, limit: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """(name, read) of every plain file in a ``.tar.gz`` that unpacks to ``limit`` bytes or less. Raises :class:`InputError`."""
    content = io.BytesIO(read_gzip(path, limit))
    try:
        with tarfile.open(fileobj=content, mode="r:") as archive:
            for member in archive:
                if member.isreg() and not member.sparse:
                    yield member.name, partial(_member, path, archive, member)
    except (OSError, EOFError, ValueError, tarfile.TarError) as error:
        raise InputError(f"{path}: is no intact tar archive ({error}); get the file again") from error


def _member(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        stream = archive.extractfile(member)
        return b"" if stream is None else stream.read()
    except (OSError, ValueError, tarfile.TarError) as error:
        raise InputError(f"{path}: {member.name[:80]} cannot be read ({error}); get the file again") from error
