"""Writing so that nothing half-written is ever seen, and reading archives without trusting their sizes."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from snncc.errors import InputError

MAX_ARCHIVE_BYTES = 4 * 2**30
"""Of an archive of our own making, unpacked."""
MAX_UNPACKED_BYTES = 1 << 29
MAX_RATIO = 16
"""Of an archive that unpacks to over :data:`MAX_UNPACKED_BYTES`: far from a bomb's 1,000."""
MAX_DIRECTORY_BYTES = 1 << 22
"""Of a ZIP archive; an entry takes 46 bytes or more there, and several hundred in memory."""
_REPLACE_ATTEMPTS = 20
_NO_FILE = "is no regular file, so it is not replaced; give a file to write"


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends without an error, and vanishes otherwise.

    A link is written through. Raises :class:`InputError` where ``path`` is a folder, a device or anything else but a file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: {_NO_FILE}")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise before hours of work, and not after them, where ``path`` cannot be written, or the folders made that it is to be in.
    Nothing is left behind."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: {_NO_FILE}")
    with TemporaryFile(dir=next(folder for folder in path.parents if folder.exists())):
        pass


@contextmanager
def folder_written_beside(path: Path) -> Iterator[Path]:
    """As :func:`written_beside` for a folder; an older folder there is replaced whole. Where several processes write the
    same folder, the last to finish wins."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    _remove(beside, old)  # of a process that died and had our number
    beside.mkdir()
    try:
        yield beside
        _replace_folder(path, beside, old)
    finally:
        _remove(beside, old)


def _replace_folder(path: Path, new: Path, old: Path) -> None:
    """Put ``new`` at ``path``. What was there is moved to ``old``, and back if that fails or is interrupted."""
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            with suppress(FileNotFoundError):
                path.rename(old)
            new.rename(path)
            return
        except BaseException as error:
            overtaken = isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
            if not overtaken or attempt == _REPLACE_ATTEMPTS - 1:
                with suppress(OSError):
                    old.rename(path)
                raise
            _remove(old)  # another process was quicker: replace its folder


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def without_folder(data: str) -> str:
    """The name of data as artefacts hold it: of a file without its folder, for where it lies is nobody else's business."""
    return Path(data).name if Path(data.partition("?")[0]).suffix else data


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A compressed ``.npz`` whose bytes depend on the arrays alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(name + ".npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(arrays[name], order="C"), allow_pickle=False)


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


def load_arrays(path: Path, limit: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz``. Raises :class:`InputError` where it is missing, damaged, holds Python objects, or
    unpacks to more than ``limit`` bytes (None: :data:`MAX_UNPACKED_BYTES`, or :data:`MAX_RATIO` times the file if that is
    more); its directory and its sizes are checked before anything is allocated."""
    try:
        with path.open("rb") as stream:
            check_directory(str(path), stream)
            limit = max(MAX_UNPACKED_BYTES, MAX_RATIO * path.stat().st_size) if limit is None else limit
            with zipfile.ZipFile(stream) as archive:
                return _read_arrays(path, archive, limit)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: is no intact .npz archive ({error})") from error
    except Exception as error:  # zlib.error and whatever else a damaged stream provokes
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is damaged ({error})") from error


def _read_arrays(path: Path, archive: zipfile.ZipFile, limit: int) -> dict[str, np.ndarray]:
    total = sum(entry.file_size for entry in archive.infolist())
    if total > limit:
        raise InputError(f"{path}: unpacks to {total:,} bytes; the limit is {limit:,}")
    return {entry.filename.removesuffix(".npy"): _read_array(path, archive, entry) for entry in archive.infolist()}


def _read_array(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
        needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if dtype.hasobject:
            raise InputError(f"{path}: {entry.filename} holds Python objects; only plain arrays are read")
        if needed > entry.file_size:
            raise InputError(f"{path}: {entry.filename} says it holds {needed:,} bytes but has {entry.file_size:,}")
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
