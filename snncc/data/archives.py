"""Gzipped tar archives, read into memory. No size that they declare is trusted, and nothing is ever unpacked to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from snncc.errors import InputError


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


def read_plain(path: Path, limit: int, too_large: str = ", the limit", unread: str = "") -> bytes:
    """The bytes of a file. Raises :class:`InputError` where it has over ``limit`` or cannot be read; ``too_large`` and
    ``unread`` end the messages."""
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}){unread}") from error
    if len(content) > limit:
        raise InputError(f"{path}: has over {limit:,} bytes{too_large}")
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
