"""Ways in which people write networks in SpikingJelly, sinabs and Norse, and what of them is refused."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the live frontends need torch: pip install snncc[torch]")

from torch import nn  # noqa: E402

from snncc import from_torch  # noqa: E402
from snncc.compiler import compile_graph  # noqa: E402
from snncc.errors import UnsupportedError  # noqa: E402
from snncc.ir.graph import Graph  # noqa: E402
from snncc.ir.nodes import BatchNorm, Dense, MaxPool2d, Neuron, SumPool2d  # noqa: E402
from snncc.registry import get_target  # noqa: E402


def framework(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: make frameworks")


def spikes(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.rand(shape) < 0.4).float()


def proved(module: nn.Module, example: torch.Tensor, **options: Any) -> Graph:
    graph = from_torch(module, example, **options)
    assert graph.origin["parity"]["differing"] == 0 and graph.origin["parity"]["spikes"] > 0
    return graph


def test_spikingjelly_layers_over_all_steps() -> None:
    neuron = framework("spikingjelly.activation_based.neuron")
    layer = framework("spikingjelly.activation_based.layer")
    example = spikes(40, 2, 1, 8, 8)
    body = [layer.Conv2d(1, 4, 3, step_mode="m"), layer.BatchNorm2d(4, step_mode="m"), neuron.LIFNode(step_mode="m")]
    head = [layer.MaxPool2d(2, step_mode="m"), layer.Flatten(step_mode="m"), layer.Dropout(0.5, step_mode="m")]
    graph = proved(
        nn.Sequential(*body, *head, layer.Linear(36, 5, step_mode="m"), neuron.IFNode(step_mode="m")), example
    )
    assert graph.time_steps == 40 and len(graph.of_type(BatchNorm)) == len(graph.of_type(MaxPool2d)) == 1
    with pytest.raises(UnsupportedError, match=r"1: spikingjelly\.QIFNode has a membrane equation that is not linear"):
        from_torch(nn.Sequential(nn.Linear(12, 8), neuron.QIFNode()), torch.rand(2, 12), time_steps=5)
    with pytest.raises(UnsupportedError, match="take time in different ways: 0"):
        from_torch(nn.Sequential(neuron.IFNode(), neuron.IFNode(step_mode="m")), spikes(9, 2, 12))


def test_spikingjelly_tutorial_network_votes_at_its_end() -> None:
    neuron = framework("spikingjelly.activation_based.neuron")
    layer = framework("spikingjelly.activation_based.layer")
    functional = framework("spikingjelly.activation_based.functional")

    class Tutorial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(6)
            body = [layer.Conv2d(1, 4, 3, bias=False), layer.BatchNorm2d(4), neuron.IFNode(v_threshold=0.3)]
            head = [layer.AvgPool2d(2), layer.Flatten(), layer.Linear(36, 13), neuron.IFNode(v_threshold=0.3)]
            self.layers = nn.Sequential(*body, *head, layer.VotingLayer(4))
            functional.set_step_mode(self, "m")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x.unsqueeze(0).repeat(9, 1, 1, 1, 1)).mean(0)

    graph = proved(Tutorial(), torch.rand(2, 1, 8, 8))
    vote = graph.nodes["layers.7"]
    assert isinstance(vote, Dense) and vote.weight.shape == (3, 13) and not vote.weight[:, 12].any()
    assert graph.time_steps == 9 and graph.origin["readout"]["kind"] == "summed_current"


def test_spikingjelly_containers_that_have_no_form() -> None:
    neuron = framework("spikingjelly.activation_based.neuron")
    layer = framework("spikingjelly.activation_based.layer")
    product = layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda y, x: y * x)
    nested = layer.LinearRecurrentContainer(nn.Sequential(nn.Linear(12, 12), neuron.IFNode()), 12, 12)
    for container, message in (
        (product, r"1: spikingjelly\.ElementWiseRecurrentContainer joins .* another function than a·y \+ x"),
        (nested, r"1: spikingjelly\.LinearRecurrentContainer holds a Sequential; snncc reads one neuron in it"),
        (neuron.ILIFNode(), r"1: spikingjelly\.ILIFNode rounds halves"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            from_torch(nn.Sequential(nn.Linear(12, 12), container), torch.rand(2, 12), time_steps=5)


def test_spikingjelly_rates_added_up_over_a_loop() -> None:
    neuron = framework("spikingjelly.activation_based.neuron")

    class Rate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.fc, self.lif = nn.Linear(12, 8), neuron.LIFNode(v_threshold=0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rate: Any = 0
            for _ in range(10):
                rate = rate + self.lif(self.fc(x))
            return rate / 10

    graph = proved(Rate(), torch.rand(2, 12))
    assert graph.time_steps == 10 and graph.origin["readout"]["kind"] == "spike_count"
    assert list(graph.nodes) == ["input", "fc", "lif", "output"]


def test_sinabs_forms() -> None:
    layers, activation = framework("sinabs.layers"), framework("sinabs.activation")
    torch.manual_seed(2)
    squeezed = [
        nn.Conv2d(1, 4, 3),
        layers.IAFSqueeze(batch_size=2),
        layers.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
    ]
    graph = proved(nn.Sequential(*squeezed, layers.IAFSqueeze(batch_size=2)), spikes(40, 1, 8, 8))
    assert graph.time_steps == 20 and len(graph.of_type(SumPool2d)) == 1
    assert (
        proved(nn.Sequential(nn.Conv2d(1, 4, 3), layers.IAFSqueeze(num_timesteps=20)), spikes(40, 1, 8, 8)).time_steps
        == 20
    )
    few = layers.IAF(spike_fn=activation.MaxSpike(2), spike_threshold=torch.tensor(0.3))
    node = proved(nn.Sequential(nn.Linear(12, 20), few), spikes(2, 40, 12)).nodes["1"]
    assert isinstance(node, Neuron) and node.dynamics.levels == 2
    back = nn.Linear(20, 20, bias=False)
    recurrent = layers.LIFRecurrent(tau_mem=5.0, rec_connect=back, norm_input=False)
    assert "1.recurrent" in proved(nn.Sequential(nn.Linear(12, 20), recurrent), spikes(2, 40, 12)).nodes


def test_sinabs_time_flattened_and_signals_merged() -> None:
    layers = framework("sinabs.layers")
    torch.manual_seed(2)
    body = [
        layers.FlattenTime(),
        nn.Conv2d(1, 4, 3),
        layers.IAFSqueeze(batch_size=3),
        layers.SumPool2d(2),
        nn.Flatten(),
    ]
    module = nn.Sequential(*body, nn.Linear(36, 5), layers.IAFSqueeze(batch_size=3), layers.UnflattenTime(3))
    graph = proved(module, spikes(3, 15, 1, 8, 8))
    assert graph.time_steps == 15 and graph.origin["layout"] == "batch_time"

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.first, self.merge, self.last = nn.Linear(12, 12), layers.IAF(), layers.Merge(), layers.IAF()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.merge(self.first(self.fc(x)), x))

    assert {e.source for e in proved(Residual(), spikes(2, 15, 12)).incoming("add")} == {"first", "input"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset_value": 0.5}, "adds its reset_value 0.5 in every step"),
        ({"subtract_value": 0.5}, "subtracts another amount"),
        ({"min_v_mem": 0.5}, r"has min_v_mem 0\.5"),
    ],
)
def test_sinabs_refused(options: dict[str, float], message: str) -> None:
    layers, activation = framework("sinabs.layers"), framework("sinabs.activation")
    reset = activation.MembraneSubtract(options.get("subtract_value"))
    if "reset_value" in options:
        reset = activation.MembraneReset(options["reset_value"])
    layer = layers.IAF(reset_fn=reset, min_v_mem=options.get("min_v_mem"))
    with pytest.raises(UnsupportedError, match=message):
        from_torch(nn.Sequential(nn.Linear(12, 20), layer), spikes(2, 10, 12))


def test_sinabs_adaptive_is_refused_by_name() -> None:
    layers = framework("sinabs.layers")
    with pytest.raises(UnsupportedError, match=r"1: sinabs\.ALIF adapts its threshold.*train with LIF"):
        from_torch(nn.Sequential(nn.Linear(12, 20), layers.ALIF(tau_mem=5.0, tau_adapt=5.0)), spikes(2, 10, 12))


def test_norse_loop_with_states_and_a_leaky_readout() -> None:
    norse = framework("norse.torch")

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(3)
            self.fc, self.lif, self.head, self.readout = (
                nn.Linear(12, 8),
                norse.LIFCell(),
                nn.Linear(8, 4),
                norse.LICell(),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            first = last = None
            voltages = []
            for step in range(x.shape[0]):
                z, first = self.lif(self.fc(x[step]) * 8, first)
                v, last = self.readout(self.head(z), last)
                voltages.append(v)
            return torch.stack(voltages)

    graph = proved(Classifier(), torch.rand(30, 2, 12))
    assert graph.time_steps == 30 and graph.origin["readout"]["kind"] == "membrane"
    with pytest.raises(UnsupportedError, match=r"0: norse\.LIFRefracCell has a refractory period"):
        from_torch(norse.SequentialState(norse.LIFRefracCell()), torch.rand(2, 12), time_steps=10)


def test_norse_lifted_sequences() -> None:
    norse = framework("norse.torch")
    torch.manual_seed(3)
    low = norse.LIFParameters(v_th=torch.tensor(0.02))
    layers = [norse.Lift(nn.Conv2d(1, 4, 3)), norse.LIF(low), nn.Flatten(2), norse.LIFRecurrent(144, 6, p=low)]
    graph = proved(norse.SequentialState(*layers), spikes(20, 2, 1, 8, 8))
    assert [e.delay for e in graph.incoming("3.recurrent")] == [1] and "3.input" in graph.nodes
    step = [nn.Conv2d(1, 4, 3), norse.LIFCell(low), nn.Flatten(), norse.LILinearCell(144, 5)]
    graph = proved(norse.Lift(norse.SequentialState(*step)), spikes(20, 2, 1, 8, 8))
    assert graph.time_steps == 20 and graph.origin["readout"]["kind"] == "membrane"


def test_rockpool_synapses_of_different_time_constants_are_refused() -> None:
    modules = framework("rockpool.nn.modules")
    layer = modules.LIFTorch((16, 8), tau_syn=torch.tensor([[0.002, 0.004]]))
    with pytest.raises(
        UnsupportedError, match=r"1: rockpool\.LIFTorch has 2 synapses a neuron with different .*one tau_syn"
    ):
        from_torch(nn.Sequential(nn.Linear(12, 16), layer), spikes(2, 10, 12))
    with pytest.raises(UnsupportedError, match=r"1: rockpool\.aLIFTorch adapts"):
        from_torch(nn.Sequential(nn.Linear(12, 8), modules.aLIFTorch(8)), spikes(2, 10, 12))


def test_snntorch_recurrent_forms_and_conv1d() -> None:
    snn = framework("snntorch")
    torch.manual_seed(4)
    single = snn.RLeaky(beta=0.8, V=torch.rand(8), all_to_all=False, init_hidden=True)
    proved(nn.Sequential(nn.Linear(12, 8), single), torch.rand(2, 12), time_steps=40)
    conv = snn.RLeaky(beta=0.8, conv2d_channels=4, kernel_size=3, threshold=0.3, init_hidden=True)
    graph = proved(nn.Sequential(nn.Conv2d(1, 4, 3), conv), torch.rand(2, 1, 8, 8), time_steps=40)
    assert [e.delay for e in graph.incoming("1.recurrent")] == [1]
    layers = [nn.Conv1d(2, 4, 3), snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True), nn.Flatten(), nn.Linear(40, 5)]
    graph = proved(nn.Sequential(*layers), torch.rand(2, 2, 12), time_steps=20)
    assert graph.origin["readout"]["kind"] == "summed_current"


def test_an_imported_network_compiles() -> None:
    neuron = framework("spikingjelly.activation_based.neuron")
    torch.manual_seed(5)
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), neuron.IFNode(v_threshold=0.5), nn.AvgPool2d(2), nn.Flatten()]
    module = nn.Sequential(*body, nn.Linear(36, 5), neuron.IFNode(v_threshold=0.5))
    graph = proved(module, spikes(2, 1, 8, 8), time_steps=8)
    made = compile_graph(graph, get_target("fixed-sim"))
    assert made.errors == [] and len(made.program.populations) == 2
