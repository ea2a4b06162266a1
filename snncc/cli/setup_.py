"""``snncc setup``."""

from __future__ import annotations

import click

from snncc.cli import options as shared
from snncc.registry import get_target


@click.command("setup")
@click.argument("target_name", metavar="TARGET")
@shared.json_option
def command(target_name: str, as_json: bool) -> None:
    """Install what TARGET needs into a folder of its own (Lava, for loihi-sim)."""
    from snncc.report import terminal

    target = get_target(target_name)
    done = f"{target.name} needs nothing more"
    if target.setup is not None:
        done = target.setup(lambda text: None if as_json else terminal.fact("setup", text))
    if as_json:
        terminal.print_json({"target": target.name, "ready": done})
        return
    terminal.fact("ready", done)
