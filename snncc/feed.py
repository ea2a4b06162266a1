"""Bring a data set into the form a network takes: (N, *shape) for a static input, else (T, N, *shape)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, overload

import numpy as np

from snncc.encode import Encoded
from snncc.errors import InputError
from snncc.ir.nodes import Encoder

Array = np.ndarray
Inputs = Array | Encoded
"""What :func:`feed` returns; samples that an encoder turns into spikes stay as they are until :func:`take` takes them."""


class Entry(Protocol):
    """What is needed to know of an input: :class:`snncc.ir.nodes.Input` and :class:`snncc.program.program.Source` have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample at one step."""

    @property
    def encoding(self) -> str:
        """ "static", "frames" or "spikes"."""


@overload
def feed(inputs: Array, entry: Entry, time_steps: int, where: str, encoder: None = None) -> Array: ...
@overload
def feed(inputs: Array, entry: Entry, time_steps: int, where: str, encoder: Encoder | None) -> Inputs: ...
def feed(inputs: Array, entry: Entry, time_steps: int, where: str, encoder: Encoder | None = None) -> Inputs:
    """``inputs`` (N, …) as the network takes them. A sample with as many elements is reshaped where the network's input is
    flat; a sample with a time axis (T, *shape) is turned to (T, N, *shape); one without, for a network that takes spikes,
    is for ``encoder``. Raises :class:`InputError` otherwise."""
    timeless = entry.encoding == "spikes" and _fits(inputs, entry, entry.shape)
    if timeless and encoder is not None:
        if not np.issubdtype(inputs.dtype, np.integer):
            raise InputError(f"{where}: holds {inputs.dtype}; whole numbers are needed")
        return Encoded(inputs.reshape(len(inputs), *entry.shape), encoder, time_steps)
    wanted = entry.shape if entry.encoding == "static" else (time_steps, *entry.shape)
    if not _fits(inputs, entry, wanted):
        remedy = "; say how they become spikes: --encode poisson:gain=1,seed=0" if timeless else ""
        raise InputError(
            f"{where}: its samples have shape {inputs.shape[1:]}; the network takes {wanted} ({entry.encoding} input)"
            f"{remedy}"
        )
    shaped = inputs.reshape(len(inputs), *wanted)
    return shaped if entry.encoding == "static" else np.moveaxis(shaped, 0, 1)


def _fits(inputs: Array, entry: Entry, wanted: tuple[int, ...]) -> bool:
    given = inputs.shape[1:]
    return given == wanted or (len(entry.shape) == 1 and int(np.prod(given)) == int(np.prod(wanted)))


def sample_count(inputs: Inputs, entry: Entry) -> int:
    """N of what :func:`feed` returned."""
    if isinstance(inputs, Encoded):
        return len(inputs)
    return inputs.shape[0] if entry.encoding == "static" else inputs.shape[1]


def take(inputs: Inputs, entry: Entry, start: int, stop: int) -> Array:
    """Samples start..stop of what :func:`feed` returned."""
    if isinstance(inputs, Encoded):
        return inputs.take(start, stop)
    return inputs[start:stop] if entry.encoding == "static" else inputs[:, start:stop]


def pick(inputs: Inputs, entry: Entry, numbers: Array) -> Array:
    """The samples of those ``numbers`` (n,) of what :func:`feed` returned, in this order."""
    if isinstance(inputs, Encoded):
        return inputs.pick(numbers)
    return inputs[numbers] if entry.encoding == "static" else inputs[:, numbers]


def portions(inputs: Inputs, entry: Entry, time_steps: int) -> Iterator[Array]:
    """What :func:`feed` returned, in portions that fit into memory: an array as it is, encoded samples some at a time."""
    if not isinstance(inputs, Encoded):
        yield inputs
        return
    size = max(1, PORTION // (time_steps * int(np.prod(entry.shape))))
    for start in range(0, max(len(inputs), 1), size):  # an empty set too, so that it is refused as any other
        yield inputs.take(start, start + size)


PORTION = 1 << 26
"""Input values of encoded samples at once."""
