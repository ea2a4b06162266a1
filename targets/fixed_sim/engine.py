"""Run a Program on whole data sets: blocks of samples and steps, several threads, events or dense arithmetic a layer."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from snncc.errors import InputError
from snncc.ir.fast import torch_there
from snncc.program.counts import StepCounts
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs, join, predict
from snncc.target import PATHS, RunOptions
from snncc.targets.fixed_sim import kernels
from snncc.targets.fixed_sim.layout import from_kernel, to_kernel
from snncc.targets.fixed_sim.prepare import PreparedPopulation, PreparedProgram, PreparedProjection, prepare
from snncc.targets.fixed_sim.synapses import Paths, by_dense, by_events, max_pooled, paths_of

Array = np.ndarray
BLOCK_BYTES = 32 << 20
"""Currents of the largest layer in a block, if they were all there at once."""
PART_BYTES = 4 << 20
"""Currents of the samples that a layer takes at once: they are made and used within the caches."""
BLOCK_STEPS = 16
SMALL_WORK, LARGE_WORK = 1e8, 2e10
"""Multiplications up to which a run is over before costs are measured, and above which importing PyTorch, a second or two,
pays."""


def run(program: Program, inputs: Array, options: RunOptions | None = None) -> IntegerRecording:
    """As :func:`snncc.program.reference.run_reference`, with the same spikes, membranes, scores and counts."""
    options = options or RunOptions()
    check_inputs(program, inputs)
    if options.path not in PATHS:
        raise InputError(f"path is {options.path!r}; it must be one of {', '.join(PATHS)}")
    prepared = prepare(program)
    static = program.source.encoding == "static"
    samples = inputs.shape[0] if static else inputs.shape[1]
    paths = _paths(prepared, options.path, samples)
    threads = max(1, options.threads or os.cpu_count() or 1)
    steps, size = block_of(prepared, options.batch)
    batches = -(-samples // size)
    batches = min(samples, -(-batches // threads) * threads)  # as many, and as large, for every thread
    size = -(-samples // batches)
    done = 0
    parts: list[IntegerRecording] = []

    def one(start: int) -> IntegerRecording:
        chunk = slice(start, start + size)
        return run_batch(prepared, paths, inputs[chunk] if static else inputs[:, chunk], options, steps)

    starts = range(0, samples, size)
    with one_torch_thread(), ThreadPoolExecutor(threads) as pool:
        try:
            for part in map(one, starts) if threads == 1 else pool.map(one, starts):
                parts.append(part)
                done += part.samples
                if options.part is not None:
                    options.part(part)
                if options.progress is not None:
                    options.progress(done, samples)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return join(program, parts)


def block_of(prepared: PreparedProgram, batch: int) -> tuple[int, int]:
    """(steps, samples) that run at once."""
    largest = max(q.sizes[1] for p in prepared.populations for q in p.projections) if _projections(prepared) else 1
    rows = max(1, BLOCK_BYTES // (4 * largest))
    steps = max(1, min(prepared.program.time_steps, BLOCK_STEPS, rows))
    return steps, max(1, min(batch, rows // steps))


class one_torch_thread:
    """PyTorch, where it is loaded (or ``load``), uses one thread a caller inside, as samples are already spread over threads."""

    def __init__(self, load: bool = False) -> None:
        self.load = load

    def __enter__(self) -> None:
        self.before = 0
        if torch_there(loaded=not self.load):
            import torch

            self.before = torch.get_num_threads()
            torch.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        if self.before:
            import torch

            torch.set_num_threads(self.before)


def _projections(prepared: PreparedProgram) -> list[PreparedProjection]:
    return [q for p in prepared.populations for q in p.projections]


def _paths(prepared: PreparedProgram, path: str, samples: int) -> dict[str, Paths]:
    rows = samples * prepared.program.time_steps
    work = sum(rows * float(q.mean_fan_out) * q.sizes[0] for q in _projections(prepared) if not q.static)
    large = work > (SMALL_WORK if torch_there(loaded=True) else LARGE_WORK) or path == "dense"
    if path == "auto" and not large:
        path = "event"
    with one_torch_thread(load=large):  # as in the runs that the measured costs are for
        return {q.projection.name: paths_of(q, path, large) for q in _projections(prepared)}


@dataclass
class _Live:
    """State of one population during a batch, kernel layout, samples one after the other.

    Attributes:
        passing: whether all steps of a sample are done at once, and its state is forgotten then.
        u, v: (size,), or room for a period of neurons where they are ``passing``.
        injected: (size,) what static input brings at every step so far, or None.
        emitted: (past + steps of a block, size) spikes; the first ``past`` rows are of the steps before the block.
        counts: (2, T) neurons that fired, and that were active.
    """

    passing: bool
    u: Array
    v: Array
    injected: Array | None
    emitted: Array
    counts: Array
    operations: dict[str, Array]
    spikes: list[Array]
    membranes: list[Array]


class _Batch:
    """One batch of samples in one thread."""

    def __init__(
        self, prepared: PreparedProgram, paths: dict[str, Paths], inputs: Array, options: RunOptions, steps: int
    ) -> None:
        self.prepared, self.paths, self.options = prepared, paths, options
        self.program = prepared.program
        self.readout = self.program.readout
        source = self.program.source
        self.static = source.encoding == "static"
        self.samples = inputs.shape[0] if self.static else inputs.shape[1]
        given, past = ([inputs], 0) if self.static else (inputs, prepared.past)
        self.frames = np.zeros((past + len(given), self.samples, math.prod(source.shape)), prepared.frame)
        for frame, x in zip(self.frames[past:], given, strict=True):
            frame[:] = to_kernel(x.astype(prepared.frame), source.shape)
        self.steps = steps
        self.live = {p.population.name: self._begin(p) for p in prepared.populations}
        self.scores: Array | int = 0
        self.answers: list[Array] = []

    def _begin(self, p: PreparedPopulation) -> _Live:
        steps = self.program.time_steps
        emitted = np.empty((p.past + self.steps, self.samples * p.population.size), p.spike)
        emitted[: p.past] = 0
        passing = self._passing(p)
        room = (p.period,) if passing else (self.samples, p.population.size)
        u, v = np.zeros(room, p.state), np.empty(room, p.state)
        if not passing:  # whose states the kernel starts
            v[:] = p.v_init
        return _Live(
            passing, u.reshape(-1), v.reshape(-1), None, emitted, np.zeros((2, steps), np.int64),
            {q.projection.name: np.zeros(steps, np.int64) for q in p.projections}, [], [],
        )  # fmt: skip

    def _passing(self, p: PreparedPopulation) -> bool:
        """As :attr:`_Live.passing` says."""
        one_block = self.steps == self.program.time_steps and not self.prepared.pauses
        seen = p.population.name == self.readout.population or (self.options.record and self.options.membranes)
        return one_block and not p.stepwise and not seen

    def _part(self, p: PreparedPopulation, steps: int) -> int:
        """Samples that are taken at once."""
        rows = steps if p.moving else 1  # of currents
        return min(self.samples, max(1, PART_BYTES // (4 * rows * p.widest)))

    def run(self) -> IntegerRecording:
        """All steps, block by block."""
        total = self.program.time_steps
        edges = sorted({*range(0, total, self.steps), *(d for d in self.prepared.pauses if d < total), total})
        for first, last in pairwise(edges):
            for indices, stepwise in self.prepared.spans:
                members = [self.prepared.populations[i] for i in indices]
                for start in range(first, last) if stepwise else (first,):
                    for p in members:
                        self._advance(p, first, start, start + 1 if stepwise else last)
            for p in self.prepared.populations:
                live = self.live[p.population.name]
                if self.options.record:
                    live.spikes.append(live.emitted[p.past : p.past + last - first].copy())
                if last < total:
                    live.emitted[: p.past] = live.emitted[last - first : last - first + p.past].copy()
        return self._recording()

    def _advance(self, p: PreparedPopulation, block: int, start: int, stop: int) -> None:
        """Steps start … stop of one population, in the block that began at step ``block``."""
        live, everyone = self.live[p.population.name], (0, self.samples)
        self._inject(p, live, start)
        watched = p.population.name == self.readout.population and (
            self.readout.each_step or self.readout.kind == "summed_current"
        )
        row = p.past - 1 - block
        if not watched and not (self.options.record and self.options.membranes):
            size = self._part(p, stop - start)
            for first in range(0, self.samples, size):
                part = first, min(first + size, self.samples)
                current = self._current(p, live, block, start, stop, part)
                self._update(p, live, current, live.emitted[row + start : row + stop + 1], start, part)
        else:
            current = self._current(p, live, block, start, stop, everyone)
            for t in range(start, stop):
                arriving = current[t - start : t - start + 1] if len(current) > 1 else current
                self._update(p, live, arriving, live.emitted[row + t : row + t + 2], t, everyone)
                if self.options.record and self.options.membranes:
                    live.membranes.append(live.v.copy())
                if watched:
                    self._read(live, live.emitted[row + t + 1 : row + t + 2], t)
        if p.population.name == self.readout.population and not watched:
            self._read(live, live.emitted[row + start + 1 : row + stop + 1], start)

    def _update(
        self, p: PreparedPopulation, live: _Live, current: Array, spikes: Array, t: int, part: tuple[int, int]
    ) -> None:
        steps, first, last = len(spikes) - 1, part[0] * p.population.size, part[1] * p.population.size
        u, v = (live.u, live.v) if live.passing else (live.u[first:last], live.v[first:last])
        p.step(current, u, v, spikes, live.counts[:, t : t + steps], first, live.passing)

    def _inject(self, p: PreparedPopulation, live: _Live, start: int) -> None:
        """What static input brings from this step on, computed once."""
        for q in p.projections:
            if q.static and start == q.projection.delay:
                frame = self.frames[0].reshape(1, self.samples, -1)
                sums, operations = self._arriving(p, q, frame, float(np.count_nonzero(frame)))
                live.operations[q.projection.name][start] = operations[0]
                live.injected = sums if live.injected is None else live.injected + sums

    def _current(
        self, p: PreparedPopulation, live: _Live, block: int, start: int, stop: int, part: tuple[int, int]
    ) -> Array:
        """What arrives at samples ``part`` in steps start … stop, (steps, size); one row where it is the same at every step."""
        first, last, size = *part, p.population.size
        total = None if live.injected is None else live.injected[:, first * size : last * size]
        for q in p.projections:
            if q.static:
                continue
            sender = self.live.get(q.projection.source)
            if sender is None:
                rows, before = self.frames, self.prepared.past - q.projection.delay
            else:
                past = len(sender.emitted) - self.steps
                rows, before = sender.emitted, past - q.projection.delay - block
            steps = rows[before + start : before + stop].reshape(stop - start, self.samples, -1)[:, first:last]
            if sender is None:
                events = float(np.count_nonzero(steps))
            else:  # the mean over all samples
                at = max(start - q.projection.delay, 0), max(stop - q.projection.delay, 0)
                events = float(sender.counts[0, at[0] : at[1]].sum()) * (last - first) / self.samples
            sums, operations = self._arriving(p, q, steps, events)
            live.operations[q.projection.name][start:stop] += operations
            total = sums if total is None else total + sums
        return np.zeros((1, (last - first) * size), p.total) if total is None else np.ascontiguousarray(total)

    def _arriving(
        self, p: PreparedPopulation, q: PreparedProjection, steps: Array, events: float
    ) -> tuple[Array, Array]:
        """Shifted and pooled sums (steps, size) that spikes ``steps`` (steps, N, size), about ``events`` of them, cause, and the
        operations of each step."""
        paths = self.paths[q.projection.name]
        if paths.dense is not None and paths.prefers_dense(len(steps) * steps.shape[1], events, len(steps)):
            sums, operations = by_dense(q, paths.dense, steps)
        else:
            sums, operations = by_events(q, steps)
        if q.projection.shift or len(p.projections) > 1 or q.pooled:
            into = np.zeros(sums.shape, p.total)
            kernels.add_shifted(sums, q.projection.shift, into)
            sums = max_pooled(q, into) if q.pooled else into
        return sums.reshape(len(steps), -1), operations

    def _read(self, live: _Live, spikes: Array, t: int) -> None:
        """Adds what the readout sees of the steps from t on: ``spikes`` (steps, size)."""
        kind = self.readout.kind
        if kind == "membrane":
            seen = live.v.astype(np.int64)
        elif kind == "summed_current":
            seen = live.u.astype(np.int64)
        elif kind == "weighted_count":
            assert self.readout.time_weights is not None
            seen = np.asarray(self.readout.time_weights[t : t + len(spikes)], np.int64) @ spikes.astype(np.int64)
        else:
            seen = spikes.sum(axis=0, dtype=np.int64)
        if self.readout.each_step:
            self.answers.append(seen)
        else:
            self.scores = seen if kind == "membrane" else self.scores + seen

    def _recording(self) -> IntegerRecording:
        program, live = self.program, self.live
        shapes = {p.name: p.shape for p in program.populations}

        def shaped(rows: Array, name: str) -> Array:
            return from_kernel(rows.reshape(len(rows), self.samples, -1), shapes[name])

        seen = np.stack(self.answers) if self.readout.each_step else np.asarray(self.scores)[None]
        scores = shaped(seen, self.readout.population).reshape(len(seen), self.samples, -1)
        scores = scores.transpose(1, 0, 2) if self.readout.each_step else scores[0]
        return IntegerRecording(
            {n: shaped(np.concatenate(s.spikes), n).astype(np.int32) for n, s in live.items()}
            if self.options.record
            else {},
            {n: shaped(np.stack(s.membranes), n).astype(np.int64) for n, s in live.items() if s.membranes},
            scores,
            predict(scores, self.readout.ties),
            {
                n: StepCounts(np.full(program.time_steps, s.emitted.shape[1]), s.counts[1], s.counts[0], s.operations)
                for n, s in live.items()
            },
            self.samples,
        )


def run_batch(
    prepared: PreparedProgram, paths: dict[str, Paths], inputs: Array, options: RunOptions, steps: int
) -> IntegerRecording:
    """Run one batch in this thread."""
    return _Batch(prepared, paths, inputs, options, steps).run()
