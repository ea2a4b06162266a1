"""What fine-tuning starts from: learned rounding, checkpoints; what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantised_networks import LIF, images, network, residual_network

from snncc.errors import InputError, UnsupportedError
from snncc.ir.nodes import Conv2d, Dense, Neuron
from snncc.models.checkpoint import filled, write_checkpoint
from snncc.models.folding import fold_batch_norm, weights_alone
from snncc.models.integers import Integers, arrays_of, integers_of, maps
from snncc.models.module import SpikingNetwork
from snncc.models.quantised import QuantisedNetwork
from snncc.models.recipes import RECIPES, Training
from snncc.models.start import prepared, rounded


def test_the_start_is_what_learned_rounding_deploys() -> None:
    """Its weights, and its biases to one guarded unit (two roundings in place of one); not those of nearest rounding."""
    x = np.random.default_rng(1).integers(0, 256, (64, 2, 16, 16))
    description, state = weights_alone(*residual_network("lif").double().deployed())
    learned, plain = (integers_of(description, arrays_of(state), 2, calibration) for calibration in (x, None))
    start = integers_of(description, arrays_of(rounded(description, state, 2, torch.from_numpy(x))), 2)

    def nodes(found: Integers, kind: type) -> dict[str, Any]:
        return {name: found.graph.nodes[name] for name in found.graph.of_type(kind)}

    for name, node in (nodes(start, Conv2d) | nodes(start, Dense)).items():
        np.testing.assert_array_equal(node.weight, learned.graph.nodes[name].weight)  # type: ignore[union-attr]
    assert any((n.weight != plain.graph.nodes[k].weight).any() for k, n in nodes(start, Conv2d).items())  # type: ignore[union-attr]
    for name, neuron in nodes(start, Neuron).items():
        wanted, nearest = (np.asarray(one.graph.nodes[name].dynamics.bias) for one in (learned, plain))  # type: ignore[union-attr]
        assert np.abs(neuron.dynamics.bias - wanted).max() <= 1 < np.abs(wanted - nearest).max(), name


def test_a_weight_deployed_several_times_starts_at_the_mean() -> None:
    net = network(LIF).double()
    description, state = weights_alone(*net.deployed())
    made = rounded(description, state, 2, torch.from_numpy(images(32)))
    arrays = arrays_of(state)
    learned, found = integers_of(description, arrays, 2, images(32)), maps(description, arrays)[0]
    mapped = found["conv2"]
    weights = learned.graph.nodes["conv2"].weight[mapped.index == 5]  # type: ignore[union-attr]
    assert (len(weights) == 4 and (weights != weights[0]).any()) or len(np.unique(learned.weights("conv2", mapped))) > 3
    expected = weights.mean() * learned.unit(mapped).flat[0] / mapped.factor.flat[5]
    assert made["conv2.weight"].flatten()[5] == pytest.approx(expected, rel=1e-12)


def test_what_cannot_be_held_is_refused_by_name() -> None:
    skipping = network(LIF, layers="4C3-12-12-5").deployed()
    layers = [
        {**layer, "inputs": ["bn3", "lif2"]} if layer["name"] == "lif3" else layer for layer in skipping[0]["layers"]
    ]
    with pytest.raises(UnsupportedError, match="lif2→lif3: has fixed weights of its own between neurons"):
        prepared(filled(skipping[0] | {"layers": layers}, skipping[1]), "", 4)
    description, state = network(LIF).deployed()
    layers = [{**layer, "inputs": ["lif1"]} if layer["name"] == "bn2" else layer for layer in description["layers"]]
    with pytest.raises(UnsupportedError, match="bn2: is fed by lif1"):
        fold_batch_norm(description | {"layers": layers}, state)
    with pytest.raises(InputError, match="bits is 1"):
        Training("mnist", 1, bits=1)
    with pytest.raises(InputError, match="scales is 'kept'; floats have none, so give bits"):
        Training("mnist", 1, scales="kept")
    with pytest.raises(InputError, match="must be 'float32' to hold 9 bits"):
        Training("mnist", 1, bits=9, precision="bfloat16")


def test_starting_from_a_checkpoint(tmp_path: Path) -> None:
    """In floats too; with batch norm as it is, or folded where the recipe has none; of the same network only."""
    net = network(LIF)
    write_checkpoint(tmp_path / "a.pt", *net.deployed(), {})
    x = torch.from_numpy(images(2))
    same = prepared(network(LIF, seed=1), str(tmp_path / "a.pt"), 0)
    assert same.training and torch.equal(same.eval()(x), net.eval()(x))
    folded = prepared(network(LIF, seed=1, batch_norm=False, dropout=0.0), str(tmp_path / "a.pt"), 0)
    assert "bn1.weight" not in folded.state_dict()
    torch.testing.assert_close(folded.eval()(x), net(x))
    with pytest.raises(InputError, match="of another network than small"):
        prepared(network(LIF, layers="4C3-6C3-5"), str(tmp_path / "a.pt"), 4)


@pytest.mark.parametrize("name", ["mnist-lif-2bit", "mnist-lif-4bit"])
def test_recipes(name: str) -> None:
    recipe = RECIPES[name]
    net = prepared(SpikingNetwork(recipe.network), recipe.training.start, recipe.training.bits)
    assert isinstance(net, QuantisedNetwork) and net.bits == int(name[-4])
    assert [layer["name"] for layer in net.deployed()[0]["layers"]] == [c["name"] for c in recipe.network["layers"]]
    assert net.get_submodule("drop1").p == 0.1
    with pytest.raises(InputError, match="no such file"):
        prepared(SpikingNetwork(recipe.network), "missing", 4)
    assert replace(recipe.training, bits=0).bits == 0
