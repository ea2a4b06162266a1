"""``snncc.from_torch``: a Graph from a live PyTorch module of snnTorch, SpikingJelly, sinabs, Norse or Rockpool.

The module runs once on an example under a tracer; its layers become nodes, its neurons :class:`~snncc.ir.dynamics.Dynamics`
with the equations of the installed framework; what has no form is an error with its name. The result then runs against the
module itself, on random input, and must give the same spikes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.frontends.torch_neurons import framework_of
from snncc.frontends.torch_run import Calling
from snncc.ir.graph import Edge, Graph, build_graph, readout_neuron
from snncc.ir.nodes import INPUT_ENCODINGS, READOUTS, Input, Neuron, Node, Output
from snncc.ir.shapes import infer_shapes

EIGHT_BITS = 255
SAMPLES, MAX_SAMPLES = 2, 8


def from_torch(
    module: Any,
    example: Any,
    *,
    time_steps: int | None = None,
    encoding: str | None = None,
    scale: float | None = None,
    low: int | None = None,
    high: int | None = None,
    readout: str | None = None,
    name: str | None = None,
    check: bool = True,
) -> Graph:
    """The Graph of a PyTorch module.

    Args:
        module: it may take one step a call (``forward(x)`` with neurons that keep their state, or ``forward(x, *states)``
            returning ``(output, *states)``), all steps a call (multi-step neurons), or loop over time itself.
        example: a tensor as ``module`` takes it, with the batch axis (and the time axis where it takes all steps).
        time_steps: T; taken from the example or the loop where the module has one.
        encoding, scale, low, high: what data the network will get (:class:`~snncc.ir.nodes.Input`). Not given: "static" where the
            module loops over one frame; "spikes" where the example holds whole numbers, else "frames"; range from the
            example's, 1/255 a unit for analog values. What was assumed is in ``origin["input"]["assumed"]``.
        readout: how the result becomes scores (:class:`~snncc.ir.nodes.Output`); not given: the spike count of neurons
            that fire, the membrane of those that do not, else the sum of the last layer's outputs.
        name: of the network; not given: the class's.
        check: end with the parity check, whose result is in ``origin["parity"]``.

    Raises :class:`UnsupportedError` naming the module or function that has no form, :class:`InputError` where options do
    not fit, and :class:`GraphError` where the Graph and the module differ.
    """
    return live_module(
        module, example, time_steps=time_steps, encoding=encoding, scale=scale, low=low, high=high, readout=readout,
        name=name, check=check,
    ).graph  # fmt: skip


@dataclass(frozen=True, eq=False)
class Live:
    """A Graph, the module that it was made of (a copy, in evaluation mode), and how that is called."""

    graph: Graph
    module: Any
    calling: Calling


def live_module(
    module: Any,
    example: Any,
    *,
    time_steps: int | None = None,
    encoding: str | None = None,
    scale: float | None = None,
    low: int | None = None,
    high: int | None = None,
    readout: str | None = None,
    name: str | None = None,
    check: bool = True,
) -> Live:
    """As :func:`from_torch`."""
    import torch

    from snncc.frontends.torch_build import build
    from snncc.frontends.torch_parity import check_parity, copied
    from snncc.frontends.torch_run import reset_states
    from snncc.frontends.torch_tracer import trace

    if not isinstance(module, torch.nn.Module):
        raise InputError(f"from_torch: got {type(module).__name__}; it takes a torch.nn.Module")
    if not isinstance(example, torch.Tensor) or example.ndim < 2:
        raise InputError(
            f"from_torch: the example is {_described(example)}; it takes a tensor (N, …) with its batch axis"
        )
    own = copied(module).cpu()
    example = example.detach().to("cpu", torch.float32)
    reset_states(own)
    network = build(own, trace(own, example))
    reset_states(own)
    shape, steps = _sizes(tuple(example.shape), network, time_steps)
    calling = _calling(network, steps)
    entry, assumed = _input(example.numpy(), shape, calling, (encoding, scale, low, high))
    graph = _assemble(network, entry, steps, name or type(module).__name__, readout)
    origin = {**_origin(own, network, calling, entry, assumed), "stored": _stored(module), **graph.origin}
    parity = {"parity": check_parity(graph, own, calling, _batch(tuple(example.shape), network))} if check else {}
    return Live(replace(graph, origin={**origin, **parity}), own, calling)


def _batch(given: tuple[int, ...], network: Any) -> int:
    """Samples of the parity check: those of the example, which a module may insist on, unless they are many."""
    fixed = next((part.batch for part in network.parts.values() if part.batch), None)
    if fixed is not None or network.layout == "squeezed":
        return fixed or SAMPLES
    size = given[1] if network.layout == "time_batch" else given[0]
    return size if size <= MAX_SAMPLES else SAMPLES


def _assemble(network: Any, entry: Input, steps: int, name: str, readout: str | None) -> Graph:
    """The Graph between its input and its output."""
    from snncc.frontends.torch_build import INPUT

    source, target = (_free(word, network.nodes) for word in ("input", "output"))
    ends = Edge(network.source.name, target, network.source.delay)
    edges = [Edge(source if e.source == INPUT else e.source, e.target, e.delay) for e in (*network.edges, ends)]
    nodes: dict[str, Node] = {source: entry, **network.nodes}
    graph = build_graph({**nodes, target: Output()}, edges, steps, name)
    chosen = _readout(graph, readout, network.reads_membrane)
    origin = {"readout": {"kind": chosen, "assumed": readout is None}}
    graph = build_graph({**nodes, target: Output(readout=chosen)}, edges, steps, name, origin)
    infer_shapes(graph)
    return graph


def _free(word: str, taken: Any) -> str:
    """``word``, or the same with underscores where a layer is called so."""
    while word in taken:
        word += "_"
    return word


def _origin(module: Any, network: Any, calling: Calling, entry: Input, assumed: list[str]) -> dict[str, Any]:
    """Where the network came from and what was taken as given."""
    from torch import nn

    layers = dict(nn.Module.named_modules(module))
    return {
        "format": "torch module",
        "class": f"{type(module).__module__}.{type(module).__qualname__}",
        "frameworks": sorted({str(framework_of(layers[name])) for name in network.parts}),
        "layout": calling.layout,
        "input": {
            "encoding": entry.encoding,
            "scale": entry.scale,
            "low": entry.low,
            "high": entry.high,
            "assumed": assumed,
        },
    }


def _stored(module: Any) -> dict[str, int]:
    """What the module itself holds: numbers to learn, and bytes of those and of its buffers."""
    from torch import nn

    seen, parameters, buffers = set[int](), list[Any](), list[Any]()
    for part in dict(nn.Module.named_modules(module)).values():
        for found, kind in ((parameters, part._parameters), (buffers, part._buffers)):
            found += [x for x in kind.values() if x is not None and id(x) not in seen]
            seen |= {id(x) for x in kind.values()}
    return {
        "parameters": sum(p.numel() for p in parameters),
        "bytes": sum(x.numel() * x.element_size() for x in (*parameters, *buffers)),
    }


def _calling(network: Any, steps: int) -> Calling:
    """How the module takes time."""
    layout = "loop" if network.layout == "step" and network.steps else network.layout
    inner = {name: part.layout for name, part in network.parts.items()}
    return Calling(layout, inner, steps, network.returned)


def _sizes(given: tuple[int, ...], network: Any, wanted: int | None) -> tuple[tuple[int, ...], int]:
    """Shape of one frame, and T."""
    shape = given[2:] if network.layout in ("time_batch", "batch_time") else given[1:]
    stepping = any(part.layout == "step" for part in network.parts.values())
    fixed = network.steps is not None and (
        stepping or network.layout == "step" or any(part.steps for part in network.parts.values())
    )
    if fixed and wanted is not None and wanted != network.steps:
        raise InputError(f"from_torch: time_steps is {wanted}, but the module itself runs {network.steps} steps")
    steps = wanted if wanted is not None else network.steps
    if steps is None:
        raise InputError("from_torch: the module takes one step a call and does not say how many; give time_steps")
    if not shape:
        raise InputError(f"from_torch: the example has shape {given}, which leaves no axis for the data of one step")
    return shape, steps


def _input(
    example: np.ndarray, shape: tuple[int, ...], calling: Calling, given: tuple[Any, Any, Any, Any]
) -> tuple[Input, list[str]]:
    """The input node, and the names of the values that were not given."""
    encoding, scale, low, high = given
    assumed = [key for key, value in zip(("encoding", "scale", "low", "high"), given, strict=True) if value is None]
    whole = bool(np.all(example == np.round(example)))
    if calling.layout == "loop" and encoding not in (None, "static"):
        raise InputError(
            f"from_torch: encoding is {encoding!r}, but the module shows one frame to every step: 'static'"
        )
    if encoding is None:
        encoding = "static" if calling.layout == "loop" else "spikes" if whole else "frames"
    if encoding not in INPUT_ENCODINGS:
        raise InputError(f"from_torch: encoding {encoding!r} is not one of {', '.join(INPUT_ENCODINGS)}")
    if encoding == "spikes":
        scale, most = 1.0 if scale is None else scale, max(1, int(example.max())) if whole else 1
        least = min(0, int(example.min())) if whole else 0
    else:
        scale, most = 1.0 / EIGHT_BITS if scale is None else scale, EIGHT_BITS
        least = -EIGHT_BITS if example.min() < 0 else 0
    return Input(shape, encoding, float(scale), least if low is None else low, most if high is None else high), assumed


def _readout(graph: Graph, wanted: str | None, membrane: bool) -> str:
    """The readout that was asked for, or the one that the last layer suggests."""
    if wanted is not None:
        if wanted not in READOUTS or wanted == "weighted_count":
            raise InputError(f"from_torch: readout {wanted!r} is not one of spike_count, membrane, summed_current")
        return wanted
    neuron = readout_neuron(graph)
    if neuron is None:
        return "summed_current"
    node = graph.nodes[neuron]
    assert isinstance(node, Neuron)
    return "membrane" if membrane or not node.dynamics.fires else "spike_count"


def _described(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if hasattr(value, "shape") else type(value).__name__
