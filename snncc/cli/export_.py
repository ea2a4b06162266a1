"""``snncc export``."""

from __future__ import annotations

from pathlib import Path

import click

from snncc.cli import options as shared


@click.command("export")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .nir file to write.")
@shared.semantics_options
@shared.json_option
def command(model: str, output: Path, semantics: dict[str, str], as_json: bool) -> None:
    """Write MODEL as NIR that any NIR reader opens, with the complete semantics beside it for snncc."""
    from snncc.errors import InputError
    from snncc.frontends.nir_export import export_nir
    from snncc.pipeline import Context, run_pipeline
    from snncc.registry import get
    from snncc.report import terminal

    if output.suffix != ".nir":
        raise InputError(f"{output}: snncc exports NIR; give a file that ends in .nir")
    path, graph = shared.read_graph(model, semantics)
    folding = [get("snncc.passes", name)() for name in ("remove-identities", "fold-batch-norm")]
    graph = run_pipeline(graph, folding, Context())
    export_nir(graph, output)
    if as_json:
        terminal.print_json({"model": str(path), "output": str(output), "nodes": list(graph.nodes)})
        return
    terminal.fact("read", str(path))
    terminal.fact("wrote", str(output), f"{len(graph.nodes)} nodes, batch norm folded")
