"""What the C target cannot take: numbers that 64 bits do not hold, or of which that is not proven; with ``--int8`` weights of more
than 8 bits and numbers of more than 32."""

from __future__ import annotations

from snncc.program.bounds import bits_for, prove_bounds
from snncc.program.program import Program
from snncc.target import Finding
from snncc.targets.c99.plan import BYTES, Plan, plan

MAX_STATE_BITS = 51
"""The width in which :mod:`snncc.program.bounds` proves; a state times a 12-bit decay then fits 64 bits."""
MAX_WORK_BITS = 64
MAX_ARRAY = 2**31 - 1
INT8_WEIGHT_BITS = 8
INT8_WORK_BITS = 32
REMEDY = "use fewer time steps, --bits or --guard-bits"
FEWER_BITS = "compile with --bits 8 or fewer"
NO_INT8 = "or leave --int8 out"


def check(program: Program, int8: bool = False) -> list[Finding]:
    """All findings of a Program."""
    return check_plan(plan(program, int8))


def check_plan(made: Plan) -> list[Finding]:
    """All findings; each stops the compilation."""
    program = made.program
    found = []
    for name, b in prove_bounds(program).populations.items():
        bits = max(b.state_bits, b.accumulator_bits)
        if name in made.unproven or bits > MAX_STATE_BITS:
            found.append(Finding(name, "state too wide", f"{bits} bits", f"{MAX_STATE_BITS} bits", REMEDY))
    for p in made.populations:
        bits = max(p.work_bits, p.product_bits)
        if bits > MAX_WORK_BITS:
            what = "intermediate result too wide"
            found.append(Finding(p.population.name, what, f"{bits} bits", f"{MAX_WORK_BITS} bits", REMEDY))
        sizes = [p.population.size * p.slots, *(q.projection.weight.size for q in p.incoming)]
        if max(sizes) > MAX_ARRAY:
            what, remedy = "array too long", "use a smaller layer or shorter delays"
            found.append(Finding(p.population.name, what, f"{max(sizes)} elements", f"{MAX_ARRAY}", remedy))
    if made.score_bits > MAX_WORK_BITS:
        what = "scores too wide"
        found.append(
            Finding(program.readout.population, what, f"{made.score_bits} bits", f"{MAX_WORK_BITS} bits", REMEDY)
        )
    return found + (_check_int8(made) if made.int8 else [])


def _check_int8(made: Plan) -> list[Finding]:
    """What keeps the network from the promise of ``--int8``."""
    found = []

    def too_wide(layer: str, what: str, bits: int, limit: int = INT8_WORK_BITS, remedy: str = REMEDY) -> None:
        if bits > limit:
            found.append(Finding(layer, what, f"{bits} bits", f"{limit} bits with --int8", f"{remedy}, {NO_INT8}"))

    for p in made.populations:
        for q in p.incoming:
            name, ends = q.projection.name, (int(q.projection.weight.min()), int(q.projection.weight.max()))
            too_wide(name, f"weights {ends[0]}..{ends[1]} too wide", bits_for(*ends), INT8_WEIGHT_BITS, FEWER_BITS)
            too_wide(name, "sum too wide", 8 * BYTES[q.sums or "int8_t"])
        too_wide(p.population.name, "state or intermediate result too wide", p.work_bits)
    table = made.program.readout.time_weights or (0,)
    score_bits = max(made.score_bits, bits_for(min(table), max(table)))
    too_wide(made.program.readout.population, "scores too wide", score_bits)
    return found
