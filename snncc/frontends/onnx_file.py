"""Opens an ONNX file that may be hostile: bounded size, nothing outside of the file, tensors only as long as they say.

protobuf expands what it parses: two bytes can become an empty message of a hundred. So the bytes that are not tensor
data are counted on the wire first, and there may not be many of them; tensor data costs what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.frontends.onnx_emit import TENSOR_TYPES

MAX_FILE_BYTES = 2**31 - 1
MAX_STRUCTURE_BYTES = 1 << 22
"""Of everything but tensor data: 4 MiB, which protobuf can blow up to half a GiB, and not more."""
USUAL_FIELD_BYTES = 8
"""A file of fields that are shorter is not counted to its end, because counting takes a microsecond a field."""
MAX_RANK = 8
_TENSOR_DATA = (7, 5, 9)  # ModelProto.graph → GraphProto.initializer → TensorProto.raw_data
_TYPED_DATA = {1: "float_data", 6: "int32_data", 7: "int64_data", 11: "double_data"}
"""Where small tensors of these types may lie instead of in raw_data; it counts as structure."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def need_onnx(where: str) -> None:
    """Raise :class:`InputError` where onnx is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise InputError(f"{where}: reading and writing ONNX needs onnx: pip install 'snncc[onnx]'") from error


def read_model(path: Path) -> Any:
    """The ModelProto in ``path``. Raises :class:`InputError` where it is missing, too large, damaged, or refers to data
    outside of the file."""
    need_onnx(str(path))
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    structure = structure_bytes(data)
    if structure > MAX_STRUCTURE_BYTES:
        raise InputError(
            f"{path}: has {structure:,} bytes besides the raw data of its initializers; the limit is "
            f"{MAX_STRUCTURE_BYTES:,}: store weights as initializers"
        )
    try:
        model = ModelProto.FromString(data)
    except (DecodeError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: is no ONNX model, or a damaged one ({error})") from error
    if not model.graph.node:
        raise InputError(f"{path}: is no ONNX model: it holds no network")
    return model


def structure_bytes(data: bytes) -> int:
    """Bytes of the file that are not raw data of initializers. Where the wire format is broken, everything counts: the
    parser then refuses it, or it is short."""
    view = memoryview(data)
    tensors = 0
    budget = MAX_STRUCTURE_BYTES
    levels = [(0, len(data), 0)]
    while levels:
        start, end, level = levels.pop()
        for number, first, last in _fields(view, start, end):
            budget -= USUAL_FIELD_BYTES
            if budget < 0:
                return len(data)
            if number != _TENSOR_DATA[level]:
                continue
            if level == len(_TENSOR_DATA) - 1:
                tensors += last - first
            else:
                levels.append((first, last, level + 1))
    return len(data) - tensors


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, start, end) of the fields in data[at:end], where end is start unless a length is given; stops where
    the format is broken."""
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                return
            yield key >> 3, at, at + length
            at += length
        elif wire == _VARINT:
            _, at = _varint(data, at, end)
            yield key >> 3, at, at
        elif wire in (_FIXED32, _FIXED64):
            at += 4 if wire == _FIXED32 else 8
            yield key >> 3, at, at
        else:
            return


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """(value, next position); a value that does not end is made as long as the data, which stops the caller."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    return _BYTES | (len(data) + 1) << 3, end


def initializer_arrays(where: str, model: Any) -> dict[str, np.ndarray]:
    """The initializers by name, bit for bit. Raises :class:`InputError` for data outside of the file, unknown types,
    and sizes that do not fit the data."""
    if model.graph.sparse_initializer:
        raise InputError(f"{where}: holds sparse initializers, which are not read; store them dense")
    arrays: dict[str, np.ndarray] = {}
    for held in model.graph.initializer:
        if held.name in arrays:
            raise InputError(f"{where}: the initializer {held.name[:60]!r} stands twice")
        arrays[held.name] = tensor_array(where, held)
    return arrays


def tensor_array(where: str, held: Any) -> np.ndarray:
    """One TensorProto, bit for bit; errors as :func:`initializer_arrays`."""
    name = held.name[:60]
    if held.data_location or held.external_data:
        raise InputError(f"{where}: {name!r} lies outside of the file; save the model with its weights inside")
    kinds = {number: kind for kind, number in TENSOR_TYPES.items()}
    if held.data_type not in kinds:
        raise InputError(f"{where}: {name!r} has the tensor type {held.data_type}; float and integer types are read")
    dtype = np.dtype("<" + kinds[held.data_type])
    shape = tuple(held.dims)
    if len(shape) > MAX_RANK or any(size < 0 for size in shape):
        raise InputError(f"{where}: {name!r} has the shape {shape[:9]}; up to {MAX_RANK} sizes of 0 or more are read")
    typed = getattr(held, _TYPED_DATA.get(held.data_type, ""), None)
    if typed and not held.raw_data and len(typed) == prod(shape):
        return np.array(typed, dtype.newbyteorder("=")).reshape(shape)
    if prod(shape) * dtype.itemsize != len(held.raw_data):
        raise InputError(
            f"{where}: {name!r} has shape {shape} of {dtype}, but {len(held.raw_data):,} bytes of raw data"
        )
    array = np.frombuffer(held.raw_data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))
