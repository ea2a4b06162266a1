"""docs/results.md is what the recipes, logs and records say, and the records are of the checkpoints that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from snncc.errors import InputError
from snncc.registry import get_models

ROOT = Path(__file__).parents[1]


def test_the_page_is_generated() -> None:
    assert (ROOT / "docs/results.md").read_text(encoding="utf-8") == results.results(), "make results writes it anew"


@pytest.mark.parametrize("name", [n for n, r in get_models().items() if r.checkpoint.is_file()])
def test_every_checkpoint_was_measured_whole(name: str) -> None:
    record = json.loads(results.record_path(name).read_text(encoding="utf-8"))
    assert record["differing_cells"] == 0
    assert record["lava"] is None or record["lava"].get("differing", 0) == 0
    assert record["float_accuracy"] - record["integer_accuracy"] <= 0.002
    assert record["samples"] >= 100


def test_a_record_of_another_checkpoint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "sha256_of", lambda path: "0" * 64)
    with pytest.raises(InputError, match="measure it anew"):
        results.results()
