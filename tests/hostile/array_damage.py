"""Damage to the arrays of an ``.npz`` of data."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from .archives import archive_of, members
from .damage import PATHS

KINDS = ("f2", "f8", "c8", "?", "S3", "U3", "M8[s]", "m8[D]", "V5", "i8", "u8", [("x", "i2"), ("t", "i8")], ">u2")


def arrays(change: Callable[[dict[str, np.ndarray], random.Random], Any]) -> Callable[[bytes, random.Random], bytes]:
    """A change to the arrays by name."""

    def damage(content: bytes, rng: random.Random) -> bytes:
        with np.load(io.BytesIO(content)) as held:
            table = {name: held[name] for name in held.files}
        change(table, rng)
        buffer = io.BytesIO()
        np.savez(buffer, **table)
        return buffer.getvalue()

    return damage


@arrays
def nan(table: dict[str, np.ndarray], rng: random.Random) -> None:
    """A pixel that is no number."""
    table["x"] = table["x"].astype(rng.choice(["f2", "f4", "f8"]))
    table["x"].flat[rng.randrange(table["x"].size)] = rng.choice([np.nan, np.inf, -np.inf, 0.5])


@arrays
def types(table: dict[str, np.ndarray], rng: random.Random) -> None:
    """An array of another type, shape or range."""
    name = rng.choice(["x", "y"])
    old = table[name]
    made = (
        np.zeros(old.shape, rng.choice(KINDS)), np.zeros(0), np.array(3), old[:2], np.zeros((5, 0, 6)), old.T.copy(),
        np.zeros((1,) * 20), old.astype("i8") - 2**40, old.astype("i8") * 0 - 1,
    )  # fmt: skip
    table[name] = made[rng.randrange(len(made))]


def sizes(content: bytes, rng: random.Random) -> bytes:
    """A header that declares more than there is, or a negative size, or a header without end."""
    parts = members(content)
    shape = rng.choice([(2**40, 1), (2**62, 2**62), (-5, 1, 6, 6), (5, 1, 6, 2**31), (1,) * 5_000])
    header = io.BytesIO()
    write = np.lib.format.write_array_header_2_0
    write(header, {"descr": rng.choice(["|u1", "<f8"]), "fortran_order": False, "shape": shape})
    return archive_of({**parts, "x.npy": header.getvalue() + bytes(180)})


@arrays
def paths(table: dict[str, np.ndarray], rng: random.Random) -> None:
    """An array under a name that is a path."""
    new = rng.choice([p for p in PATHS if p and "\0" not in p])
    table[new] = table.pop(rng.choice(["x", "y"])) if rng.randrange(2) else table["x"]
