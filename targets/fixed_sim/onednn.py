"""oneDNN's 8-bit integer kernels, through PyTorch: 8-bit spikes times 8-bit weights are added in 32 bits and come as float32, which
holds whole numbers below 2^24. On processors without VNNI, oneDNN adds pairs of products in 16 bits, which large spikes would
saturate: whether they do is tried, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from snncc.targets.fixed_sim.forms import Convolve, Form, in_pairs, paired_columns

Array = np.ndarray
TYPICAL_ROWS = 16
"""For which weights are laid out."""
PAIRS_FIT = (2**15 - 1) // (2 * 127)
"""Spikes up to this need no VNNI: a pair of products fits 16 bits."""


@cache
def eight_bits_are_exact() -> int:
    """Up to which spike oneDNN's 8-bit kernels are exact on this machine; -1 where PyTorch has none."""
    try:
        worst = by_onednn(Form((6, 6, 64), np.full((8, 64, 3, 3), 127, np.int8), 4, 4))
        for most in (255, PAIRS_FIT):
            if float(worst(np.full((2, 6, 6, 64), most, np.uint8)).max()) == most * 127 * 64 * 9:
                return most
    except (RuntimeError, AttributeError, NotImplementedError):  # an operator that another PyTorch lacks
        pass
    return -1


def by_onednn(form: Form) -> Convolve:
    """uint8 images to float32 sums by 8-bit products, by the faster of one column or two at a time, which is tried."""
    plain, paired = products_of(form), paired_columns(form)
    if paired is None:
        return plain
    some = np.zeros((TYPICAL_ROWS, *form.image), np.uint8)
    return min(plain, in_pairs(form, paired, products_of(paired)), key=lambda one: shortest(lambda: one(some)))


def products_of(form: Form) -> Convolve:
    """As :func:`by_onednn`, columns as they are."""
    import torch

    weight = torch.from_numpy(np.ascontiguousarray(form.weight.astype(np.int8)))
    scale, zero = torch.ones(len(weight)), torch.zeros(len(weight), dtype=torch.int32)
    if weight.shape[2:] == (1, 1) and form.groups == 1 and form.stride == (1, 1) and form.padding == (0, 0):
        packed = torch.ops.onednn.qlinear_prepack(weight.flatten(1), [TYPICAL_ROWS, weight.shape[1]])

        def multiply(x: Array) -> Array:
            made = torch.ops.onednn.qlinear_pointwise(
                torch.from_numpy(x.reshape(-1, x.shape[-1])), 1.0, 0, packed, scale, zero, None, 1.0, 0, torch.float32,
                "none", [], "",
            )  # fmt: skip
            sums: Array = made.numpy().reshape(*x.shape[:3], -1)
            return sums

        return multiply
    how = list(form.stride), list(form.padding), list(form.dilation), form.groups
    height, width, channels = form.image
    packed = torch.ops.onednn.qconv_prepack(weight, scale, 1.0, 0, *how, [TYPICAL_ROWS, channels, height, width])

    def convolve(x: Array) -> Array:
        made = torch.ops.onednn.qconv2d_pointwise(
            torch.from_numpy(x).permute(0, 3, 1, 2), 1.0, 0, packed, scale, zero, None, *how, 1.0, 0, torch.float32,
            "none", [], "",
        )  # fmt: skip
        images: Array = made.permute(0, 2, 3, 1).contiguous().numpy()
        return images

    return convolve


def shortest(run: Callable[[], Any], trials: int = 3) -> float:
    """Nanoseconds of the shortest of some runs, after one that does not count."""
    run()
    times = []
    for _ in range(trials):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return float(min(times))
