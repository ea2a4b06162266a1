"""Reads ONNX files: the form that :mod:`onnx_export` writes, exactly; one step of a spiking network
(:mod:`onnx_step`); and refuses all others by what they lack.

A file of snncc carries its Graph as metadata. It is believed only if exporting that Graph again gives the very network
in the file, node for node and weight for weight: so what onnxruntime runs and what is imported are one network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from snncc.errors import GraphError, InputError, SnnccError, UnsupportedError
from snncc.frontends.base import Frontend
from snncc.frontends.onnx_ann import ANN_OPERATORS
from snncc.frontends.onnx_export import build_model
from snncc.frontends.onnx_file import initializer_arrays, read_model
from snncc.frontends.onnx_metadata import KEY, decode
from snncc.frontends.onnx_step import is_step, read_step
from snncc.frontends.semantics import (
    DIALECT_OPTIONS,
    collect,
    settled_input,
    settled_output,
    settled_time_steps,
)
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import Input, Output
from snncc.ir.shapes import infer_shapes

FIRING_OPERATORS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Heaviside", "Sign")
MAX_SHOWN_NODES = 10_000
LOOP_OPERATORS = ("Scan", "Loop", "If", "LSTM", "GRU", "RNN")


def read_onnx(path: Path, options: Mapping[str, str]) -> Graph:
    """The Graph in the ONNX file at ``path``; ``options`` may say the step count, the input and the readout anew.

    Raises :class:`InputError` or :class:`GraphError` on a damaged or changed file, and :class:`UnsupportedError` on a
    model of another tool, naming what it lacks.
    """
    path = Path(path)
    model = read_model(path)
    texts = [p.value for p in model.metadata_props if p.key == KEY]
    if len(texts) != 1 and not (_may_be_step(model) and is_step(model)):
        raise _foreign(path, model)
    semantics = collect(path, options)
    for key in ("dialect", *DIALECT_OPTIONS):
        if key in semantics.values:
            raise InputError(f"{path.name}: {key} belongs to NIR; an ONNX file carries its own semantics")
    if len(texts) != 1:
        return read_step(path.name, model, semantics)
    if "states" in semantics.values:
        raise InputError(f"{path.name}: states belongs to a single step; this file of snncc holds the whole network")
    graph = _exported(path, model, texts[0])
    source, sink = graph.nodes[graph.input], graph.nodes[graph.output]
    assert isinstance(source, Input) and isinstance(sink, Output)
    steps, steps_from = settled_time_steps(path.name, semantics, graph.time_steps)
    new_source, input_from = settled_input(path.name, semantics, source.shape, source)
    new_sink, output_from = settled_output(path.name, semantics, steps, sink, "metadata")
    origin = {**graph.origin, "semantics_from": {"time_steps": steps_from, **input_from, **output_from}}
    nodes = {**graph.nodes, graph.input: new_source, graph.output: new_sink}
    made = build_graph(nodes, graph.edges, steps, graph.name, origin)
    infer_shapes(made)
    return made


def _exported(path: Path, model: Any, text: str) -> Graph:
    """The Graph of the metadata, if the rest of the file is what it exports to."""
    try:
        origin = {"format": "onnx", "file": path.name}
        graph, dtype = decode(path.name, text, initializer_arrays(path.name, model), origin)
        again = build_model(graph, dtype)
    except GraphError as error:
        raise GraphError(f"{path.name}: {error}") from error
    except SnnccError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise InputError(f"{path.name}: the snncc metadata is damaged ({type(error).__name__}: {error})") from error
    if [p.value for p in again.metadata_props] != [text]:
        raise InputError(f"{path.name}: its weights or semantics were changed after snncc wrote them; export it again")
    if _network(model) != _network(again):
        raise InputError(
            f"{path.name}: the network is not the one that its snncc metadata describes: it was changed, or written by "
            "another version of snncc; export it again"
        )
    return graph


def _network(model: Any) -> tuple[Any, ...]:
    """Everything of a model that has a meaning when it runs."""
    parts = (model.graph, *model.functions, *model.opset_import)
    return tuple(part.SerializeToString(deterministic=True) for part in parts)


def _foreign(path: Path, model: Any) -> UnsupportedError:
    """The error for a model of another tool: what it is, by its operators, and what it lacks."""
    nodes = list(_nodes(model))
    kinds = {kind for _, kind in nodes}
    start = f"{path.name}: was not written by snncc export and does not say how its neurons run. "
    for name, kind in nodes:
        if kind in LOOP_OPERATORS:
            return UnsupportedError(
                f"{start}Its node {name} is a {kind}; loops of other tools are not read: export NIR"
            )
    for name, kind in nodes:
        if kind in FIRING_OPERATORS:
            return UnsupportedError(
                f"{start}It looks like one step of a spiking network (node {name}, {kind}), but its states do not come in: "
                "export the step with its states as inputs and outputs"
            )
    if kinds <= ANN_OPERATORS:
        return UnsupportedError(
            f"{start}It is an ANN ({', '.join(sorted(kinds))}) without spiking neurons, which snncc convert makes spike"
        )
    name, kind = next((n, k) for n, k in nodes if k not in ANN_OPERATORS)
    return UnsupportedError(f"{start}Its node {name} is a {kind}, which is no layer that snncc knows")


def _may_be_step(model: Any) -> bool:
    """Whether nothing in the model is a loop."""
    return not any(node.op_type in LOOP_OPERATORS for node in model.graph.node)


def _nodes(model: Any) -> Iterator[tuple[str, str]]:
    """(name, operator) of the first nodes of the main graph, shortened for messages."""
    for index, node in enumerate(islice(model.graph.node, MAX_SHOWN_NODES)):
        own = node.name or (node.output[0] if node.output else "") or f"number {index}"
        yield repr(own[:60]), node.op_type[:60] or "node without an operator"


SUFFIXES = (".onnx",)
FRONTEND = Frontend(
    name="onnx",
    suffixes=SUFFIXES,
    sniff=lambda path, head: path.suffix.lower() in SUFFIXES,
    read=read_onnx,
    description="ONNX models that snncc export wrote, or one step of a spiking network (.onnx)",
)

__all__ = ["FRONTEND", "read_onnx"]
