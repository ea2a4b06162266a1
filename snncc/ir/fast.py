"""Stateless nodes through PyTorch, for float runs over whole data sets.

The sums are those of :mod:`snncc.ir.linear` in another order, so in floating point their last bits may differ.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np

from snncc.ir.linear import apply_node
from snncc.ir.nodes import AvgPool2d, Conv2d, Node, SumPool2d

Array = np.ndarray
MANY_SAMPLES = 500
"""From which on importing PyTorch, a second or two, pays."""


def fast_is_there(samples: int) -> bool:
    """Whether :func:`apply_fast` is quicker than :func:`snncc.ir.linear.apply_node` for so many samples."""
    return torch_there(loaded=samples < MANY_SAMPLES)


def torch_there(loaded: bool = False) -> bool:
    """Whether PyTorch can be imported, or (``loaded``) has been."""
    return "torch" in sys.modules or (not loaded and find_spec("torch") is not None)


def apply_fast(node: Node, x: Array) -> Array:
    """As :func:`snncc.ir.linear.apply_node`."""
    if not isinstance(node, Conv2d | SumPool2d | AvgPool2d) or x.dtype not in (np.float32, np.float64):
        return apply_node(node, x)
    import torch
    from torch.nn import functional

    images = torch.from_numpy(np.ascontiguousarray(x))
    if isinstance(node, Conv2d):
        weight = torch.from_numpy(node.weight.astype(x.dtype))
        bias = None if node.bias is None else torch.from_numpy(node.bias.astype(x.dtype))
        made = functional.conv2d(images, weight, bias, node.stride, node.padding, node.dilation, node.groups)
    else:
        size = 1 if isinstance(node, SumPool2d) else None
        made = functional.avg_pool2d(images, node.kernel, node.stride, node.padding, divisor_override=size)
    result: Array = made.numpy()
    return result
