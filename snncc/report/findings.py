"""Findings of a target as a table."""

from __future__ import annotations

from collections.abc import Sequence

import click

from snncc.target import Finding


def show_findings(findings: Sequence[Finding]) -> None:
    """One line a finding, errors first, and how many there are."""
    ordered = sorted(findings, key=lambda f: f.severity != "error")
    width = max((len(f.layer) for f in ordered), default=0)
    for f in ordered:
        colour = "red" if f.severity == "error" else "yellow"
        click.secho(f" {f.layer:<{width}}  ", bold=True, nl=False)
        click.secho(f.what, fg=colour, nl=False)
        click.echo(f": {f.actual}, limit {f.limit}; {f.remedy}")
    errors = sum(f.severity == "error" for f in findings)
    click.echo(f" {errors} finding{'s' * (errors != 1)}, {len(findings) - errors} warnings")
