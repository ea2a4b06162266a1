"""Counts from files: JSON and TOML say the same, what is written is read back, and what is not sane is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snncc.energy.account import account
from snncc.energy.costs import load_costs
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
        ('{"format": 1, "name": "' + "n" * 5000 + '", "counts": {"spikes": 1}}', "text of at most 200 characters"),
        ('{"format": 1, "counts": {"' + "n" * 5000 + '": 1}}', "is unknown"),
        ('{"format": 1, "counts": {"spikes": ' + str([1] * 5000) + "}}", "spikes is [1, 1"),
        ("3", "holds int"),
        ('{"format": 1}', r"holds no [counts]"),
        ('{"format": 1, "counts": [1]}', "counts is [1]"),
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
    assert str(path) in str(caught.value) and told in str(caught.value) and len(str(caught.value)) < 1000


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
    with pytest.raises(InputError, match="33,554,433 bytes"):
        read_counts(large)


@pytest.mark.parametrize("kind", ["counts", "costs"])
def test_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    """Bytes changed, cut out and repeated: either the file still makes sense, or the error is one of ours and names it."""
    sound = TOML.encode() if kind == "counts" else Path(load_costs("digital").file).read_bytes()
    path = tmp_path / "damaged.toml"
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(sound)
        start = int(rng.integers(len(data)))
        stop = min(len(data), start + int(rng.integers(1, 20)))
        chance = rng.random()
        data[start:stop] = rng.bytes(1) if chance < 0.3 else b"" if chance < 0.6 else data[start:stop] * 3
        path.write_bytes(data)
        try:
            if kind == "counts":
                account(read_counts(path), load_costs("loihi1"), 10)
            else:
                account(Counted("x", {"updates": 1}), load_costs(path), 10)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
    assert 30 < refused < 300
