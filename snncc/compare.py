"""Compare two runs of one Program cell by cell, and find the first cell in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snncc.errors import TargetError
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
        place = f"[{', '.join(str(i) for i in self.neuron)}]" if self.neuron else ""
        when = "" if self.step < 0 else f"at step {self.step} "
        return (
            f"{self.layer} {self.quantity}{place} {when}of sample {self.sample}: "
            f"{self.actual:.9g} instead of {self.expected:.9g}"
        )


@dataclass(frozen=True)
class Comparison:
    """How many cells were compared and differ, and the earliest one by step, then layer, that does."""

    cells: int
    differing: int
    samples: int
    first: Cell | None


def check_complete(run: IntegerRecording, order: Sequence[str], where: str) -> None:
    """Raise :class:`TargetError` where ``run`` has no spikes of a layer in ``order``, naming it and ``where``."""
    missing = [layer for layer in order if layer not in run.spikes]
    if missing:
        raise TargetError(f"{where}: gives no spikes of {missing[0]}, so they cannot be compared; take another target")


def compare_recordings(
    expected: IntegerRecording, actual: IntegerRecording, order: Sequence[str], where: str = "the run"
) -> Comparison:
    """Spikes of all layers in ``order``, membranes where both have them, scores and answers. Raises :class:`TargetError`,
    naming ``where``, when the spikes of a layer that has some are missing: what is not there is not equal."""
    check_complete(actual, [n for n in order if n in expected.spikes and expected.spikes[n].any()], where)
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
            differing += _count(a, b)
            if first is None or (found.step, position) < (first.step, order.index(first.layer)):
                first = found
    for quantity in ("score", "prediction"):
        a, b = (np.asarray(getattr(r, f"{quantity}s")) for r in (expected, actual))
        cells += a.size
        if not np.array_equal(a, b):
            differing += _count(a, b)
            first = first or _first_answer(quantity, a, b)
    return Comparison(cells, differing, expected.samples, first)


def _count(a: Array, b: Array) -> int:
    return int(np.count_nonzero(a != b)) if a.shape == b.shape else a.size


def _first_answer(quantity: str, a: Array, b: Array) -> Cell:
    """First differing cell of scores (N, classes) or (N, T, classes), or predictions (N,) or (N, T); step -1 where they are of
    all steps."""
    if a.shape != b.shape:
        return Cell("readout", f"values in {quantity}s of shape {b.shape} for {a.shape}", -1, 0, (), a.size, b.size)
    place = tuple(int(i) for i in np.argwhere(a != b)[0])
    classes = place[-1:] if quantity == "score" else ()
    step = place[1] if len(place) - len(classes) == 2 else -1
    return Cell("readout", quantity, step, place[0], classes, float(a[place]), float(b[place]))


def first_difference(layer: str, quantity: str, a: Array, b: Array) -> Cell | None:
    """Earliest differing cell of two recordings (T, N, *shape)."""
    if a.shape != b.shape:
        return Cell(layer, f"values in {quantity} of shape {b.shape} for {a.shape}", 0, 0, (), a.size, b.size)
    for step in range(len(a)):
        different = a[step] != b[step]
        if different.any():
            sample, *neuron = (int(i) for i in np.argwhere(different)[0])
            place = (step, sample, *neuron)
            return Cell(layer, quantity, step, sample, tuple(neuron), int(a[place]), int(b[place]))
    return None
