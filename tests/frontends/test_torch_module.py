"""``from_torch``: what the tracer follows, what it refuses, and the parity check at its end."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live frontends need torch: pip install snncc[torch]")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    snn = pytest.importorskip("snntorch", reason="snnTorch is not installed: make frameworks")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from snncc import from_torch  # noqa: E402
from snncc.errors import GraphError, InputError, SnnccError, UnsupportedError  # noqa: E402
from snncc.ir.graph import Graph  # noqa: E402
from snncc.ir.interpreter import run_graph  # noqa: E402
from snncc.ir.nodes import BatchNorm, Input, MaxPool2d, Neuron, Output, Scale  # noqa: E402

STEPS = 30


def leaky(**options: Any) -> nn.Module:
    return snn.Leaky(**{"beta": 0.9, "init_hidden": True, **options})


def imported(module: nn.Module, shape: tuple[int, ...] = (2, 12), **options: Any) -> Graph:
    """The Graph of a module that takes one step a call, with 0 differing spikes."""
    torch.manual_seed(3)
    graph = from_torch(module, torch.ones(shape), **{"time_steps": STEPS, **options})
    assert graph.origin["parity"]["differing"] == 0 and graph.origin["parity"]["spikes"] > 0
    return graph


class Body(nn.Module):
    """A module with the given forward and two dense layers and neurons."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.run = forward
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(12, 12), leaky(), nn.Linear(12, 12), leaky()
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, 0.1, 0.5)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


def body(forward: Callable[..., Any], **layers: nn.Module) -> Body:
    return Body(forward, **layers)


class Tutorial(nn.Module):
    """snnTorch's tutorial network: states by hand, a loop over time, convolutions with pooled currents."""

    def __init__(self, steps: int, frames: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.steps, self.frames = steps, frames
        self.conv, self.lif1 = nn.Conv2d(1, 4, 3), snn.Leaky(beta=torch.rand(4, 1, 1), learn_beta=True)
        self.lif2 = snn.RSynaptic(alpha=0.6, beta=0.8, linear_features=10, reset_mechanism="zero")
        self.fc = nn.Linear(36, 10)
        nn.init.normal_(self.conv.weight, 0.2, 0.5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mem1 = self.lif1.init_leaky()
        spk2, syn2, mem2 = self.lif2.init_rsynaptic()
        spikes, membranes = [], []
        for step in range(x.shape[0] if self.frames else self.steps):
            frame = x[step] if self.frames else x
            spk1, mem1 = self.lif1(F.max_pool2d(self.conv(frame), 2), mem1)
            spk2, syn2, mem2 = self.lif2(self.fc(spk1.view(frame.size(0), -1)), spk2, syn2, mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


@pytest.mark.parametrize("frames", [False, True])
def test_a_loop_over_time_is_rolled_up(frames: bool) -> None:
    module = Tutorial(20, frames)
    graph = from_torch(module, torch.rand(20, 2, 1, 8, 8) if frames else torch.rand(2, 1, 8, 8))
    assert graph.time_steps == 20 and graph.origin["parity"]["differing"] == 0
    source, target = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and source.encoding == ("frames" if frames else "static")
    assert isinstance(target, Output) and target.readout == "spike_count"
    assert len(graph.of_type(Neuron)) == 2 and len(graph.of_type(MaxPool2d)) == 1
    shape = (20, 3, 1, 8, 8) if frames else (3, 1, 8, 8)
    data = np.random.default_rng(0).integers(0, 256, shape)
    with torch.no_grad():
        theirs = module.eval()(torch.from_numpy(data.astype(np.float32) * np.float32(1 / 255)))[0].numpy()
    np.testing.assert_array_equal(run_graph(graph, data, dtype=np.float32).spikes["lif2"], theirs)


def test_a_loop_over_time_that_gets_no_time_axis_says_how_to_give_one() -> None:
    """As ``--input-shape 12`` gives it: (1, 12) instead of (T, N, 12)."""

    def loop(m: Body, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([m.lif2(m.fc2(m.lif1(m.fc1(x[t])))) for t in range(x.shape[0])])

    with pytest.raises(UnsupportedError, match=r"fc2: .* must have them: --opt example_shape=T,1,SHAPE"):
        from_torch(body(loop), torch.rand(1, 12))
    assert from_torch(body(loop), torch.rand(9, 1, 12)).time_steps == 9


def test_steps_behind_the_batch_and_a_fixed_batch() -> None:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([m.lif1(m.fc1(x[:, step]).view(3, 12)) for step in range(x.shape[1])])

    module = body(run)
    del module.fc2, module.lif2
    graph = from_torch(module, torch.ones(3, 15, 12))
    assert graph.origin["layout"] == "batch_time" and graph.origin["parity"]["cells"] == 3 * 15 * 12
    with pytest.raises(UnsupportedError, match="returns its state 1 first"):
        layer = snn.Synaptic(alpha=0.5, beta=0.9, init_hidden=True, output=True)
        from_torch(body(lambda m, x: m.last(m.lif1(m.fc1(x)))[1], last=layer), torch.ones(2, 12), time_steps=5)


def test_states_handed_from_call_to_call() -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.fc, self.lif = nn.Linear(12, 8), snn.Synaptic(alpha=0.5, beta=0.9)

        def forward(self, x: torch.Tensor, syn: Any, mem: Any) -> Any:
            spk, syn, mem = self.lif(self.fc(x), syn, mem)
            return spk, syn, mem

    assert imported(Step()).origin["layout"] == "step"


def test_a_spike_of_the_step_before_is_a_delayed_edge() -> None:
    class Feedback(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(4)
            self.fc, self.back, self.lif = nn.Linear(12, 8), nn.Linear(8, 8), snn.Leaky(beta=0.8)

        def forward(self, x: torch.Tensor) -> Any:
            mem, spk, out = self.lif.init_leaky(), None, []
            for _ in range(15):
                current = self.fc(x)
                spk, mem = self.lif(current if spk is None else current + self.back(spk), mem)
                out.append(spk)
            return torch.stack(out).sum(0)

    module = Feedback()
    nn.init.zeros_(module.back.bias)  # the module leaves the layer out in its first step, and with it the bias
    graph = from_torch(module, torch.ones(2, 12), high=255)
    assert [e.delay for e in graph.incoming("back")] == [1] and graph.origin["parity"]["differing"] == 0
    nn.init.ones_(module.back.bias)
    with pytest.raises(GraphError, match="lif differs first in step"):
        from_torch(module, torch.ones(2, 12))


def test_a_residual_add() -> None:
    graph = imported(body(lambda m, x: m.lif2(m.fc2(spk := m.lif1(m.fc1(x))) + spk)))
    assert {e.source for e in graph.incoming("add")} == {"fc2", "lif1"}


def test_adding_a_value_to_itself_doubles_it() -> None:
    graph = imported(body(lambda m, x: m.lif2(m.fc2((s := m.lif1(m.fc1(x))) + s))))
    assert [float(node.factor) for node in graph.nodes.values() if isinstance(node, Scale)] == [2.0]
    graph = imported(body(lambda m, x: m.lif2((c := m.fc2(m.lif1(m.fc1(x)))) * 3 - c / 2)))
    assert sorted(float(node.factor) for node in graph.nodes.values() if isinstance(node, Scale)) == [-1.0, 0.5, 3.0]


def test_a_layer_that_is_used_twice_keeps_both_places() -> None:
    graph = imported(body(lambda m, x: m.lif2(m.fc1(m.lif1(m.fc1(x)))), lif2=leaky(beta=0.5)), (2, 12))
    assert "fc1" in graph.nodes and "fc1_2" in graph.nodes


def test_batch_norm_dropout_and_no_ops() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, padding="same"), nn.BatchNorm2d(4), leaky(), nn.Dropout(0.5), nn.AvgPool2d(2)]
    module = nn.Sequential(
        *layers, nn.Identity(), nn.Flatten(), nn.Linear(64, 9, bias=False), nn.BatchNorm1d(9), leaky()
    )
    with torch.no_grad():
        for layer in module:
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.normal_(-0.3, 0.1)
                layer.running_var.uniform_(0.05, 0.2)
    graph = imported(module, (2, 2, 8, 8))
    assert len(graph.of_type(BatchNorm)) == 2 and not any("Dropout" in type(n).__name__ for n in graph.nodes.values())


def test_learned_constants_a_channel() -> None:
    layer = leaky(
        beta=torch.rand(4, 1, 1), threshold=torch.rand(1, 4, 1, 1) * 0.5 + 0.2, learn_beta=True, learn_threshold=True
    )
    graph = imported(nn.Sequential(nn.Conv2d(2, 4, 3), layer), (2, 2, 8, 8))
    node = graph.nodes["1"]
    assert isinstance(node, Neuron) and np.shape(node.dynamics.threshold) == np.shape(node.dynamics.membrane_decay) == (
        4,
        1,
        1,
    )


def test_graded_spikes_and_a_membrane_readout() -> None:
    graph = imported(
        nn.Sequential(nn.Linear(12, 12), leaky(graded_spikes_factor=0.5), nn.Linear(12, 6), leaky(output=True))
    )
    node = graph.nodes["1"]
    assert isinstance(node, Neuron) and node.dynamics.spike_value == 0.5
    silent = imported(body(lambda m, x: m.last(m.lif1(m.fc1(x)))[1], last=leaky(reset_mechanism="none", output=True)))
    assert silent.origin["readout"] == {"kind": "membrane", "assumed": True}


def test_the_module_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(12, 6), leaky()).train()
    module(torch.ones(2, 12) * 5)
    before = module[1].mem.detach().clone()
    module[1].mem = module[1].mem.detach()
    imported(module)
    assert module.training and torch.equal(module[1].mem, before)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a function": (lambda: body(lambda m, x: m.lif2(torch.relu(m.fc1(m.lif1(x))))), "relu"),
    "a layer": (lambda: nn.Sequential(nn.Linear(12, 6), nn.Softmax(-1), leaky()), "1: torch.Softmax"),
    "a parameter": (
        lambda: body(lambda m, x: m.lif2(m.lif1(m.fc1(x)) + m.fc2.bias)),
        "a constant belongs into a layer's bias",
    ),
    "a number": (lambda: body(lambda m, x: m.lif2(m.lif1(m.fc1(x)) + 1.0)), "add of"),
    "a product": (lambda: body(lambda m, x: m.lif2(m.fc2(s := m.lif1(m.fc1(x))) * s)), "mul of"),
    "a decision": (lambda: body(lambda m, x: m.lif2(m.lif1(m.fc1(x)) if x.sum() > 0 else x)), "decides by a value"),
    "a neuron used twice": (lambda: body(lambda m, x: m.lif2(m.lif1(m.fc2(m.lif1(m.fc1(x)))))), "lif1 2, lif2 1"),
    "a lost neuron": (lambda: body(lambda m, x: (m.lif2(x), m.lif1(m.fc1(x)))), "lif1: its output does not reach"),
    "a reshape": (lambda: body(lambda m, x: m.lif2(m.lif1(m.fc1(x)).view(-1, 3, 4))), r"reshapes \(12,\) to \(3, 4\)"),
    "another's state": (
        lambda: body(lambda m, x: m.b(m.fc2(x), m.a(m.fc1(x))[1]), a=snn.Leaky(beta=0.9), b=snn.Leaky(beta=0.9)),
        "b: call 0 gets a state",
    ),
    "a membrane as a signal": (
        lambda: body(lambda m, x: m.lif2(m.fc2(m.a(m.fc1(x))[1])), a=snn.Leaky(beta=0.9)),
        "the state 1 of a is used as a signal",
    ),
    "pooling with ceil_mode": (lambda: nn.Sequential(nn.MaxPool2d(3, ceil_mode=True), leaky()), "ceil_mode"),
    "Alpha that subtracts": (
        lambda: nn.Sequential(nn.Linear(12, 6), snn.Alpha(0.9, 0.8, init_hidden=True, reset_mechanism="subtract")),
        "1: snntorch.Alpha with reset_mechanism='subtract'",
    ),
    "inhibition": (lambda: nn.Sequential(nn.Linear(12, 6), leaky(inhibition=True)), "inhibition=True"),
    "a quantised state": (lambda: nn.Sequential(nn.Linear(12, 6), leaky(state_quant=torch.round)), "state_quant"),
    "another neuron": (lambda: nn.Sequential(nn.Linear(12, 6), snn.SLSTM(6, 6, init_hidden=True), leaky()), "SLSTM"),
    "no neuron": (lambda: nn.Sequential(nn.Linear(12, 6)), "calls no neuron"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_form_is_refused_by_name(what: str) -> None:
    make, message = REFUSED[what]
    shape = (2, 1, 8, 8) if "pooling" in what else (2, 12)
    with pytest.raises(UnsupportedError, match=message):
        from_torch(make(), torch.ones(shape), time_steps=STEPS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_steps": None}, "give time_steps"),
        ({"encoding": "poisson"}, "poisson"),
        ({"readout": "loudest"}, "loudest"),
        ({"scale": -1.0, "encoding": "frames"}, "scale"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SnnccError, match=message):
        from_torch(nn.Sequential(nn.Linear(12, 6), leaky()), torch.ones(2, 12), **{"time_steps": 9, **options})


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match=r"takes a torch\.nn\.Module"):
        from_torch("net.pt", torch.ones(2, 3))
    with pytest.raises(InputError, match="takes a tensor"):
        from_torch(nn.Linear(3, 3), [1, 2, 3])
    with pytest.raises(InputError, match="the module itself runs 20 steps"):
        from_torch(Tutorial(20, False), torch.rand(2, 1, 8, 8), time_steps=10)


def test_a_wrong_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from snncc.frontends import torch_snntorch
    from snncc.frontends.torch_neurons import Part

    right = torch_snntorch.RULES["Leaky"]

    def wrong(where: str, module: Any) -> Part:
        part = right(where, module)
        return Part(part.dynamics.with_(reset_timing="immediate", reset="to_value"))

    monkeypatch.setitem(torch_snntorch.RULES, "Leaky", wrong)
    with pytest.raises(GraphError, match=r"1 differs first in step \d+: \d+ of \d+ cells"):
        imported(nn.Sequential(nn.Linear(12, 6), leaky(threshold=0.2)))


def test_layers_called_input_and_output() -> None:
    names = {"input": leaky(threshold=0.2), "output": leaky(threshold=0.2)}
    graph = imported(body(lambda m, x: m.output(m.fc2(m.input(m.fc1(x)))), **names).requires_grad_(False))
    assert {"input", "output", "input_", "output_"} <= set(graph.nodes) and graph.output == "output_"
    assert len(graph.of_type(Neuron)) == 2


def test_a_last_layer_that_is_no_neuron_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from snncc.frontends import torch_layers

    module = nn.Sequential(nn.Linear(12, 6), leaky(), nn.Linear(6, 3))
    assert imported(module).origin["readout"]["kind"] == "summed_current"
    right = torch_layers.LAYERS["Linear"]

    def wrong(where: str, layer: Any, given: tuple[int, ...]) -> Any:
        node = right(where, layer, given)
        return replace(node, bias=node.bias + 0.1) if where == "2" else node  # type: ignore[call-overload]

    monkeypatch.setattr(torch_layers, "LAYERS", {**torch_layers.LAYERS, "Linear": wrong})
    with pytest.raises(GraphError, match="output: the last layer"):
        imported(module)


def test_rockpool_sequential() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = pytest.importorskip("rockpool.nn.modules", reason="Rockpool is not installed: make frameworks")
        from rockpool.nn.combinators import Sequential
    torch.manual_seed(0)
    net = Sequential(
        modules.LinearTorch((12, 20)), modules.LIFTorch(20, dt=1e-3), modules.LinearTorch((20, 5)), modules.LIFTorch(5)
    )
    graph = from_torch(net, (torch.rand(2, 40, 12) < 0.3).float())
    assert graph.time_steps == 40 and graph.origin["parity"]["differing"] == 0 and graph.origin["parity"]["spikes"] > 0


def test_importing_snncc_loads_no_torch() -> None:
    code = "import snncc, sys; assert 'torch' not in sys.modules; assert callable(snncc.from_torch)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_tutorial_network_on_mnist() -> None:
    """A network that somebody else trained: 96.9 ± 0.3 % of the first 2,000 test images, in float."""
    cases, data = os.environ.get("SNNCC_CASES"), os.environ.get("SNNCC_DATA")
    if cases is None or data is None:
        pytest.skip("SNNCC_CASES and SNNCC_DATA do not say where the third-party network and MNIST are")
    from snncc.data.datasets import load

    def neuron(**options: Any) -> nn.Module:
        return leaky(beta=0.5, **options)

    first = [nn.Conv2d(1, 12, 5), nn.MaxPool2d(2), neuron(), nn.Conv2d(12, 64, 5), nn.MaxPool2d(2), neuron()]
    module = nn.Sequential(*first, nn.Flatten(), nn.Linear(1024, 10), neuron(output=True))
    module.load_state_dict(torch.load(Path(cases) / "snntorch-mnist" / "snn_model.pth", weights_only=True))
    graph = from_torch(module, torch.rand(2, 1, 28, 28), time_steps=50, encoding="static")
    assert graph.origin["parity"]["differing"] == 0
    found = load("mnist:test", limit=2000)
    assert found.labels is not None
    images = found.inputs.astype(np.int64)
    hits = 0
    for start in range(0, len(images), 250):
        part = slice(start, start + 250)
        hits += int((run_graph(graph, images[part], dtype=np.float32).predictions == found.labels[part]).sum())
    assert len(images) == 2000 and abs(hits / 20 - 96.9) <= 0.3
