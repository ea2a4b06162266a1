"""``snncc check``."""

from __future__ import annotations

from typing import Any

import click

from snncc.cli import options as shared


@click.command("check")
@click.argument("model")
@shared.target_option
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(model: str, target_name: str | None, semantics: dict[str, str], as_json: bool, **quantise: Any) -> None:
    """List everything TARGET cannot take in MODEL, with what to do about it. Exits with 1 if there is anything."""
    from snncc.compiler import compile_graph
    from snncc.errors import UnsupportedError
    from snncc.report import terminal
    from snncc.report.findings import show_findings
    from snncc.report.words import describe_proof
    from snncc.target import Finding

    target = shared.need_target(target_name)
    _, graph = shared.read_graph(model, semantics)
    chosen = shared.compile_options(
        quantise["bits"], quantise["guard_bits"], quantise["per_layer"], quantise["calibration"], graph
    )
    try:
        made = compile_graph(graph, target, chosen)
        findings, proof = made.findings, describe_proof(made.program, made.bounds)
    except UnsupportedError as error:
        layer, _, what = str(error).partition(": ")
        findings, proof = [Finding(layer, "has no integer form", what, "–", "see the message")], ""
    if as_json:
        terminal.print_json({"target": target.name, "findings": [vars(f) for f in findings], "proof": proof})
    else:
        if proof:
            terminal.fact("proven", proof)
        show_findings(findings)
    if any(f.severity == "error" for f in findings):
        raise click.exceptions.Exit(1)
