"""``snncc energy``: counts from a file, in words and as JSON, and the counts that ``snncc profile`` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snncc.energy.costs import cost_sets, load_costs

PAGE_COUNTS = Path(__file__).parents[2] / "docs" / "counts" / "mnist-multi-threshold.json"
COUNTS = """format = 1
name = "a published run"
steps = 3
cores = 2
tiles = 1
chips = 1
[counts]
hops_east_west = 10
[per_core]
updates = [[100, 100, 100], [50, 50, 50]]
spikes = [[10, 5, 1], [3, 2, 2]]
axons_out = [[10, 5, 1], [3, 2, 2]]
"""


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(COUNTS)
    return path


def test_words(snncc, counts: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("energy", "--counts", counts)
    assert code == 0
    assert "a published run" in out and "S3" in out and "5–95 %" in out and "latency" in out and "J·s" in out
    assert "left out   active, " in out and "not counted" in out
    assert "1 sample, 3 steps, 2 cores, 1 tile, 1 chip" in out and "terms left out below" in out
    assert "axons_in" in out and "no host is described" in out and "grade B" in out


def test_help_names_every_cost_set(snncc) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("energy", "--help")
    words = out.replace(",", " ").replace(".", " ").split()
    assert code == 0 and set(cost_sets()) <= set(words)


def test_json_holds_the_same_and_the_hash(snncc, counts: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("energy", "--counts", counts, "--target", "loihi1-sanafe", "--json", "--draws", 100)
    value = json.loads(out)
    assert code == 0 and value["costs"]["sha256"] == load_costs("loihi1-sanafe").sha256
    scopes = {s["scope"]: s["energy"] for s in value["scopes"]}
    expected = 450 * 51.2 + 23 * (69.3 + 111.0)
    assert scopes["S1"]["typ"] == pytest.approx(expected * 1e-12) and scopes["S5"] is None
    steps = [100 * 6.0 + spikes * (30 + 5.1) + 10 / 23 * 4.1 + 600 for spikes in (10, 5, 1)]
    assert value["latency_seconds"]["typ"] == pytest.approx(sum(steps) * 1e-9)


def test_any_constant_changes_the_hash(snncc, counts: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = Path(load_costs("loihi1").file).read_text()
    hashes = set()
    for name, new in (("same", text), ("power", text.replace("high = 0.82", "high = 0.83"))):
        path = tmp_path / f"{name}.toml"
        path.write_text(new)
        code, out, _ = snncc("energy", "--counts", counts, "-t", path, "--json")
        assert code == 0
        hashes.add(json.loads(out)["costs"]["sha256"])
    assert len(hashes) == 2 and load_costs("loihi1").sha256 in hashes


def test_loihi2_says_that_it_is_assumed(snncc, counts: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("energy", "--counts", counts, "-t", "loihi2", "--sources")
    assert code == 0 and "grade D" in out and "assumed: no energy or time of any event of Loihi 2 is public" in out
    assert "no figure of Loihi 2 is public" in out and "curve.synchronisation at 29" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing option '--counts'"),
        (["--counts", "nothing.json"], "no such file"),
        (["--counts", "{counts}", "-t", "loihi9"], "neither a cost set"),
        (["--counts", "{counts}", "--draws", "0"], "not in the range"),
        (["--counts", "{bad}"], "'spike' is unknown"),
    ],
)
def test_bad_input_exits_with_2(snncc, counts: Path, tmp_path: Path, arguments: list[str], told: str) -> None:  # type: ignore[no-untyped-def]
    bad = tmp_path / "bad.json"
    bad.write_text('{"format": 1, "counts": {"spike": 1}}')
    code, out, err = snncc("energy", *(a.format(counts=counts, bad=bad) for a in arguments))
    assert code == 2 and told in err and "Traceback" not in err and not out


def test_profile_writes_the_counts_of_the_energy_page(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """docs/counts holds what the zoo's network counts today; docs/energy.md says how to write it again."""
    path = tmp_path / "counts.json"
    model = ("profile", "mnist-multi-threshold", "-t", "fixed-sim", "--data", "mnist:demo", "--limit", 60)
    code, _, err = snncc(*model, "--write-counts", path)
    assert code == 0, err
    assert json.loads(path.read_text()) == json.loads(PAGE_COUNTS.read_text())
    code, _, err = snncc(*model, "--write-counts", tmp_path / "counts.txt")
    assert code == 2 and "ends in .json" in err
