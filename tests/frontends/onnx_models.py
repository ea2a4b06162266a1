"""Runs exported models in onnxruntime, and small networks that use what random ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from snncc.frontends.onnx_export import build_model, model_bytes
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.interpreter import Recording, run_graph
from snncc.ir.nodes import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    Input,
    MaxPool2d,
    Neuron,
    Output,
    Scale,
    Sparse,
    SumPool2d,
)

Array = np.ndarray


def session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # that an initializer is not used is no news
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_model(made: Any, inputs: Array, time_steps: int | None = None) -> dict[str, Array]:
    """Outputs by name; a static model gets ``time_steps`` if they are given."""
    entry = made.get_inputs()[0]
    feeds = {entry.name: inputs.astype({"tensor(int32)": np.int32, "tensor(int64)": np.int64}[entry.type])}
    if time_steps is not None:
        feeds["time_steps"] = np.array(time_steps, np.int64)
    return dict(zip([o.name for o in made.get_outputs()], made.run(None, feeds), strict=True))


def differing(graph: Graph, found: dict[str, Array], wanted: Recording, silent: bool = True) -> tuple[int, int]:
    """(cells compared, cells that differ): spikes of firing neurons and, with ``silent``, membranes of the others."""
    cells = bad = 0
    for name in graph.of_type(Neuron):
        node = graph.nodes[name]
        assert isinstance(node, Neuron)
        if not (node.dynamics.fires or silent):
            continue
        raster = wanted.spikes[name] if node.dynamics.fires else wanted.membranes[name]
        assert found[f"{name}.raster"].shape == raster.shape, name
        cells += raster.size
        bad += int((found[f"{name}.raster"] != raster).sum())
    return cells, bad


def assert_runs_alike(graph: Graph, inputs: Array, dtype: str, steps: int | None = None, made: Any = None) -> None:
    """Every spike, membrane of a readout, score and prediction is that of the interpreter."""
    found = run_model(made or session(model_bytes(build_model(graph, dtype))), inputs, steps)
    wanted = run_graph(graph, inputs, np.dtype(dtype).type, record_membranes=True)
    assert differing(graph, found, wanted)[1] == 0
    np.testing.assert_array_equal(found["scores"], wanted.scores)
    np.testing.assert_array_equal(found["predictions"], wanted.predictions)


def odd_network(encoding: str = "spikes", **changes: Any) -> Graph:
    """Max and padded sum pooling, an irregular map, long delays, an input that skips ahead, batch norm, hard names."""
    rng = np.random.default_rng(3)

    def eighths(*shape: int) -> Array:
        return (rng.integers(-8, 9, shape) / 8).astype(np.float32)

    index = np.array([[0, 0, 3, 2, 3], [1, 7, 4, 4, 4]])
    nodes = {
        "": Input((2, 6, 5), encoding, 1.0, -1, 2),
        "a/b.c": Conv2d(eighths(4, 2, 3, 2), None, (2, 1), (1, 0), (1, 2)),
        "größe ⚡": BatchNorm(np.array([1.0, 0.5, -2, 1]), np.full(4, 3.75), np.full(4, 2.0), np.zeros(4), 0.25),
        "n1": Neuron(Dynamics(np.array([0.5, 1, 1, 2])[:, None, None], ">", 0.5, 0.75, levels=3, signed=True)),
        "max": MaxPool2d((2, 2), (1, 2), (1, 0)),
        "sum": SumPool2d((2, 1), (2, 1), (1, 0)),
        "flat": Flatten(),
        "map": Sparse(eighths(5), index, (4,), 12),
        "n1.spikes": Neuron(
            Dynamics(0.75, ">=", 0.5, reset="to_value", reset_timing="next_step_after_input", v_min=-1.0)
        ),
        "ahead": Dense(eighths(3, 60)),
        "in flat": Flatten(),
        "out fc": Dense(eighths(3, 4), eighths(3)),
        "twice": Scale(np.float32(2.0)),
        "li": Neuron(Dynamics(1.0, ">", 0.75, None, np.array([0.5, 0, 1]), fires=False, decay_timing="after")),
        "output": Output("membrane", "highest_index"),
    }
    edges = [
        *(("", "a/b.c"), ("a/b.c", "größe ⚡"), ("größe ⚡", "n1", 1), ("größe ⚡", "n1", 3), ("n1", "max")),
        *(("max", "sum"), ("sum", "flat"), ("flat", "map"), ("map", "n1.spikes"), ("n1.spikes", "n1.spikes", 2)),
        *(("n1.spikes", "out fc"), ("", "in flat", 2), ("in flat", "ahead"), ("ahead", "twice"), ("twice", "li")),
        *(("out fc", "li"), ("li", "output")),
    ]
    return build_graph({**nodes, **changes}, [Edge(*e) for e in edges], 6, "odd/ネット")
