"""Max pooling of a convolution's sums, as in snnTorch's tutorials: the one place where it has an integer form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.compare import compare_recordings
from snncc.compiler import compile_graph
from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, chain
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import BatchNorm, Conv2d, Flatten, Input, MaxPool2d, Neuron, Output
from snncc.program.program import EXACT
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import RunOptions


def network(rng: np.random.Generator, pool: MaxPool2d, decay: float = 1.0, bias: bool = True) -> Graph:
    """conv, batch norm with gains of both signs, max pooling, neuron; twice."""

    def norm(channels: int) -> BatchNorm:
        gain = np.where(rng.random(channels) < 0.5, -1.0, 0.5)
        return BatchNorm(np.zeros(channels), np.ones(channels), gain, rng.integers(-2, 3, channels) / 4.0, eps=1e-12)

    def conv(inputs: int, outputs: int) -> Conv2d:
        weight = rng.integers(-8, 9, (outputs, inputs, 3, 3)) / 8.0
        return Conv2d(weight, rng.integers(-2, 3, outputs) / 8.0 if bias else None, padding=(1, 1))

    neuron = Neuron(Dynamics(threshold=1.0, membrane_decay=decay, reset="to_value"))
    return chain(
        {
            "input": Input((1, 9, 9), "static", 1 / 16, 0, 16),
            "conv1": conv(1, 4),
            "bn1": norm(4),
            "pool1": pool,
            "lif1": neuron,
            "conv2": conv(4, 6),
            "bn2": norm(6),
            "pool2": pool,
            "lif2": neuron,
            "flatten": Flatten(),
            "output": Output(),
        },
        6,
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([((2, 2), (2, 2)), ((3, 2), (1, 2)), ((2, 2), (1, 1))]))
def test_every_executor_pools_the_same_sums(seed: int, form: tuple[tuple[int, int], tuple[int, int]]) -> None:
    rng = np.random.default_rng(seed)
    graph = network(rng, MaxPool2d(*form))
    images = rng.integers(0, 17, (5, 1, 9, 9))
    made = compile_graph(graph, get_target("fixed-sim"))
    assert made.program.arithmetic is EXACT
    golden = run_reference(made.program, images)
    quick = get_target("fixed-sim").run(made.program, None, images, RunOptions(record=True, batch=2))
    order = [p.name for p in made.program.populations]
    assert compare_recordings(golden, quick, order).differing == 0
    merged = run_graph(made.quantised, images)  # no leak: the quantised Graph and the Program agree exactly
    for name, spikes in golden.spikes.items():
        assert np.array_equal(merged.spikes[name], spikes), name
    float_run = run_graph(graph, images)
    agreement = np.mean([(float_run.spikes[n] == golden.spikes[n]).mean() for n in golden.spikes])
    assert agreement > 0.9


def test_a_lava_package_is_refused_with_the_remedy() -> None:
    made = compile_graph(network(np.random.default_rng(1), MaxPool2d((2, 2), (2, 2))), get_target("loihi-sim"))
    assert [(f.layer, f.what) for f in made.errors] == [("conv1", "max pooling"), ("conv2", "max pooling")]


def test_padding_is_refused() -> None:
    graph = network(np.random.default_rng(1), MaxPool2d((3, 3), (2, 2), (1, 1)))
    with pytest.raises(UnsupportedError, match="pool1: max pooling"):
        compile_graph(graph, get_target("fixed-sim"))
