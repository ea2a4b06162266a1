"""Every layer that NIR has, in value: what the reader makes of a file against PyTorch's own functions, and files of older NIR.

Neurons (``LI``, ``CubaLI``, ``Threshold`` and the others) against their equations: test_nir_dialects_more.py. Recurrence:
test_nir_dialects.py (snnTorch's, flat and nested), test_nir_cases.py (the Braille networks). Which edge is late: test_nir.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from nir_files import full, spikes, two_layers, weights

from snncc.frontends.nir import read_nir
from snncc.ir.interpreter import run_graph

torch = pytest.importorskip("torch", reason="it is what the layers are compared with: pip install snncc[torch]")
functional = torch.nn.functional

RNG = np.random.default_rng(5)
EULER = {
    "dialect": "euler",
    "dt": "1",
    "reset": "zero",
    "input_encoding": "frames",
    "input_scale": "1",
    "input_high": "9",
}
PASSES = nir.LI(tau=full(1, 1.0), r=full(1, 1.0), v_leak=full(1, 0.0))
"""Its membrane is what arrives."""
KERNEL_1D, KERNEL_2D = RNG.normal(size=(6, 2, 3)), RNG.normal(size=(6, 2, 3, 2))
BIAS, MATRIX, FACTOR = RNG.normal(size=6), RNG.normal(size=(6, 4)), RNG.normal(size=(4, 9))


def pooling(kind: Any) -> Any:
    return kind(np.array([3, 2]), np.array([2, 1]), np.array([1, 0]))


Reference = Callable[[Any], Any]
LAYERS: dict[str, tuple[Any, tuple[int, ...], Reference]] = {
    "Affine": (
        nir.Affine(MATRIX, BIAS),
        (4,),
        lambda x: functional.linear(x, torch.tensor(MATRIX), torch.tensor(BIAS)),
    ),
    "Linear": (nir.Linear(MATRIX), (4,), lambda x: x @ torch.tensor(MATRIX).T),
    "Conv1d": (
        nir.Conv1d(9, KERNEL_1D, 2, 1, 2, 2, BIAS),
        (4, 9),
        lambda x: functional.conv1d(x, torch.tensor(KERNEL_1D), torch.tensor(BIAS), 2, 1, 2, 2),
    ),
    "Conv1d same": (
        nir.Conv1d(9, KERNEL_1D, 1, "same", 2, 2, BIAS),
        (4, 9),
        lambda x: functional.conv1d(x, torch.tensor(KERNEL_1D), torch.tensor(BIAS), 1, "same", 2, 2),
    ),
    "Conv2d": (
        nir.Conv2d((9, 8), KERNEL_2D, (2, 1), (1, 0), (1, 2), 2, BIAS),
        (4, 9, 8),
        lambda x: functional.conv2d(x, torch.tensor(KERNEL_2D), torch.tensor(BIAS), (2, 1), (1, 0), (1, 2), 2),
    ),
    "AvgPool2d": (pooling(nir.AvgPool2d), (4, 9, 8), lambda x: functional.avg_pool2d(x, (3, 2), (2, 1), (1, 0))),
    "SumPool2d": (pooling(nir.SumPool2d), (4, 9, 8), lambda x: 6 * functional.avg_pool2d(x, (3, 2), (2, 1), (1, 0))),
    "Scale": (nir.Scale(FACTOR), (4, 9), lambda x: x * torch.tensor(FACTOR)),
    "Flatten": (nir.Flatten({"input": np.array([4, 9, 8])}, 0, -1), (4, 9, 8), lambda x: x.flatten(1)),
    "Delay": (nir.Delay(full(4, 3.0)), (4,), lambda x: torch.cat([torch.zeros(3, *x.shape[1:]), x[:-3]])),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_what_pytorch_has(tmp_path: Path, kind: str) -> None:
    """Time steps are PyTorch's batch."""
    layer, shape, reference = LAYERS[kind]
    nodes = {"input": nir.Input(np.array(shape)), "layer": layer, "li": PASSES, "output": nir.Output(np.array([1]))}
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, list(itertools.pairwise(nodes)), type_check=False))
    x = np.random.default_rng(1).integers(0, 10, (7, 1, *shape))
    graph = read_nir(tmp_path / "n.nir", {**EULER, "time_steps": "7"})
    got = run_graph(graph, x, record_membranes=True).membranes["li"][:, 0]
    expected = reference(torch.tensor(x[:, 0], dtype=torch.float64)).numpy()
    assert got.shape == expected.shape and expected.any()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_old_files_without_v_reset_and_w_in(tmp_path: Path, kind: str) -> None:
    """What NIR 0.2 left out is 0 and 1."""

    def make(size: int) -> nir.NIRNode:
        leaky = {"r": full(size, 1.5), "v_leak": full(size, 0.1), "v_threshold": full(size, 0.4)}
        if kind == "IF":
            return nir.IF(r=full(size, 0.8), v_threshold=full(size, 1.0))
        if kind == "LIF":
            return nir.LIF(tau=full(size, 2.0), **leaky)
        return nir.CubaLIF(tau_mem=full(size, 2.0), tau_syn=full(size, 1.5), **leaky)

    path = two_layers(tmp_path / "n.nir", 1, make)
    x = spikes(1)
    options = {"dialect": "euler", "dt": "1", "time_steps": str(len(x))}
    new = run_graph(read_nir(path, options), x).spikes
    with h5py.File(path, "a") as file:
        for node in file["node/nodes"].values():
            for key in {"v_reset", "w_in"} & set(node):
                del node[key]
    old = run_graph(read_nir(path, options), x).spikes
    assert len(old) == 2
    for name in new:
        assert new[name].mean() > 0.02 and np.array_equal(new[name], old[name])


def test_graphs_in_graphs_run_as_the_flat_network(tmp_path: Path) -> None:
    """A block inside a block, the inner one with a loop, against the same nodes drawn flat."""
    w1, b1, w2, b2 = weights(3)
    w_rec = np.random.default_rng(9).normal(0, 0.3, (20, 20))

    def lif(size: int) -> nir.LIF:
        return nir.LIF(tau=full(size, 4.0), r=full(size, 4.0), v_leak=full(size, 0), v_threshold=full(size, 1))

    def ends(into: int, out: int) -> dict[str, nir.NIRNode]:
        return {"input": nir.Input(np.array([into])), "output": nir.Output(np.array([out]))}

    loop = {"lif": lif(20), "w_rec": nir.Linear(w_rec)}
    cycle = [("lif", "w_rec"), ("w_rec", "lif")]
    inner = nir.NIRGraph({**ends(20, 20), **loop}, [("input", "lif"), *cycle, ("lif", "output")], type_check=False)
    outer_nodes = {**ends(12, 20), "fc": nir.Affine(w1, b1), "cell": inner}
    outer = nir.NIRGraph(outer_nodes, [("input", "fc"), ("fc", "cell"), ("cell", "output")], type_check=False)
    last = {"out": nir.Affine(w2, b2), "n": lif(10)}
    nested = nir.NIRGraph(
        {**ends(12, 10), "block": outer, **last},
        [("input", "block"), ("block", "out"), ("out", "n"), ("n", "output")],
        type_check=False,
    )
    flat = nir.NIRGraph(
        {**ends(12, 10), "fc": nir.Affine(w1, b1), **loop, **last},
        [("input", "fc"), ("fc", "lif"), *cycle, ("lif", "out"), ("out", "n"), ("n", "output")],
        type_check=False,
    )
    x, found = spikes(3), {}
    for name, graph in (("nested", nested), ("flat", flat)):
        nir.write(tmp_path / f"{name}.nir", graph)
        options = {"dialect": "euler", "dt": "1", "time_steps": str(len(x))}
        found[name] = run_graph(read_nir(tmp_path / f"{name}.nir", options), x).spikes
    for ours, theirs in (("block.cell.lif", "lif"), ("n", "n")):
        assert found["flat"][theirs].mean() > 0.02
        assert np.array_equal(found["nested"][ours], found["flat"][theirs])
