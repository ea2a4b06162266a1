"""Fine-tuning on integers: the straight-through gradient, and the integers of the Program that is deployed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_networks import (
    BURST,
    CHANNELS,
    LIF,
    SYNAPTIC,
    assert_deployed,
    images,
    network,
    recurrent_network,
    residual_network,
    spikes,
)

from snncc.models.module import SpikingNetwork
from snncc.models.quantised import QuantisedNetwork, Round, RoundUp
from snncc.models.start import prepared


@settings(max_examples=12)
@given(
    st.sampled_from([LIF, BURST, SYNAPTIC, CHANNELS]), st.sampled_from([2, 3, 4, 8]), st.integers(0, 2**31 - 1),
    st.booleans(),
)  # fmt: skip
def test_evaluation_is_the_deployed_program(neuron: dict[str, Any], bits: int, seed: int, batch_norm: bool) -> None:
    net = prepared(network(neuron, seed, batch_norm=batch_norm), "", bits).eval().double()
    assert isinstance(net, QuantisedNetwork)
    assert_deployed(net, bits, images(3, seed))


@pytest.mark.parametrize("neuron", [LIF, BURST, SYNAPTIC, CHANNELS])
def test_training_sees_the_same_integers_and_scores(neuron: dict[str, Any]) -> None:
    """Right after the scales were chosen; and scores in real units, near the float network's at many bits."""
    net = prepared(network(neuron), "", 4).double()
    x = torch.from_numpy(images(3))
    scores = net(x)
    weights = {name: net.integer_weight(name) for name in net.maps}  # type: ignore[attr-defined]
    net.eval()
    assert torch.equal(net(x), scores)
    assert all(torch.equal(net.integer_weight(name), weight) for name, weight in weights.items())  # type: ignore[attr-defined]
    fine, exact = prepared(network(neuron), "", 16).double().eval(), network(neuron).double().eval()
    torch.testing.assert_close(fine(x), exact(x), rtol=0.1, atol=0.02)


def test_the_gradient_is_straight_through() -> None:
    """Rounding is the identity, a weight beyond the largest integer has none; against the derivative written out."""
    x = torch.tensor([0.4, 0.5, 1.5, -0.5, -2.5], requires_grad=True)
    assert Round.apply(x).tolist() == [0, 0, 2, 0, -2] and RoundUp.apply(x).tolist() == [0, 1, 2, 0, -2]
    (Round.apply(x) * torch.arange(1.0, 6)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 2, 3, 4, 5]
    net = prepared(network(LIF), "", 2)
    assert isinstance(net, QuantisedNetwork)
    for name in net.maps:
        unit, factor = net.scales[name]
        weight = net.get_submodule(name).weight
        coefficients = torch.randn(weight.shape, dtype=torch.float64)
        (net.integer_weight(name) * coefficients).sum().backward()
        ratio = weight.detach().double() * factor / unit
        expected = torch.where(ratio.round().abs() <= 1, coefficients * factor / unit, 0)
        torch.testing.assert_close(weight.grad, expected.float())
        assert (weight.grad == 0).any() and (weight.grad != 0).any()


def test_the_whole_gradient_is_the_float_networks_at_many_bits() -> None:
    """Where rounding hardly moves anything, so do the surrogate derivatives: real units go in and come out."""
    lively = SYNAPTIC | {"threshold": 0.1}
    smooth = {"batch_norm": False, "surrogate": {"kind": "sigmoid", "width": 4.0}}
    float_net = network(lively, **smooth).double()
    whole = prepared(network(lively, **smooth), "", 16).double()
    x = torch.from_numpy(images(4))
    for net in (float_net, whole):
        net.eval() if net is float_net else net.train()
        (net(x) * torch.arange(5)).sum().backward()
    for (name, a), (_, b) in zip(float_net.named_parameters(), whole.named_parameters(), strict=True):
        assert a.grad is not None and b.grad is not None and a.grad.abs().max() > 0, name
        cosine = torch.nn.functional.cosine_similarity(a.grad.flatten(), b.grad.flatten(), 0)
        assert cosine > 0.98 and 0.9 < float(b.grad.norm() / a.grad.norm()) < 1.1, (name, cosine)


@settings(max_examples=6)
@given(st.sampled_from(["if", "lif"]), st.sampled_from([2, 3, 8]), st.integers(0, 2**31 - 1))
def test_evaluation_is_the_program_of_a_residual_network(kind: str, bits: int, seed: int) -> None:
    net = prepared(residual_network(kind, seed), "", bits).eval().double()
    assert isinstance(net, QuantisedNetwork) and "sn1_to_sn3" in net.maps and "pool2" in net.maps
    assert_deployed(net, bits, np.random.default_rng(seed).integers(0, 256, (3, 2, 16, 16)))


@settings(max_examples=6)
@given(st.sampled_from([2, 4, 8]), st.integers(0, 2**31 - 1))
def test_evaluation_is_the_program_of_a_recurrent_network(bits: int, seed: int) -> None:
    net = prepared(recurrent_network(seed), "", bits).eval().double()
    assert isinstance(net, QuantisedNetwork)
    assert_deployed(net, bits, spikes(3, seed))


def test_gradients_go_round_the_loop() -> None:
    """The gradient of a loop's weights is the float network's at many bits, and not 0."""
    whole, exact = prepared(recurrent_network(), "", 16).double(), recurrent_network().double()
    x = torch.from_numpy(spikes(6))
    for net in (whole, exact):
        (net(x) * torch.arange(4)).sum().backward()
    for loop in ("loop1", "loop2"):
        a, b = (net.get_submodule(loop).weight.grad.flatten() for net in (exact, whole))
        assert a.abs().max() > 0 and torch.nn.functional.cosine_similarity(a, b, 0) > 0.98


@pytest.mark.parametrize("kind", ["if", "lif"])
def test_representations_train_through_what_the_integers_are_worth(kind: str) -> None:
    """Scores and gradients of a training pass are the float network's at many bits; at 2 bits the scores are those of weights
    that are multiples of one scale a channel."""
    x = torch.randint(0, 256, (6, 2, 16, 16))
    fine, coarse = (prepared(residual_network(kind), "", bits).double() for bits in (16, 2))
    assert isinstance(fine, QuantisedNetwork) and isinstance(coarse, QuantisedNetwork)
    exact = SpikingNetwork(fine.stored).double()
    exact.load_state_dict(fine.state_dict(), strict=False)
    for net in (fine, exact):
        (net(x) * torch.arange(5)).sum().backward()
    torch.testing.assert_close(fine(x), exact(x), rtol=0.02, atol=0.02)
    for name, parameter in fine.named_parameters():
        found, wanted = parameter.grad, exact.get_parameter(name).grad
        assert found is not None and wanted is not None and wanted.abs().max() > 0, name
        assert torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), 0) > 0.98, name
    scores = coarse(x)
    with torch.no_grad():
        for name in coarse.maps:
            weight = coarse._worth()[f"{name}.weight"]
            assert all(len(torch.unique(row.abs())) <= 2 for row in weight)
            exact.get_parameter(f"{name}.weight").copy_(weight)
    torch.testing.assert_close(exact(x), scores)
