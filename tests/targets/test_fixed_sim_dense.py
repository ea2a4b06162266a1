"""What the dense path does to images before and within its products, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.targets.fixed_sim.dense import _blocks_added, by_numpy
from snncc.targets.fixed_sim.forms import FEW_CHANNELS, PAIR, Form, in_pairs, paired_columns
from snncc.targets.fixed_sim.kernels import used_synapses
from snncc.targets.fixed_sim.onednn import by_onednn, eight_bits_are_exact, products_of

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("block", [2, 3, 4])
@pytest.mark.parametrize(("channels", "spare"), [(1, 3), (7, 0), (8, 0), (15, 1), (16, 0), (17, 3)])
@pytest.mark.parametrize("share", [0, 1, -1])
def test_sums_over_blocks(block: int, channels: int, spare: int, share: int) -> None:
    """Up to the largest sum that a byte holds; negative values come as int32. Images of no whole blocks get nothing more."""
    steps, samples, height, width = 2, 3, 4 * block + 1, 3 * block - 1
    most = share * (255 // block**2) or 1
    low, kind = (most, np.int32) if most < 0 else (0, np.uint8)
    images = RANDOM.integers(low, abs(most) + 1, (steps, samples, height, width, channels)).astype(kind)
    images[0, 0] = abs(most)
    form = Form((height, width, channels), np.zeros((1, channels + spare, 1, 1)), 1, 1, block, spare=spare)
    found = _blocks_added(images.reshape(steps, samples, -1), form)
    assert found.shape == (steps * samples, *form.image) == (steps * samples, 5, 3, channels + spare)
    for y in range(5):
        for x in range(3):
            part = images[:, :, y * block : (y + 1) * block, x * block : (x + 1) * block]
            wanted = part.astype(np.int64).sum(axis=(2, 3)).reshape(-1, channels)
            np.testing.assert_array_equal(found[:, y, x, :channels], wanted)


def test_sums_over_blocks_of_some_samples() -> None:
    """A view of every step's middle samples."""
    images = RANDOM.integers(0, 2, (3, 5, 4, 4, 9)).astype(np.uint8)
    form = Form((4, 4, 9), np.zeros((1, 9, 1, 1)), 1, 1, 2)
    found = _blocks_added(images.reshape(3, 5, -1)[:, 1:4], form)
    wanted = images[:, 1:4].reshape(9, 2, 2, 2, 2, 9).sum(axis=(2, 4))
    np.testing.assert_array_equal(found, wanted)


def forms() -> list[Form]:
    """Few channels; every padding, and kernels, that leave an even number of columns, or enough for one."""
    found = []
    for taps in (2, 3, 4, 5, 7):
        for padding in (0, 1, 2, 3):
            columns = 12 + 2 * padding - taps + 1
            weight = RANDOM.integers(-127, 128, (5, 3, 2, taps)).astype(np.int8)
            found.append(Form((6, 12, 3), weight, 7, columns - columns % 2, padding=(1, padding)))
    return found


@pytest.mark.parametrize("form", forms(), ids=lambda f: f"{f.weight.shape[3]} taps, padding {f.padding[1]}")
def test_two_columns_as_one(form: Form) -> None:
    paired = paired_columns(form)
    images = RANDOM.integers(0, 256, (2, *form.image)).astype(np.uint8)
    wanted = by_numpy(form, np.int64)(images)[:, : form.rows, : form.columns]
    assert paired is not None
    assert paired.image == (6, 6, 6) and paired.columns * PAIR == form.columns
    np.testing.assert_array_equal(in_pairs(form, paired, by_numpy(paired, np.int64))(images), wanted)
    pytest.importorskip("torch", reason="PyTorch is not installed")
    if eight_bits_are_exact() < 1:
        pytest.skip("this PyTorch has no exact 8-bit products")
    spikes = (images > 127).astype(np.uint8)
    wanted = by_numpy(form, np.int64)(spikes)[:, : form.rows, : form.columns]
    np.testing.assert_array_equal(in_pairs(form, paired, products_of(paired))(spikes), wanted)
    np.testing.assert_array_equal(by_onednn(form)(spikes)[:, : form.rows, : form.columns], wanted)


def test_columns_stay_single_where_pairs_cannot_be() -> None:
    def weight(channels: int, taps: int = 3) -> np.ndarray:
        return np.ones((4, channels, 3, taps), np.int8)

    some = (8, 8, 4)
    assert paired_columns(Form(some, weight(4), 6, 6)) is not None
    for form in (
        Form((8, 9, 4), weight(4), 6, 6),  # odd widths
        Form(some, weight(4), 6, 5),
        Form((8, 8, FEW_CHANNELS), weight(FEW_CHANNELS), 6, 6),
        Form(some, weight(4, 1), 6, 8),
        Form(some, weight(4), 3, 3, stride=(2, 2)),
        Form(some, weight(4), 4, 4, dilation=(2, 2)),
        Form(some, weight(2), 6, 6, groups=2),
    ):
        assert paired_columns(form) is None


@pytest.mark.parametrize("samples", [1, 254, 255, 256, 600])
def test_synaptic_operations_are_counted_over_many_samples(samples: int) -> None:
    """Some neurons fire in all of them, more often than a byte counts."""
    spikes = RANDOM.integers(0, 3, (2, samples, 9000)).astype(np.uint8)
    spikes[:, :, ::100] = 200
    fan_out = RANDOM.integers(0, 5000, 9000).astype(np.int32)
    operations = np.asarray([7, 0])
    used_synapses(spikes, fan_out, operations)
    wanted = ((spikes != 0) * fan_out.astype(np.int64)).sum(axis=(1, 2))
    assert operations.tolist() == [7 + wanted[0], wanted[1]]
