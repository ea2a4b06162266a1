"""What a Program costs on a chip: measured once on data, then placed, counted and priced for each chip and cost set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from snncc.chip.counts import EVENTS as CORE_EVENTS
from snncc.chip.counts import PlacedCounts, place_counts
from snncc.chip.partition import partition
from snncc.chip.place import Placement, place
from snncc.chip.spec import Chip, chips, load_chip
from snncc.energy.account import Account, account, core_dynamic
from snncc.energy.costs import ZERO, CostSet, Interval
from snncc.energy.counted import PER_CORE_EVENTS, Counted, Number
from snncc.energy.scopes import SYNAPTIC_EVENTS
from snncc.energy.uncertainty import DRAWS
from snncc.energy.unplaced import host_operations, unplaced_counts
from snncc.errors import InputError
from snncc.feed import Inputs, sample_count, take
from snncc.ir.fast import apply_fast, fast_is_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.linear import apply_node
from snncc.ir.nodes import Neuron
from snncc.program.activity import Activity, add_activities, measure_activity
from snncc.program.counts import StepCounts
from snncc.program.program import Population, Program
from snncc.program.reference import IntegerRecording, join
from snncc.target import Finding, RunOptions, Target

Array = np.ndarray
BATCH_VALUES = 1 << 25
"""Recorded spikes of a batch, all neurons and steps: 128 MiB as int32."""
BATCH = 250


Counts = dict[str, dict[str, Number]]
"""Population to its events."""


@dataclass(frozen=True, eq=False)
class Floats:
    """A run of the float network: its winning classes, (N,) or (N, T), and spikes an inference, of the layers that fire in the
    Program too."""

    predictions: Array
    spikes: float


@dataclass(frozen=True, eq=False)
class Measured:
    """A run of a Program on data.

    Attributes:
        counts: events by population and step, summed over ``samples`` inferences.
        source_events: non-zero input values over all samples and steps; 0 where the source is static.
        predictions: winning classes, (N,) or (N, T).
        activity: what each neuron did, where that was asked for: a placement needs it.
        floats: the same samples through the float network, where that was asked for.
    """

    program: Program
    counts: Mapping[str, StepCounts]
    samples: int
    source_events: int
    predictions: Array
    activity: Activity | None = None
    floats: Floats | None = None


@dataclass(frozen=True)
class Layer:
    """Events of a population, or of all.

    Attributes:
        cores: that hold it; None where it is on no chip.
        counts: event of :data:`snncc.energy.scopes.EVENTS` to how often, summed over ``samples`` and steps.
        energies: event to its core dynamic energy in joules an inference; what is not modelled is not there.
    """

    name: str
    neurons: int
    cores: int | None
    counts: Mapping[str, Number]
    energies: Mapping[str, Interval]
    samples: int

    @property
    def per_inference(self) -> dict[str, float]:
        """Events an inference, on average."""
        return {event: count / self.samples for event, count in self.counts.items()}

    @property
    def synaptic_operations(self) -> float:
        """Synaptic operations on the chip an inference, in all formats."""
        return sum(self.counts[event] for event in SYNAPTIC_EVENTS) / self.samples

    @property
    def energy(self) -> Interval:
        """Core dynamic energy (S1), joules an inference."""
        return sum(self.energies.values(), ZERO)


@dataclass(frozen=True, eq=False)
class Profile:
    """What a Program costs.

    Attributes:
        layers: one a population, in order. total: their sum.
        account: all scopes, latency and uncertainty.
        chip: what it was to be placed on; None where there is no description of one.
        placement: where it is; None says ``unplaced``: why not, and ``findings`` name everything that does not fit.
    """

    measured: Measured
    layers: tuple[Layer, ...]
    total: Layer
    account: Account
    chip: Chip | None
    placement: Placement | None
    unplaced: str
    findings: tuple[Finding, ...]

    @property
    def program(self) -> Program:
        """The Program."""
        return self.measured.program

    @property
    def costs(self) -> CostSet:
        """What priced it."""
        return self.account.costs


Placer = Callable[[Measured, Chip], tuple[Placement | None, list[Finding]]]
"""(where it is, or None; all findings) of what was measured, on a chip."""


def measure(
    program: Program,
    engine: Target,
    inputs: Inputs,
    options: RunOptions,
    neurons: bool = True,
    graph: Graph | None = None,
) -> Measured:
    """Run ``program`` on ``engine`` with all ``inputs``, a batch at a time.

    ``neurons``: follow each neuron, for a placement. ``graph``: the float network, to run beside it. ``options.part`` gets each
    batch's recording without its spikes. Raises :class:`InputError` where there are no samples.
    """
    samples = sample_count(inputs, program.source)
    if samples == 0:
        raise InputError("the data holds no samples")
    cells = program.time_steps * (sum(p.size for p in program.populations) + int(np.prod(program.source.shape)))
    size = max(1, min(BATCH, BATCH_VALUES // cells))
    how = replace(options, record=neurons, membranes=False, progress=None, part=None)
    activities: list[Activity] = []
    predicted: list[Array] = []
    light: list[IntegerRecording] = []
    source_events = fired = 0
    for start in range(0, samples, size):
        chunk = take(inputs, program.source, start, start + size)
        run = engine.run(program, None, chunk, how)
        source_events += 0 if program.source.encoding == "static" else int(np.count_nonzero(chunk))
        if neurons:
            activities.append(measure_activity(program, run.spikes, chunk, run.counts))
        if graph is not None:
            apply = apply_fast if fast_is_there(samples) else apply_node
            floats = run_graph(graph, chunk, np.float32, apply=apply)
            predicted.append(floats.predictions)
            fired += sum(
                int(np.count_nonzero(floats.spikes[p.name])) for p in program.populations if _fires_in(graph, p)
            )
        light.append(replace(run, spikes={}, membranes={}))
        if options.part is not None:
            options.part(light[-1])
        if options.progress is not None:
            options.progress(min(start + size, samples), samples)
    whole = join(program, light)
    activity = add_activities(activities) if neurons else None
    beside = None if graph is None else Floats(np.concatenate(predicted), fired / samples)
    return Measured(program, whole.counts, samples, source_events, whole.predictions, activity, beside)


def _fires_in(graph: Graph, population: Population) -> bool:
    return population.fires and isinstance(graph.nodes.get(population.name), Neuron)


def chip_of(costs: CostSet, name: str | None = None) -> Chip | None:
    """The chip of that name or file; without one, the chip that the costs are of, None where nobody described it."""
    if name is not None:
        return load_chip(name)
    return load_chip(costs.chip) if costs.chip in chips() else None


def profile(
    measured: Measured,
    costs: CostSet,
    chip: Chip | None,
    period_seconds: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    placer: Placer | None = None,
) -> Profile:
    """Place what was measured on ``chip``, as its spikes ask for, and price it there.

    ``placer`` decides how, :func:`on_fewest_cores` if None. Where it does not fit, or there is no chip, each population counts as a
    core of its own, and what needs a placement is not modelled. ``period_seconds``: shortest time of a step, where the chip is
    clocked by one. Raises :class:`InputError`.
    """
    program = measured.program
    placement, findings = (None, []) if chip is None else (placer or on_fewest_cores)(measured, chip)
    if placement is None or measured.activity is None:
        by_layer = unplaced_counts(program, measured.counts, measured.samples, measured.source_events)
        cores: dict[str, int] | None = None
        run = _counted(measured, by_layer, {}, period_seconds)
    else:
        by_layer, cores, run = placed_run(measured, placement, measured.activity, period_seconds)
    layers = tuple(
        _layer(
            program, p.name, p.size, None if cores is None else cores[p.name], by_layer[p.name], measured.samples, costs
        )
        for p in program.populations
    )
    neurons = sum(p.size for p in program.populations)
    everything = _layer(
        program,
        "total",
        neurons,
        None if cores is None else sum(cores.values()),
        _sum(by_layer),
        measured.samples,
        costs,
    )
    why = ""
    if chip is None:
        why = f"nobody described the chip {costs.chip}; --chip NAME|FILE gives one"
    elif placement is None:
        why = f"the network does not fit {chip.name}"
    return Profile(
        measured, layers, everything, account(run, costs, draws, seed), chip, placement, why, tuple(findings)
    )


def on_fewest_cores(
    measured: Measured, chip: Chip, least: Mapping[str, int] | None = None
) -> tuple[Placement | None, list[Finding]]:
    """(where it is, or None where something does not fit; all findings), on the fewest cores, or as many a layer as ``least`` says.
    Raises :class:`InputError` where neurons were not followed."""
    cut, findings = partition(measured.program, chip, least)
    if cut is None:
        return None, findings
    if measured.activity is None:
        raise InputError(
            f"{measured.program.name}: its neurons were not followed; measure(…, neurons=True) does for a placement"
        )
    spikes = {p.name: measured.activity.spikes[p.name].sum(axis=1) for p in measured.program.populations}
    return place(cut, spikes), findings


def placed_run(
    measured: Measured, placement: Placement, activity: Activity, period_seconds: float | None
) -> tuple[Counts, dict[str, int], Counted]:
    """(events of each population on its cores, how many cores hold it, all that is priced)."""
    counted = place_counts(placement, activity)
    by_layer, cores = _by_layer(measured, placement, counted)
    return by_layer, cores, _counted_on(measured, by_layer, counted, period_seconds)


def _by_layer(measured: Measured, placement: Placement, counted: PlacedCounts) -> tuple[Counts, dict[str, int]]:
    """(events of each population on its cores, how many cores hold it)."""
    held = np.array([box.population for box in placement.partition.cores])
    counts: Counts = {}
    for p in measured.program.populations:
        mine = held == p.name
        counts[p.name] = {event: int(getattr(counted, event)[mine].sum()) for event in PER_CORE_EVENTS}
        counts[p.name]["host_operations"] = host_operations(measured.program, p.name, measured.counts[p.name])
    return counts, {p.name: int((held == p.name).sum()) for p in measured.program.populations}


def _sum(by_layer: Counts) -> dict[str, Number]:
    first = next(iter(by_layer.values()))
    return {event: sum(counts[event] for counts in by_layer.values()) for event in first}


def _counted(measured: Measured, by_layer: Counts, more: dict[str, Number], period: float | None) -> Counted:
    program = measured.program
    sent = {} if program.source.encoding == "static" else {"inputs": measured.source_events}
    counts = {**_sum(by_layer), **sent, **more}
    return Counted(program.name, counts, measured.samples, program.time_steps, period_seconds=period)


def _counted_on(measured: Measured, by_layer: Counts, counted: PlacedCounts, period: float | None) -> Counted:
    totals = counted.totals()
    mesh: dict[str, Number] = {event: totals[event] for event in CORE_EVENTS if event not in PER_CORE_EVENTS}
    return replace(
        _counted(measured, by_layer, mesh, period),
        cores=counted.cores,
        tiles=counted.tiles,
        chips=counted.chips,
        per_core={event: getattr(counted, event) for event in PER_CORE_EVENTS},
    )


def _layer(
    program: Program,
    name: str,
    neurons: int,
    cores: int | None,
    counts: dict[str, Number],
    samples: int,
    costs: CostSet,
) -> Layer:
    energies = core_dynamic(Counted(name, counts, samples, program.time_steps), costs)
    return Layer(name, neurons, cores, counts, energies, samples)
