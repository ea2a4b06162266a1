"""Our own metadata in a NIR file: the whole Graph, exactly, beside the standard part that other readers see.

``/snncc/json`` (bytes of a JSON text) holds name, time steps, nodes with all their fields, edges with delays, and the
SHA-256 of the standard part; ``/snncc/arrays/N`` the arrays, bit for bit. Weights and biases stand only in the standard
part and are referred to. The metadata is trusted only while that digest fits: a file that another tool has changed is
refused, not half believed. JSON keeps every float64 (shortest form that reads back the same).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.frontends.nir_file import Parameter, RawFile, digest
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import (
    OPTIONAL,
    AvgPool2d,
    Conv1d,
    Conv2d,
    Dense,
    Encoder,
    Flatten,
    Identity,
    Input,
    Neuron,
    Node,
    Output,
    Scale,
    SumPool2d,
)

FORMAT = "snncc-nir"
VERSION = 1
MAX_WHOLE = 2**31

_POOL = {"kernel": "pair", "stride": "pair", "padding": "pair"}
_FIELDS: Mapping[type, Mapping[str, str]] = {
    Input: {
        "shape": "sizes",
        "encoding": "text",
        "scale": "float",
        "low": "int",
        "high": "int",
        "encoder": "encoder?",
    },
    Encoder: {
        "kind": "text",
        "gain": "numbers",
        "offset": "numbers",
        "scale": "float",
        "signed": "bool",
        "seed": "seed",
    },
    Output: {"readout": "text", "ties": "text", "time_weights": "sizes?", "each_step": "bool"},
    Dense: {"weight": "array", "bias": "array?"},
    Conv1d: {
        "weight": "array",
        "bias": "array?",
        "stride": "int",
        "padding": "int",
        "dilation": "int",
        "groups": "int",
    },
    Conv2d: {
        "weight": "array",
        "bias": "array?",
        "stride": "pair",
        "padding": "pair",
        "dilation": "pair",
        "groups": "int",
    },
    SumPool2d: _POOL,
    AvgPool2d: _POOL,
    Flatten: {},
    Scale: {"factor": "value"},
    Identity: {},
    Dynamics: {
        "threshold": "value",
        "compare": "text",
        "membrane_decay": "value",
        "current_decay": "value?",
        "current_bias": "value",
        "input_gain": "value",
        "bias": "value",
        "levels": "int",
        "signed": "bool",
        "reset": "text",
        "reset_amount": "value?",
        "reset_value": "value",
        "reset_timing": "text",
        "decay_timing": "text",
        "reset_current": "bool",
        "current_timing": "text",
        "v_init": "value",
        "v_min": "value?",
        "spike_value": "value",
        "fires": "bool",
    },
}
"""Every field of every node, with what it may hold; a trailing ? allows None."""
_TYPES: Mapping[str, type] = {kind.__name__: kind for kind in _FIELDS if kind not in (Dynamics, Encoder)}


def encode(
    graph: Graph, standard: Mapping[str, str], parameters: Mapping[str, Mapping[str, Parameter]], sha256: str
) -> tuple[str, dict[str, np.ndarray]]:
    """(JSON text, arrays). ``standard`` maps our node names to those of the standard part, ``parameters`` holds the
    parameters there, ``sha256`` is the digest of that part."""
    arrays: dict[str, np.ndarray] = {}

    def value(item: Any, at: str | None, key: str) -> Any:
        if isinstance(item, np.ndarray | np.generic):
            if at is not None and parameters.get(at, {}).get(key) is item:
                return {"parameter": key, "node": at}
            arrays[str(len(arrays))] = np.asarray(item)
            return {"array": str(len(arrays) - 1)}
        if isinstance(item, Encoder):
            return {f.name: value(getattr(item, f.name), None, f.name) for f in fields(item)}
        return list(item) if isinstance(item, tuple) else item

    def entry(name: str, node: Node) -> dict[str, Any]:
        held: Any = node.dynamics if isinstance(node, Neuron) else node
        at = standard.get(name)
        usual = OPTIONAL.get(type(node), {})
        found = {
            f.name: value(getattr(held, f.name), at, f.name) for f in fields(held)
            if f.name not in usual or getattr(held, f.name) != usual[f.name]
        }  # fmt: skip
        return {"name": name, "type": type(node).__name__, "fields": found}

    text = {
        "format": FORMAT,
        "version": VERSION,
        "standard_sha256": sha256,
        "name": graph.name,
        "time_steps": graph.time_steps,
        "nodes": [entry(name, node) for name, node in graph.nodes.items()],
        "edges": [[e.source, e.target, e.delay] for e in graph.edges],
    }
    return json.dumps(text, ensure_ascii=False, allow_nan=False, separators=(",", ":")), arrays


def decode(where: str, file: RawFile) -> Graph:
    """The Graph in a file's metadata. Raises :class:`InputError` where it is damaged, of a later version, or does not
    belong to the standard part beside it."""
    assert file.metadata is not None
    try:
        table = json.loads(file.metadata)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the snncc metadata is no JSON ({error}); export the file again") from error
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise InputError(f"{where}: the snncc metadata is of another format; export the file again")
    if table.get("version") != VERSION:
        raise InputError(
            f"{where}: the snncc metadata has version {table.get('version')!r}; this version reads {VERSION}: update "
            f"snncc"
        )
    if table.get("standard_sha256") != digest(file.root):
        raise InputError(
            f"{where}: the network was changed after snncc wrote its semantics; export it again, or give --dialect "
            f"euler --dt 1 "
            "to read the standard NIR part under that dialect"
        )
    decoder = _Decoder(where, file)
    nodes: dict[str, Node] = {}
    for item in decoder.items(table, "nodes"):
        name, node = decoder.node(item)
        if name in nodes:
            raise InputError(f"{where}: {name} stands twice in the snncc metadata")
        nodes[name] = node
    edges = [decoder.edge(item) for item in decoder.items(table, "edges")]
    name = decoder.read("text", table.get("name"), "name")
    steps = decoder.read("int", table.get("time_steps"), "time_steps")
    return build_graph(nodes, edges, steps, name)


class _Decoder:
    """Reads fields by what they may hold; anything else is an :class:`InputError` that names the field."""

    def __init__(self, where: str, file: RawFile) -> None:
        self.where = where
        self.file = file

    def items(self, table: dict[str, Any], key: str) -> list[Any]:
        found = table.get(key)
        if not isinstance(found, list):
            raise InputError(f"{self.where}: the snncc metadata has no list {key}")
        return found

    def node(self, item: Any) -> tuple[str, Node]:
        if not isinstance(item, dict) or not isinstance(item.get("fields"), dict):
            raise InputError(f"{self.where}: a node of the snncc metadata is {str(item)[:60]!r}")
        name = self.read("text", item.get("name"), "node name")
        kind = item.get("type")
        if kind == "Neuron":
            return name, Neuron(Dynamics(**self.fields(name, Dynamics, item["fields"])))
        if not isinstance(kind, str) or kind not in _TYPES:
            raise InputError(f"{self.where}: {name} has the unknown type {str(kind)[:60]!r} in the snncc metadata")
        return name, _TYPES[kind](**self.fields(name, _TYPES[kind], item["fields"]))

    def edge(self, item: Any) -> tuple[str, str, int]:
        if not isinstance(item, list) or len(item) != 3:
            raise InputError(f"{self.where}: an edge of the snncc metadata is {str(item)[:60]!r}")
        source, target, delay = item
        return self.read("text", source, "edge"), self.read("text", target, "edge"), self.read("int", delay, "edge")

    def fields(self, name: str, kind: type, given: dict[str, Any]) -> dict[str, Any]:
        known = _FIELDS[kind]
        given = {k: v for k, v in OPTIONAL.get(kind, {}).items() if k in known} | given
        if set(given) != set(known):
            odd = ", ".join(sorted(map(str, set(given) ^ set(known))))
            raise InputError(
                f"{self.where}: {name} has other fields than a {kind.__name__} in the snncc metadata: {odd[:80]}"
            )
        return {key: self.read(what, given[key], f"{name}.{key}") for key, what in known.items()}

    def read(self, what: str, value: Any, place: str) -> Any:
        if what.endswith("?"):
            return None if value is None else self.read(what[:-1], value, place)
        if what in ("array", "value") and isinstance(value, dict):
            return self.array(value, place)
        if what in ("pair", "sizes") and isinstance(value, list):
            made = tuple(value)
            if all(_is_whole(v) for v in made) and (what == "sizes" or len(made) == 2):
                return made
        elif what == "encoder" and isinstance(value, dict):
            return Encoder(**self.fields(place, Encoder, value))
        elif what == "numbers" and isinstance(value, list) and all(_is_number(v) for v in value):
            return tuple(value)
        elif what != "array" and _CHECKS[what](value):
            return value
        raise InputError(f"{self.where}: {place} is {str(value)[:60]!r} in the snncc metadata; {what} is expected")

    def array(self, value: dict[str, Any], place: str) -> np.ndarray:
        found: Any = None
        if "array" in value:
            found = self.file.arrays.get(str(value["array"]))
        elif "parameter" in value:
            node = self.file.root.nodes.get(str(value.get("node")))
            found = node.parameters.get(str(value["parameter"])) if node else None
        if not isinstance(found, np.ndarray):
            raise InputError(f"{self.where}: {place} refers to the array {str(value)[:60]}, which is not in the file")
        return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_WHOLE


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda v: isinstance(v, str),
    "float": _is_number,
    "value": _is_number,
    "int": _is_whole,
    "bool": lambda v: isinstance(v, bool),
    "seed": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "numbers": _is_number,
    "encoder": lambda v: False,
    "pair": lambda v: False,
    "sizes": lambda v: False,
}
