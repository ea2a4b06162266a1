"""Damage to bytes that knows nothing of what they mean, and what several formats share."""

from __future__ import annotations

import pickle
import random
from typing import Any

MARK = "hostilemark"
"""Stands in everything that a hostile file would run, and as a name in whatever it would write."""
PATHS = (
    f"../../{MARK}", f"/tmp/{MARK}", "..", ".", "", f"C:\\{MARK}", f"a\0{MARK}", "n" * 5_000, f"$(touch {MARK})", "con",
    "{0.__class__}", "%s%n", "\n\x1b[2J", "\u202etxt", "~root", f"file:///{MARK}", "manifest.json",
)  # fmt: skip
ODD = (None, True, -1, 0, 3, 2**40, -(2**63), 10**400, 1.5, 1e308, "", "1", "../x", [], [[]], [1, 2], {}, {"a": {}})
CALLS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("os", "system", (f"touch {MARK}",)),
    ("posix", "system", (f"touch {MARK}",)),
    ("subprocess", "Popen", (["touch", MARK],)),
    ("builtins", "exec", (f"open('{MARK}', 'w')",)),
    ("builtins", "eval", (f"open('{MARK}', 'w')",)),
    ("builtins", "__import__", (MARK,)),
    ("importlib", "import_module", (MARK,)),
    ("io", "open", (MARK, "w")),
    ("os", "mkdir", (MARK,)),
    ("shutil", "rmtree", (MARK,)),
    ("builtins", "bytearray", (2**31,)),
    ("numpy", "zeros", (2**31,)),
    ("torch", "zeros", (2**31,)),
)


def flipped(content: bytes, rng: random.Random) -> bytes:
    """One to twelve bytes changed."""
    data = bytearray(content)
    for _ in range(rng.randrange(1, 13)):
        data[rng.randrange(len(data))] ^= rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
    return bytes(data)


def truncated(content: bytes, rng: random.Random) -> bytes:
    """Cut off, at the end or somewhere within."""
    if rng.randrange(3):
        return content[: rng.randrange(len(content))]
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 200) :]


def repeated(content: bytes, rng: random.Random) -> bytes:
    """A stretch twice."""
    at = rng.randrange(len(content))
    return content[:at] + content[at : at + rng.randrange(1, 400)] + content[at:]


def sizes(content: bytes, rng: random.Random) -> bytes:
    """Four or eight bytes, which may be a size, set to an extreme."""
    data = bytearray(content)
    at = rng.randrange(max(1, len(data) - 8))
    value = rng.choice([b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", bytes(8), (2**40).to_bytes(8, "little")])
    data[at : at + len(value)] = value
    return bytes(data)


def call(rng: random.Random) -> bytes:
    """Opcodes of a pickle that make one of :data:`CALLS`."""
    module, name, arguments = rng.choice(CALLS)
    return f"c{module}\n{name}\n".encode() + pickle.dumps(arguments, 2)[2:-1] + b"R"


def malicious(content: bytes, rng: random.Random) -> bytes:
    """A pickle that makes a call and gives what it returns, or gives what the pickle ``content`` gives."""
    if content[:1] == b"\x80" and rng.randrange(2):
        return content[:2] + call(rng) + b"0" + content[2:]
    return b"\x80\x02" + call(rng) + b"."


def replaced(table: Any, rng: random.Random, values: tuple[Any, ...] = ODD) -> None:
    """One value somewhere in nested lists and tables replaced by an odd one."""
    while True:
        key = rng.choice(list(table)) if isinstance(table, dict) else rng.randrange(len(table))
        inner = table[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.1:
            table[key] = rng.choice(values)
            return
        table = inner
