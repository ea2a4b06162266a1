"""The trained neuron is the neuron of snncc.ir.dynamics, and its surrogates are what METHODS says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import fitting

from snncc.errors import GraphError
from snncc.ir.dynamics import RESET_TIMINGS, Dynamics, initial_state, step
from snncc.models.neurons import SpikingNeuron, Surrogate, bump, count_derivative

STEPS, SAMPLES, SHAPE = 8, 3, (4, 3)


def values(low: float, high: float) -> st.SearchStrategy[Any]:
    """A number, or one a channel."""
    number = st.floats(low, high, allow_nan=False, width=32)
    return st.one_of(number, st.lists(number, min_size=4, max_size=4).map(lambda v: np.array(v).reshape(4, 1)))


dynamics_strategy = st.builds(
    Dynamics,
    threshold=values(0.25, 2),
    compare=st.sampled_from([">", ">="]),
    membrane_decay=values(0, 1),
    current_decay=st.one_of(st.none(), values(0, 1)),
    current_bias=values(-0.5, 0.5),
    input_gain=values(0.25, 2),
    bias=values(-0.5, 0.5),
    levels=st.integers(1, 5),
    signed=st.booleans(),
    reset=st.sampled_from(["subtract", "to_value", "none"]),
    reset_amount=st.one_of(st.none(), values(0.25, 2)),
    reset_value=values(-0.5, 0.5),
    reset_timing=st.sampled_from(RESET_TIMINGS),
    decay_timing=st.sampled_from(["before", "after"]),
    reset_current=st.booleans(),
    current_timing=st.sampled_from(["before", "after"]),
    v_init=values(-1, 1),
    v_min=st.one_of(st.none(), values(-2, 0)),
    fires=st.booleans(),
).map(fitting)


def recorded(dynamics: Dynamics, current: np.ndarray) -> np.ndarray:
    """Spikes (or membranes) by the NumPy step."""
    state = initial_state(dynamics, current.shape[1:], current.dtype)
    seen = []
    for i in current:
        state = step(dynamics, state, i)
        seen.append(state.spikes if dynamics.fires else state.v)
    return np.stack(seen)


@settings(max_examples=200, deadline=None)
@given(dynamics_strategy, st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_neuron_equals_dynamics_exactly(dynamics: Dynamics, seed: int, through_reset: bool, quarters: bool) -> None:
    current = np.random.default_rng(seed).normal(0, 1.5, (STEPS, SAMPLES, *SHAPE))
    if quarters:  # values that hit thresholds exactly, so that > and >= differ
        current = np.round(current * 4) / 4
    neuron = SpikingNeuron(dynamics, Surrogate(through_reset=through_reset))
    got = neuron(torch.from_numpy(current), STEPS).numpy()
    np.testing.assert_array_equal(got, recorded(dynamics, current))


@pytest.mark.parametrize("compare", [">", ">="])
def test_a_membrane_on_the_threshold(compare: Any) -> None:
    neuron = SpikingNeuron(Dynamics(threshold=0.5, compare=compare, levels=3), Surrogate())
    spikes = neuron(torch.tensor([[[0.5, 1.0, 1.25]]]), 1)
    assert spikes.flatten().tolist() == ([1, 2, 2] if compare == ">=" else [0, 1, 2])


def test_static_current_is_the_same_at_every_step() -> None:
    current = torch.randn(1, 2, 5, dtype=torch.float64)
    neuron = SpikingNeuron(Dynamics(membrane_decay=0.7), Surrogate())
    assert torch.equal(neuron(current, 4), neuron(current.expand(4, 2, 5), 4))


@pytest.mark.parametrize("kind", ["rectangle", "triangle", "sigmoid"])
@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_surrogate_bumps_have_area_one_and_peak_at_the_threshold(kind: Any, width: float) -> None:
    x = torch.linspace(-20, 20, 40001, dtype=torch.float64)
    height = bump(Surrogate(kind, width), x)
    assert float(torch.trapezoid(height, x)) == pytest.approx(1, abs=5e-3)
    assert float(height.max()) == pytest.approx(float(bump(Surrogate(kind, width), torch.zeros(1))), abs=1e-6)


@pytest.mark.parametrize("kind", ["rectangle", "triangle", "sigmoid"])
def test_levels_add_up(kind: Any) -> None:
    surrogate = Surrogate(kind)
    x = torch.linspace(-2, 6, 801, dtype=torch.float64) + 1e-3
    summed = sum(bump(surrogate, x - k) for k in range(4))
    torch.testing.assert_close(count_derivative(surrogate, x, 4), summed)


def test_gradient_is_the_surrogate_over_the_level_spacing() -> None:
    neuron = SpikingNeuron(Dynamics(threshold=0.5, levels=2), Surrogate("rectangle"))
    current = torch.tensor([[[0.2, 0.3, 0.9, 1.3]]], requires_grad=True)
    neuron(current, 1).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0, 2, 2, 0]  # 1/Δ = 2 between θ − Δ/2 and θ + 3Δ/2


@pytest.mark.parametrize("through_reset", [True, False])
def test_gradient_through_a_hard_reset(through_reset: bool) -> None:
    dynamics = Dynamics(threshold=1.0, membrane_decay=0.5, reset="to_value", reset_value=0.25)
    neuron = SpikingNeuron(dynamics, Surrogate("rectangle", 1.0, through_reset))
    current = torch.tensor([[[1.25]], [[0.6]]], dtype=torch.float64, requires_grad=True)
    neuron(current, 2)[1].sum().backward()
    assert current.grad is not None
    # fired at v = 1.25: dv_after/dv = (1 − s) + h·(reset − v) = 0 + 1·(0.25 − 1.25); step 2 sees half of it
    assert current.grad.flatten().tolist() == [-0.5 if through_reset else 0.0, 1.0]


def test_unknown_surrogate_is_refused() -> None:
    with pytest.raises(GraphError, match="cosine"):
        Surrogate("cosine")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="width"):
        Surrogate("triangle", 0.0)
