"""The verdict: float network against integer program against target, on data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from snncc.compare import Comparison, compare_recordings
from snncc.errors import InputError
from snncc.feed import Inputs, sample_count, take
from snncc.ir.fast import apply_fast, fast_is_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import Recording, run_graph
from snncc.ir.linear import apply_node
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.target import RunOptions, Target

Array = np.ndarray
BATCH = 250
LONG = 10
"""Samples at once, and the steps beyond which they become fewer: all spikes of a batch are in memory."""
Z95 = 1.959964
"""97.5 % point of the normal distribution."""


@dataclass(frozen=True)
class LayerAgreement:
    """How far a layer's integer spikes are its float spikes: share of equal cells, and share that fired."""

    layer: str
    spike_agreement: float
    float_rate: float
    integer_rate: float


@dataclass(frozen=True)
class Gate:
    """A condition that a verification must meet."""

    name: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True, eq=False)
class Verification:
    """What ``snncc verify`` found. Accuracies in 0..1, None without labels; spikes are per inference, a graded spike
    counting once.

    Attributes:
        drop: float minus integer accuracy; ``drop_interval`` its 95 % interval (normal approximation over pairs).
        agreement: share of samples (of steps, where each has its answer) for which float and integer network give the same
            class.
        reference: fixed-sim against the golden interpreter. target: the target against it (None for fixed-sim itself).
        first_deviation: the earliest cell in which the integer spikes leave the float ones, which quantisation may do.
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
    gates: list[Gate] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """All gates are met."""
        return all(g.passed for g in self.gates)


@dataclass(frozen=True, eq=False)
class Work:
    """What to do with a shard: a call with (number of its first sample, samples) runs both networks on it."""

    graph: Graph
    program: Program
    engine: Target
    options: RunOptions
    fast: bool

    def __call__(self, start: int, chunk: Array) -> Tally:
        """Both networks on one shard, compared."""
        floats = run_graph(self.graph, chunk, np.float32, apply=apply_fast if self.fast else apply_node)
        tally = Tally(self.graph, self.program)
        tally.add(start, floats, self.engine.run(self.program, None, chunk, self.options))
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
    max_drop: float | None = None,
    options: RunOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
    spread: Spread = one_after_another,
    watch: Watch | None = None,
) -> Verification:
    """Run the float network and the integer program on all ``inputs``, the target and the reference on ``exact`` of them.

    ``engine`` runs the integer program on the whole set (fixed-sim; proven equal to the reference on the exact samples).
    ``max_drop`` is in percentage points. ``spread`` says where the shards of the data set are worked on.
    ``watch`` is called once, before the first shard: the tally that it gets grows as shards are done.
    """
    samples = sample_count(inputs, program.source)
    if samples == 0:
        raise InputError("the data holds no samples")
    if max_drop is not None and labels is None:
        raise InputError("the data has no labels, so no accuracy; leave --max-accuracy-drop out")
    options = options or RunOptions()
    few = take(inputs, program.source, 0, max(exact, 1))
    golden = run_reference(program, few)
    order = [p.name for p in program.populations]
    recorded = replace(options, record=True)
    reference = compare_recordings(golden, engine.run(program, folder, few, recorded), order)
    target_run = None
    if target.name != engine.name and exact > 0:  # before the whole set: a target that is not installed says so at once
        target_run = target.run(program, folder, few, recorded)
    on_target = None if target_run is None else compare_recordings(golden, target_run, order)
    tally = Tally(graph, program)
    if watch is not None:
        watch(tally, reference, on_target)
    size = max(2, BATCH * LONG // max(LONG, program.time_steps))
    work = Work(
        graph, program, engine, replace(recorded, membranes=False, progress=None, part=None), fast_is_there(samples)
    )
    shards = ((start, take(inputs, program.source, start, start + size)) for start in range(0, samples, size))
    for part in spread(work, shards):
        tally.merge(part)
        if progress is not None:
            progress(tally.samples, samples)
    predictions = tally.integer_predictions() if target_run is None else target_run.predictions
    found = tally.result(labels, predictions, reference, on_target)
    return _gated(found, max_drop)


def _gated(v: Verification, max_drop: float | None) -> Verification:
    gates = [
        Gate("cells that differ from the reference (fixed-sim)", v.reference.differing, 0, v.reference.differing == 0)
    ]
    if v.target is not None:
        gates.append(
            Gate("cells that differ from the reference (target)", v.target.differing, 0, v.target.differing == 0)
        )
    if max_drop is not None and v.drop is not None:
        gates.append(Gate("accuracy drop in points", 100 * v.drop, max_drop, 100 * v.drop <= max_drop))
    return replace(v, gates=gates)


class Tally:
    """What the two runs have in common so far; tallies of later samples merge into it."""

    def __init__(self, graph: Graph, program: Program) -> None:
        self.layers = [p.name for p in program.populations if p.fires and p.name in graph.nodes]
        self.equal = dict.fromkeys(self.layers, 0)
        self.cells = dict.fromkeys(self.layers, 0)
        self.float_spikes = dict.fromkeys(self.layers, 0)
        self.integer_spikes = dict.fromkeys(self.layers, 0)
        self.predictions: list[tuple[Array, Array]] = []
        self.first: tuple[int, int, str] | None = None

    @property
    def samples(self) -> int:
        """How many it has seen."""
        return sum(len(a) for a, _ in self.predictions)

    def merge(self, later: Tally) -> None:
        """Adds the tally of samples that come after those seen so far."""
        self.predictions += later.predictions
        for name in self.layers:
            self.equal[name] += later.equal[name]
            self.cells[name] += later.cells[name]
            self.float_spikes[name] += later.float_spikes[name]
            self.integer_spikes[name] += later.integer_spikes[name]
        if later.first is not None and (self.first is None or later.first[:2] < self.first[:2]):
            self.first = later.first

    def add(self, start: int, a: Recording, b: IntegerRecording) -> None:
        self.predictions.append((a.predictions, b.predictions))
        for position, name in enumerate(self.layers):
            x, y = a.spikes[name], b.spikes[name]
            different = x != y
            self.cells[name] += x.size
            self.equal[name] += x.size - int(np.count_nonzero(different))
            self.float_spikes[name] += int(np.count_nonzero(x))
            self.integer_spikes[name] += int(np.count_nonzero(y))
            steps = np.flatnonzero(different.reshape(len(x), -1).any(axis=1))
            if steps.size and (self.first is None or (int(steps[0]), position) < self.first[:2]):
                step = int(steps[0])
                sample, *neuron = np.argwhere(different[step])[0]
                place = ", ".join(str(i) for i in neuron)
                pair = f"{y[step][(sample, *neuron)]} for {x[step][(sample, *neuron)]}"
                self.first = (step, position, f"{name}[{place}] at step {step} of sample {start + sample}: {pair}")

    def accuracies(self, labels: Array | None) -> tuple[float | None, float | None]:
        """Of the float and of the integer network on the samples so far, of which there must be one. Raises
        :class:`InputError` as :func:`correct`."""
        floats = np.concatenate([a for a, _ in self.predictions])
        return _accuracy(floats, labels), _accuracy(self.integer_predictions(), labels)

    def integer_predictions(self) -> Array:
        return np.concatenate([b for _, b in self.predictions])

    def result(
        self, labels: Array | None, on_target: Array, reference: Comparison, target: Comparison | None
    ) -> Verification:
        floats = np.concatenate([a for a, _ in self.predictions])
        integers = self.integer_predictions()
        samples = len(floats)
        layers = [
            LayerAgreement(
                n,
                self.equal[n] / self.cells[n],
                self.float_spikes[n] / self.cells[n],
                self.integer_spikes[n] / self.cells[n],
            )
            for n in self.layers
        ]
        drop, interval = None, None
        if labels is not None:
            drop, interval = paired_drop(correct(floats, labels), correct(integers, labels))
        return Verification(
            samples,
            *self.accuracies(labels),
            _accuracy(on_target, labels),
            drop,
            interval,
            float(np.mean(floats == integers)),
            sum(self.float_spikes.values()) / samples,
            sum(self.integer_spikes.values()) / samples,
            layers,
            reference,
            target,
            self.first[2] if self.first else None,
        )


def correct(predictions: Array, labels: Array) -> Array:
    """What each sample adds to the accuracy, (N,), which is the mean: 1 where its class is right, else 0. With labels
    (N, T), -1 where a step has none: its right steps over the mean number of steps that have one. The steps of a sample are
    not independent, so a spread is one over samples. Raises :class:`InputError` where no step has a label."""
    if labels.shape != predictions.shape:
        raise InputError(f"the labels have shape {labels.shape}, but the network answers {predictions.shape}")
    if labels.ndim == 1:
        return (predictions == labels).astype(float)
    known = labels >= 0
    if not known.any():
        raise InputError("no step of the data has a label, so there is no accuracy")
    right: Array = ((predictions == labels) & known).sum(axis=1) * (len(labels) / known.sum())
    return right


def paired_drop(float_correct: Array, integer_correct: Array) -> tuple[float, tuple[float, float]]:
    """Accuracy of the first minus that of the second on the same samples (what :func:`correct` gave), with its 95 % interval
    (normal approximation of the mean of paired differences)."""
    difference = float_correct - integer_correct
    mean = float(difference.mean())
    half = Z95 * float(difference.std()) / len(difference) ** 0.5
    return mean, (mean - half, mean + half)


def _accuracy(predictions: Array, labels: Array | None) -> float | None:
    return None if labels is None else float(correct(predictions, labels[: len(predictions)]).mean())
