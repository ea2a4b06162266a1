"""Cut layers over more cores than they need, where that makes an inference faster.

The fewest cores that hold a network are seldom the quickest: on a chip with large cores one of them then does most of the work of
every step while others stand idle. Here a layer gets cores in proportion to its work:

1. The work of a layer is the longer of its neuron and its synapse phase at typical times, over all steps, on the fewest cores
   (:mod:`snncc.energy.latency`; messages left out, as each core of a layer hears nearly all of them however it is cut).
2. For a number of cores in all, the layers get the least time t such that Σ ceil(work / t) stays within it.
3. The numbers tried are twice, four times … as many cores as the fewest, up to all on the chips that those take. Of all these cuts,
   the fewest cores among them, the one with the shortest typical inference is kept, each placed, counted and timed in full.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snncc.chip.place import Placement
from snncc.chip.spec import Chip
from snncc.energy.account import account
from snncc.energy.costs import CostSet
from snncc.energy.latency import NEURON_PHASE, SYNAPSE_PHASE
from snncc.errors import InputError
from snncc.profile import Measured, Placer, on_fewest_cores, placed_run
from snncc.target import Finding

FEWEST, FASTEST = CUTS = ("fewest", "fastest")
MESSAGES = ("axons_in", "axons_out")
TRIES, LESS = 6, 0.9
"""How often fewer cores are asked for, and by how much, where a grid of boxes takes more than were asked for."""
_HALVINGS = 60


def fastest(costs: CostSet, period_seconds: float | None = None) -> Placer:
    """Places for the shortest typical inference at the times of ``costs``. Raises :class:`InputError` where it has none."""

    def placed(measured: Measured, chip: Chip) -> tuple[Placement | None, list[Finding]]:
        best, findings = on_fewest_cores(measured, chip)
        if best is None:
            return None, findings
        partition = best.partition
        shortest, work = _seconds(measured, best, costs, period_seconds), _work(measured, best, costs)
        names = [box.population for box in partition.cores]
        fewest = {p.name: names.count(p.name) for p in measured.program.populations}
        sizes = {p.name: p.size for p in measured.program.populations}
        for number in numbers(len(partition.cores), partition.chips * chip.cores):
            made = _on_about(measured, chip, number, partition.chips, work, fewest, sizes)
            if made is not None:
                took = _seconds(measured, made, costs, period_seconds)
                if took < shortest:
                    best, shortest = made, took
        return best, findings

    return placed


def numbers(fewest: int, all_cores: int) -> list[int]:
    """Of cores to try: doubled from the fewest on, and all."""
    made = []
    while fewest * 2 < all_cores:
        fewest *= 2
        made.append(fewest)
    return [*made, all_cores]


def shares(
    work: Mapping[str, float], fewest: Mapping[str, int], sizes: Mapping[str, int], number: int
) -> dict[str, int]:
    """Cores of each layer, ``number`` in all at most, never below the fewest nor above a core a neuron, such that the most work of
    a core is least."""
    low, high, best = 0.0, max(work.values()), dict(fewest)
    for _ in range(_HALVINGS):
        most = (low + high) / 2
        if most <= 0:
            break
        made = {n: min(sizes[n], max(fewest[n], int(np.ceil(w / most)))) for n, w in work.items()}
        if sum(made.values()) <= number:
            best, high = made, most
        else:
            low = most
    return best


def _on_about(
    measured: Measured,
    chip: Chip,
    number: int,
    chips: int,
    work: Mapping[str, float],
    fewest: Mapping[str, int],
    sizes: Mapping[str, int],
) -> Placement | None:
    """Cut over ``number`` cores or somewhat fewer, on no more than ``chips``; None where that does not fit."""
    for _ in range(TRIES):
        made, _ = on_fewest_cores(measured, chip, shares(work, fewest, sizes, number))
        if made is None or made.partition.chips <= chips:
            return made
        number = int(number * LESS)
    return None


def _seconds(measured: Measured, placement: Placement, costs: CostSet, period: float | None) -> float:
    """Of a typical inference."""
    assert measured.activity is not None
    _, _, run = placed_run(measured, placement, measured.activity, period)
    latency = account(run, costs, number=1).latency
    if latency is None:
        raise InputError(
            f"--cut {FASTEST}: {costs.name} holds no time of any event; take --cut {FEWEST}, or other costs"
        )
    return latency.typ


def _work(measured: Measured, placement: Placement, costs: CostSet) -> dict[str, float]:
    """Seconds of each population over all samples and steps, were it on one core."""
    assert measured.activity is not None
    by_layer, _, _ = placed_run(measured, placement, measured.activity, None)
    made = {}
    for name, counts in by_layer.items():
        phases = [
            sum(counts[event] * costs.time[cost].value.typ for event, cost in phase.items()
                if cost in costs.time and event not in MESSAGES)
            for phase in (NEURON_PHASE, SYNAPSE_PHASE)
        ]  # fmt: skip
        made[name] = max(phases)
    return made
