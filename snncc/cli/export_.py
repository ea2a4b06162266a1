"""``snncc export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    from snncc.ir.graph import Graph


@click.command("export")
@click.argument("model")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write, .nir or .onnx."
)
@shared.semantics_options
@shared.json_option
def command(model: str, output: Path, semantics: dict[str, str], as_json: bool) -> None:
    """Write MODEL as NIR that any NIR reader opens, or as ONNX that onnxruntime runs; both carry the complete
    semantics for snncc."""
    from snncc.errors import InputError
    from snncc.report import terminal

    write = {".nir": write_nir, ".onnx": _onnx}.get(output.suffix)
    if write is None:
        raise InputError(f"{output}: snncc exports NIR and ONNX; give a file that ends in .nir or .onnx")
    path, graph = shared.read_graph(model, semantics)
    graph, how = write(graph, output)
    if as_json:
        terminal.print_json({"model": str(path), "output": str(output), "nodes": list(graph.nodes)})
        return
    terminal.fact("read", str(path))
    terminal.fact("wrote", str(output), f"{len(graph.nodes)} nodes, {how}")


def write_nir(graph: Graph, output: Path) -> tuple[Graph, str]:
    """(network as written, what was done to it); NIR has no batch norm."""
    from snncc.frontends.nir_export import export_nir
    from snncc.pipeline import Context, run_pipeline
    from snncc.registry import get

    folding = [get("snncc.passes", name)() for name in ("remove-identities", "fold-batch-norm")]
    graph = run_pipeline(graph, folding, Context())
    export_nir(graph, output)
    return graph, "batch norm folded"


def _onnx(graph: Graph, output: Path) -> tuple[Graph, str]:
    from snncc.frontends.onnx_export import export_onnx

    export_onnx(graph, output)
    return graph, "one Scan over time, float32"
