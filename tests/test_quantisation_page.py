"""docs/quantisation.md is what the records give, and the plain method beside ours is what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import quantisation_table as table
from benchmarks.plain import plain_target
from snncc.compiler import compile_graph
from snncc.errors import InputError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import chain
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

PAGE = Path(__file__).parents[1] / "docs" / "quantisation.md"


def test_the_page_is_generated() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == table.page(text), "python -m benchmarks.quantisation --table writes it anew"


@pytest.mark.parametrize("path", sorted(table.folder().glob("*.json")), ids=lambda path: path.stem)
def test_records_are_of_whole_test_sets(path: Path) -> None:
    record = table.read_record(path.stem)
    assert record is not None and record["samples"] >= 100
    assert record["calibration"]["data"].partition(":")[2].startswith("train")
    for name, row in record["rows"].items():
        bits, method = name.split()
        assert int(bits) in table.BITS and method in table.METHODS
        assert row.get("refused") or 0 <= row["accuracy"] <= 1


def test_a_record_of_another_checkpoint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "sha256_of", lambda path: "0" * 64)
    with pytest.raises(InputError, match="of another checkpoint"):
        table.table()


def test_plain_max_scaling() -> None:
    """By hand: 127 units are the largest weight of the layer; threshold and bias are rounded to units."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(0, 0.4, (5, 7)), rng.normal(0, 0.2, 5)
    nodes = {
        "input": Input((7,), "spikes", 1.0, 0, 1),
        "fc": Dense(weight, bias),
        "lif": Neuron(Dynamics(threshold=1.0, membrane_decay=0.8)),
        "output": Output(),
    }
    graph, target = chain(nodes, 6), plain_target()
    made = compile_graph(graph, target, CompileOptions(8))
    unit = np.abs(weight).max() / 127
    (projection,), (population,) = made.program.projections, made.program.populations
    assert np.array_equal(projection.weight, np.round(weight / unit)) and population.guard_bits == 0
    assert np.all(population.threshold == np.round(1 / unit)) and np.all(population.reset_amount == np.round(1 / unit))
    assert np.array_equal(np.ravel(population.bias), np.round(bias / unit))
    inputs = rng.integers(0, 2, (6, 9, 7))
    expected = run_reference(made.program, inputs).spikes["lif"]
    found = get_target("fixed-sim").run(made.program, None, inputs, RunOptions(record=True))
    assert np.array_equal(found.spikes["lif"], expected) and expected.any()


def test_a_fine_tuned_network_answers_for_2_bits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands beside the network it started from, whose learned rounding is judged where there is none."""
    rows = {
        "2 learned": {"accuracy": 0.90, "compile_seconds": 1},
        "4 learned": {"accuracy": 0.985, "compile_seconds": 1},
    }
    record = {"samples": 100, "float_accuracy": 0.99, "held_out": {"float_accuracy": 0.98}, "rows": rows}
    monkeypatch.setattr(table, "get_models", lambda: ["small"])
    monkeypatch.setattr(table, "_checked", lambda name: record)

    def wanted(tuned: dict[tuple[str, int], dict[str, object]]) -> dict[str, list[str]]:
        monkeypatch.setattr(table, "_fine_tuned", lambda: tuned)
        cells = [[c.strip() for c in line.split("|")[1:-1]] for line in table.table().splitlines()]
        return {c[3]: [c[8], c[-1]] for c in cells if len(c) == 12 and c[0] == "small"}

    assert wanted({}) == {"4": ["–", "≤ 0.5: met"], "2": ["–", "≤ 1.5: misses"]}
    own = {"name": "small-2bit", "samples": 100, "accuracy": 0.98, "held_out": 0.96}
    assert wanted({("small", 2): own})["2"] == ["1.00", "≤ 1.5: met"]
    assert "| small-2bit | small | 100 | 2 | 1.00 | 2.00 |" in table.table()
    assert wanted({("small", 4): own | {"accuracy": 0.9}})["4"] == ["9.00", "≤ 0.5: met"]
