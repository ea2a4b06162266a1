"""A verification as Markdown, for a comment on a pull request."""

from __future__ import annotations

from snncc.evidence import FAILED, MET, UNDECIDED
from snncc.gates import Gate, figure
from snncc.report.terminal import count, percent
from snncc.verify import Verification

SIGNS = {MET: "✅", FAILED: "❌", UNDECIDED: "❔"}


def verify_markdown(v: Verification, model: str, target: str, data: str) -> str:
    """A heading with the outcome, the gates, the two networks, and where the integers first leave the float network."""
    lines = [
        f"### {SIGNS[v.outcome]} {_plain(model)} on {_plain(target)}: {v.outcome}",
        "",
        "| | gate | found | limit | |",
        "|---|---|---:|---:|---|",
        *(_gate_row(g) for g in v.gates),
        "",
        "| | accuracy | agrees | spikes/inference |",
        "|---|---:|---:|---:|",
        f"| float network | {percent(v.float_accuracy)} | – | {count(v.float_spikes)} |",
        f"| integer program | {percent(v.integer_accuracy)} | {percent(v.agreement)} | {count(v.integer_spikes)} |",
        "",
        f"{v.samples:,} samples of {_plain(data)} ({_plain(v.sampling)})",
    ]
    if v.first_deviation:
        lines += ["", f"First deviation from float: `{v.first_deviation.replace('`', chr(39))}`"]
    return "\n".join(lines) + "\n"


def _gate_row(g: Gate) -> str:
    unit = f" {g.unit}" if g.unit else ""
    found = f"{figure(g.value)}{unit}"
    if g.interval is not None:
        found += f" ({figure(g.interval[0])} … {figure(g.interval[1])})"
    sign = "≥" if g.at_least else "≤"
    return f"| {SIGNS[g.outcome]} | {_plain(g.name)} | {found} | {sign} {figure(g.limit)}{unit} | {_plain(g.remark)} |"


def _plain(text: str) -> str:
    """Names come from files of others: nothing in them may end a cell or become markup."""
    clean = "".join(s if s.isprintable() else "\N{REPLACEMENT CHARACTER}" for s in text)
    return "".join("\\" + s if s in "\\`*_{}[]<>#|~" else s for s in clean)
