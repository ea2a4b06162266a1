"""Does the Graph do what the ONNX step does? Both run on the same random input, step by step, and every neuron's spikes and
membranes are compared.

onnxruntime runs the model where it is installed and has the operators (no float64 convolution), else onnx's reference
evaluator does. Where float32 differs, because it rounds sums in another order, a float64 copy of the model decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from snncc.errors import GraphError, UnsupportedError
from snncc.ir.graph import Graph
from snncc.ir.interpreter import input_values, run_graph
from snncc.ir.nodes import Conv1d, Conv2d, Dense, Input, Neuron, Node, Output
from snncc.ir.shapes import infer_shapes

Array = np.ndarray
SAMPLES, STEPS, SEED = 2, 20, 0
MAX_OPERATIONS = 1 << 33
"""Multiplications of all steps that are compared; larger networks are compared over fewer steps."""
MAX_BATCH = 1024
GAINS = (1.0, 8.0, 64.0)
"""Of the input: it is made louder until every neuron has fired, so that every reset is seen."""
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}
"""Of membranes, relative to the largest one: sums in another order."""
FLOAT, DOUBLE, BOOL = 1, 11, 9


@dataclass(frozen=True, eq=False)
class Step:
    """An ONNX model with what its values are.

    Attributes:
        data: name of the input that is no state. states: input to output.
        spikes: neuron of the Graph to (tensor, whether it is inverted), or None where the step does not compute its spikes.
        membranes: neuron of the Graph to the output that is its membrane.
    """

    model: Any
    data: str
    states: Mapping[str, str]
    spikes: Mapping[str, tuple[str, bool] | None]
    membranes: Mapping[str, str]


def check_parity(
    where: str, graph: Graph, step: Step, samples: int = SAMPLES, steps: int = STEPS, seed: int = SEED
) -> dict[str, Any]:
    """Facts for the report. Raises :class:`GraphError` naming the first neuron and step that differ."""
    sizes = {_batch(i) for i in step.model.graph.input if i.name in (step.data, *step.states)} - {0}
    if len(sizes) > 1 or max(sizes, default=1) > MAX_BATCH:
        raise UnsupportedError(
            f"{where}: its inputs have the batch sizes {sorted(sizes)}; one, up to {MAX_BATCH}, is read"
        )
    batch = max(sizes, default=samples)
    steps = max(1, min(steps, graph.time_steps, MAX_OPERATIONS // (batch * operations(where, graph))))
    given = _float_type(step.model)
    facts: dict[str, Any] = {
        "samples": 0,
        "steps": steps,
        "cells": 0,
        "spikes": 0,
        "differing": 0,
        "dtype": np.dtype(given).name,
    }
    silent = {name for name, node in graph.nodes.items() if isinstance(node, Neuron) and node.dynamics.fires}
    for gain in GAINS:
        probe = _probe(graph, steps, gain)
        for index in range(-(-samples // batch)):
            found = _compare(where, probe, step, batch, seed + index, given)
            facts.update({key: facts[key] + getattr(found, key) for key in ("samples", "cells", "spikes")})
            facts["differing"] += len(found.lines)
            silent -= found.active
            if not found.lines:
                continue
            exact = found
            if given is not np.float64:
                wide = replace(step, model=_doubled(step.model))
                exact = _compare(where, probe, wide, batch, seed + index, np.float64)
                facts.update(dtype="float64", differing_in_float32=found.lines)
            if exact.lines:
                raise GraphError(
                    f"{where}: the Graph does not do what the model does: {exact.lines[0]}; please report it"
                )
        if not silent:
            break
    return {**facts, "silent": sorted(silent)} if silent else facts


def operations(where: str, graph: Graph) -> int:
    """Multiplications of one sample and step. Raises :class:`UnsupportedError` where one step is too much to run."""
    shapes = infer_shapes(graph)
    total = 1
    for name, node in graph.nodes.items():
        places = prod(shapes[name][1:]) if isinstance(node, Conv1d | Conv2d) else 1
        total += node.weight.size * places if isinstance(node, Conv1d | Conv2d | Dense) else prod(shapes[name])
    if total > MAX_OPERATIONS:
        raise UnsupportedError(f"{where}: one step takes {total:,} multiplications; up to {MAX_OPERATIONS:,} are read")
    return total


@dataclass(frozen=True, eq=False)
class _Comparison:
    """A line for every neuron that differs, in the order of the network; samples, compared cells, spikes, who fired."""

    lines: list[str]
    samples: int
    cells: int
    spikes: int
    active: set[str]


def _probe(graph: Graph, steps: int, gain: float) -> Graph:
    """The graph for a few steps and with a louder input."""
    source, sink = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and isinstance(sink, Output)
    weights = None if sink.time_weights is None else sink.time_weights[:steps]
    changed: dict[str, Node] = {
        graph.input: replace(source, scale=source.scale * gain),
        graph.output: replace(sink, time_weights=weights),
    }
    return replace(graph.with_nodes(changed), time_steps=steps)


def _compare(where: str, graph: Graph, step: Step, samples: int, seed: int, dtype: Any) -> _Comparison:
    entry = graph.nodes[graph.input]
    assert isinstance(entry, Input)
    static = entry.encoding == "static"
    shape = (samples, *entry.shape) if static else (graph.time_steps, samples, *entry.shape)
    inputs = np.random.default_rng(seed).integers(entry.low, entry.high, shape, endpoint=True)
    real = input_values(entry, inputs, dtype)
    real = np.broadcast_to(real, (graph.time_steps, *real.shape)) if static else real
    theirs = run_step(where, step, real)
    ours = run_graph(graph, inputs, dtype=dtype, record_membranes=True)
    lines: list[str] = []
    for name in ours.spikes:
        mine, wanted = ours.membranes[name], theirs[step.membranes[name]]
        wrong = ~(np.abs(mine - wanted) <= TOLERANCE[dtype] * max(1.0, float(np.abs(mine).max())))
        held = step.spikes[name]
        if held is not None:
            wrong |= ours.spikes[name] != (theirs[held[0]].astype(bool) != held[1])
        if wrong.any():
            first = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
            lines.append(f"{name} differs first in step {first}: {int(wrong.sum())} of {wrong.size} cells in all")
    fired = {name: int(s.sum()) for name, s in ours.spikes.items()}
    cells = sum(s.size for s in ours.spikes.values())
    return _Comparison(lines, samples, cells, sum(fired.values()), {n for n, count in fired.items() if count})


def run_step(where: str, step: Step, real: Array) -> dict[str, Array]:
    """The states and comparisons (T, N, …) of the model that runs step after step on ``real`` (T, N, …), from states of 0.
    Raises :class:`UnsupportedError` where it does not run."""
    wanted = [*dict.fromkeys([*step.states.values(), *(s[0] for s in step.spikes.values() if s)])]
    recorded: dict[str, list[Array]] = {name: [] for name in wanted}
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim][1:] for i in step.model.graph.input}
    states = {name: np.zeros((real.shape[1], *shapes[name]), real.dtype) for name in step.states}
    try:
        run = _runner(_with_outputs(step.model, wanted))
        for x in real:
            made = dict(zip(wanted, run(wanted, {step.data: x, **states}), strict=True))
            for name in wanted:
                recorded[name].append(np.asarray(made[name]))
            states = {name: np.asarray(made[output], real.dtype) for name, output in step.states.items()}
        return {name: np.stack(values) for name, values in recorded.items()}
    except Exception as error:  # both engines raise types of their own
        text = " ".join(str(error).split())[:200]
        raise UnsupportedError(f"{where}: the model itself does not run ({type(error).__name__}: {text})") from error


def _runner(model: Any) -> Callable[[list[str], dict[str, Array]], list[Any]]:
    data = model.SerializeToString()
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run
    except ImportError:
        pass
    except Exception:  # an operator without a kernel for this type; the reference evaluator has them all
        pass
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(data).run


def _with_outputs(model: Any, wanted: list[str]) -> Any:
    """A copy that also gives the comparisons in ``wanted``."""
    made = type(model)()
    made.CopyFrom(model)
    known = {o.name for o in made.graph.output}
    for name in wanted:
        if name not in known:
            made.graph.output.add(name=name).type.tensor_type.elem_type = BOOL
    return made


def _doubled(model: Any) -> Any:
    """A copy in float64."""
    from onnx import numpy_helper

    made = type(model)()
    made.CopyFrom(model)
    tensors = list(made.graph.initializer)
    for node in made.graph.node:
        tensors += [a.t for a in node.attribute if a.HasField("t")]
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = DOUBLE
    for tensor in tensors:
        if tensor.data_type == FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*made.graph.input, *made.graph.output, *made.graph.value_info):
        if value.type.tensor_type.elem_type == FLOAT:
            value.type.tensor_type.elem_type = DOUBLE
    return made


def _float_type(model: Any) -> Any:
    """float64 where the inputs are, else float32."""
    return np.float64 if any(i.type.tensor_type.elem_type == DOUBLE for i in model.graph.input) else np.float32


def _batch(entry: Any) -> int:
    return int(entry.type.tensor_type.shape.dim[0].dim_value)
