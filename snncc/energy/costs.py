"""Published costs per event, one TOML a set, every figure with its interval, kind, conditions and source.

::

    format = 1
    name = "my-chip"
    title = "what it is"
    chip = "loihi1"
    grade = "C"                     # A validated on silicon, B calibrated on aggregates, C literature, D assumed
    grade_reason = "why"
    [energy.neuron_access]          # any of ENERGY_COSTS
    low = 51.2
    typ = 51.6
    high = 52.0
    unit = "pJ"
    kind = "derived"                # silicon, spice, derived, vendor or assumed
    conditions = "supply voltage, what is included"
    source = "paper, table, doi"

A figure without a source does not load.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snncc.energy.scopes import GRADES
from snncc.errors import InputError

DEFAULT_COSTS = "loihi1"
FORMAT = 1
MAX_FILE_BYTES = 1 << 20
"""A larger file is no cost set and is refused before it is read."""

MAX_FIGURE = 1e12
"""No figure in any unit is larger; infinity and typing errors are."""

KINDS = ("silicon", "spice", "derived", "vendor", "assumed")
ENERGY_UNITS = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
ENERGY_COSTS = {
    "neuron_access": "a mapped neuron, every step",
    "neuron_update": "a neuron whose state changes, on top of the access",
    "spike_out": "a neuron that fires",
    "synapse_dense": "a synaptic operation of a fully connected weight",
    "synapse_sparse": "a synaptic operation of a listed weight",
    "synapse_conv": "a synaptic operation of a convolution",
    "axon_in": "a message that reaches a core",
    "axon_out": "a message that leaves a core",
    "hop_east_west": "a message, one tile east or west",
    "hop_north_south": "a message, one tile north or south",
}
"""What an ``[energy.…]`` entry may be called."""

_HEAD = ("name", "title", "chip", "grade", "grade_reason")
_FIELDS = ("low", "typ", "high", "unit", "kind", "conditions", "source")


@dataclass(frozen=True)
class Interval:
    """A figure and how far it may lie off: low ≤ typ ≤ high."""

    low: float
    typ: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        """Ends add to ends: an envelope, as if all figures were off to the same side."""
        return Interval(self.low + other.low, self.typ + other.typ, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """Scaled by a factor of 0 or more."""
        return Interval(self.low * factor, self.typ * factor, self.high * factor)


ZERO = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Cost:
    """One cited figure. ``value`` is in ``unit``, as the file says it; ``joules`` is the same in joules."""

    name: str
    value: Interval
    unit: str
    kind: str
    conditions: str
    source: str

    @property
    def joules(self) -> Interval:
        """The figure in joules an event."""
        return self.value.times(ENERGY_UNITS[self.unit])


@dataclass(frozen=True)
class CostSet:
    """All costs of a target from one file.

    Attributes:
        name, title, chip: what the file calls itself and what it describes.
        grade, grade_reason: how far to believe it; see :data:`snncc.energy.scopes.GRADES`.
        energy: entry name to cost. What is not in it is not modelled.
        file: where it was read. sha256: of that file's bytes.
    """

    name: str
    title: str
    chip: str
    grade: str
    grade_reason: str
    energy: Mapping[str, Cost]
    file: str
    sha256: str


def cost_sets() -> list[str]:
    """Names of the sets that come with snncc, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_costs(name_or_path: str | Path = DEFAULT_COSTS) -> CostSet:
    """A set by name, or from a file of one's own. Raises :class:`InputError` naming file and entry."""
    if str(name_or_path) in cost_sets():
        return _read(_folder() / f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"{name_or_path}: is neither a cost set ({', '.join(cost_sets())}) nor a file")
    return _read(path)


def _folder() -> Path:
    return Path(__file__).parent / "costs"


def _read(path: Path) -> CostSet:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path}: has {path.stat().st_size:,} bytes; a cost file has at most {MAX_FILE_BYTES:,}")
        data = path.read_bytes()
        content = tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise InputError(f"{path}: is no readable TOML file ({error})") from error
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: format is {content.get('format')!r}; this version of snncc reads format = {FORMAT}")
    _refuse_unknown(str(path), content, ("format", *_HEAD, "energy"))
    head = {key: _text(str(path), content, key) for key in _HEAD}
    if head["grade"] not in GRADES:
        raise InputError(f"{path}: grade is {head['grade']!r}; it must be one of {', '.join(GRADES)}")
    entries = content.get("energy")
    if not isinstance(entries, dict) or not entries:
        raise InputError(f"{path}: holds no [energy.…] entry; give at least one of {', '.join(ENERGY_COSTS)}")
    _refuse_unknown(f"{path}: energy", entries, tuple(ENERGY_COSTS))
    energy = {name: _cost(f"{path}: energy.{name}", name, entry) for name, entry in entries.items()}
    return CostSet(**head, energy=energy, file=str(path), sha256=hashlib.sha256(data).hexdigest())


def _cost(where: str, name: str, entry: Any) -> Cost:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {entry!r}; a bare figure has no source, write a table with {', '.join(_FIELDS)}")
    _refuse_unknown(where, entry, _FIELDS)
    value = Interval(*(_number(where, entry, key) for key in ("low", "typ", "high")))
    if not value.low <= value.typ <= value.high:
        raise InputError(f"{where}: low {value.low}, typ {value.typ}, high {value.high} are not in rising order")
    unit, kind, conditions, source = (_text(where, entry, key) for key in ("unit", "kind", "conditions", "source"))
    if unit not in ENERGY_UNITS:
        raise InputError(f"{where}: unit is {unit!r}; an energy is in one of {', '.join(ENERGY_UNITS)}")
    if kind not in KINDS:
        raise InputError(f"{where}: kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    return Cost(name, value, unit, kind, conditions, source)


def _number(where: str, entry: Mapping[str, Any], key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_FIGURE:
        raise InputError(f"{where}: {key} is {value!r}; it must be a finite number, 0 or more")
    return float(value)


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key} is {value!r}; it must be said in words, a figure without it does not load")
    return value.strip()


def _refuse_unknown(where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise InputError(f"{where}: {key!r} is unknown; known are {', '.join(known)}")
