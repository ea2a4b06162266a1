"""``snncc passes``."""

from __future__ import annotations

import click

from snncc.cli import options as shared


@click.command("passes")
@shared.json_option
def command(as_json: bool) -> None:
    """List the passes: what each needs, promises and does."""
    from snncc.registry import entries, get
    from snncc.report import terminal

    rows = []
    for name in entries("snncc.passes"):
        one = get("snncc.passes", name)
        module = __import__(one.__module__, fromlist=["_"]).__doc__ or ""
        rows.append(
            {
                "pass": name,
                "kind": "analysis" if one.analysis else "rewrite",
                "requires": list(one.requires),
                "ensures": list(one.ensures),
                "does": module.strip().splitlines()[0],
            }
        )
    if as_json:
        terminal.print_json(rows)
        return
    terminal.table(["pass", "kind", "does"], [[str(r["pass"]), str(r["kind"]), str(r["does"])] for r in rows], left=3)
