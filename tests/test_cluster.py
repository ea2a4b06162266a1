"""Samples spread over a Dask cluster: the same verdict, also where a worker dies in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from snncc.cluster import cluster, spread_over
from snncc.compiler import compile_graph
from snncc.errors import InputError
from snncc.frontends.description import graph_of
from snncc.ir.graph import Graph
from snncc.registry import get_target
from snncc.target import RunOptions
from snncc.verify import Shards, Spread, Tally, Verification, Work, one_after_another, verify

distributed = pytest.importorskip("distributed", reason="Dask is not installed")

SAMPLES = 490
"""Ten shards of 50; fewer samples than those for which PyTorch would be imported."""


def small_network() -> Graph:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from snncc.models.module import SpikingNetwork
    from snncc.models.networks import describe

    torch.manual_seed(0)
    neuron = {"threshold": 0.3, "membrane_decay": 0.5}
    made = SpikingNetwork(
        describe("small", {"layers": "4C3-P2-3", "time_steps": 3, "neuron": neuron, "input_shape": (1, 8, 8)})
    )
    description, state = made.deployed()
    return graph_of(description, {name: tensor.numpy() for name, tensor in state.items()}, {})


def judged(spread: Spread) -> Verification:
    graph = small_network()
    engine = get_target("fixed-sim")
    program = compile_graph(graph, engine).program
    random = np.random.default_rng(0)
    source = program.source
    inputs = random.integers(source.low, source.high + 1, (SAMPLES, *source.shape))
    labels = random.integers(0, 3, SAMPLES)
    return verify(graph, program, engine, engine, None, inputs, labels, 2, None, RunOptions(threads=1), None, spread)


def facts(found: Verification) -> dict[str, object]:
    return {name: value for name, value in vars(found).items() if name != "reference"}


def test_the_same_verdict_with_one_worker_with_two_and_where_one_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snncc.verify.BATCH", 50)
    alone = facts(judged(one_after_another))
    assert alone["samples"] == SAMPLES and 0 < float(str(alone["integer_accuracy"])) < 1
    with cluster("local:1") as spread:
        assert facts(judged(spread)) == alone
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as here,
        distributed.Client(here) as client,
    ):
        killed = []

        def deadly(work: Work, shards: Shards) -> Iterator[Tally]:
            for number, tally in enumerate(spread_over(client, work, shards)):
                yield tally
                if number == 1:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)

        assert facts(judged(deadly)) == alone
        assert killed


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two", "tcp://127.0.0.1:1"])
def test_clusters_that_are_not_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snncc.cluster.CONNECT_TIMEOUT_S", 1)
    with pytest.raises(InputError, match="--dask"), cluster(address):
        pass
