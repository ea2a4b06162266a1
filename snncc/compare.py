"""Compare two runs of one Program cell by cell, and find the first cell in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snncc.program.reference import IntegerRecording

Array = np.ndarray


@dataclass(frozen=True)
class Cell:
    """One neuron of one sample at one step, with what each of the two runs has there."""

    layer: str
    quantity: str
    step: int
    sample: int
    neuron: tuple[int, ...]
    expected: float
    actual: float

    def __str__(self) -> str:
        place = ", ".join(str(i) for i in self.neuron)
        return (
            f"{self.layer} {self.quantity}[{place}] at step {self.step} of sample {self.sample}: "
            f"{self.actual:.9g} instead of {self.expected:.9g}"
        )


@dataclass(frozen=True)
class Comparison:
    """How many cells were compared and differ, and the earliest one by step, then layer, that does."""

    cells: int
    differing: int
    samples: int
    first: Cell | None


def compare_recordings(expected: IntegerRecording, actual: IntegerRecording, order: Sequence[str]) -> Comparison:
    """Spikes of all layers in ``order`` and membranes where both have them, and the scores."""
    cells = differing = 0
    first: Cell | None = None
    for position, layer in enumerate(order):
        for quantity in ("spikes", "membranes"):
            a, b = (getattr(r, quantity).get(layer) for r in (expected, actual))
            if a is None or b is None:
                continue
            cells += a.size
            found = first_difference(layer, quantity, a, b)
            if found is None:
                continue
            differing += int(np.count_nonzero(a != b)) if a.shape == b.shape else a.size
            if first is None or (found.step, position) < (first.step, order.index(first.layer)):
                first = found
    cells += expected.scores.size
    if not np.array_equal(expected.scores, actual.scores):
        same_shape = expected.scores.shape == actual.scores.shape
        differing += int(np.count_nonzero(expected.scores != actual.scores)) if same_shape else expected.scores.size
        if first is None:
            first = _first_score(expected.scores, actual.scores)
    return Comparison(cells, differing, expected.samples, first)


def _first_score(a: Array, b: Array) -> Cell:
    """First differing cell of scores (N, classes) or (N, T, classes); step -1 where they are of all steps."""
    if a.shape != b.shape:
        return Cell("readout", f"scores shape {b.shape} for {a.shape}", -1, 0, (), a.size, b.size)
    place = tuple(int(i) for i in np.argwhere(a != b)[0])
    step = place[1] if a.ndim == 3 else -1
    return Cell("readout", "score", step, place[0], place[-1:], int(a[place]), int(b[place]))


def first_difference(layer: str, quantity: str, a: Array, b: Array) -> Cell | None:
    """Earliest differing cell of two recordings (T, N, *shape)."""
    if a.shape != b.shape:
        return Cell(layer, f"{quantity} shape {b.shape} for {a.shape}", 0, 0, (), a.size, b.size)
    for step in range(len(a)):
        different = a[step] != b[step]
        if different.any():
            sample, *neuron = (int(i) for i in np.argwhere(different)[0])
            place = (step, sample, *neuron)
            return Cell(layer, quantity, step, sample, tuple(neuron), int(a[place]), int(b[place]))
    return None
