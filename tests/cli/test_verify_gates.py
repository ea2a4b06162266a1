"""Gates of ``snncc verify``: met, failed or open, by exit code, in words, as JSON, JUnit and Markdown, and against a baseline."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from snncc.evidence import FAILED, MET, UNDECIDED
from snncc.frontends.nir_export import export_nir
from snncc.gates import Gate
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import build_graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.report.junit import junit

SAMPLES = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.nir of two layers, and own.npz, which its float network gets right throughout."""
    made = tmp_path_factory.mktemp("gates")
    random = np.random.default_rng(1)
    neuron = Neuron(Dynamics(compare=">", reset="subtract", threshold=1.0, reset_amount=1.0))
    nodes = {
        "in": Input((12,), "spikes", 1.0, 0, 1),
        "a": Dense(random.normal(0, 0.5, (24, 12))),
        "lif": neuron,
        "b": Dense(random.normal(0, 0.5, (4, 24))),
        "last": neuron,
        "out": Output(),
    }
    graph = build_graph(nodes, pairwise(nodes), 10)
    export_nir(graph, made / "net.nir")
    x = (random.random((SAMPLES, 10, 12)) < 0.4).astype(np.uint8)
    np.savez(made / "own.npz", x=x, y=run_graph(graph, x.swapaxes(0, 1)).predictions)
    return made


@pytest.fixture
def verify(snncc: Any, folder: Path) -> Any:
    def call(*options: object, data: Path | None = None) -> tuple[int, str, str]:
        name = data or folder / "own.npz"
        code, out, err = snncc("verify", folder / "net.nir", "-t", "fixed-sim", "--exact", 1, "--data", name, *options)
        return code, out, err

    return call


def gates(out: str) -> dict[str, dict[str, Any]]:
    return {g["name"]: g for g in json.loads(out)["gates"]}


def test_a_whole_set_is_judged_by_its_figure_and_a_part_by_its_interval(verify: Any) -> None:
    _, out, _ = verify("--json")
    drop = 100 * json.loads(out)["accuracy_drop"]
    assert drop > 0
    assert verify("--max-accuracy-drop", drop + 1e-9)[0] == 0
    code, out, _ = verify("--max-accuracy-drop", drop - 0.01)
    assert code == 1 and " FAIL   accuracy drop" in out
    for part in (("--limit", 200), ("--samples", 200), ("--as-sample",)):
        code, out, _ = verify("--max-accuracy-drop", drop + 0.1, *part)
        assert code == 3 and " OPEN   accuracy drop" in out, part
        assert "samples do not decide it, about" in out
        assert verify("--max-accuracy-drop", drop + 0.1, *part, "--allow-undecided")[0] == 0
        assert verify("--max-accuracy-drop", 60, *part)[0] == 0
        assert verify("--max-accuracy-drop", -60, *part)[0] == 1


def test_accuracy_by_itself_is_judged_as_the_others_are(verify: Any, folder: Path) -> None:
    right = json.loads(verify("--json")[1])["accuracy"]["integer"]
    found = gates(verify("--min-accuracy", 100 * right, "--json")[1])["accuracy of the integer network"]
    assert found["outcome"] == MET and found["value"] == pytest.approx(100 * right) and found["interval"] is None
    code, out, _ = verify("--min-accuracy", 100 * right + 0.01)
    assert code == 1 and " FAIL   accuracy of the integer network" in out and "broken before" not in out
    part = gates(verify("--min-accuracy", 100 * right, "--limit", 100, "--json")[1])["accuracy of the integer network"]
    assert part["outcome"] == UNDECIDED and part["interval"][0] < 100 * right < part["interval"][1]
    code, out, _ = verify("--min-accuracy", 50, "--limit", 100)
    assert code == 0
    with np.load(folder / "own.npz") as data:
        np.savez(folder / "shuffled.npz", x=data["x"], y=(data["y"] + 1) % 4)
    code, out, _ = verify("--min-accuracy", 50, data=folder / "shuffled.npz")
    assert code == 1 and "the float network itself gets only 0.00 % right, so it was broken before" in out


def test_a_limit_beyond_the_set_leaves_it_whole(verify: Any) -> None:
    assert (
        gates(verify("--max-accuracy-drop", 99, "--limit", SAMPLES + 1, "--json")[1])["accuracy drop"]["interval"]
        is None
    )


def test_samples_auto_stops_once_it_is_sure(verify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snncc.verify.BATCH", 50)
    code, out, _ = verify("--samples", "auto", "--max-accuracy-drop", 50, "--min-agreement", 50, "--json")
    found = json.loads(out)
    assert code == 0 and found["samples"] == 50 and found["outcome"] == MET
    code, out, _ = verify(
        "--samples", "auto", "--max-accuracy-drop", 50, "--bits", 2, "--min-agreement", 99.5, "--json"
    )
    found = json.loads(out)
    assert code == 1 and found["samples"] < SAMPLES
    assert {g["name"]: g["outcome"] for g in found["gates"]}["agreement with the float network"] == FAILED
    exact = 100 * json.loads(verify("--json")[1])["accuracy_drop"]
    code, out, _ = verify("--samples", "auto", "--max-accuracy-drop", exact, "--json")
    assert code == 0 and json.loads(out)["accuracy_drop"] == pytest.approx(exact / 100)
    assert json.loads(out)["samples"] > SAMPLES - 50  # at the very limit all of the set is needed


def test_a_random_draw_names_samples_by_their_number_in_the_data(verify: Any, folder: Path) -> None:
    _, whole, _ = verify("--bits", 2, "--json")
    _, drawn, _ = verify("--bits", 2, "--samples", SAMPLES, "--seed", 5, "--json")
    first, again = json.loads(whole), json.loads(drawn)
    assert first["accuracy"] == again["accuracy"] and first["layers"] == again["layers"]
    number = int(again["first_deviation_from_float"].split("of sample ")[1].split(":")[0])
    data = np.load(folder / "own.npz")
    np.savez(folder / "one.npz", x=data["x"][number : number + 1], y=data["y"][number : number + 1])
    _, alone, _ = verify("--bits", 2, "--json", data=folder / "one.npz")
    found = json.loads(alone)["first_deviation_from_float"]
    assert found.split(" of sample")[0] == again["first_deviation_from_float"].split(" of sample")[0]


def test_a_baseline_holds_what_is_no_worse_and_fails_what_is(verify: Any, tmp_path: Path) -> None:
    (tmp_path / "before.json").write_text(verify("--json")[1], encoding="utf-8")
    code, out, _ = verify("--baseline", tmp_path / "before.json", "--json")
    assert code == 0 and len(gates(out)) == 7
    code, out, _ = verify("--baseline", tmp_path / "before.json", "--bits", 2)
    assert code == 1 and "accuracy, samples lost since the baseline" in out and "got worse" in out
    (tmp_path / "bad.json").write_text(verify("--bits", 2, "--json")[1], encoding="utf-8")
    assert verify("--baseline", tmp_path / "bad.json")[0] in (0, 1)  # better in classes, whatever its spikes
    found = gates(verify("--baseline", tmp_path / "bad.json", "--json")[1])
    assert found["accuracy, samples lost since the baseline"]["value"] < 0
    assert found["accuracy, samples lost since the baseline"]["outcome"] == MET


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda v: v.pop("per_sample"), "no entry per_sample"),
        (lambda v: v["per_sample"].update(version=7), "has version 7, this snncc reads 1"),
        (lambda v: v["per_sample"].update(same="!"), "'same' is damaged"),
        (lambda v: v["per_sample"].update(same=v["per_sample"]["same"][:-8]), "'same' is damaged"),
        (lambda v: v["per_sample"].update(data="mnist:test", marks=None), "its data: mnist:test; now: "),
        (lambda v: v["per_sample"].update(sampling="first", marks=None), "its samples: first; now: whole"),
        (lambda v: v["per_sample"].update(marks=v["per_sample"]["right"]), "other samples: 600 of the 600 that both"),
        (lambda v: v["per_sample"].update(marks="eJwDAAAAAAE="), "of different numbers of samples"),
        (lambda v: v["costs"].update(cores=float("inf")), "Infinity is no number"),
        (lambda v: v["costs"].update(latency_ms=float("nan")), "NaN is no number"),
        (lambda v: v["costs"].update(samples=0), "samples is 0; a whole number in 1..1,099,511,627,776"),
    ],
)
def test_a_baseline_of_others_is_refused(verify: Any, tmp_path: Path, change: Any, message: str) -> None:
    value = json.loads(verify("--json")[1])
    change(value)
    (tmp_path / "other.json").write_text(json.dumps(value), encoding="utf-8")
    code, out, err = verify("--baseline", tmp_path / "other.json")
    assert code == 2 and message in err and "snncc verify" in err and out == ""


def rewritten(folder: Path, name: str, change: Any) -> Path:
    """own.npz with its arrays changed, under another name."""
    with np.load(folder / "own.npz") as data:
        x, y = data["x"].copy(), data["y"].copy()
    change(x, y)
    np.savez(folder / name, x=x, y=y)
    return folder / name


def test_a_baseline_knows_its_samples_whatever_file_holds_them(verify: Any, folder: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(verify("--limit", 50, "--json")[1], encoding="utf-8")
    assert verify("--baseline", before, "--limit", 50, data=folder / "." / ".." / folder.name / "own.npz")[0] == 0
    copy = rewritten(folder, "copy.npz", lambda x, y: None)
    assert verify("--baseline", before, "--limit", 60, data=copy)[0] == 0
    later = rewritten(folder, "later.npz", lambda x, y: x[50:].fill(0))
    assert verify("--baseline", before, data=later)[0] == 0  # what the baseline did not see may change

    def image(x: np.ndarray, y: np.ndarray) -> None:
        x[7, 3, 2] ^= 1

    def label(x: np.ndarray, y: np.ndarray) -> None:
        y[7] = (y[7] + 1) % 4

    for change in (image, label):
        code, out, err = verify("--baseline", before, data=rewritten(folder, "changed.npz", change))
        assert code == 2 and out == "" and "1 of the 50 that both look at differ" in err, err
        assert "the first at place 7" in err and "now: " in err and "changed.npz, whole)" in err


def test_costs_are_held_against_those_of_the_same_samples(verify: Any, folder: Path, tmp_path: Path) -> None:
    """The first 20 samples are silent, so their mean is far below that of all: more of the same is not dearer."""
    data = rewritten(folder, "silent.npz", lambda x, y: x[:20].fill(0))
    before = tmp_path / "before.json"
    before.write_text(verify("--limit", 20, "--json", data=data)[1], encoding="utf-8")
    for part in (("--limit", 60), ()):
        code, out, _ = verify("--baseline", before, *part, "--json", data=data)
        rise = gates(out)["rise of energy (S3) since the baseline"]
        assert code == 0 and rise["value"] == 0, part
        assert json.loads(out)["costs"]["samples"] == (60 if part else SAMPLES)
    code, out, err = verify("--baseline", before, "--limit", 10, data=data)
    assert code == 2 and out == ""
    assert (
        "means over its first 20 samples, and this run has 10; look at 20 or more (--limit, --samples), or, for" in err
    )


def test_a_baseline_of_a_draw_is_compared_wherever_the_next_stops(verify: Any, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    before.write_text(verify("--samples", 400, "--json")[1], encoding="utf-8")
    auto = ("--samples", "auto", "--max-accuracy-drop", 60, "--baseline", before, "--json")
    code, out, _ = verify(*auto)
    assert code == 0 and json.loads(out)["samples"] < 400
    assert gates(out)["rise of energy (S3) since the baseline"]["value"] == 0
    code, _, err = verify(*auto, "--seed", 1)
    assert code == 2 and "was written on other samples" in err


@pytest.mark.parametrize(
    "options, message",
    [
        (("--samples", "auto"), "give --max-accuracy-drop, --min-accuracy or --min-agreement"),
        (("--samples", "some"), "--samples some"),
        (("--samples", 5, "--limit", 9), "leave --limit 9 out"),
        (("--min-agreement", 101), "--min-agreement 101: give a number in 0..100"),
        (("--min-agreement", "nan"), "--min-agreement nan: give a number in 0..100"),
        (("--min-accuracy", "-inf"), "--min-accuracy -inf: give a number in 0..100"),
        *(
            (("--max-accuracy-drop", x), f"-drop {x}: give a number in -100..100")
            for x in ("nan", "inf", "1e+308", 101)
        ),
        *(
            ((f"--max-{what}", x), f"--max-{what} {x}: give a number in 0..1e+12")
            for what in ("energy-uj", "latency-ms")
            for x in ("nan", "inf", "1e+308")
        ),
        (("--seed", 4), "--seed is for --samples N or auto: say that too, or leave it out"),
        (("--energy-scope", "S1"), "--energy-scope is for --max-energy-uj or --baseline: say"),
        (("--baseline-tolerance", 5), "--baseline-tolerance is for --baseline: say"),
        (("--costs", "loihi1"), "--costs is for --max-energy-uj, --max-latency-ms, --max-cores, --baseline or --json"),
        (("--chip", "loihi1"), "--chip is for --max-energy-uj, "),
        (("--junit", "gates.x", "--markdown", "./gates.x"), "--junit and --markdown are one file (gates.x); give each"),
        (("--max-cores", 10**400), "give a number in 1..1e+12"),
        *(
            (("--baseline", "x", "--baseline-tolerance", x), f"-tolerance {x}: give a number in 0..1e+12")
            for x in ("nan", "inf", "-1")
        ),
        (("--alpha", 0.7), "alpha is 0.7"),
        (("--baseline", "missing.json"), "no such baseline"),
    ],
)
def test_what_cannot_be_asked_is_refused(verify: Any, options: tuple[object, ...], message: str) -> None:
    code, _, err = verify(*options)
    assert code == 2 and message in err and "Traceback" not in err


def test_what_is_refused_leaves_no_folder_behind(verify: Any, folder: Path, tmp_path: Path) -> None:
    code, _, _ = verify("--junit", tmp_path / "new" / "deep" / "gates.xml", data=folder / "missing.npz")
    assert code == 2 and list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    code, _, err = verify("--junit", tmp_path / "file" / "gates.xml")
    assert code == 2 and str(tmp_path / "file") in err


def test_numbers_of_gates_are_whole_where_they_are_counts() -> None:
    assert str(Gate("cells", 163_800, 0, FAILED)) == "cells: 163,800, limit 0"
    assert str(Gate("cells", np.int64(163_800), 12_345_678, MET)) == "cells: 163,800, limit 12,345,678"
    assert str(Gate("energy", 9999.96, 0.123456, FAILED, "µJ")) == "energy: 10,000 µJ, limit 0.1235"
    assert "somewhere in 0.5 … 123,457)" in str(Gate("energy", 2.0, 1e9, MET, interval=(0.5, 123456.7)))


def test_files_for_continuous_integration(verify: Any, tmp_path: Path) -> None:
    files = ("--junit", tmp_path / "out" / "gates.xml", "--markdown", tmp_path / "gates.md")
    assert verify("--max-accuracy-drop", -60, "--min-agreement", 50, *files)[0] == 1
    suite = ElementTree.parse(tmp_path / "out" / "gates.xml").getroot()[0]
    assert suite.get("name") == "net.nir.fixed-sim"
    assert [c.get("name") for c in suite.iter("testcase") if c.find("failure") is not None] == ["accuracy drop"]
    page = (tmp_path / "gates.md").read_text(encoding="utf-8")
    assert page.startswith("### ❌ net.nir on fixed-sim: failed\n") and "| ❌ | accuracy drop |" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6, 5}


SCHEMA = {
    "testsuite": (("id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"),
                  ("properties", "testcase", "system-out", "system-err")),
    "testcase": (("name", "classname", "time"), ("skipped", "failure")),
    "failure": (("message", "type"), ()),
    "skipped": (("message",), ()),
}  # fmt: skip
"""Attributes and children, in order, that both the Ant and the Jenkins schema of JUnit files allow."""


@pytest.mark.parametrize("allowed", [False, True])
def test_junit_follows_the_schema(allowed: bool) -> None:
    made = [
        Gate("cells <&\"'>", 0, 0, MET),
        Gate("drop \x1b[31m", 1.5, 0.5, FAILED, "points"),
        Gate("agreement", 99, 98, UNDECIDED, "%", True, (97.0, 99.9), "too few"),
    ]
    root = ElementTree.fromstring(junit(made, "net\x00", 1.25, allowed))
    assert root.tag == "testsuites" and root.attrib == {} and [c.tag for c in root] == ["testsuite"]
    for element in root.iter():
        if element.tag in SCHEMA:
            attributes, children = SCHEMA[element.tag]
            assert tuple(element.attrib) == attributes
            places = [children.index(child.tag) for child in element]
            assert places == sorted(places)
    suite = root[0]
    cases = suite.findall("testcase")
    assert int(suite.get("tests", "")) == len(cases) == 3
    assert int(suite.get("failures", "")) == len(list(suite.iter("failure"))) == (1 if allowed else 2)
    assert int(suite.get("skipped", "")) == len(list(suite.iter("skipped"))) == (1 if allowed else 0)
    assert sum(float(c.get("time", "")) for c in cases) == pytest.approx(1.25, abs=0.01)


def test_costs_are_judged_as_sure_as_they_are_published(verify: Any) -> None:
    ask = ("--max-energy-uj", 1e9, "--max-latency-ms", 1e9, "--max-cores", 9, "--limit", 40, "--json")
    code, out, err = verify(*ask)
    assert code == 0, err
    found = gates(out)
    energy, latency, cores = found["energy (S3)"], found["latency"], found["cores"]
    assert 0 < energy["interval"][0] < energy["value"] < energy["interval"][1]
    assert 0 < latency["interval"][0] <= latency["value"] <= latency["interval"][1] and cores["value"] >= 1
    assert "mean of 40 samples" in energy["remark"] and cores["remark"] == "of loihi1"
    inside = energy["value"]
    code, out, _ = verify("--max-energy-uj", inside, "--limit", 40)
    assert code == 3 and "a limit of" in out and " OPEN   energy (S3)" in out
    code, out, _ = verify("--max-energy-uj", energy["interval"][0] / 2, "--max-cores", cores["value"], "--limit", 40)
    assert code == 1 and " FAIL   energy (S3)" in out
    first = gates(verify("--max-energy-uj", 1e9, "--energy-scope", "S1", "--limit", 40, "--json")[1])["energy (S1)"]
    assert 0 < first["value"] < energy["value"]


def test_the_costs_of_a_draw_are_those_of_its_samples(verify: Any, folder: Path) -> None:
    few = ("--samples", 30, "--seed", 2, "--max-energy-uj", 1e9, "--energy-scope", "S1", "--json")
    drawn = gates(verify(*few)[1])["energy (S1)"]["value"]
    data, order = np.load(folder / "own.npz"), np.random.Generator(np.random.PCG64(2)).permutation(SAMPLES)[:30]
    np.savez(folder / "drawn.npz", x=data["x"][order], y=data["y"][order])
    again = verify("--max-energy-uj", 1e9, "--energy-scope", "S1", "--json", data=folder / "drawn.npz")
    assert gates(again[1])["energy (S1)"]["value"] == pytest.approx(drawn)


@pytest.mark.parametrize(
    "options, message",
    [
        (("--max-energy-uj", 5, "--costs", "digital", "--energy-scope", "S2"), "--max-energy-uj: S2"),
        (("--max-latency-ms", 5, "--costs", "digital"), "--max-latency-ms: is not modelled"),
        (("--max-cores", 5, "--costs", "digital"), "take another --chip"),
        (("--max-energy-uj", -1), "--max-energy-uj -1: give a number in 0..1e+12, or leave it out"),
        (("--max-energy-uj", 1, "--costs", "nothing"), "nothing"),
        (("--max-cores", 0), "--max-cores 0: give a number in 1..1e+12"),
    ],
)
def test_costs_that_nobody_knows_are_refused_before_the_run(
    verify: Any, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], message: str
) -> None:
    monkeypatch.setattr("snncc.verify.verify", None)
    code, _, err = verify(*options)
    assert code == 2 and message in err and "Traceback" not in err
