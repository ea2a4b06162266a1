"""A network of two layers and labelled data for it, as files: quick enough for every verb."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output

STEPS, SAMPLES = 6, 20


def write_network(folder: Path) -> tuple[Path, Path]:
    """(net.nir, data.npz): 8 inputs, 12 neurons ``hidden``, 3 neurons ``out``; T = 6, 20 samples."""
    rng = np.random.default_rng(5)
    lif = Dynamics(threshold=1.0, reset="subtract", membrane_decay=0.75)
    nodes = {
        "in": Input((8,), "spikes", 1.0, 0, 1),
        "first": Dense(rng.integers(-2, 4, (12, 8)) / 8),
        "hidden": Neuron(lif),
        "second": Dense(rng.integers(-2, 4, (3, 12)) / 8),
        "out": Neuron(lif),
        "result": Output(),
    }
    export_nir(build_graph(nodes, pairwise(nodes), STEPS), folder / "net.nir")
    x = rng.integers(0, 2, (SAMPLES, STEPS, 8)).astype(np.uint8)
    np.savez(folder / "data.npz", x=x, y=rng.integers(0, 3, SAMPLES))
    return folder / "net.nir", folder / "data.npz"
