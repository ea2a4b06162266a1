"""``--int8`` as a person meets it: a promise kept, or an error that says which layer breaks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snncc.targets.c99 import runner


def test_refuses_weights_of_more_than_eight_bits(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "net"
    wide = ("mnist-lif", "-t", "c", "--int8", "--bits", 12)
    code, out, _ = snncc("compile", *wide, "-o", folder)
    assert code == 2 and not folder.exists() and "nothing was written" in out
    said = "too wide: 12 bits, limit 8 bits with --int8; compile with --bits 8 or fewer, or leave --int8 out"
    for layer in ("conv1", "conv2", "fc1", "fc2"):
        assert any(line.split()[:2] == [layer, "weights"] and line.endswith(said) for line in out.splitlines())
    code, out, _ = snncc("check", *wide, "--json")
    assert code == 1 and [f["limit"] for f in json.loads(out)["findings"]] == ["8 bits with --int8"] * 4


@pytest.mark.parametrize("verb", ["compile", "check", "verify", "profile"])
def test_refuses_targets_without_it(snncc, verb: str) -> None:  # type: ignore[no-untyped-def]
    data = ("--data", "mnist:demo") if verb in ("verify", "profile") else ()
    code, out, err = snncc(verb, "mnist-lif", "-t", "fixed-sim", "--int8", *data)
    assert (code, out) == (2, "") and "--int8: fixed-sim has no such form; leave it out, or take --target c" in err


@pytest.mark.skipif(runner.find_compiler() is None, reason="no C compiler: install cc, gcc or clang")
def test_compiles_and_verifies(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "net"
    code, out, _ = snncc("compile", "mnist-lif", "-t", "c", "--int8", "--bits", 2, "-o", folder)
    flash = json.loads((folder / "memory.json").read_text())["flash_bytes"]
    assert code == 0 and f"{flash:,} bytes of flash" in out and flash < 831_375 / 4 + 2_000
    assert json.loads((folder / "manifest.json").read_text())["options"]["variant"] == "int8"
    code, out, _ = snncc("verify", folder, "--data", "mnist:demo", "--limit", 2, "--exact", 2)
    assert code == 0 and "c: exact on 2 samples, 0 of" in out
    code, _, err = snncc("verify", folder, "--int8", "--data", "mnist:demo")
    assert code == 2 and "so --int8 would change nothing" in err


def test_targets_lists_what_it_promises(snncc) -> None:  # type: ignore[no-untyped-def]
    listed = {t["name"]: t for t in json.loads(snncc("targets", "--json")[1])}
    assert listed["c"]["variants"]["int8"]["weight_bits"]["value"] == 8 and listed["fixed-sim"]["variants"] == {}
    assert "c --int8" in snncc("targets", "-v")[1]
