"""Reads NIR files: with our own metadata exactly as exported, else under a dialect that the user names.

The steps: the container (:mod:`nir_file`), options and sidecar (:mod:`semantics`), then either the metadata
(:mod:`nir_metadata`) or the standard part: flatten nested graphs and find the recurrent edges (:mod:`nir_loops`), settle
what is unsaid (:mod:`nir_guess`), check the layers (:mod:`nir_layers`), leave out batch axes (:mod:`nir_axes`), and give
the neurons their meaning (:mod:`dialects`, :mod:`nir_neurons`).
``graph.origin["semantics"]`` holds every value that was taken as given, ``origin["semantics_from"]`` where it came
from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snncc.errors import GraphError, InputError
from snncc.frontends.base import Frontend
from snncc.frontends.dialects import NEURON_PARAMETERS, SILENT, NeuronRecord, Reading
from snncc.frontends.nir_axes import without_batch_axes
from snncc.frontends.nir_faults import faults, refuse_lost_inputs
from snncc.frontends.nir_file import HDF5_SIGNATURE, RawFile, read_container
from snncc.frontends.nir_guess import defaults, left_open, refuse, remarks, with_dialect, with_time_constants
from snncc.frontends.nir_layers import KNOWN_KINDS, delay_steps, fit_population, layer, neuron, shape_of
from snncc.frontends.nir_loops import FlatNetwork, delayed_edges, flatten, loops, topological
from snncc.frontends.nir_metadata import decode
from snncc.frontends.nir_neurons import neuron_dynamics
from snncc.frontends.semantics import (
    DIALECT_OPTIONS,
    Semantics,
    collect,
    settle,
    settled_input,
    settled_output,
    settled_time_steps,
    yes,
)
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Identity, Input, Neuron, Node, Output
from snncc.ir.shapes import infer_shapes, input_shape


def read_nir(path: Path, options: Mapping[str, str]) -> Graph:
    """The Graph in the NIR file at ``path``.

    ``options`` are those of :data:`snncc.frontends.semantics.OPTIONS`, as text, and ``strict``: with "yes" nothing that the
    file leaves open is guessed or taken by default. What was is in ``graph.origin["warnings"]``. Raises
    :class:`~snncc.errors.DialectError` where the file does not say how it runs, nobody did, and it is not clear,
    :class:`~snncc.errors.InputError` or :class:`~snncc.errors.GraphError` on a file that is damaged or makes no sense,
    :class:`~snncc.errors.UnsupportedError` on what has no exact form. Every message names the file or the node.
    """
    path = Path(path)
    strict = yes(path.name, "strict", options.get("strict", "no"))
    semantics = collect(path, {key: value for key, value in options.items() if key != "strict"})
    if "states" in semantics.values:
        raise InputError(f"{path.name}: states belongs to ONNX; a NIR file says what its neurons are")
    file = read_container(path)
    if file.metadata is not None and "dialect" not in semantics.values:
        return _from_metadata(path, file, semantics)
    return _from_dialect(path, file, semantics, strict)


def _from_metadata(path: Path, file: RawFile, semantics: Semantics) -> Graph:
    """What snncc exported; only the step count, the input and the readout may be said anew."""
    for key in DIALECT_OPTIONS:
        if key in semantics.values:
            raise InputError(
                f"{path.name}: {key} belongs to a dialect, but the file carries its own semantics; leave it out, or give "
                "--dialect to read the standard NIR part instead"
            )
    graph = decode(path.name, file)
    source, sink = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and isinstance(sink, Output)
    steps, steps_from = settled_time_steps(path.name, semantics, graph.time_steps)
    new_source, input_from = settled_input(path.name, semantics, source.shape, source)
    new_sink, output_from = settled_output(path.name, semantics, steps, sink, "metadata")
    nodes = {**graph.nodes, graph.input: new_source, graph.output: new_sink}
    settled = {"dialect": "metadata", "time_steps": steps, **_shown(new_source, new_sink)}
    sources = {"dialect": "metadata", "time_steps": steps_from, **input_from, **output_from}
    made = build_graph(nodes, graph.edges, steps, graph.name, _origin(path, file, settled, sources, ()))
    infer_shapes(made)
    return made


def _from_dialect(path: Path, file: RawFile, semantics: Semantics, strict: bool) -> Graph:
    flat = flatten(file.root)
    for name, raw in flat.nodes.items():
        if raw.kind not in KNOWN_KINDS:
            raise InputError(
                f"{name}: {raw.kind[:60]!r} is no NIR node that is known; known are {', '.join(KNOWN_KINDS)}"
            )
    refuse_lost_inputs(flat)
    neurons = [n for n, raw in flat.nodes.items() if raw.kind in NEURON_PARAMETERS and raw.kind != "Threshold"]
    given = [neuron(n, raw, False) for n, raw in flat.nodes.items() if raw.kind in NEURON_PARAMETERS]
    semantics, guess = with_dialect(path.name, semantics if given else _without_neurons(semantics), given, flat.entry)
    semantics = with_time_constants(semantics, given)
    reading, settled, sources = settle(path.name, semantics)
    delays = any(raw.kind == "Delay" for raw in flat.nodes.values())
    opened = left_open(reading, settled, sources, given, delays)
    if strict:
        refuse(path.name, guess, reading.dialect.name, opened)
    steps, steps_from = settled_time_steps(path.name, semantics, None)
    edges, recurrent = _timed_edges(flat, reading, neurons)
    looped = {edge.source for edge in recurrent}
    records = {record.name: replace(record, recurrent=record.name in looped) for record in given}
    nodes, more, more_from = _nodes(path, flat, reading, semantics, steps, edges)
    order = topological(list(nodes), [(e.source, e.target) for e in edges if e not in recurrent])
    settled.update({"time_steps": steps, **more})
    sources.update({"time_steps": steps_from, **more_from})
    draft, left_out = without_batch_axes(
        build_graph({n: nodes[n] for n in order}, edges, steps, path.stem), records, flat
    )
    said = {"input_shape": left_out, "dialect_guessed": guess.evidence if guess else "", "defaults": defaults(opened)}
    warnings = remarks(path.name, guess, reading.dialect.name, opened)
    warnings += faults(path.name, flat, reading.dialect.name, sources, bool(recurrent))
    origin = _origin(path, file, settled, sources, recurrent) | {k: v for k, v in said.items() if v}
    origin |= {"warnings": warnings} if warnings else {}
    made = replace(draft, origin=origin).with_nodes(_meanings(draft, records, reading))
    infer_shapes(made)
    return made


def _without_neurons(semantics: Semantics) -> Semantics:
    """A file without neurons needs no dialect; euler with steps of 1 is then as good as any."""
    values = {"dialect": "euler", "dt": "1", **semantics.values}
    sources = {"dialect": "default", "dt": "default", **semantics.sources}
    return Semantics(values, sources)


def _timed_edges(flat: FlatNetwork, reading: Reading, neurons: list[str]) -> tuple[tuple[Edge, ...], frozenset[Edge]]:
    """All edges with their delays, and those among them that a loop implies.

    A Delay node passes its input on; the edges into it carry its delay. Where a dialect's spikes come a step late, every
    edge that leaves a spiking neuron carries that step, and it is also the step that a loop needs.
    """
    late = {n for n in neurons if reading.dialect.late_output and flat.nodes[n].kind not in SILENT}
    waits = {n: delay_steps(n, raw, reading.dt) for n, raw in flat.nodes.items() if raw.kind == "Delay"}
    known = {e: waits.get(e[1], 0) + (e[0] in late) for e in flat.edges}
    if len(known) != len(flat.edges):
        twice = next(e for e in flat.edges if flat.edges.count(e) > 1)
        raise GraphError(
            f"{twice[0]} → {twice[1]}: the edge stands twice; put a Scale of 2 between them to add it twice"
        )
    implied = delayed_edges(list(flat.nodes), [e for e, steps in known.items() if steps == 0], neurons)
    edges = tuple(Edge(s, t, known[s, t] or int((s, t) in implied)) for s, t in flat.edges)
    loop = loops(list(flat.nodes), flat.edges)
    return edges, frozenset(e for e in edges if e.delay > 0 and loop[e.source] == loop[e.target])


def _nodes(
    path: Path, flat: FlatNetwork, reading: Reading, semantics: Semantics, steps: int, edges: tuple[Edge, ...]
) -> tuple[dict[str, Node], dict[str, Any], dict[str, str]]:
    """Every node; neurons hold default dynamics until their population's shape is known. With the settled values of
    input and output, and where they came from."""
    nodes: dict[str, Node] = {}
    settled: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, raw in flat.nodes.items():
        if name in flat.borders or raw.kind == "Delay":
            nodes[name] = Identity()
        elif raw.kind == "Input":
            source, where = settled_input(path.name, semantics, shape_of(name, raw), None)
            nodes[name] = source
            settled.update(_shown_input(source))
            sources.update(where)
        elif raw.kind == "Output":
            shape_of(name, raw)
            sink, where = settled_output(path.name, semantics, steps, _usual_output(flat, edges, name), "default")
            nodes[name] = sink
            settled.update(_shown_output(sink))
            sources.update(where)
        else:
            made = layer(name, raw, reading.transposed)
            nodes[name] = Neuron(Dynamics()) if made is None else made
    return nodes, settled, sources


def _usual_output(flat: FlatNetwork, edges: tuple[Edge, ...], name: str) -> Output:
    """Spikes are counted, a silent neuron's membrane is read after the last step, a bare layer's output is summed."""
    sources = [e.source for e in edges if e.target == name]
    seen: set[str] = set()
    while len(sources) == 1 and sources[0] in flat.borders | {n for n, r in flat.nodes.items() if r.kind == "Delay"}:
        if sources[0] in seen:
            break
        seen.add(sources[0])
        sources = [e.source for e in edges if e.target == sources[0]]
    kinds = {flat.nodes[s].kind for s in sources}
    if kinds and kinds <= set(SILENT):
        return Output("membrane")
    return Output("spike_count" if kinds <= set(NEURON_PARAMETERS) else "summed_current")


def _meanings(draft: Graph, records: Mapping[str, NeuronRecord], reading: Reading) -> dict[str, Node]:
    """Dynamics of every neuron, with parameters that fit its population."""
    shapes = infer_shapes(draft)
    fitted = {n: fit_population(record, input_shape(n, draft, shapes)) for n, record in records.items()}
    return {n: Neuron(neuron_dynamics(record, reading)) for n, record in fitted.items()}


def _origin(
    path: Path, file: RawFile, settled: dict[str, Any], sources: dict[str, str], recurrent: frozenset[Edge] | tuple[()]
) -> dict[str, Any]:
    return {
        "format": "nir",
        "file": path.name,
        "nir_version": file.version,
        "semantics": settled,
        "semantics_from": sources,
        "recurrent_edges": sorted([e.source, e.target, e.delay] for e in recurrent),
    }


def _shown_input(node: Input) -> dict[str, Any]:
    return {
        "input_encoding": node.encoding,
        "input_scale": node.scale,
        "input_low": node.low,
        "input_high": node.high,
    }


def _shown_output(node: Output) -> dict[str, Any]:
    each = {"each_step": True} if node.each_step else {}
    return {"readout": node.readout, "ties": node.ties, **each}


def _shown(source: Input, sink: Output) -> dict[str, Any]:
    return {**_shown_input(source), **_shown_output(sink)}


def _sniff(path: Path, head: bytes) -> bool:
    """HDF5 files are NIR unless their name says lava-dl's ``.net``."""
    return path.suffix.lower() == ".nir" or (head.startswith(HDF5_SIGNATURE) and path.suffix.lower() != ".net")


FRONTEND = Frontend(
    name="nir",
    suffixes=(".nir",),
    sniff=_sniff,
    read=read_nir,
    description="Neuromorphic Intermediate Representation (.nir): own metadata, or an explicit dialect",
    guesses=True,
)

__all__ = ["FRONTEND", "read_nir"]
