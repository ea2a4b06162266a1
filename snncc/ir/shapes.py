"""Shape inference. Shapes are channel-first, without batch or time; every error names the node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snncc.errors import GraphError
from snncc.ir.dynamics import check_dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import (
    ENCODERS,
    INPUT_ENCODINGS,
    MAX_SEED,
    READOUTS,
    TIE_RULES,
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Encoder,
    Flatten,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Scale,
    Sparse,
    SumPool2d,
)

Shape = tuple[int, ...]
POOLS = (SumPool2d, AvgPool2d, MaxPool2d)
MAX_ELEMENTS = 2**31
"""No single population may be larger: a guard against files with inflated sizes."""


def infer_shapes(graph: Graph) -> dict[str, Shape]:
    """Output shape of every node. Raises :class:`GraphError` naming the node whose inputs do not fit."""
    shapes: dict[str, Shape] = {}
    pending = list(graph.nodes)
    while pending:  # a layer behind a delayed edge stands before its source in the order: a second round knows it
        ready = [name for name in pending if _infer(name, graph, shapes)]
        if not ready:
            raise GraphError(f"{', '.join(pending)}: all inputs come from a loop; the shapes cannot be known")
        pending = [name for name in pending if name not in shapes]
    _time_weights(graph)
    for edge in graph.edges:
        into = input_shape(edge.target, graph, shapes)
        if shapes[edge.source] != into:
            raise GraphError(
                f"{edge.target}: the recurrent edge from {edge.source} brings shape {shapes[edge.source]}, not {into}"
            )
    return {name: shapes[name] for name in graph.nodes}


def _infer(name: str, graph: Graph, shapes: dict[str, Shape]) -> bool:
    """Put the shape of ``name`` into ``shapes`` if that of any of its inputs is there; whether it was."""
    node = graph.nodes[name]
    known = [(e, shapes[e.source]) for e in graph.incoming(name) if e.source in shapes]
    inputs = {shape for _, shape in known}
    if len(inputs) > 1:
        listed = ", ".join(f"{e.source} {shape}" for e, shape in known)
        raise GraphError(f"{name}: its inputs have different shapes ({listed}); edges into one node add up")
    if not inputs and not isinstance(node, Input):
        return False
    shapes[name] = node_shape(name, node, inputs.pop() if inputs else ())
    if int(np.prod(shapes[name], dtype=object)) > MAX_ELEMENTS:
        raise GraphError(f"{name}: has shape {shapes[name]}, more than {MAX_ELEMENTS} elements")
    return True


def input_shape(name: str, graph: Graph, shapes: Mapping[str, Shape]) -> Shape:
    """Shape of what arrives at ``name``: that of its first edge without delay, else of its first edge."""
    edges = graph.incoming(name)
    first = next((e for e in edges if e.delay == 0), edges[0])
    return shapes[first.source]


def node_shape(name: str, node: Node, given: Shape) -> Shape:
    """Output shape of one node for input shape ``given``; checks the node's own arrays too."""
    match node:
        case Input():
            return _input(name, node)
        case Dense():
            return _dense(name, node, given)
        case Conv1d():
            return _conv(name, node, given, (node.stride,), (node.padding,), (node.dilation,))
        case Conv2d():
            return _conv(name, node, given, node.stride, node.padding, node.dilation)
        case Sparse():
            return _sparse(name, node, given)
        case SumPool2d() | AvgPool2d() | MaxPool2d():
            return _pool(name, node, given)
        case Flatten():
            return (int(np.prod(given)),)
        case BatchNorm():
            _batch_norm(name, node, given)
        case Scale():
            _scale(name, node, given)
        case Neuron():
            check_dynamics(name, node.dynamics, given)
        case Output():
            _output(name, node)
    return given


def _input(name: str, node: Input) -> Shape:
    if not node.shape or any(size < 1 for size in node.shape):
        raise GraphError(f"{name}: input shape {node.shape} must have sizes of 1 or more")
    if node.encoding not in INPUT_ENCODINGS:
        raise GraphError(f"{name}: encoding {node.encoding!r} is not one of {', '.join(INPUT_ENCODINGS)}")
    if not (np.isfinite(node.scale) and node.scale > 0):
        raise GraphError(f"{name}: input scale is {node.scale}; it must be above 0")
    if node.low > node.high:
        raise GraphError(f"{name}: input range {node.low}..{node.high} is empty")
    if node.encoder is not None:
        _encoder(name, node, node.encoder)
    return tuple(node.shape)


def _encoder(name: str, node: Input, encoder: Encoder) -> None:
    if node.encoding != "spikes":
        raise GraphError(f"{name}: takes {node.encoding} input; an encoder is for networks that take spikes")
    if encoder.kind not in ENCODERS:
        raise GraphError(f"{name}: encoder {encoder.kind!r} is not one of {', '.join(ENCODERS)}")
    for what in ("gain", "offset"):
        value = np.atleast_1d(getattr(encoder, what))
        if value.shape not in ((1,), (node.shape[0],)) or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
            raise GraphError(
                f"{name}: the encoder's {what} is {getattr(encoder, what)}; a number is needed, or one for each of the "
                f"{node.shape[0]} channels"
            )
    if not (np.isfinite(encoder.scale) and encoder.scale > 0):
        raise GraphError(f"{name}: the encoder's scale is {encoder.scale}; it must be above 0")
    if not isinstance(encoder.seed, int) or not 0 <= encoder.seed <= MAX_SEED:
        raise GraphError(f"{name}: the encoder's seed is {encoder.seed}; a whole number in 0..{MAX_SEED} is needed")
    low = -1 if encoder.signed else 0
    if node.low > low or node.high < 1:
        raise GraphError(f"{name}: the encoder gives {low}..1; the input takes {node.low}..{node.high}")


def _output(name: str, node: Output) -> None:
    if node.readout not in READOUTS:
        raise GraphError(f"{name}: readout {node.readout!r} is not one of {', '.join(READOUTS)}")
    if node.ties not in TIE_RULES:
        raise GraphError(f"{name}: tie rule {node.ties!r} is not one of {', '.join(TIE_RULES)}")
    if (node.readout == "weighted_count") != (node.time_weights is not None):
        raise GraphError(f"{name}: time_weights belong to the readout weighted_count, and it needs them")
    if not isinstance(node.each_step, bool):
        raise GraphError(f"{name}: each_step is {node.each_step!r}; it must be true or false")
    if node.each_step and node.readout == "weighted_count":
        raise GraphError(
            f"{name}: weighted_count adds steps up, but each step has its own answer; read the spike_count"
        )


def _time_weights(graph: Graph) -> None:
    output = graph.nodes[graph.output]
    assert isinstance(output, Output)
    if output.time_weights is not None and len(output.time_weights) != graph.time_steps:
        raise GraphError(
            f"{graph.output}: has {len(output.time_weights)} time weights, but the network runs {graph.time_steps} steps"
        )


def _finite(name: str, what: str, array: np.ndarray) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        raise GraphError(f"{name}: {what} holds {int(bad.sum())} values that are NaN or infinite (of {array.size})")


def _weights(name: str, weight: np.ndarray, bias: np.ndarray | None, axes: int) -> None:
    if weight.ndim != axes or weight.size == 0:
        raise GraphError(f"{name}: weight has shape {weight.shape}; it must have {axes} axes, none empty")
    _finite(name, "weight", weight)
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise GraphError(f"{name}: bias has shape {bias.shape}, but there are {weight.shape[0]} outputs")
        _finite(name, "bias", bias)


def _dense(name: str, node: Dense, given: Shape) -> Shape:
    _weights(name, node.weight, node.bias, 2)
    if len(given) != 1:
        raise GraphError(f"{name}: a dense layer takes a flat input, not shape {given}; put Flatten before it")
    if given[0] != node.weight.shape[1]:
        raise GraphError(f"{name}: input has {given[0]} features, but the weight takes {node.weight.shape[1]}")
    return (node.weight.shape[0],)


def _conv(
    name: str,
    node: Conv1d | Conv2d,
    given: Shape,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Shape:
    axes = len(stride)
    _weights(name, node.weight, node.bias, axes + 2)
    if len(given) != axes + 1:
        raise GraphError(
            f"{name}: a convolution over {axes} axes takes shape (C, {'H, W' if axes == 2 else 'L'}), not {given}"
        )
    out, per_group = node.weight.shape[:2]
    if node.groups < 1 or out % node.groups or given[0] != per_group * node.groups:
        raise GraphError(
            f"{name}: input has {given[0]} channels, but the weight {node.weight.shape} with {node.groups} groups takes "
            f"{per_group * node.groups} and its {out} outputs must divide by the groups"
        )
    sizes = tuple(
        window_count(name, given[1 + i], node.weight.shape[2 + i], stride[i], padding[i], dilation[i])
        for i in range(axes)
    )
    return (out, *sizes)


def _sparse(name: str, node: Sparse, given: Shape) -> Shape:
    if int(np.prod(given)) != node.size_in:
        raise GraphError(f"{name}: input has {int(np.prod(given))} elements, but the map takes {node.size_in}")
    if node.weight.ndim != 1 or node.index.shape != (2, node.weight.size):
        raise GraphError(f"{name}: weight {node.weight.shape} and index {node.index.shape} do not belong together")
    _finite(name, "weight", node.weight)
    size_out = int(np.prod(node.shape))
    if node.weight.size:
        low, (high_out, high_in) = int(node.index.min()), node.index.max(axis=1)
        if low < 0 or high_out >= size_out or high_in >= node.size_in:
            raise GraphError(f"{name}: index reaches ({high_out}, {high_in}) in a map of ({size_out}, {node.size_in})")
    return node.shape


def _pool(name: str, node: SumPool2d | AvgPool2d | MaxPool2d, given: Shape) -> Shape:
    if len(given) != 3:
        raise GraphError(f"{name}: pooling takes shape (C, H, W), not {given}")
    rows, columns = (
        window_count(name, given[1 + i], node.kernel[i], node.stride[i], node.padding[i], 1) for i in range(2)
    )
    return (given[0], rows, columns)


def window_count(name: str, size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows fit along an axis: ``floor((size + 2·padding − dilation·(kernel − 1) − 1) / stride) + 1``."""
    if kernel < 1 or stride < 1 or dilation < 1 or padding < 0:
        raise GraphError(
            f"{name}: kernel {kernel}, stride {stride}, dilation {dilation} must be 1 or more and padding {padding} 0 or more"
        )
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if count < 1:
        raise GraphError(
            f"{name}: a window of {kernel} (dilation {dilation}) does not fit {size} with padding {padding}"
        )
    return count


def _batch_norm(name: str, node: BatchNorm, given: Shape) -> None:
    for what in ("mean", "var", "weight", "bias"):
        array = getattr(node, what)
        if array.shape != given[:1]:
            raise GraphError(f"{name}: {what} has shape {array.shape}, but the input has {given[0]} channels")
        _finite(name, what, array)
    if np.min(node.var) < 0:
        raise GraphError(f"{name}: var is {np.min(node.var):g} at its least; a variance is 0 or more")
    if not node.eps > 0:
        raise GraphError(f"{name}: eps is {node.eps}; it must be above 0")


def _scale(name: str, node: Scale, given: Shape) -> None:
    factor = np.asarray(node.factor, dtype=float)
    _finite(name, "factor", factor)
    try:
        fits = np.broadcast_shapes(factor.shape, given) == given
    except ValueError:
        fits = False
    if not fits:
        raise GraphError(f"{name}: factor has shape {factor.shape}, which does not broadcast to {given}")
