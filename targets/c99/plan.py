"""Which integer types a Program's numbers take in C, from the proof of :mod:`snncc.program.bounds`: no sum, product or state
can leave its type, whatever the input."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from snncc.program.bounds import PopulationBounds, bits_for, prove_bounds
from snncc.program.intervals import Interval
from snncc.program.program import DECAY_ONE, Population, Program, Projection
from snncc.targets.c99.helpers import packed_bits
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

BYTES = {f"{sign}int{bits}_t": bits // 8 for bits in (8, 16, 32, 64) for sign in ("", "u")}
"""Size of each C type in use."""


@dataclass(frozen=True, eq=False)
class ProjectionPlan:
    """A projection that can bring something.

    Attributes:
        name: a C identifier.
        weight, sums: types of one weight, and of a sum before its shift and pooling (None: added to the current at once).
        packed: bits of a weight, less the lowest one, where several share a byte, else 0.
        static: brings the same at every step, so that it is computed once.
    """

    projection: Projection
    name: str
    weight: str
    packed: int
    sums: str | None
    static: bool


@dataclass(frozen=True, eq=False)
class PopulationPlan:
    """A population.

    Attributes:
        name: a C identifier.
        current: type of the synaptic input of a step. u, membrane, spikes: of the states.
        packed: bits of what a neuron emits in a step where several neurons share a byte, else 0.
        work_bits, product_bits: bits, sign included, that the arithmetic needs, and a state times its decay.
        slots: steps for which its spikes are kept.
    """

    population: Population
    name: str
    current: str
    u: str
    membrane: str
    spikes: str
    packed: int
    work_bits: int
    product_bits: int
    slots: int
    incoming: tuple[ProjectionPlan, ...]

    @property
    def work(self) -> str:
        """Type of every local number of the update."""
        return "int32_t" if self.work_bits <= 32 else "int64_t"

    @property
    def shared(self) -> int:
        """Neurons whose spikes share an element."""
        return 8 // self.packed if self.packed else 1

    @property
    def stored(self) -> int:
        """Elements of an array that holds a step's spikes."""
        return -(-self.population.size // self.shared)

    @property
    def has_static(self) -> bool:
        """Whether a current is injected that was computed once."""
        return any(q.static for q in self.incoming)


@dataclass(frozen=True, eq=False)
class Plan:
    """A Program in C types.

    Attributes:
        int8: weights and spikes are packed (``--int8``).
        slots: steps for which input is kept; 0 where no delay asks for it.
        unproven: populations that may leave the width of an arithmetic in which that is an error.
    """

    program: Program
    int8: bool
    populations: tuple[PopulationPlan, ...]
    input: str
    slots: int
    score: str
    score_bits: int
    unproven: tuple[str, ...]

    def spikes_of(self, name: str) -> tuple[str, int]:
        """(type, bits of each where several share a byte, else 0) of what the source or a population emits."""
        if name == self.program.source.name:
            return self.input, 0
        return next((p.spikes, p.packed) for p in self.populations if p.population.name == name)


def signed(low: int, high: int, least: int = 8) -> str:
    """The smallest signed type, of ``least`` bits or more, that holds low..high."""
    bits = bits_for(low, high)
    return next((f"int{n}_t" for n in (8, 16, 32, 64) if n >= max(bits, least)), "int64_t")


def smallest(low: int, high: int) -> str:
    """The smallest type that holds low..high, for numbers that are only read: short ones may be unsigned."""
    return next((f"uint{n}_t" for n in (8, 16) if low >= 0 and high < 1 << n), signed(low, high))


def identifier(prefix: str, name: str) -> str:
    """A C identifier that is unique by its prefix and still says the name."""
    return f"{prefix}_{re.sub(r'[^A-Za-z0-9]+', '_', name)[:40].strip('_')}"


def plan(program: Program, int8: bool = False) -> Plan:
    """Types and buffers of a Program, with ``int8`` packed."""
    bounds = prove_bounds(program).populations
    source = program.source
    emitted = emitted_intervals(program, bounds)
    populations = tuple(
        _plan_population(program, index, p, bounds[p.name], emitted, int8)
        for index, p in enumerate(program.populations)
    )
    delays = [q.projection.delay for p in populations for q in p.incoming if _from(q, source.name) and not q.static]
    score = score_reach(program, bounds)
    exact = program.arithmetic.membrane_overflow == "error"
    return Plan(
        program, int8, populations, smallest(source.low, source.high), max(delays) + 1 if any(delays) else 0,
        signed(-score, score, least=32), bits_for(-score, score),
        tuple(name for name, b in bounds.items() if exact and not (b.current_fits and b.membrane_fits)),
    )  # fmt: skip


def _from(q: ProjectionPlan, name: str) -> bool:
    return q.projection.source == name


def _plan_population(
    program: Program, index: int, p: Population, bounds: PopulationBounds, emitted: dict[str, Interval], int8: bool
) -> PopulationPlan:
    low, high = np.zeros(p.shape, np.int64), np.zeros(p.shape, np.int64)
    incoming = []
    for number, q in enumerate(program.projections):
        if q.target != p.name or not brings_something(program, q):
            continue
        (least, most), brought = partial_sums(program, q, emitted)
        low, high = low + brought[0], high + brought[1]
        sums = signed(int(least.min()), int(most.max()), 16) if q.shift or q.pool is not None else None
        ends = int(q.weight.min()), int(q.weight.max())
        packed = packed_bits(*ends) if int8 else 0
        weight = "uint8_t" if packed else signed(*ends)
        name = identifier(f"w{number}", q.name)
        incoming.append(ProjectionPlan(q, name, weight, packed, sums, program.is_static(q)))
    spikes = reach(bounds.spikes)
    packed = packed_bits(0, spikes) if int8 and bounds.spikes[0] >= 0 else 0
    u, membrane = current_reach(program.arithmetic, bounds), membrane_reach(p, bounds)
    delays = [q.delay for q in program.projections if q.source == p.name and brings_something(program, q)]
    work = work_reach(program.arithmetic, p, max(-int(low.min()), int(high.max())), u, membrane, spikes)
    product = max(membrane * largest(p.decay_v), u * largest(p.decay_u)) + DECAY_ONE
    return PopulationPlan(
        p, identifier(f"p{index}", p.name), signed(int(low.min()), int(high.max()), 16), signed(-u, u, 16),
        signed(-membrane, membrane, 16), "uint8_t" if packed else signed(-spikes, spikes), packed, bits_for(-work, work),
        bits_for(-product, product), max(delays, default=0) + 1, tuple(incoming),
    )  # fmt: skip
