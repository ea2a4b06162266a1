"""Labelled samples in two parts, answers of networks on them, and whether one network keeps within a budget of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from snncc.accuracy import correct, paired, steps_with_label
from snncc.evidence import FAILED, MET, UNDECIDED, Errors, Outcome, Sampled, judge_at_most, samples_needed
from snncc.feed import Entry, Inputs, pick
from snncc.ir.fast import apply_fast, fast_is_there
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.linear import apply_node
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording
from snncc.target import RunOptions, Target

Array = np.ndarray
LOOK = 1000
"""Samples between two looks at the evidence: it holds however often one looks, but runs are cheaper a block."""
FLOAT_BLOCK, LONG = 250, 10
"""Samples of the float network at once, and the steps beyond which they become fewer: all spikes of a block are in memory."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Part of a data set.

    Attributes:
        inputs: of the whole set, as the network takes them. labels: of the whole set, (N,), or (N, T) with -1 for none.
        numbers: which samples these are, in their order.
        scale: mean number of labelled steps of a sample of the whole set, None for one label a sample.
    """

    inputs: Inputs
    labels: Array
    entry: Entry
    numbers: Array
    scale: float | None

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, start: int, stop: int) -> Array:
        """Inputs of some, in order."""
        return pick(self.inputs, self.entry, self.numbers[start:stop])

    def truth(self, count: int) -> Array:
        """Labels of the first ``count``."""
        return np.asarray(self.labels[self.numbers[:count]])


def split(inputs: Inputs, labels: Array, entry: Entry, numbers: Array, measure: int) -> tuple[Samples, Samples]:
    """(the first ``measure`` of ``numbers``, the others)."""
    scale = steps_with_label(labels)
    first, second = (Samples(inputs, labels, entry, part, scale) for part in (numbers[:measure], numbers[measure:]))
    return first, second


class Answers:
    """Classes that a network gives, found as far as they are asked for."""

    def __init__(self, samples: Samples, run: Callable[[Array], Array], block: int = LOOK) -> None:
        self.samples, self._run, self._block = samples, run, block
        self._parts: list[Array] = []
        self._known = 0

    def first(self, count: int) -> Array:
        """Of the first ``count`` samples."""
        while self._known < min(count, len(self.samples)):
            self._parts.append(self._run(self.samples.part(self._known, self._known + self._block)))
            self._known += len(self._parts[-1])
        return np.concatenate(self._parts)[:count]

    def accuracy(self, count: int) -> float:
        """On the first ``count`` samples."""
        return float(correct(self.first(count), self.samples.truth(count), self.samples.scale).mean())


def float_answers(graph: Graph, samples: Samples) -> Answers:
    """Of the float network."""
    apply = apply_fast if fast_is_there(len(samples)) else apply_node
    size = max(2, FLOAT_BLOCK * LONG // max(LONG, graph.time_steps))
    return Answers(samples, lambda x: run_graph(graph, x, np.float32, apply=apply).predictions, size)


def answers(program: Program, engine: Target, samples: Samples) -> Answers:
    """Of a Program."""
    return Answers(samples, lambda x: engine.run(program, None, x, RunOptions()).predictions)


def record(program: Program, engine: Target, samples: Samples, count: int) -> IntegerRecording:
    """A run on the first ``count`` samples: scores and counts, no spikes."""
    return engine.run(program, None, samples.part(0, count), RunOptions())


def drop(better: Answers, worse: Answers, count: int) -> Sampled:
    """Accuracy of ``better`` minus that of ``worse``, sample by sample, on the first ``count``."""
    samples = better.samples
    return paired(better.first(count), worse.first(count), samples.truth(count), samples.scale)


@dataclass(frozen=True, eq=False)
class Judged:
    """How a network stands to its rivals.

    Attributes:
        outcome: met where the drop from every rival is within the budget, failed where one is not.
        drops: from each rival. samples: that were looked at. error: probability that "met" is wrong.
    """

    outcome: Outcome
    drops: tuple[Sampled, ...]
    samples: int
    error: float


def judge(one: Answers, rivals: Sequence[Answers], budget: float, error: float) -> Judged:
    """Look at as many samples as decide whether ``one`` is worse than a rival by more than ``budget`` (a share of 1) in the mean
    over samples without end like these. "Met" is wrong with a probability of ``error`` at most, however many rivals: each
    must be met."""
    errors, count, most = Errors(error, error), 0, len(one.samples)
    while True:
        count = min(count + LOOK, most)
        drops = tuple(drop(rival, one, count) for rival in rivals)
        outcomes = [judge_at_most(d, budget, errors) for d in drops]
        if FAILED in outcomes or all(o == MET for o in outcomes) or count == most:
            outcome = FAILED if FAILED in outcomes else MET if all(o == MET for o in outcomes) else UNDECIDED
            return Judged(outcome, drops, count, error)


def would_be_met(drops: Sequence[Sampled], budget: float, error: float, samples: int) -> bool:
    """Whether so many samples would show the budget kept, if they were like those of ``drops``."""
    errors = Errors(error, error)
    for d in drops:
        needed = samples_needed(d, budget, errors)
        if d.mean >= budget or needed is None or needed > samples:
            return False
    return True
