"""``snncc models``."""

from __future__ import annotations

import csv
from typing import Any

import click

from snncc.cli import options as shared


@click.command("models")
@shared.json_option
def command(as_json: bool) -> None:
    """List the zoo: recipes, their checkpoints, and the accuracy that training logged."""
    from snncc.registry import get_models
    from snncc.report import terminal

    rows: list[dict[str, Any]] = []
    for name, recipe in get_models().items():
        log = recipe.checkpoint.with_suffix(".csv")
        accuracy = None
        if log.is_file():
            with log.open(newline="") as file:
                lines = list(csv.DictReader(file))
            accuracy = float(lines[-1]["test_accuracy"]) if lines else None
        rows.append(
            {
                "model": name,
                "trained": recipe.checkpoint.is_file(),
                "logged_test_accuracy": accuracy,
                "description": recipe.description,
            }
        )
    if as_json:
        terminal.print_json(rows)
        return
    shown = [
        [r["model"], terminal.percent(r["logged_test_accuracy"]) if r["trained"] else "not trained", r["description"]]
        for r in rows
    ]
    terminal.table(["model", "test accuracy", ""], shown, left=3)
