"""DSR: the neurons are those of snncc.ir.dynamics, and every gradient is that of the stated map of representations."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics, initial_state, step
from snncc.models.checkpoint import write_checkpoint
from snncc.models.module import BatchNorm, SpikingNetwork
from snncc.models.representation import RepresentationNeuron, representation_scores
from snncc.models.residual import residual
from snncc.models.start import prepared


def integrate_and_fire(level: float = 2.0, alpha: float = 0.5) -> dict[str, Any]:
    return {"threshold": alpha * level, "reset_amount": level, "spike_value": level}


def leaky(level: float = 0.2, alpha: float = 0.5, delta_t: float = 0.1, tau: float = 1.0) -> dict[str, Any]:
    decay = math.exp(-delta_t / tau)
    return {
        "threshold": alpha * level, "reset_amount": level, "spike_value": level / delta_t, "membrane_decay": decay,
        "input_gain": 1 - decay,
    }  # fmt: skip


KINDS = {"if": integrate_and_fire(), "lif": leaky()}
LEAST = 0.01


def neuron_of(fields: dict[str, Any]) -> RepresentationNeuron:
    return RepresentationNeuron(Dynamics(**fields), LEAST).double()


def small(kind: str, readout: str = "spikes", steps: int = 4) -> SpikingNetwork:
    surrogate = {"method": "dsr", "least": LEAST}
    description = residual("small", steps, KINDS[kind], (4, 6), (1, 1), (2, 8, 8), 5, 1, 0.0, readout, surrogate)
    network = SpikingNetwork(description).double()
    with torch.no_grad():
        for module in network.children():
            if isinstance(module, BatchNorm):
                module.running_var.uniform_(0.02, 0.1)  # type: ignore[union-attr]
                module.bias.uniform_(0, 2)
            if isinstance(module, RepresentationNeuron):
                module.level.mul_(1 + 0.2 * torch.rand(()))
    return network


def pixels(network: SpikingNetwork, count: int = 6) -> Tensor:
    return torch.randint(0, 256, (count, *network.description["input"]["shape"]))


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.sampled_from([0.25, 0.5, 0.75]), st.sampled_from([0.5, 1.0, 6.0]), st.integers(0, 2**32 - 1))
def test_neurons_step_as_their_dynamics(leaks: bool, alpha: float, level: float, seed: int) -> None:
    neuron = neuron_of(leaky(level, alpha) if leaks else integrate_and_fire(level, alpha))
    random = np.random.default_rng(seed)
    with torch.no_grad():
        neuron.level.mul_(float(random.choice([0.5, 1.0, 2.0])))
    d = neuron.dynamics
    current = np.round(random.normal(0, 2, (7, 3, 4)) * 4) / 4 * d.spike_value  # hits the threshold of IF exactly
    state = initial_state(d, current.shape[1:], current.dtype)
    spikes = np.stack([(state := step(d, state, i)).spikes for i in current])
    given = torch.from_numpy(current)
    with torch.no_grad():
        np.testing.assert_array_equal(neuron(given, 7).numpy(), spikes)
    np.testing.assert_array_equal(neuron(given, 7).detach().numpy(), spikes)
    leaving, mean = neuron.simulate(given, 7)
    np.testing.assert_array_equal(leaving.numpy(), spikes * d.spike_value)
    weights = [d.membrane_decay ** (7 - t) for t in range(1, 8)]
    np.testing.assert_allclose(mean.numpy(), np.average(spikes * d.spike_value, axis=0, weights=weights))


@pytest.mark.parametrize("fields", [integrate_and_fire(6.0), leaky(0.3, 0.3, 0.05), leaky(0.3, 0.5, 0.1, 2.0)])
def test_gradients_are_the_slopes_of_the_map(fields: dict[str, Any]) -> None:
    """Finite differences of the map; of ∂L/∂V, which the paper scales by Δt² for LIF."""
    torch.manual_seed(0)
    neuron, steps = neuron_of(fields), 5
    current = (torch.randn(steps, 40, dtype=torch.float64) * 2 + torch.linspace(-3, 12, 40)).requires_grad_()
    cost = torch.randn(steps, 40, dtype=torch.float64)  # L = Σ cost · o, o = spike_value · spikes
    (neuron(current, steps) * neuron.dynamics.spike_value * cost).sum().backward()
    decay = fields.get("membrane_decay", 1.0)
    weights = np.array([decay ** (steps - t) for t in range(1, steps + 1)])
    delta_t = fields["reset_amount"] / fields["spike_value"]
    tau = -delta_t / math.log(decay) if decay < 1 else 1.0
    arriving = np.average(current.detach().numpy(), axis=0, weights=weights)
    total = steps * np.average(cost.numpy(), axis=0, weights=weights)

    def leaving(r_in: Any, level: float) -> Any:
        return np.clip(r_in / tau, 0, level / delta_t)

    h, level = 1e-6, fields["reset_amount"]
    slope = (leaving(arriving + h, level) - leaving(arriving - h, level)) / (2 * h)
    rise = (leaving(arriving, level + h) - leaving(arriving, level - h)) / (2 * h)
    assert 0 < (slope > 0).mean() < 1
    assert rise.max() > 0
    expected = np.broadcast_to(total * slope / steps, current.shape)
    np.testing.assert_allclose(current.grad, expected, atol=1e-6)  # type: ignore[arg-type]
    np.testing.assert_allclose(neuron.level.grad, delta_t**2 * (total * rise).sum(), rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "passes"), [("if", 1.0), ("lif", 0.0)])
def test_silence_is_differentiated_by_if_alone(kind: str, passes: float) -> None:
    """No input lies on the map's rising part for IF, 0 ≤ r_in ≤ V, but not for LIF, 0 < r_in < Vτ/Δt."""
    neuron = neuron_of(KINDS[kind])
    for value, gain in ((0.0, passes), (1.0, 1.0)):
        current = torch.full((1, 1, 1), value, dtype=torch.float64, requires_grad=True)
        (neuron(current, 3) * neuron.dynamics.spike_value).sum().backward()
        assert current.grad is not None
        assert float(current.grad) == pytest.approx(3 * gain)


@pytest.mark.parametrize("readout", ["spikes", "membrane"])
def test_training_on_representations_is_the_gradient_through_all_steps(readout: str) -> None:
    """With the batch norms' statistics held, every parameter of an IF network gets the same gradient both ways."""
    torch.manual_seed(1)
    network = small("if", readout)
    x, cost = pixels(network), torch.randn(6, 5, dtype=torch.float64)
    found = []
    for scores in (lambda: representation_scores(network.eval(), x), lambda: network.eval()(x)):
        network.zero_grad()
        (scores() * cost).sum().backward()
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() == dict(network.named_parameters()).keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-9, atol=1e-12, msg=name)
    assert sum(float(g.abs().sum()) > 0 for n, g in found[0].items() if n.endswith("level")) >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_that_of_the_network_of_maps(kind: str) -> None:
    """Convolution, batch norm, neurons, dense in training mode, against autograd on the stated maps whose values are
    replaced by those of the spikes; the running statistics move as PyTorch's."""
    torch.manual_seed(2)
    network = small(kind, "membrane").train()
    x = pixels(network)
    representation_scores(network, x).square().sum().backward()
    copy, steps = small(kind, "membrane"), 4
    copy.load_state_dict(network.state_dict())
    values = {"input": (x.double() / 255, (x.double() / 255)[None].expand(steps, *x.shape))}
    scores = None
    for name, sources in copy.inputs.items():
        module = copy.get_submodule(name)
        r, o = (sum(values[s][i] for s in sources) for i in (0, 1))
        if isinstance(module, BatchNorm):
            axes = [0, *range(2, r.dim())]
            var, mean = r.var(axes, correction=0, keepdim=True), r.mean(axes, keepdim=True)
            shape = [-1] + [1] * (r.dim() - 2)
            scale = module.weight.view(shape) / (var + module.eps).sqrt()
            o = (o - mean) * scale + module.bias.view(shape)
            r = functional.batch_norm(r, None, None, module.weight, module.bias, True, 0, module.eps)
        elif isinstance(module, RepresentationNeuron):
            with torch.no_grad():
                o = module(o, steps) * module.dynamics.spike_value
            weights = torch.tensor(module.weights(steps), dtype=torch.float64)
            top = module.level * module.delta_t  # slope Δt where V/Δt has 1/Δt: the paper's
            clipped = torch.where(r > module.level / module.delta_t * module.tau, top, (r / module.tau).clamp_min(0))
            r = torch.tensordot(weights, o, 1) + clipped - clipped.detach()
        elif name == copy.last:
            scores = steps * r
        else:
            r, o = module(r), module(o.flatten(0, 1)).unflatten(0, o.shape[:2])
        values[name] = r, o.detach()
    assert scores is not None
    scores.square().sum().backward()
    for (name, a), (_, b) in zip(network.named_parameters(), copy.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-9, msg=name)


def test_even_currents_are_those_of_an_ann_with_levels() -> None:
    """Every layer as a layer of PyTorch, and IF neurons as what T equal currents make of them."""
    torch.manual_seed(5)
    network = small("if", "membrane").train()
    x, steps = pixels(network), network.time_steps
    found = representation_scores(network, x, even=True)
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.get_submodule("conv1").parameters())
    assert not torch.allclose(found, representation_scores(network, x))
    values = {"input": x.double() / 255}
    for name, sources in network.inputs.items():
        module = network.get_submodule(name)
        r = sum(values[s] for s in sources)
        if isinstance(module, RepresentationNeuron):
            with torch.no_grad():
                r = module(r[None], steps).mean(0) * module.dynamics.spike_value
        elif name != network.last:
            r = module(r)
        values[name] = r
    torch.testing.assert_close(found, steps * values[network.last])


@given(st.floats(0.02, 10), st.sampled_from([integrate_and_fire, leaky]))
def test_neurons_are_those_given_until_their_level_moves(level: float, kind: Callable[[float], dict[str, Any]]) -> None:
    """Also where V has more digits than the parameter; a checkpoint read twice is one network."""
    neuron, given = neuron_of(kind(level)), Dynamics(**kind(level))
    assert repr(neuron.dynamics) == repr(given)
    with torch.no_grad():
        neuron.level.mul_(1 + 1e-9)
    assert repr(neuron.dynamics) != repr(given)
    assert neuron.dynamics.subtracted == pytest.approx(level)


@pytest.mark.parametrize("kind", KINDS)
def test_even_currents_give_levels_from_0_to_all_steps(kind: str) -> None:
    neuron, steps = neuron_of(KINDS[kind]), 5
    top = neuron.dynamics.spike_value
    found = neuron.evenly(torch.linspace(-0.5, 1.5, 4001, dtype=torch.float64) * top * neuron.tau, steps)
    torch.testing.assert_close(found.unique(), torch.arange(steps + 1, dtype=torch.float64) / steps * top)
    middle = neuron.evenly(torch.tensor([0.09, 0.11, 0.89, 0.91], dtype=torch.float64) * top * neuron.tau, steps)
    torch.testing.assert_close(middle, torch.tensor([0, 0.2, 0.8, 1], dtype=torch.float64) * top)


def test_batch_norm_keeps_running_statistics_of_representations() -> None:
    torch.manual_seed(3)
    network = small("if").train()
    x = pixels(network)
    stem = network.get_submodule("conv1")(x.double() / 255)
    norm = network.get_submodule("bn1")
    assert isinstance(norm, BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    network(x)
    functional.batch_norm(stem, mean, var, training=True, momentum=0.1)
    torch.testing.assert_close((norm.running_mean, norm.running_var), (mean, var))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("readout", ["spikes", "membrane"])
def test_training_and_evaluation_give_the_same_scores(kind: str, readout: str) -> None:
    torch.manual_seed(4)
    network = small(kind, readout).eval()
    x = pixels(network)
    with torch.no_grad():
        torch.testing.assert_close(representation_scores(network, x), network(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_readout_is_the_representation_of_the_last_spikes(kind: str) -> None:
    torch.manual_seed(5)
    network = small(kind).eval()
    x = pixels(network)
    with torch.no_grad():
        spikes = network.record(x)["sn7"]
        weights = [KINDS[kind].get("membrane_decay", 1.0) ** (4 - t) for t in range(1, 5)]
        assert 0 < float((spikes > 0).double().mean()) < 1
        np.testing.assert_allclose(network(x).numpy() / 4, np.average(spikes.numpy(), axis=0, weights=weights))


@pytest.mark.parametrize("steps", [1, 2, 5, 16])
def test_a_constant_current_is_represented_to_half_a_spike(steps: int) -> None:
    """IF, α = ½: clip(floor(rT/V + ½), 0, T) spikes, so that r_out is the map to V/(2T) for any T."""
    neuron = neuron_of(integrate_and_fire(2.0))
    r = torch.linspace(-1, 3.003, 101, dtype=torch.float64)  # no ties
    _, mean = neuron.simulate(r[None], steps)
    assert float((mean - r.clamp(0, 2)).abs().max()) <= 2 / (2 * steps) + 1e-12
    torch.testing.assert_close(mean, torch.floor(r * steps / 2 + 0.5).clamp(0, steps) * 2 / steps)


def test_the_threshold_stays_above_the_least() -> None:
    neuron = neuron_of(integrate_and_fire())
    with torch.no_grad():
        neuron.level.fill_(-1.0)
    assert neuron.learned() == {"threshold": LEAST / 2, "reset_amount": LEAST, "spike_value": LEAST}
    neuron(torch.ones(1, 2, 3, dtype=torch.float64), 2).sum().backward()
    assert float(neuron.level.detach()) == LEAST


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": 2}, "is no neuron of this method"),
        ({"reset": "to_value"}, "is no neuron of this method"),
        ({"spike_value": 1.0}, "an IF neuron's is its reset_amount"),
        ({"threshold": np.ones((3, 1))}, "its constants are numbers"),
        ({"membrane_decay": 0.9}, "input_gain of 1 − membrane_decay"),
        ({"reset_amount": 0.001, "spike_value": 0.001}, "least is 0.01"),
    ],
)
def test_other_neurons_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        neuron_of(KINDS["if"] | change)


def test_a_lif_network_goes_on_from_an_if_network(tmp_path: Path) -> None:
    """Its weights are the trained ones, and its spikes are worth what theirs are: V/Δt."""
    trained = small("if", "membrane")
    write_checkpoint(tmp_path / "if.pt", *trained.deployed(), {})
    made = prepared(small("lif", "membrane"), str(tmp_path / "if.pt"), 0).double()
    assert made.on_representations
    pairs = [(a, b) for a, b in zip(trained.children(), made.children(), strict=True) if hasattr(a, "level")]
    assert pairs
    for a, b in pairs:
        assert (b.alpha, b.delta_t, b.tau) == pytest.approx((0.5, 0.1, 1.0))
        assert b.level.item() / b.delta_t == pytest.approx(a.level.item(), rel=1e-6)
        assert a.level.item() != pytest.approx(2.0, rel=1e-3)
    weights = [n for n, _ in trained.named_parameters() if n.endswith("weight")]
    assert all(torch.equal(trained.get_parameter(n), made.get_parameter(n)) for n in weights)
