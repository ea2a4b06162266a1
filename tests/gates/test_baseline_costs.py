"""A baseline judges what an inference costs, too."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from snncc.baseline_costs import Costs, check_same_prices, cost_facts, cost_regressions, read_costs
from snncc.errors import InputError
from snncc.evidence import FAILED, MET

BEFORE = Costs("loihi1 abc", "loihi1 def", 100, {"S1": 10.0, "S3": 50.0}, 2.0, 4)


def outcomes(now: Costs, scope: str = "S3", tolerance: float = 2.0) -> dict[str, str]:
    return {g.name: g.outcome for g in cost_regressions(BEFORE, now, scope, tolerance)}


def test_the_same_or_less_is_met() -> None:
    assert set(outcomes(BEFORE).values()) == {MET} and len(outcomes(BEFORE)) == 3
    assert set(outcomes(replace(BEFORE, energy_uj={"S1": 1.0, "S3": 5.0}, latency_ms=1.0, cores=1)).values()) == {MET}


@pytest.mark.parametrize(
    ("change", "gate", "value"),
    [
        ({"energy_uj": {"S1": 10.0, "S3": 51.1}}, "rise of energy (S3) since the baseline", 2.2),
        ({"latency_ms": 2.05}, "rise of latency since the baseline", 2.5),
        ({"cores": 5}, "cores, against the baseline", 5),
    ],
)
def test_each_figure_fails_by_itself(change: dict[str, Any], gate: str, value: float) -> None:
    now = replace(BEFORE, **change)
    assert [name for name, outcome in outcomes(now).items() if outcome == FAILED] == [gate]
    found = next(g for g in cost_regressions(BEFORE, now, "S3", 2.0) if g.name == gate)
    assert found.value == pytest.approx(value)
    if gate.startswith("rise"):
        assert set(outcomes(now, tolerance=3.0).values()) == {MET} and "before" in str(found)


def test_the_scope_asked_for_counts_or_the_widest_that_both_have() -> None:
    dearer = replace(BEFORE, energy_uj={"S1": 12.0, "S3": 50.0})
    assert outcomes(dearer, "S1")["rise of energy (S1) since the baseline"] == FAILED
    assert outcomes(dearer, "S3")["rise of energy (S3) since the baseline"] == MET
    assert outcomes(dearer, "S2")["rise of energy (S1) since the baseline"] == FAILED


def test_a_network_that_outgrew_its_chip_fails() -> None:
    now = replace(BEFORE, energy_uj={"S1": 10.0}, latency_ms=None, cores=None)
    found = {g.name: g for g in cost_regressions(BEFORE, now, "S3", 2.0)}
    assert found["on the chip, as in the baseline"].outcome == FAILED
    assert "fits loihi1 no longer" in str(found["on the chip, as in the baseline"])
    assert found["rise of energy (S1) since the baseline"].outcome == MET and len(found) == 2


def test_other_prices_are_refused() -> None:
    check_same_prices("before.json", BEFORE, BEFORE.prices, BEFORE.chip)
    said = r"before.json: was priced with the costs loihi1 abc, now with loihi2 x; .* --costs"
    with pytest.raises(InputError, match=said):
        check_same_prices("before.json", BEFORE, "loihi2 x", BEFORE.chip)
    with pytest.raises(InputError, match="with the chip loihi1 def, now with none"):
        check_same_prices("before.json", BEFORE, BEFORE.prices, "")


def not_finite() -> list[dict[str, Any]]:
    """Costs that JSON can hold, and that are none."""
    spoilt = [
        {key: value} for key in ("samples", "cores", "latency_ms") for value in (inf, -1, True, "1", 10**400, nan)
    ]
    spoilt += [{"energy_uj": {"S1": value}} for value in (inf, nan, -1.0, None, 10**400)] + [
        {"samples": 0},
        {"cores": 2.5},
    ]
    return [{**cost_facts(BEFORE), **one} for one in spoilt]


def test_written_and_read_back() -> None:
    assert read_costs("f", json.loads(json.dumps(cost_facts(BEFORE)))) == BEFORE
    assert read_costs("f", None) is None
    for spoilt in ({"version": 2}, {"version": 1}, {**cost_facts(BEFORE), "energy_uj": [1]}, [3], "x", *not_finite()):
        with pytest.raises(InputError, match="costs"):
            read_costs("f", spoilt)


def test_the_verb_names_what_got_dearer(tmp_path: Path) -> None:
    """8 bits against 2: the coarse network has fewer synapses, so the fine one is dearer by more than 2 %."""
    from click.testing import CliRunner

    from snncc.cli.main import cli

    def verify(*options: object) -> Any:
        fixed = ("verify", "mnist-lif", "-t", "fixed-sim", "--data", "mnist:demo", "--limit", "20", "--exact", "1")
        return CliRunner().invoke(cli, [*fixed, *map(str, options)], standalone_mode=False)

    before = tmp_path / "before.json"
    before.write_text(verify("--bits", 2, "--json").stdout, encoding="utf-8")
    costs = json.loads(before.read_text())["costs"]
    assert costs["samples"] == 20 and costs["energy_uj"]["S1"] > 0 and costs["cores"] > 0
    said = verify("--baseline", before)
    assert said.return_value == 1 or said.exit_code == 1
    assert "failed     rise of energy (S3) since the baseline: " in said.stdout and "limit 2; " in said.stdout
    assert "µJ before, " in said.stdout
    more = verify("--baseline", before, "--baseline-tolerance", 1000, "--json")
    rises = [g for g in json.loads(more.stdout)["gates"] if g["name"].startswith("rise of energy")]
    assert rises[0]["limit"] == 1000 and rises[0]["passed"] and rises[0]["value"] > 2
    other = verify("--baseline", before, "--costs", "digital")
    assert "was priced with the costs loihi1" in str(other.exception)
