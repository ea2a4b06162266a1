"""Everything Lava cannot take of a Program, all at once. The placement rules are those the emitter uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from snncc.program.bounds import Bounds, prove_bounds
from snncc.program.program import Population, Program
from snncc.target import Finding
from snncc.targets.loihi_sim.limits import (
    ACCUMULATOR_LIMIT,
    DELAY_HIGH,
    GUARD_BITS,
    PAYLOAD_HIGH,
    STATE_LIMIT,
    THRESHOLD_REGISTER_HIGH,
    WEIGHT_HIGH,
    WEIGHT_LOW,
)
from snncc.targets.loihi_sim.placement import Placement, place, spike_range, weight_range_fits

ENCODINGS = ("static", "frames", "spikes")
READOUTS = ("spike_count", "weighted_count", "membrane", "summed_current")


def check(program: Program) -> list[Finding]:
    """All findings of a Program; empty where Lava can run it. The Program itself must be sound (``check_program``)."""
    bounds = prove_bounds(program)
    placement = place(program, bounds)
    return [finding for rule in RULES for finding in rule(program, placement, bounds)]


def _arithmetic(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    if program.arithmetic.name != "loihi":
        yield Finding(
            program.name, "arithmetic", program.arithmetic.name, "loihi (24-bit states, rounding toward zero)",
            "compile it for this target",
        )  # fmt: skip


def _ends(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    if program.source.encoding not in ENCODINGS:
        yield Finding(
            program.source.name,
            "input encoding",
            program.source.encoding,
            ", ".join(ENCODINGS),
            "use one of these encodings",
        )
    if program.readout.kind not in READOUTS:
        yield Finding(
            program.readout.population, "readout", program.readout.kind, ", ".join(READOUTS), "use one of these"
        )


def _weights(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.projections:
        if not weight_range_fits(p):
            actual = f"{int(p.weight.min())}..{int(p.weight.max())}"
            yield Finding(
                p.name, "weights", actual, f"{WEIGHT_LOW}..{WEIGHT_HIGH}", "quantise to 8 bits (--bits 8) or fewer"
            )


def _pooling(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.projections:
        if p.pool is not None:
            yield Finding(
                p.name,
                "max pooling",
                f"{p.pool[0]}×{p.pool[1]} over its sums",
                "none: Loihi adds what arrives",
                "use average pooling and train again, or run it on fixed-sim",
            )


def _guard_bits(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.populations:
        if p.guard_bits != GUARD_BITS:
            yield Finding(
                p.name, "guard bits", str(p.guard_bits), str(GUARD_BITS), f"compile with {GUARD_BITS} guard bits"
            )


def _thresholds(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.populations:
        if p.fires and _largest(p.threshold) >> p.guard_bits > THRESHOLD_REGISTER_HIGH:
            yield Finding(
                p.name, "threshold", f"{_largest(p.threshold) >> p.guard_bits} units", str(THRESHOLD_REGISTER_HIGH),
                "quantise with fewer bits, so that a unit is worth more",
            )  # fmt: skip


def _states(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.populations:
        for what in ("bias", "current_bias", "v_init", "v_min", "reset_amount", "reset_value"):
            value = getattr(p, what)
            if value is not None and _counts(p, what) and _largest(value) >= STATE_LIMIT:
                yield Finding(
                    p.name, what.replace("_", " "), f"{_largest(value)} guarded units", f"{STATE_LIMIT - 1} (24 bits)",
                    "quantise with fewer bits, so that a unit is worth more",
                )  # fmt: skip


def _counts(p: Population, what: str) -> bool:
    """Whether a population uses a parameter at all."""
    used = {"reset_amount": p.reset == "subtract", "reset_value": p.reset == "to_value"}
    return used.get(what, True) and (p.fires or what not in used)


def _payloads(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for name in (program.source.name, *(p.name for p in program.populations)):
        low, high = spike_range(program, name)
        if max(-low, high) > PAYLOAD_HIGH:
            yield Finding(
                name, "graded spike", f"{low}..{high}", f"±{PAYLOAD_HIGH}", "scale the input or the levels down"
            )


def _sums(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    for p in program.populations:
        reached = [(name, max(-low, high)) for name, (low, high) in bounds.populations[p.name].sums.items()]
        low, high = bounds.populations[p.name].arriving
        for name, largest in (*reached, (p.name, max(-low, high))):
            if largest >= ACCUMULATOR_LIMIT:
                yield Finding(
                    name, "summed input", str(largest), f"{ACCUMULATOR_LIMIT - 1} (32 bits)",
                    "use narrower weights (--bits) or a smaller input range",
                )  # fmt: skip


def _delays(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    if placement.loop:
        return
    for projection, placed in zip(program.projections, placement.projections, strict=True):
        extra = projection.delay if placed.process == "host" else placed.latency - 1
        if extra > DELAY_HIGH:
            yield Finding(
                placed.name, "delay", f"{extra} steps beyond the connection's own", str(DELAY_HIGH),
                "shorten the delay, or the longest path beside it",
            )  # fmt: skip


def _loops(program: Program, placement: Placement, bounds: Bounds) -> Iterator[Finding]:
    if placement.loop:
        delays = sum(p.delay for p in program.projections if p.name in placement.loop)
        yield Finding(
            placement.loop[0], f"loop through {', '.join(placement.loop)}", f"delays of {delays} in all",
            f"at least {len(placement.loop)}, because every connection takes a step",
            f"give the loop {len(placement.loop) - delays} more steps of delay",
        )  # fmt: skip


def _largest(values: np.ndarray) -> int:
    return max(int(values.max()), -int(values.min())) if values.size else 0


RULES: tuple[Callable[[Program, Placement, Bounds], Iterator[Finding]], ...] = (
    _arithmetic,
    _ends,
    _weights,
    _pooling,
    _guard_bits,
    _thresholds,
    _states,
    _payloads,
    _sums,
    _delays,
    _loops,
)
