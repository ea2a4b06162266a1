"""Networks that come as whole numbers: their neurons name the unit, and quantisation keeps every number.

A reader of an integer format sets ``graph.origin["whole_units"]``, a table from neuron to what one unit of its weights is
worth on its membrane. Nothing is rounded then; what is not whole in that unit is an error, because somebody meant it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Neuron, Node, Sparse

DECAY_ONE = 4096
ORIGIN = "whole_units"


def own_units(graph: Graph) -> dict[str, float]:
    """Neuron to its unit, for the neurons that have one."""
    given = graph.origin.get(ORIGIN)
    if not isinstance(given, Mapping):
        return {}
    return {name: float(given[name]) for name in graph.of_type(Neuron) if name in given}


def taken_over(name: str, synapses: Mapping[str, Node], unit: float) -> dict[str, Node]:
    """The synapses into ``name`` with their weights in units, unrounded. Raises :class:`UnsupportedError` where one is not
    whole."""
    made: dict[str, Node] = {}
    for synapse, node in synapses.items():
        assert isinstance(node, Dense | Conv1d | Conv2d | Sparse)
        weight = node.weight / unit
        _check(name, f"the weight of {synapse}", weight)
        made[synapse] = replace(node, weight=weight)
    return made


def check_whole(name: str, d: Dynamics, unit: float, guard_bits: int) -> None:
    """Raise :class:`UnsupportedError` where a constant of ``name`` is no whole number of guarded units, or a decay of
    4096ths."""
    for what in ("threshold", "bias", "current_bias", "reset_value", "v_init", "v_min", "reset_amount"):
        value = getattr(d, what)
        if value is not None:
            _check(name, what, np.asarray(value) / unit * 2.0**guard_bits)
    for what in ("membrane_decay", "current_decay"):
        if getattr(d, what) is not None:
            _check(name, f"{what} · {DECAY_ONE}", np.asarray(getattr(d, what)) * DECAY_ONE)


def _check(name: str, what: str, value: np.ndarray) -> None:
    if not np.array_equal(value, np.round(value)):
        bad = float(value[value != np.round(value)].flat[0]) if value.ndim else float(value)
        raise UnsupportedError(
            f"{name}: {what} is {bad:g} units, not whole, though the file's numbers are; no pass may change them, so remove "
            "what scales this layer (input_scale, a gain)"
        )
