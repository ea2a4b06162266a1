"""A profile as Markdown, for a pull request: the headline, a table of layers, a table of scopes, and what to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snncc.energy.account import grouped
from snncc.report.terminal import count, joules, percent, seconds
from snncc.report.words import drop_in_points

Facts = dict[str, Any]


def profile_markdown(facts: Facts) -> str:
    """The page, from :func:`snncc.report.profile_facts.profile_facts`."""
    a = facts["energy"]
    lines = [f"### {plain(facts['program'])}" + (f" at {plain(a['costs']['name'])} costs" if a else ""), ""]
    if a:
        lines += [headline(facts), ""]
    lines += _layers(facts)
    if a:
        lines += ["", *_scopes(a), "", *_knowing(facts)]
    where = f"{facts['samples']:,} samples, {facts['time_steps']:,} steps, arithmetic of {plain(facts['target'])}"
    accuracy = facts["accuracy"]["integer"]
    where += "" if accuracy is None else f", accuracy {percent(accuracy)}"
    if facts["accuracy"]["drop"] is not None:
        where += f" (drop {drop_in_points(facts['accuracy']['drop'], facts['accuracy']['drop_interval_95'])})"
    return "\n".join([*lines, "", f"<sub>{where}; report `{facts['sha256'][:16]}`</sub>", ""])


def headline(facts: Facts) -> str:
    """Energy with static power, or the widest scope there is, with its interval; and the time of an inference."""
    a = facts["energy"]
    known = [s for s in a["scopes"] if s["energy"] is not None and s["scope"] <= "S3"]
    placed = facts["placement"]
    where = f"on {placed['cores']:,} cores of {plain(placed['chip'])}" if "cores" in placed else "on no chip"
    if not known:
        return f"No energy is modelled, {where}."
    scope, e, latency = known[-1], known[-1]["energy"], a["latency_seconds"]
    said = (
        f"**{joules(e['typ'])}** an inference ({scope['scope']}: {scope['title'].removeprefix('+ ')}), "
        f"{joules(e['low'])} … {joules(e['high'])}, 5–95 %: {joules(e['p5'])} … {joules(e['p95'])}, {where}"
    )
    if latency is not None:
        said += f"; **{seconds(latency['typ'])}**, {seconds(latency['low'])} … {seconds(latency['high'])}"
    return f"{said}. Grade {a['costs']['grade']}: {a['costs']['grade_meaning']}."


def _layers(facts: Facts) -> list[str]:
    priced, placed = facts["energy"] is not None, facts["total"]["cores"] is not None
    head = ["layer", "neurons", *(["cores"] if placed else []), "updates", "spikes", "synaptic operations"]
    rows = []
    for layer in (*facts["layers"], facts["total"]):
        row = [plain(layer["layer"]), f"{layer['neurons']:,}", *([f"{layer['cores']:,}"] if placed else [])]
        row += [count(layer[key]) for key in ("updates", "spikes", "synaptic_operations")]
        rows.append(row + ([joules(layer["energy_s1"]["typ"])] if priced else []))
    return _table([*head, *(["energy S1"] if priced else [])], rows, left=1)


def _scopes(a: Facts) -> list[str]:
    rows = []
    for s in a["scopes"][1:]:
        e = s["energy"]
        row = [s["scope"], s["title"]]
        if e is None:
            row += ["not modelled", "", "", plain(s["not_modelled"])]
        else:
            row += [
                joules(e["typ"]),
                f"{joules(e['low'])} … {joules(e['high'])}",
                f"{joules(e['p5'])} … {joules(e['p95'])}",
            ]
            row.append("without " + ", ".join(s["leaves_out"]) if s["leaves_out"] else "")
        rows.append(row)
    return _table(["scope", "", "typical", "low … high", "5–95 %", ""], rows, left=2)


def _knowing(facts: Facts) -> list[str]:
    a, placed = facts["energy"], facts["placement"]
    lines = []
    if "not_placed" in placed:
        lines.append(f"- Not placed: {plain(placed['not_placed'])}.")
        for f in placed.get("findings", []):
            layer, what, actual, limit, remedy = (plain(f[k]) for k in ("layer", "what", "actual", "limit", "remedy"))
            lines.append(f"  - {layer}: {what}: {actual}, limit {limit}; {remedy}")
    for why, names in grouped({t["name"]: t["not_modelled"] for t in a["terms"] if "not_modelled" in t}).items():
        lines.append(f"- Not modelled: {names}: {plain(why)}.")
    lines.append(
        f"- Costs `{code(a['costs']['name'])}`, sha256 `{a['costs']['sha256'][:16]}`: {plain(a['costs']['title'])}."
    )
    if placed.get("sha256"):
        lines.append(f"- Chip `{code(placed['chip'])}`, sha256 `{placed['sha256'][:16]}`.")
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    rule = ["---" if i < left else "---:" for i in range(len(head))]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def code(text: str) -> str:
    """``text`` for a code span, where nothing but its own sign means anything."""
    return "".join(sign for sign in text if sign.isprintable() and sign != "`")


def plain(text: str) -> str:
    """``text`` without what Markdown and HTML would take for their own."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text)
    for sign in "\\`*_[]|":
        shown = shown.replace(sign, "\\" + sign)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
