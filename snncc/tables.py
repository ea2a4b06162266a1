"""Tables that people write by hand, in TOML or JSON: chips, costs and counts. Every error names the file and the entry.

Nothing in a file is trusted: its size is looked at before it is read, and the parser's slow and deep paths are closed.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import Any

from snncc.errors import InputError

FORMAT = 1
MAX_FILE_BYTES = 1 << 20
MAX_KEY_PARTS = 16
"""Of a dotted TOML key: no table here is deeper than 4, and the parser takes the square of the parts."""
MAX_TEXT = 2_000
"""Characters of a text."""
MAX_BITS = 1 << 13
"""Of a whole number that a message writes out: Python refuses from 4,300 digits on, which a TOML file may hold."""

_PART = r"""(?:"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'|[A-Za-z0-9_-]++)"""
_LONG_KEY = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")


@dataclass(frozen=True)
class TableFile:
    """What a file holds, and the SHA-256 of its bytes."""

    content: dict[str, Any]
    sha256: str


def read_tables(path: Path, what: str, fields: Iterable[str], limit: int = MAX_FILE_BYTES) -> TableFile:
    """The tables of a file that ends in ``.json`` (or in anything else and is TOML): ``what`` says in a message what it should
    be, ``fields`` what may stand at its top besides ``format``, ``limit`` its bytes. Raises :class:`InputError`."""
    found = read_toml_or_json(path, what, limit)
    version = found.content.get("format")
    if type(version) is not int or version != FORMAT:
        raise InputError(f"{path}: format is {shown(version)}; this version of snncc reads format = {FORMAT}")
    refuse_unknown(str(path), found.content, ("format", *fields))
    return found


def read_toml_or_json(path: Path, what: str, limit: int = MAX_FILE_BYTES) -> TableFile:
    """As :func:`read_tables`, whatever stands at the top."""
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes; {what} has at most {limit:,}")
        data = path.read_bytes()
        text = data.decode()
        content = json.loads(text, object_pairs_hook=_once) if kind == "JSON" else _toml(text)
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise InputError(f"{path}: is no readable {kind} file ({str(error)[:200]})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; {what} is a table of named entries")
    return TableFile(content, hashlib.sha256(data).hexdigest())


def _toml(text: str) -> dict[str, Any]:
    for key in _LONG_KEY.finditer(text):
        parts = key[0].count(".") + 1
        if parts > MAX_KEY_PARTS and len(re.findall(_PART, key[0])) > MAX_KEY_PARTS:
            line = text.count("\n", 0, key.start()) + 1
            raise ValueError(f"line {line}: a key has more than {MAX_KEY_PARTS} parts")
    return tomllib.loads(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two values of one name, neither is right."""
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(n for n, times in Counter(names).items() if times > 1)
        raise ValueError(f"{shown(twice)} stands there twice")
    return result


def table(where: str, content: Mapping[str, Any], key: str, optional: bool = False) -> dict[str, Any]:
    """A table within another; empty where it is ``optional`` and not there."""
    value = content.get(key, {} if optional else None)
    if not isinstance(value, dict):
        raise InputError(f"{where}: {key} is {shown(value)}; write tables [{key}.…]")
    return value


def text(where: str, entry: Mapping[str, Any], key: str, most: int = MAX_TEXT) -> str:
    """A text that must be there, of at most ``most`` characters, without those that steer a terminal."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise InputError(
            f"{where}: {key} is {shown(value)}; it must be text of at most {most:,} characters: a figure that nobody "
            "explains does not load"
        )
    if not all(sign.isprintable() or sign.isspace() for sign in value):
        raise InputError(f"{where}: {key} is {shown(value)}; it must not hold control characters")
    return value.strip()


def choice(where: str, key: str, value: object, known: Iterable[str]) -> None:
    """Refuse a value that is none of ``known``."""
    names = tuple(known)
    if value not in names:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be one of {', '.join(names)}")


def refuse_unknown(where: str, content: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse keys that nobody reads: a typing error would go unseen."""
    names = tuple(known)
    for key in content:
        if key not in names:
            raise InputError(f"{where}: {shown(key)} is unknown; known are {', '.join(names)}")


class _Short(Repr):
    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return super().repr_int(x, level) if bits < MAX_BITS else f"a whole number of {bits:,} bits"


def shown(value: object) -> str:
    """A short form of any value for a message."""
    return _Short().repr(value)
