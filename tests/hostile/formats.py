"""What is done to the files of each format."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from . import archives, array_damage, hdf5_damage, onnx_damage, table_damage, torch_damage
from .damage import flipped, repeated, sizes, truncated
from .seeds import FORMATS

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A way to damage a file. ``fatal``: no network can be right, so the file must be refused."""

    name: str
    damage: Damage
    fatal: bool = False


def _kinds(**given: Damage) -> tuple[Kind, ...]:
    fatal = ("nan", "cycle", "bomb", "pickle", "unsourced")
    return tuple(Kind(name, damage, name.split("_")[0] in fatal) for name, damage in given.items())


ANY = _kinds(flipped=flipped, truncated=truncated, repeated=repeated, sizes=sizes)
ZIP = ANY + _kinds(
    within=archives.within, sizes_archive=archives.sizes, paths_archive=archives.paths, bomb=archives.bomb,
    pickle=archives.pickles,
)  # fmt: skip
HDF5 = ANY + _kinds(
    sizes_declared=hdf5_damage.sizes, types=hdf5_damage.types, nan=hdf5_damage.nan, cycle=hdf5_damage.cycle,
    paths=hdf5_damage.paths, bomb=hdf5_damage.bomb, pickle=hdf5_damage.pickles,
)  # fmt: skip
KINDS: dict[str, tuple[Kind, ...]] = {
    "pt": ZIP + _kinds(
        types=torch_damage.types, nan=torch_damage.nan, cycle=torch_damage.cycle, paths=torch_damage.paths,
    ),
    "pt2": ZIP + _kinds(
        sizes_declared=torch_damage.exported_sizes, types=torch_damage.exported_types, nan=torch_damage.exported_nan,
        cycle=torch_damage.exported_cycle, paths=torch_damage.exported_paths,
    ),
    "nir": HDF5,
    "net": HDF5,
    "onnx": ANY + _kinds(
        sizes_declared=onnx_damage.sizes, types=onnx_damage.types, nan=onnx_damage.nan, cycle=onnx_damage.cycle,
        paths=onnx_damage.paths, bomb=onnx_damage.bomb, pickle=onnx_damage.pickles,
    ),
    "npz": ZIP + _kinds(
        sizes_declared=array_damage.sizes, types=array_damage.types, nan=array_damage.nan, paths=array_damage.paths,
    ),
    "toml": ANY + _kinds(
        types=table_damage.types, nan=table_damage.nan, cycle=table_damage.deep, paths=table_damage.paths,
        unsourced=table_damage.unsourced,
    ),
    "json": ANY + _kinds(types=table_damage.json_types, nan=table_damage.nan, cycle=table_damage.json_deep),
}  # fmt: skip


def case(number: int) -> tuple[str, Kind, random.Random]:
    """(format, kind, source of chance) of the file with this number; any one can be made again."""
    name = FORMATS[number % len(FORMATS)]
    kinds = KINDS[name]
    return name, kinds[number // len(FORMATS) % len(kinds)], random.Random(number)
