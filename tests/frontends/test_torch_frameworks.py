"""Every neuron × reset of every framework: random dense and convolutional networks, 3 seeds × 100 steps, against the
framework's own run of the same module: 0 differing spikes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live frontends need torch: pip install snncc[torch]")

from torch_cases import CASES  # noqa: E402
from torch_networks import STEPS, Case, example, frames, network, own_run  # noqa: E402

from snncc import from_torch  # noqa: E402
from snncc.ir.interpreter import run_graph  # noqa: E402
from snncc.ir.nodes import Neuron  # noqa: E402

SEEDS = (1, 2, 3)
FRAMEWORKS = tuple(CASES)


def installed(framework: str) -> list[Case]:
    """The cases of a framework. Skips where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return CASES[framework]()
    except ImportError as error:
        pytest.skip(f"{framework} cannot be imported ({error}): make frameworks")


def compare(case: Case, kind: str, seed: int) -> tuple[int, int, int]:
    """(differing cells of the last layer, cells, spikes of the last layer)."""
    module, inputs = network(case, kind, seed), frames(kind, seed)
    graph = from_torch(module, example(case, inputs), time_steps=STEPS, encoding="spikes", low=0, high=1)
    parity = graph.origin["parity"]
    assert parity["dtype"] == "float32" and parity["differing"] == 0 and parity["cells"] > 0
    last = [name for name, node in graph.nodes.items() if isinstance(node, Neuron)][-1]
    recording = run_graph(graph, inputs, dtype=np.float32, record_membranes=True)
    theirs = own_run(case, module, inputs)
    node = graph.nodes[last]
    assert isinstance(node, Neuron)
    if node.dynamics.fires:
        ours = recording.spikes[last]
        return int((ours != theirs).sum()), ours.size, int(np.abs(ours).sum())
    ours = recording.membranes[last]
    far = np.abs(ours - theirs) > 1e-5 * max(1.0, float(np.abs(ours).max()))
    return int(far.sum()), ours.size, int((ours != 0).sum())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_neuron_and_reset(framework: str, seed: int) -> None:
    torch.set_num_threads(1)
    rows, wrong = [], []
    for case in installed(framework):
        found = [compare(case, kind, seed) for kind in case.kinds]
        differing, cells, spikes = (sum(column) for column in zip(*found, strict=True))
        kinds = "+".join(case.kinds)
        rows.append(
            f"{framework:13} {case.neuron:22} {case.reset:34} {kinds:11} {differing:4} of {cells:7,} cells, {spikes:7,} spikes"
        )
        if differing or not spikes:
            wrong.append(rows[-1])
    print("", *rows, sep="\n")
    assert wrong == []
    assert len(rows) >= 4
