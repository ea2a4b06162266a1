"""Nodes of one step of a population: the equations of :mod:`snncc.program.reference`, in their order.

What is proven to change nothing is left out: overflow rules of states that fit, decays of 1, biases of 0. ``Where`` on
int64 is slow in onnxruntime, so choices are sums and products with 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.frontends.onnx_emit import Emitter
from snncc.program.program import DECAY_BITS, Arithmetic, Population
from snncc.targets.onnx_int.plan import PopulationPlan, leaks
from snncc.targets.onnx_int.values import Values, cast, maximum, minimum, shift_right


@dataclass(frozen=True)
class State:
    """Names of current u, membrane v and spikes n after a step, (N, *shape) of the population's type; "" where not kept."""

    u: str
    v: str
    n: str


def late_reset(p: Population) -> bool:
    """Whether the spikes of the step before matter."""
    return p.fires and p.reset_timing.startswith("next_step") and (p.reset != "none" or p.reset_current)


def emit_injected(e: Emitter, values: Values, plan: PopulationPlan, current: str) -> str:
    """``(i << guard_bits) + current_bias``."""
    p = plan.population
    if p.guard_bits:
        current = e.op(p.name, "Mul", current, values.number(1 << p.guard_bits, plan.dtype))
    return _plus(e, values, plan, current, "current_bias")


def emit_update(
    e: Emitter, values: Values, arithmetic: Arithmetic, plan: PopulationPlan, old: State, injected: str
) -> State:
    """The state after one step."""
    return _Update(e, values, arithmetic, plan).step(old, injected)


def _plus(e: Emitter, values: Values, plan: PopulationPlan, x: str, what: str) -> str:
    value = getattr(plan.population, what)
    name = plan.population.name
    return e.op(name, "Add", x, values.constant(f"{name}.{what}", value, plan.dtype)) if value.any() else x


class _Update:
    def __init__(self, e: Emitter, values: Values, arithmetic: Arithmetic, plan: PopulationPlan) -> None:
        self.e, self.values, self.arithmetic, self.plan = e, values, arithmetic, plan
        self.p, self.dtype = plan.population, plan.dtype

    def step(self, old: State, injected: str) -> State:
        p, a, plan = self.p, self.arithmetic, self.plan
        timing = p.reset_timing if p.fires else ""
        u = injected
        if p.decay_u is not None:
            u = self.op("Add", self.decay(old.u, "decay_u", plan.u), injected)
        if not plan.current_fits:
            u = self.overflow(u, a.current_overflow)
        v = old.v
        if p.decay_timing == "before":
            v = self.decay(v, "decay_v", plan.membrane)
        if timing == "next_step":
            v = self.reset(v, old.n)
        v = self.op("Add", v, old.u if p.current_timing == "after" else u)
        v = _plus(self.e, self.values, plan, v, "bias")
        if timing == "next_step_after_input":
            v = self.reset(v, old.n)
        owed = self.count(old.v) if timing == "immediate_pending" else ""
        if owed:
            v = self.reset(v, owed)
        if not plan.membrane_fits:
            v = self.overflow(v, a.membrane_overflow)
        if p.v_min is not None:
            v = maximum(self.e, self.values, p.name, v, self.constant("v_min"), self.dtype)
        n = self.count(v) if p.fires else ""
        if timing == "immediate":
            v = self.reset(v, n)
        if owed:
            v = self.reset(v, self.op("Sub", n, owed))
        if p.decay_timing == "after":
            v = self.decay(v, "decay_v", plan.membrane)
        if p.fires and p.reset_current:
            silent = self.op("Sub", self.number(1), self.fired(old.n if late_reset(p) else n))
            u = self.op("Mul", u, silent)
        return State(u, v, n)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.e.op(self.p.name, kind, *inputs, **attributes)

    def number(self, value: int) -> str:
        return self.values.number(value, self.dtype)

    def constant(self, what: str) -> str:
        return self.values.constant(f"{self.p.name}.{what}", getattr(self.p, what), self.dtype)

    def decay(self, x: str, what: str, reach: int) -> str:
        """``x · factor / 4096``; ONNX divides whole numbers towards zero."""
        if not leaks(getattr(self.p, what)):
            return x
        product = self.op("Mul", x, self.constant(what))
        if self.arithmetic.rounding == "toward_zero":
            return self.op("Div", product, self.number(1 << DECAY_BITS))
        half = 1 << (DECAY_BITS - 1) if self.arithmetic.rounding == "nearest" else 0
        low = -(reach << DECAY_BITS)
        return shift_right(self.e, self.values, self.p.name, product, DECAY_BITS, low, self.dtype, half)

    def overflow(self, x: str, rule: str) -> str:
        limit = 1 << (self.arithmetic.state_bits - 1)
        if rule == "saturate":
            x = maximum(self.e, self.values, self.p.name, x, self.number(1 - limit), self.dtype)
            return minimum(self.e, self.values, self.p.name, x, self.number(limit - 1), self.dtype)
        above = cast(self.e, self.p.name, self.op("Greater", x, self.number(limit)), self.dtype)
        below = cast(self.e, self.p.name, self.op("LessOrEqual", x, self.number(-limit)), self.dtype)
        turns = self.op("Sub", above, below)
        return self.op("Sub", x, self.op("Mul", turns, self.number(2 * limit)))

    def count(self, v: str) -> str:
        """Spikes of a step for membrane ``v``."""
        spikes = self.one_sided(v)
        return self.op("Sub", spikes, self.one_sided(self.op("Neg", v))) if self.p.signed else spikes

    def one_sided(self, x: str) -> str:
        p = self.p
        if p.levels == 1:
            fired = self.op("Greater" if p.compare == ">" else "GreaterOrEqual", x, self.constant("threshold"))
            return cast(self.e, p.name, fired, self.dtype)
        spacing = np.maximum(p.reset_amount if p.reset == "subtract" else p.threshold, 1)
        before = p.threshold + (1 if p.compare == ">" else 0) - spacing
        above = self.op("Sub", x, self.values.constant(f"{p.name}.before_first", before, self.dtype))
        above = maximum(self.e, self.values, p.name, above, self.number(0), self.dtype)
        passed = self.op("Div", above, self.values.constant(f"{p.name}.spacing", spacing, self.dtype))
        return minimum(self.e, self.values, p.name, passed, self.number(p.levels), self.dtype)

    def fired(self, n: str) -> str:
        """1 where there are spikes, else 0."""
        if self.p.levels == 1 and not self.p.signed:
            return n
        return cast(self.e, self.p.name, cast(self.e, self.p.name, n, bool), self.dtype)

    def reset(self, v: str, spikes: str) -> str:
        p = self.p
        if p.reset == "subtract":
            return self.op("Sub", v, self.op("Mul", spikes, self.constant("reset_amount")))
        if p.reset == "to_value":
            way = self.op("Sub", self.constant("reset_value"), v)
            return self.op("Add", v, self.op("Mul", self.fired(spikes), way))
        return v
