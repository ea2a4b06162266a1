"""Fine-tuning on integers: folding, the straight-through gradient, and the integers of the Program that is deployed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from snncc.cli.main import cli
from snncc.compiler import Compilation, compile_graph
from snncc.data import Dataset, load
from snncc.errors import InputError, UnsupportedError
from snncc.frontends.checkpoint import read_checkpoint
from snncc.frontends.description import graph_of
from snncc.ir.nodes import BatchNorm, Conv2d, Dense, Neuron
from snncc.memory import shared_exponent
from snncc.models import train as training
from snncc.models.checkpoint import filled, write_checkpoint
from snncc.models.folding import fold_batch_norm, weights_alone
from snncc.models.integers import Integers, arrays_of, integers_of, maps
from snncc.models.module import SpikingNetwork
from snncc.models.networks import convolutional
from snncc.models.quantised import QuantisedNetwork, Round, RoundUp
from snncc.models.recipes import RECIPES, Recipe, Training
from snncc.models.recurrent import recurrent
from snncc.models.residual import residual
from snncc.models.start import prepared, rounded
from snncc.models.trained_scales import TrainedScales
from snncc.pipeline import Context
from snncc.program.reference import run_reference
from snncc.registry import get, get_target
from snncc.target import CompileOptions, RunOptions

LIF = {"threshold": 0.8, "membrane_decay": 0.45, "reset": "to_value", "reset_value": 0.1, "compare": ">"}
BURST = {"threshold": 0.5, "membrane_decay": 0.3, "levels": 4, "spike_value": 0.5, "decay_timing": "after"}
SYNAPTIC = {
    "threshold": 0.6,
    "membrane_decay": 0.7,
    "current_decay": 0.35,
    "reset_timing": "next_step",
    "input_gain": 0.5,
}
CHANNELS = {"threshold": 1.0, "bias": 0.01, "v_init": 0.2, "v_min": -0.5, "signed": True, "levels": 2}


def network(neuron: dict[str, Any], seed: int = 0, layers: str = "4C3-P2-6C3-12-5", **options: Any) -> SpikingNetwork:
    """A float network with random batch norm."""
    torch.manual_seed(seed)
    made = SpikingNetwork(convolutional("small", layers, 4, neuron, (2, 11, 11), **options))
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.05, 0.5)
            elif tensor.dtype.is_floating_point:
                tensor.add_(torch.randn(tensor.shape) * 0.1)
    return made


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 11, 11))


def compiled(net: SpikingNetwork, bits: int) -> Compilation:
    description, state = net.deployed()
    graph = graph_of(description, {name: t.numpy() for name, t in state.items()}, {})
    return compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=bits))


def assert_deployed(net: QuantisedNetwork, bits: int, x: np.ndarray) -> None:
    """Evaluation in float64 is the Program: its weights, spikes, membranes and answers."""
    made = compiled(net, bits)
    weights = {p.name: p.weight for p in made.program.projections}
    for name, mapped in net.maps.items():
        whole = net.integer_weight(name).numpy()
        used = mapped.index >= 0
        np.testing.assert_array_equal(weights[name][used], whole.reshape(-1)[mapped.index[used]])
        assert not weights[name][~used].any()
        assert np.abs(whole).max() / 2 ** shared_exponent(whole) <= 2 ** (bits - 1) - 1
    found = run_reference(made.program, x)
    with torch.no_grad():
        values = net.record(torch.from_numpy(x))
        scores = net(torch.from_numpy(x))
    assert any(spikes.any() for spikes in found.spikes.values())
    for population in made.program.populations:
        expected = found.spikes if population.fires else found.membranes
        np.testing.assert_array_equal(values[population.name].numpy(), expected[population.name])
    np.testing.assert_array_equal(scores.argmax(-1).numpy(), found.predictions)


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


def residual_network(kind: str = "if", seed: int = 0) -> SpikingNetwork:
    """Of DSR: pooled currents, shortcuts with and without weights, pooled spikes that enter neurons."""
    torch.manual_seed(seed)
    neuron = {"threshold": 0.5, "reset_amount": 1.0, "spike_value": 1.0}
    if kind == "lif":
        neuron = {"threshold": 0.05, "reset_amount": 0.1, "spike_value": 1.0}
        neuron |= {"membrane_decay": math.exp(-0.1), "input_gain": 1 - math.exp(-0.1)}
    surrogate = {"method": "dsr", "least": 0.0005}
    net = SpikingNetwork(
        residual("small", 4, neuron, (4, 6), (2, 1), (2, 16, 16), 5, 2, readout="membrane", surrogate=surrogate)
    )
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.05, 0.3)
            elif name.startswith("bn") and name.endswith("bias"):
                tensor.uniform_(0, 1)
    return net


def recurrent_network(seed: int = 0) -> SpikingNetwork:
    """Of two layers with loops, fed by spikes."""
    torch.manual_seed(seed)
    neuron = {"threshold": 0.7, "compare": ">", "reset": "subtract"}
    entry = {"encoding": "spikes", "scale": 1.0, "low": -1, "high": 1}
    return SpikingNetwork(recurrent("loops", 5, [7, 6], 4, 9, neuron, entry, 0.9, (2.0, 20.0)))


def spikes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, (9, count, 5))


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


def test_scales_are_trained_in_floats_only() -> None:
    with pytest.raises(UnsupportedError, match="dsr neurons only"):
        prepared(recurrent_network(), "", 2, scales="trained")


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
    with pytest.raises(InputError, match="must be 'float32' to hold 9 bits"):
        Training("mnist", 1, bits=9, precision="bfloat16")


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The bundled images for every split; those after the 600th are for tests."""
    demo = load("mnist:demo")
    assert demo.labels is not None
    parts = {"mnist:train": slice(0, 600), "mnist:test": slice(600, 1000)}

    def give(name: str, limit: int | None = None, *_: Any) -> Dataset:
        assert demo.labels is not None
        return Dataset(name, demo.inputs[parts[name]][:limit], demo.labels[parts[name]][:limit], "bundled")

    monkeypatch.setattr(training, "load", give)
    torch.set_num_threads(1)
    return give("mnist:test")


def test_fine_tuning_at_two_bits_keeps_the_accuracy(bundled: Dataset, tmp_path: Path) -> None:
    """From the zoo's network: far better than rounding alone, and the Program has the accuracy that training reports."""
    how = Training("mnist", 1, batch_size=32, learning_rate=1e-3, weight_decay=0.0, start="mnist-lif", bits=2)
    recipe = Recipe("fine", "a test", RECIPES["mnist-lif"].network, how)
    result = training.train(recipe, tmp_path / "fine.pt", limit=384)

    assert bundled.labels is not None
    x, y = bundled.inputs[:384], bundled.labels[:384]

    def accuracy(path: Path, bits: int) -> float:
        made = compile_graph(read_checkpoint(path), get_target("fixed-sim"), CompileOptions(bits=bits))
        answers = get_target("fixed-sim").run(made.program, None, x, RunOptions()).predictions
        return float((answers == y).mean())

    rounded = accuracy(RECIPES["mnist-lif"].checkpoint, 2)
    assert accuracy(result.checkpoint, 2) == result.test_accuracy > rounded + 0.1
    assert abs(accuracy(result.checkpoint, 8) - result.test_accuracy) < 0.02
    graph = read_checkpoint(result.checkpoint)
    assert not graph.of_type(BatchNorm) and graph.name == "mnist-lif"
    levels = np.unique(graph.nodes["fc1"].weight[0])  # type: ignore[union-attr]
    assert len(levels) <= 3
    other = compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=8)).remarks
    assert other == ["was trained with weights of 2 bits; --bits 2 keeps those integers"]
    assert compile_graph(graph, get_target("fixed-sim"), CompileOptions(bits=2)).remarks == []


def test_the_same_seed_gives_the_same_integers_also_when_resumed(bundled: Dataset, tmp_path: Path) -> None:
    how = Training("mnist", 2, batch_size=50, bits=3)
    recipe = Recipe("tiny", "a test", convolutional("tiny", "4C5-P4-20-10", 2, LIF, dropout=0.1), how)

    class Stopped(Exception):
        pass

    def stop(epoch: int, batch: int, *_: Any) -> None:
        if (epoch, batch) == (2, 3):
            raise Stopped

    whole = training.train(recipe, tmp_path / "whole.pt", limit=300)
    with pytest.raises(Stopped):
        training.train(recipe, tmp_path / "parts.pt", limit=300, progress=stop)
    parts = training.train(recipe, tmp_path / "parts.pt", limit=300)
    first, second = (torch.load(r.checkpoint)["state_dict"] for r in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


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


def test_on_the_command_line(bundled: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "four.pt"
    chosen = ["--from", "mnist-lif", "--bits", "4", "--epochs", "1", "--limit", "128", "-o", str(out), "--json"]
    chosen += ["--learning-rate", "1e-4"]
    assert CliRunner().invoke(cli, ["train", "mnist-lif", *chosen], catch_exceptions=False).exit_code == 0
    options = read_checkpoint(out).origin["training"]["options"]
    assert (options["start"], options["bits"], options["learning_rate"]) == ("mnist-lif", 4, 1e-4)
    assert CliRunner().invoke(cli, ["train", "mnist-lif", "--bits", "1"]).exit_code == 2


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
