"""Optimisers, learning-rate schedules and losses that a recipe can name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snncc.models.activations import Bounded
from snncc.models.recipes import Training

Optimiser = torch.optim.Optimizer
Schedule = torch.optim.lr_scheduler.LRScheduler


def optimiser_of(network: nn.Module, how: Training, batches: int) -> tuple[Optimiser, Schedule]:
    """The optimiser and its schedule over ``batches`` steps. Weight decay spares biases, batch norm and constants,
    but not the bounds of activations (the L2 term of Ho and Chang 2021)."""
    bounds = {id(m.bound) for m in network.modules() if isinstance(m, Bounded)}
    weights = [p for p in network.parameters() if p.dim() > 1 or id(p) in bounds]
    others = [p for p in network.parameters() if p.dim() <= 1 and id(p) not in bounds]
    groups = [
        {"params": p, "weight_decay": decay} for p, decay in ((weights, how.weight_decay), (others, 0.0)) if p
    ]  # fmt: skip
    optimiser: Optimiser
    if how.optimiser == "adamw":
        optimiser = torch.optim.AdamW(groups, lr=how.learning_rate)
    else:
        optimiser = torch.optim.SGD(groups, lr=how.learning_rate, momentum=how.momentum, nesterov=how.momentum > 0)
    return optimiser, _schedule(optimiser, how, batches)


def _schedule(optimiser: Optimiser, how: Training, batches: int) -> Schedule:
    if how.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, batches)
    if how.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    steps = max(batches + 1, math.ceil(2 / how.warm_up))  # the rise needs a step of its own, in however short a run
    momentum: dict[str, Any] = {} if how.optimiser == "adamw" else {"cycle_momentum": False}
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=how.learning_rate, total_steps=steps, pct_start=how.warm_up, **momentum
    )


def loss_of(how: Training, scores: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of ``scores`` (N, classes), already over T, for ``labels`` (N,)."""
    if how.loss == "squared_error":
        targets = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
        return 0.5 * (scores - targets).square().sum(1).mean()
    return functional.cross_entropy(scores, labels, label_smoothing=how.label_smoothing)
