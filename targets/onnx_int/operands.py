"""Whole numbers as 8-bit operands of ``ConvInteger`` and ``MatMulInteger``, so that every sum is exact on every processor.

Both operators multiply bytes and add up in 32 bits. onnxruntime before VNNI computes unsigned × signed bytes with
``vpmaddubsw``, which adds two products in 16 bits and *saturates* (255·127 twice is too much), while unsigned × unsigned is
widened first. Floating point is no way out: a float convolution may be done by Winograd's transform, whose fractions round.

- Dense weights are signed bytes, and what meets them is so small that two products fit 16 bits.
- Convolution weights are unsigned bytes with a zero point of 128 (older releases of onnxruntime have no other kernel).
- A number that is too large for this is cut into digits, each with a product of its own; so is a weight beyond 8 bits.
- Digits are also so small that a whole row of products fits 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
WEIGHT_BITS = 8
CONV_ZERO = 128
"""Zero point of a convolution's weights."""
LARGEST_PAIR = 2**15 - 1
LARGEST_ROW = 2**31 - 1


@dataclass(frozen=True)
class Encoding:
    """How numbers become unsigned bytes: ``x + zero`` in ``count`` digits of ``bits`` bits, lowest first. The same digits of
    ``zero`` are the zero points, which is also what padding is filled with."""

    zero: int
    bits: int
    count: int

    @property
    def zeros(self) -> tuple[int, ...]:
        """Zero point of each digit."""
        if self.count == 1:
            return (self.zero,)
        return tuple(self.zero >> self.bits * i & (1 << self.bits) - 1 for i in range(self.count))


def encode(low: int, high: int, limit: int) -> Encoding:
    """The encoding of low..high, and of 0, in digits of ``limit`` (1 or more) at most."""
    zero = -min(low, 0)
    top = max(high, 0) + zero
    bits = (limit + 1).bit_length() - 1
    return Encoding(zero, bits, 1 if top <= limit else -(-top.bit_length() // bits))


def split_weights(weight: Array) -> tuple[int, tuple[Array, ...]]:
    """(e, digits): ``weight = 2**e · Σ 256**i · digits[i]`` with digits in -128..127. ``weight`` is not all zero."""
    rest = weight.astype(np.int64)
    common = int(np.bitwise_or.reduce(rest, axis=None))
    exponent = (common & -common).bit_length() - 1
    rest = rest >> exponent
    digits = []
    while rest.any():
        digit = (rest + 128 & 255) - 128
        digits.append(digit.astype(np.int8))
        rest = rest - digit >> WEIGHT_BITS
    return exponent, tuple(digits)


def operand_limit(kind: str, fan_in: int, digits: tuple[Array, ...]) -> int:
    """The largest byte that weights of a "dense" or "conv" projection may meet; 0 where a row is too long for any."""
    limit = min(255, LARGEST_ROW // (255 * fan_in))
    if kind == "conv":
        return limit
    widest = max(max(int(d.max()), -int(d.min())) for d in digits)
    return min(limit, LARGEST_PAIR // (2 * widest))
