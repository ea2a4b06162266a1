"""Max pooling of spikes, as behind every layer of SpikingJelly's tutorials: relay neurons that fire the same."""

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
from snncc.ir.nodes import Conv2d, Dense, Flatten, Input, MaxPool2d, Neuron, Output
from snncc.passes.relay_max_pooling import RelayMaxPooling
from snncc.pipeline import Context
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import RunOptions

POOLS = [MaxPool2d((2, 2), (2, 2)), MaxPool2d((3, 2), (2, 1), (1, 1)), MaxPool2d((3, 3), (1, 1), (1, 1))]


def network(rng: np.random.Generator, pool: MaxPool2d, **changes: object) -> Graph:
    dynamics = Dynamics(threshold=1.0, membrane_decay=0.5, reset="to_value").with_(**changes)
    return chain(
        {
            "input": Input((2, 8, 8), "frames", 1.0, 0, 3),
            "conv1": Conv2d(rng.integers(-8, 13, (3, 2, 3, 3)) / 8.0, padding=(1, 1)),
            "lif1": Neuron(dynamics),
            "pool1": pool,
            "conv2": Conv2d(rng.integers(-8, 13, (4, 3, 3, 3)) / 8.0, padding=(1, 1)),
            "lif2": Neuron(dynamics),
            "pool2": pool,
            "flatten": Flatten(),
            "fc": Dense(rng.integers(-8, 9, (5, int(np.prod(_size(pool))))) / 8.0),
            "lif3": Neuron(dynamics.with_(spike_value=1.0)),
            "output": Output(),
        },
        5,
    )


def _size(pool: MaxPool2d) -> tuple[int, int, int]:
    def pooled(n: int, axis: int) -> int:
        return (n + 2 * pool.padding[axis] - pool.kernel[axis]) // pool.stride[axis] + 1

    return 4, pooled(pooled(8, 0), 0), pooled(pooled(8, 1), 1)


@given(st.integers(0, 2**32 - 1), st.sampled_from(POOLS), st.booleans(), st.booleans())
def test_the_spikes_stay(seed: int, pool: MaxPool2d, valued: bool, next_step: bool) -> None:
    rng = np.random.default_rng(seed)
    value = rng.integers(1, 9, (3, 1, 1)) / 4.0 if valued else 1.0
    graph = network(rng, pool, reset_timing="next_step" if next_step else "immediate")
    first = graph.nodes["lif1"]
    assert isinstance(first, Neuron)
    graph = graph.with_nodes({"lif1": Neuron(first.dynamics.with_(spike_value=value))})
    made = RelayMaxPooling().run(graph, Context()).graph
    inputs = rng.integers(0, 4, (5, 3, 2, 8, 8))
    before, after = run_graph(graph, inputs), run_graph(made, inputs)
    for name, spikes in before.spikes.items():
        assert np.array_equal(after.spikes[name], spikes), name
    assert np.array_equal(after.scores, before.scores)


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
@pytest.mark.parametrize("pool", POOLS)
def test_the_integer_relays_fire_where_a_spike_arrives(target: str, pool: MaxPool2d) -> None:
    """In the Program a relay's spikes are the maximum of its window, whatever the quantisation did before."""
    rng = np.random.default_rng(3)
    made = compile_graph(network(rng, pool), get_target(target))
    assert not made.errors
    inputs = rng.integers(0, 4, (5, 4, 2, 8, 8))
    golden = run_reference(made.program, inputs)
    quick = get_target("fixed-sim").run(made.program, None, inputs, RunOptions(record=True))
    assert compare_recordings(golden, quick, [p.name for p in made.program.populations]).differing == 0
    for source, relay in (("lif1", "pool1"), ("lif2", "pool2")):
        spikes = golden.spikes[source]
        padded = np.pad(spikes, ((0, 0),) * 3 + tuple((p, p) for p in pool.padding))
        windows = np.lib.stride_tricks.sliding_window_view(padded, pool.kernel, axis=(3, 4))
        expected = windows[:, :, :, :: pool.stride[0], :: pool.stride[1]].max(axis=(-2, -1))
        assert spikes.any() and np.array_equal(golden.spikes[relay], expected)


@pytest.mark.parametrize("changes", [{"signed": True}, {"levels": 2, "reset": "subtract"}, {"spike_value": -1.0}])
def test_other_spikes_are_refused_by_name(changes: dict[str, object]) -> None:
    graph = network(np.random.default_rng(0), POOLS[0], **changes)
    assert not RelayMaxPooling().run(graph, Context()).changed
    with pytest.raises(UnsupportedError, match="pool1"):
        compile_graph(graph, get_target("fixed-sim"))
