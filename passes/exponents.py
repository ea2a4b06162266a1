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


def choose_scale(
    dynamics: Dynamics,
    synapses: Mapping[str, Node],
    shape: Shape,
    rules: ScaleChoice.Rules,
    power: Mapping[str, Array | None],
) -> ScaleChoice:
    """The scale and, in its rules, the exponents of least error (of the weights), each synapse's tried one up and down from what
    its own best scale asks for; none where there is no smaller error than with none."""

    def scale(some: Mapping[str, Node], given: ScaleChoice.Rules) -> tuple[ScaleChoice, Array]:
        return scale_and_error(dynamics, some, shape, given, power)

    most = LARGEST // rules.largest_weight
    if len(synapses) < 2 or most < 2:
        return scale(synapses, rules)[0]
    tried: dict[tuple[int, ...], tuple[ScaleChoice, Array]] = {}

    def error(exponents: tuple[int, ...]) -> float:
        if exponents not in tried:
            named = dict(zip(synapses, exponents, strict=True)) if any(exponents) else {}
            tried[exponents] = scale(synapses, replace(rules, exponents=named))
        return float(tried[exponents][1].sum())

    highest = most.bit_length() - 1
    alone = [scale({n: s}, rules)[0].unit for n, s in synapses.items()]
    best = min((0,) * len(synapses), _asked_for(alone, highest), key=error)
    while (better := min(_beside(best, highest), key=error)) and error(better) < error(best):
        best = better
    return tried[best][0]


def _asked_for(alone: list[Array], highest: int) -> tuple[int, ...]:
    """Exponents that bring the units that each synapse would have alone together, in the median over channels."""
    least = min(alone, key=np.median)
    return _lowered(tuple(round(float(np.median(np.log2(unit / least)))) for unit in alone), highest)


def _beside(exponents: tuple[int, ...], highest: int) -> Iterator[tuple[int, ...]]:
    """The exponents with one of them one more or less."""
    for i in range(len(exponents)):
        for step in (-1, 1):
            yield _lowered((*exponents[:i], exponents[i] + step, *exponents[i + 1 :]), highest)


def _lowered(exponents: tuple[int, ...], highest: int) -> tuple[int, ...]:
    """The same with the least at 0, and none above ``highest``."""
    least = min(exponents)
    return tuple(min(k - least, highest) for k in exponents)
