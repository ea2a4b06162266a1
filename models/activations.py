"""Activations of a network without spikes (an ANN) that is trained to become a spiking one.

A description with layers of these kinds (:data:`snncc.frontends.description.ACTIVATIONS`) is an ANN; it runs one step.
``relu`` has no bound; ``clip`` and ``qcfs`` have one, λ, which is trained and becomes the threshold (see
:mod:`snncc.models.conversion`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from snncc.errors import GraphError


class Bounded(nn.Module):
    """An activation with a trained bound λ, a number or nested lists that broadcast to the shape.

    λ is a parameter in training, and a number ("bound") in the description that a checkpoint holds.
    """

    def __init__(self, name: str, bound: Any) -> None:
        super().__init__()
        try:
            self.bound = nn.Parameter(torch.tensor(bound, dtype=torch.get_default_dtype()))
        except (TypeError, ValueError) as error:
            raise GraphError(f"{name}: bound is {str(bound)[:60]}; a number or lists of numbers are needed") from error
        if not bool((self.bound > 0).all()) or not bool(self.bound.isfinite().all()):
            raise GraphError(f"{name}: bound is {str(bound)[:60]}; it must be above 0 and finite")

    def learned(self) -> dict[str, Any]:
        """The description's fields that training changed."""
        return {"bound": self.bound.detach().cpu().tolist()}


class Clip(Bounded):
    """``clip(x, 0, λ)``, with ∂/∂λ = 1 where x is above λ (Ho and Chang 2021, TCL)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.minimum(x.to(self.bound.dtype).relu(), self.bound)


class Qcfs(Bounded):
    """``λ·clip(⌊xL/λ + ½⌋/L, 0, 1)`` with L ``levels``; the derivative of the floor is taken as 1 (Bu et al. 2022, QCFS)."""

    def __init__(self, name: str, bound: Any, levels: int) -> None:
        super().__init__(name, bound)
        if not isinstance(levels, int) or levels < 1:
            raise GraphError(f"{name}: levels is {levels!r}; a whole number above 0 is needed")
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        share = (x.to(self.bound.dtype) / self.bound).clamp(0, 1)
        steps = torch.floor(share.detach() * self.levels + 0.5) / self.levels
        return (steps + (share - share.detach())) * self.bound
