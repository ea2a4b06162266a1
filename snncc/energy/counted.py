"""What a run did, as plain counts: all that the energy model knows of a network and of its place on a chip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snncc.energy.scopes import EVENTS, PLACED_EVENTS, SYNAPTIC_EVENTS
from snncc.errors import InputError
from snncc.tables import shown

Number = int | float
COUNTED = {**EVENTS, **PLACED_EVENTS}
PER_CORE_EVENTS = ("updates", "active", "spikes", *SYNAPTIC_EVENTS, "axons_in", "axons_out")
"""Events that may be given by core and step; the latency model needs them."""

MAX_COUNT = 1e18
"""No counter of a run reaches this."""


@dataclass(frozen=True)
class Counted:
    """A run's counts.

    Attributes:
        name: what ran.
        counts: event of :data:`COUNTED` to how often, summed over samples and steps; what is not in it was not counted.
        samples: inferences that the counts are summed over.
        steps: time steps of one inference.
        cores, tiles, chips: in use.
        per_core: event of :data:`PER_CORE_EVENTS` to an array (cores, steps), summed over samples. Its sum is the event's count.
        period_seconds: shortest time of a step, where the chip is clocked by one.
        inference_seconds: time of an inference, where it was measured: then no latency is computed.
        host_seconds: time the host needs an inference.
        host: a host is in the loop whose time nobody measured: the cost set's takes its place.

    None says that nobody knows. Raises :class:`InputError` naming the field where something is no count, or does not fit.
    """

    name: str
    counts: Mapping[str, Number]
    samples: int = 1
    steps: int | None = None
    cores: int | None = None
    tiles: int | None = None
    chips: int | None = None
    per_core: Mapping[str, np.ndarray] = field(default_factory=dict)
    period_seconds: float | None = None
    inference_seconds: float | None = None
    host_seconds: float | None = None
    host: bool = False

    def __post_init__(self) -> None:
        for key in ("samples", "steps", "cores", "tiles", "chips"):
            _check_whole(self.name, key, getattr(self, key), optional=key != "samples")
        for key in ("period_seconds", "inference_seconds", "host_seconds"):
            if getattr(self, key) is not None:
                _check_number(self.name, key, getattr(self, key))
        if not isinstance(self.host, bool):
            raise InputError(f"{self.name}: host is {shown(self.host)}; it must be true or false")
        for event, count in self.counts.items():
            if event not in COUNTED:
                raise InputError(f"{self.name}: the event {shown(event)} is unknown; known are {', '.join(COUNTED)}")
            _check_number(self.name, event, count)
        arrays = {event: self._array(event, values) for event, values in self.per_core.items()}
        object.__setattr__(self, "per_core", arrays)
        object.__setattr__(self, "counts", self._with_sums(arrays))

    def count(self, event: str) -> Number | None:
        """How often, over all samples; None where it was not counted or does not follow. ``core_steps`` and ``steps``
        follow from the run, and one chip has no crossings."""
        if event == "steps":
            return None if self.steps is None else self.steps * self.samples
        if event == "core_steps":
            return None if self.steps is None or self.cores is None else self.steps * self.cores * self.samples
        if event == "chip_crossings" and self.chips == 1:
            return self.counts.get(event, 0)
        return self.counts.get(event)

    def number(self, what: str) -> int | None:
        """How many cores, chips or boards; a run has one board."""
        return 1 if what == "boards" else getattr(self, what)

    def _array(self, event: str, values: object) -> np.ndarray:
        where = f"{self.name}: per_core.{event}"
        if event not in PER_CORE_EVENTS:
            raise InputError(
                f"{self.name}: per_core: {shown(event)} is unknown; by core and step come {', '.join(PER_CORE_EVENTS)}"
            )
        if self.cores is None or self.steps is None:
            raise InputError(f"{where}: needs cores and steps, which are not given")
        try:
            array = np.asarray(values, dtype=np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{where}: is no table of numbers ({str(error)[:200]}); give {self.cores} × {self.steps} counts"
            ) from error
        if array.shape != (self.cores, self.steps):
            shape = " × ".join(map(str, array.shape)) or "a single number"
            raise InputError(
                f"{where}: is {shape}; {self.cores} cores and {self.steps} steps make {self.cores} × {self.steps}"
            )
        if not np.all(np.isfinite(array)) or array.min() < 0 or array.max() > MAX_COUNT:
            raise InputError(f"{where}: holds what is no count; a count is a finite number, 0 or more")
        return array

    def _with_sums(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Number]:
        counts = dict(self.counts)
        for event, array in arrays.items():
            total = float(array.sum())
            if event in counts and not math.isclose(counts[event], total, rel_tol=1e-9, abs_tol=1e-9):
                raise InputError(
                    f"{self.name}: {event}: the cores' counts add up to {total:,.10g}, but the total is {counts[event]:,.10g}"
                )
            counts.setdefault(event, int(total) if total.is_integer() else total)
        return counts


def _check_whole(name: str, key: str, value: object, optional: bool) -> None:
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
        raise InputError(f"{name}: {key} is {shown(value)}; it must be a whole number, 1 or more")


def _check_number(name: str, key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        raise InputError(f"{name}: {key} is {shown(value)}; it must be a finite number, 0 or more")
