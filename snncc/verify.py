"""The verdict: float network against integer program against target, on data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from snncc.accuracy import accuracy_of, correctness, counted, paired, steps_with_label
from snncc.accuracy import correct as correct
from snncc.compare import Comparison, compare_recordings
from snncc.errors import InputError
from snncc.evidence import MET, UNDECIDED, Errors, Sampled, interval
from snncc.feed import Inputs, pick, sample_count, take
from snncc.gates import Gate, Limits, accuracy_gate, agreement_gate, drop_gate, exact_gate, outcome_of
from snncc.ir.fast import apply_fast, fast_is_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import Recording, run_graph
from snncc.ir.linear import apply_node
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.sampling import Sampling, whole
from snncc.target import RunOptions, Target

Array = np.ndarray
BATCH = 250
LONG = 10
"""Samples at once, and the steps beyond which they become fewer: all spikes of a batch are in memory."""


@dataclass(frozen=True)
class LayerAgreement:
    """How far a layer's integer spikes are its float spikes: share of equal cells, and share that fired."""

    layer: str
    spike_agreement: float
    float_rate: float
    integer_rate: float


@dataclass(frozen=True)
class PerSample:
    """What each sample of the integer network came to, for a later verification to compare with.

    Attributes:
        right: right classes, (n,) of 0 and 1, or steps with the right class; None without labels.
        same: likewise, the class that the float network gives.
        spikes: neurons that fired, over all steps.
    """

    right: tuple[int, ...] | None
    same: tuple[int, ...]
    spikes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Verification:
    """What ``snncc verify`` found. Accuracies in 0..1, None without labels; spikes are per inference, a graded spike
    counting once.

    Attributes:
        drop: float minus integer accuracy; ``drop_interval`` where it lies for samples without end that are like these, at
            95 % (:mod:`snncc.evidence`). lost, won: samples that the float, or the integer network alone gets right.
        agreement: share of samples (of steps, where each has its answer) for which float and integer network give the same
            class.
        reference: fixed-sim against the golden interpreter. target: the target against it (None for fixed-sim itself).
        first_deviation: the earliest cell in which the integer spikes leave the float ones, which quantisation may do.
        sampling: which samples of the data these are.
    """

    samples: int
    float_accuracy: float | None
    integer_accuracy: float | None
    target_accuracy: float | None
    drop: float | None
    drop_interval: tuple[float, float] | None
    agreement: float
    float_spikes: float
    integer_spikes: float
    layers: list[LayerAgreement]
    reference: Comparison
    target: Comparison | None
    first_deviation: str | None
    lost: int | None
    won: int | None
    per_sample: PerSample
    sampling: str = "whole"
    gates: list[Gate] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """Of all gates together."""
        return outcome_of(self.gates)

    @property
    def passed(self) -> bool:
        """All gates are met."""
        return self.outcome == MET


@dataclass(frozen=True, eq=False)
class Work:
    """What to do with a shard: a call with (place of its first sample, samples) runs both networks on it. ``order`` gives the
    samples' numbers in the data set; None: their places."""

    graph: Graph
    program: Program
    engine: Target
    options: RunOptions
    fast: bool
    order: Array | None = None

    def __call__(self, start: int, chunk: Array) -> Tally:
        """Both networks on one shard, compared."""
        floats = run_graph(self.graph, chunk, np.float32, apply=apply_fast if self.fast else apply_node)
        tally = Tally(self.graph, self.program)
        numbers = None if self.order is None else self.order[start:]
        tally.add(start, floats, self.engine.run(self.program, None, chunk, self.options), numbers)
        return tally


Shards = Iterable[tuple[int, Array]]
Spread = Callable[[Work, Shards], "Iterator[Tally]"]
"""Where shards are worked on; their tallies in the shards' order."""


Watch = Callable[["Tally", Comparison, "Comparison | None"], None]
"""Called with a tally, and the comparisons of fixed-sim and of the target with the reference."""


def one_after_another(work: Work, shards: Shards) -> Iterator[Tally]:
    """In this process."""
    for start, chunk in shards:
        yield work(start, chunk)


def verify(
    graph: Graph,
    program: Program,
    target: Target,
    engine: Target,
    folder: Path | None,
    inputs: Inputs,
    labels: Array | None,
    exact: int,
    limits: Limits | None = None,
    options: RunOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
    spread: Spread = one_after_another,
    watch: Watch | None = None,
    sampling: Sampling | None = None,
) -> Verification:
    """Run the float network and the integer program on ``inputs``, the target and the reference on ``exact`` of them.

    ``engine`` runs the integer program on all of them (fixed-sim; proven equal to the reference on the exact samples).
    ``spread`` says where the shards of the data set are worked on. ``sampling`` says which samples are taken and of what a
    gate on them speaks; None takes all, and they are the whole set. ``watch`` is called once, before the first shard: the
    tally that it gets grows as shards are done. Raises :class:`InputError` where the data does not allow what is asked for.
    """
    loaded, limits = sample_count(inputs, program.source), limits or Limits()
    sampling = sampling or whole(loaded)
    _check_asked(loaded, labels, limits, sampling)
    truth = labels if labels is None or sampling.order is None else labels[sampling.order]
    gates = partial(_sampled_gates, labels=truth, scale=steps_with_label(labels), limits=limits, sampling=sampling)

    def part(start: int, stop: int) -> Array:
        if sampling.order is None:
            return take(inputs, program.source, start, stop)
        return pick(inputs, program.source, sampling.order[start:stop])

    samples = loaded if sampling.order is None else len(sampling.order)
    options = options or RunOptions()
    few = part(0, max(exact, 1))
    golden = run_reference(program, few)
    order = [p.name for p in program.populations]
    recorded = replace(options, record=True)
    reference = compare_recordings(golden, engine.run(program, folder, few, recorded), order, engine.name)
    target_run = None
    if target.name != engine.name and exact > 0:  # before the whole set: a target that is not installed says so at once
        target_run = target.run(program, folder, few, recorded)
    on_target = None if target_run is None else compare_recordings(golden, target_run, order, target.name)
    tally = Tally(graph, program)
    if watch is not None:
        watch(tally, reference, on_target)
    size = max(2, BATCH * LONG // max(LONG, program.time_steps))
    shown = replace(recorded, membranes=False, progress=None, part=None)
    work = Work(graph, program, engine, shown, fast_is_there(samples), sampling.order)
    for done in spread(work, ((start, part(start, start + size)) for start in range(0, samples, size))):
        tally.merge(done)
        if progress is not None:
            progress(tally.samples, samples)
        if sampling.until_decided and outcome_of(gates(tally)) != UNDECIDED:
            break
    predictions = tally.integer_predictions() if target_run is None else target_run.predictions
    found = tally.result(truth, predictions, reference, on_target)
    exactly = [exact_gate("cells that differ from the reference (fixed-sim)", reference.differing)]
    if on_target is not None:
        exactly.append(exact_gate("cells that differ from the reference (target)", on_target.differing))
    return replace(found, sampling=sampling.name, gates=[*exactly, *gates(tally)])


def _check_asked(loaded: int, labels: Array | None, limits: Limits, sampling: Sampling) -> None:
    if loaded == 0:
        raise InputError("the data holds no samples")
    for name, limit in (("--max-accuracy-drop", limits.max_accuracy_drop), ("--min-accuracy", limits.min_accuracy)):
        if limit is not None and labels is None:
            raise InputError(f"the data has no labels, so no accuracy; leave {name} out")
    if sampling.until_decided and not limits.of_samples:
        raise InputError(
            "--samples auto stops once a gate is decided; give --max-accuracy-drop, --min-accuracy or --min-agreement"
        )


def _sampled_gates(
    tally: Tally, labels: Array | None, scale: float | None, limits: Limits, sampling: Sampling
) -> list[Gate]:
    """The gates that are judged by the samples so far."""
    floats, integers = tally.float_predictions(), tally.integer_predictions()
    gates = []
    if limits.max_accuracy_drop is not None and labels is not None:
        gates.append(drop_gate(paired(floats, integers, labels[: len(floats)], scale, sampling.population), limits))
    if limits.min_accuracy is not None and labels is not None:
        gates.append(accuracy_gate(correctness(integers, labels[: len(floats)], scale, sampling.population), limits))
    if limits.min_agreement is not None:
        same = (floats == integers).reshape(len(floats), -1).mean(axis=1)
        gates.append(agreement_gate(Sampled(same, 0.0, 1.0, sampling.population), limits))
    return gates


class Tally:
    """What the two runs have in common so far; tallies of later samples merge into it."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.layers = [p.name for p in program.populations if p.fires and p.name in graph.nodes]
        self.equal = dict.fromkeys(self.layers, 0)
        self.cells = dict.fromkeys(self.layers, 0)
        self.float_spikes = dict.fromkeys(self.layers, 0)
        self.integer_spikes = dict.fromkeys(self.layers, 0)
        self.predictions: list[tuple[Array, Array]] = []
        self.fired: list[Array] = []
        self.first: tuple[int, int, str] | None = None

    @property
    def samples(self) -> int:
        """How many it has seen."""
        return sum(len(a) for a, _ in self.predictions)

    def merge(self, later: Tally) -> None:
        """Adds the tally of samples that come after those seen so far."""
        self.predictions += later.predictions
        self.fired += later.fired
        for name in self.layers:
            self.equal[name] += later.equal[name]
            self.cells[name] += later.cells[name]
            self.float_spikes[name] += later.float_spikes[name]
            self.integer_spikes[name] += later.integer_spikes[name]
        if later.first is not None and (self.first is None or later.first[:2] < self.first[:2]):
            self.first = later.first

    def add(self, start: int, a: Recording, b: IntegerRecording, numbers: Array | None = None) -> None:
        """Samples that have these ``numbers`` in the data set; None: from ``start`` on."""
        self.predictions.append((a.predictions, b.predictions))
        fired = np.zeros(b.samples, np.int64)
        for position, name in enumerate(self.layers):
            x, y = a.spikes[name], b.spikes[name]
            different = x != y
            self.cells[name] += x.size
            self.equal[name] += x.size - int(np.count_nonzero(different))
            self.float_spikes[name] += int(np.count_nonzero(x))
            of_each = (y != 0).reshape(len(y), b.samples, -1).sum(axis=(0, 2))
            fired += of_each
            self.integer_spikes[name] += int(of_each.sum())
            steps = np.flatnonzero(different.reshape(len(x), -1).any(axis=1))
            if steps.size and (self.first is None or (int(steps[0]), position) < self.first[:2]):
                step = int(steps[0])
                sample, *neuron = np.argwhere(different[step])[0]
                place = ", ".join(str(i) for i in neuron)
                number = start + sample if numbers is None else numbers[sample]
                pair = f"{y[step][(sample, *neuron)]} for {x[step][(sample, *neuron)]}"
                self.first = (step, position, f"{name}[{place}] at step {step} of sample {number}: {pair}")
        self.fired.append(fired)

    def accuracies(self, labels: Array | None) -> tuple[float | None, float | None]:
        """Of the float and of the integer network on the samples so far, of which there must be one. Raises
        :class:`InputError` as :func:`correct`."""
        return accuracy_of(self.float_predictions(), labels), accuracy_of(self.integer_predictions(), labels)

    def float_predictions(self) -> Array:
        return np.concatenate([a for a, _ in self.predictions])

    def integer_predictions(self) -> Array:
        return np.concatenate([b for _, b in self.predictions])

    def result(
        self, labels: Array | None, on_target: Array, reference: Comparison, target: Comparison | None
    ) -> Verification:
        floats, integers, samples = self.float_predictions(), self.integer_predictions(), self.samples
        layers = [
            LayerAgreement(
                n,
                self.equal[n] / self.cells[n],
                self.float_spikes[n] / self.cells[n],
                self.integer_spikes[n] / self.cells[n],
            )
            for n in self.layers
        ]
        drop, spread, lost, won, right = None, None, None, None, None
        if labels is not None:
            labels = labels[:samples]
            pairs = paired(floats, integers, labels, steps_with_label(labels))
            drop, spread = pairs.mean, interval(pairs, Errors())
            lost, won = int((pairs.values > 0).sum()), int((pairs.values < 0).sum())
            right = counted(integers == labels)
        return Verification(
            samples,
            *self.accuracies(labels),
            accuracy_of(on_target, labels),
            drop,
            spread,
            float(np.mean(floats == integers)),
            sum(self.float_spikes.values()) / samples,
            sum(self.integer_spikes.values()) / samples,
            layers,
            reference,
            target,
            self.first[2] if self.first else None,
            lost,
            won,
            PerSample(right, counted(floats == integers), tuple(np.concatenate(self.fired).tolist())),
        )
