"""Marks of samples: of their values and labels alone, in the order in which they are looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snncc.encode import Encoded
from snncc.ir.nodes import Encoder
from snncc.sampling import Sampling, sample_marks


@dataclass(frozen=True)
class Entry:
    shape: tuple[int, ...]
    encoding: str


@given(st.integers(0, 2**32), st.integers(1, 6), st.permutations(range(6)))
def test_kind_of_numbers_layout_and_encoder_do_not_count(seed: int, samples: int, order: list[int]) -> None:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 5, (6, 3, 4), np.uint8), random.integers(0, 9, 6)
    drawn = Sampling(order=np.array(order))
    static, spikes = Entry((3, 4), "static"), Entry((4,), "spikes")
    marks = sample_marks(x, y, static, drawn, samples)
    assert marks.dtype == np.uint32 and marks.shape == (samples,)
    assert (marks == sample_marks(x, y, static, Sampling(), 6)[order[:samples]]).all()
    assert (marks == sample_marks(x.astype(np.int64), y.astype(np.uint8), static, drawn, samples)).all()
    assert (marks == sample_marks(x.reshape(6, 12), y, Entry((12,), "static"), drawn, samples)).all()
    assert (marks == sample_marks(np.moveaxis(x, 0, 1), y, spikes, drawn, samples)).all()
    encoded = Encoded(x, Encoder("poisson"), 7)
    assert (marks == sample_marks(encoded, y, Entry((3, 4), "spikes"), drawn, samples)).all()


@given(st.integers(0, 2**32), st.integers(0, 5), st.integers(0, 11))
def test_any_value_and_any_label_counts(seed: int, sample: int, place: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 5, (6, 12), np.uint8), random.integers(0, 3, (6, 4))
    entry, other = Entry((12,), "static"), x.copy()
    other[sample, place] += 1
    labels = y.copy()
    labels[sample, place % 4] = -1
    before = sample_marks(x, y, entry, Sampling(), 6)
    for now in (sample_marks(other, y, entry, Sampling(), 6), sample_marks(x, labels, entry, Sampling(), 6)):
        assert np.flatnonzero(before != now).tolist() == [sample]
    assert (before != sample_marks(x, None, entry, Sampling(), 6)).all()
