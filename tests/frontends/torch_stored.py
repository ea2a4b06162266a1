"""What the tests of PyTorch files share: weights, and reading or refusing what is stored of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snncc.errors import SnnccError
from snncc.frontends.checkpoint import FRONTEND as CHECKPOINT
from snncc.frontends.torch_files import FRONTEND
from snncc.ir.graph import Graph
from snncc.ir.nodes import Dense

GIVEN = {"input_shape": "6", "time_steps": "5"}


def state(seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {"fc.weight": torch.randn(3, 6), "fc.bias": torch.randn(3), "beta": torch.tensor(0.5)}


def save(content: Any, name: str = "w.pth") -> Path:
    torch.save(content, name)
    return Path(name)


def read(path: Path, **options: str) -> Graph:
    frontend = FRONTEND if path.suffix == ".pt2" else CHECKPOINT
    return frontend.read(path, GIVEN | options)


def refuse(path: Path, message: str, **options: str) -> None:
    with pytest.raises(SnnccError, match=message) as caught:
        read(path, **options)
    assert len(str(caught.value)) < 900


def weight_of(graph: Graph) -> np.ndarray:
    node = graph.nodes["fc"]
    assert isinstance(node, Dense)
    return node.weight


class Marks:
    """Pickles to a call that writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("marker"), "the file ran code")
