"""Chips as data: what loads, and what is refused by file and entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from snncc.chip.spec import LIMITS, chips, load_chip
from snncc.errors import InputError

OWN = """format = 1
name = "own"
title = "a chip of one's own"
target = "fixed-sim"
[mesh]
columns = {value = 3, unit = "tiles", source = "here"}
rows = {value = 2, unit = "tiles", source = "here"}
cores_per_tile = {value = 2, unit = "cores", source = "here"}
[limits]
neurons_per_core = {value = 5, unit = "neurons", source = "here"}
delay = {value = "none", unit = "steps", source = "here"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_public_figures() -> None:
    assert {"loihi1", "loihi2", "unlimited"} <= set(chips())
    one, two, no = (load_chip(name) for name in ("loihi1", "loihi2", "unlimited"))
    assert one.cores == two.cores == 128
    values = {name: limit.value for name, limit in one.limits.items()}
    expected = (1024, 4096, 4096, 2**20, 32, 8, 8)
    assert tuple(values[f"{n}_per_core"] for n in (
        "neurons", "input_axons", "output_axons", "synapse_bits", "neuron_profiles", "threshold_profiles",
        "synapse_profiles",
    )) == expected  # fmt: skip
    assert two.limits["neurons_per_core"].value == 8192 and two.limits["synapse_bits_per_core"].value == 128 * 1024 * 8
    assert {"input_axons_per_core", "output_axons_per_core"} <= {limit.name for limit in two.unchecked}
    assert not no.unchecked and all(limit.value is None for limit in no.limits.values())


@pytest.mark.parametrize("name", ["loihi1", "loihi2", "unlimited"])
def test_every_figure_has_a_source(name: str) -> None:
    chip = load_chip(name)
    assert set(chip.limits) == set(LIMITS)
    for limit in (*chip.mesh.values(), *chip.limits.values()):
        assert limit.source and limit.unit and limit.source != "the file does not name it"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    chip = load_chip(written(tmp_path, OWN))
    assert chip.cores == 12 and chip.limits["neurons_per_core"].allows(5)
    assert not chip.limits["neurons_per_core"].allows(6)
    assert chip.limits["input_axons_per_core"].unknown and chip.limits["input_axons_per_core"].allows(10**9)
    assert not chip.limits["delay"].unknown and "not checked" in str(chip.limits["input_axons_per_core"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format = 1", "format = 2", "format"),
        ("value = 5,", "value = -5,", "limits.neurons_per_core"),
        ("value = 5,", "value = true,", "limits.neurons_per_core"),
        ("value = 5,", 'value = "many",', "limits.neurons_per_core"),
        ("value = 5,", "value = 5.5,", "limits.neurons_per_core"),
        ("value = 5,", "", "limits.neurons_per_core"),
        ('"neurons", source = "here"', '"neurons"', "source"),
        ("neurons_per_core", "neurons_a_core", "neurons_a_core"),
        ("{value = 3, ", '{value = "unknown", ', "mesh.columns"),
        ("{value = 3, ", "{value = 0, ", "mesh.columns"),
        ("rows = ", "# rows = ", "mesh.rows"),
        ('title = "a', 'titel = "a', "titel"),
        ("[limits]", "[limits", "TOML"),
        ("[mesh]", "[[mesh]]", "mesh"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OWN
    path = written(tmp_path, OWN.replace(old, new, 1))
    with pytest.raises(InputError, match=said) as caught:
        load_chip(path)
    assert str(path) in str(caught.value)


def test_no_such_chip() -> None:
    with pytest.raises(InputError, match="loihi1"):
        load_chip("no-such-chip")
