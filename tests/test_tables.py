"""Files that nobody should write: each is refused with a short message that names it, at once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snncc.chip.spec import load_chip
from snncc.energy.costs import load_costs
from snncc.energy.counts_file import read_counts
from snncc.errors import InputError
from snncc.frontends.semantics import _sidecar
from snncc.tables import MAX_FILE_BYTES, MAX_KEY_PARTS, read_toml_or_json, shown

KEY = ".".join("a" * 200_000)
HOSTILE = {
    "deep lists": ("a = " + "[" * 100_000, "no readable TOML"),
    "deep tables": ("a = " + "{a = " * 100_000, "no readable TOML"),
    "long key": (f"{KEY} = 1", "more than 16 parts"),
    "long key within": (f"a = {{{KEY} = 1}}", "more than 16 parts"),
    "long head": (f"[{KEY}]", "more than 16 parts"),
    "long quoted key": ('"a="' + '. "a="' * 100_000 + " = 1", "line 1: a key has more than 16 parts"),
    "large number": ("format = 0x" + "f" * 900_000, "whole number of 3,600,000 bits"),
    "larger number": ("format = 1" + "0" * 5_000, "no readable TOML"),
    "no number": ("format = nan", "format is nan"),
    "true": ("format = true", "format is True"),
    "bytes": ("\0\1\2", "no readable TOML"),
    "long name": (f"format = 1\n{'n' * 5_000} = 1", "is unknown"),
    "odd name": ('format = 1\n"\\u001b[2J" = 1', "is unknown"),
}
READERS: dict[str, Callable[[Path], object]] = {"chip": load_chip, "costs": load_costs, "counts": read_counts}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(tmp_path: Path, kind: str, reader: str) -> None:
    content, told = HOSTILE[kind]
    path = tmp_path / "hostile.toml"
    path.write_text(content)
    started = time.perf_counter()
    with pytest.raises(InputError, match=told) as caught:
        READERS[reader](path)
    message = str(caught.value)
    assert str(path) in message and len(message) < 1_000 and message.isprintable()
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("kind", ["deep lists", "long key", "bytes"])
def test_hostile_sidecars(tmp_path: Path, kind: str) -> None:
    (tmp_path / "net.semantics.toml").write_text(HOSTILE[kind][0])
    with pytest.raises(InputError, match=HOSTILE[kind][1]):
        _sidecar(tmp_path / "net.nir")


def test_texts_that_steer_a_terminal(tmp_path: Path) -> None:
    """No text of a chip or a cost set may hold control characters: they are printed."""
    for reader, file in ((load_chip, load_chip("loihi1").file), (load_costs, load_costs("loihi1").file)):
        sound = Path(file).read_text(encoding="utf-8")
        path = tmp_path / "own.toml"
        path.write_text(re.sub(r'title = "', r'title = "\\u001b[2J', sound, count=1), encoding="utf-8")
        with pytest.raises(InputError, match=r"title is .*control characters"):
            reader(path)
        path.write_text(re.sub(r'title = "', 'title = "' + "n" * 3_000, sound, count=1), encoding="utf-8")
        with pytest.raises(InputError, match="text of at most 2,000 characters"):
            reader(path)


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for reader in (load_chip, load_costs):
        with pytest.raises(InputError, match="1,048,577 bytes"):
            reader(path)


def test_keys_of_sound_files(tmp_path: Path) -> None:
    """Dots in texts and numbers are no parts of a key."""
    path = tmp_path / "sound.toml"
    text = "e.g. " + "a.b" * 100
    path.write_text(f'a.b = [{", ".join(["1.5"] * 100)}]\n{".".join("c" * MAX_KEY_PARTS)} = 2\nd = "{text}"\n')
    content = read_toml_or_json(path, "a file").content
    assert content["a"]["b"] == [1.5] * 100 and content["d"] == text and "c" in content


def test_shown_is_short() -> None:
    assert shown(3) == "3" and shown("x") == "'x'" and shown([1]) == "[1]"
    for value in (10**5_000, [10**5_000], {"a": [10**5_000]}, "n" * 10_000, list(range(10_000)), 1 << 4_000):
        assert len(shown(value)) < 200
