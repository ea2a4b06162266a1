"""Bring a data set into the form a network takes: (N, *shape) for a static input, else (T, N, *shape)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from snncc.errors import InputError

Array = np.ndarray


class Entry(Protocol):
    """What is needed to know of an input: :class:`snncc.ir.nodes.Input` and :class:`snncc.program.program.Source` have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one step."""

    @property
    def encoding(self) -> str:
        """ "static", "frames" or "spikes"."""


def feed(inputs: Array, entry: Entry, time_steps: int, where: str) -> Array:
    """``inputs`` (N, …) as the network takes them. A sample with as many elements is reshaped where the network's input is
    flat; a sample with a time axis (T, *shape) is turned to (T, N, *shape). Raises :class:`InputError` otherwise."""
    wanted = entry.shape if entry.encoding == "static" else (time_steps, *entry.shape)
    size = int(np.prod(wanted))
    given = inputs.shape[1:]
    if given != wanted and (int(np.prod(given)) != size or len(entry.shape) > 1):
        raise InputError(
            f"{where}: its samples have shape {given}; the network takes {wanted} ({entry.encoding} input)"
        )
    shaped = inputs.reshape(len(inputs), *wanted)
    return shaped if entry.encoding == "static" else np.moveaxis(shaped, 0, 1)


def sample_count(inputs: Array, entry: Entry) -> int:
    """N of what :func:`feed` returned."""
    return inputs.shape[0] if entry.encoding == "static" else inputs.shape[1]


def take(inputs: Array, entry: Entry, start: int, stop: int) -> Array:
    """Samples start..stop of what :func:`feed` returned."""
    return inputs[start:stop] if entry.encoding == "static" else inputs[:, start:stop]
