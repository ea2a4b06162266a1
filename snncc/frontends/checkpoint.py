"""Reader of zoo checkpoints: a file of ``torch.save`` that carries its architecture as plain data beside its weights.

The file is hostile until shown otherwise: only plain data and tensors are unpickled (``weights_only=True``), and sizes
are checked against the file before anything is allocated. The format is described in ``snncc.models.checkpoint``, which
writes it; this reader needs nothing of that package.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from snncc.errors import GraphError, InputError, UnsupportedError
from snncc.files import check_directory
from snncc.frontends.base import Frontend
from snncc.frontends.description import graph_of
from snncc.ir.graph import Graph

FORMAT = "snncc-checkpoint"
VERSION = 1
ZIP_MAGIC = b"PK\x03\x04"
MAX_FILE_BYTES = 1 << 31
MAX_PICKLE_BYTES = 1 << 20  # of the part that is not tensors; a byte of it can take 300 in memory
ALLOCATES = b"\nbytearray\n"  # a name that weights_only allows, and which takes and clears any size at once
MAX_PLAIN_VALUES = 1_000_000  # numbers, texts and lists in the architecture and the training record
MAX_NESTING = 12
FLOAT_TYPES = ("torch.float16", "torch.bfloat16", "torch.float32", "torch.float64")


def read_checkpoint(path: Path, options: Mapping[str, str] | None = None) -> Graph:
    """The Graph of a zoo checkpoint; node names are its layer names, with "input" and "output".

    With the options of :mod:`snncc.frontends.torch_files` (``arch``, ``unsafe_load``) other files of torch.save are read too.
    Raises :class:`InputError` where the file is missing, damaged, foreign, or holds what is not allowed, and
    :class:`GraphError` where its network makes no sense. Both name the file and the layer.
    """
    check_file(path)
    if options:
        from snncc.frontends.torch_files import read_torch_file

        return read_torch_file(path, options)
    return zoo_graph(path, load_plain(path, path))


def zoo_graph(path: Path, content: Any) -> Graph:
    """The Graph of what :func:`load_plain` gave for a zoo checkpoint; raises as :func:`read_checkpoint`."""
    description, arrays = zoo_parts(path, content)
    origin = {"format": "zoo checkpoint", "file": path.name, "training": content.get("training", {})}
    try:
        return graph_of(description, arrays, origin)
    except (InputError, GraphError, UnsupportedError) as error:
        raise type(error)(f"{path}: {error}") from error


def zoo_parts(path: Path, content: Any) -> tuple[Mapping[str, Any], dict[str, np.ndarray]]:
    """(description, arrays) of what :func:`load_plain` gave for a zoo checkpoint: plain data of bounded size and float
    arrays, but not yet a network that makes sense. Raises :class:`InputError`."""
    _check_format(path, content)
    try:
        for part in ("network", "training"):
            _check_plain(part, content.get(part, {}))
        check_stored(content.get("state_dict"), path.stat().st_size)
        arrays = _arrays(content.get("state_dict"))
        if not isinstance(content.get("network"), Mapping):
            raise InputError("has no architecture ('network')")
        return content["network"], arrays
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error


def check_file(path: Path) -> None:
    """Raise unless ``path`` is a ZIP file of plausible size whose members are not compressed, as torch writes it."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise InputError(f"{path}: {what}; name a checkpoint (.pt)")
    try:
        with path.open("rb") as stream:
            names = check_archive(str(path), stream, path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not any(name.endswith("data.pkl") for name in names):
        raise InputError(f"{path}: is a ZIP archive but no file of torch.save (it has no data.pkl)")


def check_archive(where: str, stream: IO[bytes], size: int) -> list[str]:
    """The member names of a ZIP archive of ``size`` bytes as torch writes it. Raises :class:`InputError` where it is none, is
    damaged, or would take more memory than it has bytes."""
    if size > MAX_FILE_BYTES:
        raise InputError(f"{where}: has {size:,} bytes; the limit is {MAX_FILE_BYTES:,}")
    start = stream.read(len(ZIP_MAGIC))
    if start != ZIP_MAGIC:
        found = f"it starts with {start.hex()}" if start else "it is empty"
        raise InputError(f"{where}: is no checkpoint ({found}, not with the ZIP mark of torch.save since 1.6)")
    check_directory(where, stream)
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except Exception as error:  # BadZipFile, OSError, UnicodeDecodeError, struct.error … of a damaged directory
        raise InputError(f"{where}: is cut short or damaged ({error}); get the file again") from error
    if any("/code/" in m.filename or m.filename.endswith("/constants.pkl") for m in members):
        raise InputError(
            f"{where}: is a TorchScript archive, a program without its modules; save the module's state_dict and say --arch"
        )
    declared = sum(m.file_size for m in members)
    if any(m.compress_type != zipfile.ZIP_STORED for m in members) or declared > size:
        raise InputError(f"{where}: would unpack to {declared:,} bytes from {size:,}; torch.save never compresses")
    pickle_size = max((m.file_size for m in members if m.filename.endswith(".pkl")), default=0)
    if pickle_size > MAX_PICKLE_BYTES:
        raise InputError(f"{where}: has {pickle_size:,} bytes besides its tensors; the limit is {MAX_PICKLE_BYTES:,}")
    if _allocates(where, stream, members):
        raise InputError(f"{where}: makes byte arrays, which no weights need; save plain data and tensors only")
    return [m.filename for m in members]


def _allocates(where: str, stream: IO[bytes], members: list[zipfile.ZipInfo]) -> bool:
    """Whether a pickle among the members, whose sizes were checked, would make byte arrays."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(ALLOCATES in archive.read(m) for m in members if m.filename.endswith(".pkl"))
    except Exception as error:  # a damaged member
        raise InputError(f"{where}: is cut short or damaged ({error}); get the file again") from error


def load_plain(where: object, source: Path | IO[bytes]) -> Any:
    """What torch.save wrote, tensors and plain data only. Raises :class:`InputError`; the archive must have been checked."""
    try:
        import torch
    except ImportError as error:
        raise InputError(f"{where}: reading a checkpoint needs PyTorch: pip install 'snncc[torch]'") from error
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file provokes in torch
        text = str(error)
        if "weights_only" in text.lower() or "unsupported global" in text.lower():
            raise ObjectsError(
                f"{where}: holds Python objects or code, which are never loaded from a file; "
                "save plain data and tensors only (a zoo checkpoint, or a state_dict with --arch). "
                "Only if you trust whoever made it: --unsafe-load runs what it holds"
            ) from error
        line = text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__
        raise InputError(f"{where}: cannot be read by torch ({line}); the file is damaged") from error


class ObjectsError(InputError):
    """A file that holds more than plain data and tensors."""


def _check_format(path: Path, content: Any) -> None:
    """Raise unless ``content`` says that it is a checkpoint of the version that is read here."""
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a zoo checkpoint ('format': {FORMAT!r})")
    if content.get("format") != FORMAT:
        keys = ", ".join(str(key)[:40] for key in list(content)[:4])
        if content and all(hasattr(value, "untyped_storage") for value in content.values()):
            raise InputError(
                f"{path}: is a bare state_dict ({len(content)} tensors: {keys} …): weights without an architecture. "
                "Say which function or class of your code builds the network: --arch package.module:factory"
            )
        raise InputError(
            f"{path}: is no zoo checkpoint: it has no 'format' {FORMAT!r} (it has {keys or 'nothing'})"
            "; where it holds the weights of your own network, say --arch package.module:factory"
        )
    if content.get("version") != VERSION:
        raise InputError(
            f"{path}: is a checkpoint of version {str(content.get('version'))[:20]}; this snncc reads version {VERSION}"
        )


def _check_plain(what: str, value: Any) -> None:
    """Raise unless ``value`` is a tree of plain data of bounded size; a list that a file repeats by reference counts
    each time, because whoever walks it pays each time."""
    left = MAX_PLAIN_VALUES
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MAX_NESTING:
            raise InputError(f"{what}: holds over {MAX_PLAIN_VALUES:,} values or {MAX_NESTING} levels of nesting")
        if isinstance(current, Mapping):
            if not all(isinstance(key, str) for key in current):
                raise InputError(f"{what}: has a field whose name is no text")
            waiting += [(item, depth + 1) for item in current.values()]
        elif isinstance(current, list | tuple):
            if len(current) > left:
                raise InputError(f"{what}: holds over {MAX_PLAIN_VALUES:,} values")
            waiting += [(item, depth + 1) for item in current]
        elif not (current is None or isinstance(current, bool | int | float | str)):
            raise InputError(f"{what}: holds a {type(current).__name__}; only numbers, text, lists and tables belong")


def _arrays(state: Any) -> dict[str, np.ndarray]:
    """The float tensors of a state_dict as NumPy arrays; 16-bit floats become 32-bit ones, which changes no value."""
    if not isinstance(state, Mapping):
        raise InputError("has no weights ('state_dict')")
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        check_tensor(name, tensor)
        if str(tensor.dtype) not in FLOAT_TYPES:
            if name.endswith("num_batches_tracked"):
                continue
            raise InputError(f"{_layer(name)}: {name} is {tensor.dtype}; weights are float32 or float64")
        wide = tensor.detach().float() if str(tensor.dtype) in FLOAT_TYPES[:2] else tensor.detach()
        arrays[name] = np.array(wide.numpy())
    return arrays


def check_tensor(name: Any, tensor: Any) -> None:
    """Raise :class:`InputError` unless this is a plain tensor whose storage holds what its shape claims."""
    if not isinstance(name, str) or not hasattr(tensor, "untyped_storage"):
        raise InputError(f"state_dict: {str(name)[:60]} is a {type(tensor).__name__}; only tensors belong there")
    if str(tensor.layout) != "torch.strided" or tensor.device.type != "cpu" or tensor.is_quantized:
        raise InputError(f"{_layer(name)}: {name} is a {tensor.layout} tensor on {tensor.device}; store it plainly")
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > stored:
        shape = tuple(tensor.shape)
        raise InputError(f"{_layer(name)}: {name} claims shape {shape} but the file stores {stored} bytes")


def check_stored(state: Any, size: int) -> None:
    """Raise :class:`InputError` where tensors take more memory than their file has bytes: they were made, not stored."""
    if not isinstance(state, Mapping):
        return
    plain = [t for t in state.values() if str(getattr(t, "layout", "")) == "torch.strided"]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in plain}
    if sum(storages.values()) > size:
        raise InputError(f"state_dict: takes {sum(storages.values()):,} bytes of memory, but its file has {size:,}")


def _layer(tensor_name: str) -> str:
    return tensor_name.rpartition(".")[0] or tensor_name


SUFFIXES = (".pt", ".pth")
FRONTEND = Frontend(
    name="checkpoint",
    suffixes=SUFFIXES,
    sniff=lambda path, start: (
        path.suffix.lower() in SUFFIXES
    ),  # a damaged one too, so that the message says what is wrong
    read=read_checkpoint,
    description="zoo checkpoints (architecture and weights in one file of torch.save), or a state_dict with --arch",
)
