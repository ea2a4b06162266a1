"""Damage to what ONNX files hold: the network of snncc's own export, and those of others."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, external_data_helper

from .damage import ODD, PATHS, malicious, replaced
from .mutations import length_prefixed

Damage = Callable[[bytes, random.Random], bytes]


def model(change: Callable[[Any, random.Random], None]) -> Damage:
    """A change to the parsed model."""

    def damage(content: bytes, rng: random.Random) -> bytes:
        parsed = ModelProto.FromString(content)
        change(parsed, rng)
        return parsed.SerializeToString()

    return damage


def _floats(parsed: Any) -> list[Any]:
    return [t for t in parsed.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.raw_data) >= 4]


def _table(parsed: Any) -> Any:
    return json.loads(parsed.metadata_props[0].value) if parsed.metadata_props else None


@model
def nan(parsed: Any, rng: random.Random) -> None:
    """A weight that is no number; not an infinite one, which an exported clip makes finite."""
    tensor = rng.choice(_floats(parsed))
    values = np.frombuffer(tensor.raw_data, np.float32).copy()
    values[rng.randrange(values.size)] = np.nan
    tensor.raw_data = values.tobytes()


@model
def types(parsed: Any, rng: random.Random) -> None:
    """A tensor of another type, an operator or an attribute of another kind, or an odd value in the metadata."""
    table, choice = _table(parsed), rng.randrange(4)
    if choice == 0 and table is not None:
        replaced(table, rng, ODD)
        parsed.metadata_props[0].value = json.dumps(table)
    elif choice == 1:
        rng.choice(parsed.graph.initializer).data_type = rng.randrange(0, 30)
    elif choice == 2:
        rng.choice(parsed.graph.node).op_type = rng.choice(["Loop", "Sub", "Exec", "If", "", "Gemm", "Scan"])
    else:
        nodes = [n for n in parsed.graph.node if n.attribute]
        rng.choice(rng.choice(nodes).attribute).type = rng.randrange(0, 15)


@model
def sizes(parsed: Any, rng: random.Random) -> None:
    """A tensor that declares what it does not hold."""
    dims = rng.choice([t for t in parsed.graph.initializer if t.dims]).dims
    dims[rng.randrange(len(dims))] = rng.choice([2**20, 2**31, 2**40, 2**62, -1, -(2**63)])


@model
def paths(parsed: Any, rng: random.Random) -> None:
    """A weight that lies outside of the file, or a node or a layer under a name that is a path."""
    new, choice = rng.choice(PATHS), rng.randrange(3)
    if choice == 0:
        external_data_helper.set_external_data(rng.choice(_floats(parsed)), new)
    elif choice == 1 or not parsed.metadata_props:
        node = rng.choice(parsed.graph.node)
        node.name = new
        node.output[0] = new
    else:
        table = _table(parsed)
        rng.choice(table["nodes"])["name"] = new
        table["name"] = rng.choice(PATHS)
        parsed.metadata_props[0].value = json.dumps(table)


@model
def cycle(parsed: Any, rng: random.Random) -> None:
    """A node that takes what it gives, in the operators or in the metadata."""
    table = _table(parsed)
    if table is not None and rng.randrange(2):
        for edge in table["edges"]:
            edge[2] = 0 if edge[0] == edge[1] else edge[2]
        parsed.metadata_props[0].value = json.dumps(table)
        return
    node = rng.choice([n for n in parsed.graph.node if n.input])
    if rng.randrange(2):
        node.input[0] = node.output[0]
    else:
        node.input.append(rng.choice(parsed.graph.node[-1].output))


def bomb(content: bytes, rng: random.Random) -> bytes:
    """Messages of two bytes each that take a hundred in memory, or messages within messages without end."""
    inner = rng.choice([b"\x0a\x00", b"\x2a\x00", b"\x5a\x00", b"\x08\x01"])
    if rng.randrange(3):
        many = inner * rng.randrange(1 << 20, 1 << 24)
        return length_prefixed(7, many) if rng.randrange(4) else many
    nested = b""
    for _ in range(rng.randrange(90, 3_000)):
        nested = length_prefixed(1, length_prefixed(5, length_prefixed(6, nested)))
    return length_prefixed(7, nested)


@model
def _pickle_within(parsed: Any, rng: random.Random) -> None:
    payload = malicious(b"", rng)
    if parsed.metadata_props and rng.randrange(2):
        parsed.metadata_props[0].value = payload.decode("latin-1")
    else:
        rng.choice(_floats(parsed)).raw_data = payload


def pickles(content: bytes, rng: random.Random) -> bytes:
    """A pickle under the name of another format, or in the place of data."""
    return malicious(b"", rng) if rng.randrange(2) else _pickle_within(content, rng)
