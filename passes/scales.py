"""How the scale of a neuron's synapses is chosen, and weights rounded to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.ir.compose import per_channel
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Node, Sparse
from snncc.ir.shapes import Shape

Array = np.ndarray
Synapse = Dense | Conv1d | Conv2d | Sparse
DECAY_ONE = 4096
CLIP_RATIOS = (1.0, 1.03, 1.06, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
"""Largest weight over largest representable weight, tried in this order: 1 clips nothing; the large ones are for 2 and 3
bits, where one wide weight would leave the others nothing."""
STRETCH = 1 << 14
"""Weights whose rounding error is taken at once, or one output channel's."""
NEAR_WHOLE = 1e-9
"""A quotient this close (relatively) to a whole number is that number: both come from rounded float arithmetic."""


@dataclass(frozen=True, eq=False)
class ScaleChoice:
    """The scale of a neuron's synapses.

    Attributes:
        unit: real membrane per unit of weight: scalar, or one a channel (C,).
        rules: it was chosen by.
    """

    unit: Array
    rules: Rules

    @dataclass(frozen=True)
    class Rules:
        """``largest_weight``; guard bits; the anchor is a multiple of ``step`` and at most ``limit`` guarded units; one
        scale for the layer if ``shared``; synapse to k, 0 if not named, where its weights are ``2**k`` times numbers of at most
        ``largest_weight`` (``exponents``)."""

        largest_weight: int
        guard_bits: int
        step: int
        limit: int
        shared: bool
        exponents: Mapping[str, int] = field(default_factory=dict)

        def factor(self, synapse: str) -> float:
            """``2**k`` of a synapse."""
            return 2.0 ** self.exponents.get(synapse, 0)


def scale_and_error(
    dynamics: Dynamics,
    synapses: Mapping[str, Node],
    shape: Shape,
    rules: ScaleChoice.Rules,
    power: Mapping[str, Array | None],
) -> tuple[ScaleChoice, Array]:
    """The scale with the least weighted squared error, snapped to the reset or threshold: of the clip ratios, and of those
    in which the smallest weight is 1, 2, 3 or 4, so that weights that are whole already stay exact. And that error, (1,) or
    (C,)."""
    first, *others = candidates(dynamics, synapses, shape, rules)
    best_unit, best_error = first, _error(synapses, first, shape, rules, power)
    for unit in others:
        error = _error(synapses, unit, shape, rules, power)
        better = error < best_error
        best_unit, best_error = np.where(better, unit, best_unit), np.where(better, error, best_error)
    return ScaleChoice(best_unit, rules), best_error


def candidates(
    dynamics: Dynamics, synapses: Mapping[str, Node], shape: Shape, rules: ScaleChoice.Rules
) -> Iterator[Array]:
    """The units that :func:`scale_and_error` chooses from, (1,) or (C,), all snapped."""
    mantissas: dict[str, Synapse] = {n: replace(s, weight=s.weight / rules.factor(n)) for n, s in synapses.items()}  # type: ignore
    largest = _largest(mantissas, shape, rules.shared)
    smallest = 1 / _largest({n: _reciprocal(s) for n, s in mantissas.items()}, shape, rules.shared)
    anchor = _anchor(dynamics, shape, rules.shared)
    wanted = [largest / ratio / rules.largest_weight for ratio in CLIP_RATIOS] + [smallest / n for n in (1, 2, 3, 4)]
    return (_snapped(unit, anchor, rules) for unit in wanted)


def _largest(synapses: Mapping[str, Synapse], shape: Shape, shared: bool) -> Array:
    """Largest ``|w|`` into each channel (C,), or into the layer (1,); that of the layer where a channel has none."""
    largest = np.zeros(shape[0])
    for node in synapses.values():
        largest = np.maximum(largest, channel_max(node, shape))
    widest = largest.max() if largest.size and largest.max() > 0 else 1.0
    return np.full(1, widest) if shared else np.where(largest > 0, largest, widest)


def _reciprocal(node: Synapse) -> Synapse:
    """The node with ``1/w`` for its weights, 0 where they are 0."""
    return replace(node, weight=np.divide(1.0, node.weight, out=np.zeros(node.weight.shape), where=node.weight != 0))


def _anchor(dynamics: Dynamics, shape: Shape, shared: bool) -> Array | None:
    """The real value that must be a whole number of guarded units, (1,) or (C,); None where there is no single one."""
    if not dynamics.fires:
        return None
    value = np.asarray(dynamics.subtracted if dynamics.reset == "subtract" else dynamics.threshold, np.float64)
    channels = per_channel(value, shape)
    if channels is None:
        return None
    if not shared:
        return channels
    return channels[:1] if np.ptp(channels) == 0 else None


def _snapped(unit: Array, anchor: Array | None, rules: ScaleChoice.Rules) -> Array:
    """``unit`` or the next larger one that makes the anchor a multiple of ``step``, wherever the anchor has a step to
    stand on; and never so small that the anchor passes its limit."""
    if anchor is None:
        return unit
    multiple = np.floor(anchor * 2.0**rules.guard_bits / unit / rules.step * (1 + NEAR_WHOLE)) * rules.step
    multiple = np.minimum(multiple, rules.limit // rules.step * rules.step)
    return np.where(multiple >= rules.step, anchor * 2.0**rules.guard_bits / np.maximum(multiple, 1), unit)


def quantise_weight(node: Synapse, choice: ScaleChoice, shape: Shape, factor: float) -> Synapse:
    """``node`` with whole-number weights (float64) in units, ``factor`` times what its bits hold."""
    unit = _over_weights(node, choice.unit, shape) * factor
    limit = choice.rules.largest_weight
    return replace(node, weight=np.clip(np.round(node.weight / unit), -limit, limit) * factor)


def channel_max(node: Synapse, shape: Shape) -> Array:
    """(C,) largest ``|w|`` into each output channel of a population of ``shape``."""
    if isinstance(node, Sparse):
        largest = np.zeros(shape[0])
        np.maximum.at(largest, _channel_of(node.index[0], shape), np.abs(node.weight))
        return largest
    return np.abs(node.weight).reshape(len(node.weight), -1).max(axis=1)


def per_neuron(unit: Array, shape: Shape) -> Array:
    """A scalar or (C,) array so shaped that it broadcasts to ``shape``."""
    return unit.reshape(-1, *(1,) * (len(shape) - 1)) if unit.size > 1 else unit.reshape(())


def whole(x: Array, rounding: Callable[[Array], Array]) -> Array:
    """``x`` rounded, where values within :data:`NEAR_WHOLE` of a whole number count as that number; one value where all
    are equal."""
    nearest = np.round(x)
    close = np.abs(x - nearest) <= NEAR_WHOLE * np.maximum(np.abs(x), 1)
    rounded = np.where(close, nearest, rounding(x)) + 0.0  # no negative zero
    return rounded.reshape(-1)[0] if rounded.size and np.ptp(rounded) == 0 else rounded


def _channel_of(flat: Array, shape: Shape) -> Array:
    return flat // int(np.prod(shape[1:]))


def _over_weights(node: Synapse, unit: Array, shape: Shape) -> Array:
    """``unit`` (1,) or (C,) shaped to broadcast over the node's weight."""
    if unit.size == 1:
        return unit.reshape(())
    if isinstance(node, Sparse):
        return unit[_channel_of(node.index[0], shape)]
    return unit.reshape((-1,) + (1,) * (node.weight.ndim - 1))


def _error(
    synapses: Mapping[str, Node], unit: Array, shape: Shape, rules: ScaleChoice.Rules, power: Mapping[str, Array | None]
) -> Array:
    """Squared rounding error of the weights, weighted with the power of their inputs; (1,) or (C,) like ``unit``."""
    total = np.zeros(shape[0])
    choice = ScaleChoice(unit, rules)
    for name, node in synapses.items():
        assert isinstance(node, Synapse)
        factor = rules.factor(name)
        if isinstance(node, Sparse):
            back = quantise_weight(node, choice, shape, factor).weight * _over_weights(node, unit, shape)
            np.add.at(total, _channel_of(node.index[0], shape), np.square(node.weight - back))
            continue
        weighted = _input_power(node, power.get(name))
        rows = max(1, STRETCH // node.weight[0].size)  # a stretch at a time stays in the cache
        for start in range(0, len(node.weight), rows):
            part = replace(node, weight=node.weight[start : start + rows], bias=None)
            of_part = replace(choice, unit=unit if unit.size == 1 else unit[start : start + rows])
            back = quantise_weight(part, of_part, shape, factor).weight * _over_weights(part, of_part.unit, shape)
            squared = np.square(part.weight - back)
            squared *= weighted if isinstance(weighted, float) or len(weighted) == 1 else weighted[start : start + rows]
            total[start : start + rows] += squared.reshape(len(squared), -1).sum(axis=1)
    return total.sum(keepdims=True) if unit.size == 1 else total


def _input_power(node: Synapse, power: Array | None) -> Array | float:
    """Mean square of each weight's input, shaped to broadcast over the weight; 1 where nothing was measured."""
    if power is None or isinstance(node, Sparse):
        return 1.0
    floor = 1e-3 * power.mean()  # a silent input of the calibration set may still speak later
    power = power + floor
    if isinstance(node, Dense):
        return power[None, :]
    grouped = power.reshape(node.groups, node.weight.shape[1])
    rows = np.repeat(grouped, len(node.weight) // node.groups, axis=0)
    return rows.reshape(*rows.shape, *(1,) * (node.weight.ndim - 2))
