"""Parameters of a cost set as numbers: their ends, and draws of them.

A draw of parameter p is the u-quantile of the **triangular** distribution with p's low, typ and high as its ends and mode, so no
draw leaves the envelope. The u are uniform and correlated, as one factor z of the target moves all its parameters together
(a Gaussian copula of one factor)::

    u_p = Φ(√ρ·z + √(1 − ρ)·z_p)        z, z_p standard normal, ρ = 0.5

Whether phases overlap (``serial``) is no cost of the target and is drawn independently. ρ is an assumption: figures of one set
share process, voltage and method, and nobody publishes how strongly.
"""

from __future__ import annotations

import math

import numpy as np

from snncc.energy.costs import CostSet, Interval
from snncc.energy.digital import on_curve

CORRELATION = 0.5
DRAWS = 2000
SERIAL = Interval(0.0, 0.0, 1.0)
"""Typical and low: what can overlap does; high: nothing does."""


def parameters(costs: CostSet, tiles: int | None) -> dict[str, Interval]:
    """Every parameter of the model in J, s and W, by "section.name", and ``serial``; the barrier is that of ``tiles``."""
    result = {
        f"{section}.{name}": cost.si
        for section, entries in costs.sections().items()
        if section != "discrepancy"
        for name, cost in entries.items()
    }
    points = costs.curves.get("synchronisation")
    barrier = on_curve(points, tiles) if points and tiles is not None else None
    if barrier is not None:
        result["curve.synchronisation"] = barrier
    return {**dict(sorted(result.items())), "serial": SERIAL}


def ends(values: dict[str, Interval]) -> dict[str, np.ndarray]:
    """Columns low, typ and high of every parameter at once: the envelope, since the model rises in each of them."""
    return {name: np.array([v.low, v.typ, v.high]) for name, v in values.items()}


def swings(values: dict[str, Interval]) -> dict[str, np.ndarray]:
    """Columns 2i and 2i + 1: parameter i at its low and at its high end, all others typical."""
    result = {}
    for i, (name, v) in enumerate(values.items()):
        column = np.full(2 * len(values), v.typ)
        column[2 * i], column[2 * i + 1] = v.low, v.high
        result[name] = column
    return result


def draws(values: dict[str, Interval], number: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """``number`` draws of every parameter; the same seed gives the same draws."""
    from scipy.special import ndtr

    rng = np.random.default_rng(seed)
    common = rng.standard_normal(number)
    result = {}
    for name, v in values.items():
        own = rng.standard_normal(number)
        shared = 0.0 if name == "serial" else CORRELATION
        result[name] = triangular(v, ndtr(math.sqrt(shared) * common + math.sqrt(1 - shared) * own))
    return result


def triangular(v: Interval, u: np.ndarray) -> np.ndarray:
    """The u-quantiles of the triangular distribution over [low, high] with its mode at typ."""
    width = v.high - v.low
    if width == 0:
        return np.full(u.shape, v.typ)
    below = v.low + np.sqrt(u * width * (v.typ - v.low))
    above = v.high - np.sqrt((1 - u) * width * (v.high - v.typ))
    return np.where(u * width < v.typ - v.low, below, above)
