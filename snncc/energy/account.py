"""What a run costs in all scopes, with its latency and uncertainty, from plain counts (:class:`snncc.energy.counted.Counted`).

The formulas are in :mod:`snncc.energy.scopes` and :mod:`snncc.energy.latency`. Energies are joules an inference. What has no
published cost or was not counted is named with the reason and never zero; what was counted and never happened is zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snncc.energy.costs import CostSet, Interval
from snncc.energy.counted import Counted
from snncc.energy.latency import Columns, Times, times
from snncc.energy.scopes import PLACED_TERMS, SCOPES, STATIC_TERMS, TERMS, StaticTerm, Term
from snncc.energy.uncertainty import DRAWS, draws, ends, parameters, swings
from snncc.errors import InputError

MAX_DRAWS = 100_000
HEADLINE = "S3"
EDP = f"{HEADLINE} energy of an inference × its latency (J·s)"


@dataclass(frozen=True)
class Estimate:
    """An envelope (every parameter at its low, typical, high value) and percentiles over draws of the parameters."""

    low: float
    typ: float
    high: float
    p5: float
    p50: float
    p95: float


@dataclass(frozen=True)
class AccountTerm:
    """One product of the model.

    Attributes:
        name: event, or name of the static term. scope: where it belongs. cost: "section.name" of its parameter.
        count: events an inference, or number of cores, chips or boards; None if unknown.
        energy: joules an inference; None says ``missing``: why there is none.
        share: of the typical energy of all terms that are modelled.
    """

    name: str
    scope: str
    cost: str
    count: float | None
    energy: Interval | None
    missing: str
    share: float


@dataclass(frozen=True)
class AccountScope:
    """Energy up to and with a scope. ``energy`` is None where no term of its own is modelled, and ``missing`` says why.

    ``leaves_out``: terms of this scope and of those before it that are not modelled.
    """

    key: str
    title: str
    energy: Estimate | None
    leaves_out: tuple[str, ...]
    missing: str


@dataclass(frozen=True)
class Account:
    """What a run costs.

    Attributes:
        run, costs: what was priced with what. terms, scopes: in the model's order; S0 has counts alone.
        latency: seconds of an inference. step: mean seconds of a step; both None where they are not modelled.
        latency_missing: what the latency leaves out, or "latency" to why there is none.
        energy_delay: :data:`EDP`. swings: parameter to its share of the headline's interval, one at a time, the largest first.
        number, seed: of the draws.
    """

    run: Counted
    costs: CostSet
    terms: tuple[AccountTerm, ...]
    scopes: tuple[AccountScope, ...]
    latency: Estimate | None
    step: Estimate | None
    latency_missing: Mapping[str, str]
    energy_delay: Estimate | None
    swings: Mapping[str, float]
    number: int
    seed: int

    @property
    def headline(self) -> Estimate | None:
        """Energy with static power (S3)."""
        return next(s.energy for s in self.scopes if s.key == HEADLINE)

    @property
    def not_modelled(self) -> dict[str, str]:
        """Term to the reason."""
        return {t.name: t.missing for t in self.terms if t.energy is None}


Energies = dict[str, np.ndarray]
"""Term to joules an inference, a value a column."""


def account(run: Counted, costs: CostSet, number: int = DRAWS, seed: int = 0) -> Account:
    """Price ``run``: an envelope, and percentiles over ``number`` draws of the parameters. Raises :class:`InputError`."""
    if not 1 <= number <= MAX_DRAWS:
        raise InputError(f"{number} draws; give 1 to {MAX_DRAWS:,}")
    values = parameters(costs, run.tiles)
    envelope, drawn = ends(values), draws(values, number, seed)
    took, took_drawn = times(run, envelope), times(run, drawn)
    energies, missing = _energies(run, costs, envelope, took)
    energies_drawn, _ = _energies(run, costs, drawn, took_drawn)
    whole = sum(float(e[1]) for e in energies.values())
    terms = tuple(
        AccountTerm(
            term_name(t),
            t.scope,
            _parameter(t),
            _count(run, t),
            _interval(energies.get(term_name(t))),
            missing.get(term_name(t), ""),
            float(energies[term_name(t)][1]) / whole if whole and term_name(t) in energies else 0.0,
        )
        for t in ALL_TERMS
    )
    scopes = tuple(_scope(s.key, s.title, terms, energies, energies_drawn) for s in SCOPES)
    headline = next(s for s in scopes if s.key == HEADLINE)
    latency = step = energy_delay = None
    if isinstance(took, Times) and isinstance(took_drawn, Times):
        latency = _estimate(took.inference, took_drawn.inference)
        if took.steps is not None and took_drawn.steps is not None:
            step = _estimate(took.steps, took_drawn.steps)
        if headline.energy is not None:
            joules, joules_drawn = (_up_to(HEADLINE, e) for e in (energies, energies_drawn))
            energy_delay = _estimate(joules * took.inference, joules_drawn * took_drawn.inference)
    left_out = took.missing if isinstance(took, Times) else {"latency": took}
    shares = _swings(run, costs, values)
    return Account(run, costs, terms, scopes, latency, step, left_out, energy_delay, shares, number, seed)


def core_dynamic(run: Counted, costs: CostSet) -> dict[str, Interval]:
    """Event to its core dynamic energy (S1), joules an inference; what is not modelled is not there. Their sum is S1."""
    values = parameters(costs, run.tiles)
    events = {t.event for t in TERMS}
    energies, _ = _energies(run, costs, ends(values), NO_TIME)
    return {name: Interval(*map(float, e)) for name, e in energies.items() if name in events}


NO_TIME = "not asked for"
ALL_TERMS: tuple[Term | StaticTerm, ...] = tuple(
    sorted((*TERMS, *PLACED_TERMS, *STATIC_TERMS), key=lambda t: t.scope)  # stable: the order within a scope stays
)


def term_name(term: Term | StaticTerm) -> str:
    """What the report calls a term."""
    return term.name if isinstance(term, StaticTerm) else term.event


def _parameter(term: Term | StaticTerm) -> str:
    return f"power.{term.cost}" if isinstance(term, StaticTerm) else f"energy.{term.cost}"


def _count(run: Counted, term: Term | StaticTerm) -> float | None:
    if isinstance(term, StaticTerm):
        return run.number(term.number)
    count = run.count(term.event)
    return None if count is None else count / run.samples


def _energies(run: Counted, costs: CostSet, columns: Columns, took: Times | str) -> tuple[Energies, dict[str, str]]:
    """Joules an inference of each term that is modelled, and of each that is not, why."""
    energies: Energies = {}
    missing: dict[str, str] = {}
    for term in ALL_TERMS:
        name, parameter, count = term_name(term), _parameter(term), _count(run, term)
        cost = columns.get(parameter)
        static = isinstance(term, StaticTerm)
        if count is None:
            missing[name] = (
                f"the number of {term.number} is not given" if isinstance(term, StaticTerm) else _uncounted(name)
            )
        elif count == 0:
            energies[name] = np.zeros(columns["serial"].shape)
        elif cost is None:
            missing[name] = f"{costs.name} holds no published figure for {parameter}"
        elif not static:
            energies[name] = count * cost
        elif isinstance(took, str):
            missing[name] = f"the time of an inference is unknown: {took}"
        else:
            energies[name] = count * cost * took.inference
    return energies, missing


def _uncounted(name: str) -> str:
    follow = {"core_steps": "the numbers of cores and steps are not given", "steps": "the number of steps is not given"}
    return follow.get(name, "not counted")


def _up_to(key: str, energies: Energies) -> np.ndarray:
    """Sum of the modelled terms of all scopes up to ``key``."""
    names = [term_name(t) for t in ALL_TERMS if t.scope <= key and term_name(t) in energies]
    nothing = np.zeros_like(next(iter(energies.values())))
    return sum((energies[name] for name in names), nothing)


def _scope(key: str, title: str, terms: tuple[AccountTerm, ...], energies: Energies, drawn: Energies) -> AccountScope:
    if key == "S0":
        return AccountScope(key, title, None, (), "")
    own = [t for t in terms if t.scope == key]
    without = tuple(t.name for t in terms if t.scope <= key and t.energy is None)
    if not any(t.energy is not None and (t.count or 0) > 0 for t in own) and any(t.energy is None for t in own):
        reasons = grouped({t.name: t.missing for t in own if t.energy is None})
        return AccountScope(key, title, None, without, "; ".join(f"{names}: {why}" for why, names in reasons.items()))
    return AccountScope(key, title, _estimate(_up_to(key, energies), _up_to(key, drawn)), without, "")


def grouped(reasons: Mapping[str, str]) -> dict[str, str]:
    """Reason to the names it holds for, with commas."""
    return {why: ", ".join(n for n, w in reasons.items() if w == why) for why in dict.fromkeys(reasons.values())}


def _swings(run: Counted, costs: CostSet, values: dict[str, Interval]) -> dict[str, float]:
    """Each parameter's share of the headline's interval: high less low, one parameter at a time, the others typical."""
    columns = swings(values)
    energies, _ = _energies(run, costs, columns, times(run, columns))
    if not energies:
        return {}
    total = _up_to(HEADLINE, energies)
    widths = dict(zip(values, (total[1::2] - total[0::2]).tolist(), strict=True))
    whole = sum(widths.values())
    return {n: w / whole for n, w in sorted(widths.items(), key=lambda item: -item[1]) if whole and w / whole > 1e-9}


def _estimate(envelope: np.ndarray, drawn: np.ndarray) -> Estimate:
    return Estimate(*map(float, envelope), *map(float, np.percentile(drawn, (5, 50, 95))))


def _interval(columns: np.ndarray | None) -> Interval | None:
    return None if columns is None else Interval(*map(float, columns))
