"""``snncc targets``."""

from __future__ import annotations

import click

from snncc.cli import options as shared


@click.command("targets")
@click.option("-v", "--verbose", is_flag=True, help="Limits and their sources too.")
@shared.json_option
def command(verbose: bool, as_json: bool) -> None:
    """List the targets, ours and those that other packages bring."""
    from snncc.registry import entries, get_target
    from snncc.report import terminal

    targets = [get_target(name) for name in entries("snncc.targets")]
    if as_json:
        keys = ("name", "description")
        terminal.print_json(
            [
                {
                    **{k: getattr(t, k) for k in keys},
                    "arithmetic": t.arithmetic.name,
                    "limits": dict(t.limits),
                    "variants": {name: dict(v.limits) for name, v in t.variants.items()},
                }
                for t in targets
            ]
        )
        return
    terminal.table(["target", "arithmetic", ""], [[t.name, t.arithmetic.name, t.description] for t in targets], left=3)
    if verbose:
        for target in targets:
            for form in (target, *target.variants.values()):
                name = f"{form.name} --{form.variant}" if form.variant else form.name
                for key, limit in form.limits.items():
                    terminal.fact(name, f"{key} = {limit['value']}", f"({limit['source']})")
