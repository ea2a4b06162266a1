"""The zoo: ``RECIPES`` maps a name to the recipe in the ``.toml`` file of that name beside this one."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.models.networks import Description, describe

FOLDER = Path(__file__).parent
CHECKPOINTS = FOLDER.parent / "checkpoints"
CHOICES = {
    "optimiser": ("adamw", "sgd"),
    "schedule": ("one_cycle", "cosine", "constant"),
    "loss": ("cross_entropy", "squared_error"),
    "precision": ("float32", "bfloat16"),
    "stored": ("float32", "float16"),
    "rounding": ("nearest", "learned"),
    "scales": ("chosen", "kept", "trained"),
}


def _whole(least: int) -> tuple[Callable[[float], bool], str]:
    return lambda x: isinstance(x, int) and x >= least, f"a whole number of {least} or more"


_POSITIVE = (lambda x: 0 < x < math.inf, "a number above 0")
_NOT_NEGATIVE = (lambda x: 0 <= x < math.inf, "a number of 0 or more")
_SHARE = (lambda x: 0 <= x < 1, "a number from 0 to below 1")
NUMBERS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "epochs": _whole(1), "batch_size": _whole(1), "learning_rate": _POSITIVE, "momentum": _SHARE,
    "weight_decay": _NOT_NEGATIVE, "warm_up": (lambda x: 0 < x < 1, "a number between 0 and 1"),
    "label_smoothing": _SHARE, "gradient_norm": _NOT_NEGATIVE, "bits": _whole(0), "even_epochs": _whole(0),
    "rounding_samples": _whole(1),
    "shift_pixels": _whole(0), "rotation_degrees": _NOT_NEGATIVE, "zoom": _SHARE,
    "cutout_pixels": _whole(0),
}  # fmt: skip
"""What each number of a :class:`Training` must be, and how to say it."""


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        data: the data set; ``<data>:<train_split>`` is trained on, and ``<data>:<split>`` of the others only reported on.
        test_splits: what is reported on after every epoch; the first is the test set.
        optimiser: "adamw" or "sgd" (Nesterov ``momentum``; 0 is the plain one).
        schedule: "one_cycle" (rises over ``warm_up``, then a cosine), "cosine" (falls from the start) or "constant".
        learning_rate: the peak.
        warm_up: share of the batches over which the learning rate of "one_cycle" rises.
        loss: "cross_entropy" (of the scores over T), or "squared_error" (of the scores over T, to one-hot, summed over
            classes).
        label_smoothing: share of the target spread over all classes.
        gradient_norm: gradients are scaled down to this norm where they exceed it; 0 leaves them.
        precision: "float32", or "bfloat16" for the layers with weights (membranes stay float32).
        stored: "float32" or "float16": type of the checkpoint's weights. Reported accuracies are those of what is stored.
        start: checkpoint (a file, or the name of a zoo model) to go on from; batch norm may be folded in it.
        bits: of a weight; the forward pass sees the integers that compiling would deploy (0: float weights).
        rounding: how the weights of ``start`` become the first integers: "learned" from ``rounding_samples`` for training, or
            "nearest".
        scales: of these integers: "chosen" anew every 25 batches, "kept" as they are at the start, or "trained" from there, in
            networks of dsr neurons; ``learning_rate`` then moves weights in steps of their grid.
        even_epochs: of a DSR network, how many of the epochs, from the first, train with even currents (see
            :mod:`snncc.models.representation`).
        flip: half of the images are mirrored left to right.
        shift_pixels: images move by up to this many pixels each way.
        rotation_degrees: images turn by up to this angle each way.
        zoom: images grow or shrink by up to this share.
        cutout_pixels: a square of this size is blanked.
    """

    data: str
    epochs: int
    train_split: str = "train"
    test_splits: tuple[str, ...] = ("test",)
    batch_size: int = 128
    optimiser: str = "adamw"
    schedule: str = "one_cycle"
    learning_rate: float = 4e-3
    momentum: float = 0.9
    weight_decay: float = 0.01
    warm_up: float = 0.2
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    gradient_norm: float = 0.0
    precision: str = "float32"
    stored: str = "float32"
    start: str = ""
    bits: int = 0
    rounding: str = "learned"
    rounding_samples: int = 256
    scales: str = "chosen"
    even_epochs: int = 0
    flip: bool = False
    shift_pixels: int = 0
    rotation_degrees: float = 0.0
    zoom: float = 0.0
    cutout_pixels: int = 0

    def __post_init__(self) -> None:
        if not self.test_splits or isinstance(self.test_splits, str):
            raise InputError(f"training: test_splits is {self.test_splits!r}; a list of one split or more is needed")
        object.__setattr__(self, "test_splits", tuple(self.test_splits))  # TOML and checkpoints hold lists
        for name, (fits, wanted) in NUMBERS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
                raise InputError(f"training: {name} is {value!r}; it must be {wanted}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"training: {name} is {getattr(self, name)!r}; known are {', '.join(known)}")
        if self.bits and not 2 <= self.bits <= 16:
            raise InputError(f"training: bits is {self.bits}; weights of 2 to 16 bits are supported, 0 trains floats")
        if self.scales != "chosen" and not self.bits:
            raise InputError(f"training: scales is {self.scales!r}; floats have none, so give bits too")
        if self.bits > 8 and self.precision != "float32":
            raise InputError(
                f"training: precision is {self.precision!r}; it must be 'float32' to hold {self.bits} bits"
            )


@dataclass(frozen=True, eq=False)
class Recipe:
    """A network and how it is trained.

    Attributes:
        network: its description (see :mod:`snncc.models.networks`).
        initialise: how the weights start (see :mod:`snncc.models.initialise`).
        control_of: the recipe whose gain this one shows by doing without; it needs a log, but no checkpoint.
        published: "accuracy" in percent and "source" of the figure to hold beside this network's, or nothing.
        checkpoint: where the trained network of this package lies; it may not exist.
    """

    name: str
    description: str
    network: Description
    training: Training
    initialise: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[str, Any] = field(default_factory=dict)
    control_of: str = ""

    @property
    def checkpoint(self) -> Path:
        return CHECKPOINTS / f"{self.name}.pt"

    def train(self, out: Path, **options: Any) -> Any:
        """:func:`snncc.models.train.train` on this recipe; needs PyTorch."""
        from snncc.models.train import train

        return train(self, out, **options)

    def diagnose(self, seed: int = 0, data: str | None = None) -> Any:
        """:func:`snncc.models.train.untrained` on this recipe; needs PyTorch."""
        from snncc.models.train import untrained

        return untrained(self, seed, data)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a ``.toml`` file. Raises :class:`InputError` where it is missing or malformed."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        network = describe(path.stem, content["network"])
        how = Training(**content["training"])
        more = {key: content[key] for key in ("initialise", "published", "control_of") if key in content}
        return Recipe(path.stem, content["description"], network, how, **more)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
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
