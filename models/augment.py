"""Random small changes of training images: mirror images, shifts, turns, zooms and a blanked square."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from snncc.errors import InputError
from snncc.models.recipes import Training


def move(images: Tensor, how: Training, generator: torch.Generator) -> Tensor:
    """Each sample of ``images`` (N, C, H, W), or frames (N, T, C, H, W), float, changed on its own, all its frames alike; what
    comes in at the border is 0."""
    warped = how.rotation_degrees or how.zoom
    if not (warped or how.flip or how.shift_pixels or how.cutout_pixels):
        return images
    if images.dim() == 5:
        return move(images.flatten(1, 2), how, generator).unflatten(1, images.shape[1:3])
    if images.dim() != 4:
        raise InputError(f"training: samples of shape {tuple(images.shape[1:])} are no images to flip, turn or shift")
    if how.flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if warped:
        images = _warp(images, how, generator)
    elif how.shift_pixels:
        images = _shift(images, how.shift_pixels, generator)
    return _cut_out(images, how.cutout_pixels, generator) if how.cutout_pixels else images


def _shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Whole pixels, no interpolation."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (most, most, most, most))
    dy, dx = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows, columns = dy + torch.arange(height), dx + torch.arange(width)
    samples = torch.arange(count)
    return padded[samples[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _warp(images: Tensor, how: Training, generator: torch.Generator) -> Tensor:
    """Turn, zoom and shift at once, with bilinear interpolation."""
    count, _, height, width = images.shape

    def uniform(most: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * most

    angle, zoom = uniform(math.radians(how.rotation_degrees)), 1 + uniform(how.zoom)
    dx, dy = uniform(2 * how.shift_pixels / width), uniform(2 * how.shift_pixels / height)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    affine = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _cut_out(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A square of ``size`` pixels somewhere in each image is 0 (DeVries and Taylor 2017)."""
    count, _, height, width = images.shape

    def hidden(length: int) -> Tensor:
        offset = torch.arange(length) - torch.randint(0, length, (count, 1), generator=generator)
        return (offset >= -(size // 2)) & (offset < size - size // 2)

    square = hidden(height)[:, :, None] & hidden(width)[:, None, :]
    return images.masked_fill(square[:, None], 0.0)
