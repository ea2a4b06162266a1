"""The affine layers of a stage as PyTorch modules, and inputs as PyTorch networks take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.chain import Chain
from snncc.errors import UnsupportedError
from snncc.ir.nodes import AvgPool2d, BatchNorm, Conv2d, Dense, Flatten, Node, SumPool2d

Array = np.ndarray


def affine(layers: Sequence[Node]) -> nn.Sequential:
    """The layers in float32. Raises :class:`UnsupportedError` for one that is not among them."""
    return nn.Sequential(*(_module(node) for node in layers)).eval()


def linear(weight: Array, bias: Array | None = None) -> nn.Linear:
    """A dense layer with this weight (out, in)."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    _fill(made, weight, bias)
    return made


def real_inputs(chain: Chain, inputs: Array, dtype: torch.dtype) -> Tensor:
    """The values that integer inputs stand for, on the axes that they have."""
    return (torch.from_numpy(np.ascontiguousarray(inputs)).float() * chain.scale).to(dtype)


def _module(node: Node) -> nn.Module:
    match node:
        case Conv2d():
            out, per_group, *kernel = node.weight.shape
            made = nn.Conv2d(
                per_group * node.groups, out, tuple(kernel), node.stride, node.padding, node.dilation, node.groups,
                node.bias is not None,
            )  # fmt: skip
            _fill(made, node.weight, node.bias)
            return made
        case Dense():
            return linear(node.weight, node.bias)
        case AvgPool2d():
            return nn.AvgPool2d(node.kernel, node.stride, node.padding)
        case SumPool2d():
            return nn.AvgPool2d(node.kernel, node.stride, node.padding, divisor_override=1)
        case Flatten():
            return nn.Flatten()
        case BatchNorm():  # behind a pooling, where it does not fold into the convolution
            return _batch_norm(node)
    raise UnsupportedError(f"a {type(node).__name__} layer is not among those that the frameworks are given")


def _batch_norm(node: BatchNorm) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(len(node.mean), node.eps)
    with torch.no_grad():
        for tensor, array in (
            (made.running_mean, node.mean), (made.running_var, node.var), (made.weight, node.weight), (made.bias, node.bias)
        ):  # fmt: skip
            assert tensor is not None
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array, np.float32)))
    return made


def _fill(module: nn.Conv2d | nn.Linear, weight: Array, bias: Array | None) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight, np.float32)))
        if bias is not None:
            assert module.bias is not None
            module.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias, np.float32)))
