"""Nodes through PyTorch against the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.ir.linear import apply_node
from snncc.ir.nodes import AvgPool2d, Conv2d, MaxPool2d, Node, SumPool2d

pytest.importorskip("torch", reason="PyTorch is not installed")

from snncc.ir.fast import apply_fast

RANDOM = np.random.default_rng(0)
NODES: dict[str, Node] = {
    "conv": Conv2d(RANDOM.normal(size=(6, 2, 3, 2)), RANDOM.normal(size=6), (2, 1), (1, 2), (1, 2), 2),
    "sum": SumPool2d((2, 3), (2, 1), (1, 1)),
    "mean": AvgPool2d((3, 2), (3, 2), (1, 0)),
    "max": MaxPool2d((2, 2), (2, 2), (0, 0)),
}


@pytest.mark.parametrize("kind", NODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_plain_node(kind: str, dtype: type) -> None:
    x = RANDOM.normal(size=(3, 4, 9, 8)).astype(dtype)
    plain, fast = apply_node(NODES[kind], x), apply_fast(NODES[kind], x)
    assert fast.dtype == dtype and fast.shape == plain.shape
    np.testing.assert_allclose(fast, plain, rtol=0, atol=1e-12 if dtype is np.float64 else 1e-4)
