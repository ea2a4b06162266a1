"""The chips that come with snncc: ``CHIPS`` maps a name to the ``.toml`` file of that name beside this one."""

from __future__ import annotations

from pathlib import Path

CHIPS = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
