"""Sums of a projection by dense arithmetic that is exact: what it costs does not depend on the spikes.

By oneDNN's 8-bit products where weights and spikes fit; else float32 where every sum, whole or partial, stays below 2^24, or
float64 below 2^53. Without PyTorch the same through NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from snncc.ir.fast import torch_there
from snncc.targets.fixed_sim import kernels
from snncc.targets.fixed_sim.forms import Form, form_of
from snncc.targets.fixed_sim.onednn import Convolve, by_onednn, eight_bits_are_exact
from snncc.targets.fixed_sim.prepare import PreparedProjection

Array = np.ndarray
Dense = Callable[[Array], Array]
"""Spikes (steps, N, size), those of a step contiguous, to sums (steps·N, size of the target before any pooling), floats, all in
kernel layout."""


def dense_path(q: PreparedProjection, torch_too: bool) -> Dense | None:
    """The fastest exact one, or None for a projection without one: sparse synapses, or sums of 2^53 and more."""
    if q.projection.kind == "sparse" or q.largest >= 2**53:
        return None
    form, most = form_of(q), q.spike_range[1]
    most *= form.block**2
    number = np.float32 if q.largest < 2**24 else np.float64
    if not (torch_too and torch_there()):
        return _runner(form, by_numpy(form, number))
    fits = q.spike_range[0] >= 0 and int(np.abs(form.weight).max(initial=0)) <= 127 and q.largest < 2**24
    if fits and most <= eight_bits_are_exact():
        return _runner(form, by_onednn(form))
    return _runner(form, _by_torch(form, number))


def _runner(form: Form, convolve: Convolve) -> Dense:
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


def _blocks_added(spikes: Array, form: Form) -> Array:
    """Spikes (steps, N, size), summed over blocks: (steps·N, H/s, W/s, C and spare ones); nothing is in the rest of the last
    blocks where H or W is no multiple of s."""
    s, (height, width, channels) = form.block, form.shape
    steps, samples = spikes.shape[:2]
    if height % s or width % s:
        spikes = np.pad(
            spikes.reshape(steps, samples, *form.shape), ((0, 0), (0, 0), (0, -height % s), (0, -width % s), (0, 0))
        )
    tall, wide, _ = form.image
    if spikes.dtype != np.uint8:
        blocks = spikes.reshape(steps * samples, tall, s, wide, s, channels).sum(axis=(2, 4), dtype=spikes.dtype)
        return np.pad(blocks, ((0, 0), (0, 0), (0, 0), (0, form.spare)))
    shape = steps * samples, *form.image
    sums = np.empty(math.prod(shape) + kernels.WORD, np.uint8)
    row = np.empty(wide * s * channels + kernels.WORD, np.uint8)
    images = spikes.reshape(steps, samples, tall, s, wide * s * channels)
    kernels.add_blocks(images, wide, channels, form.spare, row, sums)
    return sums[: -kernels.WORD].reshape(shape)


def _by_torch(form: Form, number: Any) -> Convolve:
    import torch
    from torch.nn import functional

    if form.weight.shape[2:] == (1, 1):
        return by_numpy(form, number)
    weight = torch.from_numpy(form.weight.astype(number)).contiguous(memory_format=torch.channels_last)

    def convolve(x: Array) -> Array:
        images = torch.from_numpy(x.astype(number)).permute(0, 3, 1, 2)
        made = functional.conv2d(images, weight, None, form.stride, form.padding, form.dilation, form.groups)
        sums: Array = made.permute(0, 2, 3, 1).contiguous().numpy()
        return sums

    return convolve


def by_numpy(form: Form, number: Any) -> Convolve:
    out, per_group, ky, kx = form.weight.shape
    step = out // form.groups
    laid = form.weight.reshape(form.groups, step, per_group, ky, kx).transpose(3, 4, 0, 2, 1).astype(number)
    (sy, sx), (py, px), (dy, dx) = form.stride, form.padding, form.dilation

    def convolve(x: Array) -> Array:
        x = np.pad(x.astype(number), ((0, 0), (py, py), (px, px), (0, 0)))
        rows = (x.shape[1] - dy * (ky - 1) - 1) // sy + 1
        columns = (x.shape[2] - dx * (kx - 1) - 1) // sx + 1
        made = np.zeros((len(x), rows, columns, form.groups, 1, step), number)
        for a in range(ky):
            for b in range(kx):
                seen = x[:, a * dy : a * dy + (rows - 1) * sy + 1 : sy, b * dx : b * dx + (columns - 1) * sx + 1 : sx]
                made += seen.reshape(*seen.shape[:3], form.groups, 1, per_group) @ laid[a, b]
        return made.reshape(len(x), rows, columns, out)

    return convolve
