"""Which choices for each layer go together: those that no others beat in both cost and distortion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST = 2000
"""Assignments that are kept after each layer; below that the front is exact."""


@dataclass(frozen=True)
class Choice:
    """A layer at a width: what the network costs more than with the first width (less: negative), and how far it moves the
    network's answers from those with the first width."""

    cost: float
    distortion: float


@dataclass(frozen=True)
class Assignment:
    """A width for every layer, in their order, with the sums of costs and distortions."""

    bits: tuple[int, ...]
    cost: float
    distortion: float


def front(layers: Sequence[Mapping[int, Choice]], most: int = MOST) -> list[Assignment]:
    """Assignments by rising cost and falling distortion, none beaten by another: the multiple-choice knapsack for every size at
    once. Costs and distortions add up. With more than ``most`` of them, that range of cost is cut into so many equal parts
    and the best of each is kept."""
    found = [Assignment((), 0.0, 0.0)]
    for choices in layers:
        joined = [
            Assignment((*a.bits, bits), a.cost + c.cost, a.distortion + max(c.distortion, 0.0))
            for a in found
            for bits, c in choices.items()
        ]
        found = _thinned(_unbeaten(joined), most)
    return found


def _unbeaten(points: list[Assignment]) -> list[Assignment]:
    kept: list[Assignment] = []
    for point in sorted(points, key=lambda p: (p.cost, p.distortion, p.bits)):
        if not kept or point.distortion < kept[-1].distortion:
            kept.append(point)
    return kept


def _thinned(points: list[Assignment], most: int) -> list[Assignment]:
    if len(points) <= most:
        return points
    low, high = points[0].cost, points[-1].cost
    best: dict[int, Assignment] = {}
    for point in points:  # falling distortion: the last of each part is the best
        best[int((point.cost - low) / (high - low) * (most - 1))] = point
    return list(best.values())
