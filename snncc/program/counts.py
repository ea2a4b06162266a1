"""Exact counts of events: what a run did, and what energy models price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.program.currents import weigh
from snncc.program.program import Population, Program, Projection, conv_shape

Array = np.ndarray


@dataclass(frozen=True)
class StepCounts:
    """Events of one population, summed over samples, one entry a step: arrays (T,) int64.

    Attributes:
        updates: neurons updated (every neuron, every step).
        active: neurons that received a spike or a current in this step, or hold a non-zero state or bias.
        spikes: neurons that fired (a graded spike is one message).
        synaptic_operations: projection name to weights used: non-zero weight × non-zero source × valid position. What a
            static source drives is computed once and counted at step 0 under ``name``.
    """

    updates: Array
    active: Array
    spikes: Array
    synaptic_operations: Mapping[str, Array]


class Counter:
    """Counts events of one population straight from their definitions."""

    def __init__(self, program: Program, population: Population, steps: int) -> None:
        self.program, self.population = program, population
        self.updates, self.active, self.spikes = (np.zeros(steps, np.int64) for _ in range(3))
        self.operations = {p.name: np.zeros(steps, np.int64) for p in program.incoming(population.name)}

    def project(self, t: int, projection: Projection, arriving: Array) -> None:
        if self.program.is_static(projection) and t > projection.delay:
            return
        used = (projection.weight != 0).astype(np.int64)
        hits = weigh(self.program, projection, (arriving != 0).astype(np.int64), used)
        self.operations[projection.name][t] = int(hits.sum())

    def update(self, t: int, old: tuple[Array, Array, Array], current: Array, spikes: Array) -> None:
        self.updates[t] = spikes.size
        biased = (self.population.bias != 0) | (self.population.current_bias != 0)
        self.active[t] = int(np.count_nonzero((old[0] != 0) | (old[1] != 0) | (current != 0) | biased))
        self.spikes[t] = int(np.count_nonzero(spikes))

    def result(self) -> StepCounts:
        return StepCounts(self.updates, self.active, self.spikes, self.operations)


def fan_out(program: Program, projection: Projection) -> Array:
    """Synaptic operations that a spike of each neuron of the source causes: its non-zero weights at valid positions, (*shape)."""
    used, given = projection.weight != 0, program.shape_of(projection.source)
    if projection.kind == "dense":
        return used.sum(axis=0).reshape(given)
    if projection.kind == "sparse":
        assert projection.index is not None
        return np.bincount(projection.index[1][used], minlength=int(np.prod(given))).reshape(given)
    (sy, sx), (py, px), (dy, dx) = projection.stride, projection.padding, projection.dilation
    _, rows, columns = conv_shape(projection, given)
    _, per_group, ky, kx = used.shape
    taps = used.reshape(projection.groups, -1, per_group, ky, kx).sum(axis=1).reshape(-1, ky, kx)
    reached = np.zeros((given[0], given[1] + 2 * py, given[2] + 2 * px), np.int64)
    for y in range(ky):
        for z in range(kx):
            rows_of = slice(y * dy, y * dy + (rows - 1) * sy + 1, sy)
            columns_of = slice(z * dx, z * dx + (columns - 1) * sx + 1, sx)
            reached[:, rows_of, columns_of] += taps[:, y, z, None, None]
    return reached[:, py : py + given[1], px : px + given[2]]


def add_counts(parts: Sequence[Mapping[str, StepCounts]]) -> dict[str, StepCounts]:
    """Event counts of several batches, added up."""

    def total(arrays: Iterable[Array]) -> Array:
        return np.sum(list(arrays), axis=0)

    return {
        name: StepCounts(
            total(p[name].updates for p in parts),
            total(p[name].active for p in parts),
            total(p[name].spikes for p in parts),
            {q: total(p[name].synaptic_operations[q] for p in parts) for q in first.synaptic_operations},
        )
        for name, first in parts[0].items()
    }
