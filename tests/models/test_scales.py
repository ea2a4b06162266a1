"""Scales that stay or are trained in fine-tuning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantised_networks import assert_deployed, recurrent_network, residual_network, spikes

from snncc.errors import UnsupportedError
from snncc.models.quantised import QuantisedNetwork
from snncc.models.start import prepared
from snncc.models.trained_scales import TrainedScales


def test_kept_scales_stay_until_the_end() -> None:
    """However the weights move; then the network is the Program of what it was trained as."""
    net = prepared(recurrent_network(), "", 2, torch.from_numpy(spikes(40)), "kept").double()
    assert isinstance(net, QuantisedNetwork)
    before = {name: unit.clone() for name, (unit, _) in net.scales.items()}
    with torch.no_grad():
        for name in net.maps:
            weight = net.get_submodule(name).weight
            weight.add_(0.2 * weight.abs().max() * torch.randn(weight.shape))  # type: ignore[operator,union-attr,arg-type]
    net.train()
    trained = {name: net.integer_weight(name).detach() for name in net.maps}
    net.eval()
    assert all(torch.equal(net.integer_weight(name), whole) for name, whole in trained.items())
    assert all(torch.equal(net.scales[name][0], unit) for name, unit in before.items())
    net.settle()
    assert all(torch.equal(net.integer_weight(name), whole) for name, whole in trained.items())
    assert_deployed(net, 2, spikes(3))


@pytest.mark.parametrize("kind", ["if", "lif"])
def test_trained_scales_are_deployed(kind: str) -> None:
    """They start as the same network with chosen scales, get the gradient that a difference quotient gives, and end in the Program
    of what was trained."""
    x = torch.randint(0, 256, (6, 2, 16, 16))
    chosen, net = (prepared(residual_network(kind), "", 2, scales=scales).double() for scales in ("chosen", "trained"))
    assert isinstance(net, TrainedScales)
    torch.testing.assert_close(net(x), chosen(x), rtol=1e-5, atol=1e-5)
    (net(x) * torch.arange(5)).sum().backward()
    gains = dict(net.named_parameters())["log_gains.readout"], dict(net.named_parameters())["log_gains.sn3"]
    assert all(gain.grad is not None and gain.grad.abs().max() > 0 for gain in gains)
    with torch.no_grad():
        gains[0].add_(1e-3)  # the readout's current is linear in it
        more = (net(x) * torch.arange(5)).sum()
        gains[0].sub_(2e-3)
        slope = (more - (net(x) * torch.arange(5)).sum()) / 2e-3
        torch.testing.assert_close(gains[0].grad.sum(), slope, rtol=1e-3, atol=1e-4)
        for name, parameter in net.named_parameters():
            parameter.add_((0.3 if name.startswith("log_gains") else 0.7) * torch.randn(parameter.shape))
    trained = net._worth()
    net.settle()
    for name in net.maps:
        weight = net.get_parameter(f"{name}.weight")
        torch.testing.assert_close(weight, trained[f"{name}.weight"])
        found = net.integers[name] * net.scales[name][0] / net.scales[name][1]
        torch.testing.assert_close(found.expand_as(weight), weight.detach(), rtol=0.05, atol=1e-9)  # scales are snapped
    assert_deployed(net, 2, np.random.default_rng(1).integers(0, 256, (3, 2, 16, 16)))


def test_whole_numbers_follow_late() -> None:
    """A weight that swings around the middle between two whole numbers keeps the one it has; beyond its bits it stops."""
    net = prepared(residual_network(), "", 2, scales="trained")
    assert isinstance(net, TrainedScales)
    m, q = net.get_parameter("conv1.weight"), net.get_buffer("whole_numbers.conv1")
    with torch.no_grad():
        m.zero_()
        q.zero_()
        for moved, whole in ((0.7, 0), (0.8, 1), (0.3, 1), (0.2, 0), (-0.74, 0), (-3.0, -1), (0.0, 0)):
            m[0, 0, 0, 0] = moved
            weight = net._weight("conv1")
            assert float(q[0, 0, 0, 0]) == whole and float(weight[0, 0, 0, 0].sign()) == np.sign(whole), moved
            assert float(m[0, 0, 0, 0]) == pytest.approx(max(moved, -1.0))
            torch.testing.assert_close(net.deployed()[1]["conv1.weight"], weight)


def test_scales_are_trained_in_floats_only() -> None:
    with pytest.raises(UnsupportedError, match="dsr neurons only"):
        prepared(recurrent_network(), "", 2, scales="trained")
