"""How much a run did: synaptic operations that spikes caused, products of a dense run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.program.program import Program, conv_shape
from snncc.program.reference import IntegerRecording


@dataclass(frozen=True)
class Work:
    """Of all samples of a run.

    Attributes:
        operations: synaptic operations, as the engine counted them.
        products: multiplications of weights with spikes, zero or not; a static input's once.
        rates: share of neurons that fired in a step, by firing population.
    """

    operations: int
    products: int
    rates: tuple[float, ...]


def work_of(program: Program, recording: IntegerRecording) -> Work:
    """From what a run left behind."""
    counts = recording.counts
    operations = sum(int(np.sum(x)) for c in counts.values() for x in c.synaptic_operations.values())
    fires = [p.name for p in program.populations if p.fires]
    rates = tuple(float(counts[n].spikes.sum() / counts[n].updates.sum()) for n in fires)
    return Work(operations, products(program) * recording.samples, rates)


def products(program: Program) -> int:
    """Multiplications of one sample over all steps."""
    total = 0
    for p in program.projections:
        steps = 1 if program.is_static(p) else program.time_steps
        each = int(p.weight.size)
        if p.kind == "conv":
            _, height, width = conv_shape(p, program.shape_of(p.source))
            each *= height * width
        total += steps * each
    return total
