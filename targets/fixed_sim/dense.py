"""Sums of a projection by dense arithmetic that is exact: what it costs does not depend on the spikes.

oneDNN's 8-bit integer kernels, through PyTorch, add 8-bit spikes times 8-bit weights in 32 bits and give the sums as float32,
which holds whole numbers below 2^24. Else float32 where every sum, whole or partial, stays below 2^24, or float64 below 2^53.
Without PyTorch the same through NumPy. On processors without VNNI, oneDNN adds pairs of products in 16 bits, which large spikes
would saturate: whether they do is tried, once. Where a kernel is the same over blocks of s × s positions and moves by s, as one
that pooling was folded into, the spikes of a block are added up first, which leaves 1/s² of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from snncc.ir.fast import torch_there
from snncc.targets.fixed_sim import kernels
from snncc.targets.fixed_sim.prepare import PreparedProjection

Array = np.ndarray
Pair = tuple[int, int]
Dense = Callable[[Array], Array]
"""Spikes (steps, N, size), those of a step contiguous, to sums (steps·N, size of the target before any pooling), floats, all in
kernel layout."""
TYPICAL_ROWS = 16
"""For which weights are laid out."""
PAIRS_FIT = (2**15 - 1) // (2 * 127)
"""Spikes up to this need no VNNI: a pair of products fits 16 bits."""
LANES = 4
"""Channels that 8-bit products take at once."""
BLOCKS = (4, 3, 2)
"""Pooling windows that a dense layer is searched for."""


@dataclass(frozen=True, eq=False)
class _Form:
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
    """Channels without anything that sums over blocks get, as many as make a multiple of :data:`LANES`."""


def dense_path(q: PreparedProjection, torch_too: bool) -> Dense | None:
    """The fastest exact one, or None for a projection without one: sparse synapses, or sums of 2^53 and more."""
    if q.projection.kind == "sparse" or q.largest >= 2**53:
        return None
    form, most = _form_of(q), q.spike_range[1]
    most *= form.block**2
    number = np.float32 if q.largest < 2**24 else np.float64
    if not (torch_too and torch_there()):
        return _runner(form, _by_numpy(form, number))
    fits = q.spike_range[0] >= 0 and int(np.abs(form.weight).max(initial=0)) <= 127 and q.largest < 2**24
    if fits and most <= eight_bits_are_exact():
        return _runner(form, _by_onednn(form))
    return _runner(form, _by_torch(form, number))


@cache
def eight_bits_are_exact() -> int:
    """Up to which spike oneDNN's 8-bit kernels are exact on this machine; -1 where PyTorch has none."""
    try:
        worst = _by_onednn(_Form((6, 6, 64), np.full((8, 64, 3, 3), 127, np.int8), 4, 4))
        for most in (255, PAIRS_FIT):
            if float(worst(np.full((2, 6, 6, 64), most, np.uint8)).max()) == most * 127 * 64 * 9:
                return most
    except (RuntimeError, AttributeError, NotImplementedError):  # an operator that another PyTorch lacks
        pass
    return -1


def _form_of(q: PreparedProjection) -> _Form:
    p, limit = q.projection, 255 // max(1, *map(abs, q.spike_range))
    if q.shape_in is None or q.shape_out is None:
        return _form_of_dense(q, limit)
    plain = _Form(q.shape_in, p.weight, *q.shape_out[:2], 1, p.stride, p.padding, p.dilation, p.groups)
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
    return _Form(q.shape_in, small, *q.shape_out[:2], s, (1, 1), padding, (1, 1), p.groups, spare=spare)


def _form_of_dense(q: PreparedProjection, limit: int) -> _Form:
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
    return _Form((height, width, channels), laid[:, :, None, None], 1, 1, block, flat=True)


def _blockwise(weight: Array, s: int) -> Array | None:
    """Weights (out, C, ky/s, kx/s) where those of each s × s block are one number, else None."""
    out, channels, ky, kx = weight.shape
    blocks = weight.reshape(out, channels, ky // s, s, kx // s, s)
    small = blocks[:, :, :, 0, :, 0]
    return np.ascontiguousarray(small) if (blocks == small[:, :, :, None, :, None]).all() else None


def _runner(form: _Form, convolve: Dense) -> Dense:
    s = form.block

    def run(spikes: Array) -> Array:
        x = _blocks_added(spikes, form) if s > 1 else np.ascontiguousarray(spikes).reshape(-1, *form.shape)
        if form.flat:
            x = x.reshape(len(x), 1, 1, -1)
        made = convolve(x)
        if made.shape[1:3] != (form.rows, form.columns):
            made = np.ascontiguousarray(made[:, : form.rows, : form.columns])
        return made.reshape(len(x), -1)

    return run


def _blocks_added(spikes: Array, form: _Form) -> Array:
    """Spikes (steps, N, size), summed over blocks: (steps·N, H/s, W/s, C and spare ones); nothing is in the rest of the last
    blocks where H or W is no multiple of s."""
    s, (height, width, channels) = form.block, form.shape
    steps, samples = spikes.shape[:2]
    if height % s or width % s:
        spikes = np.pad(
            spikes.reshape(steps, samples, *form.shape), ((0, 0), (0, 0), (0, -height % s), (0, -width % s), (0, 0))
        )
    tall, wide = -(-height // s), -(-width // s)
    sums = np.empty((steps, samples, tall, wide, channels + form.spare), spikes.dtype)
    sums[..., channels:] = 0
    row = np.empty((wide * s, channels), spikes.dtype)
    kernels.add_blocks(spikes.reshape(steps, samples, tall, s, wide * s * channels), row, sums)
    return sums.reshape(-1, *sums.shape[2:])


def _by_onednn(form: _Form) -> Dense:
    """uint8 images (N, H, W, C) to float32 (N, H, W, out)."""
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
    height, width, channels = form.shape
    typical = [TYPICAL_ROWS, channels + form.spare, -(-height // form.block), -(-width // form.block)]
    packed = torch.ops.onednn.qconv_prepack(weight, scale, 1.0, 0, *how, typical)

    def convolve(x: Array) -> Array:
        made = torch.ops.onednn.qconv2d_pointwise(
            torch.from_numpy(x).permute(0, 3, 1, 2), 1.0, 0, packed, scale, zero, None, *how, 1.0, 0, torch.float32,
            "none", [], "",
        )  # fmt: skip
        images: Array = made.permute(0, 2, 3, 1).contiguous().numpy()
        return images

    return convolve


def _by_torch(form: _Form, number: Any) -> Dense:
    import torch
    from torch.nn import functional

    if form.weight.shape[2:] == (1, 1):
        return _by_numpy(form, number)
    weight = torch.from_numpy(form.weight.astype(number)).contiguous(memory_format=torch.channels_last)

    def convolve(x: Array) -> Array:
        images = torch.from_numpy(x.astype(number)).permute(0, 3, 1, 2)
        made = functional.conv2d(images, weight, None, form.stride, form.padding, form.dilation, form.groups)
        sums: Array = made.permute(0, 2, 3, 1).contiguous().numpy()
        return sums

    return convolve


def _by_numpy(form: _Form, number: Any) -> Dense:
    out, per_group, ky, kx = form.weight.shape
    step = out // form.groups
    kernels = form.weight.reshape(form.groups, step, per_group, ky, kx).transpose(3, 4, 0, 2, 1).astype(number)
    (sy, sx), (py, px), (dy, dx) = form.stride, form.padding, form.dilation

    def convolve(x: Array) -> Array:
        x = np.pad(x.astype(number), ((0, 0), (py, py), (px, px), (0, 0)))
        rows = (x.shape[1] - dy * (ky - 1) - 1) // sy + 1
        columns = (x.shape[2] - dx * (kx - 1) - 1) // sx + 1
        made = np.zeros((len(x), rows, columns, form.groups, 1, step), number)
        for a in range(ky):
            for b in range(kx):
                seen = x[:, a * dy : a * dy + (rows - 1) * sy + 1 : sy, b * dx : b * dx + (columns - 1) * sx + 1 : sx]
                made += seen.reshape(*seen.shape[:3], form.groups, 1, per_group) @ kernels[a, b]
        return made.reshape(len(x), rows, columns, out)

    return convolve
