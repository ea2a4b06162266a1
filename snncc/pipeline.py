"""The pass framework: a pass is a frozen dataclass that rewrites or analyses a Graph; a pipeline is a list of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from snncc.errors import SnnccError, UnsupportedError
from snncc.ir.graph import Graph, readout_neuron
from snncc.ir.nodes import (
    AvgPool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    Input,
    MaxPool2d,
    Neuron,
    Node,
    Output,
    Scale,
    Sparse,
    SumPool2d,
)
from snncc.ir.shapes import infer_shapes

SYNAPSES = (Dense, Conv1d, Conv2d, Sparse)
"""Node types that hold weights between populations."""


@dataclass
class Context:
    """What analyses found, by name, and remarks for the person compiling."""

    facts: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


LEARNED = "learned"
"""The fact in which a pass leaves a :class:`Learned`."""
EXPONENTS = "exponents"
"""The fact in which a quantising pass leaves, by synapse, the k where its weights are multiples of ``2**k``, or 0 or nothing."""


@dataclass(frozen=True, eq=False)
class Learned:
    """That weights are rounded up or down, not to nearest, and biases corrected.

    Attributes:
        graph: the network before it was quantised, with the weights that were rounded.
        added: neuron to what was added to its (current's) bias, in guarded units, (C, 1, …).
    """

    graph: Graph
    added: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class PassResult:
    """The graph after a pass, whether it differs, and one line on what was done (empty where nothing was)."""

    graph: Graph
    changed: bool
    summary: str = ""


@runtime_checkable
class Pass(Protocol):
    """A rewrite (or, with ``analysis = True``, a look). ``requires`` and ``ensures`` name entries of :data:`PROPERTIES`.

    A pass that rounds constants of neurons may say so: ``rounds``, a table from "bias", "v_init" or "threshold" to the
    largest relative change; and one that writes a rule in another way ``rewrites``, fields of neurons or of the output, such
    as "compare". ``snncc diff`` takes what goes beyond for a fault. A quantising pass leaves the fact "units" instead,
    and one that rounds otherwise than to nearest a :class:`Learned`.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    ensures: ClassVar[tuple[str, ...]]
    analysis: ClassVar[bool]

    def run(self, graph: Graph, context: Context) -> PassResult:
        """Do it."""
        ...


class PassError(SnnccError):
    """A pass broke its promise: a fault of snncc, not of the user."""


def run_pipeline(
    graph: Graph,
    passes: Sequence[Pass],
    context: Context,
    after: Callable[[Pass, PassResult], None] | None = None,
) -> Graph:
    """Run ``passes`` in order; ``after`` sees each result. Checks every pass's promises before and after it."""
    infer_shapes(graph)
    done: list[str] = []
    for one in passes:
        _check(one, "requires", one.requires, graph, done)
        try:
            result = one.run(graph, context)
        except SnnccError:
            raise
        except Exception as error:
            raise PassError(f"pass {one.name} failed after {_listed(done)}: {type(error).__name__}: {error}") from error
        if one.analysis and result.graph is not graph:
            raise PassError(f"pass {one.name} is an analysis but returned another graph")
        if not result.changed and result.graph is not graph:
            raise PassError(f"pass {one.name} returned another graph but says that nothing changed")
        graph = result.graph
        infer_shapes(graph)
        done.append(one.name)
        _check(one, "ensures", one.ensures, graph, done)
        if after is not None:
            after(one, result)
    return graph


def _check(one: Pass, what: str, properties: tuple[str, ...], graph: Graph, done: list[str]) -> None:
    for name in properties:
        offenders = PROPERTIES[name](graph)
        if offenders:
            raise PassError(
                f"pass {one.name} {what} {name!r}, which does not hold for {', '.join(offenders)} (after {_listed(done)})"
            )


def _listed(done: list[str]) -> str:
    return ", ".join(done) or "no pass"


def _single_synapses(graph: Graph) -> list[str]:
    """Nodes through which a population is not reached by exactly one weight node (after an optional Flatten; a convolution
    may be followed by max pooling of its sums), which leads to no other population."""
    bad = []
    for name, node in graph.nodes.items():
        sources = [graph.nodes[e.source] for e in graph.incoming(name)]
        targets = [graph.nodes[e.target] for e in graph.outgoing(name)]
        if isinstance(node, Neuron):
            bad += [
                e.source
                for e in graph.incoming(name)
                if not isinstance(graph.nodes[e.source], (*SYNAPSES, MaxPool2d)) or e.delay
            ]
        elif isinstance(node, MaxPool2d):
            pools_sums = len(sources) == 1 and isinstance(sources[0], Conv2d) and not any(node.padding)
            if not pools_sums or len(targets) != 1 or not isinstance(targets[0], Neuron):
                bad.append(name)
        elif isinstance(node, SYNAPSES):
            ends = len(sources) == 1 and len(targets) == 1
            leads = isinstance(targets[0], Neuron | MaxPool2d) if targets else False
            if not ends or not isinstance(sources[0], Input | Neuron | Flatten) or not leads:
                bad.append(name)
        elif isinstance(node, Flatten):
            to_synapse = any(isinstance(t, SYNAPSES) for t in targets)
            if to_synapse and not (len(sources) == 1 and isinstance(sources[0], Input | Neuron)):
                bad.append(name)
        elif not isinstance(node, Input | Output):
            bad.append(name)
    return bad


def synapses_of(graph: Graph, neuron: str) -> dict[str, Node]:
    """The weight nodes into a neuron of a single-synapse graph by name, also through max pooling."""
    names = [e.source for e in graph.incoming(neuron)]
    names = [graph.incoming(n)[0].source if isinstance(graph.nodes[n], MaxPool2d) else n for n in names]
    return {n: graph.nodes[n] for n in names}


def _biased(graph: Graph) -> list[str]:
    return [n for n, node in graph.nodes.items() if isinstance(node, Dense | Conv1d | Conv2d) and node.bias is not None]


def _not_neuron_output(graph: Graph) -> list[str]:
    return [] if readout_neuron(graph) else [e.source for e in graph.incoming(graph.output)]


def _worth(graph: Graph) -> list[str]:
    """Neurons whose spikes are not worth 1 or whose gain is not 1, and inputs with a scale."""
    bad = [n for n in graph.of_type(Input) if graph.nodes[n].scale != 1.0]  # type: ignore[union-attr]
    for name in graph.of_type(Neuron):
        d = graph.nodes[name].dynamics  # type: ignore[union-attr]
        if not (_is_one(d.spike_value) and _is_one(d.input_gain)):
            bad.append(name)
    return bad


def _is_one(value: Any) -> bool:
    import numpy as np

    return bool(np.all(np.asarray(value) == 1.0))


PROPERTIES: Mapping[str, Callable[[Graph], list[str]]] = {
    "no-identities": lambda g: [n for n in g.of_type(Identity) if g.outgoing(n)],
    "no-batch-norm": lambda g: g.of_type(BatchNorm),
    "no-linear-pooling": lambda g: g.of_type(SumPool2d, AvgPool2d),
    "unit-spikes": _worth,
    "neuron-readout": _not_neuron_output,
    "single-synapses": _single_synapses,
    "no-synapse-bias": _biased,
    "no-scales": lambda g: g.of_type(Scale),
}
"""What a pass may require or ensure: name to the nodes that break it."""


def unused_name(wanted: str, taken: Container[str]) -> str:
    """``wanted``, with as many primes behind it as make it differ from all names in ``taken``."""
    while wanted in taken:
        wanted += "'"
    return wanted


def refuse(name: str, what: str, remedy: str) -> UnsupportedError:
    """An error in the house form."""
    return UnsupportedError(f"{name}: {what}; {remedy}")
