"""A network of three layers that classifies, with labelled samples: random features and a readout that is fitted to them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, build_graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.mixed.samples import Samples

Array = np.ndarray
FEATURES, CLASSES, STEPS = 10, 4, 5
SIZES = (24, 16)
LAYERS = ("n1", "n2", "n3")


def data(count: int, seed: int = 1) -> tuple[Array, Array]:
    """(N, 10) of 0..255 around a centre a class, and labels."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).integers(40, 216, (CLASSES, FEATURES))
    labels = rng.integers(0, CLASSES, count)
    return np.clip(centres[labels] + rng.normal(0, 40, (count, FEATURES)), 0, 255).astype(np.int64), labels


def graph() -> Graph:
    """Weights as trained ones are: of any value."""
    rng = np.random.default_rng(7)
    lif = Dynamics(threshold=1.0, reset="subtract")
    nodes: dict[str, Any] = {
        "in": Input((FEATURES,), "static", 1 / 255, 0, 255),
        "w1": Dense(rng.normal(0, 0.6, (SIZES[0], FEATURES))),
        "n1": Neuron(lif),
        "w2": Dense(rng.normal(0.02, 0.4, (SIZES[1], SIZES[0]))),
        "n2": Neuron(lif),
        "w3": Dense(np.zeros((CLASSES, SIZES[1]))),
        "n3": Neuron(replace(lif, fires=False, reset="none")),
        "out": Output("membrane"),
    }
    made = build_graph(nodes, pairwise(nodes), STEPS, "three")
    x, labels = data(600, 2)
    rates = run_graph(made, x, np.float64).spikes["n2"].sum(axis=0)
    weight, *_ = np.linalg.lstsq(rates, np.eye(CLASSES)[labels], rcond=None)
    nodes["w3"] = Dense(weight.T)
    return build_graph(nodes, pairwise(nodes), STEPS, "three")


def samples(count: int, seed: int, entry: Input) -> Samples:
    """All of them."""
    x, labels = data(count, seed)
    return Samples(x, labels, entry, np.arange(count), None)
