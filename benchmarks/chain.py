"""A network as a chain of stages, affine layers and then neurons: the form in which every framework can hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph
from snncc.ir.nodes import Dense, Input, Neuron, Node, Output
from snncc.passes.fold_batch_norm import FoldBatchNorm
from snncc.passes.remove_identities import RemoveIdentities
from snncc.pipeline import Context, run_pipeline

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """Affine layers, and the neurons that they feed.

    Attributes:
        name: of the neurons.
        layers: what stands between the stage before and the neurons, in order.
        dynamics: of the neurons.
        recurrent: weight (size, size) through which they hear their own spikes of the step before, or None.
    """

    name: str
    layers: tuple[Node, ...]
    dynamics: Dynamics
    recurrent: Array | None = None


@dataclass(frozen=True, eq=False)
class Chain:
    """Stages in order; the last one sums its input and never fires, and its membrane is the answer.

    Attributes:
        static: the same analog input in every step.
        scale: what one unit of the integer input is worth.
    """

    stages: tuple[Stage, ...]
    time_steps: int
    static: bool
    scale: float

    @property
    def hidden(self) -> tuple[Stage, ...]:
        """The stages that fire."""
        return self.stages[:-1]


def folded(graph: Graph) -> Graph:
    """``graph`` with batch norms folded into the weights, as everybody does before measuring."""
    return run_pipeline(graph, (RemoveIdentities(), FoldBatchNorm()), Context())


def chain_of(graph: Graph) -> Chain:
    """The stages of a graph that :func:`folded` gave. Raises :class:`UnsupportedError` where it is no such chain, or where
    its neurons are not those that every framework has: binary, leaky, reset to 0 at once, no synaptic current."""
    loops = {e.target: e.source for e in graph.edges if e.delay == 1}
    stages: list[Stage] = []
    layers: list[Node] = []
    before = graph.input
    for name, node in graph.nodes.items():
        if isinstance(node, Input) or name in loops.values():
            continue
        sources = [e.source for e in graph.incoming(name) if e.delay == 0]
        if sources != [before] or any(e.delay > 1 for e in graph.incoming(name)):
            raise UnsupportedError(f"{graph.name}: {name} is fed by {', '.join(sources)}; a chain of layers is needed")
        before = name
        if isinstance(node, Neuron):
            stages.append(Stage(name, tuple(layers), node.dynamics, _recurrent(graph, loops.get(name))))
            layers = []
        elif not isinstance(node, Output):
            layers.append(node)
    source, output = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and isinstance(output, Output)
    if layers or not stages or not _sums(stages[-1]) or output.readout != "membrane" or output.each_step:
        raise UnsupportedError(f"{graph.name}: its answer is not the sum of a last layer's currents, read at the end")
    for stage in stages[:-1]:
        _check(stage)
    return Chain(tuple(stages), graph.time_steps, source.encoding == "static", source.scale)


def _recurrent(graph: Graph, name: str | None) -> Array | None:
    node = None if name is None else graph.nodes[name]
    if node is None:
        return None
    if not isinstance(node, Dense) or node.bias is not None:
        raise UnsupportedError(f"{graph.name}: {name} feeds spikes back; a dense layer without bias is needed there")
    return node.weight


def _sums(stage: Stage) -> bool:
    d = stage.dynamics
    return not d.fires and bool(np.all(np.asarray(d.membrane_decay) == 1)) and d.current_decay is None


def _check(stage: Stage) -> None:
    d = stage.dynamics
    plain = {
        "fires": d.fires,
        "levels": d.levels == 1,
        "signed": not d.signed,
        "reset": d.reset == "to_value" and np.all(np.asarray(d.reset_value) == 0),
        "reset_timing": d.reset_timing == "immediate",
        "decay_timing": d.decay_timing == "before",
        "current_decay": d.current_decay is None,
        "input_gain": np.all(np.asarray(d.input_gain) == 1),
        "bias": np.all(np.asarray(d.bias) == 0) and np.all(np.asarray(d.current_bias) == 0),
        "v_init": np.all(np.asarray(d.v_init) == 0) and d.v_min is None,
        "spike_value": np.all(np.asarray(d.spike_value) == 1),
        "threshold": np.ndim(d.threshold) == 0 and np.ndim(d.membrane_decay) == 0,
    }
    if wrong := [field for field, fits in plain.items() if not fits]:
        raise UnsupportedError(
            f"{stage.name}: its {', '.join(wrong)} is not that of the plain leaky neuron that every framework has"
        )
