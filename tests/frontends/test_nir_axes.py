"""Input shapes that keep a batch or time axis: left out where the layers prove it, refused with the remedy where it is long."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import full

from snncc.errors import GraphError, InputError
from snncc.frontends.nir import read_nir
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph

SNN = {"dialect": "snntorch", "reset": "subtract", "reset_delay": "yes", "time_steps": "20"}
RNG = np.random.default_rng(0)


def lif(size: int) -> nir.LIF:
    return nir.LIF(tau=full(size, 1e-3), r=full(size, 10), v_leak=full(size, 0), v_threshold=full(size, 1))


def dense(into: int, size: int = 9) -> list[nir.NIRNode]:
    return [nir.Affine(RNG.normal(0.1, 0.4, (size, into)), RNG.normal(size=size)), lif(size)]


def conv(channels: int, width: int) -> nir.Conv2d:
    return nir.Conv2d((width, width), RNG.random((4, channels, 3, 3)), 1, 0, 1, 1, np.zeros(4))


def flatten(start: int, *shape: int) -> nir.Flatten:
    return nir.Flatten({"input": np.array(shape)}, start, -1)


def graph_of(path: Path, shape: tuple[int, ...], layers: list[nir.NIRNode]) -> Graph:
    nodes = {"input": nir.Input(np.array(shape)), **{str(i): layer for i, layer in enumerate(layers)}}
    nodes["output"] = nir.Output(np.array([9]))
    nir.write(path, nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False))
    return read_nir(path, SNN)


@pytest.mark.parametrize(
    ("shape", "layers", "kept", "words"),
    [
        ((1, 20), dense(20), (20,), "a batch axis of 1"),
        ((1, 1, 20), dense(20), (20,), "batch and time axes of 1"),
        ((1, 9), [lif(9)], (9,), "a batch axis of 1"),
        ((1, 1, 10, 10), [conv(1, 10), flatten(0, 4, 8, 8), *dense(256)], (1, 10, 10), "a batch axis of 1"),
        ((1, 1, 10, 10), [conv(1, 10), flatten(1, 1, 4, 8, 8), *dense(256)], (1, 10, 10), "a batch axis of 1"),
        ((1, 1, 2, 10, 10), [conv(2, 10), flatten(1, 4, 8, 8), *dense(256)], (2, 10, 10), "batch and time axes of 1"),
        ((1, 1, 5, 4), [flatten(1, 1, 1, 5, 4), *dense(20)], (1, 5, 4), "a batch axis of 1"),
        ((1, 20), [flatten(1, 1, 20), *dense(20)], (20,), "a batch axis of 1"),
    ],
)
def test_axes_of_1_are_left_out(
    tmp_path: Path, shape: tuple[int, ...], layers: list[nir.NIRNode], kept: tuple[int, ...], words: str
) -> None:
    """The same spikes as the file without them, and words of it."""
    graph, plain = graph_of(tmp_path / "a.nir", shape, layers), graph_of(tmp_path / "b.nir", kept, layers)
    assert graph.nodes["input"].shape == plain.nodes["input"].shape == kept  # type: ignore[union-attr]
    assert graph.origin["input_shape"] == f"the file keeps {words} in front of {kept}; left out"
    assert "input_shape" not in plain.origin
    x = (np.random.default_rng(1).random((20, 3, *kept)) < 0.4).astype(np.int64)
    ours, theirs = run_graph(graph, x).spikes, run_graph(plain, x).spikes
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours) and any(s.any() for s in ours.values())


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((1, 10, 10), [conv(1, 10), flatten(0, 4, 8, 8), *dense(256)]),  # a channel
        ((1, 5, 4), [flatten(1, 1, 5, 4), *dense(20)]),  # torch's start_dim left standing over (C, H, W)
        ((1, 20), [flatten(0, 1, 20), *dense(20)]),
    ],
)
def test_axes_that_belong_to_the_layers_stay(tmp_path: Path, shape: tuple[int, ...], layers: list[nir.NIRNode]) -> None:
    graph = graph_of(tmp_path / "n.nir", shape, layers)
    assert graph.nodes["input"].shape == shape and "input_shape" not in graph.origin  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(4, 20), (4, 1, 20), (1, 4, 20)])
def test_a_longer_axis_is_refused_with_the_remedy(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(GraphError) as caught:
        graph_of(tmp_path / "n.nir", shape, dense(20))
    assert str(caught.value) == (
        f"input: has shape {shape}, but the layers take (20,); {shape[:-1]} in front belongs to the sample that the file was "
        "exported from, as batch or time: export from a sample without it (Norse: to_nir(net, x[0]); Rockpool: to_nir(net, "
        "torch.zeros(inputs)); sinabs: one time step, or Squeeze layers)"
    )


def test_what_fits_neither_way_says_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"0: a dense layer takes a flat input, not shape \(1, 21\)"):
        graph_of(tmp_path / "n.nir", (1, 21), dense(20))
    with pytest.raises(GraphError, match=r"not shape \(3, 5, 20\); put Flatten"):  # an image whose rows are 20 wide
        graph_of(tmp_path / "n.nir", (3, 5, 20), dense(20))
    with pytest.raises(InputError, match=r"0: tau has shape \(9,\), but \(2, 9\) arrives"):
        graph_of(tmp_path / "n.nir", (2, 9), [lif(9)])
