"""Training of a recipe: one seed, one result. The checkpoint is the network after the last epoch.

Nothing is chosen by test accuracy: it is measured after every epoch for the log, and the last epoch's network is kept
whatever it says. The same seed gives the same weights on the same machine with the same number of threads.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snncc.data import load
from snncc.errors import InputError
from snncc.files import written_beside
from snncc.models.augment import move
from snncc.models.checkpoint import write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.recipes import Recipe, Training

Progress = Callable[[int, int, int, float, float], None]
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Epoch:
    """One line of the training log; losses in nats, accuracies in 0..1, after ``epoch`` passes over the data."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`train` made: the checkpoint, the log, and the accuracy on the test set in 0..1."""

    checkpoint: Path
    log: Path
    test_accuracy: float
    epochs: tuple[Epoch, ...]


def train(
    recipe: Recipe,
    out: Path,
    seed: int = 0,
    data: str | None = None,
    epochs: int | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train ``recipe`` and write ``out`` (a checkpoint) and, beside it, the log with suffix ``.csv``.

    Args:
        data: a data set other than the recipe's, such as "fashion-mnist".
        epochs: other than the recipe's.
        limit: train and test on the first ``limit`` samples only.
        progress: called after every batch with (epoch, batch, batches, loss, accuracy), numbers from 1, loss and
            accuracy the epoch's running means.
    """
    how = recipe.training
    passes = how.epochs if epochs is None else epochs
    if passes < 1:
        raise InputError(f"{recipe.name}: {passes} epochs train nothing; give 1 or more")
    name = data or how.data
    train_set, test_set = _tensors(recipe, f"{name}:train", limit), _tensors(recipe, f"{name}:test", limit)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = SpikingNetwork(recipe.network)
    batches = max(1, len(train_set[0]) // how.batch_size)
    optimiser, schedule = _optimiser(network, how, passes * batches)
    log: list[Epoch] = []
    for number in range(1, passes + 1):
        started = time.perf_counter()

        def report(batch: int, loss: float, accuracy: float, number: int = number) -> None:
            if progress is not None:
                progress(number, batch, batches, loss, accuracy)

        loss, accuracy = _epoch(network, how, train_set, optimiser, schedule, generator, report)
        tested = accuracy_of(network, *test_set)
        rate = float(schedule.get_last_lr()[0])
        log.append(Epoch(number, rate, loss, accuracy, tested, time.perf_counter() - started))
    training: dict[str, Any] = {
        "recipe": recipe.name, "seed": seed, "epochs": passes, "data": name, "samples": len(train_set[0]),
        "test_samples": len(test_set[0]), "float_accuracy": log[-1].test_accuracy, "selection": "last epoch",
        "options": asdict(how),
    }  # fmt: skip
    write_checkpoint(out, recipe.network, network.state_dict(), training)
    return TrainingResult(out, _write_log(out.with_suffix(".csv"), log), log[-1].test_accuracy, tuple(log))


@torch.no_grad()
def accuracy_of(network: SpikingNetwork, inputs: Tensor, labels: Tensor) -> float:
    """Share of ``inputs`` (N, …) classified as ``labels`` (N,), in evaluation mode."""
    network.eval()
    right = 0
    for x, y in zip(inputs.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        right += int((network(x).argmax(1) == y).sum())
    return right / len(labels)


def _epoch(
    network: SpikingNetwork,
    how: Training,
    data: tuple[Tensor, Tensor],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
    report: Callable[[int, float, float], None],
) -> tuple[float, float]:
    """One pass over the data in a new order; mean loss and accuracy over it. What fills no batch waits for the next."""
    network.train()
    inputs, labels = data
    order = torch.randperm(len(inputs), generator=generator)
    size = min(how.batch_size, len(inputs))
    criterion = nn.CrossEntropyLoss(label_smoothing=how.label_smoothing)
    total_loss = total_right = 0.0
    count = len(inputs) // size
    for batch in range(1, count + 1):
        chosen = order[(batch - 1) * size : batch * size]
        x, y = move(inputs[chosen].float(), how, generator), labels[chosen]
        logits = network(x) / network.time_steps  # the mean output current; the scale only matters to the loss
        loss = criterion(logits, y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        total_loss += loss.item()
        total_right += float((logits.argmax(1) == y).sum()) / size
        report(batch, total_loss / batch, total_right / batch)
    return total_loss / count, total_right / count


def _optimiser(
    network: nn.Module, how: Training, batches: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW whose weight decay spares biases and batch norm, and its one-cycle schedule."""
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": how.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=how.learning_rate)
    steps = max(batches + 1, math.ceil(2 / how.warm_up))  # the rise needs a step of its own, in however short a run
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=how.learning_rate, total_steps=steps, pct_start=how.warm_up
    )
    return optimiser, schedule


def _tensors(recipe: Recipe, name: str, limit: int | None) -> tuple[Tensor, Tensor]:
    """Inputs as stored and labels; raises :class:`InputError` where they do not fit the network."""
    dataset = load(name, limit)
    shape = tuple(recipe.network["input"]["shape"])
    found = dataset.inputs.shape[1:]
    if dataset.labels is None or found != shape:
        raise InputError(f"{recipe.name}: {name} has samples of shape {found}; the network takes {shape}, with labels")
    return torch.from_numpy(dataset.inputs), torch.from_numpy(dataset.labels)


def _write_log(path: Path, log: list[Epoch]) -> Path:
    """One line an epoch, written beside and renamed."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([f.name for f in fields(Epoch)])
        for line in log:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in asdict(line).values()])
    return path
