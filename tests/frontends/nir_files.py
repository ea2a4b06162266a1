"""Makes NIR files with the ``nir`` package, as the frameworks' exporters do, and runs what the reader makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

from snncc.frontends.nir import read_nir
from snncc.ir.graph import Graph
from snncc.ir.interpreter import Recording, run_graph

STEPS, SAMPLES = 100, 6
INPUTS, HIDDEN, CLASSES = 12, 20, 10


def weights(seed: int, gain: float = 1.0) -> tuple[np.ndarray, ...]:
    """Two dense layers in float32 with biases, times ``gain``: (w1, b1, w2, b2)."""
    rng = np.random.default_rng(seed)
    shapes = ((HIDDEN, INPUTS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
    return tuple((gain * rng.normal(0.05, 0.3, shape)).astype(np.float32) for shape in shapes)


def spikes(seed: int, size: int = INPUTS) -> np.ndarray:
    """Random input spikes (T, N, size)."""
    return (np.random.default_rng(seed).random((STEPS, SAMPLES, size)) < 0.35).astype(np.int64)


def write_chain(path: Path, *nodes: Any) -> Path:
    """A file in which each node feeds the next, between an input and an output."""
    nir.write(path, nir.NIRGraph.from_list(*nodes))
    return path


def two_layers(path: Path, seed: int, make: Any, gain: float = 1.0) -> Path:
    """dense → neuron → dense → neuron; ``make(size)`` gives the neuron's NIR node."""
    w1, b1, w2, b2 = weights(seed, gain)
    return write_chain(path, nir.Affine(w1, b1), make(HIDDEN), nir.Affine(w2, b2), make(CLASSES))


def run(path: Path, x: np.ndarray, **options: str) -> tuple[Graph, Recording]:
    """Read ``path`` and run it in float64 on ``x``."""
    graph = read_nir(path, {"time_steps": str(len(x)), **options})
    return graph, run_graph(graph, x, record_membranes=True)


def through(seed: int, x: np.ndarray, layer: Any, gain: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The same two layers with ``layer(currents (T, N, n)) -> outputs`` as neuron."""
    w1, b1, w2, b2 = (w.astype(np.float64) for w in weights(seed, gain))
    hidden = layer(x @ w1.T + b1)
    return hidden, layer(hidden @ w2.T + b2)


def check(
    path: Path,
    seed: int,
    layer: Callable[[np.ndarray], np.ndarray],
    late: bool = False,
    silent: bool = False,
    gain: float = 1.0,
    **options: str,
) -> None:
    """Compare every cell of both layers under the given options with ``layer``. ``late``: its raster is one step
    behind the Graph's; ``silent``: the neurons do not fire, so their membranes are compared, to the float32 of the
    constants."""
    x = spikes(seed)
    _, recording = run(path, x, **options)
    pairs = list(zip(recording.spikes, through(seed, x, layer, gain), strict=True))
    assert len(pairs) == 2
    for name, expected in pairs:
        if silent:
            np.testing.assert_allclose(recording.membranes[name], expected, rtol=1e-5, atol=1e-5)
            continue
        got = recording.spikes[name]
        got, expected = (got[:-1], expected[1:]) if late else (got, expected)
        assert int((got != expected).sum()) == 0, name
        assert (expected != 0).mean() > 0.02, "the neurons must not sleep"


def full(size: int, value: float) -> np.ndarray:
    """``value`` for each of ``size`` neurons."""
    return np.full(size, value)
