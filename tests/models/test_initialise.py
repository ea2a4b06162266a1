"""How weights start, and what the diagnosis says of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from snncc.data import load
from snncc.errors import GraphError
from snncc.models.diagnose import diagnose, settle_norms
from snncc.models.initialise import initialise
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional

LIF = {
    "threshold": 0.5, "compare": ">", "membrane_decay": 0.2, "reset": "to_value", "reset_timing": "immediate",
}  # fmt: skip
DEEP = "8C3/2-8*8C3-8C3/2-8*8C3-10"  # 19 layers with weights


def deep(seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    surrogate = {"kind": "rectangle", "width": 2.0}
    return SpikingNetwork(convolutional("deep", DEEP, 4, LIF, padding=1, surrogate=surrogate, batch_norm=False))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(load("mnist:demo", 64).inputs)


def test_nineteen_layers_live_only_from_the_matched_start(images: torch.Tensor) -> None:
    network = deep()
    before = diagnose(network, images)
    assert len(before) == 18
    assert [h.verdict for h in before[4:]] == ["dead"] * 14
    initialise(network, {"kind": "threshold_matched", "k": 1.25}, images)
    after = diagnose(network, images)
    assert {h.verdict for h in after} == {"alive"}
    assert min(h.rate for h in after) > 0.05 and max(h.rate for h in after) < 0.4
    lit = diagnose(
        network, images.clamp_min(1)
    )  # where a pixel is 0 the first membranes are, at the window's lower end
    assert min(h.inside for h in (*after[1:], *lit) if h.inside is not None) > 0.1


def test_the_first_current_has_a_spread_of_k_thresholds(images: torch.Tensor) -> None:
    """Over draws of the weights the mean square current is (kθ)²: the definition, for a layer without padding."""
    squares = []
    for seed in range(40):
        torch.manual_seed(seed)
        network = SpikingNetwork(convolutional("n", "6-10", 1, LIF, (1, 28, 28), batch_norm=False))
        initialise(network, {"kind": "threshold_matched", "k": 2.0}, images)
        with torch.no_grad():
            squares.append(float(network.record(images)["fc1"].square().mean()))
    assert np.mean(squares) == pytest.approx((2.0 * 0.5) ** 2, rel=0.15)


def test_fan_in(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(convolutional("n", "32C5-P2-200-10", 1, LIF, batch_norm=False))
    initialise(network, {"kind": "fan_in", "kappa": 2.0}, images)
    assert float(network.get_parameter("conv1.weight").std()) == pytest.approx((2 / 25) ** 0.5, rel=0.1)
    assert float(network.get_parameter("fc1.weight").std()) == pytest.approx((2 / (32 * 144)) ** 0.5, rel=0.02)
    assert not network.get_parameter("fc1.bias").any()


def test_verdicts(images: torch.Tensor) -> None:
    network = SpikingNetwork(convolutional("n", "20-20-10", 2, LIF, batch_norm=False))
    with torch.no_grad():
        network.get_parameter("fc1.bias").fill_(1000.0)
        network.get_parameter("fc2.bias").fill_(-1000.0)
    first, second = diagnose(network, images)
    assert (first.layer, first.verdict, first.rate, first.silent) == ("lif1", "saturated", 1.0, 0.0)
    assert (second.layer, second.verdict, second.rate, second.silent) == ("lif2", "dead", 0.0, 1.0)
    with torch.no_grad():
        network.get_parameter("fc1.weight").normal_(std=1000.0)
        network.get_parameter("fc1.bias").zero_()
    assert diagnose(network, images)[0].verdict == "starved"
    assert all(module.observer is None for module in network.modules() if hasattr(module, "observer"))


def test_batch_norm_is_diagnosed_as_it_normalises_in_training(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(convolutional("n", "8C5-P2-8C5-P2-30-10", 4, LIF)).eval()
    assert diagnose(network, images)[-1].verdict == "dead"
    settle_norms(network, images)
    assert {layer.verdict for layer in diagnose(network, images)} == {"alive"}
    norm = network.get_submodule("bn1")
    assert not norm.training and norm.momentum == 0.1
    current = network.record(images)["conv1"].flatten(0, 1)
    assert torch.allclose(norm.get_buffer("running_mean"), current.mean((0, 2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"kind": "best"}, "'best' is no known kind"), ({"kind": "fan_in", "gain": 2}, "fan_in does not take")],
)
def test_bad_options(options: dict[str, object], message: str, images: torch.Tensor) -> None:
    with pytest.raises(GraphError, match=message):
        initialise(deep(), options, images)


def test_silence_cannot_be_matched(images: torch.Tensor) -> None:
    with pytest.raises(GraphError, match="conv1: receives nothing"):
        initialise(deep(), {"kind": "threshold_matched"}, torch.zeros_like(images))
