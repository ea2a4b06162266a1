"""The table of every network on every chip: the quick ones here, through the same checks; and checks that see what is wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the zoo's networks need torch: pip install snncc[torch]")

from benchmarks import chips, placing
from snncc.chip.partition import Partition, partition
from snncc.chip.spec import load_chip
from snncc.compiler import compile_graph
from snncc.errors import InputError
from snncc.frontends import load_model
from snncc.registry import get_models, get_target, resolve_model

QUICK = (
    *("nir-braille/braille_noDelay_bias_zero.nir", "nir-braille/braille_noDelay_noBias_subtract.nir"),
    *("nir-single-lif/lif_norse.nir", "nir-single-lif/lif_rockpool.nir"),
    *("lava-dl-tiny/tiny.net", "lava-dl-oxford/network.net"),
)


def test_a_network_of_the_zoo(tmp_path: Path) -> None:
    """Signed input does not fit Loihi 1's single-bit spikes; Loihi 2 takes it."""
    network = next(n for n in chips.zoo(tmp_path) if n.name == "ecg-recurrent")
    line, faults = chips.row(network)
    assert faults == [] and "refused: spikes are too wide" in line and "| 2 cores" in line
    assert line in chips.DOCUMENT.read_text(encoding="utf-8"), "docs/chips.md: python -m benchmarks.chips --write"


@pytest.mark.skipif("SNNCC_CASES" not in os.environ, reason="SNNCC_CASES is not set: third-party cases are not at hand")
def test_third_party_networks() -> None:
    written = chips.DOCUMENT.read_text(encoding="utf-8")
    found = {n.name: chips.row(n) for n in chips.cases() if n.name in QUICK}
    assert set(found) == set(QUICK)
    for name, (line, faults) in found.items():
        assert faults == [] and " core" in line and line in written, name


def test_every_network_of_the_zoo_has_its_line(tmp_path: Path) -> None:
    written = chips.DOCUMENT.read_text(encoding="utf-8").partition(chips.BEGIN)[2].splitlines()
    named = [chips.name_of(line) for line in written if line.startswith("| `")]
    zoo = [n.name for n in chips.zoo(tmp_path)]
    assert [n for n in named if "/" not in n] == zoo, "docs/chips.md: python -m benchmarks.chips --write NAME"


def cut() -> Partition:
    program = compile_graph(load_model(resolve_model("ecg-recurrent")), get_target("fixed-sim")).program
    made, findings = partition(program, load_chip("loihi2"))
    assert made is not None and not findings
    return made


def test_the_checks_see_what_is_wrong() -> None:
    made = cut()
    assert chips.limit_faults(made) == [] and chips.counter_faults(made) == []
    lying = [dict(taken) for taken in made.taken]
    lying[1]["input_axons_per_core"] -= 1
    assert "core 1 is said to take" in chips.limit_faults(replace(made, taken=tuple(lying)))[0]
    twice = replace(made, cores=(made.cores[0], made.cores[0]))
    assert any(
        "held twice or not at all" in fault for fault in chips.limit_faults(replace(twice, taken=made.taken[:1] * 2))
    )
    assert chips.refusal_faults(made.program, made.wiring.chip, []) == []
    _, findings = partition(made.program, load_chip("loihi1"))
    assert chips.refusal_faults(made.program, load_chip("loihi1"), findings) == []
    wrong = replace(findings[0], what="source neurons that a core listens to, one neuron alone")
    assert "neurons that fit no core are in []" in chips.refusal_faults(made.program, load_chip("loihi1"), [wrong])[0]


def test_the_table_is_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "chips.md"
    path.write_text(f"before\n{chips.BEGIN}\nold\n{chips.END}\nafter\n", encoding="utf-8")
    lines = {name: f"| `{name}` | 1 | 2 | 1 core | 1 core |" for name in "xyz"}
    chips.write([lines["z"], lines["y"]], "xyz", True, path)
    assert "old" not in path.read_text(encoding="utf-8")
    chips.write([lines["x"], lines["y"].replace("1 core |", "9 cores |")], "xyz", False, path)
    text = path.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [chips.name_of(row) for row in rows] == ["x", "y", "z"] and "9 cores" in rows[1] and rows[2] == lines["z"]
    assert text.startswith("before\n") and text.endswith("after\n")


def test_the_table_of_placements(tmp_path: Path) -> None:
    """Its first line is what the page says; a network that the chip refuses is named; a page without marks is refused."""
    name, read, chip = placing.networks(tmp_path)[0]
    found = placing.measured(name, read(), chip)
    page = chips.DOCUMENT.read_text(encoding="utf-8")
    assert found.line in page, "docs/chips.md: python -m benchmarks.placing --write"
    lines = page.partition(placing.BEGIN)[2].partition(placing.END)[0].strip().splitlines()[2:]
    assert len(lines) == len(placing.networks(tmp_path)) and placing.written(page, lines) == page
    with pytest.raises(InputError, match="x: loihi1 refuses it: "):
        placing.measured("x", load_model(get_models()["mnist-multi-threshold"].checkpoint), "loihi1")
    with pytest.raises(InputError, match="lacks the marks"):
        placing.written("no table", lines)
