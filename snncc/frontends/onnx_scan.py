"""The ONNX graph of a :class:`Graph`: one ``Scan`` over time whose body is one step.

Membranes, currents, late resets, delayed edges and the readout are states of the Scan. Layers that see a static input only
are computed once, in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.frontends.onnx_emit import INT32, INT64, Emitter, tensor, tensor_type
from snncc.frontends.onnx_layers import emit_batch_norm, emit_layer
from snncc.frontends.onnx_metadata import array_name, graph_arrays, held_fields
from snncc.frontends.onnx_neuron import DOMAIN, neuron_call, neuron_function, present
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.nodes import AvgPool2d, BatchNorm, Input, MaxPool2d, Neuron, Output, SumPool2d
from snncc.ir.shapes import infer_shapes, input_shape

Shape = tuple[int, ...]

BATCH, TIME = "N", "T"


@dataclass
class _Loop:
    """What the Scan carries and gives: names before and after a step, start values, rasters, and the scores of a step where
    each has its answer."""

    before: list[Any] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    rasters: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)


class ScanExport:
    """One export: what stands in front of the loop (``top``), in its body, and as initializers."""

    def __init__(self, graph: Graph, dtype: np.dtype[Any]) -> None:
        self.graph, self.dtype, self.kind = graph, dtype, tensor_type(dtype)
        self.shapes = infer_shapes(graph)
        node = graph.nodes[graph.input]
        assert isinstance(node, Input)
        self.source = node
        self.static = node.encoding == "static"
        self.top = Emitter()
        self.body = Emitter(self.top)
        self.initializers = {name: tensor(name, array) for name, array in graph_arrays(graph)}
        self.real: dict[tuple[str, int], str] = {}
        self.values: dict[str, str] = {}
        self.states: dict[str, dict[str, str]] = {}
        self.functions: dict[str, Any] = {}
        self.loop = _Loop()
        self.steady = steady_nodes(graph) if self.static else set()

    def graph_proto(self) -> Any:
        from onnx import helper

        info = helper.make_tensor_value_info
        batch = self.top.op("", "Shape", "input", start=int(not self.static), end=int(not self.static) + 1)
        steps = self._steps()
        depth = {n: max((e.delay for e in self.graph.outgoing(n)), default=0) for n in self.graph.nodes}
        for name, count in depth.items():
            if count:
                self._carry(name, "history", (count,), self.shapes[name], self.field(name, "zero", self.dtype), batch)
        for name, node in self.graph.nodes.items():
            self._emit(name, node, batch)
        for name, count in depth.items():
            if count:
                self._remember(name, count)
        loop = self.loop
        arriving = [info("step", INT64, [])]
        if not self.static:
            arriving.append(info("input@step", self._input_type(), [BATCH, *self.source.shape]))
        leaving = [*loop.after, *loop.rasters, *loop.answers]
        body = helper.make_graph(self.body.nodes, "step", [*loop.before, *arriving], leaving)
        scanned = (steps,) if self.static else (steps, "input")
        given = (*loop.ends, *(o.name for o in loop.outputs), *(f"{self.graph.output}.total@end" for _ in loop.answers))
        self.top.call("", "Scan", (*loop.starts, *scanned), given, body=body, num_scan_inputs=len(scanned))
        results = self._results()
        feeds = [info("input", self._input_type(), [BATCH, *self.source.shape] if self.static
                      else [TIME, BATCH, *self.source.shape])]  # fmt: skip
        if self.static:
            feeds.append(info("time_steps", INT64, []))
        held = list(self.initializers.values())
        return helper.make_graph(self.top.nodes, self.graph.name, feeds, [*results, *loop.outputs], held)

    def field(self, name: str, what: str, dtype: Any) -> str:
        """Name of a constant of node ``name`` in a type; ``zero``, ``lowest`` and ``window`` belong to no field."""
        key = (array_name(name, what), tensor_type(dtype))
        if key in self.real:
            return self.real[key]
        node = self.graph.nodes[name]
        if what in ("zero", "lowest"):
            value: Any = 0.0 if what == "zero" else -np.inf
        elif what == "window":
            assert isinstance(node, AvgPool2d | SumPool2d | MaxPool2d)
            value = node.kernel[0] * node.kernel[1]
        else:
            value = getattr(held_fields(node)[0], what)
        if not isinstance(value, np.ndarray | np.generic) or key[0] not in self.initializers:
            with np.errstate(over="ignore"):
                held = np.asarray(value, dtype)
            made = f"{key[0]}@{key[1]}"
            self.initializers[made] = tensor(made, held)
        elif self.initializers[key[0]].data_type == key[1]:
            made = key[0]
        else:
            made = self.top.op(name, "Cast", key[0], output=f"{key[0]}@{key[1]}", to=key[1])
        self.real[key] = made
        return made

    def _input_type(self) -> int:
        return INT32 if self.source.low >= -(2**31) and self.source.high < 2**31 else INT64

    def _steps(self) -> str:
        """0, 1 … T − 1 as int64."""
        if self.static:
            self.initializers["time_steps"] = tensor("time_steps", np.int64(self.graph.time_steps))
            count = "time_steps"
        else:
            length = self.top.op("", "Shape", "input", start=0, end=1)
            count = self.top.op("", "Squeeze", length, self.top.whole("", [0]))
        return self.top.op("", "Range", self.top.whole("", 0), count, self.top.whole("", 1))

    def _carry(self, name: str, what: str, ahead: Shape, shape: Shape, start: str, batch: str) -> str:
        """A state of the Scan, (*ahead, N, *shape); returns its name before the step."""
        from onnx import helper

        at = array_name(name, what)
        parts = [self.top.whole(name, list(ahead))] if ahead else []
        parts += [batch, self.top.whole(name, list(shape))]
        size = self.top.op(name, "Concat", *parts, axis=0)
        self.loop.starts.append(self.top.op(name, "Expand", start, size, output=f"{at}@start"))
        self.loop.ends.append(f"{at}@end")
        for names, when in ((self.loop.before, "before"), (self.loop.after, "after")):
            names.append(helper.make_tensor_value_info(f"{at}@{when}", self.kind, [*ahead, BATCH, *shape]))
        return f"{at}@before"

    def _next(self, name: str, what: str, value: str) -> None:
        self.body.op(name, "Identity", value, output=f"{array_name(name, what)}@after")

    def _remember(self, name: str, count: int) -> None:
        """The last ``count`` values of a node that delayed edges leave, oldest first."""
        newest = self.body.op(name, "Unsqueeze", self.values[name], self.body.whole(name, [0]))
        old = f"{name}.history@before"
        if count > 1:
            ends = self.body.whole(name, [1]), self.body.whole(name, [count])
            newest = self.body.op(name, "Concat", self.body.op(name, "Slice", old, *ends), newest, axis=0)
        self._next(name, "history", newest)

    def _arriving(self, emitter: Emitter, name: str) -> str:
        """Sum over the incoming edges, in order."""
        total = ""
        for edge in self.graph.incoming(name):
            if edge.delay:
                depth = max(e.delay for e in self.graph.outgoing(edge.source))
                place = emitter.whole(name, depth - edge.delay)
                value = emitter.op(name, "Gather", f"{edge.source}.history@before", place, axis=0)
            else:
                value = self.values[edge.source]
            total = emitter.op(name, "Add", total, value) if total else value
        return total

    def _emit(self, name: str, node: Any, batch: str) -> None:
        emitter = self.top if name in self.steady else self.body
        if isinstance(node, Input):
            number = emitter.op(name, "Cast", "input" if self.static else "input@step", to=self.kind)
            scaled = (
                number if node.scale == 1.0 else emitter.op(name, "Mul", number, self.field(name, "scale", self.dtype))
            )
            self.values[name] = scaled
            return
        x = self._arriving(emitter, name)
        given = input_shape(name, self.graph, self.shapes)

        def constant(what: str, dtype: Any) -> str:
            return self.field(name, what, dtype)

        if isinstance(node, Neuron):
            self._neuron(name, node, x, batch)
        elif isinstance(node, Output):
            self._readout(name, node, x, given, batch)
        elif isinstance(node, BatchNorm):
            self.values[name] = emit_batch_norm(self.top, emitter, name, x, len(given), constant, self.dtype)
        else:
            shape = self.shapes[name]
            self.values[name] = emit_layer(emitter, name, node, x, given, shape, constant, self.dtype)

    def _neuron(self, name: str, node: Neuron, x: str, batch: str) -> None:
        from onnx import helper

        dynamics, shape = node.dynamics, self.shapes[name]
        call = neuron_call(dynamics)
        if call.function not in self.functions:
            self.functions[call.function] = neuron_function(dynamics)
        before = []
        for state in call.states:
            start = self.field(name, "v_init" if state == "v" else "zero", self.dtype)
            before.append(self._carry(name, state, (), shape, start, batch))
        constants = (self.field(name, c, self.dtype) for c in call.constants)
        outputs = tuple(f"{name}.{out}" for out in call.outputs)
        self.body.call(name, call.function, (x, *before, *constants), outputs, DOMAIN)
        for state in call.states:
            self._next(name, state, f"{name}.{state}")
        self.states[name] = {"u": f"{name}.u" if "u" in call.outputs else x, "v": f"{name}.v"}
        if dynamics.fires:
            raster = self.body.op(name, "Cast", f"{name}.spikes", output=f"{name}.raster@step", to=INT32)
            worth = present(dynamics, "spike_value")
            self.values[name] = (
                self.body.op(name, "Mul", f"{name}.spikes", self.field(name, "spike_value", self.dtype))
                if worth
                else f"{name}.spikes"
            )
        else:
            raster = self.body.op(name, "Identity", f"{name}.v", output=f"{name}.raster@step")
            self.values[name] = f"{name}.v"
        kind = INT32 if dynamics.fires else self.kind
        self.loop.rasters.append(helper.make_tensor_value_info(raster, kind, [BATCH, *shape]))
        self.loop.outputs.append(helper.make_tensor_value_info(f"{name}.raster", kind, [TIME, BATCH, *shape]))

    def _readout(self, name: str, node: Output, x: str, shape: Shape, batch: str) -> None:
        neuron = readout_neuron(self.graph)
        if node.readout in ("membrane", "summed_current") and neuron is not None:
            x = self.states[neuron]["v" if node.readout == "membrane" else "u"]
            if shape != self.shapes[neuron]:
                x = self.body.op(name, "Flatten", x, axis=1)
        if node.each_step:
            from onnx import helper

            classes = int(np.prod(shape, dtype=object))
            step = self.body.op(name, "Flatten", x, output=f"{name}.total@step", axis=1)
            self.loop.answers.append(helper.make_tensor_value_info(step, self.kind, [BATCH, classes]))
            return
        before = self._carry(name, "total", (), shape, self.field(name, "zero", self.dtype), batch)
        if node.readout == "weighted_count":
            weights = array_name(name, "weight_of_step")
            self.initializers[weights] = tensor(weights, np.asarray(node.time_weights, self.dtype))
            x = self.body.op(name, "Mul", x, self.body.op(name, "Gather", weights, "step", axis=0))
        self._next(name, "total", x if node.readout == "membrane" else self.body.op(name, "Add", before, x))

    def _results(self) -> list[Any]:
        from onnx import helper

        name = self.graph.output
        node = self.graph.nodes[name]
        assert isinstance(node, Output)
        classes = int(np.prod(self.shapes[name], dtype=object))
        if node.each_step:
            self.top.op(name, "Transpose", f"{name}.total@end", output="scores", perm=[1, 0, 2])
        else:
            self.top.op(name, "Flatten", f"{name}.total@end", output="scores", axis=1)
        axes = [BATCH, TIME] if node.each_step else [BATCH]
        last = int(node.ties == "highest_index")
        self.top.op(name, "ArgMax", "scores", output="predictions", axis=len(axes), keepdims=0, select_last_index=last)
        return [
            helper.make_tensor_value_info("scores", self.kind, [*axes, classes]),
            helper.make_tensor_value_info("predictions", INT64, axes),
        ]


def steady_nodes(graph: Graph) -> set[str]:
    """The input and the stateless nodes that see nothing else: for a static input, the same at every step."""
    steady = {graph.input}
    for name, node in graph.nodes.items():
        edges = graph.incoming(name)
        if edges and not isinstance(node, Neuron | Output) and all(not e.delay and e.source in steady for e in edges):
            steady.add(name)
    return steady
