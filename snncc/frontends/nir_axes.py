"""Batch and time axes that exporters leave in a file's input shape.

NIR shapes are those of one sample at one step, but an exporter that runs a sample keeps its axes: Rockpool's and Norse's the
batch, that of sinabs the time of layers without ``Squeeze``. An axis of 1 in front is left out where the layers prove that it is
none of theirs: they do not fit with it, and all fit without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snncc.errors import GraphError, InputError
from snncc.frontends.dialects import NeuronRecord
from snncc.frontends.nir_layers import fit_population
from snncc.frontends.nir_loops import FlatNetwork
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input
from snncc.ir.shapes import infer_shapes, input_shape

MOST_AXES = 2
"""Batch and time."""
LAYER_AXES = 3
"""No layer of NIR takes more than (C, H, W)."""


def without_batch_axes(draft: Graph, records: Mapping[str, NeuronRecord], flat: FlatNetwork) -> tuple[Graph, str]:
    """``draft`` with the input shape that its layers take, and what was left out, in words ("" where nothing was).

    Raises :class:`GraphError` where the axis in front is larger than 1, with the way to export without it."""
    source = draft.nodes[draft.input]
    assert isinstance(source, Input)
    shape, fits = source.shape, _fits(draft, records)
    if fits and len(shape) <= LAYER_AXES and not _flattened_behind_it(draft.input, shape, flat):
        return draft, ""
    for count in range(1, 1 + min(MOST_AXES, len(shape) - 1)):
        axes, rest = shape[:count], shape[count:]
        inner = draft.with_nodes({draft.input: replace(source, shape=rest)})
        if len(rest) > LAYER_AXES or not _fits(inner, records):
            continue
        if max(axes) == 1:
            return inner, f"the file keeps {_ONES[count]} in front of {rest}; left out"
        if _fits(draft, {}) or (count > 1 and min(axes) > 1):
            break  # constants of neurons may be one a channel, and two long axes are an image
        raise GraphError(
            f"{draft.input}: has shape {shape}, but the layers take {rest}; {axes} in front belongs to the sample that the file "
            "was exported from, as batch or time: export from a sample without it (Norse: to_nir(net, x[0]); Rockpool: "
            "to_nir(net, torch.zeros(inputs)); sinabs: one time step, or Squeeze layers)"
        )
    return draft, ""


_ONES = {1: "a batch axis of 1", 2: "batch and time axes of 1"}


def _fits(graph: Graph, records: Mapping[str, NeuronRecord]) -> bool:
    """Whether every layer takes what arrives, and every neuron's parameters their population."""
    try:
        shapes = infer_shapes(graph)
        for name, record in records.items():
            fit_population(record, input_shape(name, graph, shapes))
    except (GraphError, InputError):
        return False
    return True


def _flattened_behind_it(name: str, shape: tuple[int, ...], flat: FlatNetwork) -> bool:
    """Whether a Flatten from axis 1 on takes a (1, n): it leaves the axis in front standing, which is no layer's then."""
    into = [flat.nodes[t] for s, t in flat.edges if s == name and flat.nodes[t].kind == "Flatten"]
    starts = [raw.parameters.get("start_dim") for raw in into]
    return len(shape) == 2 and any(
        isinstance(start, np.ndarray) and start.size == 1 and int(start) == 1 for start in starts
    )
