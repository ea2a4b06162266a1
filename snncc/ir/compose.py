"""One linear node for two in a row: ``compose(first, second)`` gives a node that does what both do, biases aside.

Where the two have a common form (pooling before a convolution, a gain before or after one) the result keeps it, so that
weights stay shared; anything else becomes a :class:`~snncc.ir.nodes.Sparse` map. All results are exact in real numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.linear import batch_norm_affine, sparse_matrix
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Node,
    Scale,
    Sparse,
    SumPool2d,
)
from snncc.ir.shapes import Shape, node_shape

Array = np.ndarray
LINEAR = (Dense, Conv1d, Conv2d, Sparse, SumPool2d, AvgPool2d, Flatten, BatchNorm, Scale, Identity)
"""Node types that are linear up to a constant offset."""
MAX_SYNAPSES = 2**28
"""No composed map may hold more non-zero weights: 256 Mi."""


def without_bias(node: Node) -> Node:
    """The node without its bias."""
    return replace(node, bias=None) if isinstance(node, Dense | Conv1d | Conv2d) else node


def compose(name: str, first: Node, second: Node, given: Shape) -> Node:
    """A node equal to ``second(first(x))`` for ``x`` of shape ``given``, offsets left out. A Dense that comes out of it, or
    goes in as ``first``, takes ``x`` flattened."""
    middle = (len(first.weight),) if isinstance(first, Dense) else node_shape(name, first, given)
    first, second = without_bias(_channelwise(first, given)), without_bias(_channelwise(second, middle))
    for trivial, other in ((first, second), (second, first)):
        if isinstance(trivial, Identity):
            return other
    if isinstance(first, Flatten) and isinstance(second, Dense):
        return second
    if isinstance(second, Scale):
        scaled = scale_outputs(first, second.factor, middle)
        if scaled is not None:
            return scaled
    if isinstance(first, Scale):
        scaled = scale_inputs(second, first.factor, given)
        if scaled is not None:
            return scaled
    if isinstance(first, SumPool2d | AvgPool2d) and isinstance(second, Conv2d):
        pooled = pool_then_conv(first, second, given)
        if pooled is not None:
            return pooled
    if isinstance(first, Conv2d) and isinstance(second, Conv2d):
        joined = conv_then_conv(first, second)
        if joined is not None:
            return joined
    matrix = node_matrix(name, second, middle) @ node_matrix(name, first, given)
    if matrix.nnz > MAX_SYNAPSES:
        raise UnsupportedError(
            f"{name}: the layers before it merge into {matrix.nnz:,} synapses, limit {MAX_SYNAPSES:,}"
        )
    return matrix_node(matrix, node_shape(name, second, middle))


def matrix_node(matrix, shape: Shape) -> Dense | Sparse:  # type: ignore[no-untyped-def]
    """A Dense node where the map is full and its output flat, else a Sparse one."""
    if len(shape) == 1 and matrix.nnz > 0.25 * matrix.shape[0] * matrix.shape[1]:
        return Dense(matrix.toarray())
    matrix.sum_duplicates()
    coo = matrix.tocoo()
    keep = coo.data != 0
    index = np.stack([coo.row[keep], coo.col[keep]]).astype(np.int64)
    order = np.lexsort(index[::-1])
    return Sparse(coo.data[keep][order], index[:, order], shape, matrix.shape[1])


def depthwise(pool: SumPool2d | AvgPool2d, channels: int) -> Conv2d:
    """Pooling as a convolution of each channel by itself, with equal weights."""
    weight = np.full((channels, 1, *pool.kernel), share(pool))
    return Conv2d(weight, None, pool.stride, pool.padding, (1, 1), channels)


def share(pool: SumPool2d | AvgPool2d) -> float:
    """What a pooled value counts: 1 in a sum, 1 over the window's size in an average."""
    return 1.0 / (pool.kernel[0] * pool.kernel[1]) if isinstance(pool, AvgPool2d) else 1.0


def pool_then_conv(pool: SumPool2d | AvgPool2d, conv: Conv2d, given: Shape) -> Conv2d | None:
    """A strided convolution with each kernel weight repeated over the pooling window; None where that is not exact.

    ``conv(pool(x))[p] = Σ_k w[k] Σ_d x[s·(p·t + k) + d]``: kernel s·k + d, stride s·t, padding s·q. Exact where windows
    do not overlap (kernel = stride), the pool has no padding, the convolution no dilation, and either the convolution
    has no padding or no row or column is left over by the pooling (its padding would see it).
    """
    if pool.kernel != pool.stride or any(pool.padding) or conv.dilation != (1, 1):
        return None
    if any(q and size % s for q, size, s in zip(conv.padding, given[1:], pool.stride, strict=True)):
        return None
    weight = np.repeat(np.repeat(conv.weight, pool.kernel[0], axis=2), pool.kernel[1], axis=3)
    if isinstance(pool, AvgPool2d):
        weight = weight / (pool.kernel[0] * pool.kernel[1])
    (sy, sx), (ty, tx), (qy, qx) = pool.stride, conv.stride, conv.padding
    return Conv2d(weight, None, (sy * ty, sx * tx), (sy * qy, sx * qx), (1, 1), conv.groups)


def conv_then_conv(first: Conv2d, second: Conv2d) -> Conv2d | None:
    """One convolution for two in a row, such as a pooling of currents behind a layer; None where that is not exact.

    ``y[p] = Σ_k w₂[k] Σ_j w₁[j] x[s₁(s₂·p + d₂·k) + d₁·j − q₁]``: weight ``Σ w₂[k] w₁[j]`` at ``s₁·d₂·k + d₁·j``, stride s₁·s₂,
    padding q₁. Exact where the second has no padding, which would stand for outputs of the first that are not 0; channels
    must be all mixed by both, or each pass through the second on its own.
    """
    alone = second.weight.shape[1] == 1 and second.groups == len(second.weight) == len(first.weight)
    if any(second.padding) or not (alone or first.groups == second.groups == 1):
        return None
    (sy, sx), (dy, dx), (ey, ex) = first.stride, first.dilation, second.dilation
    ky, kx = ((n - 1) * d + 1 for n, d in zip(first.weight.shape[2:], first.dilation, strict=True))
    my, mx = second.weight.shape[2:]
    shape = (len(second.weight), first.weight.shape[1], (my - 1) * ey * sy + ky, (mx - 1) * ex * sx + kx)
    weight = np.zeros(shape, np.result_type(first.weight, second.weight))
    for y in range(my):
        for x in range(mx):
            tap = second.weight[:, :, y, x]
            part = first.weight * tap[:, :, None, None] if alone else np.tensordot(tap, first.weight, 1)
            top, left = y * ey * sy, x * ex * sx
            weight[:, :, top : top + ky : dy, left : left + kx : dx] += part
    stride = (sy * second.stride[0], sx * second.stride[1])
    return Conv2d(weight, None, stride, first.padding, (1, 1), first.groups)


def scale_outputs(node: Node, factor: float | Array, shape: Shape) -> Node | None:
    """``node`` with its outputs (of ``shape``) times ``factor``; None where its form cannot hold that."""
    full = np.asarray(factor, np.float64)
    if isinstance(node, Dense):
        return Dense(node.weight * np.broadcast_to(full, shape)[:, None])
    if isinstance(node, Conv1d | Conv2d):
        gain = per_channel(full, shape)
        if gain is None:
            return None
        return replace(node, weight=node.weight * gain.reshape((-1,) + (1,) * (node.weight.ndim - 1)), bias=None)
    if isinstance(node, Scale):
        return Scale(np.asarray(node.factor, np.float64) * full)
    if isinstance(node, Sparse):
        return replace(node, weight=node.weight * np.broadcast_to(full, shape).reshape(-1)[node.index[0]])
    return None


def scale_inputs(node: Node, factor: float | Array, given: Shape) -> Node | None:
    """``node`` for inputs (of shape ``given``) times ``factor``; None where its form cannot hold that."""
    full = np.asarray(factor, np.float64)
    if isinstance(node, Dense):
        return Dense(node.weight * np.broadcast_to(full, given).reshape(1, -1))
    if isinstance(node, Conv1d | Conv2d):
        gain = per_channel(full, given)
        if gain is None:
            return None
        inputs = gain.reshape(node.groups, 1, node.weight.shape[1])
        grouped = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
        grouped = grouped * inputs.reshape(node.groups, 1, -1, *(1,) * (node.weight.ndim - 2))
        return replace(node, weight=grouped.reshape(node.weight.shape), bias=None)
    if isinstance(node, Sparse):
        return replace(node, weight=node.weight * np.broadcast_to(full, given).reshape(-1)[node.index[1]])
    return None


def per_channel(factor: Array, shape: Shape) -> Array | None:
    """(C,) where ``factor`` over ``shape`` is constant within each channel, else None."""
    flat = np.broadcast_to(factor, shape).reshape(shape[0], -1)
    return flat[:, 0].copy() if (flat == flat[:, :1]).all() else None


def node_matrix(name: str, node: Node, given: Shape):  # type: ignore[no-untyped-def]
    """The linear part of a node as a ``scipy.sparse.csr_array`` (size_out, size_in) in float64."""
    from scipy import sparse

    size = int(np.prod(given))
    match node:
        case Dense():
            return sparse.csr_array(node.weight.astype(np.float64))
        case Sparse():
            return sparse_matrix(node).astype(np.float64)
        case Scale():
            return sparse.csr_array(
                sparse.diags_array(np.broadcast_to(node.factor, given).astype(np.float64).reshape(-1))
            )
        case Flatten() | Identity():
            return sparse.csr_array(sparse.eye_array(size))
        case Conv1d():
            wide = Conv2d(
                node.weight[:, :, None, :], None, (1, node.stride), (0, node.padding), (1, node.dilation), node.groups
            )
            return _conv_matrix(name, wide, (given[0], 1, given[1]))
        case Conv2d():
            return _conv_matrix(name, node, given)
        case SumPool2d() | AvgPool2d():
            ones = np.ones((given[0], 1, *node.kernel))
            weight = ones / (node.kernel[0] * node.kernel[1]) if isinstance(node, AvgPool2d) else ones
            return _conv_matrix(name, Conv2d(weight, None, node.stride, node.padding, (1, 1), given[0]), given)
    raise UnsupportedError(f"{name}: {type(node).__name__} is not linear")


def _conv_matrix(name: str, node: Conv2d, given: Shape):  # type: ignore[no-untyped-def]
    from scipy import sparse

    out, rows, columns = node_shape(name, node, given)
    per_group, ky, kx = node.weight.shape[1:]
    o, c, y, x, r, q = np.ix_(*(np.arange(n) for n in (out, per_group, ky, kx, rows, columns)))
    source_row = r * node.stride[0] + y * node.dilation[0] - node.padding[0]
    source_column = q * node.stride[1] + x * node.dilation[1] - node.padding[1]
    channel = (o // (out // node.groups)) * per_group + c
    value = node.weight[:, :, :, :, None, None].astype(np.float64)
    inside = (source_row >= 0) & (source_row < given[1]) & (source_column >= 0) & (source_column < given[2])
    keep = inside & (value != 0)
    if keep.size > MAX_SYNAPSES:
        raise UnsupportedError(f"{name}: unrolls into {keep.size:,} synapses, limit {MAX_SYNAPSES:,}")
    full = keep.shape
    target = np.broadcast_to((o * rows + r) * columns + q, full)[keep]
    source = np.broadcast_to((channel * given[1] + source_row) * given[2] + source_column, full)[keep]
    data = np.broadcast_to(value, full)[keep]
    return sparse.csr_array((data, (target, source)), shape=(out * rows * columns, int(np.prod(given))))


def _channelwise(node: Node, given: Shape) -> Node:
    """Batch norm as a Scale whose factor has the rank of the shape."""
    if isinstance(node, BatchNorm):
        gain, _ = batch_norm_affine(node)
        return Scale(gain.reshape((-1,) + (1,) * (len(given) - 1)))
    return node
