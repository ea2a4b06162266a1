"""What the ONNX target cannot take: numbers that 64 bits do not hold, or of which that is not proven."""

from __future__ import annotations

from snncc.program.program import Program
from snncc.target import Finding
from snncc.targets.onnx_int.operands import LARGEST_ROW
from snncc.targets.onnx_int.plan import Plan, plan

MAX_STATE_BITS = 51
"""The width in which :mod:`snncc.program.bounds` proves; a state times a 12-bit decay then fits 64 bits."""
MAX_WORK_BITS = 64
MAX_FAN_IN = LARGEST_ROW // 255
"""Products of two bytes that 32 bits surely hold the sum of."""
REMEDY = "use fewer time steps, --bits or --guard-bits"


def check(program: Program) -> list[Finding]:
    """All findings of a Program."""
    return check_plan(plan(program))


def check_plan(made: Plan) -> list[Finding]:
    """All findings; each stops the compilation."""
    found = []
    for p in made.populations:
        name = p.population.name
        bits = made.state_bits[name]
        if name in made.unproven or bits > MAX_STATE_BITS:
            found.append(Finding(name, "state too wide", f"{bits} bits", f"{MAX_STATE_BITS} bits", REMEDY))
        elif p.bits > MAX_WORK_BITS:
            what = "intermediate result too wide"
            found.append(Finding(name, what, f"{p.bits} bits", f"{MAX_WORK_BITS} bits", REMEDY))
        for q in p.incoming:
            if not q.limit:
                what, actual = "too many inputs a neuron", f"{q.projection.weight[0].size}"
                remedy = "use a smaller layer or a sparse projection"
                found.append(Finding(q.projection.name, what, actual, f"{MAX_FAN_IN}", remedy))
    if made.score_bits > MAX_WORK_BITS:
        what = "scores too wide"
        actual = f"{made.score_bits} bits"
        found.append(Finding(made.program.readout.population, what, actual, f"{MAX_WORK_BITS} bits", REMEDY))
    return found
