"""How far two runs are apart, layer by layer, added up over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.compare import Cell, compare_recordings, first_difference
from snncc.diff.trace import Trace

Array = np.ndarray
TAU = 4.0
"""Time constant of the distance, in steps."""
VALUE_SLACK = 1e-6
"""Of the largest membrane: readouts closer than this count as equal."""


@dataclass(frozen=True)
class LayerChange:
    """One layer in two stages.

    Attributes:
        cells, differing: (neuron, step, sample) cells, and those with other spikes (of a layer that never fires: another membrane).
        distance: van Rossum's, mean over neurons and samples: 1 is one spike more or less a neuron.
        rate_before, rate_after: share of cells with a spike; None of a layer that never fires.
    """

    layer: str
    cells: int
    differing: int
    distance: float
    rate_before: float | None
    rate_after: float | None

    @property
    def rate_change(self) -> float | None:
        """After minus before."""
        return None if self.rate_before is None or self.rate_after is None else self.rate_after - self.rate_before


def van_rossum(a: Array, b: Array, tau: float = TAU) -> Array:
    """Van Rossum's distance of spike trains (T, …), of each pair: (…) (van Rossum 2001, Neural Computation 13, 751-763).

    Both trains are filtered with ``exp(−t/τ)`` in steps; the square is summed over all steps and the tail beyond the last, and
    scaled so that one spike more or less is 1 wherever it stands; the same spike d steps later is
    ``sqrt(2·(1 − exp(−d/τ)))``. Graded spikes count by their number.
    """
    keep = float(np.exp(-1.0 / tau))
    filtered = np.zeros(a.shape[1:])
    squares = np.zeros(a.shape[1:])
    for x, y in zip(a, b, strict=True):
        filtered = keep * filtered + (x.astype(np.float64) - y)
        squares += np.square(filtered)
    tail = np.square(filtered) * keep**2 / (1 - keep**2)
    distance: Array = np.sqrt((squares + tail) * (1 - keep**2))
    return distance


@dataclass
class _Layer:
    cells: int = 0
    differing: int = 0
    distance: float = 0.0
    trains: int = 0
    fired: list[int] | None = None

    def add(self, a: Array, b: Array, tau: float) -> None:
        self.cells += a.size
        self.differing += int(np.count_nonzero(a != b))
        self.distance += float(van_rossum(a, b, tau).sum())
        self.trains += a[0].size
        before, after = self.fired or (0, 0)
        self.fired = [before + int(np.count_nonzero(a)), after + int(np.count_nonzero(b))]

    def add_values(self, a: Array, b: Array) -> None:
        self.cells += a.size
        self.differing += int(np.count_nonzero(_apart(a, b)))
        self.distance += float(np.abs(a - b).max(axis=0).sum())
        self.trains += a[0].size


def _other_shape(a: Array, b: Array) -> str:
    """Where recordings (T, N, *shape) differ in shape."""
    if len(a) != len(b):
        return f"{len(a)} time steps before, {len(b)} after"
    return f"another shape: {a.shape[2:]} before, {b.shape[2:]} after"


def _apart(a: Array, b: Array) -> Array:
    apart: Array = np.abs(a - b) > VALUE_SLACK * max(float(np.abs(a).max(initial=0)), 1e-12)
    return apart


@dataclass
class Change:
    """Two stages so far.

    Attributes:
        first: the earliest cell with other spikes, by step, then layer, then sample.
        roots: number of each differing sample, with the first step that differs.
        misfits: layers whose shapes differ, in words; alone: layers that only one of the two has.
        first_value: the earliest differing membrane of a layer that never fires, in real units.
        answers: samples in which no spike differs, and yet the answer.
        exact: both run one Program, and all that executors keep is compared; unequal: the earliest cell of that.
    """

    tau: float = TAU
    exact: bool = False
    layers: dict[str, _Layer] = field(default_factory=dict)
    first: Cell | None = None
    roots: dict[int, int] = field(default_factory=dict)
    misfits: dict[str, str] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    first_value: Cell | None = None
    unequal: Cell | None = None
    answers: int = 0
    samples: int = 0

    def add(self, start: int, a: Trace, b: Trace) -> None:
        """The next batch, whose first sample has the number ``start``."""
        order = [n for n in a.spikes if n in b.spikes]
        self.alone = tuple(sorted({*a.spikes, *a.membranes} ^ {*b.spikes, *b.membranes}))
        self.samples += a.samples
        for name in order:
            x, y = a.spikes[name], b.spikes[name]
            if x.shape != y.shape:
                self.misfits[name] = _other_shape(x, y)
                continue
            self.layers.setdefault(name, _Layer()).add(x, y, self.tau)
            self._note(name, order, start, x, y)
        for name in (n for n in a.membranes if n in b.membranes and a.membranes[n].shape == b.membranes[n].shape):
            self.layers.setdefault(name, _Layer()).add_values(a.membranes[name], b.membranes[name])
            self._note_value(name, start, a.membranes[name], b.membranes[name])
        other = (a.predictions != b.predictions).reshape(a.samples, -1).any(axis=1)
        self.answers += sum(start + int(n) not in self.roots for n in np.flatnonzero(other))
        if self.exact and self.unequal is None and not self.misfits and a.run is not None and b.run is not None:
            found = compare_recordings(a.run, b.run, list({**a.run.spikes, **a.run.membranes})).first
            self.unequal = found and replace(found, sample=start + found.sample)

    def _note(self, name: str, order: Sequence[str], start: int, x: Array, y: Array) -> None:
        found = first_difference(name, "spikes", x, y)
        if found is None:
            return
        position = order.index(name)
        if self.first is None or (found.step, position) < (self.first.step, order.index(self.first.layer)):
            self.first = replace(found, sample=start + found.sample)
        by_step = (x != y).reshape(len(x), x.shape[1], -1).any(axis=2)
        for sample in np.flatnonzero(by_step.any(axis=0)):
            number, step = start + int(sample), int(by_step[:, sample].argmax())
            self.roots[number] = min(step, self.roots.get(number, step))

    def _note_value(self, name: str, start: int, x: Array, y: Array) -> None:
        apart = _apart(x, y)
        if not apart.any():
            return
        step, sample, *neuron = (int(i) for i in np.argwhere(apart)[0])
        if self.first_value is None or step < self.first_value.step:
            place = (step, sample, *neuron)
            self.first_value = Cell(
                name, "membrane", step, start + sample, tuple(neuron), float(x[place]), float(y[place])
            )

    def result(self) -> list[LayerChange]:
        """Layers in the order of the network."""
        made = []
        for name, layer in self.layers.items():
            rates = (None, None) if layer.fired is None else tuple(n / layer.cells for n in layer.fired)
            made.append(LayerChange(name, layer.cells, layer.differing, layer.distance / max(layer.trains, 1), *rates))
        return made
