"""The page of ``snncc profile --html``: one file, nothing loaded, text for every chart, and the figures of the JSON."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from small_network import SAMPLES, STEPS, write_network

from snncc.accuracy import paired, steps_with_label
from snncc.compiler import compile_graph
from snncc.energy.costs import load_costs
from snncc.energy.record import constants
from snncc.evidence import Errors, interval
from snncc.frontends import load_model
from snncc.ir.interpreter import run_graph
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.report import charts
from snncc.trace import Curve

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements in order: (name, attributes, names of those around it), and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.open: list[int] = []
        self.feed(text)
        assert not self.open, [self.elements[i][0] for i in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        around = tuple(self.elements[i][0] for i in self.open)
        self.elements.append((tag, {k: v or "" for k, v in attrs}, around))
        self.texts.append("")
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open[-1]][0] == tag, (tag, [self.elements[i][0] for i in self.open])
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for i in self.open:
            self.texts[i] += data

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        """(attributes, text) of elements of a name that have these attributes."""
        return [
            (attributes, text)
            for (name, attributes, _), text in zip(self.elements, self.texts, strict=True)
            if name == tag and all(attributes.get(k) == v for k, v in wanted.items())
        ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The network, its data, and the page and JSON of one run on two cost sets."""
    folder = tmp_path_factory.mktemp("page")
    net, data = write_network(folder)
    return {"folder": folder, "model": (net, "-t", "fixed-sim", "--data", data)}


def written(snncc: Any, files: dict[str, Any], *more: object) -> tuple[Page, dict[str, Any], str]:
    path = files["folder"] / "report.html"
    code, out, err = snncc("profile", *files["model"], "--html", path, "--json", *more)
    assert code == 0 and "wrote" in err, err
    text = path.read_text(encoding="utf-8")
    assert [p.name for p in files["folder"].glob(".report*")] == []
    return Page(text), json.loads(out), text


def test_nothing_is_loaded_from_anywhere(snncc: Any, files: dict[str, Any]) -> None:
    page, _, text = written(snncc, files)
    for tag, attributes, _ in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "audio", "video", "image", "use"), tag
        assert not attributes.get("href", "#").startswith(("http", "//")) and "src" not in attributes
        assert tag != "script" or attributes.get("type") == "application/json"
        assert not any(name.startswith("on") for name in attributes)
    style = page.all("style")[0][1]
    assert "url(" not in style and "@import" not in style
    assert "prefers-color-scheme: dark" in style and "@media print" in style
    assert page.all("meta", name="viewport") and text.startswith("<!doctype html>") and page.all("html", lang="en")


def test_every_chart_has_words_and_every_id_is_there_once(snncc: Any, files: dict[str, Any]) -> None:
    page, _, _ = written(snncc, files)
    ids = Counter(a["id"] for _, a, _ in page.elements if "id" in a)
    assert set(ids.values()) == {1}
    drawings = [i for i, (tag, _, _) in enumerate(page.elements) if tag == "svg"]
    assert len(drawings) == 9
    for i in drawings:
        attributes = page.elements[i][1]
        assert attributes["role"] == "img"
        (title, _, _), (desc, _, _) = page.elements[i + 1 : i + 3]
        assert (title, desc) == ("title", "desc") and len(page.texts[i + 1]) > 5 and len(page.texts[i + 2]) > 20
        named = [page.elements[i + 1][1]["id"], page.elements[i + 2][1]["id"]]
        assert attributes["aria-labelledby"].split() == named
    for attributes, _ in page.all("a"):
        assert attributes["href"].removeprefix("#") in ids
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and set(levels) == {1, 2}
    for tag, attributes, around in page.elements:
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0" and attributes["aria-label"] and attributes["role"] == "region"
        if tag == "table":
            assert "svg" not in around
    assert len(page.all("caption")) == len(page.all("table"))


def test_the_figures_are_those_of_the_json(snncc: Any, files: dict[str, Any]) -> None:
    page, facts, _ = written(snncc, files)
    assert json.loads(page.all("script")[0][1]) == facts
    shown = {a["id"]: (float(a["value"]), text) for a, text in page.all("data") if "id" in a}
    energy = facts["energy"]
    scopes = {s["scope"]: s["energy"] for s in energy["scopes"]}
    assert shown["headline"] == shown["scope-S3"] and shown["headline"][0] == scopes["S3"]["typ"]
    assert shown["headline"][1] == f"{1e9 * scopes['S3']['typ']:.3g} nJ"
    modelled = {f"scope-{key}": energy["typ"] for key, energy in scopes.items() if energy}
    assert len(modelled) >= 3 and {key: shown[key][0] for key in shown if key.startswith("scope")} == modelled
    assert shown["latency"][0] == energy["latency_seconds"]["typ"]
    assert shown["accuracy-float"][0] == facts["accuracy"]["float"]
    assert shown["accuracy-integer"][0] == facts["accuracy"]["integer"]
    pairs = paired(*predictions(files), steps_with_label(None))
    ends = interval(pairs, Errors())
    assert facts["accuracy"]["drop_interval_95"] == list(ends) and ends[0] < pairs.mean < ends[1]
    said = f"{100 * pairs.mean:.2f} points, 95 % interval {100 * ends[0]:.2f} … {100 * ends[1]:.2f}"
    assert shown["accuracy-drop"] == (pairs.mean, said)
    assert shown["total-spikes"][0] == facts["total"]["spikes"] and shown["cores"][0] == facts["placement"]["cores"]
    for key in ("spikes", "synaptic_operations", "axons_out"):
        values = [float(a["value"]) for a, _ in page.all("data", **{"class": f"layer-{key}"})]
        assert values == [layer[key] for layer in facts["layers"]]
    terms = [t["energy"]["typ"] for t in energy["terms"] if t["energy"] and t["per_inference"]]
    assert [float(a["value"]) for a, _ in page.all("data", **{"class": "term"})] == terms
    assert page.all("code", id="report-sha256")[0][1] == facts["sha256"]
    spikes = next(text for attributes, text in page.all("desc") if attributes["id"] == "spikes-description")
    assert all(f"{layer['layer']}: {layer['spikes']:,.1f}" in spikes for layer in facts["layers"])


def predictions(files: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(classes of the float network, of its integers, labels), by the interpreter and the reference."""
    net, _, _, _, data = files["model"]
    graph = load_model(net)
    made = compile_graph(graph, get_target("fixed-sim"))
    content = np.load(data)
    spikes = np.moveaxis(content["x"], 0, 1).astype(np.int64)
    return run_graph(graph, spikes).predictions, run_reference(made.program, spikes).predictions, content["y"]


def test_every_constant_has_its_source(snncc: Any, files: dict[str, Any]) -> None:
    page, facts, _ = written(snncc, files)
    rows = [text for _, text in page.all("tr", **{"class": "constant"})]
    known = constants(load_costs())
    assert len(rows) == len(known)
    for row, (name, cost) in zip(rows, known.items(), strict=True):
        assert name in row and cost.source in row and cost.conditions in row and f"{cost.value.typ:g}" in row
    whole = " ".join(text for _, text in page.all("body"))
    assert facts["energy"]["costs"]["sha256"] in whole and facts["placement"]["sha256"] in whole
    missing = [t["name"] for t in facts["energy"]["terms"] if "not_modelled" in t]
    assert missing and all(any(name in text for _, text in page.all("li")) for name in missing)


def test_the_same_run_gives_the_same_page(snncc: Any, files: dict[str, Any]) -> None:
    _, first, text = written(snncc, files)
    _, second, again = written(snncc, files)
    assert text == again and first["sha256"] == second["sha256"]


def test_the_neuron_that_was_asked_for(snncc: Any, files: dict[str, Any]) -> None:
    page, _, _ = written(snncc, files, "--neuron", "hidden:7", "--sample", 3)
    title = next(text for a, text in page.all("title") if a.get("id") == "membranes-title")
    assert title == "Membrane of hidden[7] in sample 3"
    points = [a["points"].split() for a, _ in page.all("polyline")]
    assert len(points) == 2 and all(len(p) == STEPS for p in points)
    assert SAMPLES > 3 and len(page.all("details")) == 1


def test_where_it_does_not_fit_the_page_says_so(snncc: Any, files: dict[str, Any]) -> None:
    page, facts, text = written(snncc, files, "--costs", "digital")
    assert "nobody described the chip digital" in text and "cores" not in facts["placement"]
    assert len(page.all("svg")) == 8 and not page.all("data", id="cores")


def test_names_cannot_inject_markup() -> None:
    evil = '<script>alert("x")</script>'
    drawn = charts.bars("x", evil, [charts.Bar(evil, 1.0, evil)]) + charts.raster("y", "t", [(evil, np.ones((2, 3)))])
    assert "<script" not in drawn and "&lt;script&gt;" in drawn
    assert html.unescape(charts.bars("x", "t", [charts.Bar("a&b", None, "–")])).count("a&b") == 2


def test_a_chart_of_membranes_says_what_it_shows() -> None:
    integer = Curve((0.0, 0.5, 0.0), (0, 0, 1))
    both = charts.membranes("m", "t", integer, replace(integer, membrane=(0.0, 0.4, 0.9), spikes=(0, 0, 0)), 1.0)
    alone = charts.membranes("m", "t", integer, None, None)
    assert "integer: 1 of 3 steps with a spike, membrane 0 to 0.5; float: 0 of 3" in both and "threshold is 1" in both
    assert both.count("<polyline") == 2 and alone.count("<polyline") == 1 and "threshold" not in alone


def test_a_raster_draws_each_spike_of_the_neurons_it_shows() -> None:
    spikes = np.random.default_rng(2).integers(0, 2, (9, 12))
    assert charts.raster("r", "t", [("a", spikes)]).count("M") == spikes.sum()
    many = np.zeros((charts.MOST_STEPS + 5, 1000), int)
    many[:, ::7] = 1
    drawn = charts.raster("r", "t", [("a", many)])
    assert f"{charts.MOST_NEURONS} neurons and {charts.MOST_STEPS} steps drawn" in drawn and len(drawn) < 600_000


def test_a_browser_shows_it_at_any_width(snncc: Any, files: dict[str, Any]) -> None:
    """Headless, at the widths of a phone and of a desk: nothing on the console, nothing wider than the window, and the tables that
    fold there need no scrolling."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser is installed: {', '.join(BROWSERS)}")
    _, facts, text = written(snncc, files)
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(text)}"></iframe>' for width in (390, 1280)
    )
    measure = """<script>addEventListener("load", () => { const frames = [...document.querySelectorAll("iframe")];
      document.body.dataset.found = JSON.stringify(frames.map(f => [f.contentWindow.innerWidth,
      f.contentDocument.documentElement.scrollWidth,
      f.contentDocument.querySelectorAll("svg").length, f.contentDocument.getElementById("headline").textContent,
      [...f.contentDocument.querySelectorAll("table.fold, table.stack")].map(t => t.getBoundingClientRect().right)]));
      });</script>"""
    outer = files["folder"] / "frames.html"
    outer.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}{measure}", encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom",
               "--enable-logging=stderr"]  # fmt: skip
    done = subprocess.run(
        [*command, f"--user-data-dir={files['folder'] / 'browser'}", outer.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    attribute = re.search(r'<body data-found="([^"]*)"', done.stdout)
    assert attribute, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr
    for width, needed, drawings, headline, tables in json.loads(html.unescape(attribute[1])):
        assert needed <= width and drawings == 9 and len(tables) == 4 and max(tables) <= width
        assert headline == f"{1e9 * facts['energy']['scopes'][3]['energy']['typ']:.3g} nJ"
