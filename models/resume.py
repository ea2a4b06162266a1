"""The state of an unfinished training, written after every epoch, from which it goes on as if it had never stopped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from snncc.errors import InputError
from snncc.files import written_beside
from snncc.models.module import TimedNetwork
from snncc.models.optimisers import Optimiser, Schedule

SUFFIX = ".state"


@dataclass
class Session:
    """Everything that changes while a network is trained.

    Attributes:
        generator: draws the order of the samples, their changes and spikes; PyTorch's own generators draw dropout.
        log: a line an epoch.
    """

    network: TimedNetwork
    optimiser: Optimiser
    schedule: Schedule
    generator: torch.Generator
    log: list[Any]


def state_path(checkpoint: Path) -> Path:
    """Where the state of the training that will write ``checkpoint`` lies."""
    return checkpoint.with_name(checkpoint.name + SUFFIX)


def save(path: Path, settings: dict[str, Any], session: Session) -> None:
    """Write the state after an epoch of a training with ``settings`` (plain data): beside first, then renamed."""
    content = {
        "settings": settings,
        "network": session.network.state_dict(),
        "optimiser": session.optimiser.state_dict(),
        "schedule": session.schedule.state_dict(),
        "generator": session.generator.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(_device(session)) if _device(session).type == "cuda" else None,
        "log": [asdict(line) for line in session.log],
    }
    with written_beside(path) as beside:
        torch.save(content, beside)


def resume(path: Path, settings: dict[str, Any], session: Session) -> list[dict[str, Any]]:
    """Bring ``session`` to the state in ``path`` and give its log. Raises :class:`InputError` where the file is damaged or
    is of a training with other settings."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(content["settings"])
        if found == settings:
            session.network.load_state_dict(content["network"])
            session.optimiser.load_state_dict(content["optimiser"])
            session.schedule.load_state_dict(content["schedule"])
            session.generator.set_state(content["generator"])
            torch.set_rng_state(content["torch"])
            if content.get("cuda") is not None and _device(session).type == "cuda":
                torch.cuda.set_rng_state(content["cuda"], _device(session))
            return list(content["log"])
    except Exception as error:  # whatever torch raises on a damaged file
        raise InputError(f"{path}: is no state of a training ({error}); --restart trains anew") from error
    changed = [key for key in settings if found.get(key) != settings[key]]
    raise InputError(f"{path}: is of a training with another {', '.join(changed)}; --restart trains anew")


def _device(session: Session) -> torch.device:
    return next(session.network.parameters()).device
