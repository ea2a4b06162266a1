"""Which samples a network gets right, and how two networks differ in them."""

from __future__ import annotations

import numpy as np

from snncc.errors import InputError
from snncc.evidence import Sampled

Array = np.ndarray


def correct(predictions: Array, labels: Array, scale: float | None = None) -> Array:
    """What each sample adds to the accuracy, (N,), which is the mean: 1 where its class is right, else 0. With labels
    (N, T), -1 where a step has none: its right steps over ``scale``, the mean number of steps that have one (of these samples
    if None). The steps of a sample are not independent, so a spread is one over samples. Raises :class:`InputError` where no
    step has a label."""
    if labels.shape != predictions.shape:
        raise InputError(f"the labels have shape {labels.shape}, but the network answers {predictions.shape}")
    if labels.ndim == 1:
        return (predictions == labels).astype(float)
    scale = scale or steps_with_label(labels)
    right: Array = ((predictions == labels) & (labels >= 0)).sum(axis=1) / scale
    return right


def check_labels(where: str, labels: Array, classes: int) -> None:
    """Raise :class:`InputError` where labels, (N,) or (N, T) with -1 for none, are no class of a network with so many."""
    least = 0 if labels.ndim == 1 else -1
    if labels.size and (labels.min() < least or labels.max() >= classes):
        none = "" if least == 0 else ", and -1 is a step without one"
        raise InputError(
            f"{where}: y spans {labels.min()}..{labels.max()}; the network has classes 0..{classes - 1}{none}: number them so"
        )


def steps_with_label(labels: Array | None) -> float | None:
    """Mean number of steps of a sample that have a label, of labels (N, T). Raises :class:`InputError` where none has."""
    if labels is None or labels.ndim == 1:
        return None
    if not (labels >= 0).any():
        raise InputError("no step of the data has a label, so there is no accuracy")
    return float((labels >= 0).sum() / len(labels))


def paired(
    floats: Array, integers: Array, labels: Array, scale: float | None, population: int | None = None
) -> Sampled:
    """Float minus integer correctness (:func:`correct`) of each sample, drawn from ``population``."""
    most = 1.0 if scale is None else float((labels >= 0).sum(axis=1).max()) / scale
    return Sampled(correct(floats, labels, scale) - correct(integers, labels, scale), -most, most, population)


def correctness(predictions: Array, labels: Array, scale: float | None, population: int | None = None) -> Sampled:
    """:func:`correct` of each sample, drawn from ``population``."""
    most = 1.0 if scale is None else float((labels >= 0).sum(axis=1).max()) / scale
    return Sampled(correct(predictions, labels, scale), 0.0, most, population)


def counted(flags: Array) -> tuple[int, ...]:
    """How many are set of each sample (N, …)."""
    return tuple(flags.reshape(len(flags), -1).sum(axis=1).tolist())


def accuracy_of(predictions: Array, labels: Array | None) -> float | None:
    """Share of right classes on the first samples of ``labels``; None without labels."""
    return None if labels is None else float(correct(predictions, labels[: len(predictions)]).mean())
