"""Which leading axes the values of a trace have: batch, time, both in either order, or both in one.

Axes are written as letters, outermost first: ("N",) is one time step, ("T", "N") and ("N", "T") all of them, ("TN",) and
("NT",) all of them in one axis, and "1" an axis that a static input gets to be repeated along. What a module's input has
follows from its neurons: the first of the known layouts with which every neuron gets what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import fx

from snncc.frontends.torch_functions import function_name
from snncc.frontends.torch_neurons import Part

Axes = tuple[str, ...]
Sizes = tuple[int, ...]
LAYOUT_AXES: Mapping[str, Axes] = {
    "step": ("N",),
    "time_batch": ("T", "N"),
    "batch_time": ("N", "T"),
    "squeezed": ("NT",),
}
RESHAPES = ("flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze", "Flatten")
REPEATS = ("repeat", "expand", "unsqueeze")


@dataclass(frozen=True, eq=False)
class AxesOf:
    """Axes of the values of one trace.

    Attributes:
        layout: of the input, a key of ``LAYOUT_AXES``.
        axes: of the values that depend on the input.
        problems: why a value's axes are not known.
        misfits: neurons that do not get what they take.
        steps: T where the trace says it, else None.
    """

    layout: str
    axes: dict[fx.Node, Axes] = field(default_factory=dict)
    problems: dict[fx.Node, str] = field(default_factory=dict)
    misfits: list[str] = field(default_factory=list)
    steps: int | None = None


def find_axes(
    graph: fx.Graph, values: Mapping[fx.Node, Any], parts: Mapping[str, Part], calls: int, flattening: set[str]
) -> AxesOf:
    """The axes of every value. ``calls`` is how often a neuron that takes single steps is called, ``flattening`` names
    the modules that flatten. ``misfits`` is not empty where no layout of the input fits."""
    natural = list(dict.fromkeys(part.layout for part in parts.values()))
    found = [
        _Propagation(layout, values, parts, calls, flattening).run(graph)
        for layout in dict.fromkeys([*natural, *LAYOUT_AXES])
    ]
    return next((f for f in found if not f.misfits), found[0])


class _Propagation:
    """Carries the axes from the input through the trace."""

    def __init__(
        self, layout: str, values: Mapping[fx.Node, Any], parts: Mapping[str, Part], calls: int, flattening: set[str]
    ) -> None:
        self.values, self.parts, self.calls, self.flattening = values, parts, calls, flattening
        self.layout = layout
        self.axes: dict[fx.Node, Axes] = {}
        self.problems: dict[fx.Node, str] = {}
        self.sizes: dict[str, int] = {}

    def run(self, graph: fx.Graph) -> AxesOf:
        first = next(n for n in graph.nodes if n.op == "placeholder")
        self._start(first)
        misfits = []
        for node in graph.nodes:
            given = self._given(node)
            if given is not None and node.op != "output":
                made = self._after(node, given, self.axes[given])
                if isinstance(made, tuple):
                    self.axes[node] = made
                else:
                    self.problems[node] = made
            if node.op == "call_module" and str(node.target) in self.parts:
                wanted = LAYOUT_AXES[self.parts[str(node.target)].layout]
                if self.axes.get(node) != wanted:
                    misfits.append(str(node.target))
        return AxesOf(self.layout, self.axes, self.problems, misfits, self.sizes.get("T"))

    def _start(self, first: fx.Node) -> None:
        shape = tuple(self.values[first].shape)
        self.axes[first] = LAYOUT_AXES[self.layout]
        if self.calls > 1:
            self.sizes["T"] = self.calls
        if self.layout in ("time_batch", "batch_time"):
            self.sizes |= dict(zip(self.axes[first], shape[:2], strict=True))
        elif self.layout == "step":
            self.sizes["N"] = shape[0]
        else:
            fixed = next((p for p in self.parts.values() if p.batch or p.steps), None)
            if fixed is not None:
                steps = fixed.steps or shape[0] // (fixed.batch or 1)
                self.sizes |= {"T": steps, "N": fixed.batch or shape[0] // max(1, steps)}

    def _given(self, node: fx.Node) -> fx.Node | None:
        """The first argument of a call whose axes are known; a step alone says nothing of a list of them."""
        return next((n for n in node.all_input_nodes if n in self.axes), None)

    def _shape(self, node: fx.Node) -> Sizes:
        value = self.values[node]
        return tuple(int(n) for n in value.shape) if hasattr(value, "shape") else ()

    def _after(self, node: fx.Node, given: fx.Node, axes: Axes) -> Axes | str:
        """Axes of what ``node`` gives, or what is wrong with it."""
        name = function_name(node)
        if node.op == "call_module" and str(node.target) in self.flattening:
            name = "Flatten"
        if name in ("getitem", "select"):
            return self._taken(node, given, axes)
        before, after = self._shape(given), self._shape(node)
        if name == "stack":
            return self._stacked(after, axes, node.kwargs.get("dim", (*node.args, 0)[1]))
        if name in REPEATS:
            made = self._spread(node, name, before, after, axes)
            if made is not None:
                return made
        if name in RESHAPES:
            return self._reshaped(before, after, axes)
        if name in ("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis"):
            return self._swapped(node, before, after, axes)
        if name in ("sum", "mean"):
            dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
            position = dims[0] if isinstance(dims, tuple | list) and len(dims) == 1 else dims
            if isinstance(position, int):
                position %= len(before)
                return tuple(a for i, a in enumerate(axes) if i != position)
            return f"{name} over {dims}; snncc reads one over all time steps, and pooling with AvgPool2d or AdaptiveAvgPool2d"
        return axes

    def _taken(self, node: fx.Node, given: fx.Node, axes: Axes) -> Axes | str:
        """One step of a sequence, or one part of what a neuron returns."""
        if not hasattr(self.values[given], "shape"):
            return axes
        taken = step_taken(node, axes)
        return f"takes {node.args[1:]} of the axes {_said(axes)}" if taken is None else ("N",)

    def _stacked(self, after: Sizes, axes: Axes, axis: Any) -> Axes | str:
        """A stack of single steps."""
        if axes != ("N",) or not isinstance(axis, int) or axis % len(after) > 1:
            return f"stacks along axis {axis} what has the axes {_said(axes)}"
        return self._with_time(("T", "N") if axis % len(after) == 0 else ("N", "T"), after)

    def _with_time(self, axes: Axes, after: Sizes) -> Axes:
        self.sizes.setdefault("T", after[axes.index("T")])
        return axes

    def _spread(self, node: fx.Node, name: str, before: Sizes, after: Sizes, axes: Axes) -> Axes | str | None:
        """A static input shown to all steps: an axis of size 1, repeated; None where it is another thing."""
        if name == "unsqueeze":
            users = {function_name(user) for user in node.users}
            if axes == ("N",) and users and users <= {"repeat", "expand"} and len(after) == len(before) + 1:
                place = next((i for i in (0, 1) if after[i] == 1 and (*after[:i], *after[i + 1 :]) == before), None)
                axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
                if place is not None and isinstance(axis, int) and axis % len(after) < 2:
                    return ("1", "N") if axis % len(after) == 0 else ("N", "1")
            return None
        if axes == ("N",) and after[1:] == before:
            return self._with_time(("T", "N"), after)
        if "1" in axes:
            place = axes.index("1")
            if (*after[:place], 1, *after[place + 1 :]) == before:
                return self._with_time(tuple("T" if a == "1" else a for a in axes), after)
        return axes if before == after else f"{name} to {after}"

    def _reshaped(self, before: Sizes, after: Sizes, axes: Axes) -> Axes | str:
        """The same axes, or batch and time put into one, or taken apart again."""
        lead = len(axes)
        data = (before[lead:], (prod(before[lead:]),))
        if after[:lead] == before[:lead] and after[lead:] in data:
            return axes
        if lead == 2 and after[:1] == (before[0] * before[1],) and after[1:] in data:
            return (axes[0] + axes[1],)
        if len(axes[0]) == 2:
            apart = tuple(self.sizes.get(letter, 0) for letter in axes[0])
            if after[:2] == apart and after[2:] in data:
                return tuple(axes[0])
        if after[:lead] == before[:lead]:
            return axes
        return f"reshapes {before} to {after}"

    def _swapped(self, node: fx.Node, before: Sizes, after: Sizes, axes: Axes) -> Axes | str:
        """Batch and time in the other order."""
        order = _order(node, len(before))
        if order == list(range(len(before))):
            return axes
        if len(axes) == 2 and order == [1, 0, *range(2, len(before))]:
            return (axes[1], axes[0])
        return f"reorders the axes {before} to {after}; snncc reads batch and time swapped, and data channel-first"


def step_taken(node: fx.Node, axes: Axes) -> int | None:
    """Which step ``x[t]``, ``x[:, t]`` or ``x.select(axis, t)`` takes out of a sequence; None where it takes no step."""
    place = axes.index("T") if "T" in axes else None
    if function_name(node) == "select":
        chosen = dict(zip(("dim", "index"), node.args[1:], strict=False)) | dict(node.kwargs)
        index = chosen.get("index")
        return index if chosen.get("dim") == place and isinstance(index, int) else None
    index = node.args[1]
    if place == 0 and isinstance(index, int):
        return index
    if place == 1 and isinstance(index, tuple) and index[:1] == (slice(None),) and isinstance(index[1], int):
        rest = index[2:]
        return index[1] if all(i in (slice(None), ...) for i in rest) else None
    return None


def _order(node: fx.Node, count: int) -> list[int] | None:
    """The permutation that a call of transpose, permute or movedim makes."""
    given: list[Any] = [*node.args[1:], *node.kwargs.values()]
    if len(given) == 1 and isinstance(given[0], tuple | list):
        given = list(given[0])
    if not all(isinstance(a, int) for a in given):
        return None
    given = [a % count for a in given]
    if function_name(node) == "permute":
        return list(given)
    order = list(range(count))
    if len(given) != 2:
        return None
    if function_name(node) in ("movedim", "moveaxis"):
        order.insert(given[1], order.pop(given[0]))
    else:
        order[given[0]], order[given[1]] = order[given[1]], order[given[0]]
    return order


def _said(axes: Axes) -> str:
    return "(" + ", ".join(axes) + ", …)"
