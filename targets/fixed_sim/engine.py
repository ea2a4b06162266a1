"""Run a Program on whole data sets: batches of samples, several threads, events only where there are any."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from snncc.program.counts import StepCounts
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, check_inputs, join, predict
from snncc.target import RunOptions
from snncc.targets.fixed_sim import kernels
from snncc.targets.fixed_sim.prepare import (
    PreparedPopulation,
    PreparedProgram,
    PreparedProjection,
    from_kernel,
    prepare,
    to_kernel,
)

Array = np.ndarray
_GONE = np.zeros(0, np.int32)
"""In place of spikes that no delay reaches any more."""


def run(program: Program, inputs: Array, options: RunOptions | None = None) -> IntegerRecording:
    """As :func:`snncc.program.reference.run_reference`, with the same spikes, membranes, scores and counts."""
    options = options or RunOptions()
    check_inputs(program, inputs)
    prepared = prepare(program)
    static = program.source.encoding == "static"
    samples = inputs.shape[0] if static else inputs.shape[1]
    threads = os.cpu_count() or 1
    batch = max(1, min(options.batch, -(-samples // threads)))  # no thread stays idle for want of a batch
    done = 0
    parts: list[IntegerRecording] = []

    def one(start: int) -> IntegerRecording:
        chunk = slice(start, start + batch)
        return run_batch(prepared, inputs[chunk] if static else inputs[:, chunk], options)

    with ThreadPoolExecutor(threads) as pool:
        for part in pool.map(one, range(0, samples, batch)):
            parts.append(part)
            done += part.samples
            if options.progress is not None:
                options.progress(done, samples)
    return join(program, parts)


@dataclass
class _Live:
    """State of one population during a batch, kernel layout; ``emitted[t]`` are the spikes of step t while needed."""

    u: Array
    v: Array
    spikes: Array
    injected: Array
    emitted: list[Array]
    membranes: list[Array]
    updates: Array
    active: Array
    fired: Array
    operations: dict[str, Array]


def run_batch(prepared: PreparedProgram, inputs: Array, options: RunOptions) -> IntegerRecording:
    """Run one batch in this thread."""
    program, readout = prepared.program, prepared.program.readout
    static = program.source.encoding == "static"
    samples = inputs.shape[0] if static else inputs.shape[1]
    frames = [to_kernel(x, program.source.shape).astype(np.int32) for x in ([inputs] if static else inputs)]
    live = {p.population.name: _begin(p, samples, program.time_steps) for p in prepared.populations}
    scores = np.zeros((samples, program.population(readout.population).size), np.int64)
    answers: list[Array] = []
    for t in range(program.time_steps):
        for p in prepared.populations:
            state = live[p.population.name]
            current = _gather(p, state, live, frames, t)
            _update(prepared, p, state, current, t)
            if options.record and options.membranes:
                state.membranes.append(state.v.copy())
            if not options.record and t > prepared.depth:
                state.emitted[t - prepared.depth - 1] = _GONE
        seen = _read(program, t, live[readout.population])
        if readout.each_step:
            answers.append(seen.copy())
        else:
            scores = seen if readout.kind == "membrane" else scores + seen
    shapes = {p.population.name: p.population.shape for p in prepared.populations}
    if readout.each_step:
        scores = np.stack(answers, axis=1)
    scores = from_kernel(scores, shapes[readout.population]).reshape(*scores.shape[:-1], -1)
    return IntegerRecording(
        {n: from_kernel(np.stack(s.emitted), shapes[n]).astype(np.int64) for n, s in live.items()}
        if options.record
        else {},
        {n: from_kernel(np.stack(s.membranes), shapes[n]) for n, s in live.items() if s.membranes},
        scores,
        predict(scores, readout.ties),
        {n: StepCounts(s.updates, s.active, s.fired, s.operations) for n, s in live.items()},
        samples,
    )


def _begin(p: PreparedPopulation, samples: int, steps: int) -> _Live:
    shape = (samples, p.population.size)
    return _Live(
        np.zeros(shape, np.int64),
        np.tile(p.v_init, (samples, 1)),
        np.zeros(shape, np.int32),
        np.zeros(shape, p.accumulator),
        [],
        [],
        np.zeros(steps, np.int64),
        np.zeros(steps, np.int64),
        np.zeros(steps, np.int64),
        {q.projection.name: np.zeros(steps, np.int64) for q in p.projections},
    )


def _gather(p: PreparedPopulation, state: _Live, live: dict[str, _Live], frames: list[Array], t: int) -> Array:
    """Current (N, size) of step t. What a static source brings is computed once, when its delay has passed."""
    for q in p.projections:
        if q.static and t == q.projection.delay:
            state.operations[q.projection.name][t] = _scatter(q, frames[0], state.injected)
    current = state.injected.copy()
    for q in p.projections:
        before = t - q.projection.delay
        if q.static or before < 0:
            continue
        sender = live.get(q.projection.source)
        arriving = frames[before] if sender is None else sender.emitted[before]
        state.operations[q.projection.name][t] = _scatter(q, arriving, current)
    return current


def _scatter(q: PreparedProjection, spikes: Array, current: Array) -> int:
    """Add ``floor(Σ w·s / 2**shift)`` to ``current``; returns the synaptic operations."""
    pool = q.projection.pool
    if pool is not None and q.shape_out is not None:
        into = np.zeros((len(current), int(np.prod(q.shape_out))), current.dtype)
    else:
        into = np.zeros_like(current) if q.projection.shift else current
    if q.shape_in is not None:
        operations = kernels.scatter_conv(
            spikes, q.weight, q.fan_out, into, q.shape_in, q.shape_out,
            q.projection.stride, q.projection.padding, q.projection.dilation,
        )  # fmt: skip
    elif q.starts is not None:
        operations = kernels.scatter_sparse(spikes, q.starts, q.targets, q.weight, q.fan_out, into)
    else:
        operations = kernels.scatter_dense(spikes, q.weight, q.fan_out, into)
    if pool is not None and q.shape_out is not None:
        current += _max_pooled(q, into >> q.projection.shift)
    elif q.projection.shift:
        current += into >> q.projection.shift
    return int(operations)


def _max_pooled(q: PreparedProjection, sums: Array) -> Array:
    """The largest of each window of sums (N, H·W·C), kernel layout."""
    assert q.shape_out is not None and q.projection.pool is not None
    (ky, kx), (sy, sx) = q.projection.pool, q.projection.pool_stride
    rows, columns = ((q.shape_out[i] - k) // s + 1 for i, (k, s) in enumerate(((ky, sy), (kx, sx))))
    shaped = sums.reshape(-1, *q.shape_out)
    best = None
    for y in range(ky):
        for x in range(kx):
            part = shaped[:, y : y + (rows - 1) * sy + 1 : sy, x : x + (columns - 1) * sx + 1 : sx]
            best = part if best is None else np.maximum(best, part)
    assert best is not None
    return best.reshape(len(sums), -1)


def _update(prepared: PreparedProgram, p: PreparedPopulation, state: _Live, current: Array, t: int) -> None:
    state.spikes = state.spikes.copy()
    state.fired[t], state.active[t] = kernels.update_neurons(
        current, state.u, state.v, state.spikes, p.constants, p.population.guard_bits, p.population.levels,
        p.flags, p.reset, prepared.rounding, prepared.overflow_u, prepared.overflow_v, prepared.limit,
    )  # fmt: skip
    state.emitted.append(state.spikes)
    state.updates[t] = current.size


def _read(program: Program, t: int, state: _Live) -> Array:
    """What the readout sees of step t, (N, size) in kernel layout."""
    readout = program.readout
    if readout.kind == "membrane":
        return state.v
    if readout.kind == "summed_current":
        return state.u
    spikes = state.spikes.astype(np.int64)
    if readout.kind == "weighted_count":
        assert readout.time_weights is not None
        return spikes * readout.time_weights[t]
    return spikes
