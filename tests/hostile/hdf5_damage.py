"""Damage to what HDF5 files (``.nir`` and ``.net``) hold."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from .damage import ODD, PATHS, malicious

SIDE = 1 << 10
BOMB_CHUNKS = 300


def file(change: Callable[[h5py.File, random.Random], Any]) -> Callable[[bytes, random.Random], bytes]:
    """A change to an open file."""

    def damage(content: bytes, rng: random.Random) -> bytes:
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "a") as opened:
            change(opened, rng)
        return buffer.getvalue()

    return damage


def data_sets(opened: h5py.File, floats: bool = False) -> list[str]:
    """Names of the data sets, or of those of a network's real numbers."""
    names: list[str] = []
    opened.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return [n for n in names if not floats or opened[n].dtype.kind == "f"]


def _put(opened: h5py.File, name: str, value: Any) -> None:
    del opened[name]
    opened[name] = value


@file
def nan(opened: h5py.File, rng: random.Random) -> None:
    """A weight or a constant that is no number."""
    values = opened[rng.choice(data_sets(opened, floats=True))]
    array = values[()]
    array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -np.inf])
    values[...] = array


@file
def types(opened: h5py.File, rng: random.Random) -> None:
    """A data set that is gone, or something else."""
    name = rng.choice(data_sets(opened))
    odd = [v for v in ODD if isinstance(v, bool | float | str) or (isinstance(v, int) and abs(v) < 2**63)]
    made = (
        *odd, np.ones((3, 3), complex), np.zeros(3, [("a", "f4"), ("b", "i4")]), h5py.Empty("f4"), np.zeros((0, 3)),
        np.array([b"a", b"b"]), np.void(b"abc"), np.zeros((1,) * 30), h5py.SoftLink("/" + rng.choice(data_sets(opened))),
        h5py.SoftLink("/" + name), h5py.ExternalLink("/etc/hostname", "/x"), opened["/"].ref, np.full(3, -1.0),
    )  # fmt: skip
    chosen = rng.randrange(-2, len(made))
    if chosen >= 0:
        _put(opened, name, made[chosen])
    else:
        del opened[name]
        if chosen == -2:
            opened.create_group(name + "/inner")


@file
def sizes(opened: h5py.File, rng: random.Random) -> None:
    """Data sets that declare what they do not store, or layers that declare what no machine holds."""
    whole = [n for n in data_sets(opened) if opened[n].dtype.kind in "iu" and not n.startswith("snncc")]
    if rng.randrange(2):
        name = rng.choice(whole)
        _put(opened, name, np.full(opened[name].shape, rng.choice([2**20, 2**31, 2**40, 2**62, -1])))
        return
    name = rng.choice(data_sets(opened, floats=True))
    rank = opened[name].ndim
    shape = tuple(rng.choice([2**10, 2**14, 2**20]) for _ in range(rank))
    del opened[name]
    opened.create_dataset(name, shape=shape, dtype="f4", chunks=(16,) * rank)


@file
def bomb(opened: h5py.File, rng: random.Random) -> None:
    """1.2 GiB of zeros, packed."""
    name = rng.choice([n for n in data_sets(opened, floats=True) if n.endswith("weight")])
    del opened[name]
    shape, chunk = (BOMB_CHUNKS * SIDE, SIDE), (SIDE, SIDE)
    made = opened.create_dataset(name, shape, "f4", chunks=chunk, compression="gzip")
    packed = zlib.compress(bytes(4 * SIDE * SIDE))
    for i in range(BOMB_CHUNKS):
        made.id.write_direct_chunk((i * SIDE, 0), packed)


@file
def paths(opened: h5py.File, rng: random.Random) -> None:
    """A node, a layer or an edge under a name that is a path."""
    new = rng.choice([p for p in PATHS if p.strip("./") and "\0" not in p])
    if "node" not in opened:
        place = rng.choice(["layer/1/neuron/type", "layer/2/type", "layer/1"])
        if place.endswith("type"):
            _put(opened, place, new)
        else:
            opened["layer"].move("1", new)
        return
    edges = [[end.decode() for end in pair] for pair in opened["node/edges"][()]]
    old = rng.choice(["affine", "lif", "input", "output"])
    opened["node/nodes"].move(old, new)
    _put(opened, "node/edges", np.array([[new if e == old else e for e in pair] for pair in edges], dtype=object))


@file
def cycle(opened: h5py.File, rng: random.Random) -> None:
    """Neurons that feed themselves without a delay, or groups that hold themselves."""
    if "node" not in opened:
        opened[rng.choice(["layer/3", "layer/1/neuron/inner", "layer/2/layer"])] = opened["layer"]
        return
    if rng.randrange(3) == 0:
        opened["node/nodes/self"] = opened["node"]
        return
    edges = [[end.decode() for end in pair] for pair in opened["node/edges"][()]]
    loop = rng.choice([["affine_1", "affine"], ["affine", "affine"], ["affine_1", "affine_1"]])
    _put(opened, "node/edges", np.array([*edges, loop], dtype=object))


@file
def _pickle_within(opened: h5py.File, rng: random.Random) -> None:
    _put(opened, rng.choice(data_sets(opened)), np.void(malicious(b"", rng)))


def pickles(content: bytes, rng: random.Random) -> bytes:
    """A pickle under the name of another format, or in the place of data."""
    return malicious(b"", rng) if rng.randrange(2) else _pickle_within(content, rng)
