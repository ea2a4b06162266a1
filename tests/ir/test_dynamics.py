"""The neuron: its definition once more in plain Python, and the equivalences of SEMANTICS section 2, item 10."""

from __future__ import annotations

import math
from typing import Any

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snncc.errors import GraphError
from snncc.ir.dynamics import Dynamics, check_dynamics, initial_state, step

Array = np.ndarray
eighths = st.integers(1, 40).map(lambda n: n / 8)
inputs = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=1, max_size=12)
ONE = (1, 1)


def run(dynamics: Dynamics, currents: list[float]) -> tuple[list[float], list[float]]:
    """(spikes, membranes) of one neuron."""
    state = initial_state(dynamics, ONE, np.float64)
    spikes, membranes = [], []
    for current in currents:
        state = step(dynamics, state, np.full(ONE, current))
        spikes.append(float(state.spikes[0, 0]))
        membranes.append(float(state.v[0, 0]))
    return spikes, membranes


def by_hand(d: Dynamics, currents: list[float]) -> tuple[list[float], list[float]]:
    """The equations of :mod:`snncc.ir.dynamics`, spike by spike, on plain numbers."""
    c: dict[str, Any] = {k: (None if v is None else np.asarray(v).item()) for k, v in vars(d).items()}
    amount = c["threshold"] if c["reset_amount"] is None else c["reset_amount"]
    spacing = amount if d.reset == "subtract" else c["threshold"]
    u, v, fired = 0.0, c["v_init"], 0
    spikes, membranes = [], []

    def reset(v: float, n: int) -> float:
        if d.reset == "subtract":
            return v - n * amount
        return c["reset_value"] if d.reset == "to_value" and n else v

    for current in currents:
        owed = 0
        if d.fires and d.reset_timing == "immediate_pending":
            owed = int(v > c["threshold"] or (d.compare == ">=" and v == c["threshold"]))
        drive = u
        u = (0 if c["current_decay"] is None else c["current_decay"] * u) + current + c["current_bias"]
        if d.decay_timing == "before":
            v *= c["membrane_decay"]
        if d.fires and d.reset_timing == "next_step":
            v = reset(v, fired)
        v += c["input_gain"] * (drive if d.current_timing == "after" else u) + c["bias"]
        if d.fires and d.reset_timing == "next_step_after_input":
            v = reset(v, fired)
        v -= owed * amount
        if c["v_min"] is not None:
            v = max(v, c["v_min"])
        before, fired = fired, 0
        for sign in (1, -1) if d.signed else (1,):
            left = sign * v
            for _ in range(d.levels if d.fires else 0):
                if left > c["threshold"] or (d.compare == ">=" and left == c["threshold"]):
                    fired += sign
                    left -= spacing
        if d.fires and d.reset_timing == "immediate":
            v = reset(v, fired)
        if d.fires and d.reset_timing == "immediate_pending":
            v = v + owed * amount - fired * amount
        if d.decay_timing == "after":
            v *= c["membrane_decay"]
        if d.fires and d.reset_current and (fired if d.reset_timing == "immediate" else before):
            u = 0.0
        spikes.append(float(fired))
        membranes.append(v)
    return spikes, membranes


@networks.examples(300)
@given(networks.dynamics((1,)), inputs)
def test_step_is_its_definition(dynamics: Dynamics, currents: list[float]) -> None:
    currents = currents[:6]  # 4 fraction bits a step, so that all arithmetic stays exact
    assert run(dynamics, currents) == by_hand(dynamics, currents)


@networks.examples(200)
@given(eighths, st.sampled_from((0.25, 0.5, 0.75, 1.0)), inputs)
def test_a_lower_firing_threshold_is_an_initial_state(vth: float, alpha: float, currents: list[float]) -> None:
    """Fires at α·Vth and loses Vth = fires at Vth from v_init = (1 − α)·Vth."""
    low = Dynamics(threshold=alpha * vth, reset_amount=vth)
    shifted = Dynamics(threshold=vth, v_init=(1 - alpha) * vth)
    assert run(low, currents)[0] == run(shifted, currents)[0]


@networks.examples(200)
@given(eighths, st.sampled_from((0.25, 0.5, 0.75)), st.sampled_from((0.5, 0.75)), inputs)
def test_with_a_leak_it_is_an_initial_state_and_a_bias(
    vth: float, alpha: float, beta: float, currents: list[float]
) -> None:
    """The same with a leak β: v_init = c and (1 − β)·c a step, c = (1 − α)·Vth."""
    c = (1 - alpha) * vth
    low = Dynamics(threshold=alpha * vth, reset_amount=vth, membrane_decay=beta)
    shifted = Dynamics(threshold=vth, v_init=c, bias=(1 - beta) * c, membrane_decay=beta)
    assert run(low, currents)[0] == run(shifted, currents)[0]


@networks.examples(300)
@given(st.integers(1, 64), st.integers(-200, 200), st.integers(1, 32))
def test_half_a_threshold_at_the_start_rounds_the_rate(threshold: int, z: int, steps: int) -> None:
    """IF with v_init = θ/2 and constant input z emits clip(floor(z·T/θ + ½), 0, T) spikes."""
    spikes, _ = run(Dynamics(threshold=2.0 * threshold, v_init=float(threshold)), [float(z)] * steps)
    assert sum(spikes) == min(max(math.floor((z * steps + threshold) / (2 * threshold)), 0), steps)


@networks.examples(300)
@given(st.sampled_from((1, 2, 4, 8)), st.lists(st.integers(0, 80), min_size=1, max_size=8), st.integers(1, 10))
def test_levels_are_steps(levels: int, currents: list[int], v_init: int) -> None:
    """S levels over T steps = binary over S·T steps where there is no leak and each input is spread evenly."""
    multi = Dynamics(threshold=10.0, levels=levels, v_init=float(v_init))
    spread = [z / levels for z in currents for _ in range(levels)]
    binary, membranes = run(multi.with_(levels=1), spread)
    spikes, final = run(multi, [float(z) for z in currents])
    assert spikes == [sum(binary[i * levels : (i + 1) * levels]) for i in range(len(currents))]
    assert final[-1] == membranes[-1]


@networks.examples(100)
@given(eighths, st.sampled_from((0.0, 0.5, 0.75, 1.0)), inputs)
def test_reset_to_zero_may_wait_for_the_next_step(threshold: float, decay: float, currents: list[float]) -> None:
    """``v = b·(1 − R)·v + i`` fires as its immediate form does: the leak leaves zero at zero."""
    now = Dynamics(threshold=threshold, membrane_decay=decay, reset="to_value", compare=">")
    late = now.with_(reset_timing="next_step")
    assert run(now, currents)[0] == run(late, currents)[0]


@networks.examples(200)
@given(eighths, eighths, st.sampled_from((0.0, 0.5, 0.75, 1.0)), st.sampled_from((">", ">=")), inputs)
def test_a_pending_reset_is_a_higher_threshold(
    threshold: float, amount: float, decay: float, compare: Any, currents: list[float]
) -> None:
    """Fires where ``b·v + i`` passes θ, or θ + r if v was still above θ; either way each spike takes r off once."""
    d = Dynamics(threshold, compare, decay, reset_amount=amount, reset_timing="immediate_pending")
    v, spikes, membranes = 0.0, [], []
    for current in currents[:6]:
        height = threshold + amount * (v > threshold or (compare == ">=" and v == threshold))
        v = decay * v + current
        spikes.append(float(v > height or (compare == ">=" and v == height)))
        v -= spikes[-1] * amount
        membranes.append(v)
    assert run(d, currents[:6]) == (spikes, membranes)


@networks.examples(100)
@given(eighths, st.sampled_from((0.25, 0.5)), st.sampled_from((0.5, 0.75)), inputs)
def test_a_late_current_is_a_delayed_input(threshold: float, a: float, b: float, currents: list[float]) -> None:
    """``current_timing="after"`` is the input one step later, while no reset clears the current."""
    early = Dynamics(threshold=threshold, membrane_decay=b, current_decay=a, compare=">")
    late = early.with_(current_timing="after")
    assert run(late, currents[:6])[0] == run(early, [0.0, *currents[:5]])[0][: len(currents[:6])]


@networks.examples(200)
@given(eighths, st.sampled_from((0.25, 0.5)), st.sampled_from((0.5, 0.75)), inputs)
def test_two_currents_that_a_spike_clears(threshold: float, b: float, a: float, currents: list[float]) -> None:
    """``e = a·e + i``, ``h = b·h − i``, ``v = e + h``, all 0 in the step after a spike (snnTorch's Alpha)."""
    d = Dynamics(
        threshold, ">", b, a, input_gain=a - b, reset="to_value", reset_timing="next_step_after_input",
        reset_current=True, current_timing="after",
    )  # fmt: skip
    e = h = v = 0.0
    spikes = []
    for i in currents[:6]:
        e, h = (0.0, 0.0) if v > threshold else (a * e + i, b * h - i)
        v = e + h
        spikes.append(float(v > threshold))
    assert run(d, currents[:6])[0] == spikes


@given(st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_mean_of_four_above_three_quarters_is_all_four(window: list[int]) -> None:
    mean = run(Dynamics(threshold=0.75, compare=">"), [sum(window) / 4])[0]
    assert mean == run(Dynamics(threshold=4.0), [float(sum(window))])[0] == [float(all(window))]


@pytest.mark.parametrize("field", ["threshold", "membrane_decay", "bias", "v_init", "spike_value", "input_gain"])
def test_a_value_may_be_one_a_channel(field: str) -> None:
    """An array over the channels is each channel's scalar."""
    values = {"membrane_decay": (0.25, 0.75)}.get(field, (0.5, 2.0))
    base = Dynamics(threshold=1.0, v_init=0.5)
    shape = (1, 2, 1, 3)
    array = base.with_(**{field: np.asarray(values).reshape(2, 1, 1)})
    state = initial_state(array, shape, np.float64)
    current = np.full(shape, 0.75)
    for _ in range(3):
        state = step(array, state, current)
    for channel, value in enumerate(values):
        _, membranes = run(base.with_(**{field: value}), [0.75] * 3)
        assert (state.v[:, channel] == membranes[-1]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.0}, "n: threshold is 0; it must be above 0"),
        ({"threshold": np.array([1.0, -1.0])}, "n: threshold is -1 … 1"),
        ({"threshold": np.nan}, "n: threshold holds nan"),
        ({"bias": np.inf}, "n: bias holds inf"),
        ({"membrane_decay": 1.5}, "n: membrane_decay is 1.5; a decay lies in 0..1"),
        ({"current_decay": -0.1}, "n: current_decay is -0.1"),
        ({"levels": 0}, "n: levels is 0"),
        ({"levels": 2.0}, "n: levels is 2.0"),
        ({"compare": "=="}, "n: compare is '=='; it must be one of >, >="),
        ({"reset": "soft"}, "n: reset is 'soft'"),
        ({"reset_timing": "later"}, "n: reset_timing is 'later'"),
        ({"reset_timing": "immediate_pending", "reset": "none"}, "n: reset_timing .* but reset is 'none'"),
        ({"reset_timing": "immediate_pending", "levels": 3}, "n: .*levels is 3: it is for binary"),
        ({"reset_timing": "immediate_pending", "signed": True}, "n: .*signed is True"),
        ({"current_timing": "never"}, "n: current_timing is 'never'"),
        ({"current_timing": "after"}, "n: current_timing is 'after', but it has no current_decay"),
        ({"reset_current": True, "reset": "to_value"}, "n: reset_current, but .* it has no current_decay"),
        ({"reset_current": True, "current_decay": 0.5}, "n: reset_current, but reset is 'subtract'"),
        ({"decay_timing": "never"}, "n: decay_timing is 'never'"),
        ({"reset_amount": 0.0}, "n: reset_amount is 0; it must be above 0"),
        ({"v_init": np.zeros(3)}, r"n: v_init has shape \(3,\), which does not broadcast to the neuron's \(2,\)"),
    ],
)
def test_nonsense_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        check_dynamics("n", Dynamics().with_(**changes), (2,))


def test_a_neuron_that_never_fires_needs_no_threshold() -> None:
    check_dynamics("n", Dynamics(threshold=0.0, fires=False), (2,))
