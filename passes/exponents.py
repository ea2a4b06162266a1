"""Powers of two by which the weights of one synapse may be larger than those of another into the same neuron.

All that enters a neuron is counted in one unit, since it adds up. Where a synapse of few large weights (a shortcut) meets one of
many small ones, one scale of few bits fits neither. Chips multiply the sum of a synapse by a power of two of its own (Loihi's
weight exponent, Davies et al. 2018), so that the stored weights keep their bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Node
from snncc.ir.shapes import Shape
from snncc.passes.scales import ScaleChoice, scale_and_error

Array = np.ndarray
LARGEST = 127
"""Of a weight times its power of two: 8 bits, so that programs of few bits have no wider weights than those of 8."""


def choose_exponents(
    dynamics: Dynamics,
    synapses: Mapping[str, Node],
    shape: Shape,
    rules: ScaleChoice.Rules,
    power: Mapping[str, Array | None],
) -> ScaleChoice.Rules:
    """``rules`` with the exponents of least error (of the weights, as the scale's), each synapse's tried one up and down from what
    its own best scale asks for; none where there is no smaller error than with none."""
    most = LARGEST // rules.largest_weight
    if len(synapses) < 2 or most < 2:
        return rules
    errors: dict[tuple[int, ...], float] = {}

    def error(exponents: tuple[int, ...]) -> float:
        if exponents not in errors:
            given = replace(rules, exponents=dict(zip(synapses, exponents, strict=True)))
            errors[exponents] = float(scale_and_error(dynamics, synapses, shape, given, power)[1].sum())
        return errors[exponents]

    highest = most.bit_length() - 1
    none = (0,) * len(synapses)
    best = min(none, _asked_for(dynamics, synapses, shape, rules, power, highest), key=error)
    while (better := min(_beside(best, highest), key=error, default=best)) and error(better) < error(best):
        best = better
    return rules if best == none else replace(rules, exponents=dict(zip(synapses, best, strict=True)))


def _asked_for(
    dynamics: Dynamics,
    synapses: Mapping[str, Node],
    shape: Shape,
    rules: ScaleChoice.Rules,
    power: Mapping[str, Array | None],
    highest: int,
) -> tuple[int, ...]:
    """Exponents that bring the scales that each synapse would have alone together, in the median over channels."""
    alone = [scale_and_error(dynamics, {n: s}, shape, rules, power)[0].unit for n, s in synapses.items()]
    least = min(alone, key=np.median)
    wanted = [float(np.median(np.log2(unit / least))) for unit in alone]
    return _lowered(tuple(round(w) for w in wanted), highest)


def _beside(exponents: tuple[int, ...], highest: int) -> Iterator[tuple[int, ...]]:
    """The exponents with one of them one more or less."""
    for i in range(len(exponents)):
        for step in (-1, 1):
            yield _lowered((*exponents[:i], exponents[i] + step, *exponents[i + 1 :]), highest)


def _lowered(exponents: tuple[int, ...], highest: int) -> tuple[int, ...]:
    """The same with the least at 0, and none above ``highest``."""
    least = min(exponents)
    return tuple(min(k - least, highest) for k in exponents)
