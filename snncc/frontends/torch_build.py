"""From the trace of a module to the nodes and edges of a Graph.

A module that loops over time calls each neuron T times. The k-th call is step k, so the network is what feeds the last calls:
a value from an earlier call comes over an edge with a delay. The parity check afterwards proves it for all the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from snncc.errors import UnsupportedError
from snncc.frontends.torch_functions import Arithmetic, function_name, read_function
from snncc.frontends.torch_layers import FLATTENING, NOTHING, layer_kind, read_layer
from snncc.frontends.torch_neurons import Part, neuron_rule, read_neuron, title
from snncc.frontends.torch_tracer import Trace
from snncc.ir.graph import Edge
from snncc.ir.nodes import Flatten, Identity, Neuron, Node, Scale

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
        calls: how often the module calls each neuron in one run.
        frames: how it takes steps out of its input: "" where it does not, "time_batch" (x[t]) or "batch_time" (x[:, t]).
        source: what the output reads.
        reads_membrane: the module's first result is a membrane of a neuron that fires.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    calls: int = 1
    frames: str = ""
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
        self.neurons = self._calls()
        self.waiting: list[str] = []
        self.reached: set[str] = set()
        self.first = next(n for n in traced.graph.nodes if n.op == "placeholder")
        layouts = {p.layout for p in self.network.parts.values()}
        if len(layouts) > 1:
            listed = ", ".join(f"{n} ({p.layout})" for n, p in self.network.parts.items())
            raise UnsupportedError(f"{title(module)}: its neurons take time in different ways: {listed}")
        self.leading = 2 if layouts & {"time_batch", "batch_time"} else 1

    def build(self) -> Network:
        result = next(n for n in self.traced.graph.nodes if n.op == "output").args[0]
        self.network.source = self._result(result)
        while self.waiting:
            self._neuron(self.waiting.pop(0))
        unread = [name for name in self.neurons if name not in self.network.nodes]
        if unread:
            raise UnsupportedError(f"{unread[0]}: its output does not reach the network's; snncc would lose it")
        return self.network

    def _calls(self) -> dict[str, list[fx.Node]]:
        """The calls of every neuron, in order."""
        calls: dict[str, list[fx.Node]] = {}
        for node in self.traced.graph.nodes:
            if node.op == "call_module":
                name = str(node.target)
                if neuron_rule(self.layers[name]) is not None:
                    calls.setdefault(name, []).append(node)
                elif layer_kind(self.layers[name]) is None:
                    raise UnsupportedError(f"{name}: {title(self.layers[name])} is no neuron or layer that snncc reads")
        if not calls:
            raise UnsupportedError(
                f"{title(self.module)}: calls no neuron that snncc reads (snnTorch, SpikingJelly, sinabs, Norse, Rockpool)"
            )
        counts = {name: len(nodes) for name, nodes in calls.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise UnsupportedError(
                f"{title(self.module)}: calls its neurons unequally often ({listed}); a neuron that is used twice in a step "
                "would share its state: give each place a neuron of its own"
            )
        self.network.calls = max(counts.values())
        self.network.parts = {name: read_neuron(name, self.layers[name]) for name in calls}
        return calls

    def _result(self, value: Any) -> Ref:
        """What the output of the module reads."""
        while not isinstance(value, fx.Node):
            if not isinstance(value, tuple | list) or not value:
                raise UnsupportedError(f"{title(self.module)}: returns {type(value).__name__}; return spikes or scores")
            value = value[0]
        name = function_name(value)
        if name in ("stack", "sum", "mean"):
            return self._summary(value, name)
        if name == "truediv" and self.network.calls > 1 and value.args[1] == self.network.calls:
            return self._result(value.args[0])
        if name == "add" and self.network.calls > 1:
            added = _added_up(value)
            if len(added) == self.network.calls and len({(node.op, node.target) for node in added}) == 1:
                return self._visit(added[-1])
        if name == "getitem" and isinstance(value.args[1], int) and value.args[1] > 0:
            call = value.args[0]
            if isinstance(call, fx.Node) and call.op == "call_module" and str(call.target) in self.neurons:
                self._check_membrane(call, value.args[1])
                self.network.reads_membrane = True
                return self._visit(call)
        return self._visit(value)

    def _check_membrane(self, call: fx.Node, index: int) -> None:
        """Of what a neuron returns, the membrane is the last."""
        states = self.traced.values[call]
        if index != len(states) - 1 or not hasattr(states[index], "shape"):
            raise UnsupportedError(
                f"{call.target}: the module returns its state {index} first; snncc reads spikes or membranes there"
            )

    def _summary(self, value: fx.Node, name: str) -> Ref:
        """All steps stacked, or their sum or mean: the readout makes the same of the last layer."""
        axis = value.kwargs.get("dim", value.args[1] if len(value.args) > 1 else (0 if name == "stack" else None))
        part = value.args[0]
        if name == "stack" and isinstance(part, tuple | list) and len(part) == self.network.calls:
            return self._result(list(part[-1:]))
        if name in ("sum", "mean"):
            sequence = {"time_batch": 0, "batch_time": 1}.get(next(iter(self.network.parts.values())).layout)
            stacked = function_name(part) == "stack" if isinstance(part, fx.Node) else False
            if axis == (0 if stacked else sequence) and axis is not None:
                return self._result(part)
        raise UnsupportedError(
            f"{value.name}: {name} over axis {axis} is no sum over all time steps; return the spikes"
        )

    def _neuron(self, name: str) -> None:
        """Put a neuron with what feeds its last call into the network."""
        call = self.neurons[name][-1]
        for number, earlier in enumerate(self.neurons[name]):
            self._check_state(name, number, earlier)
        part = self.network.parts[name]
        feed = self._visit(call.args[0] if call.args else next(iter(call.kwargs.values())))
        self.network.nodes[name] = Neuron(part.dynamics)
        self._connect(feed, name)
        if part.recurrent is not None:
            loop = self._name(f"{name}.recurrent")
            self.network.nodes[loop] = part.recurrent
            self.network.edges += [Edge(name, loop, 1), Edge(loop, name)]

    def _check_state(self, name: str, number: int, call: fx.Node) -> None:
        """A state comes from the call before, or starts at zero."""
        for state in (*call.args[1:], *list(call.kwargs.values())[0 if call.args else 1 :]):
            for given in state if isinstance(state, tuple | list) else (state,):
                if given is None:
                    continue
                if isinstance(given, fx.Node):
                    if given.op == "placeholder" and given is not self.first and number == 0:
                        continue
                    own = number > 0 and function_name(given) == "getitem"
                    if own and given.args[0] is self.neurons[name][number - 1]:
                        continue
                    value = self.traced.values.get(given)
                    if number == 0 and value is not None and given.op == "get_attr" and not bool((value != 0).any()):
                        continue
                raise UnsupportedError(
                    f"{name}: call {number} gets a state ({given}) that is neither zero at the start nor its own of the step before"
                )

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
        if value.op == "call_module":
            return self._module(value)
        if value.op == "get_attr":
            raise UnsupportedError(
                f"{value.target}: a parameter or constant of the module stands where a layer's output is needed"
            )
        name = function_name(value)
        if name == "getitem":
            return self._item(value)
        return self._function(value, name)

    def _item(self, value: fx.Node) -> Ref:
        source, index = value.args
        assert isinstance(source, fx.Node)
        if source is self.first:
            step, frames = (index, "time_batch")
            if isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None) and isinstance(index[1], int):
                step, frames = index[1], "batch_time"
            if isinstance(step, int):
                self.network.frames = frames
                return Ref(INPUT, self.network.calls - 1 - step)
        if index == 0 and source.op == "call_module" and str(source.target) in self.neurons:
            return self._visit(source)
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
        assert kind is not None  # _calls refuses the others
        given = self._visit(value.args[0] if value.args else next(iter(value.kwargs.values())))
        if kind == FLATTENING:
            return self._reshape(value, given, name)
        node = read_layer(name, kind, module, self._shape(value.args[0])) if kind not in NOTHING else None
        return given if node is None else self._add(name, node, given)

    def _function(self, value: fx.Node, name: str) -> Ref:
        read = read_function(value, name, self.traced.values)
        if isinstance(read, Arithmetic):
            return self._sum(value, name, read)
        given = self._visit(value.args[0])
        if read == FLATTENING:
            return self._reshape(value, given, FLATTENING.lower())
        if read is None:
            return given
        assert not isinstance(read, str)
        return self._add(name, read, given)

    def _sum(self, value: fx.Node, name: str, read: Arithmetic) -> Ref:
        """Operands added, each with a factor."""
        if len(read.operands) == 1:
            given = self._visit(read.operands[0][0])
            return self._add(name, Scale(read.operands[0][1]), given)
        total = self._name(name)
        self.network.nodes[total] = Identity()
        shapes = {self._shape(operand) for operand, _ in read.operands}
        if len(shapes) > 1:
            raise UnsupportedError(
                f"{value.name}: {name} of different shapes {sorted(shapes)}; snncc adds equal shapes only"
            )
        taken: dict[Ref, float] = {}
        for operand, factor in read.operands:
            ref = self._visit(operand)
            taken[ref] = taken.get(ref, 0.0) + factor
        for ref, factor in taken.items():
            self._connect(ref if factor == 1.0 else self._add(f"{total}.factor", Scale(factor), ref), total)
        return Ref(total)

    def _reshape(self, value: fx.Node, given: Ref, name: str) -> Ref:
        """A view: nothing, or flattening everything but batch and time."""
        before, after = self._shape(value.args[0]), self._shape(value)
        lead = tuple(self.traced.values[value].shape[: self._lead(value)])
        if lead == tuple(self.traced.values[value.args[0]].shape[: self._lead(value)]):  # type: ignore[index]
            if before == after:
                return given
            size = 1
            for length in before:
                size *= length
            if after == (size,):
                return self._add(name, Flatten(), given)
        raise UnsupportedError(
            f"{name}: reshapes {before} to {after}; snncc reads a flattening of all axes but batch and time"
        )

    def _lead(self, value: Any) -> int:
        return self.leading

    def _shape(self, value: Any) -> Sizes:
        """Shape without batch and time."""
        return tuple(int(n) for n in self.traced.values[value].shape[self._lead(value) :])

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
