"""What a module returns: spikes or membranes of all steps, of the last one, or their sum or mean over time.

The readout of a Graph makes the same of its last layer, so only that layer matters here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import fx

from snncc.errors import UnsupportedError
from snncc.frontends.torch_axes import Axes
from snncc.frontends.torch_functions import function_name

UNCHANGED = (*("contiguous", "detach", "clone", "float"), *("transpose", "swapaxes", "permute", "movedim"))


@dataclass(frozen=True, eq=False)
class Result:
    """What the output of the network reads.

    Attributes:
        value: of the trace that gives it.
        membrane: whether it is the membrane of a neuron that fires.
        all_steps: whether the module returns it of all steps, or their sum or mean.
    """

    value: fx.Node
    membrane: bool = False
    all_steps: bool = False


def find_result(
    name: str,
    returned: Any,
    values: Mapping[fx.Node, Any],
    axes: Mapping[fx.Node, Axes],
    neurons: Mapping[str, Any],
    steps: int,
) -> Result:
    """The value of the trace that the output of the network ``name`` reads; of several that are returned, the first.
    ``neurons`` are the neurons by name, ``steps`` is T where the module has one, else 1.

    Raises :class:`UnsupportedError` where the module returns what no readout makes.
    """
    value = returned
    while not isinstance(value, fx.Node):
        if not isinstance(value, tuple | list) or not value:
            raise UnsupportedError(f"{name}: returns {type(value).__name__}; return spikes or scores")
        value = value[0]
    function = function_name(value)

    def of(part: Any) -> Result:
        return replace(find_result(name, part, values, axes, neurons, steps), all_steps=True)

    if function == "stack" and isinstance(value.args[0], tuple | list) and len(value.args[0]) == steps:
        return of(value.args[0][-1])
    if function in ("sum", "mean"):
        part = value.args[0]
        if isinstance(part, fx.Node) and "T" in axes.get(part, ()) and "T" not in axes.get(value, ("T",)):
            return of(part)
        axis = value.kwargs.get("dim", value.args[1] if len(value.args) > 1 else None)
        raise UnsupportedError(
            f"{value.name}: {function} over axis {axis} is no sum over all time steps; return the spikes"
        )
    if function == "truediv" and steps > 1 and value.args[1] == steps:
        return of(value.args[0])
    if function == "add" and steps > 1:
        added = _added_up(value)
        if len(added) == steps and len({(node.op, node.target) for node in added}) == 1:
            return of(added[-1])
    if value in axes and function in UNCHANGED:
        return find_result(name, value.args[0], values, axes, neurons, steps)
    if function == "getitem" and isinstance(value.args[1], int) and value.args[1] > 0:
        call = value.args[0]
        if isinstance(call, fx.Node) and call.op == "call_module" and str(call.target) in neurons:
            _check_membrane(call, value.args[1], values)
            return Result(call, membrane=True)
    return Result(value, all_steps=steps == 1 or any("T" in letter for letter in axes.get(value, ())))


def _check_membrane(call: fx.Node, index: int, values: Mapping[fx.Node, Any]) -> None:
    """Of what a neuron returns, the membrane is the last."""
    states = values[call]
    if index != len(states) - 1 or not hasattr(states[index], "shape"):
        raise UnsupportedError(
            f"{call.target}: the module returns its state {index} first; snncc reads spikes or membranes there"
        )


def _added_up(value: fx.Node) -> list[fx.Node]:
    """The values of a running sum, oldest first: ``((0 + a) + b) + c``."""
    found: list[fx.Node] = []
    rest: Any = value
    while isinstance(rest, fx.Node) and function_name(rest) == "add":
        rest, last = rest.args
        if isinstance(last, fx.Node):
            found.append(last)
    if isinstance(rest, fx.Node):
        found.append(rest)
    elif rest != 0:
        return []
    return found[::-1]
