"""``snncc check``."""

from __future__ import annotations

from typing import Any

import click

from snncc.cli import options as shared
from snncc.cli.place_ import number_of, show_chip


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
    from snncc.chip.fit import fit
    from snncc.chip.spec import load_chip
    from snncc.report import terminal
    from snncc.report.findings import show_findings
    from snncc.report.words import describe_proof

    chip = load_chip(chip_name) if chip_name else None
    target = shared.need_target(target_name or (chip.target if chip else None), quantise["int8"])
    _, graph = shared.read_graph(model, semantics)
    chosen = shared.chosen_options(quantise, graph)
    found = fit(graph, target, chosen, chip)
    cut, findings = found.partition, found.findings
    proof = "" if found.made is None else describe_proof(found.made.program, found.made.bounds)
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
            used = f"{len(cut.cores):,} of {cut.chips * chip.cores:,} cores on {number_of(cut.chips, 'chip')}"
            terminal.fact("fits", f"{chip.name}: {used}")
        show_findings(findings)
    if found.errors:
        raise click.exceptions.Exit(1)
