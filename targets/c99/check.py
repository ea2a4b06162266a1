"""What the C target cannot take: numbers that 64 bits do not hold, or of which that is not proven."""

from __future__ import annotations

from snncc.program.bounds import prove_bounds
from snncc.program.program import Program
from snncc.target import Finding
from snncc.targets.c99.plan import Plan, plan

MAX_STATE_BITS = 51
"""The width in which :mod:`snncc.program.bounds` proves; a state times a 12-bit decay then fits 64 bits."""
MAX_WORK_BITS = 64
MAX_ARRAY = 2**31 - 1
REMEDY = "use fewer time steps, --bits or --guard-bits"


def check(program: Program) -> list[Finding]:
    """All findings of a Program."""
    return check_plan(plan(program))


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
    return found
