"""The golden meaning of a Program: slow, plain NumPy in 64-bit integers. Every executor must match it bit for bit.

One step of a population, in this order (guarded units; R is what it fired in the step before, P whether the membrane
that the step before left would fire again)::

    i  = Σ over projections  floor(Σ w·s / 2**shift)      of the sources' step t − delay; nothing before step 0;
                                                          the largest of each window where the projection pools
    u' = decay(u, decay_u) + (i << guard_bits) + current_bias     0 in place of decay(…) without decay_u; overflow
                                                          rule of the current
    v  = decay(v, decay_v)                                if decay_timing = "before"
    v  = reset(v, R)                                      if reset_timing = "next_step"
    v  = v + u' + bias                                    u in place of u' if current_timing = "after"
    v  = reset(v, R)                                      if reset_timing = "next_step_after_input"
    v  = reset(v, P)                                      if reset_timing = "immediate_pending"; then, whatever the
                                                          timing, the overflow rule of the membrane
    v  = max(v, v_min)                                    if v_min is given
    n  = spikes: how often v passes threshold + j·spacing, j = 0 … levels−1; mirrored too if signed
    v  = reset(v, n)                                      if reset_timing = "immediate"
    v  = reset(v, n − P)                                  if reset_timing = "immediate_pending"
    v  = decay(v, decay_v)                                if decay_timing = "after"
    u  = u'                                               0 where the membrane was reset, if reset_current

Readouts: "spike_count" Σ_t n, "weighted_count" Σ_t weight[t]·n, "membrane" v after the last step, "summed_current" Σ_t u.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.ir.dynamics import resetting
from snncc.program.counts import Counter, StepCounts, add_counts
from snncc.program.currents import project
from snncc.program.program import DECAY_BITS, Arithmetic, Population, Program

Array = np.ndarray
State = tuple[Array, Array, Array]
"""(u, v, spikes of the step), each (N, *shape)."""


@dataclass(frozen=True, eq=False)
class IntegerRecording:
    """What a run of a Program left behind.

    Attributes:
        spikes, membranes: (T, N, *shape) by population, int64 or int32; empty unless recorded.
        scores: (N, classes) int64, or (N, T, classes) where each step has its answer. predictions: (N,) or (N, T).
        counts: exact event counts by population.
        samples: N.
    """

    spikes: Mapping[str, Array]
    membranes: Mapping[str, Array]
    scores: Array
    predictions: Array
    counts: Mapping[str, StepCounts]
    samples: int


def run_reference(
    program: Program,
    inputs: Array,
    record: bool = True,
    observe: Callable[[str, int, State, Array], None] | None = None,
) -> IntegerRecording:
    """Run ``program`` on integers (N, *shape) where the source is static, else (T, N, *shape). ``observe(name, t, state,
    current)`` sees the state that each population has before each step, and what arrives (N, *shape)."""
    check_inputs(program, inputs)
    static = program.source.encoding == "static"
    samples = inputs.shape[0] if static else inputs.shape[1]
    inputs = inputs.astype(np.int64)
    steps = program.time_steps
    emitted: dict[str, list[Array]] = {p.name: [] for p in program.populations}
    emitted[program.source.name] = [inputs if static else inputs[t] for t in range(steps)]
    membranes: dict[str, list[Array]] = {p.name: [] for p in program.populations}
    counters = {p.name: Counter(program, p, steps) for p in program.populations}
    state = {p.name: _initial(p, samples) for p in program.populations}
    answers: list[Array] = []

    for t in range(steps):
        for population in program.populations:
            name = population.name
            current = np.zeros((samples, *population.shape), np.int64)
            for projection in program.incoming(name):
                if t >= projection.delay:
                    arriving = emitted[projection.source][t - projection.delay]
                    current += project(program, projection, arriving)
                    counters[name].project(t, projection, arriving)
            old = state[name]
            if observe is not None:
                observe(name, t, old, current)
            u, v, spikes = update(population, program.arithmetic, old, current)
            state[name] = (u, v, spikes)
            counters[name].update(t, old, current, spikes)
            emitted[name].append(spikes)
            if record:
                membranes[name].append(v)
            if name == program.readout.population:
                answers.append(_read(program, t, u, v, spikes).reshape(samples, -1))
    scores = _scores(program, answers)
    return IntegerRecording(
        {p.name: np.stack(emitted[p.name]) for p in program.populations} if record else {},
        {n: np.stack(m) for n, m in membranes.items()} if record else {},
        scores,
        predict(scores, program.readout.ties),
        {n: c.result() for n, c in counters.items()},
        samples,
    )


def update(population: Population, arithmetic: Arithmetic, state: State, current: Array) -> State:
    """(u, v, spikes) after one step: the equations at the top of this file."""
    u, v, fired = state
    p, a = population, arithmetic
    injected = (current << p.guard_bits) + p.current_bias
    u = injected if p.decay_u is None else decay(u, p.decay_u, a.rounding) + injected
    u = overflow(p.name, "current", u, a.current_overflow, a.state_bits)
    if p.decay_timing == "before":
        v = decay(v, p.decay_v, a.rounding)
    if p.fires and p.reset_timing == "next_step":
        v = reset(p, v, fired)
    v = v + (state[0] if p.current_timing == "after" else u) + p.bias
    if p.fires and p.reset_timing == "next_step_after_input":
        v = reset(p, v, fired)
    owed = count_spikes(p, state[1]) if p.fires and p.reset_timing == "immediate_pending" else None
    if owed is not None:
        v = reset(p, v, owed)
    v = overflow(p.name, "membrane", v, a.membrane_overflow, a.state_bits)
    if p.v_min is not None:
        v = np.maximum(v, p.v_min)
    spikes = count_spikes(p, v) if p.fires else np.zeros_like(v)
    if p.fires and p.reset_timing == "immediate":
        v = reset(p, v, spikes)
    if owed is not None:
        v = reset(p, v, spikes - owed)
    if p.decay_timing == "after":
        v = decay(v, p.decay_v, a.rounding)
    if p.fires and p.reset_current:
        u = np.where(resetting(p, fired, spikes) != 0, 0, u)
    return u, v, spikes


def decay(x: Array, factor: Array, rounding: str) -> Array:
    """``x · factor / 4096`` in whole numbers."""
    product = x * factor.astype(np.int64)
    if rounding == "nearest":
        return (product + (1 << (DECAY_BITS - 1))) >> DECAY_BITS
    if rounding == "floor":
        return product >> DECAY_BITS
    return np.sign(product) * (np.abs(product) >> DECAY_BITS)


def overflow(name: str, what: str, x: Array, rule: str, bits: int) -> Array:
    """``x`` under an overflow rule for a state of ``bits`` bits, sign included."""
    limit = 1 << (bits - 1)
    if rule == "saturate":
        return np.clip(x, -(limit - 1), limit - 1)
    if rule == "wrap":  # Lava's LIF: once, and 2**23 itself stays
        wrapped = np.where(x > limit, x - 2 * limit, x)
        return np.where(wrapped <= -limit, x + 2 * limit, wrapped)
    if x.size and max(int(x.max()), -int(x.min())) >= limit:
        raise UnsupportedError(
            f"{name}: the {what} reached {np.abs(x).max()}, beyond {bits} bits; use fewer time steps, --bits or --guard-bits"
        )
    return x


def count_spikes(population: Population, v: Array) -> Array:
    """Spikes of a step for membrane ``v``."""
    spacing = population.reset_amount if population.reset == "subtract" else population.threshold
    spacing = np.maximum(spacing, 1)

    def one_sided(x: Array) -> Array:
        above = x - population.threshold - (1 if population.compare == ">" else 0)
        return np.clip(above // spacing + 1, 0, population.levels)

    spikes = one_sided(v)
    return spikes - one_sided(-v) if population.signed else spikes


def reset(population: Population, v: Array, spikes: Array) -> Array:
    """The membrane after ``spikes`` reset it."""
    if population.reset == "subtract":
        return v - spikes * population.reset_amount
    if population.reset == "to_value":
        return np.where(spikes != 0, population.reset_value, v)
    return v


def predict(scores: Array, ties: str) -> Array:
    """Winning class (…) of scores (…, classes) under the tie rule."""
    if ties == "highest_index":
        return scores.shape[-1] - 1 - scores[..., ::-1].argmax(axis=-1)
    return scores.argmax(axis=-1)


def join(program: Program, parts: list[IntegerRecording]) -> IntegerRecording:
    """One recording of several batches."""
    if len(parts) == 1:
        return parts[0]
    scores = np.concatenate([p.scores for p in parts])
    return IntegerRecording(
        {n: np.concatenate([p.spikes[n] for p in parts], axis=1) for n in parts[0].spikes},
        {n: np.concatenate([p.membranes[n] for p in parts], axis=1) for n in parts[0].membranes},
        scores,
        predict(scores, program.readout.ties),
        add_counts([p.counts for p in parts]),
        sum(p.samples for p in parts),
    )


def check_inputs(program: Program, inputs: Array) -> None:
    """Raise :class:`InputError` where data does not fit the program's source."""
    source = program.source
    axes = 1 if source.encoding == "static" else 2
    if inputs.ndim != axes + len(source.shape) or inputs.shape[axes:] != source.shape:
        raise InputError(f"{source.name}: the data has shape {inputs.shape}; each sample must be {source.shape}")
    if axes == 2 and inputs.shape[0] != program.time_steps:
        raise InputError(f"{source.name}: the data has {inputs.shape[0]} steps; the program runs {program.time_steps}")
    if not np.issubdtype(inputs.dtype, np.integer):
        raise InputError(f"{source.name}: the data holds {inputs.dtype}; whole numbers are needed")
    if not inputs.size:
        raise InputError(f"{source.name}: the data holds no samples")
    if inputs.min() < source.low or inputs.max() > source.high:
        raise InputError(
            f"{source.name}: the data spans {inputs.min()}..{inputs.max()}, beyond {source.low}..{source.high}"
        )


def _initial(population: Population, samples: int) -> State:
    shape = (samples, *population.shape)
    zero = np.zeros(shape, np.int64)
    return zero, np.broadcast_to(population.v_init.astype(np.int64), shape), zero


def _read(program: Program, t: int, u: Array, v: Array, spikes: Array) -> Array:
    """What the readout sees of step t."""
    readout = program.readout
    if readout.kind == "membrane":
        return v
    if readout.kind == "summed_current":
        return u
    if readout.kind == "weighted_count":
        assert readout.time_weights is not None
        return spikes * readout.time_weights[t]
    return spikes


def _scores(program: Program, answers: list[Array]) -> Array:
    """Scores (N, classes), or (N, T, classes), of what the readout saw (N, classes) at each step."""
    if program.readout.each_step:
        return np.stack(answers, axis=1)
    return answers[-1] if program.readout.kind == "membrane" else np.sum(answers, axis=0)
