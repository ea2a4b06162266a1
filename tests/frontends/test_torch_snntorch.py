"""snnTorch's ``Alpha`` and its resets without a delay: states by hand, what they differ from, and in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_torch_module import STEPS, body, imported, leaky, nn, snn, torch

from snncc.compiler import compile_graph
from snncc.errors import GraphError
from snncc.frontends.torch_neurons import Part, read_neuron
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.report.words import describe_neuron
from snncc.target import RunOptions


def test_alpha_with_states_by_hand_and_a_membrane_readout() -> None:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        exc, inh, mem = m.a.init_alpha()
        membranes = []
        for _ in range(STEPS):
            spk, exc, inh, mem = m.a(m.fc1(x), exc, inh, mem)
            membranes.append(m.last(m.fc2(spk))[3])
        return torch.stack(membranes)

    decays = {"alpha": torch.linspace(0.6, 0.9, 12), "beta": torch.linspace(0.1, 0.5, 12)}
    silent = snn.Alpha(alpha=0.9, beta=0.5, reset_mechanism="none", init_hidden=True, output=True)
    module = body(run, a=snn.Alpha(**decays, threshold=0.3), last=silent)
    del module.lif1, module.lif2
    graph = imported(module)
    assert graph.origin["readout"]["kind"] == "membrane"


def test_float64_decides_where_float32_rounds_across_a_threshold() -> None:
    """Thresholds that are float32 membranes of step 7: a sum in another order passes some of them."""
    bias = torch.rand(12, generator=torch.Generator().manual_seed(0)) + 0.1

    def alpha(threshold: Any, **options: Any) -> nn.Module:
        return snn.Alpha(alpha=0.9, beta=0.8, threshold=threshold, reset_mechanism="none", init_hidden=True, **options)

    free = alpha(1e9, output=True)
    membranes = [free(bias[None])[3][0] for _ in range(STEPS)]
    module = body(lambda m, x: m.lif2(m.fc2(m.a(m.fc1(x)))), a=alpha(membranes[7]))
    with torch.no_grad():
        module.fc1.weight.zero_()
        module.fc1.bias.copy_(bias)
    parity = imported(module).origin["parity"]
    assert parity["dtype"] == "float64" and parity["differing_in_float32"][0].startswith("a differs first in step 7")


def late(name: str) -> nn.Module:
    """A neuron with a threshold so low that its membrane often stays above it after a reset."""
    make: dict[str, Callable[[], nn.Module]] = {
        "Leaky": lambda: leaky(reset_delay=False, threshold=0.3),
        "RLeaky": lambda: snn.RLeaky(beta=0.8, linear_features=12, threshold=0.3, init_hidden=True, reset_delay=False),
        "Alpha": lambda: snn.Alpha(alpha=0.9, beta=0.5, threshold=0.3, init_hidden=True),
    }
    return make[name]()


NAMES = ("Leaky", "RLeaky", "Alpha")


@pytest.mark.parametrize("name", NAMES)
def test_a_plainer_rule_would_be_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset at once, and one that leaves the current, give other spikes."""
    from snncc.frontends import torch_snntorch

    right = torch_snntorch.RULES[name]

    def wrong(where: str, module: Any) -> Part:
        part = right(where, module)
        plainer = {"reset_current": False} if name == "Alpha" else {"reset_timing": "immediate"}
        return Part(part.dynamics.with_(**plainer), part.recurrent)

    monkeypatch.setitem(torch_snntorch.RULES, name, wrong)
    with pytest.raises(GraphError, match="n differs first in step"):
        imported(body(lambda m, x: m.lif2(m.fc2(m.n(m.fc1(x)))), n=late(name)))


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
@pytest.mark.parametrize("name", NAMES)
def test_in_whole_numbers(name: str, target: str) -> None:
    """The compiled Program is proven not to overflow, runs alike in both executors, and keeps most spikes."""
    graph = imported(body(lambda m, x: m.lif2(m.fc2(m.n(m.fc1(x)))), n=late(name)))
    made = compile_graph(graph, get_target(target))
    assert not made.errors and made.bounds.proven
    program = made.program
    images = np.random.default_rng(1).integers(0, 2, (STEPS, 8, 12))
    wanted = run_reference(program, images)
    found = get_target("fixed-sim").run(program, None, images, RunOptions(record=True, batch=3))
    for population in program.populations:
        np.testing.assert_array_equal(found.spikes[population.name], wanted.spikes[population.name])
    np.testing.assert_array_equal(found.scores, wanted.scores)
    dynamics, population = graph.nodes["n"], program.population("n")
    assert isinstance(dynamics, Neuron)
    for what in ("reset_timing", "reset_current", "current_timing"):
        assert getattr(population, what) == getattr(dynamics.dynamics, what)
    floats = run_graph(graph, images).spikes["n"]
    differing, spikes = int((wanted.spikes["n"] != floats).sum()), int(floats.sum())
    print(f"{name:8} {target:10} {differing} of {floats.size} cells differ from the float network, {spikes} spikes")
    assert spikes > 200 and differing < 0.05 * spikes


def test_in_words() -> None:
    words = {name: describe_neuron(read_neuron("n", late(name)).dynamics) for name in ("Leaky", "Alpha")}
    assert words["Leaky"].endswith("subtracts 0.3 at once, before firing too where v is still above the threshold")
    assert words["Alpha"].startswith("v = 0.5·v + 0.471")
    assert "; u = 0.9·u + i; fires on v > 0.3; resets to 0 and u to 0 one step later" in words["Alpha"]
