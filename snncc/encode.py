"""Static samples as spikes: a rate code that is the same wherever and however it runs.

Poisson (rate) code of a sample x, its integers times ``encoder.scale``::

    rate = gain · x + offset
    s[t] = sign(rate) · [|rate| > U]      U uniform in 0..1, a new one for every step and element

Negative rates fire −1 where the encoder is signed, and never elsewhere; a rate beyond 1 fires at every step. U is
``r / 2³²`` with r the 32-bit words of the Philox generator (Salmon et al. 2011) of key (seed, sample): 64-bit blocks, low
word first, step after step, elements in C order. So the spikes of sample n depend on the seed and on n alone, not on
batches, threads, the order of samples or the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.ir.nodes import MAX_SEED, Encoder

Array = np.ndarray
_WORD = 2.0**32


@dataclass(frozen=True, eq=False)
class Encoded:
    """Samples that become spikes when they are taken, so that the spikes of a whole data set are never in memory at once.

    Attributes:
        samples: (N, *shape) integers.
        time_steps: T.
    """

    samples: Array
    encoder: Encoder
    time_steps: int

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, start: int, stop: int) -> Array:
        """Spikes (T, n, *shape) of samples start..stop."""
        return encode(self.samples[start:stop], self.encoder, self.time_steps, range(start, len(self)))

    def pick(self, numbers: Array) -> Array:
        """Spikes (T, n, *shape) of the samples of those numbers: the same that they have in their order."""
        return encode(self.samples[numbers], self.encoder, self.time_steps, numbers)


def encode(samples: Array, encoder: Encoder, time_steps: int, numbers: Sequence[int] | Array | None = None) -> Array:
    """Spikes (T, N, *shape) int8 of ``samples`` (N, *shape), which have these ``numbers`` in their data set (0, 1, … if None)."""
    numbers = range(len(samples)) if numbers is None else numbers
    shape = samples.shape[1:]
    spikes = np.empty((time_steps, len(samples), *shape), np.int8)
    size = int(np.prod(shape))
    for position, rate in enumerate(rates(samples, encoder)):
        bound = np.floor(np.clip(np.abs(rate), 0, 1) * _WORD).astype(np.uint64).reshape(-1)
        fired = _words(encoder.seed, int(numbers[position]), time_steps * size).reshape(time_steps, size) < bound
        sign = np.sign(rate).astype(np.int8).reshape(-1)
        spikes[:, position] = (fired * sign).reshape(time_steps, *shape)
    return spikes


def rates(samples: Array, encoder: Encoder) -> Array:
    """Rates (N, *shape) float64 of ``samples`` (N, *shape); 0 where a negative one never fires."""
    axes = samples.ndim - 2

    def per_channel(value: Any) -> Array:
        array = np.asarray(value, np.float64)
        return array.reshape(-1, *(1,) * axes) if array.ndim else array

    rate = samples * encoder.scale * per_channel(encoder.gain) + per_channel(encoder.offset)
    return rate if encoder.signed else np.maximum(rate, 0.0)


def _words(seed: int, sample: int, count: int) -> Array:
    raw = np.random.Philox(key=np.array([seed, sample], np.uint64)).random_raw((count + 1) // 2)
    return raw.astype("<u8").view("<u4")[:count]


def parse_encoder(text: str) -> Encoder:
    """``poisson:gain=0.5,seed=0`` as an :class:`Encoder`; every option may be left out. Raises :class:`InputError`."""
    kind, _, rest = text.partition(":")
    if kind != "poisson":
        raise InputError(f"--encode {text}: {kind!r} is no known code; write poisson:gain=1,offset=0,signed=no,seed=0")
    given: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if key not in _READERS or not equals or key in given:
            raise InputError(
                f"--encode {text}: {pair!r} is no option; write KEY=VALUE with KEY of {', '.join(_READERS)}"
            )
        try:
            given[key] = _READERS[key](value)
        except (ValueError, KeyError) as error:
            raise InputError(f"--encode {text}: {key} cannot be {value!r}; {_WANTED[key]}") from error
    return Encoder(kind, **given)


def _number(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


def _scale(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_SEED):
        raise ValueError(text)
    return int(text)


_READERS = {
    "gain": _number,
    "offset": _number,
    "scale": _scale,
    "signed": lambda text: {"yes": True, "no": False}[text],
    "seed": _seed,
}
_WANTED = {
    "gain": "a number is needed",
    "offset": "a number is needed",
    "scale": "what one unit of the data's integers is worth: a number above 0",
    "signed": "yes or no",
    "seed": f"a whole number in 0..{MAX_SEED}",
}
