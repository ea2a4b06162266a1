"""What a search came to, as plain values (``search.json``) and as rows of a table."""

from __future__ import annotations

from typing import Any

from snncc.evidence import Errors, interval
from snncc.mixed.samples import Judged
from snncc.mixed.search import MEMORY, Found, Tried

FILE, PLOT = "search.json", "pareto.svg"


def search_value(found: Found, data: str, confirm: str) -> dict[str, Any]:
    """All of it; the same search gives the same value."""
    return {
        "budget_points": found.budget.points,
        "minimise": found.budget.minimise,
        "costs": None if found.budget.minimise == MEMORY else found.budget.costs,
        "error": found.budget.error,
        "bits": found.options.bits,
        "measured_on": {"data": data, "samples": found.samples[0]},
        "confirmed_on": {"data": confirm, "samples": found.samples[1]},
        "float_accuracy": found.float_accuracy,
        "uniform_against_float": _judged(found.baseline, ("float",)),
        "layers": {
            name: {str(bits): {"cost": c.cost, "distortion": c.distortion} for bits, c in at.items()}
            for name, at in found.layers.items()
        },
        "tried": [tried_value(one) for one in found.tried],
        "chosen": tried_value(found.chosen),
        "uniform": tried_value(found.uniform),
        "saved_weight_memory": 1 - found.chosen.weight_bytes / found.uniform.weight_bytes,
    }


def tried_value(one: Tried) -> dict[str, Any]:
    """An assignment."""
    return {
        "layer_bits": dict(one.bits),
        "guard_bits": one.guard_bits,
        "cost": one.cost,
        "weight_bytes": one.weight_bytes,
        "state_bytes": one.state_bytes,
        "accuracy": one.accuracy,
        "drop_points": {"float": one.drops[0], "uniform": one.drops[1]},
        "promising": one.promising,
        "why": one.why,
        "confirmation": None if one.judged is None else _judged(one.judged, ("float", "uniform")),
    }


def _judged(judged: Judged, rivals: tuple[str, ...]) -> dict[str, Any]:
    errors = Errors(judged.error, judged.error)
    return {
        "outcome": judged.outcome,
        "samples": judged.samples,
        "error": judged.error,
        "drop_points": {
            rival: {"drop": 100 * d.mean, "at_most": 100 * interval(d, errors)[1]}
            for rival, d in zip(rivals, judged.drops, strict=True)
        },
    }


def pareto(tried: list[Tried]) -> list[Tried]:
    """Those that no other beats in cost and accuracy on the measuring part, by rising cost."""
    kept: list[Tried] = []
    for one in sorted(tried, key=lambda t: (t.cost, -t.accuracy)):
        if not kept or one.accuracy > kept[-1].accuracy:
            kept.append(one)
    return kept


def rows(found: Found) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of the front, the uniform network and the one that was chosen."""
    unit = (lambda x: f"{x:,.0f}") if found.budget.minimise == MEMORY else (lambda x: f"{1e6 * x:,.3f}")
    shown = {id(one): one for one in [*pareto(found.tried), found.chosen, found.uniform]}
    head = [
        "",
        "bits a layer",
        "guard",
        "bytes" if found.budget.minimise == MEMORY else "µJ",
        "weights",
        "accuracy",
        "drop",
    ]
    made = []
    for one in sorted(shown.values(), key=lambda t: (t.cost, -t.accuracy)):
        mark = "chosen" if one is found.chosen else "uniform" if one is found.uniform else ""
        made.append(
            [
                mark,
                " ".join(f"{name}={bits}" for name, bits in one.bits.items()),
                "" if one.guard_bits is None else str(one.guard_bits),
                unit(one.cost),
                f"{100 * one.weight_bytes / found.uniform.weight_bytes:.1f} %",
                f"{100 * one.accuracy:.2f} %",
                f"{one.drops[0]:+.2f}",
            ]
        )
    return head, made
