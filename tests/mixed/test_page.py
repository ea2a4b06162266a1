"""docs/mixed-precision.md is what the records say, and the records keep their promises."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mixed import FOLDER, PAGE, page, recorded
from benchmarks.zoo import deployed
from snncc.files import sha256_of
from snncc.pipeline import SYNAPSES
from snncc.registry import get_models

ROOT = Path(__file__).parent.parent.parent


def records(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.chdir(ROOT)
    found = recorded()
    assert len(found) >= 2
    return found


def test_the_page_is_made_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page(records(monkeypatch)) == (ROOT / PAGE).read_text(encoding="utf-8")


def test_each_record_saves_two_fifths_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    for record in records(monkeypatch):
        name, found, test = record["network"], record["search"], record["test"]
        assert record["checkpoint_sha256"] == sha256_of(get_models()[name].checkpoint), f"{name}: measure it again"
        assert found["chosen"]["confirmation"]["outcome"] == "met", name
        assert all(drop["drop"] <= found["budget_points"] for drop in test["drop_points"].values()), name
        words = test["weight_bytes"]
        assert (
            words["mixed"] == found["chosen"]["weight_bytes"] and words["uniform"] == found["uniform"]["weight_bytes"]
        )
        assert 1 - words["mixed"] / words["uniform"] >= 0.4, name
        assert (
            test["data"].endswith(":test")
            and "test" not in found["measured_on"]["data"] + found["confirmed_on"]["data"]
        )


def test_the_two_largest_networks_of_the_zoo_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the weights of their checkpoints."""
    sizes = {
        name: sum(node.weight.size for node in deployed(recipe).nodes.values() if isinstance(node, SYNAPSES))
        for name, recipe in get_models().items()
        if recipe.checkpoint.is_file() and recipe.training.bits is None  # not those that have few bits already
    }
    largest = sorted(sizes, key=lambda name: -sizes[name])[:2]
    assert set(largest) <= {record["network"] for record in records(monkeypatch)}


def test_each_plot_holds_all_that_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for record in records(monkeypatch):
        root = ET.parse(ROOT / FOLDER / f"{record['network']}.svg").getroot()
        assert len(root.findall(".//{*}title")) == 1 + len(record["search"]["tried"])
