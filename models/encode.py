"""Samples as a network takes them: static ones as spikes where its input has an "encoder" (:class:`snncc.ir.nodes.Encoder`),
those with a time axis as (T, N, …)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snncc.encode import encode
from snncc.ir.nodes import Encoder
from snncc.models.module import TimedNetwork


def encoder_of(network: TimedNetwork) -> Encoder | None:
    """The encoder in the network's description; None where it takes samples as they are."""
    fields: dict[str, Any] | None = network.description["input"].get("encoder")
    if fields is None:
        return None
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Encoder(**values)


def drawn(network: TimedNetwork, x: Tensor, generator: torch.Generator) -> Tensor:
    """What ``network`` takes for samples ``x`` (N, …) as stored: as :func:`fixed`, but new spikes with PyTorch's random
    numbers each time, for training."""
    encoder = encoder_of(network)
    return timed(network, x) if encoder is None else poisson(x, network.time_steps, encoder, generator)


def fixed(network: TimedNetwork, x: Tensor, first: int = 0) -> Tensor:
    """What ``network`` takes for samples ``x`` (N, …) as stored: ``x``, frames (N, T, …) as (T, N, …), or the spikes
    (T, N, …) that deployment has for them, which depend on the encoder's seed and on the samples' numbers ``first`` … alone.
    """
    encoder = encoder_of(network)
    if encoder is None:
        return timed(network, x)
    return torch.from_numpy(encode(x.numpy(), encoder, network.time_steps, range(first, first + len(x))))


def timed(network: TimedNetwork, x: Tensor) -> Tensor:
    """``x`` (N, …) of a static input, or (T, N, …) of frames and spikes (N, T, …)."""
    return x if network.description["input"]["encoding"] == "static" else x.transpose(0, 1)


def poisson(x: Tensor, time_steps: int, encoder: Encoder, generator: torch.Generator) -> Tensor:
    """Spikes (T, N, …) of samples ``x`` (N, C, …): the equations of :mod:`snncc.encode` with other random numbers."""

    def per_channel(value: float | tuple[float, ...]) -> Tensor:
        constant = torch.tensor(value, dtype=torch.float32)
        return constant.reshape(-1, *(1,) * (x.dim() - 2)) if constant.dim() else constant

    rate = x.float() * encoder.scale * per_channel(encoder.gain) + per_channel(encoder.offset)
    if not encoder.signed:
        rate = rate.clamp_min(0)
    fired = rate.abs() > torch.rand(time_steps, *x.shape, generator=generator)
    return fired * rate.sign()
