"""``snncc check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    from snncc.target import Finding


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

    target = shared.need_target(target_name, quantise["int8"])
    _, graph = shared.read_graph(model, semantics)
    chosen = shared.compile_options(
        quantise["bits"], quantise["guard_bits"], quantise["per_layer"], quantise["calibration"], graph
    )
    try:
        made = compile_graph(graph, target, chosen)
        findings, proof = made.findings, describe_proof(made.program, made.bounds)
    except UnsupportedError as error:
        findings, proof = [_finding(part) for part in error.parts], ""
    if as_json:
        terminal.print_json({"target": target.name, "findings": [vars(f) for f in findings], "proof": proof})
    else:
        if proof:
            terminal.fact("proven", proof)
        show_findings(findings)
    if any(f.severity == "error" for f in findings):
        raise click.exceptions.Exit(1)


def _finding(message: str) -> Finding:
    """A refusal of a pass, ``layer: what; remedy``, as a finding."""
    from snncc.target import Finding

    layer, _, rest = message.partition(": ")
    what, _, remedy = rest.partition("; ")
    return Finding(layer, "no integer form", what, "what the passes take", remedy or "change the layer")
