"""How dense sums are made: images added up over blocks, then convolved.

Where a kernel is the same over blocks of s × s positions and moves by s, as one that pooling was folded into, the spikes of a
block are added up first, which leaves 1/s² of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snncc.targets.fixed_sim.prepare import PreparedProjection

Array = np.ndarray
Pair = tuple[int, int]
Convolve = Callable[[Array], Array]
"""Images (N, H, W, C) to sums (N, H, W, out), floats."""
LANES = 4
"""Channels that 8-bit products take at once."""
BLOCKS = (4, 3, 2)
"""Pooling windows that a dense layer is searched for."""
PAIR, FEW_CHANNELS = 2, 32
"""Columns that are taken as one, and how many channels they may have together."""


@dataclass(frozen=True, eq=False)
class Form:
    """How sums are made: images (N, H, W, C) of ``shape`` are padded with nothing to a multiple of ``block``, added up over
    blocks, then convolved; of the outcome the first ``rows`` and ``columns`` count. ``weight`` (out, C/groups, ky, kx)."""

    shape: tuple[int, int, int]
    weight: Array
    rows: int
    columns: int
    block: int = 1
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    flat: bool = False
    """A dense layer: each image is one position with all its values."""
    spare: int = 0
    """Channels that no weight looks at, which sums over blocks get: as many as make a multiple of :data:`LANES`."""

    @property
    def image(self) -> tuple[int, int, int]:
        """(H, W, C) of what is convolved."""
        height, width, channels = self.shape
        return -(-height // self.block), -(-width // self.block), channels + self.spare


def form_of(q: PreparedProjection) -> Form:
    p, limit = q.projection, 255 // max(1, *map(abs, q.spike_range))
    if q.shape_in is None or q.shape_out is None:
        return _form_of_dense(q, limit)
    plain = Form(q.shape_in, p.weight, *q.shape_out[:2], 1, p.stride, p.padding, p.dilation, p.groups)
    s = p.stride[0]
    even = all(n % s == 0 for n in (*p.weight.shape[2:], *p.padding))
    if p.stride != (s, s) or s == 1 or not even or p.dilation != (1, 1) or s * s > limit:
        return plain
    small = _blockwise(p.weight, s)
    if small is None:
        return plain
    padding = p.padding[0] // s, p.padding[1] // s
    spare = -small.shape[1] % LANES if p.groups == 1 else 0
    small = np.pad(small, ((0, 0), (0, spare), (0, 0), (0, 0)))
    return Form(q.shape_in, small, *q.shape_out[:2], s, (1, 1), padding, (1, 1), p.groups, spare=spare)


def _form_of_dense(q: PreparedProjection, limit: int) -> Form:
    channels, height, width = q.given if len(q.given) == 3 else (q.sizes[0], 1, 1)
    weight = q.projection.weight.reshape(-1, channels, height, width)
    block = 1
    for s in BLOCKS:
        small = _blockwise(weight, s) if s * s <= limit and height % s == width % s == 0 else None
        if small is not None:
            block, weight = s, small
            break
    laid = np.empty(
        (len(weight), weight[0].size), weight.dtype
    )  # outputs in kernel layout too, inputs as pooled images
    laid[q.places[1]] = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return Form((height, width, channels), laid[:, :, None, None], 1, 1, block, flat=True)


def _blockwise(weight: Array, s: int) -> Array | None:
    """Weights (out, C, ky/s, kx/s) where those of each s × s block are one number, else None."""
    out, channels, ky, kx = weight.shape
    blocks = weight.reshape(out, channels, ky // s, s, kx // s, s)
    small = blocks[:, :, :, 0, :, 0]
    return np.ascontiguousarray(small) if (blocks == small[:, :, :, None, :, None]).all() else None


def paired_columns(form: Form) -> Form | None:
    """The same with two columns as one of twice the channels, in images and outputs alike: more products, but in fuller
    vectors where channels are few. None where it cannot be, or could not pay."""
    (height, width, channels), (out, _, rows, taps) = form.image, form.weight.shape
    simple = form.groups == 1 and form.stride == form.dilation == (1, 1) and taps > 1 and not form.flat
    if not simple or PAIR * channels > FEW_CHANNELS or width % PAIR or form.columns % PAIR:
        return None
    padding = -(-form.padding[1] // PAIR)
    ahead = PAIR * padding - form.padding[1]
    columns = -(-(ahead + PAIR - 1 + taps) // PAIR)
    weight = np.zeros((PAIR, out, PAIR, channels, rows, columns), form.weight.dtype)
    for own in range(PAIR):
        for tap in range(taps):
            column, seen = divmod(ahead + own + tap, PAIR)
            weight[own, :, seen, :, :, column] = form.weight[:, :, :, tap]
    return Form(
        (height, width // PAIR, PAIR * channels), weight.reshape(PAIR * out, PAIR * channels, rows, columns),
        form.rows, form.columns // PAIR, padding=(form.padding[0], padding),
    )  # fmt: skip


def in_pairs(form: Form, paired: Form, convolve: Convolve) -> Convolve:
    """What ``form`` does, by what convolves its :func:`paired_columns`."""

    def run(x: Array) -> Array:
        made = convolve(x.reshape(len(x), *paired.image))
        made = np.ascontiguousarray(made[:, : form.rows, : paired.columns])
        return made.reshape(len(x), form.rows, form.columns, -1)

    return run
