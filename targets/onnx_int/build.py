"""The ONNX model of a Program: one ``Scan`` over time whose body is one step, in whole numbers throughout.

==================  ===============================================================================================
``input``           int32: (N, *shape) if static, else (T, N, *shape)
``scores``          int64: (N, classes), or (N, T, classes) where each step has its answer
``predictions``     int64: (N,) or (N, T): the winner under the Program's tie rule
==================  ===============================================================================================

A model that records has these as well, of every population:

==================  ===============================================================================================
``NAME.spikes``     int32: (T, N, *shape), where it fires
``NAME.membrane``   int64: (T, N, *shape), in guarded units
``NAME.current``    int64: (T, N, *shape), the synaptic input of the step in units
==================  ===============================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.frontends.onnx_emit import INT32, INT64, OPSET, Emitter, tensor_type
from snncc.program.program import Program
from snncc.targets.onnx_int.neurons import State, emit_injected, emit_update, late_reset
from snncc.targets.onnx_int.plan import Plan, PopulationPlan, ProjectionPlan
from snncc.targets.onnx_int.projections import emit_operands, emit_projection
from snncc.targets.onnx_int.values import Values, cast

IR_VERSION = 9
BATCH = "N"
RECORDS = {"spikes": np.int32, "membrane": np.int64, "current": np.int64}
"""What is recorded of a population, and in which type."""


def build_model(made: Plan, recording: bool = False) -> Any:
    """The ModelProto. The same Program gives the same bytes."""
    from onnx import helper

    return helper.make_model(
        _Builder(made, recording).graph(),
        ir_version=IR_VERSION,
        producer_name="snncc",
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


def recorded(program: Program) -> list[tuple[str, str]]:
    """(population, what) of a recording model's outputs after scores and predictions, in order."""
    return [(p.name, what) for p in program.populations for what in RECORDS if what != "spikes" or p.fires]


class _Builder:
    """``top`` stands in front of the loop, ``body`` in it; the lists below are the loop's states, inputs and outputs."""

    def __init__(self, made: Plan, recording: bool) -> None:
        self.made, self.program, self.recording = made, made.program, recording
        self.values = Values()
        self.top = Emitter()
        self.body = Emitter(self.top)
        self.static = made.program.source.encoding == "static"
        self.before: list[Any] = []
        self.after: list[Any] = []
        self.starts: list[str] = []
        self.ends: list[str] = []
        self.scanned: list[tuple[str, Any]] = []
        self.kept: list[Any] = []
        self.kept_as: list[str] = []
        self.emitted: dict[str, str] = {}
        self.operands: dict[Any, tuple[str, ...]] = {}

    def graph(self) -> Any:
        from onnx import helper

        program, source, steps = self.program, self.program.source, self.program.time_steps
        info = helper.make_tensor_value_info
        axis = int(not self.static)
        self.batch = self.top.op("", "Shape", "input", start=axis, end=axis + 1)
        self._scan("step", self.values.array("steps", np.arange(steps)), INT64, [])
        if self.static:
            self.emitted[source.name] = "input"
        else:
            self._scan("input@step", "input", INT32, [BATCH, *source.shape])
            self.emitted[source.name] = "input@step"
        for name, depth in self.made.depth.items():
            self._carry(f"{name}.history", np.int32, (depth,), program.shape_of(name), self.values.number(0, np.int32))
        for p in self.made.populations:
            self._population(p)
        for name, depth in self.made.depth.items():
            self._remember(name, depth)
        total = self._readout()
        arriving = [value for _, value in self.scanned]
        leaving = [*self.after, *self.kept]
        body = helper.make_graph(_needed(self.body.nodes, leaving), "step", [*self.before, *arriving], leaving)
        inputs = (*self.starts, *(name for name, _ in self.scanned))
        self.top.call("", "Scan", inputs, (*self.ends, *self.kept_as), body=body, num_scan_inputs=len(self.scanned))
        outputs = self._results(total)
        for name, what in recorded(program) if self.recording else []:
            shape = [steps, BATCH, *program.shape_of(name)]
            outputs.append(info(f"{name}.{what}", tensor_type(RECORDS[what]), shape))
        feed = info("input", INT32, [BATCH, *source.shape] if self.static else [steps, BATCH, *source.shape])
        feed.doc_string = f"whole numbers in {source.low}..{source.high}"
        nodes = _needed(self.top.nodes, outputs)
        used = {name for node in (*nodes, *body.node) for name in node.input}
        held = [tensor for name, tensor in self.values.initializers.items() if name in used]
        return helper.make_graph(nodes, program.name, [feed], outputs, held)

    def _scan(self, name: str, given: str, kind: int, shape: list[Any]) -> None:
        """An input of the loop, one slice a step."""
        from onnx import helper

        self.scanned.append((given, helper.make_tensor_value_info(name, kind, shape)))

    def _carry(self, name: str, dtype: Any, ahead: tuple[int, ...], shape: tuple[int, ...], start: str) -> str:
        """A state (*ahead, N, *shape) of the loop; returns its name before the step."""
        from onnx import helper

        size = [self.values.vector(part) for part in (ahead, shape) if part]
        size.insert(bool(ahead), self.batch)
        whole = self.top.op(name, "Concat", *size, axis=0)
        self.starts.append(self.top.op(name, "Expand", start, whole, output=f"{name}@start"))
        self.ends.append(f"{name}@end")
        for names, when in ((self.before, "before"), (self.after, "after")):
            names.append(helper.make_tensor_value_info(f"{name}@{when}", tensor_type(dtype), [*ahead, BATCH, *shape]))
        return f"{name}@before"

    def _next(self, name: str, value: str) -> None:
        self.body.op(name, "Identity", value, output=f"{name}@after")

    def _keep(self, name: str, value: str, kind: int, shape: list[Any], given: str) -> None:
        """An output of the loop: ``value`` of every step, as ``given``."""
        from onnx import helper

        made = self.body.op(name, "Identity", value, output=f"{name}@step")
        self.kept.append(helper.make_tensor_value_info(made, kind, shape))
        self.kept_as.append(given)

    def _remember(self, name: str, depth: int) -> None:
        """What was emitted in the last ``depth`` steps, oldest first."""
        vector = self.values.vector
        newest = self.body.op(name, "Unsqueeze", self.emitted[name], vector((0,)))
        if depth > 1:
            kept = self.body.op(name, "Slice", f"{name}.history@before", vector((1,)), vector((depth,)))
            newest = self.body.op(name, "Concat", kept, newest, axis=0)
        self._next(f"{name}.history", newest)

    def _population(self, plan: PopulationPlan) -> None:
        p, dtype, shape = plan.population, plan.dtype, plan.population.shape
        current, steady = self._current(plan)
        injected = emit_injected(self.top if steady else self.body, self.values, plan, current)
        zero = self.values.number(0, dtype)
        start = self.values.constant(f"{p.name}.v_init", p.v_init, dtype)
        v = self._carry(f"{p.name}.v", dtype, (), shape, start)
        u = self._carry(f"{p.name}.u", dtype, (), shape, zero) if p.decay_u is not None else ""
        n = self._carry(f"{p.name}.n", dtype, (), shape, zero) if late_reset(p) else ""
        new = emit_update(self.body, self.values, self.program.arithmetic, plan, State(u, v, n), injected)
        for what, old, value in (("v", v, new.v), ("u", u, new.u), ("n", n, new.n)):
            if old:
                self._next(f"{p.name}.{what}", value)
        if p.fires:
            self.emitted[p.name] = new.n if dtype is np.int32 else cast(self.body, p.name, new.n, np.int32)
            self._record(p.name, "spikes", self.emitted[p.name], np.int32)
        self._record(p.name, "membrane", new.v, dtype)
        self._record(p.name, "current", current, dtype)
        if p.name == self.program.readout.population:
            self.answer = new, plan

    def _record(self, name: str, what: str, value: str, dtype: Any) -> None:
        """Keep a value (N, *shape) of every step, if the model records."""
        if self.recording:
            kind = RECORDS[what]
            value = value if dtype is kind else cast(self.body, name, value, kind)
            shape = [BATCH, *self.program.shape_of(name)]
            self._keep(f"{name}.{what}", value, tensor_type(kind), shape, f"{name}.{what}")

    def _current(self, plan: PopulationPlan) -> tuple[str, bool]:
        """(synaptic input of a step, whether it is the same at every step)."""
        name, dtype = plan.population.name, plan.dtype
        steady, changing = "", ""
        for q in plan.incoming:
            e = self.top if q.static else self.body
            value = self._arriving(e, q)
            operands = self._operands(e, q, value)
            brought = emit_projection(e, self.values, self.program, q, value, operands, dtype)
            if q.static and not q.projection.delay:
                steady = self.top.op(name, "Add", steady, brought) if steady else brought
                continue
            if q.static:
                delay = self.values.number(q.projection.delay, np.int64)
                there = cast(self.body, name, self.body.op(name, "GreaterOrEqual", "step", delay), dtype)
                brought = self.body.op(name, "Mul", brought, there)
            changing = self.body.op(name, "Add", changing, brought) if changing else brought
        if changing:
            return (self.body.op(name, "Add", steady, changing) if steady else changing), False
        if not steady:
            size = self.top.op(name, "Concat", self.batch, self.values.vector(plan.population.shape), axis=0)
            steady = self.top.op(name, "Expand", self.values.number(0, dtype), size)
        return steady, True

    def _arriving(self, e: Emitter, q: ProjectionPlan) -> str:
        """What the source of a projection emitted ``delay`` steps before, (N, *shape) int32."""
        p = q.projection
        if not p.delay or q.static:
            return self.emitted[p.source]
        place = self.values.number(self.made.depth[p.source] - p.delay, np.int64)
        return e.op(p.name, "Gather", f"{p.source}.history@before", place, axis=0)

    def _operands(self, e: Emitter, q: ProjectionPlan, value: str) -> tuple[str, ...]:
        """Digits of what arrives; projections that want the same ones share them."""
        if q.encoding is None:
            return ()
        key = (q.projection.source, 0 if q.static else q.projection.delay, q.encoding)
        if key not in self.operands:
            self.operands[key] = emit_operands(e, self.values, q.projection.source, value, q.encoding)
        return self.operands[key]

    def _readout(self) -> str:
        """What every step adds to the scores; returns the name of the total after the loop."""
        readout, (new, plan) = self.program.readout, self.answer
        name, size = readout.population, plan.population.size
        if readout.kind == "membrane" and not readout.each_step:
            return f"{name}.v@end"
        seen = {"membrane": new.v, "summed_current": new.u}.get(readout.kind, new.n)
        seen = self.body.op(name, "Flatten", seen, axis=1)
        seen = seen if plan.dtype is np.int64 else cast(self.body, name, seen, np.int64)
        if readout.each_step:
            self._keep(f"{name}.score", seen, INT64, [BATCH, size], f"{name}.score@end")
            return f"{name}.score@end"
        if readout.time_weights is not None:
            self._scan("time_weight", self.values.array("time_weights", np.asarray(readout.time_weights)), INT64, [])
            seen = self.body.op(name, "Mul", seen, "time_weight")
        before = self._carry(f"{name}.score", np.int64, (), (size,), self.values.number(0, np.int64))
        self._next(f"{name}.score", self.body.op(name, "Add", before, seen))
        return f"{name}.score@end"

    def _results(self, total: str) -> list[Any]:
        from onnx import helper

        readout = self.program.readout
        if readout.each_step:
            self.top.op("", "Transpose", total, output="scores", perm=[1, 0, 2])
        else:
            total = self.top.op("", "Flatten", total, axis=1)
            self.top.op("", "Cast", total, output="scores", to=INT64)
        axes = [BATCH, self.program.time_steps] if readout.each_step else [BATCH]
        self._winner(len(axes))
        size = self.program.population(readout.population).size
        return [
            helper.make_tensor_value_info("scores", INT64, [*axes, size]),
            helper.make_tensor_value_info("predictions", INT64, axes),
        ]

    def _winner(self, axis: int) -> None:
        """``ArgMax`` of int64 is missing in older releases of onnxruntime; ``TopK`` takes the lowest index of equal scores."""
        vector = self.values.vector
        highest = self.program.readout.ties == "highest_index"
        scores = "scores"
        if highest:
            backwards = vector((-1,)), vector((-(2**31),)), vector((axis,)), vector((-1,))
            scores = self.top.op("", "Slice", scores, *backwards)
        _, place = self.top.call("", "TopK", (scores, vector((1,))), (".best", ".place"), axis=axis)
        if highest:
            size = self.program.population(self.program.readout.population).size
            place = self.top.op("", "Sub", self.values.number(size - 1, np.int64), place)
        self.top.op("", "Squeeze", place, vector((axis,)), output="predictions")


def _needed(nodes: list[Any], outputs: list[Any]) -> list[Any]:
    """The nodes that lead to an output, in their order."""
    wanted = {value.name for value in outputs}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            wanted.update(name for part in node.attribute for inner in part.g.node for name in inner.input)
            kept.append(node)
    return kept[::-1]
