"""From the trace of a module to the nodes and edges of a Graph.

A module that loops over time calls each neuron T times. The k-th call is step k, so the network is what feeds the last calls:
a value from an earlier call comes over an edge with a delay. The parity check afterwards proves it for all the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from torch import fx, nn

from snncc.errors import UnsupportedError
from snncc.frontends.torch_axes import REPEATS, Axes, step_taken
from snncc.frontends.torch_calls import axes_of_calls, check_states, neuron_calls
from snncc.frontends.torch_functions import Arithmetic, Joined, function_name, read_function
from snncc.frontends.torch_layers import FLATTENING, NOTHING, layer_kind, read_layer
from snncc.frontends.torch_neurons import Part, title
from snncc.frontends.torch_result import UNCHANGED, find_result
from snncc.frontends.torch_tracer import Trace
from snncc.ir.graph import Edge
from snncc.ir.nodes import Flatten, Identity, Neuron, Node, Scale, Sparse

INPUT = "@input"
"""The network's input, before it gets a name that no layer has."""
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Ref:
    """The value of a node of the Graph, ``delay`` steps ago."""

    name: str
    delay: int = 0


@dataclass
class Network:
    """What the trace says.

    Attributes:
        nodes, edges: of the Graph, without input and output.
        parts: the neurons by name.
        layout: of the module's input, a key of ``LAYOUT_AXES``.
        steps: T where the module itself says it, else None.
        returned: axes of what the module returns first; () where it is no tensor with batch and time.
        source: what the output reads.
        reads_membrane: the module's first result is a membrane of a neuron that fires.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    layout: str = "step"
    steps: int | None = None
    returned: Axes = ()
    source: Ref = Ref(INPUT)
    reads_membrane: bool = False


def build(module: nn.Module, traced: Trace) -> Network:
    """The network of ``module``. Raises :class:`UnsupportedError` naming the layer or function it cannot read."""
    return _Builder(module, traced).build()


class _Builder:
    """Follows the trace from its result back to its input."""

    def __init__(self, module: nn.Module, traced: Trace) -> None:
        self.module, self.traced = module, traced
        self.layers: Mapping[str, Any] = dict(nn.Module.named_modules(module))
        self.network = Network()
        self.seen: dict[fx.Node, Ref] = {}
        self.neurons, self.network.parts = neuron_calls(module, self.layers, traced.graph)
        self.waiting: list[str] = []
        self.reached: set[str] = set()
        self.first = next(n for n in traced.graph.nodes if n.op == "placeholder")
        self.found = axes_of_calls(module, self.layers, traced.graph, traced.values, self.neurons, self.network.parts)
        self.steps = self.found.steps or 1

    def build(self) -> Network:
        returned = next(n for n in self.traced.graph.nodes if n.op == "output").args[0]
        result = find_result(
            title(self.module), returned, self.traced.values, self.found.axes, self.neurons, self.steps
        )
        self.network.reads_membrane = result.membrane
        self.network.source = self._visit(result.value)
        while self.waiting:
            self._neuron(self.waiting.pop(0))
        last = self.network.nodes.get(self.network.source.name)
        if isinstance(last, Neuron) and last.dynamics.fires and not (result.all_steps or result.membrane):
            raise UnsupportedError(
                f"{self.network.source.name}: the module returns its spikes of one step; the readouts of snncc count those of "
                "all steps: return them stacked, or their sum"
            )
        unread = [name for name in self.neurons if name not in self.network.nodes]
        if unread:
            raise UnsupportedError(f"{unread[0]}: its output does not reach the network's; snncc would lose it")
        self.network.layout, self.network.steps = self.found.layout, self.found.steps
        while isinstance(returned, tuple | list) and returned:
            returned = returned[0]
        self.network.returned = self.found.axes.get(returned, ()) if isinstance(returned, fx.Node) else ()
        return self.network

    def _neuron(self, name: str) -> None:
        """Put a neuron with what feeds its last call into the network."""
        call = self.neurons[name][-1]
        check_states(name, self.neurons[name], self.first, self.traced.values)
        part = self.network.parts[name]
        feed = self._visit(_first_argument(call))
        if part.entry is not None:
            feed = self._add(f"{name}.input", part.entry, feed)
        self.network.nodes[name] = Neuron(part.dynamics)
        self._connect(feed, name)
        if part.recurrent is not None:
            loop = self._name(f"{name}.recurrent")
            self.network.nodes[loop] = part.recurrent
            self.network.edges += [Edge(name, loop, 1), Edge(loop, name)]

    def _visit(self, value: Any) -> Ref:
        """The node of the Graph that gives what ``value`` is."""
        if not isinstance(value, fx.Node):
            raise UnsupportedError(f"{title(self.module)}: {value!r} stands where a layer's output is needed")
        if value not in self.seen:
            self.seen[value] = self._read(value)
        return self.seen[value]

    def _read(self, value: fx.Node) -> Ref:
        if value.op == "placeholder":
            if value is not self.first:
                raise UnsupportedError(
                    f"{value.name}: an input of the forward that is used as more than a neuron's state"
                )
            return Ref(INPUT)
        if value.op == "get_attr":
            raise UnsupportedError(
                f"{value.target}: a parameter or constant of the module stands where a layer's output is needed"
            )
        name = function_name(value)
        if name in ("getitem", "select"):
            return self._item(value)
        if value in self.found.problems:
            raise UnsupportedError(f"{value.name}: {self.found.problems[value]}")
        if value.op == "call_module":
            return self._module(value)
        if name == "stack":
            return self._visit(value.args[0][-1])  # type: ignore[index]
        if name in UNCHANGED or (name in REPEATS and self._axes(value) != self._axes(value.args[0])):
            return self._visit(value.args[0])
        return self._function(value, name)

    def _item(self, value: fx.Node) -> Ref:
        """One step of a sequence, or the spikes out of what a neuron returns."""
        source = value.args[0]
        assert isinstance(source, fx.Node)
        if hasattr(self.traced.values[source], "shape"):
            step = step_taken(value, self._axes(source))
            if step is not None:
                ref = self._visit(source)
                return Ref(ref.name, ref.delay + self.steps - 1 - step % self.steps)
        elif source.op != "call_module" or (value.args[1] == 0 and str(source.target) in self.neurons):
            return self._visit(source)
        index = value.args[1]
        what = f"the state {index} of {source.target}" if source.op == "call_module" else f"{source.name}[{index}]"
        raise UnsupportedError(
            f"{value.name}: {what} is used as a signal; snncc passes spikes on, and membranes to the output only"
        )

    def _module(self, value: fx.Node) -> Ref:
        name = str(value.target)
        if name in self.neurons:
            if name not in self.reached:
                self.reached.add(name)
                self.waiting.append(name)
            calls = self.neurons[name]
            return Ref(name, len(calls) - 1 - calls.index(value))
        module = self.layers[name]
        kind = layer_kind(module)
        assert kind is not None  # neuron_calls refuses the others
        argument = _first_argument(value)
        given = self._visit(argument)
        if kind == FLATTENING:
            return self._reshape(value, given, name)
        node = read_layer(name, kind, module, self._shape(argument)) if kind not in NOTHING else None
        return given if node is None else self._add(name, node, given)

    def _function(self, value: fx.Node, name: str) -> Ref:
        given = _first_argument(value)
        shape = self._shape(given) if isinstance(given, fx.Node) and given in self.found.axes else ()
        read = read_function(value, name, self.traced.values, shape)
        if isinstance(read, Arithmetic):
            return self._sum(value, name, read)
        if isinstance(read, Joined):
            return self._join(value, name, read)
        ref = self._visit(given)
        if read == FLATTENING:
            return self._reshape(value, ref, FLATTENING.lower())
        if read is None:
            return ref
        assert not isinstance(read, str)
        return self._add(name, read, ref)

    def _sum(self, value: fx.Node, name: str, read: Arithmetic) -> Ref:
        """Operands added, each with a factor."""
        if len(read.operands) == 1:
            given = self._visit(read.operands[0][0])
            return self._add(name, Scale(read.operands[0][1]), given)
        shapes = {self._shape(operand) for operand, _ in read.operands}
        if len(shapes) > 1:
            raise UnsupportedError(
                f"{value.name}: {name} of different shapes {sorted(shapes)}; snncc adds equal shapes only"
            )
        total = self._name(name)
        self.network.nodes[total] = Identity()
        taken: dict[Ref, float] = {}
        for operand, factor in read.operands:
            ref = self._visit(operand)
            taken[ref] = taken.get(ref, 0.0) + factor
        for ref, factor in taken.items():
            self._connect(ref if factor == 1.0 else self._add(f"{total}.factor", Scale(factor), ref), total)
        return Ref(total)

    def _join(self, value: fx.Node, name: str, read: Joined) -> Ref:
        """Operands side by side: each is placed into the whole by a sparse matrix of ones, and the wholes are added."""
        whole, lead = self._shape(value), len(self._axes(value))
        if read.axis < lead:
            raise UnsupportedError(f"{value.name}: {name} along batch or time; snncc joins along the axes of the data")
        total = self._name(name)
        self.network.nodes[total] = Identity()
        places = np.split(
            np.arange(prod(whole)).reshape(whole),
            np.cumsum([self._shape(operand)[read.axis - lead] for operand in read.operands])[:-1],
            axis=read.axis - lead,
        )
        for operand, place in zip(read.operands, places, strict=True):
            index = np.stack([place.ravel(), np.arange(place.size)])
            node = Sparse(np.ones(place.size), index, whole, place.size)
            self._connect(self._add(f"{total}.part", node, self._visit(operand)), total)
        return Ref(total)

    def _reshape(self, value: fx.Node, given: Ref, name: str) -> Ref:
        """A view: nothing, or flattening everything but batch and time."""
        before, after = self._shape(_first_argument(value)), self._shape(value)
        if before == after:
            return given
        if after == (prod(before),):
            return self._add(name, Flatten(), given)
        raise UnsupportedError(
            f"{name}: reshapes {before} to {after}; snncc reads a flattening of all axes but batch and time"
        )

    def _axes(self, value: Any) -> Axes:
        if value not in self.found.axes:
            raise UnsupportedError(
                f"{value}: {self.found.problems.get(value, 'does not come from the input')}; snncc cannot say where its "
                "batch and time axes are"
            )
        return self.found.axes[value]

    def _shape(self, value: Any) -> Sizes:
        """Shape without batch and time."""
        return tuple(int(n) for n in self.traced.values[value].shape[len(self._axes(value)) :])

    def _add(self, name: str, node: Node, given: Ref) -> Ref:
        name = self._name(name)
        self.network.nodes[name] = node
        self._connect(given, name)
        return Ref(name)

    def _connect(self, given: Ref, name: str) -> None:
        if given.delay < 0:
            raise UnsupportedError(f"{name}: reads a step of {given.name} that is still to come")
        self.network.edges.append(Edge(given.name, name, given.delay))

    def _name(self, name: str) -> str:
        taken = {"input", "output", *self.network.nodes, *(n for n in self.neurons if n not in self.network.nodes)}
        number, made = 2, name
        while made in taken:
            made, number = f"{name}_{number}", number + 1
        return made


def _first_argument(call: fx.Node) -> Any:
    return call.args[0] if call.args else next(iter(call.kwargs.values()))
