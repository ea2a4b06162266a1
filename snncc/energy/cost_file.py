"""Reads a cost file; :mod:`snncc.energy.costs` opens with the format. Every error names the file and the entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from snncc.energy.costs import (
    CORE,
    CURVES,
    DISCREPANCIES,
    ENERGY_COSTS,
    KINDS,
    POWER_COSTS,
    TIME_COSTS,
    UNITS,
    Cost,
    CostSet,
    Interval,
)
from snncc.energy.digital import digital_energies
from snncc.energy.scopes import GRADES
from snncc.errors import InputError
from snncc.tables import choice, read_tables, refuse_unknown, shown, table, text

MAX_FIGURE = 1e12
"""No figure in any unit is larger; infinity and typing errors are."""

_HEAD = ("name", "title", "chip", "grade", "grade_reason")
_FIELDS = ("low", "typ", "high", "unit", "kind", "conditions", "source")
_SECTIONS: dict[str, Mapping[str, str]] = {
    "energy": ENERGY_COSTS,
    "time": TIME_COSTS,
    "power": POWER_COSTS,
    "discrepancy": DISCREPANCIES,
}


def read_costs(path: Path) -> CostSet:
    """The set in a file. Raises :class:`InputError`."""
    file = read_tables(path, "a cost file", (*_HEAD, *_SECTIONS, "curve", "core"))
    content = file.content
    head = {key: text(str(path), content, key) for key in _HEAD}
    choice(str(path), "grade", head["grade"], GRADES)
    sections = {name: _section(path, name, table(str(path), content, name, optional=True)) for name in _SECTIONS}
    costs = CostSet(
        name=head["name"],
        title=head["title"],
        chip=head["chip"],
        grade=head["grade"],
        grade_reason=head["grade_reason"],
        energy=sections["energy"],
        time=sections["time"],
        power=sections["power"],
        discrepancy=sections["discrepancy"],
        curves=_curves(path, table(str(path), content, "curve", optional=True)),
        core=_core(path, table(str(path), content, "core", optional=True)),
        file=str(path),
        sha256=file.sha256,
    )
    if costs.core:
        costs = replace(costs, energy={**digital_energies(costs), **costs.energy})
    if not costs.energy:
        raise InputError(f"{path}: holds no [energy.…] entry; give at least one of {', '.join(ENERGY_COSTS)}")
    return costs


def _section(path: Path, section: str, entries: Mapping[str, Any]) -> dict[str, Cost]:
    refuse_unknown(f"{path}: {section}", entries, _SECTIONS[section])
    return {name: _cost(f"{path}: {section}.{name}", name, entry, section) for name, entry in entries.items()}


def _curves(path: Path, curves: Mapping[str, Any]) -> dict[str, tuple[Cost, ...]]:
    refuse_unknown(f"{path}: curve", curves, CURVES)
    result = {}
    for name, points in curves.items():
        where, (quantity, what, _) = f"{path}: curve.{name}", CURVES[name]
        if not isinstance(points, list) or not points:
            raise InputError(f"{where}: is {shown(points)}; write [[curve.{name}]] once a point")
        costs = tuple(_cost(where, name, point, quantity, on_curve=True) for point in points)
        places = [c.at or 0.0 for c in costs]
        if any(a >= b for a, b in pairwise(places)):
            raise InputError(f"{where}: at ({what}) runs {', '.join(f'{p:g}' for p in places)}; it must rise")
        result[name] = costs
    return result


def _core(path: Path, core: Mapping[str, Any]) -> dict[str, float]:
    if not core:
        return {}
    refuse_unknown(f"{path}: core", core, CORE)
    return {key: _number(f"{path}: core", core, key, above_zero=True) for key in CORE}


def _cost(where: str, name: str, entry: Any, quantity: str, on_curve: bool = False) -> Cost:
    fields = ("at", *_FIELDS) if on_curve else _FIELDS
    if not isinstance(entry, dict):
        raise InputError(
            f"{where}: is {shown(entry)}; a bare figure has no source, write a table with {', '.join(fields)}"
        )
    refuse_unknown(where, entry, fields)
    at = _number(where, entry, "at", above_zero=True) if on_curve else None
    value = Interval(*(_number(where, entry, key) for key in ("low", "typ", "high")))
    if not value.low <= value.typ <= value.high:
        raise InputError(f"{where}: low {value.low}, typ {value.typ}, high {value.high} are not in rising order")
    unit, kind, conditions, source = (text(where, entry, key) for key in ("unit", "kind", "conditions", "source"))
    choice(where, "unit", unit, UNITS[quantity])
    choice(where, "kind", kind, KINDS)
    return Cost(name, value, unit, kind, conditions, source, quantity, at)


def _number(where: str, entry: Mapping[str, Any], key: str, above_zero: bool = False) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_FIGURE:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be a finite number, 0 or more")
    if above_zero and value == 0:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be more than 0")
    return float(value)
