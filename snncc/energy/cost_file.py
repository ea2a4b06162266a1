"""Reads a cost file; :mod:`snncc.energy.costs` opens with the format. Every error names the file and the entry."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from reprlib import repr as shown
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

FORMAT = 1
MAX_FILE_BYTES = 1 << 20
"""A larger file is no cost set and is refused before it is read."""

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
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes; a cost file has at most {MAX_FILE_BYTES:,}")
        data = path.read_bytes()
        content = tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise InputError(f"{path}: is no readable TOML file ({error})") from error
    if content.get("format") != FORMAT:
        raise InputError(
            f"{path}: format is {shown(content.get('format'))}; this version of snncc reads format = {FORMAT}"
        )
    _refuse_unknown(str(path), content, ("format", *_HEAD, *_SECTIONS, "curve", "core"))
    head = {key: _text(str(path), content, key) for key in _HEAD}
    if head["grade"] not in GRADES:
        raise InputError(f"{path}: grade is {shown(head['grade'])}; it must be one of {', '.join(GRADES)}")
    sections = {name: _section(path, name, content.get(name, {})) for name in _SECTIONS}
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
        curves=_curves(path, content.get("curve", {})),
        core=_core(path, content.get("core", {})),
        file=str(path),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    if costs.core:
        costs = replace(costs, energy={**digital_energies(costs), **costs.energy})
    if not costs.energy:
        raise InputError(f"{path}: holds no [energy.…] entry; give at least one of {', '.join(ENERGY_COSTS)}")
    return costs


def _section(path: Path, section: str, entries: Any) -> dict[str, Cost]:
    if not isinstance(entries, dict):
        raise InputError(f"{path}: {section} is {shown(entries)}; write tables [{section}.…]")
    _refuse_unknown(f"{path}: {section}", entries, tuple(_SECTIONS[section]))
    return {name: _cost(f"{path}: {section}.{name}", name, entry, section) for name, entry in entries.items()}


def _curves(path: Path, curves: Any) -> dict[str, tuple[Cost, ...]]:
    if not isinstance(curves, dict):
        raise InputError(f"{path}: curve is {shown(curves)}; write tables [[curve.…]]")
    _refuse_unknown(f"{path}: curve", curves, tuple(CURVES))
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


def _core(path: Path, core: Any) -> dict[str, float]:
    if not core:
        return {}
    if not isinstance(core, dict):
        raise InputError(f"{path}: core is {shown(core)}; write a table with {', '.join(CORE)}")
    _refuse_unknown(f"{path}: core", core, CORE)
    return {key: _number(f"{path}: core", core, key, above_zero=True) for key in CORE}


def _cost(where: str, name: str, entry: Any, quantity: str, on_curve: bool = False) -> Cost:
    fields = ("at", *_FIELDS) if on_curve else _FIELDS
    if not isinstance(entry, dict):
        raise InputError(
            f"{where}: is {shown(entry)}; a bare figure has no source, write a table with {', '.join(fields)}"
        )
    _refuse_unknown(where, entry, fields)
    at = _number(where, entry, "at", above_zero=True) if on_curve else None
    value = Interval(*(_number(where, entry, key) for key in ("low", "typ", "high")))
    if not value.low <= value.typ <= value.high:
        raise InputError(f"{where}: low {value.low}, typ {value.typ}, high {value.high} are not in rising order")
    unit, kind, conditions, source = (_text(where, entry, key) for key in ("unit", "kind", "conditions", "source"))
    units = UNITS[quantity]
    if unit not in units:
        raise InputError(f"{where}: unit is {shown(unit)}; {quantity} is in one of {', '.join(units)}")
    if kind not in KINDS:
        raise InputError(f"{where}: kind is {shown(kind)}; it must be one of {', '.join(KINDS)}")
    return Cost(name, value, unit, kind, conditions, source, quantity, at)


def _number(where: str, entry: Mapping[str, Any], key: str, above_zero: bool = False) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_FIGURE:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be a finite number, 0 or more")
    if above_zero and value == 0:
        raise InputError(f"{where}: {key} is {shown(value)}; it must be more than 0")
    return float(value)


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(
            f"{where}: {key} is {shown(value)}; it must be said in words, a figure without it does not load"
        )
    return value.strip()


def _refuse_unknown(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"{where}: {shown(key)} is unknown; known are {', '.join(known)}")
