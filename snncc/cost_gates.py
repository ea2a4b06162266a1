"""Gates on what a deployment costs: energy and latency of an inference, as sure as the published costs are, and cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from snncc.errors import InputError
from snncc.evidence import FAILED, MET, UNDECIDED, Errors
from snncc.feed import Inputs, sample_count, take
from snncc.gates import LARGEST_LIMIT, Gate, check_range, figure
from snncc.program.program import Program
from snncc.sampling import Sampling, sampled
from snncc.target import RunOptions, Target

if TYPE_CHECKING:
    from snncc.chip.spec import Chip
    from snncc.cost_spread import Spread
    from snncc.energy.account import Estimate
    from snncc.energy.costs import CostSet
    from snncc.profile import Profile

ENERGY_SCOPES = ("S1", "S2", "S3", "S4", "S5")


@dataclass(frozen=True)
class CostLimits:
    """What an inference may cost; None asks nothing.

    Attributes:
        max_energy_uj: microjoules, in ``scope`` (docs/energy.md). max_latency_ms: milliseconds. max_cores: of the chip.
        costs: a cost set or a file of one; None: loihi1. chip: its name or file; None: the one that the costs are of.
    """

    max_energy_uj: float | None = None
    max_latency_ms: float | None = None
    max_cores: int | None = None
    scope: str = "S3"
    costs: str | None = None
    chip: str | None = None

    def __post_init__(self) -> None:
        check_range("--max-energy-uj", self.max_energy_uj, 0, LARGEST_LIMIT)
        check_range("--max-latency-ms", self.max_latency_ms, 0, LARGEST_LIMIT)
        check_range("--max-cores", self.max_cores, 1, LARGEST_LIMIT)
        if self.scope not in ENERGY_SCOPES:
            raise InputError(f"--energy-scope {self.scope}: give one of {', '.join(ENERGY_SCOPES)}")

    @property
    def any(self) -> bool:
        """Something is asked."""
        return any(x is not None for x in (self.max_energy_uj, self.max_latency_ms, self.max_cores))


def check_costs(program: Program, engine: Target, inputs: Inputs, limits: CostLimits) -> None:
    """Raises :class:`InputError`, after one sample instead of all, where the network does not fit the chip or what is asked is
    not modelled."""
    if limits.any:
        _gates(priced(program, engine, take(inputs, program.source, 0, 1), limits, RunOptions()), limits, Errors())


def cost_gates(
    program: Program,
    engine: Target,
    inputs: Inputs,
    limits: CostLimits,
    options: RunOptions,
    sampling: Sampling,
    samples: int,
    errors: Errors | None = None,
) -> list[Gate]:
    """Gates on the mean of the first ``samples`` of ``sampling``, run on ``engine``: an exact one of the whole population, else as
    sure as ``errors`` say. Raises as :func:`check_costs`."""
    from snncc.cost_spread import Spread, priced_in_blocks

    if not limits.any:
        return []
    inputs, errors = sampled(inputs, program.source, sampling, samples), errors or Errors()
    assert sample_count(inputs, program.source) == samples
    if sampling.population is not None and samples >= sampling.population:
        return _gates(priced(program, engine, inputs, limits, options), limits, errors)
    found, blocks = priced_in_blocks(program, engine, inputs, *costs_and_chip(limits), options)
    remaining = 1.0 if sampling.population is None else 1 - samples / sampling.population
    return _gates(found, limits, errors, Spread(blocks, remaining))


def costs_and_chip(limits: CostLimits) -> tuple[CostSet, Chip | None]:
    """That ``limits`` name, or what stands where they name none. Raises :class:`InputError` on unknown ones."""
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.profile import chip_of

    costs = load_costs(limits.costs or DEFAULT_COSTS)
    return costs, chip_of(costs, limits.chip)


def priced(program: Program, engine: Target, inputs: Inputs, limits: CostLimits, options: RunOptions) -> Profile:
    """A run on ``engine``, placed on the chip and priced as ``limits`` say."""
    from snncc.profile import measure, profile

    costs, chip = costs_and_chip(limits)
    measured = measure(program, engine, inputs, replace(options, progress=None, part=None), neurons=chip is not None)
    return profile(measured, costs, chip, draws=1)


def _gates(found: Profile, limits: CostLimits, errors: Errors, spread: Spread | None = None) -> list[Gate]:
    remark = f"costs {found.costs.name}, mean of {found.measured.samples:,} samples"
    gates = []
    if limits.max_energy_uj is not None:
        scope = next(s for s in found.account.scopes if s.key == limits.scope)
        if scope.energy is None:
            remedy = "take --energy-scope S1" if limits.scope != "S1" else "take other --costs"
            why = _why(found, scope.missing)
            raise InputError(f"--max-energy-uj: {scope.key} ({scope.title}) is not modelled: {why}; {remedy}")
        said = Modelled(f"energy ({scope.key})", "µJ", 1e6, limits.max_energy_uj, remark)
        gates.append(_modelled(said, lambda p: _energy(p, scope.key), found, errors, spread))
    if limits.max_latency_ms is not None:
        if found.account.latency is None:
            missing = "; ".join(dict.fromkeys(found.account.latency_missing.values())) or "no times are published"
            raise InputError(
                f"--max-latency-ms: is not modelled: {_why(found, missing)}; take other --costs or another --chip"
            )
        said = Modelled("latency", "ms", 1e3, limits.max_latency_ms, remark)
        gates.append(_modelled(said, lambda p: p.account.latency, found, errors, spread))
    if limits.max_cores is not None:
        cores = found.total.cores
        if cores is None:
            raise InputError(
                f"--max-cores: {_why(found, 'it is on no chip')}; take another --chip (snncc place --help)"
            )
        chip = found.chip.name if found.chip else ""
        gates.append(
            Gate("cores", cores, limits.max_cores, MET if cores <= limits.max_cores else FAILED, remark=f"of {chip}")
        )
    return gates


def _why(found: Profile, missing: str) -> str:
    """The reason, with the first thing that does not fit."""
    said = found.unplaced or missing
    return f"{said} ({found.findings[0]})" if found.findings else said


@dataclass(frozen=True)
class Modelled:
    """A gate on what is modelled: ``limit`` in ``unit``, of which ``factor`` make an SI unit."""

    name: str
    unit: str
    factor: float
    limit: float
    remark: str

    def outcome(self, low: float, high: float) -> str:
        """Met where even the highest cost keeps the limit, failed where the lowest does not."""
        return MET if high <= self.limit else FAILED if low > self.limit else UNDECIDED


def _energy(found: Profile, scope: str) -> Estimate | None:
    return next(s.energy for s in found.account.scopes if s.key == scope)


def _modelled(
    m: Modelled, of: Callable[[Profile], Estimate | None], found: Profile, errors: Errors, spread: Spread | None
) -> Gate:
    """As sure as the published costs are; and as the samples are, where others were not looked at."""
    e = of(found)
    assert e is not None
    ends = e.low, e.high
    if spread is not None:
        ends = spread.widened([x for x in map(of, spread.blocks) if x is not None], *ends, errors)
    low, high = (m.factor * x for x in ends)
    outcome, remark = m.outcome(low, high), m.remark
    if outcome == UNDECIDED and m.outcome(m.factor * e.low, m.factor * e.high) != UNDECIDED:
        remark += "; so few samples do not decide it: take more, or all"
    elif outcome == UNDECIDED:
        sure = f"a limit of {figure(high)} {m.unit} would be kept for sure; " if high < inf else ""
        remark += f"; they do not decide it: {sure}--costs of your own are narrower"
    return Gate(
        m.name, m.factor * e.typ, m.limit, outcome, m.unit, interval=(low, high) if high < inf else None, remark=remark
    )
