"""Training of a recipe: one seed, one result. The checkpoint is the network after the last epoch.

Nothing is chosen by test accuracy: it is measured after every epoch for the log, and the last epoch's network is kept
whatever it says. The same seed gives the same weights on the same machine with the same number of threads, also where
the training was killed and resumed.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from snncc.data import load
from snncc.errors import InputError
from snncc.files import written_beside
from snncc.models.augment import move
from snncc.models.checkpoint import write_checkpoint
from snncc.models.diagnose import LayerHealth, diagnose, settle_norms
from snncc.models.encode import drawn, fixed
from snncc.models.initialise import initialise
from snncc.models.module import SpikingNetwork, TimedNetwork
from snncc.models.optimisers import loss_of, optimiser_of
from snncc.models.quantised import QuantisedNetwork
from snncc.models.recipes import Recipe, Training
from snncc.models.resume import Session, resume, save, state_path
from snncc.models.start import prepared

Progress = Callable[[int, int, int, float, float], None]
EVALUATION_BATCH, EVALUATION_VALUES = 500, 500 * 3 * 32 * 32
"""Samples at once, and input values over all steps."""
INDUCTOR: dict[str, Any] = {"max_pointwise_cat_inputs": 1}
"""Else each step that a neuron records would compute all steps before it anew, which takes minutes to compile from 8 on."""
INITIAL_SAMPLES = 256
"""Of the training set, on which data-dependent initialisations look."""


@dataclass(frozen=True)
class Epoch:
    """One line of the training log; losses in nats, accuracies in 0..1, after ``epoch`` passes over the data.

    ``test_accuracy`` is taken in the training's precision; of the last epoch in float32, as the checkpoint's.
    """

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
    device: str = "cpu",
    compiled: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train ``recipe`` and write ``out`` (a checkpoint) and, beside it, the log with suffix ``.csv``.

    After every epoch the state is kept in ``out``.state; a training of the same settings goes on from there, and the last
    epoch removes it.

    Args:
        data: a data set other than the recipe's, such as "fashion-mnist".
        epochs: other than the recipe's.
        limit: train and test on the first ``limit`` samples only.
        device: of PyTorch, such as "cuda".
        compiled: runs through ``torch.compile``, which is about twice as fast and needs a C++ compiler.
        restart: leaves a kept state aside and trains from the start.
        progress: called after every batch with (epoch, batch, batches, loss, accuracy), numbers from 1, loss and
            accuracy the epoch's running means.
    """
    how = recipe.training
    passes = how.epochs if epochs is None else epochs
    if passes < 1:
        raise InputError(f"{recipe.name}: {passes} epochs train nothing; give 1 or more")
    name = data or how.data
    train_set = _tensors(recipe, f"{name}:{how.train_split}", limit)
    tests = {split: _tensors(recipe, f"{name}:{split}", limit) for split in how.test_splits}
    batches = max(1, len(train_set[0]) // how.batch_size)
    settings = {
        "recipe": recipe.name, "network": recipe.network, "options": asdict(how), "initialise": dict(recipe.initialise),
        "data": name, "seed": seed, "epochs": passes, "samples": len(train_set[0]),
    }  # fmt: skip
    session, network = _session(recipe, train_set[0], seed, passes * batches, device)
    if how.even_epochs and not network.on_representations:
        raise InputError(
            f"{recipe.name}: even_epochs is {how.even_epochs}; only networks of dsr neurons have them, so leave it out"
        )
    run = cast(torch.nn.Module, torch.compile(network, options=INDUCTOR)) if compiled else network
    kept = state_path(out)
    if kept.exists() and not restart:
        session.log += [Epoch(**line) for line in resume(kept, settings, session)]
    first = tests[how.test_splits[0]]
    for number in range(len(session.log) + 1, passes + 1):
        started = time.perf_counter()

        def report(batch: int, loss: float, accuracy: float, number: int = number) -> None:
            if progress is not None:
                progress(number, batch, batches, loss, accuracy)

        network.even_currents = number <= how.even_epochs
        loss, accuracy = one_epoch(run, how, train_set, session, report)
        if number == passes and isinstance(network, QuantisedNetwork):
            network.settle()
        if number == passes and how.stored == "float16":
            _round(network)
        tested = accuracy_of(network, *first, how.precision if number < passes else "float32")
        rate = float(session.schedule.get_last_lr()[0])
        session.log.append(Epoch(number, rate, loss, accuracy, tested, time.perf_counter() - started))
        if number < passes:
            save(kept, settings, session)
    others = {s: accuracy_of(network, *tests[s]) for s in how.test_splits[1:]}
    log: list[Epoch] = session.log
    training: dict[str, Any] = settings | {
        "test_samples": len(first[0]), "float_accuracy": log[-1].test_accuracy, "selection": "last epoch",
        "other_accuracies": others, "seconds": sum(line.seconds for line in log),
    }  # fmt: skip
    del training["network"]
    write_checkpoint(out, *network.deployed(), training, half=how.stored == "float16")
    written = _write_log(out.with_suffix(".csv"), log)
    kept.unlink(missing_ok=True)
    return TrainingResult(out, written, log[-1].test_accuracy, tuple(log))


def untrained(recipe: Recipe, seed: int = 0, data: str | None = None) -> list[LayerHealth]:
    """What each layer of the recipe's network does before training, on samples of its training set."""
    inputs, _ = _tensors(recipe, f"{data or recipe.training.data}:{recipe.training.train_split}", INITIAL_SAMPLES)
    torch.manual_seed(seed)
    network = SpikingNetwork(recipe.network)
    samples = fixed(network, inputs)
    initialise(network, recipe.initialise, samples)
    settle_norms(network, samples)
    return diagnose(network, samples)


@torch.no_grad()
def accuracy_of(network: TimedNetwork, inputs: Tensor, labels: Tensor, precision: str = "float32") -> float:
    """Share of ``inputs`` (N, …) classified as ``labels`` (N,), or of their steps as ``labels`` (N, T), -1 where a step has
    none, in evaluation mode; rate-coded as deployment does."""
    network.eval()
    right = total = 0
    size = max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // fixed(network, inputs[:1]).numel()))
    for batch, (x, y) in enumerate(zip(inputs.split(size), labels.split(size), strict=True)):
        x, y = _placed(network, fixed(network, x, batch * size)), _placed(network, y)
        with _precision(precision, x):
            scores, y = _labelled(network(x), y)
        right += int((scores.argmax(1) == y).sum())
        total += len(y)
    return right / total


def _labelled(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (M, classes) and labels (M,) of samples, labels (N,), or of the steps that have a label (N, T) of 0 or more."""
    if labels.dim() == 1:
        return scores, labels
    known = labels >= 0
    return scores[known], labels[known]


def _session(recipe: Recipe, inputs: Tensor, seed: int, batches: int, device: str) -> tuple[Session, SpikingNetwork]:
    _check_device(device)
    torch.manual_seed(seed)
    network = SpikingNetwork(recipe.network)
    initialise(network, recipe.initialise, fixed(network, inputs[:INITIAL_SAMPLES]))
    how = recipe.training
    learned = how.bits and how.start and how.rounding == "learned"
    calibration = fixed(network, inputs[: how.rounding_samples]) if learned else None
    network = prepared(network, how.start, how.bits, calibration, how.scales)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser, schedule = optimiser_of(network, recipe.training, batches)
    return Session(network, optimiser, schedule, torch.Generator().manual_seed(seed), []), network


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # the latter where PyTorch is built without CUDA
        raise InputError(
            f"device {device!r} cannot be used ({str(error).partition(chr(10))[0]}); cpu always can"
        ) from error


def one_epoch(
    network: torch.nn.Module,
    how: Training,
    data: tuple[Tensor, Tensor],
    session: Session,
    report: Callable[[int, float, float], None],
) -> tuple[float, float]:
    """One pass over the data in a new order; mean loss and accuracy over it. What fills no batch waits for the next."""
    network.train()
    inputs, labels = data
    order = torch.randperm(len(inputs), generator=session.generator)
    size = min(how.batch_size, len(inputs))
    time_steps = session.network.time_steps
    total_loss = total_right = 0.0
    count = len(inputs) // size
    for batch in range(1, count + 1):
        chosen = order[(batch - 1) * size : batch * size]
        moved = move(inputs[chosen].float(), how, session.generator)
        x = _placed(session.network, drawn(session.network, moved, session.generator))
        y = _placed(session.network, labels[chosen])
        with _precision(how.precision, x):
            scores = network(x)
        if y.dim() == 1:
            scores = scores.float() / time_steps  # the mean output current; the scale only matters to the loss
        scores, y = _labelled(scores.float(), y)
        loss = loss_of(how, scores, y)
        session.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if how.gradient_norm:
            torch.nn.utils.clip_grad_norm_(session.network.parameters(), how.gradient_norm)
        session.optimiser.step()
        session.schedule.step()
        total_loss += loss.item()
        total_right += float((scores.argmax(1) == y).float().mean())
        report(batch, total_loss / batch, total_right / batch)
    return total_loss / count, total_right / count


@torch.no_grad()
def _round(network: torch.nn.Module) -> None:
    """Weights (not biases and constants) to values that float16 holds."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(parameter.half().float())


def _precision(precision: str, x: Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _placed(network: torch.nn.Module, x: Tensor) -> Tensor:
    """``x`` on the network's device; images with channels innermost, which convolutions are fastest on."""
    x = x.to(next(network.parameters()).device)
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _tensors(recipe: Recipe, name: str, limit: int | None) -> tuple[Tensor, Tensor]:
    """Inputs as stored and labels (N,) or (N, T); raises :class:`InputError` where they do not fit the network."""
    entry, steps = recipe.network["input"], recipe.network["time_steps"]
    dataset = load(name, limit, steps)
    timeless = entry["encoding"] == "static" or "encoder" in entry
    shape = tuple(entry["shape"]) if timeless else (steps, *entry["shape"])
    found = dataset.inputs.shape[1:]
    each_step = bool(recipe.network["output"].get("each_step"))
    labels = dataset.step_labels if each_step else dataset.labels
    if labels is None or found != shape:
        each = "a label a step" if each_step else "labels"
        raise InputError(f"{recipe.name}: {name} has samples of shape {found}; the network takes {shape}, with {each}")
    return torch.from_numpy(dataset.inputs), torch.from_numpy(labels)


def _write_log(path: Path, log: list[Epoch]) -> Path:
    """One line an epoch, written beside and renamed."""
    with written_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([f.name for f in fields(Epoch)])
        for line in log:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in asdict(line).values()])
    return path
