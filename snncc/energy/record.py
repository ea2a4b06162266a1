"""Accounts as plain values for JSON, every figure with its unit and source."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from snncc.energy.account import EDP, Account, Estimate
from snncc.energy.costs import Cost, CostSet, Interval
from snncc.energy.scopes import GRADES
from snncc.energy.uncertainty import CORRELATION


def account_dict(a: Account) -> dict[str, Any]:
    """An account of counts as JSON values. Energies are joules an inference, times seconds; counts are summed over samples."""
    run = a.run
    return {
        "name": run.name,
        "samples": run.samples,
        **{key: getattr(run, key) for key in ("steps", "cores", "tiles", "chips")},
        "counts": dict(run.counts),
        "energy_unit": "J per inference",
        "terms": [
            {
                "name": t.name,
                "scope": t.scope,
                "cost": t.cost,
                "per_inference": t.count,
                "energy": None if t.energy is None else _interval(t.energy),
                "share": t.share,
                **({"not_modelled": t.missing} if t.energy is None else {}),
            }
            for t in a.terms
        ],
        "scopes": [
            {
                "scope": s.key,
                "title": s.title,
                "energy": _estimate(s.energy),
                "leaves_out": list(s.leaves_out),
                **({"not_modelled": s.missing} if s.missing else {}),
            }
            for s in a.scopes
        ],
        "latency_seconds": _estimate(a.latency),
        "step_seconds": _estimate(a.step),
        "latency_leaves_out": dict(a.latency_missing),
        "energy_delay_product": {"definition": EDP, "value": _estimate(a.energy_delay)},
        "uncertainty": {
            "draws": a.number,
            "seed": a.seed,
            "correlation": CORRELATION,
            "distribution": "triangular over low, typ, high; Gaussian copula with one factor per cost set",
            "share_of_interval": dict(a.swings),
            "model_discrepancy": {name: _cost(c) for name, c in a.costs.discrepancy.items()},
        },
        "costs": _costs(a.costs),
    }


def constants(costs: CostSet) -> dict[str, Cost]:
    """Every figure of a set by its place in the file."""
    single = {f"{section}.{n}": c for section, entries in costs.sections().items() for n, c in entries.items()}
    return {**single, **{f"curve.{n} at {c.at:g}": c for n, points in costs.curves.items() for c in points}}


def _costs(costs: CostSet) -> dict[str, Any]:
    return {
        "name": costs.name,
        "title": costs.title,
        "chip": costs.chip,
        "sha256": costs.sha256,
        "grade": costs.grade,
        "grade_meaning": GRADES[costs.grade],
        "grade_reason": costs.grade_reason,
        **{section: {n: _cost(c) for n, c in entries.items()} for section, entries in costs.sections().items()},
        "curves": {name: [_cost(c) for c in points] for name, points in costs.curves.items()},
        "core": dict(costs.core),
    }


def _cost(c: Cost) -> dict[str, Any]:
    place = {} if c.at is None else {"at": c.at}
    cited = {"unit": c.unit, "kind": c.kind, "conditions": c.conditions, "source": c.source}
    return {**place, **_interval(c.value), **cited}


def _interval(value: Interval) -> dict[str, float]:
    return {"low": value.low, "typ": value.typ, "high": value.high}


def _estimate(value: Estimate | None) -> dict[str, float] | None:
    return None if value is None else asdict(value)
