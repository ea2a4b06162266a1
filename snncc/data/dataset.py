"""What a data set is, and what may be asked of one: ``name?steps=20&values=binary``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from snncc.errors import InputError

VALUES = ("count", "binary")
MAX_STEPS = 100_000
OPTIONS: Mapping[str, str] = {
    "steps": "frames a recording of events becomes (the network's time steps, where they are known)",
    "bin": "length of a frame in the recording's unit of time; without it the recording is divided evenly",
    "values": "count: events a cell and frame, at most 255; binary: 1 where there are any",
    "sensor": "width x height x polarities of a file of events, such as 34x34x2",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to run a network on.

    Attributes:
        name: what was asked for.
        inputs: (N, C, H, W) uint8 for images, (N, T, C, H, W) uint8 for binned events; a user's own file may hold other
            integers and shapes (N, …).
        labels: (N,) int64, or None where a user's file has none or there is one a step.
        description: one line on what they are.
        step_labels: (N, T) int64 for sets with a class a step, -1 where a step has none; else None. Networks that answer
            each step are judged by them.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray | None
    description: str
    step_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Request:
    """A data set as asked for.

    Attributes:
        name: the set or file, without options.
        limit: only so many samples, from the first on; None: all.
        steps: frames a recording becomes; None where neither the name nor the network says.
        bin: length of a frame in the recording's unit; None: the whole recording, divided evenly.
        values: one of :data:`VALUES`.
        sensor: (width, height, polarities) of a file of events; None: the set's own.
        given: the options that were named.
    """

    name: str
    limit: int | None = None
    steps: int | None = None
    bin: int | None = None
    values: str = "count"
    sensor: tuple[int, int, int] | None = None
    given: tuple[str, ...] = ()


Reader = Callable[[Request], Dataset]


def parse_request(text: str, limit: int | None, time_steps: int | None) -> Request:
    """``name?key=value&key=value`` taken apart; ``time_steps`` is the default of ``steps``. Raises :class:`InputError` on an
    unknown key or a value out of range."""
    if limit is not None and limit < 1:
        raise InputError(f"{text}: a limit of {limit} samples leaves nothing; give 1 or more")
    name, _, query = text.partition("?")
    given: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if key not in OPTIONS or not equals or key in given:
            raise InputError(
                f"{text}: {pair!r} is no option of data; write ?KEY=VALUE with KEY of {', '.join(OPTIONS)}"
            )
        given[key] = value
    values = given.get("values", "count")
    if values not in VALUES:
        raise InputError(f"{text}: values is {values!r}; it must be {' or '.join(VALUES)}")
    return Request(
        name,
        limit,
        _whole(text, "steps", given["steps"], MAX_STEPS) if "steps" in given else time_steps,
        _whole(text, "bin", given["bin"], 2**40) if "bin" in given else None,
        values,
        _sensor(text, given["sensor"]) if "sensor" in given else None,
        tuple(given),
    )


def need_no_options(request: Request) -> None:
    """Raise :class:`InputError` where options of events were given for a set that has no events."""
    if request.given:
        raise InputError(f"{request.name}: holds no events to bin; leave out {', '.join(request.given)}")


def _whole(where: str, key: str, text: str, high: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
    if not 1 <= value <= high:
        raise InputError(f"{where}: {key} is {text!r}; it must be a whole number in 1..{high:,}")
    return value


def _sensor(where: str, text: str) -> tuple[int, int, int]:
    parts = text.split("x")
    if len(parts) == 2:
        parts.append("2")
    if len(parts) != 3:
        raise InputError(f"{where}: sensor is {text!r}; it must be WIDTHxHEIGHT or WIDTHxHEIGHTxPOLARITIES")
    width, height, polarities = (_whole(where, "sensor", part, 1 << 14) for part in parts)
    return width, height, polarities
