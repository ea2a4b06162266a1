"""Scopes, shares and checks of the full model: by hand, against SANA-FE's run and TrueNorth's powers, and its edges."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snncc.energy.account import ALL_TERMS, HEADLINE, account, core_dynamic, term_name
from snncc.energy.costs import ENERGY_COSTS, POWER_COSTS, cost_sets, load_costs
from snncc.energy.counted import COUNTED, Counted
from snncc.energy.record import account_dict
from snncc.energy.scopes import EVENTS, FOLLOWING, PLACED_EVENTS
from snncc.errors import InputError

PACKETS = 386_640
SANAFE = {
    "updates": 2_390_784,
    "active": 1_346_821,
    "spikes": 38_081,
    "synaptic_conv": 5_376_187,  # 5,437,656 operations at 24.13 pJ on average: convolutions at 24.0 pJ
    "synaptic_dense": 61_469,  # and a dense rest at 35.5 pJ
    "synaptic_sparse": 0,
    "axons_in": PACKETS,
    "axons_out": PACKETS,
    "hops_east_west": 3 * PACKETS,  # 9.0 pJ a packet are three hops of 3.0 pJ
    "hops_north_south": 0,
    "chip_crossings": 0,
}


def full(**more: object) -> Counted:
    """A run with every count: 4 samples of 5 steps on 3 cores of one chip, 2 ms each."""
    counts: dict[str, float] = {event: 1000 * (i + 1) for i, event in enumerate(COUNTED)}
    sizes: dict[str, object] = {"steps": 5, "cores": 3, "tiles": 2, "chips": 2, "inference_seconds": 2e-3}
    return Counted("full", counts, 4, **{**sizes, **more})  # type: ignore[arg-type]


def test_sanafe_parity() -> None:
    """The products of the published counts to 1e-6, and the published total as far as its factors are published.

    24.13 pJ and 9.0 pJ are rounded to their last digit, which leaves ±0.047 µJ of 331.76 µJ: 1.4e-4 relative.
    """
    exact = (
        2_390_784 * Fraction("51.2")
        + 1_346_821 * Fraction("21.6")
        + 38_081 * Fraction("69.3")
        + 5_437_656 * Fraction("24.13")
        + PACKETS * (111 + Fraction("9.0"))
    )
    found = account(Counted("SANA-FE", SANAFE), load_costs("loihi1-sanafe"), 10)
    network = next(s for s in found.scopes if s.key == "S2").energy
    assert network is not None and network.typ == pytest.approx(float(exact) * 1e-12, rel=1e-6, abs=0)
    assert network.low == network.typ == network.high == pytest.approx(network.p50)
    assert network.typ == pytest.approx(331.76e-6, abs=(5_437_656 * 0.005 + PACKETS * 0.05) * 1e-12)


def test_truenorth_powers() -> None:
    """2.3–2.6 pJ a synaptic event on 64 mW, by least squares; the cost set gives the three powers back within 1 mW."""
    rates, powers = np.array([11.58, 20.07, 95.93]), np.array([68e-3, 71e-3, 94e-3])
    events = 2**20 * 128  # a second and Hz
    (slope, baseline), *_ = np.linalg.lstsq(np.stack([rates, np.ones(3)], axis=1), powers, rcond=None)
    pairs = [(powers[i] - powers[j]) / (rates[i] - rates[j]) / events * 1e12 for i, j in ((1, 0), (2, 0), (2, 1))]
    costs = load_costs("truenorth")
    joules, watts = costs.energy["synapse_dense"].si, costs.power["chip"].si
    assert round(min(pairs), 1) == 2.3 and round(max(pairs), 1) == 2.6 and 64e-3 <= baseline < 65e-3
    assert (joules.low, joules.typ, joules.high) == pytest.approx(
        (min(pairs) * 1e-12, slope / events, max(pairs) * 1e-12), rel=2e-3, abs=0
    )
    assert watts.typ == pytest.approx(baseline, rel=1e-3) and watts.low < baseline < watts.high
    for rate, power in zip(rates, powers, strict=True):
        run = Counted("second", {"synaptic_dense": rate * events}, chips=1, inference_seconds=1.0)
        energy = account(run, costs, 10).headline
        assert energy is not None and energy.typ == pytest.approx(power, abs=1e-3)
    run = Counted("total", {"synaptic_dense": 20.07 * events}, chips=1, inference_seconds=1.0)
    headline = account(run, costs, 10).headline
    assert headline is not None
    assert headline.typ / (20.07 * events) * 1e12 == pytest.approx(26, abs=1), "the 26 pJ that is often cited"


def test_by_hand() -> None:
    """Every scope of loihi1's typical figures; what has no figure is named, and the scope says so."""
    run, costs = full(), load_costs("loihi1")
    found = account(run, costs, 10)
    per = {event: 1000 * (i + 1) / 4 for i, event in enumerate(COUNTED)}
    s1 = 51.6 * per["updates"] + 25 * per["active"] + 35 * per["spikes"] + 55 * per["axons_out"]
    s1 += 35.5 * per["synaptic_dense"] + 33.6 * per["synaptic_sparse"] + 24 * per["synaptic_conv"]
    s2 = s1 + 3.0 * per["hops_east_west"] + 4.1 * per["hops_north_south"]
    s3 = s2 + 3 * 0.6e-3 * 2e-3 / 1e-12
    s4 = s3 + 2 * 22e-3 * 2e-3 / 1e-12
    scopes = {s.key: s for s in found.scopes}
    for key, picojoules in (("S1", s1), ("S2", s2), ("S3", s3), ("S4", s4)):
        energy = scopes[key].energy
        assert energy is not None and energy.typ == pytest.approx(picojoules * 1e-12, rel=1e-12, abs=0), key
    assert scopes["S0"].energy is None and scopes["S5"].energy is None
    assert scopes["S1"].leaves_out == ("axons_in",)
    assert scopes["S2"].leaves_out == ("axons_in", "chip_crossings", "core_steps")
    assert scopes["S3"].leaves_out == (*scopes["S2"].leaves_out, "chip_static")
    assert found.not_modelled["chip_static"] == "loihi1 holds no published figure for power.chip"
    assert "board: loihi1 holds no published figure for power.board" in scopes["S5"].missing
    assert found.energy_delay is not None and found.energy_delay.typ == pytest.approx(
        s3 * 1e-12 * 2e-3, rel=1e-12, abs=0
    )
    assert sum(t.share for t in found.terms) == pytest.approx(1)
    shares = {t.name: t.share for t in found.terms}
    assert shares["updates"] == pytest.approx(51.6 * per["updates"] / s4) and shares["board"] == 0


def test_every_term_of_the_formulas(tmp_path: Path) -> None:
    """A set with all costs, each a different power of two: the scopes are the sums of ENERGY's formulas and nothing is left out."""
    head = Path(load_costs("loihi1").file).read_text().split("\n[")[0]
    body, energy, power = "", {}, {}
    field = '\nunit = "{}"\nkind = "assumed"\nconditions = "a test"\nsource = "invented for a test"\n'
    for made, names, unit in ((energy, ENERGY_COSTS, "J"), (power, POWER_COSTS, "W")):
        for name in names:
            made[name] = value = 2.0 ** (len(energy) + len(power))
            section = "energy" if unit == "J" else "power"
            body += f"\n[{section}.{name}]\nlow = {value}\ntyp = {value}\nhigh = {value}" + field.format(unit)
    path = tmp_path / "all.toml"
    path.write_text(f"{head}\n{body}")
    run, costs = full(), load_costs(path)
    found = account(run, costs, 10)
    assert found.not_modelled == {}
    per = {event: count / 4 for event, count in run.counts.items()}
    t_inf, steps, cores, chips = 2e-3, 5, 3, 2
    dynamic = (
        per["updates"] * energy["neuron_access"]
        + per["active"] * energy["neuron_update"]
        + per["spikes"] * energy["spike_out"]
        + sum(per[f"synaptic_{f}"] * energy[f"synapse_{f}"] for f in ("dense", "sparse", "conv"))
        + per["axons_in"] * energy["axon_in"]
        + per["axons_out"] * energy["axon_out"]
    )
    network = (
        sum(per[f"hops_{d}"] * energy[f"hop_{d}"] for d in ("east_west", "north_south"))
        + per["chip_crossings"] * energy["chip_crossing"]
        + steps * cores * energy["synchronisation"]
    )
    static = (cores * power["core"] + chips * power["chip"]) * t_inf
    host = chips * power["management"] * t_inf + steps * energy["management_step"]
    host += per["inputs"] * energy["input"] + per["outputs"] * energy["output"]
    host += per["host_operations"] * energy["host_operation"]
    expected = np.cumsum([dynamic, network, static, host, power["board"] * t_inf])
    energies = [s.energy for s in found.scopes if s.key != "S0"]
    assert [e.typ for e in energies if e is not None] == pytest.approx(expected.tolist(), rel=1e-12, abs=0)


def test_core_dynamic_energy_is_the_first_scope() -> None:
    """Term by term, without time or draws: what the report of a layer is made of."""
    counts = {event: 10 * (i + 1) for i, event in enumerate(EVENTS)}
    for name in cost_sets():
        costs, run = load_costs(name), Counted("x", counts, 3)
        terms, found = core_dynamic(run, costs), account(run, costs, 10)
        assert terms == {t.name: t.energy for t in found.terms if t.scope == "S1" and t.energy is not None}
        scope = found.scopes[1].energy
        assert scope is not None
        for end in ("low", "typ", "high"):
            assert getattr(scope, end) == pytest.approx(sum(getattr(e, end) for e in terms.values()), rel=1e-12, abs=0)


def test_nothing_is_silently_zero() -> None:
    """Each term is either priced or named with a reason; a count of zero is zero, an absent one is not."""
    for name in cost_sets():
        found = account(Counted("x", {"updates": 5, "hops_east_west": 0}), load_costs(name), 10)
        for term in found.terms:
            assert (term.energy is None) == bool(term.missing), (name, term)
        assert found.not_modelled["spikes"] == "not counted"
        zero = next(t for t in found.terms if t.name == "hops_east_west").energy
        assert zero is not None and zero.high == 0
    assert {term_name(t) for t in ALL_TERMS} >= set(COUNTED)


def test_whatever_alone_is_counted() -> None:
    for event in COUNTED:
        for count in (0, 5):
            for name in cost_sets():
                found = account(Counted("x", {event: count}), load_costs(name), 10)
                modelled = [t.name for t in found.terms if t.energy is not None]
                assert modelled in ([], [event]), (event, count, name)


def test_one_chip_has_no_crossings() -> None:
    counts = {"updates": 5}
    found = account(Counted("x", counts, chips=1), load_costs(), 10)
    assert "chip_crossings" not in found.not_modelled
    assert account(Counted("x", counts, chips=2), load_costs(), 10).not_modelled["chip_crossings"] == "not counted"


def test_time_is_paid_in_static_power() -> None:
    costs = load_costs("loihi1")
    one, two = (account(full(inference_seconds=s), costs, 10) for s in (1e-3, 2e-3))
    energies = [next(t for t in a.terms if t.name == "core_static").energy for a in (one, two)]
    assert energies[0] is not None and energies[1] is not None
    assert energies[1].typ == pytest.approx(2 * energies[0].typ)
    unknown = account(replace(full(), inference_seconds=None), costs, 10)
    assert unknown.not_modelled["core_static"].startswith("the time of an inference is unknown: needs counts by core")
    assert unknown.headline is None and unknown.energy_delay is None


def test_the_record_is_json_and_says_everything() -> None:
    costs = load_costs("loihi1-sanafe")
    value = json.loads(json.dumps(account_dict(account(full(), costs, 10)), allow_nan=False))
    assert value["costs"]["sha256"] == costs.sha256
    assert value["costs"]["curves"]["synchronisation"][0]["source"]
    assert value["energy_delay_product"]["definition"].startswith(HEADLINE)
    assert value["uncertainty"]["model_discrepancy"]["energy"]["high"] == 1.12
    assert all("not_modelled" in t for t in value["terms"] if t["energy"] is None)


COUNTS = st.fixed_dictionaries({event: st.integers(0, 10**9) for event in COUNTED})


@settings(max_examples=25, deadline=None)
@given(COUNTS, st.sampled_from(cost_sets()))
def test_scopes_grow_and_hold_their_draws(counts: dict[str, int], name: str) -> None:
    run = Counted("x", counts, 2, 3, 4, 5, 6, inference_seconds=1e-3)
    found = account(run, load_costs(name), 50)
    energies = [s.energy for s in found.scopes if s.energy is not None]
    for e in energies:
        slack = 1e-9 * e.high
        assert e.low - slack <= e.p5 <= e.p50 <= e.p95 <= e.high + slack and e.low <= e.typ <= e.high
    assert all(one.typ <= two.typ for one, two in pairwise(energies))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"counts": {"spike": 1}}, "'spike' is unknown"),
        ({"counts": {"spikes": -1}}, "spikes is -1"),
        ({"counts": {"spikes": float("nan")}}, "spikes is nan"),
        ({"counts": {"spikes": True}}, "spikes is True"),
        ({"counts": {"spikes": 10**19}}, "spikes is 10000"),
        ({"samples": 0}, "samples is 0"),
        ({"samples": None}, "samples is None"),
        ({"cores": 1.5}, "cores is 1.5"),
        ({"inference_seconds": float("inf")}, "inference_seconds is inf"),
        ({"host": 1}, "host is 1"),
        ({"per_core": {"hops_east_west": [[1]]}}, "by core and step come"),
        ({"per_core": {"spikes": [[1, 2]]}}, "needs cores and steps"),
        ({"cores": 2, "steps": 1, "per_core": {"spikes": [[1, 2]]}}, "is 1 × 2; 2 cores and 1 steps make 2 × 1"),
        ({"cores": 1, "steps": 2, "per_core": {"spikes": [[1, -2]]}}, "holds what is no count"),
        ({"cores": 1, "steps": 2, "per_core": {"spikes": [[1], [1, 2]]}}, "no table of numbers"),
        ({"cores": 1, "steps": 2, "per_core": {"spikes": [["a", "b"]]}}, "no table of numbers"),
        (
            {"counts": {"spikes": 4}, "cores": 1, "steps": 2, "per_core": {"spikes": [[1, 2]]}},
            "cores' counts add up to 3, but the total is 4",
        ),
    ],
)
def test_what_is_no_count_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as caught:
        Counted("x", **{"counts": {}, **given})  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_every_term_has_a_meaning() -> None:
    named = {**EVENTS, **PLACED_EVENTS, **FOLLOWING}
    assert {term_name(t) for t in ALL_TERMS} == set(named) and all(named.values())
