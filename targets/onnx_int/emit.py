"""Writing the ONNX files: ``network.onnx``, and ``recorded.onnx`` with spikes and membranes of every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.frontends.onnx_export import model_bytes
from snncc.frontends.onnx_file import need_onnx
from snncc.program.program import Program
from snncc.targets.onnx_int.build import build_model
from snncc.targets.onnx_int.check import check_plan
from snncc.targets.onnx_int.plan import Plan, ProjectionPlan, plan

NETWORK, RECORDED = "network.onnx", "recorded.onnx"
FILES = (NETWORK, RECORDED)


def emit(program: Program, folder: Path) -> list[str]:
    """Write the files into ``folder``; their names, the same bytes for the same Program.

    Raises :class:`UnsupportedError` with every finding where ONNX cannot hold the Program, and
    :class:`snncc.errors.InputError` where onnx is not installed.
    """
    files = models(program, FILES)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


def models(program: Program, names: tuple[str, ...]) -> dict[str, bytes]:
    """The bytes of the files of these names."""
    need_onnx(program.name)
    made = _checked(program)
    return {name: model_bytes(build_model(made, name == RECORDED)) for name in names}


def describe(program: Program) -> Mapping[str, str]:
    """Operators and types of each part, and the size of all."""
    made = _checked(program)
    words = {q.projection.name: _operators(q) for p in made.populations for q in p.incoming}
    words |= {q.name: "brings nothing, left out" for q in program.projections if q.name not in words}
    words |= {p.population.name: f"{np.dtype(p.dtype).name} states" for p in made.populations}
    model = build_model(made)
    return words | {NETWORK: f"{_nodes(model.graph):,} nodes, {len(model_bytes(model)):,} bytes"}


def _checked(program: Program) -> Plan:
    made = plan(program)
    findings = check_plan(made)
    if findings:
        raise UnsupportedError(*(str(finding) for finding in findings))
    return made


def _operators(q: ProjectionPlan) -> str:
    if q.encoding is None:
        return "Gather and ScatterElements"
    count = q.encoding.count * len(q.digits)
    name = "ConvInteger" if q.projection.kind == "conv" else "MatMulInteger"
    return name if count == 1 else f"{count} {name}"


def _nodes(graph: Any) -> int:
    """Nodes of a graph and of its loop."""
    return sum(1 + sum(_nodes(part.g) for part in node.attribute if part.HasField("g")) for node in graph.node)
