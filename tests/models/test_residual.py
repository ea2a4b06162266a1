"""Residual networks of DSR neurons: trained, stored, compiled, one network all the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_representation import KINDS, LEAST

from snncc.compare import compare_recordings
from snncc.compiler import compile_graph
from snncc.errors import GraphError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import AvgPool2d, Neuron
from snncc.ir.shapes import infer_shapes
from snncc.models.checkpoint import load_module, write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.networks import describe
from snncc.models.recipes import RECIPES
from snncc.models.representation import RepresentationNeuron
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 2, 9, 9))


def trained(kind: str, readout: str, path: Path, shrink: int = 1) -> SpikingNetwork:
    """A few steps of training with changed thresholds, and its checkpoint."""
    torch.manual_seed(1)
    surrogate = {"method": "dsr", "least": LEAST}
    fields = {"neuron": KINDS[kind], "surrogate": surrogate, "shrink": shrink, "readout": readout}
    size = {"widths": [4, 6], "blocks": [2, 1], "input_shape": [2, 9, 9], "classes": 3, "time_steps": 5}
    network = SpikingNetwork(describe("small", {"family": "residual", **fields, **size}))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    x, y = torch.from_numpy(PIXELS), torch.arange(8) % 3
    for _ in range(15):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x) / 5, y).backward()
        optimiser.step()
    write_checkpoint(path, *network.deployed(), {})
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("readout", ["spikes", "membrane"])
def test_learned_thresholds_reach_the_graph(kind: str, readout: str, tmp_path: Path) -> None:
    """Checkpoint, module read back and graph: the same thresholds, the same spikes in every cell."""
    network = trained(kind, readout, tmp_path / "net.pt", shrink=2)
    graph, module = read_checkpoint(tmp_path / "net.pt"), load_module(tmp_path / "net.pt").double()
    x = torch.from_numpy(PIXELS)
    recording = run_graph(graph, PIXELS)
    with torch.no_grad():
        values, scores = module.record(x), module(x)
    changed = 0
    for name, spikes in recording.spikes.items():
        node = graph.nodes[name]
        assert isinstance(node, Neuron)
        if not node.dynamics.fires:
            continue
        layer = network.get_submodule(name)
        assert isinstance(layer, RepresentationNeuron)
        level = float(layer.level.detach())
        learned = layer.dynamics  # of a level that has not moved as given, to the last digit
        assert learned.reset_amount == pytest.approx(level, rel=1e-7)
        assert learned.threshold == pytest.approx(layer.alpha * level, rel=1e-7)
        assert node.dynamics.reset_amount == learned.reset_amount
        assert node.dynamics.threshold == learned.threshold
        changed += abs(level / KINDS[kind]["reset_amount"] - 1) > 1e-4
        np.testing.assert_array_equal(values[name].numpy(), spikes * np.asarray(node.dynamics.spike_value))
    assert changed >= 2
    np.testing.assert_allclose(scores.numpy(), recording.scores, rtol=1e-9, atol=1e-9)
    assert module.description == network.deployed()[0]
    assert not any("level" in key for key in network.deployed()[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
def test_the_compiler_takes_them(kind: str, target: str, tmp_path: Path) -> None:
    """Batch norms of sums, shortcuts on spikes and pooling between neurons: no layer refused, fixed-sim is the reference in
    every cell, and 16-bit weights give the trained network's spikes almost everywhere."""
    trained(kind, "spikes", tmp_path / "net.pt")
    graph = read_checkpoint(tmp_path / "net.pt")
    options = CompileOptions(bits=16) if target == "fixed-sim" else CompileOptions()
    made = compile_graph(graph, get_target(target), options)
    assert not made.errors
    golden = run_reference(made.program, PIXELS)
    fast = get_target("fixed-sim").run(made.program, None, PIXELS, RunOptions(record=True, batch=3))
    found = compare_recordings(golden, fast, [p.name for p in made.program.populations])
    assert found.differing == 0, found.first
    recording = run_graph(graph, PIXELS)
    fired = [n for n in recording.spikes if n in golden.spikes and recording.spikes[n].any()]
    assert len(fired) >= 5
    wrong = np.mean([(recording.spikes[n] != golden.spikes[n]).mean() for n in fired])
    assert wrong <= (0.001 if target == "fixed-sim" else 0.01)


def test_the_papers_network() -> None:
    """ResNet-18: 17 3×3 convolutions and a dense layer, 3 1×1 shortcuts, 19 layers of neurons, 4×4 before the last pool."""
    for kind in ("if", "lif"):
        network = RECIPES[f"cifar10-dsr-resnet18-{kind}"].network
        kinds = [layer["kind"] for layer in network["layers"]]
        names = [layer["name"].rstrip("0123456789") for layer in network["layers"]]
        assert (names.count("conv"), names.count("short"), kinds.count("dense"), names.count("sn")) == (17, 3, 1, 19)
        with torch.device("meta"):
            module = SpikingNetwork(network)
        assert module.on_representations
        # the usual pre-activation ResNet-18 for CIFAR-10, two more batch norms, the thresholds, no bias of the dense layer
        assert sum(p.numel() for p in module.parameters()) == 11_171_146 + 2 * (512 + 10) + 19 - 10


def test_odd_sizes_pool_over_the_whole_image(tmp_path: Path) -> None:
    trained("if", "membrane", tmp_path / "net.pt")
    graph = read_checkpoint(tmp_path / "net.pt")
    pools = [name for name, node in graph.nodes.items() if isinstance(node, AvgPool2d)]
    assert [infer_shapes(graph)[name] for name in pools] == [(6, 1, 1)]


@pytest.mark.parametrize(
    ("change", "message"), [({"widths": [4]}, "1 widths for 2 stages"), ({"readout": "rate"}, "readout is 'rate'")]
)
def test_bad_arguments_are_named(change: dict[str, object], message: str) -> None:
    fields = {"widths": [4, 6], "blocks": [1, 1], "time_steps": 2, "neuron": KINDS["if"]} | change
    with pytest.raises(GraphError, match=message):
        describe("bad", {"family": "residual", **fields})
