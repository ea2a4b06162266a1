"""Folding before fine-tuning: the same network, in weights alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantised_networks import LIF, images, network, residual_network

from snncc.frontends.description import graph_of
from snncc.ir.nodes import BatchNorm
from snncc.models.checkpoint import filled
from snncc.models.folding import fold_batch_norm, weights_alone
from snncc.pipeline import Context
from snncc.registry import get


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=8)
def test_folding_is_the_pass(seed: int) -> None:
    net = network(LIF, seed, padding=1).double()
    description, state = net.deployed()
    numbers = {name: t.numpy() for name, t in state.items() if "num_batches" not in name}
    by_pass = get("snncc.passes", "remove-identities")().run(graph_of(description, numbers, {}), Context()).graph
    by_pass = get("snncc.passes", "fold-batch-norm")().run(by_pass, Context()).graph
    assert not by_pass.of_type(BatchNorm)
    folded, tensors = fold_batch_norm(description, state)
    for name, tensor in tensors.items():
        layer, _, key = name.rpartition(".")
        np.testing.assert_allclose(tensor.numpy(), getattr(by_pass.nodes[layer], key), rtol=1e-13)
    x = torch.from_numpy(images(2, seed))
    torch.testing.assert_close(filled(folded, tensors).double()(x), net.eval()(x))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kind", ["avg_pool2d", "sum_pool2d"])
def test_weights_alone_is_the_same_network(kind: str, padding: int) -> None:
    """Pooled currents and shortcuts become weights of layers; of the compiled network's weights none is without one."""
    for net in (residual_network().double(), network(LIF, layers="4C3/2-6C3-5", padding=padding).double()):
        description, state = net.deployed()
        layers = [layer | ({"kind": kind} if layer["kind"] == "avg_pool2d" else {}) for layer in description["layers"]]
        net = filled(description | {"layers": layers}, state).double()
        made, tensors = weights_alone(*net.deployed())
        kinds = {layer["kind"] for layer in made["layers"]}
        assert kinds == {"conv2d", "neuron", "dense", "flatten"}
        x = torch.randint(0, 256, (3, *description["input"]["shape"]))
        torch.testing.assert_close(filled(made, tensors).double()(x), net(x))
        again, same = weights_alone(made, tensors)
        assert again == made and all(torch.equal(same[key], tensors[key]) for key in tensors)
