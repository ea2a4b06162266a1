"""Damage to the ZIP archives of PyTorch and NumPy."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from functools import cache

import numpy as np

from .damage import PATHS, flipped, malicious, repeated, truncated
from .damage import sizes as random_sizes

Members = dict[str, bytes]
BOMB_MIB = 1_200
FIELDS = ((b"PK\x03\x04", (18, 22, 26, 28)), (b"PK\x01\x02", (20, 24, 28, 30, 42)), (b"PK\x05\x06", (8, 10, 12, 16)))


def members(content: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(parts: Members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def within(content: bytes, rng: random.Random) -> bytes:
    """Damage to a member, whose checksum is right again."""
    parts = members(content)
    name = rng.choice(list(parts))
    damage = rng.choice([flipped, truncated, repeated, random_sizes])
    return archive_of({**parts, name: damage(parts[name] or b"\0", rng)})


def sizes(content: bytes, rng: random.Random) -> bytes:
    """A size, a length or an offset of the archive's own records set to an extreme."""
    data = bytearray(content)
    mark, places = rng.choice(FIELDS)
    starts = [i for i in range(len(data)) if data.startswith(mark, i)]
    at = rng.choice(starts) + rng.choice(places)
    value = rng.choice([b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x40"])
    data[at : at + 4] = value
    return bytes(data)


def paths(content: bytes, rng: random.Random) -> bytes:
    """A member under a name that is a path."""
    parts = members(content)
    chosen, new = rng.choice(list(parts)), rng.choice([p for p in PATHS if p]).replace("\0", "\x01")
    return archive_of({(new if name == chosen else name): part for name, part in parts.items()})


@cache
def _zeros() -> tuple[bytes, int]:
    """(:data:`BOMB_MIB` of zeros behind an .npy header, deflated; their CRC). After a full flush every block is the same."""
    header = io.BytesIO()
    entry = {"descr": "|u1", "fortran_order": False, "shape": (1, BOMB_MIB << 20)}
    np.lib.format.write_array_header_1_0(header, entry)
    stream, block = zlib.compressobj(9, zlib.DEFLATED, -15), bytes(1 << 20)
    start = stream.compress(header.getvalue()) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(block) + stream.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(header.getvalue())
    for _ in range(BOMB_MIB):
        crc = zlib.crc32(block, crc)
    return start + again * BOMB_MIB + stream.flush(), crc


def bomb(content: bytes, rng: random.Random) -> bytes:
    """An archive with a member that unpacks to :data:`BOMB_MIB`, whose size is given as it is, or as a small one."""
    name = rng.choice([n for n in members(content) if n.endswith((".npy", ".pkl", ".json"))]).encode()
    packed, crc = _zeros()
    size = rng.choice([(BOMB_MIB << 20) + 128, 5_000])
    fields = (20, 0, zipfile.ZIP_DEFLATED, 0, 33, crc, len(packed), size, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name
    start = len(local) + len(packed)
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, *fields, 0, 0, 0, 0, 0) + name
    return local + packed + central + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(central), start, 0)


def pickles(content: bytes, rng: random.Random) -> bytes:
    """Code in a pickle: the file itself, or the members that readers unpickle."""
    if rng.randrange(4) == 0:
        return malicious(b"", rng)
    parts = members(content)
    usual = [n for n in parts if n.endswith((".pkl", ".pt", ".npy"))]
    for name in usual:
        head = b""
        if name.endswith(".npy"):
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (3, 2)})
            head = header.getvalue()
        parts[name] = head + malicious(parts[name], rng)
    for name in [n for n in parts if n.endswith("model_weights_config.json")]:  # of torch.export: unpickle the weights
        table = json.loads(parts[name])
        for entry in table["config"].values():
            entry["use_pickle"] = True
        parts[name] = json.dumps(table).encode()
        parts |= {n: malicious(b"", rng) for n in parts if "weights/weight_" in n}
    return archive_of(parts)
