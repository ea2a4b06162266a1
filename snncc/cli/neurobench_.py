"""``snncc neurobench``."""

from __future__ import annotations

from typing import Any

import click

from snncc.cli import options as shared


@click.command("neurobench")
@click.argument("model")
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option(
    "--calls", type=click.Choice(["step", "run"]), default="step", show_default=True,
    help="Whether a layer is called at every step, or once for all steps.",
)  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True, help="Samples of one call.")
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    data_name: str,
    limit: int | None,
    encode_text: str | None,
    calls: str,
    batch: int,
    semantics: dict[str, str],
    as_json: bool,
) -> None:
    """Count NeuroBench's metrics of the float network of MODEL (or of a compiled folder) on data, as its harness does.

    A call on anything but -1, 0 and 1 counts as multiply-accumulates, so --calls and --batch decide what counts as which.
    """
    from snncc.energy.neurobench import neurobench
    from snncc.report import terminal

    artifact = shared.read_compiled(model)
    graph = shared.read_graph(model, semantics)[1] if artifact is None else artifact.graph
    graph = shared.with_encoder(graph, encode_text)
    inputs, labels = shared.load_data(data_name, limit, graph)
    results = neurobench(graph, inputs, labels, calls, batch)
    if as_json:
        terminal.print_json({"name": graph.name, "calls": calls, "batch": batch, "results": results})
        return
    rows: list[list[str]] = []
    for name, value in results.items():
        if isinstance(value, dict):
            rows += [[f"{name} {key}", _shown(inner)] for key, inner in value.items()]
        else:
            rows.append([name, _shown(value)])
    terminal.table(["NeuroBench", "value"], rows)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"
