"""PyTorch modules of ReLU units: what is read computes what the module computes, and the rest is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from snncc.errors import GraphError, UnsupportedError
from snncc.frontends import torch_ann
from snncc.frontends.onnx_ann import Relu, run_ann
from snncc.frontends.torch_ann import ann_of
from snncc.ir.nodes import BatchNorm, Flatten, Identity


class Block(nn.Module):
    """A residual block with one ReLU module used twice, a scaled sum in place, functions, and pooling of all sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.drop = nn.Dropout(0.3)
        self.spread = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Sequential(nn.Linear(16, 8), nn.Hardtanh(0, 1.5), nn.Linear(8, 5))
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(x))
        y = self.norm(self.second(x))
        y += 0.5 * x
        y = self.pool(self.relu(y))
        y = functional.relu(y)
        y = torch.clamp(self.spread(y), min=0, max=0.8)
        return self.fc(self.drop(torch.flatten(y, 1)))


def test_a_module_computes_the_same() -> None:
    torch.manual_seed(0)
    module = Block().eval()
    ann = ann_of(module, (3, 8, 8))
    x = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        np.testing.assert_allclose(run_ann(ann, x.numpy()), module(x).numpy(), rtol=1e-4, atol=1e-5)
    uppers = [node.upper for node in ann.nodes.values() if isinstance(node, Relu)]
    assert uppers == [None, None, None, 0.8, 1.5]
    assert sum(isinstance(n, Flatten) for n in ann.nodes.values()) == 1
    assert sum(isinstance(n, BatchNorm) for n in ann.nodes.values()) == 1
    assert any(isinstance(n, Identity) and len(ann.sources[name]) == 2 for name, n in ann.nodes.items())
    assert ann.shapes[ann.input] == (3, 8, 8) and ann.shapes[ann.output] == (5,)


class Calls(nn.Module):
    """One function between two linear layers."""

    def __init__(self, call: Any) -> None:
        super().__init__()
        self.fc1, self.fc2, self.call = nn.Linear(6, 6), nn.Linear(6, 3), call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.call(self.fc1(x)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (torch.sigmoid, "sigmoid: sigmoid has no form .* use nn.ReLU"),
        (nn.GELU(), "call: a GELU has no form"),
        (nn.Hardtanh(), r"call: clips to -1.0 … 1.0"),
        (nn.LeakyReLU(), "call: a LeakyReLU"),
        (lambda x: torch.cat([x[:, :3], functional.relu(x[:, 3:])], 1), "getitem"),
        (lambda x: x.clamp(min=-1), "clips to -1 … None"),
        (lambda x: x * x, "mul"),
        (lambda x: x.softmax(1), "softmax"),
        (nn.LayerNorm(6), "call: a LayerNorm"),
    ],
)
def test_what_has_no_rate_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        ann_of(Calls(call), (6,))


def test_two_results_are_refused() -> None:
    class Two(Calls):
        def forward(self, x: torch.Tensor) -> Any:
            return self.fc1(x), self.fc2(x)

    with pytest.raises(UnsupportedError, match="must return one tensor"):
        ann_of(Two(None), (6,))


def test_what_is_read_is_compared_with_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    run = torch_ann.run_ann
    monkeypatch.setattr(torch_ann, "run_ann", lambda ann, x: run(ann, x) + 0.01)
    with pytest.raises(GraphError, match="gives other values than the module"):
        ann_of(Calls(nn.ReLU()), (6,))
