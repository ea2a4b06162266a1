"""``snncc place`` and ``snncc check --chip`` as a person meets them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from snncc.chip.spec import chips

NAME = "ecg-recurrent"


def test_table_map_and_drawing(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    drawing = tmp_path / "net.svg"
    code, out, _ = snncc("place", NAME, "--chip", "loihi2", "-t", "fixed-sim", "--map", "--svg", drawing)
    assert code == 0
    assert "input axons" in out and "chip 0" in out and "assumed" in out and "unknown" in out
    code, facts, _ = snncc("place", NAME, "--chip", "loihi2", "-t", "fixed-sim", "--json")
    said = json.loads(facts)
    assert code == 0 and said["cores"] == len(said["placed"]) == sum(layer["cores"] for layer in said["layers"])
    assert said["traffic"]["hop_weighted"] <= said["traffic"]["hop_weighted_in_order"]
    assert f"{said['cores']} of 128 cores" in out
    root = ElementTree.parse(drawing).getroot()
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert root.get("role") == "img" and "desc" in names
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    assert sum(title.startswith("core ") for title in titles) == said["cores"]
    assert sum(title == "no core" for title in titles) == 128 - said["cores"]
    drawn = [e for e in root.iter() if e.tag.endswith("g") and not e.tag.endswith("svg")]
    free = [[r.get("class") for r in group if r.tag.endswith("rect")] for group in drawn]
    assert free.count(["free"]) == 128 - said["cores"], "a page that styles its free places finds nothing above them"
    assert free.count(["free", None]) == said["cores"]


def own_chip(folder: Path, **limits: int) -> Path:
    text = chips()["loihi1"].read_text(encoding="utf-8")
    for name, value in limits.items():
        head, _, rest = text.partition(f"[limits.{name}]\n")
        text = f"{head}[limits.{name}]\nvalue = {value}\n{rest.partition(chr(10))[2]}"
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_does_not_fit_is_listed_whole(snncc, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    chip, drawing = own_chip(tmp_path, input_axons_per_core=20, weight_bits=4), tmp_path / "net.svg"
    code, out, _ = snncc("place", NAME, "--chip", chip, "-t", "fixed-sim", "--svg", drawing)
    assert code == 1 and "limit 20 axons" in out and "limit 4 bits" in out and not drawing.exists()
    code, checked, _ = snncc("check", NAME, "--chip", chip, "-t", "fixed-sim", "--json")
    said = json.loads(checked)
    assert code == 1 and len(said["findings"]) >= 2 and said["chip"]["unknown"] == ["delay"]
    assert all(finding[key] for finding in said["findings"] for key in ("layer", "actual", "limit", "remedy"))


def test_check_says_how_many_cores(snncc) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = snncc("check", NAME, "--chip", "unlimited")
    assert code == 0 and "fits       unlimited: 2 of 256 cores" in out


@pytest.mark.parametrize("verb", ["place", "check"])
def test_a_chip_that_is_none(snncc, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    code, _, err = snncc(verb, NAME, "--chip", "loihi9")
    assert code == 2 and "loihi1" in err
    path = own_chip(tmp_path, neurons_per_core=-3)
    code, _, err = snncc(verb, NAME, "--chip", path)
    assert code == 2 and str(path) in err and "limits.neurons_per_core" in err
