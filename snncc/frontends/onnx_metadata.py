"""The complete semantics in an ONNX file: the whole Graph as JSON under ``metadata_props["snncc"]``.

Arrays stand once in the file, as initializers of their own type, and the JSON refers to them by name; plain numbers
stand in the JSON, which keeps every float64. A SHA-256 over both shows damage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields
from math import isfinite
from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import OPTIONAL, Encoder, Neuron, Node
from snncc.ir.shapes import infer_shapes
from snncc.ir.store import KINDS

Array = np.ndarray

KEY = "snncc"
FORMAT = "snncc-onnx"
VERSION = 1
DIGEST = "sha256"
DTYPES = ("float32", "float64")
MAX_WHOLE = 2**31
_NUMBERS = "float | tuple[float, ...]"


def held_fields(node: Node) -> tuple[Any, tuple[Field[Any], ...]]:
    """What holds the fields of a node, and its fields."""
    held: Any = node.dynamics if isinstance(node, Neuron) else node
    return held, fields(held)


def array_name(node: str, field: str) -> str:
    """Name of the initializer that holds a field."""
    return f"{node}.{field}"


def graph_arrays(graph: Graph) -> Iterator[tuple[str, Array]]:
    """(name, array) of every array field, in the order of the nodes and fields."""
    for name, node in graph.nodes.items():
        held, known = held_fields(node)
        for f in known:
            value = getattr(held, f.name)
            if isinstance(value, np.ndarray) or (isinstance(value, np.generic) and _may_be_array(f)):
                yield array_name(name, f.name), np.asarray(value)


def encode(graph: Graph, dtype: str) -> str:
    """The JSON text. Raises :class:`UnsupportedError` for names that are no Unicode text."""

    def value(name: str, held: Any, f: Field[Any]) -> Any:
        item = getattr(held, f.name)
        if isinstance(item, np.ndarray) or (isinstance(item, np.generic) and _may_be_array(f)):
            return {"initializer": array_name(name, f.name)}
        if isinstance(item, Encoder):
            return {g.name: value(name, item, g) for g in fields(item)}
        if isinstance(item, tuple):
            return [v.item() if isinstance(v, np.generic) else v for v in item]
        return item.item() if isinstance(item, np.generic) else item

    entries = []
    for name, node in graph.nodes.items():
        held, known = held_fields(node)
        usual = OPTIONAL.get(type(node), {})
        made = {
            f.name: value(name, held, f) for f in known
            if f.name not in usual or getattr(held, f.name) != usual[f.name]
        }  # fmt: skip
        entries.append({"name": name, "type": type(node).__name__, "fields": made})
    table = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": dtype,
        "name": graph.name,
        "time_steps": int(graph.time_steps),
        "nodes": entries,
        "edges": [[e.source, e.target, e.delay] for e in graph.edges],
    }
    try:
        return _dumped({**table, DIGEST: digest(table, graph)})
    except UnicodeEncodeError as error:
        raise UnsupportedError(
            f"{graph.name!a}: a name is no Unicode text ({error.reason}); rename the layer"
        ) from error


def digest(table: Mapping[str, Any], graph: Graph) -> str:
    """SHA-256 of the metadata but for the digest itself, and of names, types, shapes and bits of the Graph's arrays."""
    found = hashlib.sha256(_dumped({k: v for k, v in table.items() if k != DIGEST}).encode("utf8"))
    for name, array in graph_arrays(graph):
        plain = array.astype(array.dtype.newbyteorder("<"))
        found.update(f"{len(name)}:{name}:{plain.dtype.str}:{plain.shape}".encode())
        found.update(plain.tobytes())
    return found.hexdigest()


def _dumped(table: Mapping[str, Any]) -> str:
    return json.dumps(table, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def decode(where: str, text: str, arrays: Mapping[str, Array], origin: Mapping[str, Any]) -> tuple[Graph, str]:
    """(Graph, type of the arithmetic); the digest is left to the caller, who encodes the Graph again.

    Raises :class:`InputError` where the metadata is damaged or of a later version, and
    :class:`~snncc.errors.GraphError` where its network makes no sense."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the snncc metadata is no JSON ({error}); export the file again") from error
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise InputError(f"{where}: the snncc metadata is of another format; export the file again")
    if table.get("version") != VERSION:
        found = str(table.get("version"))[:20]
        raise InputError(f"{where}: the snncc metadata has version {found}; this snncc reads {VERSION}: update snncc")
    dtype = table.get("dtype")
    if dtype not in DTYPES:
        raise InputError(f"{where}: the arithmetic is {str(dtype)[:20]!r}; it must be {' or '.join(DTYPES)}")
    reader = _Reader(where, arrays)
    nodes: dict[str, Node] = {}
    for item in reader.of(list, table.get("nodes"), "nodes"):
        name, node = reader.node(item)
        if name in nodes:
            raise InputError(f"{where}: {name} stands twice in the snncc metadata")
        nodes[name] = node
    edges = [reader.edge(item) for item in reader.of(list, table.get("edges"), "edges")]
    graph_name = reader.value("str", table.get("name"), "name")
    graph = build_graph(nodes, edges, reader.value("int", table.get("time_steps"), "time_steps"), graph_name, origin)
    infer_shapes(graph)
    return graph, str(dtype)


class _Reader:
    """Reads fields by their annotation; anything else is an :class:`InputError` that names the field."""

    def __init__(self, where: str, arrays: Mapping[str, Array]) -> None:
        self.where = where
        self.arrays = arrays

    def of(self, kind: type, value: Any, place: str) -> Any:
        if not isinstance(value, kind):
            raise InputError(f"{self.where}: {place} is {str(value)[:60]!r} in the snncc metadata; no {kind.__name__}")
        return value

    def node(self, item: Any) -> tuple[str, Node]:
        table = self.of(dict, item, "a node")
        name = self.value("str", table.get("name"), "a node's name")
        kind = KINDS.get(str(table.get("type")))
        if kind is None:
            raise InputError(f"{self.where}: {name} is of the unknown type {str(table.get('type'))[:60]!r}")
        given = self.of(dict, table.get("fields"), f"the fields of {name}")
        made = self.fields(name, Dynamics if kind is Neuron else kind, given)
        return name, Neuron(made) if kind is Neuron else made

    def fields(self, name: str, kind: type, given: dict[str, Any]) -> Any:
        known = {f.name: str(f.type) for f in fields(kind)} | ({"seed": "seed"} if kind is Encoder else {})
        given = {k: v for k, v in OPTIONAL.get(kind, {}).items() if k in known} | given
        if set(given) != set(known):
            odd = ", ".join(sorted(set(given) ^ set(known)))
            raise InputError(f"{self.where}: {name} has other fields than a {kind.__name__}: {odd[:80]}")
        return kind(**{key: self.value(what, given[key], f"{name}.{key}") for key, what in known.items()})

    def edge(self, item: Any) -> tuple[str, str, int]:
        if len(self.of(list, item, "an edge")) != 3:
            raise InputError(f"{self.where}: an edge of the snncc metadata is {str(item)[:60]!r}")
        source, target, delay = item
        return (
            self.value("str", source, "an edge"),
            self.value("str", target, "an edge"),
            self.value("int", delay, "an edge"),
        )

    def value(self, what: str, value: Any, place: str) -> Any:
        if what.endswith(" | None"):
            return None if value is None else self.value(what.removesuffix(" | None"), value, place)
        if what in ("Array", "Value", "float | Array") and isinstance(value, dict):
            return self.array(value, place)
        if what in ("Pair", "tuple[int, ...]") and isinstance(value, list):
            if all(_whole(v) for v in value) and (what != "Pair" or len(value) == 2):
                return tuple(value)
        elif what == "Encoder" and isinstance(value, dict):
            return self.fields(place, Encoder, value)
        elif what == _NUMBERS and isinstance(value, list) and all(_number(v) for v in value):
            return tuple(value)
        elif _CHECKS["str" if what.startswith("Literal") else what](value):
            return value
        raise InputError(f"{self.where}: {place} is {str(value)[:60]!r} in the snncc metadata; {what} is expected")

    def array(self, value: dict[str, Any], place: str) -> Array:
        if value != {"initializer": place} or place not in self.arrays:
            raise InputError(f"{self.where}: {place} refers to {str(value)[:60]}, which is no initializer of its own")
        return self.arrays[place]


def _may_be_array(f: Field[Any]) -> bool:
    return "Array" in str(f.type) or "Value" in str(f.type)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_WHOLE


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return isfinite(float(value))
    except OverflowError:
        return False


def _never(value: Any) -> bool:
    return False


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda v: isinstance(v, str),
    "float": _number,
    "Value": _number,
    "float | Array": _number,
    "int": _whole,
    "bool": lambda v: isinstance(v, bool),
    "seed": lambda v: isinstance(v, int) and not isinstance(v, bool),
    _NUMBERS: _number,
    "Encoder": _never,
    "Array": _never,
    "Pair": _never,
    "tuple[int, ...]": _never,
}
