"""The zoo: ``RECIPES`` maps a name to the recipe in the ``.toml`` file of that name beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.models.networks import Description, convolutional

FOLDER = Path(__file__).parent
CHECKPOINTS = FOLDER.parent / "checkpoints"


@dataclass(frozen=True)
class Training:
    """How a network is trained: AdamW with a one-cycle learning rate on randomly moved images.

    Attributes:
        data: the data set; ``<data>:train`` is trained on and ``<data>:test`` only reported on.
        learning_rate: the peak of the cycle.
        warm_up: share of the batches over which the learning rate rises.
        label_smoothing: share of the target spread over all classes.
        shift_pixels: images move by up to this many pixels each way.
        rotation_degrees: images turn by up to this angle each way.
        zoom: images grow or shrink by up to this share.
    """

    data: str
    epochs: int
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    warm_up: float = 0.2
    label_smoothing: float = 0.0
    shift_pixels: int = 0
    rotation_degrees: float = 0.0
    zoom: float = 0.0


@dataclass(frozen=True, eq=False)
class Recipe:
    """A network and how it is trained.

    Attributes:
        network: its description (see :mod:`snncc.models.networks`).
        checkpoint: where the trained network of this package lies; it may not exist.
    """

    name: str
    description: str
    network: Description
    training: Training

    @property
    def checkpoint(self) -> Path:
        return CHECKPOINTS / f"{self.name}.pt"

    def train(self, out: Path, **options: Any) -> Any:
        """:func:`snncc.models.train.train` on this recipe; needs PyTorch."""
        from snncc.models.train import train

        return train(self, out, **options)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a ``.toml`` file. Raises :class:`InputError` where it is missing or malformed."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        network = convolutional(path.stem, **content["network"])
        return Recipe(path.stem, content["description"], network, Training(**content["training"]))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no recipe ({type(error).__name__}: {error})") from error


class _Recipes(Mapping[str, Recipe]):
    """Reads a recipe when it is asked for, so that importing this module opens no file."""

    def __getitem__(self, name: str) -> Recipe:
        if name not in list(self):
            raise KeyError(name)
        return read_recipe(FOLDER / f"{name}.toml")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in FOLDER.glob("*.toml")))

    def __len__(self) -> int:
        return len(list(iter(self)))


RECIPES: Mapping[str, Recipe] = _Recipes()
