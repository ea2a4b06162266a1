"""Clip and QCFS: values, derivatives against the stated mappings, and what a checkpoint keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anns import images, residual

from snncc.errors import GraphError, UnsupportedError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.models.activations import Clip, Qcfs
from snncc.models.checkpoint import load_module, write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.optimisers import optimiser_of
from snncc.models.recipes import RECIPES, Training

BOUND = 1.7


def gradients(layer: Any, x: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, float]:
    """(∂L/∂x, ∂L/∂λ) for L = Σ upstream·layer(x)."""
    given = torch.from_numpy(x).requires_grad_()
    (layer.double()(given) * torch.from_numpy(upstream)).sum().backward()
    assert given.grad is not None
    return given.grad.numpy(), float(layer.bound.grad)


def values() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 3, (4, 50)), rng.normal(size=(4, 50))


def test_clip_has_the_gradients_of_finite_differences() -> None:
    x, upstream = values()

    def loss(given: np.ndarray, bound: float) -> float:
        return float((np.clip(given, 0, bound) * upstream).sum())

    by_x, by_bound = gradients(Clip("a", BOUND), x, upstream)
    step = 1e-6
    measured = (np.clip(x + step, 0, BOUND) - np.clip(x - step, 0, BOUND)) / (2 * step) * upstream
    np.testing.assert_allclose(by_x, measured, atol=1e-6)
    bound = float(np.float32(BOUND))
    np.testing.assert_allclose(by_bound, (loss(x, bound + step) - loss(x, bound - step)) / (2 * step), rtol=1e-6)
    assert abs(by_bound) > 0.1


@pytest.mark.parametrize("levels", [1, 4, 8])
def test_qcfs_rounds_and_passes_the_floor_straight_through(levels: int) -> None:
    x, upstream = values()
    bound = float(np.float32(BOUND))
    quantised = np.clip(np.floor(x * levels / bound + 0.5) / levels, 0, 1)
    with torch.no_grad():
        given = Qcfs("a", BOUND, levels).double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(given, bound * quantised, rtol=1e-12, atol=1e-12)
    by_x, by_bound = gradients(Qcfs("a", BOUND, levels), x, upstream)
    inside = (x >= 0) & (x <= bound)
    np.testing.assert_allclose(by_x, upstream * inside, atol=1e-12)
    # λ·(q(x/λ)) with dq/dz = 1: q + λ·(−x/λ²) inside
    np.testing.assert_allclose(by_bound, (upstream * (quantised - inside * x / bound)).sum(), rtol=1e-9)


def test_half_precision_sees_full_precision_bounds() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Clip("a", 4.0)(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("activation", [{"kind": "clip", "bound": 0.8}, {"kind": "qcfs", "bound": 0.8, "levels": 4}])
def test_a_checkpoint_keeps_trained_bounds_as_numbers(activation: dict[str, Any], tmp_path: Path) -> None:
    network = SpikingNetwork(residual(activation).description)
    with torch.no_grad():
        network.act2.bound.fill_(0.3)
    description, state = network.deployed()
    assert [x["bound"] for x in description["layers"] if "bound" in x] == pytest.approx([0.8, 0.3, 0.8])
    assert not any("bound" in name for name in state)
    write_checkpoint(tmp_path / "ann.pt", description, state, {})
    again = load_module(tmp_path / "ann.pt")
    assert torch.equal(again(images(3)), network.eval()(images(3)))
    with pytest.raises(UnsupportedError, match=r"ann\.pt: act1: is a \w+ activation .* snncc convert"):
        read_checkpoint(tmp_path / "ann.pt")


def test_one_bound_a_channel() -> None:
    layer = Clip("a", [[[1.0]], [[2.0]]])
    assert layer(torch.full((1, 2, 3, 3), 5.0)).amax((0, 2, 3)).tolist() == [1.0, 2.0]
    assert layer.learned() == {"bound": [[[1.0]], [[2.0]]]}


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), "x", [[1.0], [1.0, 2.0]]])
def test_bad_bounds_are_named(bound: Any) -> None:
    with pytest.raises(GraphError, match="act: bound is"):
        Clip("act", bound)


def test_bad_levels_are_named() -> None:
    with pytest.raises(GraphError, match="act: levels is 0"):
        Qcfs("act", 1.0, 0)


def test_bounds_decay_and_biases_do_not() -> None:
    network = SpikingNetwork(convolutional("n", "4C3-10", 1, {"kind": "clip", "bound": 4.0}))
    optimiser, _ = optimiser_of(network, Training("mnist", 1, weight_decay=0.1), 10)
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, p in network.named_parameters() if id(p) in decayed}
    assert names == {"conv1.weight", "act1.bound", "fc1.weight"}


def test_the_recipes_are_anns() -> None:
    names = [name for name in RECIPES if "-ann-" in name]
    assert {"cifar10-ann-qcfs", "fashion-ann-qcfs"} <= set(names)
    for name in names:
        network = RECIPES[name].network
        kinds = [layer["kind"] for layer in network["layers"]]
        assert network["time_steps"] == 1 and "max_pool2d" not in kinds
        assert kinds.count("clip") + kinds.count("qcfs") >= 5
