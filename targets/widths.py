"""How large the numbers of a step become, for targets that choose integer types: from the proof of
:mod:`snncc.program.bounds`. A reach is the largest magnitude of a number, whatever the input."""

from __future__ import annotations

import numpy as np

from snncc.program.bounds import PopulationBounds, arrived, sum_interval
from snncc.program.intervals import Interval
from snncc.program.program import Arithmetic, Population, Program, Projection


def reach(extent: tuple[int, int]) -> int:
    """Of a number in low..high."""
    return max(-extent[0], extent[1])


def largest(value: np.ndarray | None) -> int:
    """Of a constant; 0 for None."""
    return 0 if value is None else max(int(value.max()), -int(value.min()))


def brings_something(program: Program, q: Projection) -> bool:
    """False where every sum is 0: no weights, a sender that never fires, or a delay beyond the last step."""
    silent = q.source != program.source.name and not program.population(q.source).fires
    return bool(q.weight.any()) and not silent and q.delay < program.time_steps


def emitted_intervals(program: Program, bounds: dict[str, PopulationBounds]) -> dict[str, Interval]:
    """Lowest and highest value of each neuron of the source and of every population."""
    source = program.source
    ends = (np.full(source.shape, source.low, np.int64), np.full(source.shape, source.high, np.int64))
    return {source.name: ends} | {name: b.spike_interval for name, b in bounds.items()}


def partial_sums(program: Program, q: Projection, emitted: dict[str, Interval]) -> tuple[Interval, Interval]:
    """(sums, what they bring to the target) with every sum on the way to them: terms come one at a time, so that the
    interval is as if each source could be silent."""
    least, most = (clip(end, 0) for clip, end in zip((np.minimum, np.maximum), emitted[q.source], strict=True))
    least, most = sum_interval(program, q, (least, most))
    return (least, most), (arrived(q, least), arrived(q, most))


def current_reach(arithmetic: Arithmetic, bounds: PopulationBounds) -> int:
    """Of the current, before and after its overflow rule: one that wraps may turn up at the other end."""
    limit = 1 << (arithmetic.state_bits - 1)
    return max(reach(bounds.current), 0 if bounds.current_fits else limit)


def membrane_reach(p: Population, bounds: PopulationBounds) -> int:
    """Of the membrane at any time."""
    return max(reach(bounds.membrane), largest(p.v_init))


def work_reach(arithmetic: Arithmetic, p: Population, arriving: int, u: int, membrane: int, spikes: int) -> int:
    """Of any intermediate result of the update in the reference's order, but for decays, a little wide."""
    limit = 0 if arithmetic.membrane_overflow == "error" else 2 << (arithmetic.state_bits - 1)
    injected = (arriving << p.guard_bits) + largest(p.current_bias)
    reset = max(2 * spikes * largest(p.reset_amount) if p.reset == "subtract" else 0, largest(p.reset_value))
    total = membrane + u + injected + largest(p.bias) + reset + limit
    return max(total, largest(p.v_min), largest(p.threshold) + 1, largest(p.reset_amount))


def score_reach(program: Program, bounds: dict[str, PopulationBounds]) -> int:
    """Of a score, at any step."""
    readout = program.readout
    b = bounds[readout.population]
    if readout.kind == "membrane":
        return membrane_reach(program.population(readout.population), b)
    times = 1 if readout.each_step else program.time_steps
    if readout.kind == "summed_current":
        return times * current_reach(program.arithmetic, b)
    weights = readout.time_weights
    return reach(b.spikes) * (times if weights is None else sum(abs(int(w)) for w in weights))
