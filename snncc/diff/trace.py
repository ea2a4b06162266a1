"""What any stage of a deployment left behind on data, in one form: spikes, readout membranes in real units, scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snncc.compare import check_complete
from snncc.ir.fast import apply_fast, fast_is_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Neuron
from snncc.ir.shapes import infer_shapes
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Trace:
    """One run of one stage.

    Attributes:
        spikes: (T, N, *shape) whole numbers, of the layers that fire, in the order of the network.
        membranes: (T, N, *shape) at the end of each step, in the float network's units, of the layers that never fire.
        scores: (N, classes) or (N, T, classes), in the stage's own units. predictions: (N,) or (N, T).
        run: of a Program, all that its executor kept, as it kept it.
    """

    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    scores: Array
    predictions: Array
    run: IntegerRecording | None = None

    @property
    def samples(self) -> int:
        """N."""
        return len(self.predictions)


def silent(graph: Graph) -> list[str]:
    """The neurons that never fire."""
    return [n for n in graph.of_type(Neuron) if not graph.nodes[n].dynamics.fires]  # type: ignore[union-attr]


def trace_graph(graph: Graph, inputs: Array, units: Mapping[str, Array], samples: int) -> Trace:
    """``graph`` in float64; ``units`` says what one unit of a quantised neuron's weights is worth, ``samples`` how many will
    be run in all, which decides whether PyTorch is worth its import."""
    apply = apply_fast if fast_is_there(samples) else apply_node
    quiet = silent(graph)
    run = run_graph(graph, inputs, np.float64, record_membranes=bool(quiet), apply=apply)
    worth = graph_worth(graph, units)
    return Trace(
        {n: s for n, s in run.spikes.items() if n not in quiet},
        {n: run.membranes[n] * worth.get(n, 1.0) for n in quiet},
        run.scores,
        run.predictions,
    )


def graph_worth(graph: Graph, units: Mapping[str, Array]) -> dict[str, Array]:
    """Neuron to what its membrane's unit is worth in the float network, (C, 1, …) or a number; for a quantised Graph."""
    shapes = infer_shapes(graph)
    found = {}
    for name, unit in units.items():
        node = graph.nodes.get(name)
        if isinstance(node, Neuron):
            found[name] = over_shape(unit, len(shapes[name])) / np.asarray(node.dynamics.input_gain)
    return found


def over_shape(unit: Array, axes: int) -> Array:
    """A number, or one a channel (C,), shaped to broadcast over a population of so many axes."""
    unit = np.asarray(unit, np.float64)
    return unit.reshape(-1, *(1,) * (axes - 1)) if unit.size > 1 else unit.reshape(())


def trace_program(program: Program, run: IntegerRecording, where: str = "the run") -> Trace:
    """The recording of a Program; membranes of its readout only where the executor kept them. Raises :class:`TargetError`,
    naming ``where``, when the spikes of a layer are missing."""
    check_complete(run, [p.name for p in program.populations if p.fires], where)
    quiet = [p for p in program.populations if not p.fires]
    return Trace(
        {p.name: run.spikes[p.name] for p in program.populations if p.fires},
        {p.name: run.membranes[p.name] * (p.unit / 2.0**p.guard_bits) for p in quiet if p.name in run.membranes},
        run.scores,
        run.predictions,
        run,
    )
