"""The machine's limit: the highest rates at which weights can be added up, and multiplied, with nothing else to do.

- adding: rows of int8 weights into one accumulator that stays in the innermost cache; no spikes to find, no rows to look up;
- multiplying: a matrix product and a convolution of int8, bfloat16 and float32, as PyTorch's libraries do them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit

from benchmarks.rounds import FAILURES, said

ROWS = 32
"""Rows of weights that are added again and again: of 256 neurons they take 8 KiB."""
SIZES = (64, 256, 1024)
MATRIX = 1024
SAMPLES, CHANNELS, SIDE, KERNEL = 16, 64, 32, 3
"""Of the convolution: the second layer of VGG-9."""


@dataclass(frozen=True)
class Rate:
    """Operations a second on all threads together.

    Attributes:
        kind: "add" or "multiply": one weight added, one product added.
        failed: why there is no rate; "" where there is one.
    """

    kind: str
    what: str
    per_second: float
    failed: str = ""


def limits(threads: int, seconds: float = 0.3) -> list[Rate]:
    """All rates; each measured for about ``seconds``, several times, and the best taken."""
    return [*_adding(threads, seconds), *_multiplying(seconds)]


def best(rates: Sequence[Rate], kind: str) -> float:
    """The highest of a kind."""
    return max(r.per_second for r in rates if r.kind == kind)


@njit(nogil=True)
def _one_by_one(weight, sums, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for r in range(weight.shape[0]):
            row = weight[r]
            for o in range(sums.size):
                sums[o] += row[o]


@njit(nogil=True)
def _by_fours(weight, sums, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for r in range(0, weight.shape[0], 4):
            a, b, c, d = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
            for o in range(sums.size):
                sums[o] += (a[o] + b[o]) + (c[o] + d[o])


@njit(nogil=True)
def _by_eights(weight, sums, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for r in range(0, weight.shape[0], 8):
            a, b, c, d = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
            e, f, g, h = weight[r + 4], weight[r + 5], weight[r + 6], weight[r + 7]
            for o in range(sums.size):
                sums[o] += ((a[o] + b[o]) + (c[o] + d[o])) + ((e[o] + f[o]) + (g[o] + h[o]))


def _adding(threads: int, seconds: float) -> Iterator[Rate]:
    kernels = {"one row at a time": _one_by_one, "four rows at a time": _by_fours, "eight rows at a time": _by_eights}
    for accumulator in (np.int32, np.int16):
        for words, kernel in kernels.items():
            rate, size = max((_add_rate(kernel, n, accumulator, threads, seconds / len(SIZES)), n) for n in SIZES)
            yield Rate("add", f"int8 rows of {size} into {np.dtype(accumulator)}, {words}", rate)


def _add_rate(kernel: Any, size: int, accumulator: Any, threads: int, seconds: float) -> float:
    """Additions a second; no row is looked up, since the same ones come again in order."""
    weight = np.random.default_rng(0).integers(-128, 128, (ROWS, size)).astype(np.int8)
    sums = [np.zeros(size, accumulator) for _ in range(threads)]
    kernel(weight, sums[0], 1)
    times = max(1, int(2e6 / weight.size))
    found = 0.0
    with ThreadPoolExecutor(threads) as pool:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            list(pool.map(lambda one: kernel(weight, one, times), sums))
            found = max(found, threads * times * weight.size / (time.perf_counter() - start))
    return found


def _multiplying(seconds: float) -> Iterator[Rate]:
    convolved = SAMPLES * CHANNELS * CHANNELS * SIDE**2 * KERNEL**2
    for what, operations, make in (
        ("int8 matrix product", MATRIX**3, lambda: _matrices(torch.int8)),
        ("bfloat16 matrix product", MATRIX**3, lambda: _matrices(torch.bfloat16)),
        ("float32 matrix product", MATRIX**3, lambda: _matrices(torch.float32)),
        ("int8 convolution", convolved, _int8_convolution),
        ("bfloat16 convolution", convolved, lambda: _convolution(torch.bfloat16)),
        ("float32 convolution", convolved, lambda: _convolution(torch.float32)),
    ):
        try:
            with torch.inference_mode():
                yield Rate("multiply", what, operations / _shortest(make(), seconds))
        except (*FAILURES, AttributeError) as error:
            yield Rate("multiply", what, 0.0, said(error))


def _shortest(run: Callable[[], object], seconds: float) -> float:
    run()
    found, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        found = min(found, time.perf_counter() - start)
    return found


def _matrices(dtype: torch.dtype) -> Callable[[], object]:
    if dtype is torch.int8:
        a, b = (torch.randint(-128, 128, (MATRIX, MATRIX), dtype=torch.int8) for _ in range(2))
        return lambda: torch._int_mm(a, b)
    x, y = (torch.randn(MATRIX, MATRIX, dtype=dtype) for _ in range(2))
    return lambda: x @ y


def _convolution(dtype: torch.dtype) -> Callable[[], object]:
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2, bias=False).to(dtype)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(SAMPLES, CHANNELS, SIDE, SIDE).to(dtype).contiguous(memory_format=torch.channels_last)
    return lambda: layer(x)


def _int8_convolution() -> Callable[[], object]:
    """oneDNN's, through the operators that PyTorch's quantised networks call; float32 comes out."""
    onednn = torch.ops.onednn
    weight = torch.randint(-128, 128, (CHANNELS, CHANNELS, KERNEL, KERNEL), dtype=torch.int8)
    x = torch.randint(0, 2, (SAMPLES, CHANNELS, SIDE, SIDE), dtype=torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    scales, zeros = torch.ones(CHANNELS), torch.zeros(CHANNELS, dtype=torch.int32)
    place = [1, 1], [KERNEL // 2] * 2, [1, 1], 1
    packed = onednn.qconv_prepack(weight, scales, 1.0, 0, *place, list(x.shape))
    return lambda: onednn.qconv_pointwise(
        x, 1.0, 0, packed, scales, zeros, None, *place, 1.0, 0, torch.float32, "none", [], ""
    )
