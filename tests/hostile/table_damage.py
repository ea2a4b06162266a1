"""Damage to tables that people write: chips and costs in TOML, counts in JSON."""

from __future__ import annotations

import json
import random
import re

from .damage import ODD, PATHS, replaced

NUMBER = re.compile(rb"(?<=[=:] )-?\d[\d.e-]*\b")
VALUE = re.compile(rb"(?<== )[^\n=,}]+")
ODD_TOML = (
    "true", "-1", "0", "1e308", "inf", "-inf", "2.5", '""', '"none"', "[]", "[[1]]", "{}", "{a = 1}", "2024-01-01",
    "0x" + "f" * 20_000, '"""' + "n" * 5_000 + '"""', "'''\n'''", "1_000",
)  # fmt: skip


def _put(content: bytes, pattern: re.Pattern[bytes], rng: random.Random, value: str) -> bytes:
    found = rng.choice(list(pattern.finditer(content)))
    return content[: found.start()] + value.encode() + content[found.end() :]


def nan(content: bytes, rng: random.Random) -> bytes:
    """A figure that is no number."""
    toml = content.lstrip()[:1] != b"{"
    return _put(content, NUMBER, rng, "nan" if toml else "NaN")


def types(content: bytes, rng: random.Random) -> bytes:
    """A value of another kind."""
    return _put(content, VALUE, rng, rng.choice(ODD_TOML))


def paths(content: bytes, rng: random.Random) -> bytes:
    """A text that names a place or steers a terminal."""
    return _put(content, re.compile(rb'(?<== )"[^"\n]*"'), rng, json.dumps(rng.choice(PATHS)))


def unsourced(content: bytes, rng: random.Random) -> bytes:
    """A figure whose source is left out."""
    return _put(content, re.compile(rb',? *\bsource = "[^"\n]*"'), rng, "")


def deep(content: bytes, rng: random.Random) -> bytes:
    """Nested without end, or a key of so many parts that the parser would take hours."""
    key = ".".join("a" * 100_000)
    quoted = ".".join(['"a="'] * 50_000)
    nested = (
        "a = " + "[" * 50_000,
        "a = " + "{a = " * 50_000,
        f"{key} = 1",
        f"a = {{{key} = 1}}",
        f"[{key}]",
        f"{quoted} = 1",
    )
    return rng.choice(nested).encode() + b"\n" + content


def json_types(content: bytes, rng: random.Random) -> bytes:
    """A value of another kind."""
    table = json.loads(content)
    replaced(table, rng, (*ODD, "\ud800", "\x1b[2J", 10**4000))
    return json.dumps(table).encode()


def json_deep(content: bytes, rng: random.Random) -> bytes:
    """Nested without end."""
    return rng.choice([b'{"counts": ' * 50_000, b"[" * 100_000])
