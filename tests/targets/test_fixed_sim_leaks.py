"""The membrane's leak in the fast kernel: every form equals ``(v · d + 2048) >> 12`` of unlimited integers."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.targets.fixed_sim import neurons
from snncc.targets.fixed_sim.immediate import HALVING, LEAKLESS, NARROW, SPLIT, leak_of, stepper

LIMIT = {np.int32: 2**30, np.int64: 2**50}
RULES = neurons.NEAREST, neurons.UNBOUNDED, neurons.UNBOUNDED, 0


def constants_of(decay: np.ndarray, kind: type) -> np.ndarray:
    constants = np.zeros((10, len(decay)), kind)
    constants[neurons.THRESHOLD], constants[neurons.SPACING] = np.iinfo(kind).max // 2 + 1, 1
    constants[neurons.DECAY_V] = decay
    return constants


def after_a_step(v: np.ndarray, decay: np.ndarray, highest: int) -> np.ndarray:
    kind = v.dtype.type
    flags = neurons.FIRES | neurons.LEAKS
    step = stepper(constants_of(decay, kind), 6, 1, flags, neurons.NONE, RULES, highest)
    state, spikes = v.copy(), np.zeros((2, len(v)), np.uint8)
    step(np.zeros((1, len(v)), np.float32), np.zeros_like(v), state, spikes, np.zeros((2, 1), np.int64), 0, False)
    assert not spikes.any()
    return state


@pytest.mark.parametrize("kind", [np.int32, np.int64], ids=["int32", "int64"])
@pytest.mark.parametrize(
    ("decays", "highest", "form"),
    [
        ([2048], 2**30, HALVING),
        ([1], 2**12, HALVING),
        ([3072], 2**20, NARROW),
        ([3000, 2040, 8], 2**18, NARROW),
        ([4095, 0, 4096, 1, 2731], None, SPLIT),
        ([0], 2**20, NARROW),
    ],
    ids=["half", "smallest", "three quarters", "several", "wide", "nothing stays"],
)
def test_leaks_are_exact(kind: type, decays: list[int], highest: int | None, form: int) -> None:
    random = np.random.default_rng(0)
    highest = LIMIT[kind] if highest is None else highest
    decay = np.resize(np.asarray(decays, kind), 1000)
    found = leak_of(decay, highest, True)[0]
    assert found == (NARROW if kind is np.int64 and form == SPLIT else form)  # 64 bits hold any product
    v = random.integers(-highest, highest, 1000, endpoint=True).astype(kind)
    v[:4] = highest, -highest, 0, -1
    wanted = [(int(x) * int(d) + 2048) >> 12 for x, d in zip(v, decay, strict=True)]
    assert after_a_step(v, decay, highest).tolist() == wanted


def test_a_product_that_might_overflow_is_split() -> None:
    decay = np.full(8, 4095, np.int32)
    most = (2**31 - 1 - 4096) // 4095
    assert leak_of(decay, most, True)[0] == NARROW
    assert leak_of(decay, most + 1, True)[0] == SPLIT
    assert leak_of(decay, most, False)[0] == LEAKLESS


@pytest.mark.parametrize("bias", ["none", "some", "all"])
@pytest.mark.parametrize("current_bias", [0, 3])
def test_active_neurons_are_those_that_hold_or_receive_something(bias: str, current_bias: int) -> None:
    random = np.random.default_rng(1)
    size = 300
    constants = constants_of(np.full(size, 4000), np.int32)
    share = {"none": 0.0, "some": 0.5, "all": 1.0}[bias]
    constants[neurons.BIAS] = (random.random(size) < share) * random.integers(1, 9, size)
    constants[neurons.CURRENT_BIAS] = current_bias * (random.random(size) < 0.1)
    current = ((random.random((2, size)) < 0.2) * random.integers(-5, 6, (2, size))).astype(np.float32)
    v, u, counts = np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros((2, 2), np.int64)
    v[::7] = random.integers(-50, 50, len(v[::7]))
    before, constant = v != 0, (constants[neurons.BIAS] != 0) | (constants[neurons.CURRENT_BIAS] != 0)
    step = stepper(constants, 6, 1, neurons.FIRES | neurons.LEAKS, neurons.NONE, RULES, 2**20)
    step(current[:1], u, v, np.zeros((2, size), np.uint8), counts[:, :1], 0, False)
    after = v.copy()
    brought = (current[0].astype(int) << 6) + constants[neurons.CURRENT_BIAS]
    assert u.tolist() == brought.tolist()
    step(current[1:], u, v, np.zeros((2, size), np.uint8), counts[:, 1:], 0, False)
    first = (before | constant | (current[0] != 0)).sum()
    second = ((after != 0) | (brought != 0) | constant | (current[1] != 0)).sum()
    assert counts[1].tolist() == [first, second]
