"""Plug-ins by entry point: targets, passes, frontends and zoo models, ours and third parties' alike, loaded when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snncc.errors import InputError

if TYPE_CHECKING:
    from snncc.frontends.base import Frontend
    from snncc.target import Target


@cache
def entries(group: str) -> Mapping[str, EntryPoint]:
    """Entry points of a group by name, sorted."""
    return {e.name: e for e in sorted(entry_points(group=group), key=lambda e: e.name)}


def get(group: str, name: str) -> Any:
    """One plug-in. Raises :class:`InputError` listing the known ones."""
    known = entries(group)
    kind = group.removeprefix("snncc.").removesuffix("es" if group.endswith("passes") else "s")
    if name not in known:
        raise InputError(f"there is no {kind} {name!r}; known: {', '.join(known) or 'none (is snncc installed?)'}")
    try:
        return known[name].load()
    except ImportError as error:
        raise InputError(f"{kind} {name!r} cannot be loaded ({error}); install what it needs") from error


def get_target(name: str) -> Target:
    """The target of that name."""
    target: Target = get("snncc.targets", name)
    return target


def get_frontends() -> dict[str, Frontend]:
    """All readers."""
    return {name: get("snncc.frontends", name) for name in entries("snncc.frontends")}


def get_models() -> dict[str, Any]:
    """Zoo recipes by name, of all packages."""
    recipes: dict[str, Any] = {}
    for name in entries("snncc.models"):
        recipes.update(get("snncc.models", name))
    return recipes


def resolve_model(model: str) -> Path:
    """The file that ``model`` means: a path, or the name of a zoo model with a checkpoint. Raises :class:`InputError`."""
    path = Path(model)
    if path.exists():
        return path
    if not path.suffix and "/" not in model:
        recipes = get_models()
        if model in recipes:
            checkpoint: Path = recipes[model].checkpoint
            if not checkpoint.is_file():
                raise InputError(f"{model}: has no trained checkpoint; snncc train {model} makes one")
            return checkpoint
        raise InputError(f"{model}: no such file, and no zoo model of that name ({', '.join(recipes) or 'none'})")
    raise InputError(f"{model}: no such file")
