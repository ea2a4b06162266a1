"""Frozen dataclasses to JSON values and back; arrays go into a dictionary beside it, as ``{"array": key}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from snncc.errors import ArtifactError

Array = np.ndarray
_ARRAY_KEY = "array"


def dump_json(value: Any) -> str:
    """JSON with sorted keys and a last newline: the same value, the same bytes."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def encode_record(item: Any, prefix: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The fields of a dataclass; arrays are put into ``arrays`` under ``prefix/field``, dataclasses in it nest."""
    result: dict[str, Any] = {}
    for f in fields(item):
        value = getattr(item, f.name)
        key = f"{prefix}/{f.name}"
        if isinstance(value, np.ndarray):
            arrays[key] = value if value.dtype.kind == "f" else compact(value)
            value = {_ARRAY_KEY: key}
        elif isinstance(value, np.generic):
            value = value.item()
        elif hasattr(value, "__dataclass_fields__"):
            value = encode_record(value, key, arrays)
        result[f.name] = value
    return result


def decode_record(kind: type, item: Any, arrays: Mapping[str, Array], where: str, **nested: Any) -> Any:
    """The dataclass ``kind`` of :func:`encode_record`. ``nested`` gives fields already decoded.

    Raises :class:`ArtifactError` where fields are unknown or arrays missing."""
    known = {f.name for f in fields(kind)}
    if not isinstance(item, dict) or set(item) - known:
        raise ArtifactError(f"{where}: a {kind.__name__} has fields this snncc does not know")
    made: dict[str, Any] = {}
    for key, entry in item.items():
        if key in nested:
            continue
        if isinstance(entry, dict) and set(entry) == {_ARRAY_KEY}:
            if entry[_ARRAY_KEY] not in arrays:
                raise ArtifactError(f"{where}: array {entry[_ARRAY_KEY]!r} is missing")
            array = arrays[entry[_ARRAY_KEY]]
            # the small types of the file would overflow in what works with them
            made[key] = array.astype(np.int64) if array.dtype.kind in "iu" else array
        else:
            made[key] = tuple(entry) if isinstance(entry, list) else entry
    return kind(**made, **nested)


def compact(array: Array) -> Array:
    """The same whole numbers in the smallest signed type that holds them."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return array.astype(dtype)
    return array.astype(np.int64)
