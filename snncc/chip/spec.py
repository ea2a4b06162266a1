"""Chips as data: one TOML a chip, every figure with its source; what is not public says so and is not checked.

::

    format = 1
    name = "my-chip"
    title = "what it is"
    target = "fixed-sim"            # whose arithmetic a network gets where --target does not say
    [mesh.columns]                  # also mesh.rows and mesh.cores_per_tile: whole numbers, 1 or more
    value = 8
    unit = "tiles"
    source = "paper, table"
    assumed = true                  # where no source gives it
    [limits.neurons_per_core]       # any of LIMITS
    value = 1024                    # or "unknown" (not public, not checked), or "none" (no such limit)
    unit = "compartments"
    source = "paper, table"

A limit that a file does not name is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.registry import entries, get
from snncc.tables import read_tables, refuse_unknown, shown, table, text

MAX_FIGURE = 1 << 48
MAX_MESH = 256
"""Most tiles a side and cores a tile: a larger mesh is a typing error, and would not fit in memory."""

GROUP = "snncc.chips"
UNKNOWN, UNLIMITED = "unknown", "none"
LIMITS = {
    "chips": "chips in one system",
    "neurons_per_core": "neurons of a core",
    "input_axons_per_core": "source neurons that a core listens to",
    "output_axons_per_core": "pairs of a core's neuron and a core that listens to it",
    "synapse_bits_per_core": "synapse memory of a core",
    "neuron_profiles_per_core": "different decays of a core's neurons",
    "threshold_profiles_per_core": "different thresholds of a core's neurons",
    "synapse_profiles_per_core": "different synapse formats into a core",
    "weight_bits": "a stored weight, sign included",
    "weight_exponent": "largest power of two that all weights of a projection share and that is not stored",
    "spike_bits": "a spike's value, sign included; 1 is a spike or none",
    "delay": "steps from a spike to its current, beyond the chip's own",
}
"""What a ``[limits.…]`` entry may be called."""
MESH = ("columns", "rows", "cores_per_tile")


@dataclass(frozen=True)
class Limit:
    """One figure. ``value`` is None where there is no number: ``unknown`` or not."""

    name: str
    value: int | None
    unit: str
    source: str
    unknown: bool = False
    assumed: bool = False

    def allows(self, actual: int) -> bool:
        """Whether ``actual`` stays within the limit, as far as it is known."""
        return self.value is None or actual <= self.value

    def __str__(self) -> str:
        """``1,024 compartments``."""
        if self.value is None:
            return "unknown, not checked" if self.unknown else "none"
        return f"{self.value:,} {self.unit}" + (" (assumed)" if self.assumed else "")


@dataclass(frozen=True)
class Chip:
    """A chip: a mesh of ``columns`` × ``rows`` tiles with ``cores_per_tile`` cores each, and what a core can hold.

    Attributes:
        target: name of the target whose arithmetic a network gets where nothing else is said.
        mesh, limits: entry name to figure; ``limits`` has every name of :data:`LIMITS`.
        file: where it was read. sha256: of that file's bytes.
    """

    name: str
    title: str
    target: str
    mesh: Mapping[str, Limit]
    limits: Mapping[str, Limit]
    file: str
    sha256: str

    def side(self, name: str) -> int:
        """A figure of the mesh."""
        value = self.mesh[name].value
        assert value is not None
        return value

    @property
    def tiles(self) -> int:
        """Tiles a chip."""
        return self.side("columns") * self.side("rows")

    @property
    def cores(self) -> int:
        """Cores a chip."""
        return self.tiles * self.side("cores_per_tile")

    @property
    def unchecked(self) -> tuple[Limit, ...]:
        """Limits that exist and are not known."""
        return tuple(limit for limit in self.limits.values() if limit.unknown)


def chips() -> dict[str, Path]:
    """Chips by name, of all packages."""
    found: dict[str, Path] = {}
    for name in entries(GROUP):
        found.update(get(GROUP, name))
    return found


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip by name, or from a file of one's own. Raises :class:`InputError` naming file and entry."""
    known = chips()
    if str(name_or_path) in known:
        return _read(known[str(name_or_path)])
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"{name_or_path}: is neither a chip ({', '.join(known) or 'none known'}) nor a file")
    return _read(path)


def _read(path: Path) -> Chip:
    file = read_tables(path, "a chip file", ("name", "title", "target", "mesh", "limits"))
    content = file.content
    name, title, target = (text(str(path), content, key) for key in ("name", "title", "target"))
    mesh, limits = (table(str(path), content, key) for key in ("mesh", "limits"))
    refuse_unknown(f"{path}: mesh", mesh, MESH)
    refuse_unknown(f"{path}: limits", limits, LIMITS)
    sides = {key: _limit(f"{path}: mesh.{key}", key, mesh.get(key)) for key in MESH}
    for key, side in sides.items():
        if side.value is None or not 1 <= side.value <= MAX_MESH:
            raise InputError(
                f"{path}: mesh.{key}: value is {shown(mesh[key].get('value'))}; a whole number from 1 to {MAX_MESH:,} is "
                "needed, marked assumed = true where no source gives it"
            )
    read = {key: _limit(f"{path}: limits.{key}", key, entry) for key, entry in limits.items()}
    absent = {key: Limit(key, None, "", "the file does not name it", unknown=True) for key in LIMITS}
    ordered = {key: read.get(key, absent[key]) for key in LIMITS}
    return Chip(name, title, target, sides, ordered, str(path), file.sha256)


def _limit(where: str, name: str, entry: Any) -> Limit:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {shown(entry)}; write a table with value, unit and source")
    refuse_unknown(where, entry, ("value", "unit", "source", "assumed"))
    value, assumed = entry.get("value"), entry.get("assumed", False)
    if value not in (UNKNOWN, UNLIMITED) and (type(value) is not int or not 0 <= value <= MAX_FIGURE):
        raise InputError(
            f'{where}: value is {shown(value)}; it must be a whole number from 0 to {MAX_FIGURE:,}, or "unknown" or "none"'
        )
    if not isinstance(assumed, bool):
        raise InputError(f"{where}: assumed is {shown(assumed)}; it must be true or false")
    unit, source = text(where, entry, "unit"), text(where, entry, "source")
    number = value if isinstance(value, int) else None
    return Limit(name, number, unit, source, value == UNKNOWN, assumed)
