"""``snncc check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared
from snncc.cli.place_ import show_chip

if TYPE_CHECKING:
    from snncc.target import Finding


@click.command("check")
@click.argument("model")
@shared.target_option
@shared.chip_option()
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    target_name: str | None,
    chip_name: str | None,
    semantics: dict[str, str],
    as_json: bool,
    **quantise: Any,
) -> None:
    """List everything TARGET, and with --chip a chip, cannot take in MODEL, with what to do about it.

    Exits with 1 if there is anything. With --chip, the target is the chip's own where --target names none.
    """
    from snncc.chip.partition import partition
    from snncc.chip.spec import load_chip
    from snncc.compiler import compile_graph
    from snncc.errors import UnsupportedError
    from snncc.report import terminal
    from snncc.report.findings import show_findings
    from snncc.report.words import describe_proof

    chip = load_chip(chip_name) if chip_name else None
    target = shared.need_target(target_name or (chip.target if chip else None), quantise["int8"])
    _, graph = shared.read_graph(model, semantics)
    chosen = shared.compile_options(
        quantise["bits"],
        quantise["guard_bits"],
        quantise["per_layer"],
        quantise["calibration"],
        graph,
        quantise["layer_bits"],
    )
    try:
        made = compile_graph(graph, target, chosen)
        findings, proof = list(made.findings), describe_proof(made.program, made.bounds)
        cut, misfits = partition(made.program, chip) if chip else (None, [])
        findings += misfits
    except UnsupportedError as error:
        findings, proof, cut = [_finding(part) for part in error.parts], "", None
    if as_json:
        said: dict[str, Any] = {"target": target.name, "findings": [vars(f) for f in findings], "proof": proof}
        if chip:
            fits = {"cores": len(cut.cores), "chips": cut.chips} if cut else {}
            said |= {"chip": {"name": chip.name, **fits, "unknown": [limit.name for limit in chip.unchecked]}}
        terminal.print_json(said)
    else:
        if proof:
            terminal.fact("proven", proof)
        if chip:
            show_chip(chip)
        if chip and cut:
            terminal.fact(
                "fits", f"{chip.name}: {len(cut.cores):,} of {cut.chips * chip.cores:,} cores on {cut.chips:,} chips"
            )
        show_findings(findings)
    if any(f.severity == "error" for f in findings):
        raise click.exceptions.Exit(1)


def _finding(message: str) -> Finding:
    """A refusal of a pass, ``layer: what; remedy``, as a finding."""
    from snncc.target import Finding

    layer, _, rest = message.partition(": ")
    what, _, remedy = rest.partition("; ")
    return Finding(layer, "no integer form", what, "what the passes take", remedy or "change the layer")
