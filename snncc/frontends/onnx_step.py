"""Reads one step of a spiking network from ONNX: states come in and go out, neurons are spelled in elementwise operations.

Reset, comparison and decays are in the graph and are read from it; which outputs are states is found there too, or
given (:mod:`onnx_step_states`). Not in the graph are the number of steps, what the input means, and the states before
the first step, which are taken as 0. The Graph that is made runs against the model before it is returned
(:mod:`onnx_step_parity`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.onnx_step_neuron import Population, match_population, spike_states
from snncc.frontends.onnx_step_parity import Step, check_parity
from snncc.frontends.onnx_step_states import found_states, given_states
from snncc.frontends.onnx_step_values import Values, evaluate
from snncc.frontends.onnx_symbols import ONE, Array, Form, Term
from snncc.frontends.semantics import Semantics, settled_input, settled_output, settled_time_steps
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Input, Neuron, Node, Output, Scale
from snncc.ir.shapes import infer_shapes


def is_step(model: Any) -> bool:
    """Whether the model looks like one step with states: more than one input."""
    held = {t.name for t in model.graph.initializer}
    return sum(i.name not in held for i in model.graph.input) > 1


def read_step(where: str, model: Any, semantics: Semantics) -> Graph:
    """The network that runs the step in the ONNX ``model``.

    Raises :class:`InputError` on a damaged file or an option that does not fit, :class:`UnsupportedError` on what has no
    form (naming node, tensor or state), :class:`GraphError` where the Graph does something else than the model.
    """
    try:
        return _read(where, model, semantics)
    except SnnccError as error:
        start = "" if str(error).startswith(where) else f"{where}: "
        raise type(error)(f"{start}{error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{where}: is damaged ({type(error).__name__}: {text})") from error


def _read(where: str, model: Any, semantics: Semantics) -> Graph:
    values = evaluate(where, model)
    inputs = list(values.forms)[: sum(1 for i in model.graph.input if i.name in values.forms)]
    forms = {o.name: values.output(o.name) for o in model.graph.output}
    if len(inputs) < 2:
        raise UnsupportedError(f"{where}: has {len(inputs)} inputs; a step has its data and at least one state")
    if "states" in semantics.values:
        pairs = given_states(where, semantics.values["states"], inputs, list(forms))
        paired = semantics.sources["states"]
    else:
        pairs, paired = found_states(where, values, inputs, forms)
    data = [i for i in inputs if i not in pairs]
    if len(data) != 1:
        names = ", ".join(repr(d[:60]) for d in data)
        raise UnsupportedError(
            f"{where}: all inputs but one must be states, and {names or 'none'} are no states: --opt states=IN:OUT,IN:OUT"
        )
    for state, output in pairs.items():
        if values.forms[state].shape != forms[output].shape:
            raise UnsupportedError(
                f"{where}: the state {state[:60]!r} goes in with the shape {values.forms[state].shape} a sample and comes out as "
                f"{forms[output].shape} ({output[:60]!r}); export the step with states of the shape that they have after a step"
            )
    steps, steps_from = settled_time_steps(where, semantics, None)
    written = [o.name for o in model.graph.output]
    rest = {o: f for o, f in forms.items() if o not in pairs.values() or written.count(o) > 1}
    network = _Network(values, {s: forms[o] for s, o in pairs.items()}, data[0])
    network.find_populations([*rest.values()])
    answer = _answer(where, network, rest)
    source, input_from = settled_input(where, semantics, values.forms[data[0]].shape, None)
    sink, output_from = settled_output(where, semantics, steps, Output(network.usual_readout(answer)), "default")
    nodes, edges = network.build(source, sink, answer)
    origin: dict[str, Any] = {
        "format": "onnx",
        "file": where,
        "states": {"pairs": pairs, "from": paired},
        "initial_states": "0 (default)",
        "semantics_from": {"time_steps": steps_from, **input_from, **output_from},
    }
    name = where.rsplit(".", 1)[0] or "network"
    graph = build_graph(nodes, edges, steps, name, origin)
    infer_shapes(graph)
    tensors = {network.names[p.membrane]: network.spike_tensor(p) for p in network.populations.values()}
    membranes = {network.names[p.membrane]: pairs[p.membrane] for p in network.populations.values()}
    parity = check_parity(where, graph, Step(model, data[0], pairs, tensors, membranes))
    return build_graph(nodes, edges, steps, name, {**origin, "parity": parity})


def _answer(where: str, network: _Network, rest: Mapping[str, Form]) -> Form:
    """The form whose value is read out: the only output that is no state, else the only neuron that nothing reads."""
    if rest:
        distinct: list[Form] = []
        for form in rest.values():
            if not any(network.values.algebra.same(form, d) for d in distinct):
                distinct.append(form)
        unread = [f for f in distinct if len(distinct) == 1 or not network.is_read(f)]
        if len(unread) == 1:
            return unread[0]
        names = ", ".join(repr(n[:60]) for n in rest)
        raise UnsupportedError(
            f"{where}: has the outputs {names} besides its states; export one answer, or name more states: --opt states=IN:OUT"
        )
    ends = [
        p
        for p in network.populations.values()
        if not p.dynamics.fires and not network.is_read(network.following[p.membrane])
    ]
    if len(ends) != 1:
        raise UnsupportedError(
            f"{where}: all of its outputs are states, and no single leaky readout is the last; export the answer too"
        )
    return network.following[ends[0].membrane]


@dataclass
class _Network:
    """Populations and layers under their names in the Graph."""

    values: Values
    following: Mapping[str, Form]
    data: str
    populations: dict[str, Population] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    spikes: dict[str, tuple[int, Array]] = field(default_factory=dict)

    def find_populations(self, outputs: list[Form]) -> None:
        """Match every membrane; name everything."""
        self.spikes = spike_states(self.following)
        used = _used(self.values, [*outputs, *self.following.values(), *(x.given for x in self.values.layers.values())])
        currents = self._currents()
        rest = [s for s in self.following if s not in self.spikes and s not in currents]
        self.populations = {
            s: match_population(self.values.algebra, s, self.following, self.spikes, used) for s in rest
        }
        integrated = [p.current for p in self.populations.values() if p.current is not None]
        if len(set(integrated)) < len(integrated):
            raise UnsupportedError(
                f"the states {', '.join(map(repr, integrated))} hold the current of two neurons each"
            )
        taken = {"output"}
        self.names = {self.data: _free(_readable(self.data, "input"), taken)}
        for symbol in self.values.layers:
            self.names[symbol] = _free(symbol.removeprefix("layer "), taken)
        for state, population in self.populations.items():
            index = population.fired if population.fired is not None else population.fired_before
            tensor = "" if index is None else self.values.algebra.indicators[index].tensor
            self.names[state] = _free(
                tensor if tensor.startswith("/") and tensor.count("/") > 1 else _readable(state, "neuron"), taken
            )

    def _currents(self) -> set[str]:
        """States that decay by themselves, never reset, and go into another state's next value."""
        alone = {
            s
            for s, f in self.following.items()
            if s not in self.spikes and f.symbols & set(self.following) == {s} and not f.indicators
        }
        return {c for c in alone if any(c in f.symbols for s, f in self.following.items() if s != c)}

    def spike_tensor(self, population: Population) -> tuple[str, bool] | None:
        """Where the model holds what the population fires in a step: the tensor, and whether it is inverted."""
        if population.fired is None:
            return None
        indicator = self.values.algebra.indicators[population.fired]
        return indicator.tensor, indicator.inverted

    def is_read(self, form: Form) -> bool:
        """Whether a layer or another neuron reads what the form is."""
        given = [x.given for x in self.values.layers.values()]
        heard = {i for x in given for i in x.indicators}
        heard |= {i for p in self.populations.values() for t in p.sources for i in t[0]}
        return bool(form.indicators & heard) or any(self.values.algebra.same(form, x) for x in given)

    def usual_readout(self, answer: Form) -> str:
        """Spikes are counted, a membrane is taken after the last step, other sums are summed up."""
        ends = [name for name, _, _ in self.sources(answer, "the output")]
        fires = [p.dynamics.fires for s, p in self.populations.items() if s in ends]
        if self._membrane(answer) is not None:
            return "membrane"
        return "spike_count" if len(fires) == len(ends) and all(fires) else "summed_current"

    def sources(self, form: Form, where: str) -> Iterator[tuple[str, Array, int]]:
        """(symbol of a node or population, factor, delay) of what adds up to the form."""
        membrane = self._membrane(form)
        if membrane is not None:
            yield membrane, np.ones(()), 0
            return
        for term, factor in form.terms.items():
            yield self._source(term, factor, where)

    def _membrane(self, form: Form) -> str | None:
        """The population whose membrane after the step the form is."""
        for state in self.populations:
            if self.values.algebra.same(form, self.following[state]):
                return state
        return None

    def _source(self, term: Term, factor: Array, where: str) -> tuple[str, Array, int]:
        indicators, symbols = term
        if len(indicators) + len(symbols) == 1:
            if symbols and symbols[0] in self.spikes:
                index, gain = self.spikes[symbols[0]]
                symbol, _, delay = self._source((frozenset({index}), ()), factor, where)
                return symbol, factor * gain, delay + 1
            if symbols and symbols[0] in self.populations and not self.populations[symbols[0]].dynamics.fires:
                return symbols[0], factor, 1
            if symbols and symbols[0] in self.names and symbols[0] not in self.populations:
                return symbols[0], factor, 0
            for state, p in self.populations.items():
                for own, delay in ((p.fired, 0), (p.fired_before, 1)):
                    if own is not None and indicators == {own}:
                        return state, factor, delay
        what = "a constant" if term == ONE else f"a product of {', '.join(map(repr, symbols)) or 'spikes'}"
        raise UnsupportedError(f"{where}: reads {what}, which no layer or neuron gives")

    def build(self, source: Input, sink: Output, answer: Form) -> tuple[dict[str, Node], list[Edge]]:
        """Nodes and edges of the Graph."""
        nodes: dict[str, Node] = {self.names[self.data]: source}
        edges: list[Edge] = []

        def connect(form: Form | Population, target: str) -> None:
            if isinstance(form, Form):
                found = list(self.sources(form, target))
            else:
                found = [self._source(t, v, target) for t, v in form.sources.items()]
            for symbol, factor, delay in found:
                name = self.names[symbol]
                if not np.all(factor == 1):
                    scaled = _free(f"{name} to {target}", set(nodes), whole=True)
                    nodes[scaled] = Scale(float(factor) if factor.ndim == 0 else factor)
                    edges.append(Edge(name, scaled))
                    name = scaled
                edges.append(Edge(name, target, delay))

        for symbol, layer in self.values.layers.items():
            nodes[self.names[symbol]] = layer.node
            connect(layer.given, self.names[symbol])
        for state, population in self.populations.items():
            nodes[self.names[state]] = Neuron(population.dynamics)
            connect(population, self.names[state])
        nodes["output"] = sink
        connect(answer, "output")
        return nodes, edges


def _used(values: Values, forms: list[Form]) -> set[int]:
    """The indicators in the forms, and those that these look at."""
    found: set[int] = set()
    todo = {i for f in forms for i in f.indicators}
    while todo:
        index = todo.pop()
        found.add(index)
        todo |= values.algebra.indicators[index].form.indicators - found
    return found


def _readable(name: str, usual: str) -> str:
    """The name, or the usual one where the exporter made it up (``onnx::Mul_1``)."""
    return usual if "::" in name or not name or name[0].isdigit() else name


def _free(name: str, taken: set[str], whole: bool = False) -> str:
    """A short name that is not taken: ``fc1`` of ``/fc1/Gemm``."""
    parts = [p for p in name.split("/") if p]
    short = name if whole or len(parts) < 2 else ".".join(parts[:-1])
    made = short.strip("/") or "node"
    count = 2
    while made in taken:
        made = f"{short.strip('/')}_{count}"
        count += 1
    taken.add(made)
    return made


__all__ = ["is_step", "read_step"]
