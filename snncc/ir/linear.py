"""The linear and pooling operations of a Graph in NumPy, for arrays (N, C, …) of any number type."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snncc.errors import GraphError
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    MaxPool2d,
    Node,
    Pair,
    Scale,
    Sparse,
    SumPool2d,
)

Array = np.ndarray


def apply_node(node: Node, x: Array) -> Array:
    """What a stateless node makes of ``x`` (N, *shape), in the type of ``x``."""
    match node:
        case Dense():
            return _biased(x @ node.weight.T.astype(x.dtype), node.bias)
        case Conv1d():
            wide = conv2d(
                x[:, :, None, :],
                node.weight[:, :, None, :].astype(x.dtype),
                (1, node.stride),
                (0, node.padding),
                (1, node.dilation),
                node.groups,
            )
            return _biased(wide[:, :, 0, :], node.bias)
        case Conv2d():
            weight = node.weight.astype(x.dtype)
            return _biased(conv2d(x, weight, node.stride, node.padding, node.dilation, node.groups), node.bias)
        case Sparse():
            matrix = sparse_matrix(node).astype(x.dtype)
            return (matrix @ x.reshape(len(x), -1).T).T.reshape(len(x), *node.shape)
        case SumPool2d():
            return windows(x, node.kernel, node.stride, node.padding, (1, 1)).sum(axis=(-2, -1))
        case AvgPool2d():
            total = windows(x, node.kernel, node.stride, node.padding, (1, 1)).sum(axis=(-2, -1))
            return total / np.asarray(node.kernel[0] * node.kernel[1], x.dtype)
        case MaxPool2d():
            return windows(x, node.kernel, node.stride, node.padding, (1, 1), fill=-np.inf).max(axis=(-2, -1))
        case Flatten():
            return x.reshape(len(x), -1)
        case BatchNorm():
            gain, offset = batch_norm_affine(node)
            shape = (-1,) + (1,) * (x.ndim - 2)
            return x * gain.reshape(shape).astype(x.dtype) + offset.reshape(shape).astype(x.dtype)
        case Scale():
            return x * np.asarray(node.factor, x.dtype)
        case Identity():
            return x
    raise GraphError(f"{type(node).__name__} is no stateless node")


def conv2d(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Cross-correlation of ``x`` (N, C, H, W) with ``weight`` (out, C/groups, ky, kx), zero padding, no bias."""
    out, per_group, ky, kx = weight.shape
    patches = windows(x, (ky, kx), stride, padding, dilation)  # (N, C, OH, OW, ky, kx)
    n, _, rows, columns = patches.shape[:4]
    result = np.empty((n, out, rows, columns), x.dtype)
    step = out // groups
    for g in range(groups):
        part = patches[:, g * per_group : (g + 1) * per_group].transpose(0, 2, 3, 1, 4, 5)
        flat = part.reshape(n * rows * columns, per_group * ky * kx)
        kernel = weight[g * step : (g + 1) * step].reshape(step, -1)
        result[:, g * step : (g + 1) * step] = (flat @ kernel.T).reshape(n, rows, columns, step).transpose(0, 3, 1, 2)
    return result


def windows(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, fill: float = 0) -> Array:
    """All windows of ``x`` (N, C, H, W) as a view (N, C, OH, OW, ky, kx) of the padded array."""
    pad = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
    padded = np.pad(x, pad, constant_values=fill) if any(padding) else x
    reach = tuple(dilation[i] * (kernel[i] - 1) + 1 for i in range(2))
    view = sliding_window_view(padded, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def sparse_matrix(node: Sparse):  # type: ignore[no-untyped-def]
    """The map as a ``scipy.sparse.csr_array`` (size_out, size_in)."""
    from scipy.sparse import csr_array

    return csr_array((node.weight, (node.index[0], node.index[1])), shape=(int(np.prod(node.shape)), node.size_in))


def batch_norm_affine(node: BatchNorm) -> tuple[Array, Array]:
    """(gain, offset), each (C,) in float64, with ``y = gain·x + offset``."""
    mean, var, weight, bias = (np.asarray(a, np.float64) for a in (node.mean, node.var, node.weight, node.bias))
    gain = weight / np.sqrt(var + node.eps)
    return gain, bias - mean * gain


def _biased(y: Array, bias: Array | None) -> Array:
    if bias is None:
        return y
    return y + bias.astype(y.dtype).reshape((-1,) + (1,) * (y.ndim - 2))
