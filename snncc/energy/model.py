"""Exact event counts times published costs: operations (S0) and core dynamic energy (S1), per layer and in total.

Energies are joules an inference, as an interval. A term whose cost the set does not hold, or whose events nobody counted,
is None and named, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from snncc.energy.costs import ZERO, CostSet, Interval
from snncc.energy.scopes import EVENTS, SCOPES, SYNAPTIC_EVENTS, TERMS, Scope, Term
from snncc.errors import InputError
from snncc.program.counts import StepCounts
from snncc.program.program import Population, Program

Number = int | float

UNPLACED = "neurons are not placed on cores yet: a spike counts as one axon message to each population it reaches"


@dataclass(frozen=True)
class TermEnergy:
    """One product of the model. ``energy`` is in joules an inference; None says ``missing``: why there is none."""

    term: Term
    energy: Interval | None
    missing: str = ""


@dataclass(frozen=True)
class Priced:
    """Events and what they cost.

    Attributes:
        name: layer, or "total".
        neurons: how many.
        counts: event to how often, summed over all samples and steps; what is not in it was not counted.
        samples: inferences the counts are summed over.
        terms: in the order of :data:`snncc.energy.scopes.TERMS`.
    """

    name: str
    neurons: int
    counts: Mapping[str, Number]
    samples: int
    terms: tuple[TermEnergy, ...]

    @property
    def per_inference(self) -> dict[str, float]:
        """Events an inference, on average."""
        return {event: count / self.samples for event, count in self.counts.items()}

    @property
    def energy(self) -> Interval:
        """Core dynamic energy (S1), joules an inference: the sum of the terms that are modelled."""
        return sum((t.energy for t in self.terms if t.energy is not None), ZERO)

    @property
    def synaptic_operations(self) -> Number:
        """Synaptic operations on the chip in all formats, summed over samples."""
        return sum(self.counts.get(event, 0) for event in SYNAPTIC_EVENTS)


@dataclass(frozen=True)
class EnergyReport:
    """What a run costs.

    Attributes:
        program: its name. costs: the set that priced it. samples: inferences.
        layers: one per population, in order. total: their sum.
        scopes: S0 to S5; those with ``missing`` hold no figure yet.
        not_modelled: event to reason, for events that happened (or were not counted) and have no energy.
        notes: what a reader must know to believe the figures.
    """

    program: str
    costs: CostSet
    samples: int
    layers: tuple[Priced, ...]
    total: Priced
    scopes: tuple[Scope, ...]
    not_modelled: Mapping[str, str]
    notes: tuple[str, ...]


def price(
    program: Program,
    counts: Mapping[str, StepCounts],
    samples: int,
    costs: CostSet,
    source_events: int | None = None,
) -> EnergyReport:
    """Price a run of ``program``: ``counts`` are its events by population, summed over ``samples`` inferences.

    ``source_events``: non-zero values of the input data over all samples and steps, for a source that is not static; None
    leaves the messages from the host uncounted and says so. Raises :class:`InputError` where the counts are not this
    program's or not of that many samples.
    """
    _check_samples(program.name, samples)
    for population in program.populations:
        _check_counts(program, population, counts, samples)
    layers = tuple(
        price_counts(_layer_counts(program, p.name, counts, source_events), costs, samples, p.name, p.size)
        for p in program.populations
    )
    summed = {event: sum(layer.counts[event] for layer in layers) for event in EVENTS}
    total = price_counts(summed, costs, samples, "total", sum(p.size for p in program.populations))
    missing = _not_modelled(total)
    if program.source.encoding != "static" and source_events is None:
        missing["axons_in"] = f"messages from the host ({program.source.name}) were not counted"
    return EnergyReport(program.name, costs, samples, layers, total, SCOPES, missing, _notes(total))


def price_counts(
    counts: Mapping[str, Number], costs: CostSet, samples: int = 1, name: str = "counts", neurons: int = 0
) -> Priced:
    """Price plain counts (event of :data:`EVENTS` to how often, summed over ``samples``) without any program.

    An event that is not in ``counts`` was not counted: its term has no energy. Raises :class:`InputError`.
    """
    _check_samples(name, samples)
    for event, count in counts.items():
        if event not in EVENTS:
            raise InputError(f"{name}: the event {event!r} is unknown; known are {', '.join(EVENTS)}")
        if isinstance(count, bool) or not isinstance(count, int | float) or not 0 <= count < math.inf:
            raise InputError(f"{name}: {event} is {count!r}; a count is a finite number, 0 or more")
    return Priced(name, neurons, dict(counts), samples, tuple(_price_term(t, counts, costs, samples) for t in TERMS))


def _price_term(term: Term, counts: Mapping[str, Number], costs: CostSet, samples: int) -> TermEnergy:
    if term.event not in counts:
        return TermEnergy(term, None, "not counted")
    if term.cost not in costs.energy:
        return TermEnergy(term, None, f"{costs.name} holds no published cost for {term.cost}")
    return TermEnergy(term, costs.energy[term.cost].joules.times(counts[term.event] / samples))


def _layer_counts(
    program: Program, name: str, counts: Mapping[str, StepCounts], source_events: int | None
) -> dict[str, Number]:
    """Events of one population over all steps and samples, with every event of :data:`EVENTS`."""
    own = counts[name]
    result: dict[str, Number] = dict.fromkeys(EVENTS, 0)
    result |= {"updates": _total(own.updates), "active": _total(own.active), "spikes": _total(own.spikes)}
    for projection in program.incoming(name):
        event = "host_operations" if program.is_static(projection) else f"synaptic_{projection.kind}"
        result[event] += _total(own.synaptic_operations[projection.name])
    source = program.source.name
    for origin in _unique(p.source for p in program.incoming(name)):
        if origin != source:
            result["axons_in"] += _total(counts[origin].spikes)
        elif program.source.encoding != "static":
            result["axons_in"] += source_events or 0
    reached = _unique(p.target for p in program.projections if p.source == name)
    result["axons_out"] = result["spikes"] * len(reached)
    return result


def _check_counts(program: Program, population: Population, counts: Mapping[str, StepCounts], samples: int) -> None:
    name = population.name
    if name not in counts:
        raise InputError(f"{name}: the counts say nothing of it; they cover {', '.join(counts) or 'nothing'}")
    updates, expected = _total(counts[name].updates), population.size * program.time_steps * samples
    if updates != expected:
        raise InputError(
            f"{name}: the counts hold {updates:,} neuron updates; {population.size:,} neurons × {program.time_steps} steps × "
            f"{samples:,} samples make {expected:,}; give the number of samples the counts were summed over"
        )
    for projection in program.incoming(name):
        if projection.name not in counts[name].synaptic_operations:
            raise InputError(f"{projection.name}: the counts of {name} hold no synaptic operations for it")


def _not_modelled(total: Priced) -> dict[str, str]:
    return {t.term.event: t.missing for t in total.terms if t.energy is None and total.counts.get(t.term.event) != 0}


def _notes(total: Priced) -> tuple[str, ...]:
    on_host = total.per_inference["host_operations"]
    if not on_host:
        return (UNPLACED,)
    return (
        UNPLACED,
        f"the static input's {on_host:,.0f} multiply-accumulates an inference run once on the host and reach the chip as a "
        "current (S4): they are no synaptic operations",
    )


def _check_samples(name: str, samples: int) -> None:
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise InputError(f"{name}: samples is {samples!r}; counts come from a whole number of inferences, 1 or more")


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _total(values: np.ndarray) -> int:
    return int(np.asarray(values).sum())
