"""What becomes of each part of a Program in ONNX: operands of its products and integer types, from the proof of
:mod:`snncc.program.bounds`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from snncc.program.bounds import PopulationBounds, bits_for, prove_bounds
from snncc.program.intervals import Interval
from snncc.program.program import DECAY_ONE, Population, Program, Projection
from snncc.targets.onnx_int.operands import Encoding, encode, operand_limit, split_weights
from snncc.targets.widths import (
    brings_something,
    current_reach,
    emitted_intervals,
    largest,
    membrane_reach,
    partial_sums,
    reach,
    score_reach,
    work_reach,
)

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class ProjectionPlan:
    """A projection that can bring something.

    Attributes:
        low, high: of the sum before its shift, and of every partial sum.
        exponent, digits: the weights as :func:`split_weights` gives them; none for a sparse projection.
        encoding: of what arrives; None for a sparse projection, or where ``limit`` is 0.
        limit: the largest byte that may arrive.
        static: brings the same at every step, so that it is computed once.
    """

    projection: Projection
    low: int
    high: int
    exponent: int
    digits: tuple[Array, ...]
    encoding: Encoding | None
    limit: int
    static: bool


@dataclass(frozen=True, eq=False)
class PopulationPlan:
    """A population.

    Attributes:
        bits: sign included, of every number of its update.
        u, membrane: largest magnitudes.
        current_fits, membrane_fits: the overflow rule can be left out.
    """

    population: Population
    incoming: tuple[ProjectionPlan, ...]
    bits: int
    u: int
    membrane: int
    current_fits: bool
    membrane_fits: bool

    @property
    def dtype(self) -> type:
        """Of its current, its membrane and all that is computed with them."""
        return np.int32 if self.bits <= 32 else np.int64


@dataclass(frozen=True, eq=False)
class Plan:
    """A Program.

    Attributes:
        depth: source or population to the steps for which what it emitted is kept, where a delay asks for it.
        state_bits: population to the bits that hold its state and sums.
        unproven: populations that may leave the width of an arithmetic in which that is an error.
    """

    program: Program
    populations: tuple[PopulationPlan, ...]
    depth: dict[str, int]
    state_bits: dict[str, int]
    score_bits: int
    unproven: tuple[str, ...]


def leaks(decay: Array | None) -> bool:
    """Whether a decay changes anything."""
    return decay is not None and bool((decay != DECAY_ONE).any())


@lru_cache(maxsize=4)
def plan(program: Program) -> Plan:
    """Operands and types of a Program."""
    bounds = prove_bounds(program).populations
    emitted = emitted_intervals(program, bounds)
    populations = tuple(_plan_population(program, p, bounds[p.name], emitted) for p in program.populations)
    depth: dict[str, int] = {}
    for q in (q for p in populations for q in p.incoming):
        if q.projection.delay and not q.static:
            depth[q.projection.source] = max(depth.get(q.projection.source, 0), q.projection.delay)
    score = score_reach(program, bounds)
    exact = program.arithmetic.membrane_overflow == "error"
    return Plan(
        program,
        populations,
        depth,
        {name: max(b.state_bits, b.accumulator_bits) for name, b in bounds.items()},
        bits_for(-score, score),
        tuple(name for name, b in bounds.items() if exact and not (b.current_fits and b.membrane_fits)),
    )


def _plan_population(
    program: Program, p: Population, bounds: PopulationBounds, emitted: dict[str, Interval]
) -> PopulationPlan:
    low, high = np.zeros(p.shape, np.int64), np.zeros(p.shape, np.int64)
    incoming = []
    for q in program.incoming(p.name):
        if not brings_something(program, q):
            continue
        (least, most), brought = partial_sums(program, q, emitted)
        low, high = low + brought[0], high + brought[1]
        extent = int(least.min()), int(most.max())
        incoming.append(_plan_projection(program, q, extent, emitted[q.source]))
    u, membrane = current_reach(program.arithmetic, bounds), membrane_reach(p, bounds)
    arriving = max(-int(low.min()), int(high.max()))
    work = work_reach(program.arithmetic, p, arriving, u, membrane, reach(bounds.spikes))
    work += (
        largest(p.v_min) + largest(p.threshold) + largest(p.reset_amount) + 1
    )  # from a membrane to a constant, or back
    decayed = max(membrane if leaks(p.decay_v) else 0, u if leaks(p.decay_u) else 0)
    product = 2 * DECAY_ONE * (decayed + 1)  # a shift is one of numbers that were moved to 0 and above
    bits = bits_for(-max(work, product), max(work, product))
    return PopulationPlan(p, tuple(incoming), bits, u, membrane, bounds.current_fits, bounds.membrane_fits)


def _plan_projection(program: Program, q: Projection, extent: tuple[int, int], emitted: Interval) -> ProjectionPlan:
    static = program.is_static(q)
    if q.kind == "sparse":
        return ProjectionPlan(q, *extent, 0, (), None, 255, static)
    exponent, digits = split_weights(q.weight)
    limit = operand_limit(q.kind, q.weight[0].size, digits)
    encoding = encode(int(emitted[0].min()), int(emitted[1].max()), limit) if limit else None
    return ProjectionPlan(q, *extent, exponent, digits, encoding, limit, static)
