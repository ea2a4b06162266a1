"""Counts from files: JSON and TOML say the same, what is written is read back, and what is not sane is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snncc.energy.counted import Counted
from snncc.energy.counts_file import MAX_FILE_BYTES, counts_document, read_counts
from snncc.errors import InputError

TOML = """format = 1
name = "toy"
samples = 2
steps = 3
cores = 2
tiles = 1
chips = 1
host_seconds = 1e-3
[counts]
hops_east_west = 10
[per_core]
spikes = [[10, 5, 1], [3, 2, 2]]
"""


def same(one: Counted, two: Counted) -> bool:
    arrays = one.per_core.keys() == two.per_core.keys() and all(
        np.array_equal(one.per_core[k], two.per_core[k]) for k in one.per_core
    )
    return arrays and counts_document(one) == counts_document(two)


def test_both_forms(tmp_path: Path) -> None:
    toml = tmp_path / "toy.toml"
    toml.write_text(TOML)
    run = read_counts(toml)
    assert (run.name, run.samples, run.steps, run.cores, run.host_seconds) == ("toy", 2, 3, 2, 1e-3)
    assert run.counts == {"hops_east_west": 10, "spikes": 23}, "the cores' counts add up to the total"
    written = tmp_path / "toy.json"
    written.write_text(json.dumps(counts_document(run)))
    assert same(read_counts(written), run)
    assert run.inference_seconds is None and not run.host


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("format = 1", "format = 2", "format is 2"),
        ("format = 1\n", "", "format is None"),
        ('name = "toy"', "name = 3", "name is 3"),
        ("samples = 2", "samples = 0", "samples is 0"),
        ("samples = 2", "examples = 2", "'examples' is unknown"),
        ("steps = 3", "steps = 4", "per_core.spikes: is 2 × 3; 2 cores and 4 steps make 2 × 4"),
        ("hops_east_west = 10", "hops = 10", "'hops' is unknown"),
        ("hops_east_west = 10", "hops_east_west = -1", "hops_east_west is -1"),
        ("hops_east_west = 10", "hops_east_west = inf", "hops_east_west is inf"),
        ("hops_east_west = 10", "hops_east_west = [1]", r"hops_east_west is [1]"),
        ("hops_east_west = 10", "spikes = 22", "add up to 23, but the total is 22"),
        ("[3, 2, 2]", "[3, 2]", "per_core.spikes: is no table of numbers"),
        ("[3, 2, 2]", '["a", 2, 2]', "per_core.spikes: is no table of numbers"),
        ("[counts]", "[counts", "no readable TOML"),
    ],
)
def test_bad_files_name_the_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "toy.toml"
    assert old in TOML
    path.write_text(TOML.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_counts(path)
    assert str(path) in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no readable JSON"),
        ("[]", "holds list"),
        ("3", "holds int"),
        ('{"format": 1}', r"holds no [counts]"),
        ('{"format": 1, "counts": [1]}', "counts is list"),
        ('{"format": 1, "counts": {"spikes": NaN}}', "spikes is nan"),
        ('{"format": 1, "counts": {"spikes": 1, "spikes": 2}}', "'spikes' stands there twice"),
        ('{"format": 1, "counts": {"spikes": 1' + "0" * 400 + "}}", "spikes is 1000"),
        ('{"format": 1, "counts": {"spikes": 1' + "0" * 5000 + "}}", "no readable JSON"),
        ("[" * 100_000, "no readable JSON"),
    ],
)
def test_bad_json(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "toy.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_counts(path)
    assert str(path) in str(caught.value) and told in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_counts(tmp_path / "nothing.json")
    with pytest.raises(InputError, match="no such file"):
        read_counts(tmp_path)
    other = tmp_path / "counts.csv"
    other.write_text("spikes,3")
    with pytest.raises(InputError, match=r"ends in '.csv'"):
        read_counts(other)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no readable JSON"):
        read_counts(binary)
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="67,108,865 bytes"):
        read_counts(large)
