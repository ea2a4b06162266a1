"""A profile as one page that needs nothing but a browser: ``page.html.j2`` filled with charts and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import snncc
from snncc.chip.draw import svg
from snncc.energy.record import constants
from snncc.energy.scopes import EVENTS, FOLLOWING, PLACED_EVENTS
from snncc.profile import Profile
from snncc.report import charts
from snncc.report import terminal as words
from snncc.report.profile_markdown import headline
from snncc.report.words import drop_in_points
from snncc.trace import Trace

Facts = dict[str, Any]
MOST_CURVE_ROWS = 200
"""Steps of the table of membranes."""


def profile_page(p: Profile, facts: Facts, trace: Trace, data_name: str) -> str:
    """The page of ``facts`` (:func:`snncc.report.profile_facts.profile_facts`), with the sample ``trace``."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("joules", "seconds", "percent", "count"):
        environment.filters[name] = getattr(words, name)
    page: str = environment.get_template("page.html.j2").render(
        facts=facts,
        energy=facts["energy"],
        placed=facts["placement"],
        data_name=data_name,
        version=snncc.__version__,
        headline=headline_of(facts),
        in_words=headline(facts).replace("**", "").replace("\\_", "_"),
        charts={name: Markup(chart) for name, chart in _charts(p, facts, trace).items()},
        constants=constants(p.costs),
        limits=[] if p.chip is None else [*p.chip.mesh.values(), *p.chip.limits.values()],
        meanings={**EVENTS, **PLACED_EVENTS, **FOLLOWING},
        drop=facts["accuracy"]["drop"] is not None
        and drop_in_points(facts["accuracy"]["drop"], facts["accuracy"]["drop_interval_95"]),
        trace=trace,
        neuron=f"{trace.layer}[{', '.join(map(str, trace.index))}]",
        curve=_curve_rows(trace),
        data=Markup(json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")),
    )
    return page


def headline_of(facts: Facts) -> Facts | None:
    """The widest scope up to static power that has a figure."""
    known = [s for s in facts["energy"]["scopes"] if s["energy"] is not None and s["scope"] <= "S3"]
    return known[-1] if known else None


def _charts(p: Profile, facts: Facts, trace: Trace) -> dict[str, str]:
    layers = facts["layers"]
    made = {
        key: charts.bars(key, f"{title} of each layer, an inference", rows)
        for key, title, rows in (
            ("spikes", "Spikes", [charts.Bar(x["layer"], x["spikes"], words.count(x["spikes"])) for x in layers]),
            (
                "operations", "Synaptic operations",
                [charts.Bar(x["layer"], x["synaptic_operations"], words.count(x["synaptic_operations"])) for x in layers],
            ),
            (
                "energy", "Core dynamic energy (S1)",
                [charts.Bar(x["layer"], x["energy_s1"]["typ"], words.joules(x["energy_s1"]["typ"])) for x in layers],
            ),
        )
    }  # fmt: skip
    scopes = [s for s in facts["energy"]["scopes"] if s["energy"] is not None]
    made["scopes"] = charts.ranges("scopes", "Energy of an inference by scope", [_range(s) for s in scopes])
    terms = sorted((t for t in facts["energy"]["terms"] if t["share"] > 0), key=lambda t: -t["share"])
    made["terms"] = charts.bars(
        "terms", "Share of each term in the energy that is modelled",
        [charts.Bar(t["name"], t["share"], words.percent(t["share"])) for t in terms],
    )  # fmt: skip
    swings = facts["energy"]["uncertainty"]["share_of_interval"]
    made["swings"] = charts.bars(
        "swings", "Share of each parameter in the interval up to S3",
        [charts.Bar(n, s, words.percent(s)) for n, s in list(swings.items())[:8]],
    )  # fmt: skip
    made["raster"] = charts.raster(
        "raster", f"Spikes of sample {trace.sample}, layer by layer", list(trace.spikes.items())
    )
    unit = 1.0 if trace.in_thresholds else None
    title = f"Membrane of {trace.layer}[{', '.join(map(str, trace.index))}] in sample {trace.sample}"
    made["membranes"] = charts.membranes("membranes", title, trace.integer, trace.floats, unit)
    if p.placement is not None:
        made["cores"] = svg(p.placement)
    return made


def _range(scope: Facts) -> charts.Range:
    e = scope["energy"]
    said = f"{words.joules(e['typ'])}  [{words.joules(e['low'])} … {words.joules(e['high'])}]"
    return charts.Range(scope["scope"], e["low"], e["p5"], e["typ"], e["p95"], e["high"], said)


def _curve_rows(trace: Trace) -> list[tuple[int, float, int, float | None, int | None]]:
    """(step, integer membrane and spikes, float membrane and spikes)."""
    rows = []
    for step, (v, n) in enumerate(zip(trace.integer.membrane, trace.integer.spikes, strict=True)):
        other = (None, None) if trace.floats is None else (trace.floats.membrane[step], trace.floats.spikes[step])
        rows.append((step, v, n, *other))
    return rows[:MOST_CURVE_ROWS]
