"""The weights in a ``torch.export`` archive (``.pt2``), read without ``torch.export.load``, which unpickles what it finds.

A ``.pt2`` is a ZIP archive of stored members under one folder: ``models/NAME.json`` (the program),
``data/weights/NAME_weights_config.json`` (name, type, sizes and strides of every tensor) and one raw file a storage. Before
torch 2.8: ``serialized_exported_program.json`` and ``serialized_state_dict.pt``, a file of torch.save. Layout and type
numbers are those of ``torch._export.serde.schema`` and ``torch.export.pt2_archive`` (torch 2.13).
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.frontends.checkpoint import check_archive, check_tensor, load_plain

MAX_JSON_BYTES = 1 << 24
MAX_RANK = 8
CONFIG = "data/weights/model_weights_config.json"
OLD_STATE = ("serialized_state_dict.pt", "data/weights/model.pt")
TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool",
    13: "bfloat16",
}  # fmt: skip


def read_weights(path: Path) -> dict[str, Any]:
    """The parameters and buffers of an exported program by name, as tensors. Raises :class:`InputError`."""
    members = _members(path)
    with _opened(path) as archive:
        config = next((name for name in members if name.endswith(CONFIG)), None)
        if config is not None:
            return _raw_weights(path, archive, config.removesuffix(CONFIG), _json(path, archive, config))
        old = next((name for name in members if name.endswith(OLD_STATE)), None)
        if old is None:
            raise InputError(f"{path}: has no weights that are known (no {CONFIG} and no {OLD_STATE[0]})")
        state = _nested(f"{path}, {old}", _read(path, archive, old))
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: {old} holds a {type(state).__name__}, not a state_dict")
    for name, tensor in state.items():
        check_tensor(name, tensor)
    return dict(state)


def module_classes(path: Path) -> list[str]:
    """Names of the classes of the modules that were exported, as far as the archive tells. Raises :class:`InputError`."""
    members = _members(path)
    with _opened(path) as archive:
        program = next((n for n in members if "/models/" in n or n.endswith("serialized_exported_program.json")), None)
        if program is None:
            raise InputError(f"{path}: is no archive of torch.export (it has no program)")
        content = _read(path, archive, program)
    stacks = re.findall(rb'"nn_module_stack": "([^"\\]{0,2000})"', content)
    names = (part.rsplit(b",", 1)[-1] for stack in stacks for part in stack.split(b";"))
    shown = (name.decode("ascii", "replace") for name in names if not name.startswith((b"torch.nn", b"__main__")))
    return list(dict.fromkeys(name[:80] for name in shown if "." in name))


def _members(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; name an archive of torch.export (.pt2)")
    with path.open("rb") as stream:
        return check_archive(str(path), stream, path.stat().st_size)


def _opened(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _read(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError:
        raise InputError(f"{path}: has no member {name[:80]}; it is damaged") from None
    except Exception as error:  # a damaged member
        raise InputError(f"{path}: {name[:80]} cannot be read ({error}); get the file again") from error


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    content = _read(path, archive, name)
    if len(content) > MAX_JSON_BYTES:
        raise InputError(f"{path}: {name} has {len(content):,} bytes; the limit is {MAX_JSON_BYTES:,}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {name} is no JSON ({error}); get the file again") from error


def _nested(where: str, content: bytes) -> Any:
    check_archive(where, io.BytesIO(content), len(content))
    return load_plain(where, io.BytesIO(content))


def _raw_weights(path: Path, archive: zipfile.ZipFile, root: str, config: Any) -> dict[str, Any]:
    table = config.get("config") if isinstance(config, dict) else None
    if not isinstance(table, dict):
        raise InputError(f"{path}: {CONFIG} has no table 'config'")
    state: dict[str, Any] = {}
    storages: dict[str, Any] = {}  # read once each, however many names share it
    for name, entry in table.items():
        try:
            member, pickled = f"{root}data/weights/{entry['path_name']}", bool(entry["use_pickle"])
            if member not in storages:
                content = _read(path, archive, member)
                storages[member] = _nested(f"{path}, {name}", content) if pickled else bytearray(content)
            state[name] = storages[member] if pickled else _tensor(storages[member], entry["tensor_meta"])
            check_tensor(name, state[name])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}: the tensor {name[:80]} is not described as it should be ({error!r:.200})"
            ) from error
    return state


def _tensor(content: bytearray, meta: Mapping[str, Any]) -> Any:
    """One tensor as its metadata describe it, over its raw little-endian storage."""
    import torch

    if meta["dtype"] not in TYPES:
        raise ValueError(f"type {meta['dtype']!r} is not read; known are {', '.join(TYPES.values())}")
    kind = getattr(torch, TYPES[meta["dtype"]])
    sizes, strides = (_integers(meta[key]) for key in ("sizes", "strides"))
    (offset,) = _integers([meta["storage_offset"]])
    stored = len(content) // kind.itemsize
    last = offset + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True))
    if math.prod(sizes) == 0:
        return torch.empty(sizes, dtype=kind)
    if math.prod(sizes) > stored or last >= stored:
        raise ValueError(f"shape {sizes} with strides {strides} from {offset} leaves the {stored} values stored")
    flat = torch.frombuffer(content, dtype=kind, count=stored)
    return torch.as_strided(flat, sizes, strides, offset)


def _integers(values: Any) -> list[int]:
    numbers = [value["as_int"] for value in values]
    if len(numbers) > MAX_RANK or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise ValueError(f"{str(numbers)[:80]} are no sizes")
    return numbers
