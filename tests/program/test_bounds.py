"""The proofs hold for every run, and are no wider than they must be where the worst case can really happen."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import integer_networks
import networks
import numpy as np
import pytest
from hypothesis import given

from snncc.program import currents, reference
from snncc.program.bounds import bits_for, prove_bounds
from snncc.program.program import EXACT, LOIHI, Arithmetic, Population, Program, Projection, Readout, Source
from snncc.program.reference import run_reference

Extent = tuple[int, int]


def observed(program: Program, data: np.ndarray) -> dict[tuple[str, str], Extent]:
    """(population or projection, quantity) to the (lowest, highest) value in a run, before any overflow rule."""
    seen: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    overflow, project = reference.overflow, currents.project

    def watch_state(name: str, what: str, x: np.ndarray, rule: str, bits: int) -> np.ndarray:
        seen[name, what].append(x)
        return overflow(name, what, x, rule, bits)

    def watch_sum(program: Program, projection: Projection, spikes: np.ndarray) -> np.ndarray:
        weight = projection.weight.astype(np.int64)
        seen[projection.name, "sum"].append(currents.weigh(program, projection, spikes, weight))
        return project(program, projection, spikes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "overflow", watch_state)
        patch.setattr(reference, "project", watch_sum)
        recording = run_reference(program, data)
    for name in recording.spikes:
        seen[name, "spikes"].append(recording.spikes[name])
        seen[name, "after reset"].append(recording.membranes[name])
    return {key: (min(int(x.min()) for x in xs), max(int(x.max()) for x in xs)) for key, xs in seen.items()}


def assert_sound(program: Program, seed: int) -> None:
    bounds = prove_bounds(program)
    for (name, quantity), (low, high) in observed(program, integer_networks.data_for(program, seed, 6)).items():
        if quantity == "sum":
            target = next(p.target for p in program.projections if p.name == name)
            proven = bounds.populations[target].sums[name]
        else:
            field = {"after reset": "membrane"}.get(quantity, quantity)
            proven = getattr(bounds.populations[name], field)
        assert proven[0] <= low and high <= proven[1], f"{name} {quantity}: saw {low}..{high}, proven {proven}"
    limit = 1 << (program.arithmetic.state_bits - 1)
    for found in bounds.populations.values():
        assert found.membrane_fits == (max(-found.membrane[0], found.membrane[1]) < limit)
        assert found.current_fits == (max(-found.current[0], found.current[1]) < limit)


@networks.examples(150)
@given(integer_networks.programs(EXACT), networks.seeds)
def test_sound_in_exact_arithmetic(program: Program, seed: int) -> None:
    assert_sound(program, seed)


@networks.examples(150)
@given(integer_networks.programs(LOIHI), networks.seeds)
def test_sound_in_loihi_arithmetic(program: Program, seed: int) -> None:
    assert_sound(program, seed)


@networks.examples(60)
@given(integer_networks.programs(LOIHI), networks.seeds)
def test_the_proof_of_no_overflow_is_true(program: Program, seed: int) -> None:
    """Where it says so, exact arithmetic with the same rounding gives the same spikes."""
    if not prove_bounds(program).proven:
        return
    data = integer_networks.data_for(program, seed)
    unbounded = Arithmetic("exact", LOIHI.rounding, "error", "error", 51)
    free = Program(**{**vars(program), "arithmetic": unbounded})
    a, b = run_reference(program, data), run_reference(free, data)
    for name in a.spikes:
        np.testing.assert_array_equal(a.membranes[name], b.membranes[name])


def whole(value: Any) -> np.ndarray:
    return np.asarray(value, np.int64)


def one_layer(steps: int = 3, arithmetic: Arithmetic = EXACT, delay: int = 0, **fields: Any) -> Program:
    """Inputs 0..3 through the weights [[2, −1], [−4, 0]] into two neurons."""
    made: dict[str, Any] = {
        "threshold": whole(5), "decay_v": whole(4096), "bias": whole(0), "v_init": whole(0), "reset_amount": whole(5),
        "reset_value": whole(0), "guard_bits": 0, **fields,
    }  # fmt: skip
    weight = whole([[2, -1], [-4, 0]])
    return Program(
        "net",
        steps,
        arithmetic,
        Source("input", (2,), "static", 0, 3),
        (Population("n", (2,), **made),),
        (Projection("w", "input", "n", "dense", weight, delay=delay),),
        Readout("n", "membrane"),
    )


def test_exact_for_a_dense_layer() -> None:
    """Every bound is reached by an input: 3·2 = 6, −4·3 = −12, and the silent side grows with T."""
    found = prove_bounds(one_layer(fires=False)).populations["n"]
    assert found.sums == {"w": (-12, 6)}
    assert found.arriving == found.current == (-12, 6)
    assert found.membrane == (-36, 18)
    assert found.spikes == (0, 0)
    assert found.accumulator_bits == 5 and found.state_bits == 7


def test_exact_for_one_step() -> None:
    found = prove_bounds(one_layer(steps=1)).populations["n"]
    assert (found.membrane, found.spikes) == ((-12, 6), (0, 1))


@pytest.mark.parametrize("timing", ["immediate", "next_step"])
def test_a_reset_keeps_the_positive_side_from_growing(timing: str) -> None:
    """At most 4 stays silent and 6 come on top: 10, of which 5 stay after the spike, and 6 more are 11."""
    found = prove_bounds(one_layer(steps=3, reset_timing=timing)).populations["n"]
    assert found.membrane == (-36, 11)


@pytest.mark.parametrize("timing", ["immediate", "next_step"])
def test_one_spike_a_step_takes_only_so_much_off(timing: str) -> None:
    """Signed: −12, of which a spike leaves −7, then −19 → −14, then −26; an input that does it exists."""
    program = one_layer(steps=3, signed=True, reset_timing=timing)
    assert prove_bounds(program).populations["n"].membrane == (-26, 11)
    assert observed(program, np.array([[3, 0]]))["n", "membrane"][0] == -26


def test_a_pending_reset_is_followed_for_both_kinds_of_membrane() -> None:
    """Not above 5: up to 11, of which a spike leaves 6. Above: 6 + 6 − 5 = 7, and 7 stay after its spike, then 8."""
    found = prove_bounds(one_layer(steps=4, compare=">", reset_timing="immediate_pending")).populations["n"]
    assert found.membrane == (-48, 11)
    one = one_layer(steps=4, compare=">", reset_timing="immediate_pending", v_init=whole(5))
    assert observed(one, np.array([[3, 0]]))["n", "membrane"][1] == 11


def test_a_clamp_stops_the_negative_side() -> None:
    """Before the clamp −7 − 12."""
    found = prove_bounds(one_layer(steps=50, v_min=whole(-7))).populations["n"]
    assert found.membrane[0] == -19


def test_a_reset_value_far_away_counts() -> None:
    """The membrane is at −1000 after a spike, even if that is the last step."""
    found = prove_bounds(one_layer(steps=1, reset="to_value", reset_value=whole(-1000))).populations["n"]
    assert found.membrane[0] == -1000


def test_a_delayed_projection_may_be_silent() -> None:
    """A constant +8 that comes two steps late does not hide the −5 that is there at once."""
    source = Source("input", (1,), "static", 1, 1)
    program = one_layer()
    population = Population(**{**vars(program.populations[0]), "shape": (1,), "fires": False})
    early = Projection("early", "input", "n", "dense", whole([[-5]]))
    late = Projection("late", "input", "n", "dense", whole([[8]]), delay=2)
    program = Program(**{**vars(program), "source": source, "populations": (population,), "projections": (early, late)})
    found = prove_bounds(program).populations["n"]
    assert found.arriving[0] == -5
    assert found.sums == {"early": (-5, -5), "late": (0, 8)}


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 0, 1), (0, 1, 2), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9), (0, 128, 9)]
)
def test_bits_for(low: int, high: int, bits: int) -> None:
    assert bits_for(low, high) == bits


def test_says_when_the_current_may_wrap() -> None:
    """2^22 · 3 passes 24 bits; the membrane behind a wrapped current saturates, so its bound is wide but there."""
    base = one_layer(arithmetic=LOIHI)
    big = Projection("w", "input", "n", "dense", whole([[2**22, 0], [0, 1]]))
    found = prove_bounds(Program(**{**vars(base), "projections": (big,)}))
    assert not found.proven and not found.populations["n"].current_fits
    assert found.largest >= 3 * 2**22
