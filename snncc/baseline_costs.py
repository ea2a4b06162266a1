"""Does an inference cost more than it did: energy, latency and cores against what an earlier verification wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from snncc.baseline import ANEW
from snncc.cost_gates import CostLimits, costs_and_chip, priced
from snncc.errors import InputError
from snncc.evidence import FAILED, MET
from snncc.feed import Inputs, sample_count
from snncc.gates import Gate, figure
from snncc.program.program import Program
from snncc.sampling import Sampling, sampled
from snncc.target import RunOptions, Target

VERSION = 1
"""Of the entry "costs"; other versions are refused."""
SAMPLES = 1000
"""That are priced for a baseline, at most: the first that are verified. A mean over so many is steady."""
MAX_COUNT = 1 << 40
TOLERANCE = 2.0
"""Percent by which energy and latency may rise by default."""


@dataclass(frozen=True)
class Costs:
    """What an inference costs, typical, on average over ``samples``.

    Attributes:
        prices, chip: the cost set and the chip with their hashes; ``chip`` is empty where nobody described one.
        energy_uj: microjoules by scope, of those that are modelled. latency_ms: milliseconds, or None. cores: or None where it
            fits no chip.
    """

    prices: str
    chip: str
    samples: int
    energy_uj: Mapping[str, float]
    latency_ms: float | None
    cores: int | None


def measured_costs(
    program: Program,
    engine: Target,
    inputs: Inputs,
    limits: CostLimits,
    options: RunOptions,
    sampling: Sampling,
    samples: int,
) -> Costs:
    """Of the first ``samples`` of ``sampling``. Raises :class:`InputError` on unknown costs or chips."""
    chosen = sampled(inputs, program.source, sampling, samples)
    found = priced(program, engine, chosen, limits, options)
    account = found.account
    return Costs(
        *prices_of(limits),
        sample_count(chosen, program.source),
        {s.key: 1e6 * s.energy.typ for s in account.scopes if s.energy is not None},
        None if account.latency is None else 1e3 * account.latency.typ,
        found.total.cores,
    )


def cost_facts(costs: Costs) -> dict[str, Any]:
    """The entry "costs" of a verification."""
    return {"version": VERSION, **asdict(costs)}


def read_costs(file: str, entry: Any) -> Costs | None:
    """From that entry; None where a baseline has none. Raises :class:`InputError` where it is damaged or of another version."""
    if entry is None:
        return None
    if isinstance(entry, dict) and entry.get("version") != VERSION:
        raise InputError(f"{file}: its costs have version {entry.get('version')!r}, this snncc reads {VERSION}; {ANEW}")
    try:
        latency, cores = entry["latency_ms"], entry["cores"]
        return Costs(
            str(entry["prices"]),
            str(entry["chip"]),
            _count("samples", entry["samples"]),
            {str(key): _amount(f"energy_uj {key}", value) for key, value in entry["energy_uj"].items()},
            None if latency is None else _amount("latency_ms", latency),
            None if cores is None else _count("cores", cores),
        )
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{file}: its costs are damaged ({type(error).__name__}: {error}); {ANEW}") from error


def _count(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_COUNT:
        raise ValueError(f"{name} is {str(value)[:40]}; a whole number in 1..{MAX_COUNT:,} is needed")
    return value


def _amount(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= float(value) < inf:
        raise ValueError(f"{name} is {str(value)[:40]}; a finite number from 0 on is needed")
    return float(value)


def prices_of(limits: CostLimits) -> tuple[str, str]:
    """(cost set, chip or "") that ``limits`` name, with their hashes. Raises :class:`InputError` on unknown ones."""
    costs, chip = costs_and_chip(limits)
    return f"{costs.name} {costs.sha256[:12]}", "" if chip is None else f"{chip.name} {chip.sha256[:12]}"


def check_same_prices(file: str, before: Costs, prices: str, chip: str) -> None:
    """Raises :class:`InputError` where ``before`` was not priced with these (:func:`prices_of`)."""
    for what, old, new, option in (
        ("costs", before.prices, prices, "--costs"),
        ("chip", before.chip, chip, "--chip"),
    ):
        if old != new:
            raise InputError(
                f"{file}: was priced with the {what} {old or 'none'}, now with {new or 'none'}; give the baseline's own "
                f"{option}, or {ANEW}"
            )


def check_same_number(file: str, before: Costs, samples: int) -> None:
    """Raises :class:`InputError` where ``before`` is a mean over more samples than the ``samples`` at hand: means over other
    samples differ by themselves."""
    if before.samples > samples:
        raise InputError(
            f"{file}: its energy and latency are means over its first {before.samples:,} samples, and this run has {samples:,}; "
            f"look at {before.samples:,} or more (--limit, --samples), or, for runs of {samples:,}, {ANEW}"
        )


def cost_regressions(before: Costs, now: Costs, scope: str, tolerance: float) -> list[Gate]:
    """A gate each for energy (in ``scope``, or the widest below it that both have), latency and cores, of what both have; another
    where the network has outgrown the chip.

    Energy and latency fail where they rose by more than ``tolerance`` percent, cores where there is one more. Both runs see the
    same prices, so how sure those are does not matter.
    """
    gates = []
    if before.cores is not None and now.cores is None:
        remark = f"it fits {now.chip.partition(' ')[0]} no longer; snncc place says what does not"
        gates.append(Gate("on the chip, as in the baseline", 0, 1, FAILED, at_least=True, remark=remark))
    common = [key for key in sorted(before.energy_uj) if key <= scope and key in now.energy_uj]
    if common:
        key = common[-1]
        gates.append(_rise(f"energy ({key})", "µJ", before.energy_uj[key], now.energy_uj[key], tolerance))
    if before.latency_ms is not None and now.latency_ms is not None:
        gates.append(_rise("latency", "ms", before.latency_ms, now.latency_ms, tolerance))
    if before.cores is not None and now.cores is not None:
        outcome = MET if now.cores <= before.cores else FAILED
        gates.append(Gate("cores, against the baseline", now.cores, before.cores, outcome))
    return gates


def _rise(name: str, unit: str, old: float, new: float, tolerance: float) -> Gate:
    rise = 100 * (new - old) / old if old else 100.0 * (new > 0)
    remark = f"{figure(old)} {unit} before, {figure(new)} {unit} now"
    outcome = MET if rise <= tolerance else FAILED
    return Gate(f"rise of {name} since the baseline", rise, tolerance, outcome, "%", remark=remark)
