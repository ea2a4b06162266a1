"""``snncc profile --energy`` and ``snncc compare``: placed figures in words, JSON, CSV and Markdown, and what goes wrong."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from small_network import SAMPLES, STEPS, write_network

from snncc.chip.spec import chips
from snncc.energy.costs import load_costs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Arguments that name the network and its data."""
    net, data = write_network(tmp_path_factory.mktemp("small"))
    return net, "-t", "fixed-sim", "--data", data


def tight_chip(folder: Path) -> Path:
    """Loihi 1 with two input axons a core."""
    text = chips()["loihi1"].read_text(encoding="utf-8")
    head, _, rest = text.partition("[limits.input_axons_per_core]\n")
    path = folder / "tight.toml"
    path.write_text(f"{head}[limits.input_axons_per_core]\nvalue = 2\n{rest.partition(chr(10))[2]}", encoding="utf-8")
    return path


def profiled(snncc: Any, model: tuple[object, ...], *more: object) -> dict[str, Any]:
    code, out, err = snncc("profile", *model, "--energy", *more, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_words_and_json_say_the_same(snncc: Any, model: tuple[object, ...]) -> None:
    code, out, _ = snncc("profile", *model, "--energy")
    found = profiled(snncc, model)
    assert (
        code == 0 and f"mean of {SAMPLES} samples" in out and "placed     loihi1: 2 of 128 cores, 1 tile, 1 chip" in out
    )
    assert "S3         + static power: " in out and "5–95 %" in out and "grade B" in out and "latency" in out
    assert (
        "headline " in out
        and " an inference (S3) " in out
        and "shares" in out
        and "left out   axons_in, core_steps, " in out
        and "loihi1 holds no published figure" in out
    )
    energy = found["energy"]
    assert (energy["cores"], energy["tiles"], energy["chips"], energy["steps"]) == (2, 1, 1, STEPS)
    s1 = next(s["energy"] for s in energy["scopes"] if s["scope"] == "S1")
    assert s1["typ"] == pytest.approx(found["total"]["energy_s1"]["typ"], rel=1e-12)
    assert f"core dynamic: {1e9 * s1['typ']:.3g} nJ" in out
    assert found["total"]["cores"] == 2 and found["placement"]["chip"] == "loihi1"
    assert found["accuracy"]["integer"] is not None and found["accuracy"]["float"] is None
    assert energy["costs"]["sha256"] == load_costs().sha256 and len(found["sha256"]) == 64
    assert all(c["source"] for c in energy["costs"]["energy"].values()) and found["placement"]["sources"]["columns"]
    assert energy["latency_seconds"]["p5"] < energy["latency_seconds"]["p95"]


def test_without_energy_there_are_counts_alone(snncc: Any, model: tuple[object, ...]) -> None:
    code, out, _ = snncc("profile", *model)
    assert code == 0 and "S1" not in out and "placed" not in out and "hidden" in out
    code, out, _ = snncc("profile", *model, "--json")
    found = json.loads(out)
    assert found["energy"] is None and found["total"]["cores"] is None and found["total"]["updates"] == 15 * STEPS


@pytest.mark.parametrize("name", ["loihi1-davies2018", "loihi1-sanafe", "loihi2"])
def test_cost_sets_with_a_chip(snncc: Any, model: tuple[object, ...], name: str) -> None:
    found = profiled(snncc, model, "--costs", name)
    assert found["energy"]["costs"]["name"] == name and found["placement"]["cores"] >= 2
    assert found["energy"]["costs"]["grade"] == load_costs(name).grade


def test_a_cost_set_without_a_chip_prices_what_needs_none(snncc: Any, model: tuple[object, ...]) -> None:
    found = profiled(snncc, model, "--costs", "digital")
    assert "nobody described the chip digital" in found["placement"]["not_placed"]
    energies = {s["scope"]: s["energy"] for s in found["energy"]["scopes"]}
    assert energies["S1"]["typ"] > 0 and energies["S3"] is None
    placed = profiled(snncc, model, "--costs", "truenorth", "--chip", "unlimited", "--period", 1e-3)
    assert placed["placement"]["chip"] == "unlimited"
    assert placed["energy"]["latency_seconds"]["typ"] == pytest.approx(STEPS * 1e-3)


def test_what_does_not_fit_is_said_and_the_rest_is_priced(
    snncc: Any, model: tuple[object, ...], tmp_path: Path
) -> None:
    chip = tight_chip(tmp_path)
    code, out, _ = snncc("profile", *model, "--energy", "--chip", chip)
    assert code == 0 and "not placed" in out and "limit 2 axons" in out and "each layer counts as one core" in out
    assert "S2 … S5    not modelled: the network does not fit loihi1" in out and "S1         core dynamic: " in out
    found = profiled(snncc, model, "--chip", chip)
    assert {f["layer"] for f in found["placement"]["findings"]} == {"hidden", "out"}
    assert "not modelled" not in found["energy"]["scopes"][1] and found["total"]["energy_s1"]["typ"] > 0


def test_csv_holds_the_facts_of_the_json(snncc: Any, model: tuple[object, ...]) -> None:
    code, out, _ = snncc("profile", *model, "--energy", "--csv")
    rows = list(csv.DictReader(StringIO(out)))
    found = profiled(snncc, model)
    assert code == 0
    at = {(r["part"], r["name"], r["quantity"]): r for r in rows}
    assert len(at) == len(rows)
    for layer in found["layers"]:
        for key in ("neurons", "cores", "spikes", "synaptic_operations"):
            assert float(at["layer", layer["layer"], key]["value"]) == layer[key]
        assert float(at["layer", layer["layer"], "energy_s1"]["high"]) == layer["energy_s1"]["high"]
    for scope in found["energy"]["scopes"][1:]:
        row = at["scope", scope["scope"], "energy"]
        if scope["energy"] is None:
            assert row["value"] == "" and row["note"] == f"not modelled: {scope['not_modelled']}"
        else:
            assert [float(row[k]) for k in ("value", "p5", "p95")] == [scope["energy"][k] for k in ("typ", "p5", "p95")]
    assert float(at["latency", "inference", "time"]["value"]) == found["energy"]["latency_seconds"]["typ"]
    assert at["run", found["program"], "sha256"]["value"] == found["sha256"]


def test_markdown_is_tables_of_the_same_width(snncc: Any, model: tuple[object, ...], tmp_path: Path) -> None:
    for more, told in (((), "on 2 cores of loihi1"), (("--chip", tight_chip(tmp_path)), "limit 2 axons")):
        code, out, _ = snncc("profile", *model, "--energy", "--markdown", *more)
        assert code == 0 and told in out and "grade b" in out.lower() and load_costs().sha256[:16] in out
        blocks = [b for b in out.split("\n\n") if b.startswith("|")]
        assert len(blocks) == 2
        for block in blocks:
            assert len({line.count("|") - line.count("\\|") for line in block.splitlines()}) == 1
        assert "| hidden | 12 |" in out and "| S5 | board | not modelled |" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--chip", "loihi9"], "is neither a chip"),
        (["--costs", "loihi9"], "neither a cost set"),
        (["--period", "0"], "--period"),
        (["--html", "{tmp}"], "no regular file"),
        (["--html", "{tmp}/r.html", "--neuron", "lost:3"], "one of the layers hidden, out"),
        (["--html", "{tmp}/r.html", "--neuron", "hidden:12"], "hidden is 12; give 0 to 11"),
        (["--html", "{tmp}/r.html", "--neuron", "hidden:x"], "no whole number"),
        (["--html", "{tmp}/r.html", "--sample", "20"], "the data holds 20 samples; give 0 to 19"),
    ],
)
def test_bad_input_exits_with_2(
    snncc: Any, model: tuple[object, ...], tmp_path: Path, arguments: list[str], told: str
) -> None:
    code, out, err = snncc("profile", *model, *(a.format(tmp=tmp_path) for a in arguments))
    assert code == 2 and told in err and "Traceback" not in err and not out and not (tmp_path / "r.html").exists()


def test_layers_cut_for_speed(snncc: Any, model: tuple[object, ...]) -> None:
    net, _, _, *data = model
    few, fast = (profiled(snncc, (net, *data), "--costs", "loihi2", "--cut", cut) for cut in ("fewest", "fastest"))
    assert few["placement"]["cut"] == "fewest" and few["placement"]["cores"] == 2
    assert fast["energy"]["latency_seconds"]["typ"] <= few["energy"]["latency_seconds"]["typ"]
    assert (fast["placement"]["cut"] == "fastest") == (fast["placement"]["cores"] > 2)
    code, out, _ = snncc("profile", net, *data, "--costs", "loihi2", "--cut", "fastest", "--json")
    assert code == 0 and json.loads(out) == fast, "it implies --energy"
    code, out, _ = snncc("compare", net, "--targets", "loihi2", "--cut", "fastest", *data, "--json")
    (row,) = json.loads(out)
    assert code == 0 and row["cores"] == fast["placement"]["cores"]
    assert row["latency"] == fast["energy"]["latency_seconds"]
    code, out, err = snncc("profile", net, *data, "--costs", "truenorth", "--chip", "loihi2", "--cut", "fastest")
    assert code == 2 and "truenorth holds no time of any event" in err and not out


def test_compare(snncc: Any, model: tuple[object, ...], tmp_path: Path) -> None:
    net, _, _, *data = model
    tight = tmp_path / "tight-costs.toml"
    text = Path(load_costs("loihi1").file).read_text(encoding="utf-8")
    tight.write_text(text.replace('chip = "loihi1"', 'chip = "elsewhere"'), encoding="utf-8")
    names = f"loihi1,loihi2,digital,{tight},onnx-int"
    code, out, err = snncc("compare", net, "--targets", names, *data, "--json")
    assert code == 0, err
    rows = {r["target"]: r for r in json.loads(out)}
    assert list(rows) == names.split(",")
    alone = profiled(snncc, (net, "-t", "loihi-sim", *data))
    s3 = next(s["energy"] for s in alone["energy"]["scopes"] if s["scope"] == "S3")
    assert rows["loihi1"]["energy_s3"] == s3 and rows["loihi1"]["latency"] == alone["energy"]["latency_seconds"]
    assert (
        rows["loihi1"]["cores"] == alone["total"]["cores"]
        and rows["loihi1"]["accuracy"] == alone["accuracy"]["integer"]
    )
    assert rows["loihi2"]["grade"] == "D" and rows["digital"]["energy_s3"] is None and rows["digital"]["why"]
    assert (
        rows[str(tight)]["cores"] is None and rows["onnx-int"]["energy_s1"] is None and rows["onnx-int"]["spikes"] > 0
    )
    code, out, _ = snncc("compare", net, "--targets", "loihi1,digital", *data)
    assert code == 0 and "energy S3" in out and "no chip of it is described" in out and "without axons_in" in out


def test_compare_tells_why_a_target_has_no_figures(
    snncc: Any, model: tuple[object, ...], monkeypatch: Any, tmp_path: Path
) -> None:
    net, _, _, *data = model
    chip = tight_chip(tmp_path)
    monkeypatch.setattr("snncc.chip.spec.chips", lambda: {"loihi1": chip})
    code, out, _ = snncc("compare", net, "--targets", "loihi1,digital", *data, "--json")
    small, other = json.loads(out)
    assert (
        code == 0
        and small["energy_s1"] is None
        and small["findings"][0]["limit"] == "2 axons"
        and small["accuracy"] is not None
    )
    assert other["energy_s1"]["typ"] > 0 and other["findings"] == []
    code, out, _ = snncc("compare", net, "--targets", "loihi1,digital", *data)
    assert code == 0 and all(f"{f['layer']}: {f['what']}: {f['actual']}" in out for f in small["findings"])
    for names, told in (("loihi1,,digital", "a name is missing"), ("loihi9", "neither a cost set")):
        code, out, err = snncc("compare", net, "--targets", names, *data)
        assert code == 2 and told in err and not out


def test_energy_needs_no_target(snncc: Any, model: tuple[object, ...]) -> None:
    """It is the chip's own, and fixed-sim for costs of no chip; counts alone have none to take."""
    net, _, _, *data = model
    for costs, target in (("loihi2", "loihi-sim"), ("digital", "fixed-sim")):
        named = profiled(snncc, (net, "-t", target, *data), "--costs", costs)
        assert profiled(snncc, (net, *data), "--costs", costs) == named and named["target"] == target
    code, out, _ = snncc("profile", net, *data, "--energy")
    assert code == 0 and "arithmetic of loihi-sim" in out
    code, _, err = snncc("profile", net, *data)
    assert code == 2 and "say what to compile for" in err


def refused_twice(folder: Path) -> Path:
    """A network whose input is wider than a message of loihi-sim, and a layer of more inputs than Loihi 1 has axons."""
    from itertools import pairwise

    import numpy as np

    from snncc.frontends.nir_export import export_nir
    from snncc.ir.dynamics import Dynamics
    from snncc.ir.graph import build_graph
    from snncc.ir.nodes import Dense, Input, Neuron, Output

    nodes = {
        "in": Input((64,), "static", 2.0**-30, 0, 2**30),
        "first": Dense(np.ones((5000, 64))),
        "hidden": Neuron(Dynamics(threshold=1.0, reset="subtract")),
        "second": Dense(np.ones((3, 5000))),
        "out": Neuron(Dynamics(threshold=1.0, reset="subtract")),
        "result": Output(),
    }
    export_nir(build_graph(nodes, pairwise(nodes), STEPS), folder / "wide.nir")
    np.savez(folder / "wide.npz", x=np.zeros((2, 64), np.uint8), y=np.zeros(2, int))
    return folder / "wide.nir"


def test_a_target_that_refuses_leaves_no_reason_of_the_chip_out(snncc: Any, tmp_path: Path) -> None:
    net = refused_twice(tmp_path)
    data = ("--data", tmp_path / "wide.npz")
    code, out, _ = snncc("check", net, "--chip", "loihi1", "--json")
    said = json.loads(out)["findings"]
    whats = [f["what"] for f in said]
    assert code == 1 and whats[0] == "graded spike" and len(said) == 2
    assert any(f["actual"] == "5,000" and f["limit"] == "4,096 axons" for f in said)
    for verb in (("profile", "--energy", *data), ("place", "--chip", "loihi1")):
        code, out, err = snncc(verb[0], net, *verb[1:])
        assert code == 2 and not out and "Traceback" not in err and "loihi-sim cannot take this network" in err
        assert all(f"{f['layer']}: {f['what']}: {f['actual']}" in err for f in said)
    code, out, err = snncc("compare", net, "--targets", "loihi1,digital", *data, "--json")
    refused, priced = json.loads(out)
    assert code == 0 and refused["findings"] == said and priced["energy_s1"]["typ"] > 0
    code, out, err = snncc("check", net, "-t", "loihi-sim", "--json")
    assert code == 1 and [f["what"] for f in json.loads(out)["findings"]] == ["graded spike"]
