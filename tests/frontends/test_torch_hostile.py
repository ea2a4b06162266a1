"""Damaged and hostile files of PyTorch: a message or a correct import, never a traceback, and nothing runs.

``SNNCC_EXAMPLES=20`` tries twenty times as many files.
"""

from __future__ import annotations

import io
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile.mutations import mutate

from snncc.errors import SnnccError
from snncc.frontends.checkpoint import FRONTEND as CHECKPOINT
from snncc.frontends.torch_files import FRONTEND as EXPORT

FILES = 70 * int(os.environ.get("SNNCC_EXAMPLES", "1"))
SECONDS = 10.0
CODE = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x)
"""
OPTIONS = {"arch": "hostilenet:Net", "input_shape": "4", "time_steps": "2"}


class Marks:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("marker"), "the file ran code")


def inner(whole: bytes, random: np.random.Generator) -> bytes:
    """A member of the archive mutated, with its checksum right again."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = list(members)[int(random.integers(0, len(members)))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, mutate(content or b"\0", random) if name == chosen else content)
    return buffer.getvalue()


def good(kind: str) -> bytes:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    module = torch.nn.Module()
    module.fc = torch.nn.Linear(4, 3)
    if kind == "pt2":
        wrapped = torch.nn.Sequential()
        wrapped.add_module("fc", module.fc)
        torch.export.save(torch.export.export(wrapped, (torch.zeros(1, 4),)), buffer)
    elif kind == "zoo":
        return (Path(__file__).parents[2] / "models" / "checkpoints" / "mnist-lif.pt").read_bytes()
    else:
        torch.save(module.state_dict(), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def converter() -> Any:
    from snncc.frontends.torch_module import Live
    from snncc.frontends.torch_run import Calling
    from snncc.ir.graph import Edge, build_graph
    from snncc.ir.nodes import Dense, Input, Output

    def live_module(module: Any, example: Any, **options: Any) -> Live:
        nodes = {
            "input": Input((4,), "spikes", 1.0, 0, 1),
            "fc": Dense(np.array(module.fc.weight.detach().numpy())),
            "output": Output("summed_current"),
        }
        graph = build_graph(nodes, (Edge("input", "fc"), Edge("fc", "output")), 2)
        return Live(graph, module, Calling("step", {}, 2))

    return live_module


@pytest.mark.parametrize("kind", ["pth", "pt2", "zoo"])
@pytest.mark.parametrize("way", [mutate, inner])
def test_mutated_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converter: Any, kind: str, way: Any) -> None:
    (tmp_path / "hostilenet.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("snncc.frontends.torch_files._converter", lambda path: converter)
    whole, random = good(kind), np.random.default_rng(0)
    path = tmp_path / f"net.{'pt2' if kind == 'pt2' else 'pt'}"
    frontend = EXPORT if kind == "pt2" else CHECKPOINT
    options = {} if kind == "zoo" else OPTIONS
    path.write_bytes(whole)
    assert frontend.read(path, options).nodes
    refused = 0
    for number in range(FILES):
        path.write_bytes(way(whole, random))
        start = time.perf_counter()
        try:
            frontend.read(path, options)  # damage to a mantissa or to padding is no damage to the format
        except SnnccError as error:
            refused += 1
            assert "net.pt" in str(error), number
            assert len(str(error)) < 1_500
        assert time.perf_counter() - start < SECONDS
    assert refused >= 3
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pt2"])
def test_malicious_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "hostilenet.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    frontend = EXPORT if name.endswith("2") else CHECKPOINT
    evil = pickle.dumps(Marks(), protocol=2)
    buffer = io.BytesIO()
    torch.save({"state_dict": Marks()}, buffer)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for member in (
            "data.pkl",
            "constants.pkl",
            "data/weights/model.pt",
            "models/model.json",
            "serialized_state_dict.pt",
        ):
            made.writestr(f"net/{member}", evil)
    for content in (
        evil,
        buffer.getvalue(),
        archive.getvalue(),
        b"\x80\x02cos\nsystem\nX\x0e\x00\x00\x00touch ./markerR.",
    ):
        (tmp_path / name).write_bytes(content)
        for options in ({}, OPTIONS):
            with pytest.raises(SnnccError):
                frontend.read(Path(name), options)
    assert not (tmp_path / "marker").exists()
