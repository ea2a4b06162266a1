"""Small C functions that ``network.c`` gets where it calls them, and the layout of numbers that share a byte."""

from __future__ import annotations

import numpy as np

from snncc.program.program import DECAY_BITS, DECAY_ONE

Array = np.ndarray
PACKED_BITS = (1, 2, 4)
"""Widths of numbers that share a byte; a byte holds a whole number of them."""

_FLOOR_SHIFT = """\
/* floor(x / 2^n): C99 leaves the right shift of a negative number to the compiler. */
static int{bits}_t floor_shift{bits}(int{bits}_t x, int n)
{{
    return x < 0 ? ~(~x >> n) : x >> n;
}}
"""
_DECAYED = f"""\
/* x * decay / {DECAY_ONE}, {{how}}, for a decay in 0..{DECAY_ONE}; no step on the way leaves 32 bits. */
static int32_t decayed_{{rounding}}(int32_t x, int32_t decay)
{{{{
    const int32_t high = {{high}};
    const int32_t low = x - high * {DECAY_ONE};
    return high * decay + {{low}};
}}}}
"""
_UNPACKED = """\
/* Number i of those that lie {count} a byte, the first one lowest. */
static int32_t unpacked{bits}(const uint8_t *numbers, int32_t i)
{{
    return (numbers[i / {count}] >> (i % {count} * {bits})) & {mask};
}}
"""
_PACK = """\
/* Make it the value, 0..{mask}. */
static void pack{bits}(uint8_t *numbers, int32_t i, int32_t value)
{{
    const int32_t at = i % {count} * {bits};
    numbers[i / {count}] = (uint8_t)((numbers[i / {count}] & ~({mask} << at)) | (value << at));
}}
"""


def _texts() -> dict[str, str]:
    """Text of each function; one that calls others comes after them."""
    texts = {f"floor_shift{bits}": _FLOOR_SHIFT.format(bits=bits) for bits in (32, 64)}
    down = f"floor_shift32(x, {DECAY_BITS})"
    half = 1 << (DECAY_BITS - 1)
    for rounding, how, high, low in (
        ("nearest", "to the nearest, halves up", down, f"((low * decay + {half}) >> {DECAY_BITS})"),
        ("floor", "down", down, f"(low * decay >> {DECAY_BITS})"),
        ("toward_zero", "towards 0", f"x / {DECAY_ONE}", f"low * decay / {DECAY_ONE}"),
    ):
        texts[f"decayed_{rounding}"] = _DECAYED.format(rounding=rounding, how=how, high=high, low=low)
    for bits in PACKED_BITS:
        named = {"bits": bits, "count": 8 // bits, "mask": (1 << bits) - 1}
        texts |= {f"unpacked{bits}": _UNPACKED.format(**named), f"pack{bits}": _PACK.format(**named)}
    return texts


def helpers(code: str) -> str:
    """Text of the functions that ``code`` calls, and of those that they call."""
    found = ""
    for name, text in reversed(_texts().items()):
        if f"{name}(" in code + found:
            found = f"{text}\n{found}"
    return found


def packed_bits(low: int, high: int) -> int:
    """Bits of each number in low..high where two or more share a byte; 0 where each needs its own."""
    return next((bits for bits in PACKED_BITS if high - low < 1 << bits), 0)


def pack(values: Array, bits: int) -> Array:
    """Numbers in 0..2**bits − 1, several a byte: the C order of ``values``, the first one lowest, the last byte filled up."""
    count = 8 // bits
    flat = np.zeros(-(-values.size // count) * count, np.uint8)
    flat[: values.size] = values.reshape(-1)
    return np.bitwise_or.reduce(flat.reshape(-1, count) << np.arange(0, 8, bits, dtype=np.uint8), axis=1)
