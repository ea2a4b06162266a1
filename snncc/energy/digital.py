"""A digital core priced from its parts: arithmetic by bit width and memory by capacity.

With weights of w bits in a memory of W bytes and states of s bits in a memory of S bytes (``[core]`` of a cost file)::

    synaptic operation = w·bit(W) + 2·s·bit(S) + add(s)      read the weight; read, add to and write the accumulator
    neuron access      = s·bit(S) + add(s)                   read the state, compare it with the threshold
    neuron update      = multiply(s) + add(s) + s·bit(S)     leak, integrate and write the state

A width that is not published is priced as the next wider one that is; a bit's energy lies between the published capacities on
a straight line over the logarithm of capacity, and nowhere outside them. Messages, network and leakage have no published cost
in this model and stay out of it.
"""

from __future__ import annotations

import math
from itertools import pairwise

from snncc.energy.costs import CURVES, Cost, CostSet, Interval
from snncc.errors import InputError


def on_curve(points: tuple[Cost, ...], at: float) -> Interval | None:
    """Value in SI units on a straight line over log(at) between published points; None outside them."""
    for point in points:
        if point.at == at:
            return point.si
    for one, two in pairwise(points):
        assert one.at is not None and two.at is not None
        if one.at < at < two.at:
            share = math.log(at / one.at) / math.log(two.at / one.at)
            return one.si.times(1 - share) + two.si.times(share)
    return None


def digital_energies(costs: CostSet) -> dict[str, Cost]:
    """Energies an event of the core that ``costs.core`` describes, in joules. Raises :class:`InputError`."""
    core = costs.core
    for name in ("add", "multiply", "sram_bit"):
        if name not in costs.curves:
            raise InputError(f"{costs.file}: [core] needs [[curve.{name}]] ({CURVES[name][2]}) too")
    add, multiply = (_arithmetic(costs, name, core["state_bits"]) for name in ("add", "multiply"))
    weight = _bit(costs, core["weight_bytes"]).times(core["weight_bits"])
    state = _bit(costs, core["state_bytes"]).times(core["state_bits"])
    synapse = weight + state.times(2) + add
    made = {
        "neuron_access": (state + add, "reads the state and compares it"),
        "neuron_update": (multiply + add + state, "leaks, integrates and writes the state"),
        **{
            f"synapse_{kind}": (synapse, "reads the weight and adds it to the state")
            for kind in ("dense", "sparse", "conv")
        },
    }
    shape = ", ".join(f"{key} {value:g}" for key, value in core.items())
    return {
        name: Cost(name, energy, "J", "derived", f"{what}; {shape}", _sources(costs))
        for name, (energy, what) in made.items()
    }


def _arithmetic(costs: CostSet, name: str, bits: float) -> Interval:
    for point in costs.curves[name]:
        if point.at is not None and bits <= point.at:
            return point.si
    widest = costs.curves[name][-1].at
    raise InputError(
        f"{costs.file}: core: {bits:g} bits are wider than the widest curve.{name}, {widest:g}; add a point"
    )


def _bit(costs: CostSet, capacity: float) -> Interval:
    points = costs.curves["sram_bit"]
    value = on_curve(points, capacity)
    if value is None:
        first, last = points[0].at, points[-1].at
        raise InputError(
            f"{costs.file}: core: {capacity:g} bytes lie outside curve.sram_bit, {first:g} to {last:g} bytes; add a point"
        )
    return value


def _sources(costs: CostSet) -> str:
    points = (p for name in ("add", "multiply", "sram_bit") for p in costs.curves[name])
    return "; ".join(dict.fromkeys(p.source for p in points))
