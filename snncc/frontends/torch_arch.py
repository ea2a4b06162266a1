"""The user's own code that builds a network, and the weights put into it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snncc.errors import InputError


def build_module(arch: str) -> Any:
    """The ``torch.nn.Module`` that ``package.module:factory`` or ``file.py:factory`` makes; a factory is called without
    arguments, a module is taken as it is. Raises :class:`InputError` on whatever goes wrong in the user's code."""
    import torch

    place, colon, name = arch.rpartition(":")
    if not colon or not place or not name:
        raise InputError(f"--arch {arch}: it must be package.module:factory or file.py:factory")
    try:
        found: Any = _import(place)
        for part in name.split("."):
            found = getattr(found, part)
        module = found if isinstance(found, torch.nn.Module) else found()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"--arch {arch}: {one_line(error)}; it must name a function or class that makes the network without arguments"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"--arch {arch}: made a {type(module).__name__}; a torch.nn.Module is needed")
    return module


def _import(place: str) -> Any:
    if not place.endswith(".py"):
        return importlib.import_module(place)
    file = Path(place).resolve()
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ImportError(f"there is no file {place}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    spec.loader.exec_module(module)
    return module


@contextmanager
def own_code() -> Iterator[None]:
    """The working folder is importable, as with ``python -m``."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def fill(path: Path, arch: str, module: Any, state: Mapping[str, Any]) -> None:
    """Put the weights in; every name and shape must fit. ``module.`` before all names is DataParallel's and is taken off."""
    import torch

    own = module.state_dict()
    if all(name.startswith("module.") for name in state) and not any(name.startswith("module.") for name in own):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise InputError(f"{path}: {name[:80]} holds {bad} values that are NaN or infinite of {tensor.numel()}")
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except Exception as error:  # shapes that differ, or the user's own hooks
        raise InputError(f"{path}: does not fit --arch {arch} ({one_line(error, 400)})") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        lacks = f"the file lacks {_few(missing)} ({len(missing)} in all)" if missing else ""
        surplus = f"the network has no {_few(unexpected)} ({len(unexpected)} in all)" if unexpected else ""
        raise InputError(f"{path}: does not fit --arch {arch}: {'; '.join(filter(None, (lacks, surplus)))}")


def _few(names: list[str]) -> str:
    return ", ".join(name[:80] for name in names[:5])


def one_line(error: BaseException, length: int = 200) -> str:
    """Kind and start of an error's text, on one line."""
    text = " ".join(str(error).split())[:length]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
