"""Fixtures that the tests of PyTorch files share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TORCH_CODE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(6, 3)
        self.register_buffer("beta", torch.tensor(0.9))

    def forward(self, x):
        return self.fc(x) * self.beta

class Two(Net):
    def __init__(self):
        super().__init__()
        self.fc2 = torch.nn.Linear(3, 2)

net = Net()

def needs(size): return Net()
def number(): return 3
def broken(): raise ValueError("my own fault")
def leaves(): raise SystemExit(3)
"""


@pytest.fixture
def code_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the user's code; the conversion of modules, tested elsewhere, is a plain stand-in."""
    (tmp_path / "mynet.py").write_text(TORCH_CODE)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in ("mynet", "other"):
        sys.modules.pop(name, None)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a stand-in for live_module was called with; it takes the module's ``fc`` as the network."""
    import numpy as np

    from snncc.frontends import torch_files
    from snncc.frontends.torch_module import Live
    from snncc.frontends.torch_run import Calling
    from snncc.ir.graph import Edge, build_graph
    from snncc.ir.nodes import Dense, Input, Output

    calls: list[Any] = []

    def live_module(module: Any, example: Any, **options: Any) -> Live:
        calls.append((module, example, options))
        module(example)
        weight = np.array(module.fc.weight.detach().numpy())
        nodes = {
            "input": Input((6,), options["encoding"] or "spikes", 1.0, 0, 1),
            "fc": Dense(weight),
            "output": Output("summed_current"),
        }
        edges = (Edge("input", "fc"), Edge("fc", "output"))
        graph = build_graph(nodes, edges, options["time_steps"] or 9, "n", {"format": "torch module"})
        return Live(graph, module, Calling("step", {}, graph.time_steps))

    monkeypatch.setattr(torch_files, "_converter", lambda path: live_module)
    return calls
