"""The leak-aware derivative against autograd on the mapping that it stands for, and forward against the dynamics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics, initial_state, step
from snncc.models.leak_aware import LeakAwareNeuron, leak_correction
from snncc.models.module import FixedDropout
from snncc.models.spike_based import LEAK

STEPS, SAMPLES, SHAPE = 12, 2, (3, 2)
LIF = Dynamics(threshold=1.0, compare=">", membrane_decay=LEAK, decay_timing="after", reset="to_value")


def currents(seed: int) -> Tensor:
    made = np.random.default_rng(seed).normal(0.3, 0.6, (STEPS, SAMPLES, *SHAPE))
    return torch.from_numpy(np.round(made * 8) / 8)  # values that hit thresholds exactly


def per_channel(low: float, high: float) -> st.SearchStrategy[Any]:
    number = st.floats(low, high, width=32)
    return st.one_of(number, st.lists(number, min_size=3, max_size=3).map(lambda v: np.array(v).reshape(3, 1)))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Dynamics,
        threshold=st.one_of(st.sampled_from([0.5, 0.75, 1.0]), per_channel(0.25, 2)),
        compare=st.sampled_from([">", ">="]),
        membrane_decay=per_channel(0.125, 1),
        reset=st.just("to_value"),
        reset_value=per_channel(-0.5, 0.5),
        decay_timing=st.sampled_from(["before", "after"]),
        v_init=per_channel(-1, 1),
        fires=st.booleans(),
    ),
    st.integers(0, 2**32 - 1),
)
def test_forward_equals_the_dynamics_exactly(dynamics: Dynamics, seed: int) -> None:
    if not dynamics.fires:
        dynamics = dynamics.with_(reset="subtract")
    current = currents(seed)
    state, seen = initial_state(dynamics, (SAMPLES, *SHAPE), np.float64), []
    for i in current.numpy():
        state = step(dynamics, state, i)
        seen.append(state.spikes if dynamics.fires else state.v)
    np.testing.assert_array_equal(LeakAwareNeuron(dynamics)(current, STEPS).numpy(), np.stack(seen))


def surrogate_graph(
    current: Tensor, theta: float, decay: float, height: float, correction: Tensor, most: float = math.inf
) -> Tensor:
    """Spikes whose autograd graph is the paper's: the value above the threshold passes the gradient, and leaves the
    membrane; the leak subtracts a constant; the correction scales what comes back, below ``most`` of membrane."""
    v, spikes = torch.zeros_like(current[0]), []
    for i in current:
        v = v + i
        above = torch.nn.functional.threshold(v, theta, 0.0)
        fired = (above > 0).to(v.dtype)
        mask = fired.detach()
        o = mask + height * correction * mask * (v.detach() <= most) * (above - above.detach())
        v = v - above
        v = v - (1 - decay) * v.detach()
        spikes.append(o)
    return torch.stack(spikes)


@pytest.mark.parametrize(
    ("theta", "decay", "height", "window"),
    [(1.0, LEAK, None, None), (0.75, 1.0, 1.0, None), (1.5, 0.8, None, None), (1.0, LEAK, None, 1.5)],
)
@pytest.mark.parametrize("seed", range(5))
def test_gradient_equals_autograd_on_the_mapping(
    theta: float, decay: float, height: float | None, window: float | None, seed: int
) -> None:
    dynamics = LIF.with_(threshold=theta, membrane_decay=decay)
    weights = torch.from_numpy(np.random.default_rng(seed + 99).normal(size=(STEPS, SAMPLES, *SHAPE)))
    ours, theirs = ((2 * currents(seed)).requires_grad_() for _ in range(2))
    spikes = LeakAwareNeuron(dynamics, height, window)(ours, STEPS)
    (spikes * weights).sum().backward()
    filtered = sum(decay ** (STEPS - 1 - t) * o for t, o in enumerate(spikes.detach()))
    assert isinstance(filtered, Tensor)
    total = spikes.detach().sum(0)
    correction = (filtered > 1e-3).double() + math.log(decay) * torch.where(total > 0, filtered / total, 0.0)
    most = math.inf if window is None else window * theta
    again = surrogate_graph(theirs, theta, decay, 1 / theta if height is None else height, correction, most)
    assert torch.equal(again.detach(), spikes.detach()) and total.max() > 1
    (again * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert ours.grad is not None and 0 < int((ours.grad != 0).sum()) < ours.grad.numel()


def test_a_spike_is_owed_to_the_currents_since_the_one_before() -> None:
    current = torch.tensor([0.7, 0.7, 0.3, 0.9, 0.2]).reshape(5, 1, 1).requires_grad_()  # fires at steps 1 and 3
    spikes = LeakAwareNeuron(LIF.with_(membrane_decay=1.0, threshold=0.8))(current, 5)
    assert spikes.flatten().tolist() == [0, 1, 0, 1, 0]
    (spikes * torch.tensor([10.0, 1.0, 10.0, 2.0, 10.0]).reshape(5, 1, 1)).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx([1.25, 1.25, 2.5, 2.5, 0.0])  # g / θ; 0 after the last


def test_a_spike_far_above_the_threshold_is_owed_to_nothing() -> None:
    current = torch.tensor([0.7, 0.7, 2.0, 0.9, 0.9]).reshape(5, 1, 1).requires_grad_()  # at 1.4, 2.0 and 0.9 of 0.8
    neuron = LeakAwareNeuron(LIF.with_(membrane_decay=1.0, threshold=0.8), window=2.0)
    (neuron(current, 5) * torch.tensor([10.0, 1.0, 3.0, 2.0, 4.0]).reshape(5, 1, 1)).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == pytest.approx([1.25, 1.25, 0.0, 2.5, 5.0])


def test_leak_correction_of_known_trains() -> None:
    spikes = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]).reshape(2, 1, 3)
    found = leak_correction(spikes, torch.tensor(0.5)).flatten().tolist()
    assert found == pytest.approx([1 + math.log(0.5) * 0.5, 0.0, 1 + math.log(0.5) * 1.5 / 2])


def test_the_output_neuron_leaks_forward_and_not_backward() -> None:
    current = torch.ones(3, 1, 1).requires_grad_()
    membranes = LeakAwareNeuron(Dynamics(fires=False, membrane_decay=0.5, decay_timing="after"))(current, 3)
    assert membranes.flatten().tolist() == [0.5, 0.75, 0.875]
    membranes[-1].sum().backward()
    assert current.grad is not None and current.grad.flatten().tolist() == [1, 1, 1]


def test_a_static_current_is_the_same_at_every_step() -> None:
    current = currents(1)[:1].requires_grad_()
    many = currents(1)[:1].expand(4, SAMPLES, *SHAPE).clone().requires_grad_()
    neuron = LeakAwareNeuron(LIF)
    assert torch.equal(neuron(current, 4), neuron(many, 4))
    neuron(current, 4).sum().backward()
    neuron(many, 4).sum().backward()
    assert current.grad is not None and many.grad is not None
    torch.testing.assert_close(current.grad[0], many.grad.sum(0))


def test_compiled_gradients_are_the_same() -> None:
    pytest.importorskip("torch._dynamo")
    plain, traced = currents(2).requires_grad_(), currents(2).requires_grad_()
    neuron = LeakAwareNeuron(LIF)
    neuron(plain, STEPS)[3:].sum().backward()
    torch.compile(neuron, backend="aot_eager")(traced, STEPS)[3:].sum().backward()
    torch.testing.assert_close(plain.grad, traced.grad, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"levels": 2}, {}, "levels is 2"),
        ({"reset": "subtract"}, {}, "reset is 'subtract'"),
        ({"current_decay": 0.5}, {}, "current_decay is 0.5"),
        ({"membrane_decay": 0.0}, {}, "above 0"),
        ({}, {"height": 0.0}, "height is 0.0"),
        ({}, {"window": 1.0}, "window is 1.0"),
    ],
)
def test_what_it_does_not_cover_is_refused(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        LeakAwareNeuron(LIF.with_(**changes), **options)


def test_fixed_dropout_has_one_mask_for_all_steps() -> None:
    torch.manual_seed(0)
    dropout = FixedDropout(0.5)
    out = dropout(torch.ones(6, 4, 100))
    assert torch.equal(out, out[:1].expand_as(out)) and set(out.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(dropout.eval()(torch.ones(2, 1, 3)), torch.ones(2, 1, 3))
