"""``--layer-bits`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_network import write_network


def test_recorded_in_the_folder_and_taken_up_again(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    net, data = write_network(tmp_path)
    folder = tmp_path / "net"
    given = ("--layer-bits", "first=3,out=2", "-t", "fixed-sim")
    code, out, _ = snncc("compile", net, *given, "-o", folder)
    assert code == 0 and "8-bit weights (hidden 3, out 2)" in out
    options = json.loads((folder / "manifest.json").read_text())["options"]
    assert options["bits"] == 8 and options["layer_bits"] == {"hidden": 3, "out": 2}
    compiled = json.loads(snncc("inspect", folder, "--json")[1])["compiled"]
    assert compiled["options"] == options and compiled["weight_bits"] == {"hidden": 3, "out": 2}
    assert compiled["weight_bytes"] == (12 * 8 * 3 + 3 * 12 * 2) / 8
    out = snncc("inspect", folder)[1]
    assert "bits a weight: hidden 3, out 2" in out and "45 bytes of weights" in out
    code, out, _ = snncc("diff", folder, "--data", data, "--json")  # compiles again, and must find the same
    assert code == 0 and "compiled again" not in out
    code, _, err = snncc("verify", folder, "--data", data, "--layer-bits", "out=4")
    assert code == 2 and "is compiled already, so --layer-bits would change nothing" in err


@pytest.mark.parametrize("verb", ["compile", "check", "verify", "profile", "diff"])
def test_a_wrong_name_lists_the_layers(snncc, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    net, data = write_network(tmp_path)
    rest = ("--data", data) if verb in ("verify", "profile", "diff") else ()
    code, _, err = snncc(verb, net, "-t", "fixed-sim", "--layer-bits", "thrid=3", *rest)
    assert code == 2 and "there is no layer thrid; the layers with weights are hidden, out" in err
