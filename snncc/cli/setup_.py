"""``snncc setup``."""

from __future__ import annotations

import click

from snncc.registry import get_target


@click.command("setup")
@click.argument("target_name", metavar="TARGET")
def command(target_name: str) -> None:
    """Install what TARGET needs into a folder of its own (Lava, for loihi-sim)."""
    from snncc.report import terminal

    target = get_target(target_name)
    if target.setup is None:
        terminal.fact("ready", f"{target.name} needs nothing more")
        return
    done = target.setup(lambda text: terminal.fact("setup", text))
    terminal.fact("ready", done)
