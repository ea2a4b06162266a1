"""Published costs, one TOML a set, every figure with its interval, kind, conditions and source.

::

    format = 1
    name = "my-chip"
    title = "what it is"
    chip = "loihi1"
    grade = "C"                     # A validated on silicon, B calibrated on aggregates, C literature, D assumed
    grade_reason = "why"
    [energy.neuron_access]          # any of ENERGY_COSTS; also [time.…] (TIME_COSTS) and [power.…] (POWER_COSTS)
    low = 51.2
    typ = 51.6
    high = 52.0
    unit = "pJ"
    kind = "derived"                # silicon, spice, derived, vendor or assumed
    conditions = "supply voltage, what is included"
    source = "paper, table, doi"
    [[curve.synchronisation]]       # any of CURVES: one entry a published point, in rising order
    at = 1                          # tiles, bits or bytes, see CURVES
    low = 0.6                       # … and the rest as above

``[discrepancy.energy]`` and ``[discrepancy.time]`` say by which factor (unit "1") the model as a whole may lie off, ``[core]`` the
widths and memories of a digital core (:mod:`snncc.energy.digital`). A figure without a source does not load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snncc.errors import InputError

DEFAULT_COSTS = "loihi1"
KINDS = ("silicon", "spice", "derived", "vendor", "assumed")
ENERGY_UNITS = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9, "pJ": 1e-12, "fJ": 1e-15}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "ps": 1e-12}
POWER_UNITS = {"W": 1.0, "mW": 1e-3, "uW": 1e-6, "µW": 1e-6, "nW": 1e-9}
UNITS = {"energy": ENERGY_UNITS, "time": TIME_UNITS, "power": POWER_UNITS, "discrepancy": {"1": 1.0}}
"""Quantity to unit to its size in J, s, W or 1."""

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
    "chip_crossing": "a message, from one chip to the next",
    "synchronisation": "a core, every step",
    "management_step": "the management processors, every step",
    "input": "a value that the host sends",
    "output": "a value that the host fetches",
    "host_operation": "a multiply-accumulate on the host",
}
"""What an ``[energy.…]`` entry may be called."""

TIME_COSTS = {
    **{
        name: text
        for name, text in ENERGY_COSTS.items()
        if name.split("_")[0] in ("neuron", "spike", "synapse", "axon")
    },
    "hop_east_west": "the flight of a message, one tile east or west",
    "hop_north_south": "the flight of a message, one tile north or south",
    "management_step": "the management processors, every step",
    "host": "the host, every inference",
}
"""What a ``[time.…]`` entry may be called."""

POWER_COSTS = {
    "core": "static power of a core in use",
    "chip": "static power of a chip besides its cores",
    "management": "management processors of a chip",
    "board": "everything else on the board",
}
"""What a ``[power.…]`` entry may be called."""

CURVES = {
    "synchronisation": ("time", "tiles", "the barrier between steps"),
    "add": ("energy", "bits", "an addition of integers"),
    "multiply": ("energy", "bits", "a multiplication of integers"),
    "sram_bit": ("energy", "bytes", "a bit read from or written to a memory of that capacity"),
}
"""What a ``[[curve.…]]`` may be called: name to its quantity, what ``at`` counts, and what it is."""

DISCREPANCIES = {"energy": "energy of the whole", "time": "time of the whole"}
CORE = ("weight_bits", "state_bits", "weight_bytes", "state_bytes")
"""What ``[core]`` holds: widths of a weight and of a neuron's state, capacities of the two memories."""


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
    """One cited figure. ``value`` is in ``unit``, as the file says it; ``si`` is the same in J, s, W or 1.

    ``at``: where on its curve it lies; None for a figure of its own.
    """

    name: str
    value: Interval
    unit: str
    kind: str
    conditions: str
    source: str
    quantity: str = "energy"
    at: float | None = None

    @property
    def si(self) -> Interval:
        """The figure in J, s, W or 1."""
        return self.value.times(UNITS[self.quantity][self.unit])

    @property
    def joules(self) -> Interval:
        """The figure in joules an event, of an energy."""
        return self.si


@dataclass(frozen=True)
class CostSet:
    """All costs of a target from one file.

    Attributes:
        name, title, chip: what the file calls itself and what it describes.
        grade, grade_reason: how far to believe it; see :data:`snncc.energy.scopes.GRADES`.
        energy: entry name to cost. What is not in it is not modelled; so with the others.
        file: where it was read. sha256: of that file's bytes.
        time, power: as ``energy``. curves: name to its points, in rising order of ``at``.
        discrepancy: "energy" and "time" to the factor by which the model as a whole may lie off.
        core: :data:`CORE` of a digital core, empty for a chip.
    """

    name: str
    title: str
    chip: str
    grade: str
    grade_reason: str
    energy: Mapping[str, Cost]
    file: str
    sha256: str
    time: Mapping[str, Cost] = field(default_factory=dict)
    power: Mapping[str, Cost] = field(default_factory=dict)
    curves: Mapping[str, tuple[Cost, ...]] = field(default_factory=dict)
    discrepancy: Mapping[str, Cost] = field(default_factory=dict)
    core: Mapping[str, float] = field(default_factory=dict)

    def sections(self) -> dict[str, Mapping[str, Cost]]:
        """The sections of single figures, by their name in the file."""
        return {"energy": self.energy, "time": self.time, "power": self.power, "discrepancy": self.discrepancy}


def cost_sets() -> list[str]:
    """Names of the sets that come with snncc, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_costs(name_or_path: str | Path = DEFAULT_COSTS) -> CostSet:
    """A set by name, or from a file of one's own. Raises :class:`InputError` naming file and entry."""
    from snncc.energy.cost_file import read_costs

    if str(name_or_path) in cost_sets():
        return read_costs(_folder() / f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(f"{name_or_path}: is neither a cost set ({', '.join(cost_sets())}) nor a file")
    return read_costs(path)


def _folder() -> Path:
    return Path(__file__).parent / "costs"
