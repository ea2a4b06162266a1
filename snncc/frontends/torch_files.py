"""Files of PyTorch that people have: a bare ``state_dict`` with the code that builds its network, a ``torch.export`` archive
(``.pt2``), and, where the user insists, a whole pickled module.

``arch=package.module:factory`` names the user's own code, which is imported and called without arguments; naming it is the
consent. The file itself stays hostile: from it only tensors are taken. ``unsafe_load=yes`` lets ``torch.load`` do what the
file says, which can be anything. The module becomes a Graph in
:mod:`snncc.frontends.torch_module`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.base import Frontend
from snncc.frontends.checkpoint import (
    FORMAT,
    ObjectsError,
    check_file,
    check_stored,
    check_tensor,
    load_plain,
    zoo_graph,
)
from snncc.frontends.semantics import (
    DIALECT_OPTIONS,
    MAX_TIME_STEPS,
    Semantics,
    collect,
    settled_input,
    settled_output,
    whole,
    yes,
)
from snncc.frontends.semantics import OPTIONS as SEMANTIC_OPTIONS
from snncc.frontends.torch_arch import build_module, fill, one_line, own_code
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import Input, Output
from snncc.ir.shapes import infer_shapes

if TYPE_CHECKING:
    from snncc.frontends.torch_module import Live

OPTIONS: Mapping[str, str] = {
    "arch": "package.module:factory or file.py:factory, your code that builds the network; called without arguments",
    "input_shape": "shape of one sample at one step, such as 1,28,28",
    "example_shape": "shape of what forward takes, with its batch and time axes, where that is not (1, *input_shape)",
    "weights_key": "which entry of a training checkpoint holds the weights",
    "unsafe_load": "yes: load pickled Python objects, which can run anything",
} | {key: text for key, text in SEMANTIC_OPTIONS.items() if key not in ("dialect", "states", *DIALECT_OPTIONS)}
OWN = ("arch", "input_shape", "example_shape", "weights_key", "unsafe_load")
WEIGHT_KEYS = ("state_dict", "model_state_dict", "net_state_dict", "model", "net", "network", "weights")
MAX_INPUT_ELEMENTS = 1 << 24
MAX_RANK = 5


@dataclass(frozen=True)
class Request:
    """What was asked for: this module's own options, and those that say what the network leaves open."""

    own: Mapping[str, str]
    semantics: Semantics

    @property
    def unsafe(self) -> bool:
        """Whether the file's code may run."""
        return yes("--unsafe-load", "unsafe_load", self.own.get("unsafe_load", "no"))


def read_torch_file(path: Path, options: Mapping[str, str]) -> Graph:
    """The Graph of a ``.pt``, ``.pth`` or ``.pt2`` under ``options`` (see :data:`OPTIONS`). Raises
    :class:`~snncc.errors.SnnccError` naming the file, and the option that is missing or wrong."""
    return read_live(path, options).graph


def read_live(path: Path, options: Mapping[str, str]) -> Live:
    """As :func:`read_torch_file`, with the module and how it is called."""
    request = _request(path, options)
    if path.suffix.lower() == ".pt2":
        return _read_export(path, request)
    check_file(path)
    try:
        content = load_plain(path, path)
    except ObjectsError:
        if not request.unsafe:
            raise
        return _graph(path, request, _unpickled(path), "pickled module, loaded unsafely")
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        given = ", ".join(options)
        raise InputError(f"{path}: is a zoo checkpoint, which says everything itself; leave out {given}")
    if "arch" not in request.own:
        zoo_graph(path, content)  # raises, saying what the file is and what to do
    key, state = _state_of(path, content, request.own.get("weights_key"))
    return _with_weights(path, request, state, f"state_dict{f' {key!r}' if key else ''}")


def _request(path: Path, options: Mapping[str, str]) -> Request:
    given = {key.replace("-", "_"): str(value) for key, value in options.items()}
    for key in given:
        if key not in OPTIONS:
            hint = "; a module says how its neurons run" if key in SEMANTIC_OPTIONS else ""
            raise InputError(f"{path}: a PyTorch file has no option {key!r}{hint}; it takes {', '.join(OPTIONS)}")
    semantics = collect(path, {key: value for key, value in given.items() if key not in OWN})
    return Request({key: value for key, value in given.items() if key in OWN}, semantics)


def _read_export(path: Path, request: Request) -> Live:
    from snncc.frontends.torch_pt2 import module_classes, read_weights

    if "arch" in request.own:
        return _with_weights(path, request, read_weights(path), "torch.export archive")
    classes = module_classes(path)
    raise UnsupportedError(
        f"{path}: is an exported program: its neurons ({', '.join(classes[:6]) or 'unnamed'}) are dissolved into tensor "
        "operations, which do not say what a neuron is; and torch.export.load runs pickles from the file, so --unsafe-load "
        "would not help. Say which function or class of your code builds the network, and the weights are taken from here, "
        "safely: --arch package.module:factory"
    )


def _unpickled(path: Path) -> Any:
    """What the file's pickle makes; its code runs."""
    import torch

    with own_code():
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever the file's code raises
            raise InputError(
                f"{path}: its objects cannot be loaded ({one_line(error)}); the modules that define them must be importable "
                "from here. Better: save the state_dict and say --arch package.module:factory"
            ) from error


def read_module(path: Path, arch: str, weights_key: str | None = None) -> Any:
    """The ``torch.nn.Module`` that ``arch`` builds, in evaluation mode, with the weights in ``path``: a state_dict, bare or
    under ``weights_key``, or a ``torch.export`` archive. Raises :class:`InputError` where they do not fit."""
    if path.suffix.lower() == ".pt2":
        from snncc.frontends.torch_pt2 import read_weights

        state: Mapping[str, Any] = read_weights(path)
    else:
        check_file(path)
        _, state = _state_of(path, load_plain(path, path), weights_key)
    with own_code():
        return _filled(path, arch, state).eval()


def _state_of(path: Path, content: Any, key: str | None) -> tuple[str, Mapping[str, Any]]:
    """(key, tensors) of a state_dict, bare or under one of the usual keys of a training checkpoint."""
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a state_dict; save module.state_dict()")
    if key is not None and not isinstance(content.get(key), Mapping):
        raise InputError(f"{path}: has no state_dict under {key!r}; it has {_names(content)}")
    if key is None and not _is_state(content):
        found = [k for k in WEIGHT_KEYS if _is_state(content.get(k))]
        if len(found) != 1:
            which = (
                f"several state_dicts ({', '.join(found)})" if found else f"no state_dict (it has {_names(content)})"
            )
            raise InputError(f"{path}: holds {which}; say where the weights are: --opt weights_key=KEY")
        key = found[0]
    state = content if key is None else content[key]
    for name, tensor in state.items():
        check_tensor(name, tensor)
    if not state:
        raise InputError(f"{path}: its state_dict is empty")
    return key or "", state


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(hasattr(v, "untyped_storage") for v in value.values())


def _names(content: Mapping[Any, Any]) -> str:
    return ", ".join(str(key)[:40] for key in list(content)[:6]) or "nothing"


def _with_weights(path: Path, request: Request, state: Mapping[str, Any], kind: str) -> Live:
    """The user's network with these weights, as a Graph."""
    with own_code():
        return _graph(path, request, _filled(path, request.own["arch"], state), kind)


def _filled(path: Path, arch: str, state: Mapping[str, Any]) -> Any:
    """The user's network with these weights."""
    try:
        check_stored(state, path.stat().st_size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    module = build_module(arch)
    fill(path, arch, module, state)
    return module


def _graph(path: Path, request: Request, module: Any, kind: str) -> Live:
    """A live module and its Graph, with input and readout as the options say."""
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{path}: holds a {type(module).__name__}, not a torch.nn.Module")
    values = request.semantics.values
    given = whole(str(path), "time_steps", values["time_steps"], 1, MAX_TIME_STEPS) if "time_steps" in values else None
    encoding = values.get("input_encoding")
    example = _example(path, request, "0/1" if encoding in (None, "spikes") else "analog")
    convert = _converter(path)
    try:
        live: Live = convert(module.eval(), example, time_steps=given, encoding=encoding)
    except SnnccError as error:
        raise type(error)(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's forward
        raise InputError(
            f"{path}: the network cannot be run on an input of shape {tuple(example.shape)} ({one_line(error)})"
        ) from error
    graph = live.graph
    source, sink = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and isinstance(sink, Output)
    new_source, input_from = settled_input(str(path), request.semantics, source.shape, source)
    new_sink, output_from = settled_output(str(path), request.semantics, graph.time_steps, sink, "module")
    origin = {
        **graph.origin,
        "file": path.name,
        "file_kind": kind,
        "arch": request.own.get("arch"),
        "semantics_from": {
            "time_steps": "module" if given is None else "option",
            **{key: "module" if where == "metadata" else where for key, where in input_from.items()},
            **output_from,
        },
    }
    nodes = {**graph.nodes, graph.input: new_source, graph.output: new_sink}
    made = build_graph(nodes, graph.edges, graph.time_steps, path.stem, origin)
    infer_shapes(made)
    return replace(live, graph=made)


def _converter(path: Path) -> Any:
    try:
        from snncc.frontends.torch_module import live_module
    except ImportError as error:
        raise InputError(f"{path}: modules cannot be read ({error})") from error
    return live_module


def _example(path: Path, request: Request, kind: str) -> Any:
    """What the module's ``forward`` takes: uniform in [0, 1), or 0 and 1, from a fixed seed."""
    import torch

    key = "example_shape" if "example_shape" in request.own else "input_shape"
    text = request.own.get(key)
    if text is None:
        raise InputError(f"{path}: weights do not say how large an input is; say so: --input-shape 1,28,28")
    parts = text.replace("x", ",").strip("(), ").split(",")
    shape = tuple(whole(str(path), key, part.strip(), 1, MAX_INPUT_ELEMENTS) for part in parts)
    if math.prod(shape) > MAX_INPUT_ELEMENTS or len(shape) > MAX_RANK:
        raise InputError(f"{path}: {key} is {text}; the limit is {MAX_INPUT_ELEMENTS:,} elements in {MAX_RANK} axes")
    shape = shape if key == "example_shape" else (1, *shape)
    values = torch.rand(*shape, generator=torch.Generator().manual_seed(0))
    return values.round() if kind == "0/1" else values


def _read_pt2(path: Path, options: Mapping[str, str]) -> Graph:
    return read_torch_file(path, options)


FRONTEND = Frontend(
    name="torch-export",
    suffixes=(".pt2",),
    sniff=lambda path, start: path.suffix.lower() == ".pt2",
    read=_read_pt2,
    description="torch.export archives: the weights, for a network that --arch builds",
)
