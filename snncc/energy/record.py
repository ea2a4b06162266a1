"""An :class:`~snncc.energy.model.EnergyReport` as plain values for JSON, every figure with its unit and source."""

from __future__ import annotations

from typing import Any

from snncc.energy.costs import CostSet, Interval
from snncc.energy.model import EnergyReport, Priced
from snncc.energy.scopes import EVENTS, GRADES


def report_dict(report: EnergyReport) -> dict[str, Any]:
    """The report as JSON values. Energies are joules an inference; counts are summed over samples."""
    return {
        "program": report.program,
        "samples": report.samples,
        "energy_unit": "J per inference",
        "events": dict(EVENTS),
        "layers": [_priced(layer) for layer in report.layers],
        "total": _priced(report.total),
        "scopes": [
            {"scope": s.key, "title": s.title, "status": f"not modelled yet: {s.missing}" if s.missing else "modelled"}
            for s in report.scopes
        ],
        "not_modelled": dict(report.not_modelled),
        "notes": list(report.notes),
        "costs": _costs(report.costs),
    }


def _priced(item: Priced) -> dict[str, Any]:
    return {
        "name": item.name,
        "neurons": item.neurons,
        "counts": dict(item.counts),
        "counts_per_inference": item.per_inference,
        "terms": [
            {
                "event": t.term.event,
                "cost": t.term.cost,
                "scope": t.term.scope,
                "energy": None if t.energy is None else _interval(t.energy),
                **({"not_modelled": t.missing} if t.missing else {}),
            }
            for t in item.terms
        ],
        "S1": _interval(item.energy),
    }


def _costs(costs: CostSet) -> dict[str, Any]:
    return {
        "name": costs.name,
        "title": costs.title,
        "chip": costs.chip,
        "sha256": costs.sha256,
        "grade": costs.grade,
        "grade_meaning": GRADES[costs.grade],
        "grade_reason": costs.grade_reason,
        "energy": {
            name: {**_interval(c.value), "unit": c.unit, "kind": c.kind, "conditions": c.conditions, "source": c.source}
            for name, c in costs.energy.items()
        },
    }


def _interval(value: Interval) -> dict[str, float]:
    return {"low": value.low, "typ": value.typ, "high": value.high}
