"""Writes a Graph as an ONNX model that onnxruntime runs as it is, with the complete semantics beside it.

One ``Scan`` over time (:mod:`onnx_scan`). Neurons call model-local functions (:mod:`onnx_neuron`), layers are standard
operators (:mod:`onnx_layers`), weights are initializers in the type in which the Graph holds them.

=================  ================================================================================================
``input``          whole numbers, int32: (N, *shape) if static, else (T, N, *shape); T is read from it
``time_steps``     static input only: T, int64; may be left out, then it is that of the Graph
``scores``         (N, classes); ``predictions`` (N,): the winner under the Graph's tie rule; (N, T, classes) and (N, T) where
                   each step has its answer
``LAYER.raster``   (T, N, *shape): int32 spikes of a firing neuron, else the membrane of a leaky readout
=================  ================================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.files import written_beside
from snncc.frontends.onnx_emit import OPSET
from snncc.frontends.onnx_metadata import DTYPES, KEY, encode
from snncc.frontends.onnx_neuron import DOMAIN
from snncc.frontends.onnx_scan import ScanExport
from snncc.ir.graph import Graph

IR_VERSION = 9
MAX_BYTES = 2**31 - 1
"""protobuf's limit for one file."""


def export_onnx(graph: Graph, path: Path, dtype: str = "float32") -> None:
    """Write ``graph`` to ``path``, with arithmetic in ``dtype`` (float32 or float64; float64 is for exactness checks).

    The same Graph gives the same bytes. Raises :class:`UnsupportedError` for what ONNX cannot hold and
    :class:`InputError` where onnx is not installed or the file cannot be written.
    """
    data = model_bytes(build_model(graph, dtype))
    try:
        with written_beside(Path(path)) as beside:
            beside.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def model_bytes(model: Any) -> bytes:
    """The file. Raises :class:`UnsupportedError` where it is larger than ONNX files can be."""
    from snncc.frontends.onnx_file import MAX_STRUCTURE_BYTES, structure_bytes

    if model.ByteSize() > MAX_BYTES:
        raise UnsupportedError(f"{model.graph.name}: is larger than {MAX_BYTES:,} bytes, the limit of an ONNX file")
    data: bytes = model.SerializeToString(deterministic=True)
    structure = structure_bytes(data)
    if structure > MAX_STRUCTURE_BYTES:
        raise UnsupportedError(
            f"{model.graph.name}: has {structure:,} bytes besides its weights, limit {MAX_STRUCTURE_BYTES:,}"
        )
    return data


def build_model(graph: Graph, dtype: str = "float32") -> Any:
    """The ModelProto of :func:`export_onnx`."""
    from snncc.frontends.onnx_file import need_onnx

    need_onnx(graph.name)
    from onnx import helper

    if dtype not in DTYPES:
        raise InputError(f"{graph.name}: arithmetic in {dtype!r}; an ONNX model has {' or '.join(DTYPES)}")
    text = encode(graph, dtype)
    made = ScanExport(graph, np.dtype(dtype))
    model = helper.make_model(
        made.graph_proto(),
        ir_version=IR_VERSION,
        producer_name="snncc",
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=[made.functions[name] for name in sorted(made.functions)],
    )
    helper.set_model_props(model, {KEY: text})
    return model
