"""Pages of which a part, between two marks, is made by a command."""

from __future__ import annotations

from snncc.errors import InputError


def parted(page: str, text: str, begin: str, end: str) -> tuple[str, str, str]:
    """What of ``text`` stands before the marks, between and after them. Raises :class:`InputError` naming the ``page`` where it
    lacks one."""
    before, first, rest = text.partition(begin)
    between, last, after = rest.partition(end)
    if not first or not last:
        raise InputError(f"{page}: lacks the marks {begin} and {end}")
    return before, between, after
