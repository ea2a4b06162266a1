"""Neurons that say nothing: never fire, or fire in every step; counted over all samples that a stage ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from snncc.diff.trace import Trace
from snncc.target import Finding

Array = np.ndarray


@dataclass
class Activity:
    """Of one stage, by layer: in how many cells each neuron fired, and whether in all, arrays (*shape)."""

    fired: dict[str, Array] = field(default_factory=dict)
    always: dict[str, Array] = field(default_factory=dict)

    def add(self, trace: Trace) -> None:
        """The next batch."""
        for name, spikes in trace.spikes.items():
            fired = spikes != 0
            count, always = fired.sum(axis=(0, 1)), fired.all(axis=(0, 1))
            self.fired[name] = count + self.fired.get(name, 0)
            self.always[name] = always & self.always.get(name, True)


@dataclass(frozen=True)
class LayerHealth:
    """Neurons of a layer that never fire, and that are never silent, in the first and in the last stage."""

    layer: str
    neurons: int
    dead_before: int
    dead_after: int
    restless_before: int
    restless_after: int


def healths(first: Activity, last: Activity) -> list[LayerHealth]:
    """Of the layers that both stages have."""
    return [
        LayerHealth(
            name,
            fired.size,
            int((fired == 0).sum()),
            int((last.fired[name] == 0).sum()),
            int(first.always[name].sum()),
            int(last.always[name].sum()),
        )
        for name, fired in first.fired.items()
        if name in last.fired and last.fired[name].shape == fired.shape
    ]


def channels(which: Array) -> str:
    """The channels of (C, …) in which all neurons are meant, in words; empty where there is none or no channel axis."""
    if which.ndim < 2:
        return ""
    whole = np.flatnonzero(which.reshape(len(which), -1).all(axis=1))
    if not whole.size:
        return ""
    shown = ", ".join(str(c) for c in whole[:8]) + (" …" if whole.size > 8 else "")
    return f", all of channel{'s' * (whole.size > 1)} {shown}"


REMEDY_TRAINED = (
    "so it was trained: threshold-matched initialisation, a lower threshold or another seed, or remove them"
)
REMEDY_LOST = (
    "look at that stage: more --bits, --calibrate DATA, no --per-layer, or more --guard-bits where the leak is rounded"
)
REMEDY_RESTLESS = (
    "their spikes tell nothing: raise the threshold or lower the bias and train again, or replace them by a bias"
)


LOST_FROM = 5
"""Spikes that a neuron fired in the first stage, from which on never firing in the last is a finding: fewer may be chance."""


def health_findings(names: Sequence[str], activities: Sequence[Activity], samples: int) -> list[Finding]:
    """Dead and never-silent neurons of the last stage; where they fired in the first one, with the stage that silenced most."""
    first, last, found = activities[0], activities[-1], []

    def add(layer: str, what: str, which: Array, said: str, limit: str, remedy: str) -> None:
        actual = f"{which.sum():,} of {which.size:,} neurons {said}{channels(which)}"
        found.append(Finding(layer, what, actual, limit, remedy, "warning"))

    for name, fired in last.fired.items():
        before = first.fired.get(name)
        if before is None or before.shape != fired.shape:
            before = fired
        dead = fired == 0
        new, old = dead & (before >= LOST_FROM), dead & (before == 0)
        if new.any():
            stage = _since(names, activities, name, new)
            add(name, "dead neurons", new, f"fire in {names[0]} and never from {stage} on", "some spike", REMEDY_LOST)
        if old.any():
            said = f"never fire in {samples:,} samples, in {names[0]} neither"
            add(name, "dead neurons", old, said, "some spike", REMEDY_TRAINED)
        if last.always[name].any():
            said = f"fire in every step of {samples:,} samples"
            add(name, "never-silent neurons", last.always[name], said, "some silence", REMEDY_RESTLESS)
    return found


def _since(names: Sequence[str], activities: Sequence[Activity], layer: str, new: Array) -> str:
    """The stage at which most of ``new`` stop firing."""
    best, stage = -1, names[-1]
    for i in range(1, len(names)):
        before, after = activities[i - 1].fired.get(layer), activities[i].fired.get(layer)
        if before is None or after is None or before.shape != after.shape:
            continue
        lost = int(((before > 0) & (after == 0) & new).sum())
        if lost > best:
            best, stage = lost, names[i]
    return stage
