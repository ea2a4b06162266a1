"""How far costs on some samples may lie from those on all: the samples in blocks, each priced by itself.

What an inference costs on average is a function of mean counts, most of it linear, so that it varies as the means over blocks
of samples do::

    half width = t(B − 1, 1 − error) · s / √B · √(1 − n/N)

s is the standard deviation of the costs of B blocks of equal size, t the quantile of Student's distribution, and the last factor
stands where n samples were drawn from N. It is an approximation, for one look: costs have no bound that a bet could use
(:mod:`snncc.evidence`). Every block is priced on the one placement that all samples together ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from snncc.energy.account import Estimate
from snncc.energy.costs import CostSet
from snncc.evidence import Errors
from snncc.feed import Inputs, sample_count, take
from snncc.profile import BATCH, Chip, Measured, Profile, measure, profile
from snncc.program.activity import add_activities
from snncc.program.counts import add_counts
from snncc.program.program import Program
from snncc.target import RunOptions, Target

BLOCKS = 20
"""At least, where there are as many samples. More would hardly narrow the interval: t(19) is 7 % above the normal quantile."""


@dataclass(frozen=True, eq=False)
class Spread:
    """Costs of blocks of the samples seen. ``remaining``: the share of the population that was not seen; 1 where it has no end,
    0 where nothing is left to chance."""

    blocks: Sequence[Profile] = ()
    remaining: float = 0.0

    def widened(self, estimates: Sequence[Estimate], low: float, high: float, errors: Errors) -> tuple[float, float]:
        """(low, high) of an envelope on the samples seen, widened by what others may cost: ``estimates`` are those of the
        blocks. Infinite where there are too few to tell."""
        if not self.remaining:
            return low, high
        if len(estimates) < 2:
            return 0.0, float("inf")
        below = self._half_width([e.low for e in estimates], errors.alpha)
        above = self._half_width([e.high for e in estimates], errors.beta)
        return max(0.0, low - below), high + above

    def _half_width(self, costs: list[float], error: float) -> float:
        from scipy.special import stdtrit

        spread = float(np.std(costs, ddof=1)) * (self.remaining / len(costs)) ** 0.5
        return float(stdtrit(len(costs) - 1, 1 - error)) * spread


def priced_in_blocks(
    program: Program, engine: Target, inputs: Inputs, costs: CostSet, chip: Chip | None, options: RunOptions
) -> tuple[Profile, list[Profile]]:
    """(all samples, blocks of them), placed on ``chip`` as all ask for, and priced."""
    samples = sample_count(inputs, program.source)
    how = replace(options, progress=None, part=None)
    edges = np.linspace(0, samples, min(samples, max(BLOCKS, -(-samples // BATCH))) + 1).astype(int).tolist()
    parts = [
        measure(program, engine, take(inputs, program.source, start, stop), how, neurons=chip is not None)
        for start, stop in pairwise(edges)
    ]
    whole = profile(together(parts), costs, chip, draws=1)
    return whole, [profile(m, costs, chip, draws=1, placer=lambda *_: (whole.placement, [])) for m in parts]


def together(parts: Sequence[Measured]) -> Measured:
    """One run of what several runs of the same Program did."""
    activities = [m.activity for m in parts if m.activity is not None]
    return Measured(
        parts[0].program,
        add_counts([m.counts for m in parts]),
        sum(m.samples for m in parts),
        sum(m.source_events for m in parts),
        np.concatenate([m.predictions for m in parts]),
        add_activities(activities) if activities else None,
    )
