"""Damage to a file, as disks and attackers do it."""

from __future__ import annotations

import random


def damaged(good: bytes, rng: random.Random) -> bytes:
    """``good`` cut off, with a bit flipped, with bytes overwritten, or with a size set to an extreme."""
    data = bytearray(good)
    at = rng.randrange(len(data) - 8)
    match rng.randrange(4):
        case 0:
            data = data[:at]
        case 1:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            for _ in range(12):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 3:
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, (2**40).to_bytes(8, "little")])
    return bytes(data)
