"""The HDF5 container of a NIR file, read without trusting it.

Everything is checked before anything is allocated: links that leave the file, virtual data sets, declared sizes,
counts and nesting. What comes out is a plain tree of names, kinds and arrays; what they mean is decided elsewhere.
Layout (NIR 1.0): ``/version``, ``/node`` with ``type``, ``edges`` (n, 2) and ``nodes/NAME/…``. Our own metadata lies
in ``/snncc`` (see :mod:`snncc.frontends.nir_metadata`), where other readers do not look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError, SnnccError
from snncc.frontends.nir_text import TextHeaps, text_heaps

Array = np.ndarray
Parameter = Array | str

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 2 * 2**30
"""All arrays of a file together, uncompressed."""
MAX_NODES = 4_096
MAX_EDGES = 16_384
MAX_DEPTH = 16
"""Graphs inside graphs."""
MAX_KEYS = 64
"""Parameters of one node."""
MAX_NAME = 1024
BOMB_BYTES, BOMB_RATIO = 512 * 2**20, 300
"""From so many bytes on, the arrays of a file may not be more than so many times as large as the file."""
UNSTORED_BYTES = 16 * 2**20
"""A data set that stores nothing (all fill value) may not declare more than this."""


@dataclass(frozen=True, eq=False)
class RawNode:
    """A node as the file has it: its NIR type, its parameters, and for a NIRGraph its nodes and edges."""

    kind: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    nodes: Mapping[str, RawNode] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class RawFile:
    """A whole file: NIR version, the outermost graph, and our metadata (JSON text and arrays) if it has any."""

    version: str
    root: RawNode
    metadata: str | None = None
    arrays: Mapping[str, Array] = field(default_factory=dict)


def read_container(path: Path) -> RawFile:
    """The tree in the HDF5 file at ``path``. Raises :class:`InputError` on anything missing, damaged, foreign or too
    large."""
    head = first_bytes(path)
    if not head.startswith(HDF5_SIGNATURE):
        raise InputError(f"{path.name}: is no HDF5 file (begins with {head!r}), so it is no NIR file; check the path")
    import h5py

    try:
        with text_heaps(path, MAX_BYTES) as heaps, h5py.File(path, "r") as file:
            return TreeReader(path.name, heaps).file(file)
    except SnnccError:
        raise
    except Exception as error:  # h5py reports damage as any of a dozen exceptions
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path.name}: the HDF5 file is damaged or truncated ({detail}); export it again") from error


def first_bytes(path: Path) -> bytes:
    """As many bytes as :data:`HDF5_SIGNATURE` has. Raises :class:`InputError` where ``path`` is no readable file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; a file is needed")
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_SIGNATURE))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


class TreeReader:
    """Walks the HDF5 tree and keeps count of what it has taken in."""

    def __init__(self, where: str, heaps: TextHeaps) -> None:
        self.where = where
        self.heaps = heaps
        self.bytes = 0
        self.count = 0

    def file(self, file: Any) -> RawFile:
        if "node" not in file:
            held = ", ".join(sorted(map(str, file))[:6]) or "nothing"
            raise InputError(f"{self.where}: is an HDF5 file but no NIR file: it holds {held}, and no 'node'")
        version = self.parameter("version", self.child(file, "version")) if "version" in file else "unknown"
        root = self.node("node", self.group(file, "node"), 0)
        if root.kind != "NIRGraph":
            raise InputError(
                f"{self.where}: holds a single {root.kind}, not a NIRGraph; export the network, not one node"
            )
        metadata, arrays = self.own(file)
        return RawFile(str(version), root, metadata, arrays)

    def own(self, file: Any) -> tuple[str | None, Mapping[str, Array]]:
        """Our metadata: JSON text stored as bytes, and numbered arrays."""
        if "snncc" not in file:
            return None, {}
        group = self.group(file, "snncc")
        text = self.parameter("snncc/json", self.child(group, "json"))
        if isinstance(text, str) or text.dtype != np.uint8:
            raise InputError(f"{self.where}: snncc/json is not made of bytes; export the file again with snncc")
        arrays = self.parameters("snncc/arrays", self.group(group, "arrays"), MAX_NODES * MAX_KEYS)
        return bytes(text).decode("utf8"), {k: v for k, v in arrays.items() if not isinstance(v, str)}

    def child(self, group: Any, key: str) -> Any:
        """``group[key]``, refusing links that leave the file or point elsewhere in it."""
        import h5py

        place = f"{self.where}: {group.name}/{key}"
        if key not in group:
            raise InputError(f"{place} is missing; the file is incomplete, export it again")
        if len(key) > MAX_NAME:
            raise InputError(f"{place[:80]}…: a name of {len(key)} characters; the limit is {MAX_NAME}")
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{place} is a {type(link).__name__}; links to other files or places are refused")
        return group[key]

    def group(self, parent: Any, key: str) -> Any:
        import h5py

        found = self.child(parent, key)
        if not isinstance(found, h5py.Group):
            raise InputError(f"{self.where}: {found.name} is a {type(found).__name__}, not a group")
        return found

    def node(self, name: str, group: Any, depth: int) -> RawNode:
        self.count += 1
        if self.count > MAX_NODES:
            raise InputError(f"{self.where}: has more than {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise InputError(f"{self.where}: {name} lies more than {MAX_DEPTH} graphs deep")
        if "type" not in group:
            inside = ", ".join(sorted(map(str, group))[:3]) or "nothing"
            raise InputError(
                f"{self.where}: node {name} has no type (it holds {inside}); "
                "a name with '/' in it breaks a NIR file: rename the node and export again"
            )
        kind = self.parameter(f"{name}/type", self.child(group, "type"))
        if not isinstance(kind, str):
            raise InputError(f"{self.where}: node {name} has a type that is not text")
        if kind != "NIRGraph":
            return RawNode(kind, self.parameters(name, group, MAX_KEYS, skip=("type", "metadata")))
        children = self.group(group, "nodes")
        if len(children) > MAX_NODES:
            raise InputError(f"{self.where}: {name} has {len(children)} nodes; the limit is {MAX_NODES}")
        nodes = {key: self.node(key, self.group(children, key), depth + 1) for key in sorted(children)}
        return RawNode(kind, {}, nodes, self.edges(name, self.child(group, "edges")))

    def edges(self, name: str, dataset: Any) -> tuple[tuple[str, str], ...]:
        shape = getattr(dataset, "shape", None)
        if shape is None or len(shape) != 2 or shape[1] != 2:
            raise InputError(f"{self.where}: {name}/edges has shape {shape}; it must be (edges, 2)")
        if shape[0] > MAX_EDGES:
            raise InputError(f"{self.where}: {name} has {shape[0]} edges; the limit is {MAX_EDGES}")
        self.admit(f"{name}/edges", dataset)
        ends = self.texts(f"{name}/edges", dataset)
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    def texts(self, place: str, dataset: Any) -> list[str]:
        """Texts of fixed or variable length, in order."""
        import h5py

        kind = h5py.check_string_dtype(dataset.dtype)
        if kind is None:
            raise InputError(f"{self.where}: {place} holds {dataset.dtype}; text is expected")
        if kind.length is None:
            return self.heaps.texts(place, dataset)
        return [bytes(item).decode("utf8") for item in np.asarray(dataset[()]).reshape(-1)]

    def parameters(self, name: str, group: Any, limit: int, skip: tuple[str, ...] = ()) -> dict[str, Parameter]:
        import h5py

        if len(group) > limit:
            raise InputError(f"{self.where}: {name} has {len(group)} entries; the limit is {limit}")
        found: dict[str, Parameter] = {}
        for key in sorted(k for k in group if k not in skip):
            item = self.child(group, key)
            if not isinstance(item, h5py.Dataset):
                raise InputError(f"{self.where}: {name}/{key} is a {type(item).__name__}, not a data set")
            if item.shape is not None:  # an empty data set is how None is written
                found[key] = self.parameter(f"{name}/{key}", item)
        return found

    def parameter(self, place: str, dataset: Any) -> Parameter:
        """A numeric array, or a piece of text."""
        import h5py

        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise InputError(f"{self.where}: {place} holds no data")
        self.admit(place, dataset)
        if h5py.check_string_dtype(dataset.dtype) is not None:
            if dataset.shape != ():
                raise InputError(f"{self.where}: {place} is a list of texts; one text or numbers are expected")
            return self.texts(place, dataset)[0]
        if dataset.dtype.kind not in "biuf":
            raise InputError(f"{self.where}: {place} holds {dataset.dtype}; numbers are expected")
        return np.asarray(dataset[()])

    def admit(self, place: str, dataset: Any) -> None:
        """Check the declared size of a data set before it is read."""
        if dataset.is_virtual or dataset.external:
            raise InputError(f"{self.where}: {place} takes its data from another file; that is refused")
        size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
        self.bytes += size
        if self.bytes > MAX_BYTES:
            raise InputError(
                f"{self.where}: {place} brings the arrays to {self.bytes:,} bytes; the limit is {MAX_BYTES:,}"
            )
        stored = len(self.heaps.content)
        if self.bytes > BOMB_BYTES and self.bytes > BOMB_RATIO * stored:
            raise InputError(
                f"{self.where}: {place} brings the arrays to {self.bytes:,} bytes from a file of {stored:,}; "
                "sizes inflated like this are refused"
            )
        if size > UNSTORED_BYTES and dataset.id.get_storage_size() == 0:
            raise InputError(
                f"{self.where}: {place} declares {size:,} bytes and stores none; sizes like this are refused"
            )


def digest(root: RawNode) -> str:
    """SHA-256 of a tree: kinds, names, edges and every parameter bit for bit."""
    state = hashlib.sha256()

    def add(*parts: str) -> None:
        for part in parts:
            data = part.encode()
            state.update(len(data).to_bytes(8, "little") + data)

    def walk(node: RawNode) -> None:
        add(node.kind, *(end for edge in sorted(node.edges) for end in edge))
        for key, value in sorted(node.parameters.items()):
            if isinstance(value, str):
                add(key, value)
            else:
                add(key, value.dtype.str, str(value.shape))
                state.update(np.ascontiguousarray(value).tobytes())
        for key, child in sorted(node.nodes.items()):
            add(key)
            walk(child)

    walk(root)
    return state.hexdigest()
