"""Which samples of a data set a verification looks at, and what a verdict on them speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from snncc.encode import Encoded
from snncc.errors import InputError
from snncc.feed import Entry, Inputs, pick, sample_count, take

Array = np.ndarray
AUTO, ALL = "auto", "all"


@dataclass(frozen=True, eq=False)
class Sampling:
    """What is looked at.

    Attributes:
        name: "whole", "first" or "random:SEED": which samples they are, for people and baselines.
        order: numbers of the samples to take, in this order; None: all that were loaded, as they come.
        population: how many samples the set has about which is judged; None: the samples stand for what there is without end.
        until_decided: look on only until every gate that judges samples is decided.
    """

    name: str = "whole"
    order: Array | None = None
    population: int | None = None
    until_decided: bool = False


def whole(count: int) -> Sampling:
    """All ``count`` samples, about which alone is judged: nothing is left to chance."""
    return Sampling(population=count)


def choose_samples(text: str, count: int, limit: int | None, as_sample: bool, seed: int) -> Sampling:
    """What ``--samples`` says of a set of which ``count`` samples were loaded, the first ``limit`` (None: all).

    "all" takes them all, "auto" as many as the gates need, a number so many; the latter two at random, drawn with ``seed``.
    ``as_sample``: the set itself is a sample, too. Raises :class:`InputError` on anything else.
    """
    if text == ALL:
        part = limit is not None and count >= limit
        return Sampling("first" if part else "whole", None, None if part or as_sample else count)
    wanted = count if text == AUTO else _whole_number(text)
    if limit is not None:
        raise InputError(f"--samples {text} draws from the whole set; leave --limit {limit} out")
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)[:wanted]
    return Sampling(f"random:{seed}", order, None if as_sample else count, text == AUTO)


def sampled(inputs: Inputs, entry: Entry, sampling: Sampling, samples: int) -> Inputs:
    """The first ``samples`` of what ``sampling`` takes of ``inputs``."""
    if sampling.order is not None:
        return pick(inputs, entry, sampling.order[:samples])
    return inputs if sample_count(inputs, entry) == samples else take(inputs, entry, 0, samples)


def sample_marks(inputs: Inputs, labels: Array | None, entry: Entry, sampling: Sampling, samples: int) -> Array:
    """The first 32 bits of a SHA-256 of each of the first ``samples`` of ``sampling``: its values, before an encoder makes
    spikes of them, and its label. uint32 (samples,): by them another run knows the samples again, whatever file holds them."""
    numbers = range(samples) if sampling.order is None else sampling.order[:samples]
    return np.array([_mark(inputs, labels, entry, int(number)) for number in numbers], np.uint32)


def _mark(inputs: Inputs, labels: Array | None, entry: Entry, number: int) -> int:
    sample = inputs.samples[number] if isinstance(inputs, Encoded) else take(inputs, entry, number, number + 1)
    made = sha256(np.asarray(sample, "<i8").tobytes())
    if labels is not None:
        made.update(np.asarray(labels[number], "<i8").tobytes())
    return int.from_bytes(made.digest()[:4], "little")


def _whole_number(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:16]) > 0:
        return int(text[:16])
    raise InputError(f"--samples {text}: give {ALL}, {AUTO} or how many to draw, 1 or more")
