"""Latency against its definition written with plain loops, its bounds, and what it says where something is missing."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.energy import latency
from snncc.energy.account import account
from snncc.energy.costs import load_costs
from snncc.energy.counted import PER_CORE_EVENTS, Counted
from snncc.energy.latency import times
from snncc.energy.uncertainty import ends, parameters

NEURON = (("updates", "neuron_access"), ("active", "neuron_update"), ("spikes", "spike_out"), ("axons_out", "axon_out"))
SYNAPSE = (
    ("axons_in", "axon_in"),
    ("synaptic_dense", "synapse_dense"),
    ("synaptic_sparse", "synapse_sparse"),
    ("synaptic_conv", "synapse_conv"),
)


def busy(cores: int = 3, steps: int = 4, samples: int = 2, **more: object) -> Counted:
    rng = np.random.default_rng(1)
    per_core = {event: rng.integers(0, 1000, (cores, steps)) for event in PER_CORE_EVENTS}
    hops = {"hops_east_west": 5000, "hops_north_south": 700}
    given = {"tiles": 4, "chips": 1, **more}
    return Counted("busy", hops, samples, steps, cores, per_core=per_core, **given)  # type: ignore[arg-type]


def by_hand(run: Counted, tau: dict[str, float], barrier: float, serial: float) -> float:
    """Σ over steps of the slowest core's time, the flight of a message and the barrier, in seconds."""
    total, messages = 0.0, float(run.per_core["axons_out"].sum())
    flight = (5000 * tau["hop_east_west"] + 700 * tau["hop_north_south"]) / messages
    for step in range(run.steps or 0):
        slowest = 0.0
        for core in range(run.cores or 0):
            neuron, synapse = (
                sum(float(run.per_core[event][core, step]) / run.samples * tau[cost] for event, cost in phase)
                for phase in (NEURON, SYNAPSE)
            )
            slowest = max(slowest, max(neuron, synapse) + serial * min(neuron, synapse))
        total += max(slowest + flight + barrier, run.period_seconds or 0.0)
    return total


@pytest.mark.parametrize("end", ["low", "typ", "high"])
@pytest.mark.parametrize("period", [None, 3e-6])
def test_against_plain_loops(end: str, period: float | None) -> None:
    run, costs = busy(period_seconds=period), load_costs("loihi1")
    tau = {name: getattr(cost.si, end) for name, cost in costs.time.items()}
    barrier = {"low": 0.6e-6, "typ": 1.4e-6, "high": 1.8e-6}[end]
    expected = by_hand(run, tau, barrier, 1.0 if end == "high" else 0.0)
    found = account(run, costs, number=10).latency
    assert found is not None and getattr(found, end) == pytest.approx(expected, rel=1e-12, abs=0)


def test_sanafe_by_hand() -> None:
    """One core, one step: 100 accesses of 6 ns hide 10 operations of 3.8 ns and a message of 16 ns; the barrier takes 0.6 µs."""
    run = Counted("one", {}, 1, 1, 1, 1, 1, {"updates": [[100]], "synaptic_dense": [[10]], "axons_in": [[1]]})
    found = account(run, load_costs("loihi1-sanafe"), number=10)
    assert found.latency is not None and found.latency.typ == pytest.approx(600e-9 + 600e-9)
    assert found.latency.high == pytest.approx(600e-9 + (38 + 16) * 1e-9 + 600e-9)
    assert {"active", "spikes", "axons_out", "management processors", "host"} <= found.latency_missing.keys()


def test_the_barrier_lies_between_the_published_tiles() -> None:
    costs = load_costs("loihi1-sanafe")
    two, three, four = (parameters(costs, tiles)["curve.synchronisation"].typ for tiles in (2, 3, 4))
    assert two == pytest.approx(1e-6) and four == pytest.approx(1.4e-6) and two < three < four
    assert "curve.synchronisation" not in parameters(costs, 33) and "curve.synchronisation" not in parameters(
        costs, None
    )
    assert "these tiles: 33" in account(busy(tiles=33), costs, 10).latency_missing["synchronisation"]


def test_hosts() -> None:
    """None is described, one is measured, or its published time takes part: the longer of both, at the high end both."""
    costs = load_costs("loihi1")
    none, measured, published = (
        account(busy(**more), costs, 10).latency for more in ({}, {"host_seconds": 1e-3}, {"host": True})
    )
    assert none is not None and measured is not None and published is not None
    assert measured.typ == 1e-3 and measured.high == pytest.approx(1e-3 + none.high)
    assert published.typ == none.typ and published.high == pytest.approx(4.9e-3 + none.high)
    assert "no host is described" in account(busy(), costs, 10).latency_missing["host"]


def test_a_measured_time_is_taken_as_it_is() -> None:
    found = account(busy(inference_seconds=0.25), load_costs("loihi1"), 10)
    assert found.latency is not None and found.step is None and not found.latency_missing
    assert {found.latency.low, found.latency.typ, found.latency.high, found.latency.p50} == {0.25}


def test_what_is_missing_has_no_latency() -> None:
    costs = load_costs("loihi1")
    for run, why in (
        (Counted("totals", {"updates": 5}, steps=3), "needs counts by core and step, a period, or a measured time"),
        (Counted("totals", {"updates": 5}), "the number of steps is not given"),
    ):
        found = account(run, costs, 10)
        assert found.latency is None and found.energy_delay is None and found.latency_missing == {"latency": why}
    found = account(busy(), load_costs("truenorth"), 10)
    assert found.latency is None and "no time of any event" in found.latency_missing["latency"]
    found = account(Counted("totals", {"updates": 5}, steps=3, period_seconds=1e-3), costs, 10)
    assert found.latency is not None and found.latency.typ == pytest.approx(3e-3)
    assert "busy cores" in found.latency_missing


def test_the_columns_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    run = busy()
    columns = ends(parameters(load_costs("loihi1"), 4))
    whole = times(run, columns)
    monkeypatch.setattr(latency, "MAX_CELLS", 24)  # 12 cells: two columns at a time
    parts = times(run, columns)
    assert not isinstance(whole, str) and not isinstance(parts, str)
    assert np.allclose(parts.inference, whole.inference, rtol=1e-14) and len(whole.inference) == 3
