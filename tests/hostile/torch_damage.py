"""Damage to what the archives of PyTorch hold: state_dicts, zoo checkpoints, exported weights."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from typing import Any

import torch

from .archives import archive_of, members
from .damage import ODD, PATHS, replaced

Damage = Callable[[bytes, random.Random], bytes]
CONFIG = "archive/data/weights/model_weights_config.json"


def saved(change: Callable[[Any, random.Random], None]) -> Damage:
    """A change to what torch.save wrote."""

    def damage(content: bytes, rng: random.Random) -> bytes:
        value = torch.load(io.BytesIO(content), weights_only=True)
        change(value, rng)
        return _save(value)

    return damage


def _save(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _state(value: Any) -> Any:
    return value.get("state_dict", value)


@saved
def nan(value: Any, rng: random.Random) -> None:
    """A weight that is no number, or a threshold or decay."""
    state = _state(value)
    bad = rng.choice([float("nan"), float("inf"), float("-inf")])
    if state is not value and rng.randrange(4) == 0:
        value["network"]["layers"][2][rng.choice(["threshold", "membrane_decay"])] = bad
        return
    tensor = state[rng.choice([k for k in state if k.endswith("weight")])]
    tensor.view(-1)[rng.randrange(tensor.numel())] = bad


@saved
def types(value: Any, rng: random.Random) -> None:
    """A tensor of another type or shape, or an odd value in its place or in the architecture."""
    state = _state(value)
    if state is not value and rng.randrange(2):
        replaced(value["network"], rng)
        return
    name = rng.choice(list(state))
    kinds = (torch.complex64, torch.bool, torch.int64, torch.uint8, torch.float16, torch.bfloat16)
    made = (
        torch.zeros(state[name].shape, dtype=rng.choice(kinds)), torch.zeros(0), torch.zeros(1).expand(1 << 20, 1 << 12),
        torch.zeros(3, 8).to_sparse(), torch.empty(1 << 20, 1 << 12, device="meta"), rng.choice(ODD),
    )  # fmt: skip
    state[name] = rng.choice(made)


@saved
def paths(value: Any, rng: random.Random) -> None:
    """A layer, and its weights, under a name that is a path."""
    state, new = _state(value), rng.choice(PATHS)
    old = rng.choice(list(state)).partition(".")[0]
    for key in [k for k in state if k.startswith(old + ".")]:
        state[new + key.removeprefix(old)] = state.pop(key)
    if state is value:
        return
    value["network"]["name"] = rng.choice(PATHS)
    for layer in value["network"]["layers"]:
        layer["name"] = new if layer["name"] == old else layer["name"]


@saved
def cycle(value: Any, rng: random.Random) -> None:
    """Tables and lists that hold themselves."""
    state = _state(value)
    if state is value:
        state["fc.weight"] = state
        return
    place = rng.choice([value["network"], value["network"]["layers"][rng.randrange(8)], value["training"], state])
    place[rng.choice(list(place))] = rng.choice([place, value])


def config(change: Callable[[Any, random.Random], None]) -> Damage:
    """A change to the table that describes the tensors of an exported program."""

    def damage(content: bytes, rng: random.Random) -> bytes:
        parts = members(content)
        table = json.loads(parts[CONFIG])
        change(table["config"], rng)
        return archive_of({**parts, CONFIG: json.dumps(table).encode()})

    return damage


@config
def exported_types(table: Any, rng: random.Random) -> None:
    """An odd value in the description of a tensor, or another number of its type."""
    if rng.randrange(2):
        replaced(table, rng)
    else:
        rng.choice(list(table.values()))["tensor_meta"]["dtype"] = rng.randrange(-1, 40)


@config
def exported_sizes(table: Any, rng: random.Random) -> None:
    """A size, a stride or an offset that leaves the storage."""
    meta = table["fc.weight"]["tensor_meta"]
    value = {"as_int": rng.choice([-1, 2**31, 2**40, 2**63, 10**30])}
    key = rng.choice(["sizes", "strides", "storage_offset"])
    if key == "storage_offset":
        meta[key] = value
    else:
        meta[key][rng.randrange(len(meta[key]))] = value


@config
def exported_paths(table: Any, rng: random.Random) -> None:
    """A tensor, or the file that holds it, under a name that is a path."""
    name = rng.choice(list(table))
    if rng.randrange(2):
        table[rng.choice(PATHS)] = table.pop(name)
    else:
        table[name]["path_name"] = rng.choice(PATHS)


def exported_nan(content: bytes, rng: random.Random) -> bytes:
    """A weight that is no number."""
    parts = members(content)
    place = f"archive/data/weights/{json.loads(parts[CONFIG])['config']['fc.weight']['path_name']}"
    data = bytearray(parts[place])
    struct.pack_into("<f", data, 4 * rng.randrange(len(data) // 4), float(rng.choice(["nan", "inf", "-inf"])))
    return archive_of({**parts, place: bytes(data)})


def exported_cycle(content: bytes, rng: random.Random) -> bytes:
    """The layout before torch 2.8, with a state_dict that holds itself."""
    state: dict[str, Any] = {"fc.weight": torch.zeros(3, 4)}
    state[rng.choice(["fc.weight", "fc.bias"])] = rng.choice([state, [state]])
    return archive_of({"a/serialized_exported_program.json": b"{}", "a/serialized_state_dict.pt": _save(state)})
