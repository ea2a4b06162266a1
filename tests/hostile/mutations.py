"""What tests of hostile files share: bytes mutated at random, and the fields that a file is made of."""

from __future__ import annotations

import numpy as np


def mutate(whole: bytes, random: np.random.Generator, reach: int | None = None) -> bytes:
    """One of: bytes flipped, cut short, a stretch repeated or dropped, a length field inflated; in the first ``reach`` bytes,
    where given."""
    content = bytearray(whole)
    reach = len(content) if reach is None else min(len(content), reach)
    at = int(random.integers(0, max(1, reach)))
    match int(random.integers(0, 6)):
        case 0 | 1:
            for position in random.integers(0, reach, int(random.integers(1, 6))):
                content[position] = int(random.integers(0, 256))
        case 2:
            del content[at:]
        case 3:
            del content[at : at + int(random.integers(1, 100))]
        case 4:
            content[at:at] = content[at : at + int(random.integers(1, 200))]
        case _:
            content[at : at + 4] = random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x40"])
    return bytes(content)


def length_prefixed(number: int, data: bytes) -> bytes:
    """A protobuf field."""
    size, head = len(data), bytearray([number << 3 | 2])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + data
