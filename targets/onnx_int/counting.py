"""Exact event counts of a run whose spikes, membranes and synaptic currents were recorded: the definitions of
:class:`snncc.program.counts.Counter`, a whole run at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snncc.ir.dynamics import resetting
from snncc.program.counts import StepCounts, fan_out
from snncc.program.program import Population, Program, Projection
from snncc.program.reference import decay, overflow

Array = np.ndarray


def count_events(
    program: Program,
    inputs: Array,
    spikes: Mapping[str, Array],
    membranes: Mapping[str, Array],
    currents: Mapping[str, Array],
) -> dict[str, StepCounts]:
    """Counts by population. ``inputs`` are (N, *shape) if static, else (T, N, *shape), like the rest; ``currents`` hold the
    synaptic input of each step in units."""
    counts = {}
    for p in program.populations:
        fired, current = spikes[p.name], currents[p.name]
        steps = range(program.time_steps)
        counts[p.name] = StepCounts(
            np.full(program.time_steps, fired[0].size, np.int64),
            _active(program, p, fired, membranes[p.name], current),
            np.array([np.count_nonzero(fired[t]) for t in steps], np.int64),
            {q.name: _operations(program, q, inputs, spikes) for q in program.incoming(p.name)},
        )
    return counts


def _operations(program: Program, q: Projection, inputs: Array, spikes: Mapping[str, Array]) -> Array:
    """Synaptic operations of each step; what a static source drives counts once."""
    reached, static = fan_out(program, q), program.is_static(q)
    emitted = inputs if q.source == program.source.name else spikes[q.source]
    made = np.zeros(program.time_steps, np.int64)
    for t in range(q.delay, program.time_steps):
        if static and t > q.delay:
            break
        arriving = emitted if static else emitted[t - q.delay]
        made[t] = int((np.count_nonzero(arriving, axis=0) * reached).sum())
    return made


def _active(program: Program, p: Population, spikes: Array, membranes: Array, currents: Array) -> Array:
    """Neurons of each step with anything to do; their current before it is followed by the reference's own rules."""
    a = program.arithmetic
    made = np.zeros(program.time_steps, np.int64)
    u, fired = np.zeros_like(currents[0]), np.zeros_like(spikes[0])
    v = np.broadcast_to(p.v_init, currents[0].shape)
    for t, current in enumerate(currents):
        biased = (p.bias != 0) | (p.current_bias != 0)
        made[t] = np.count_nonzero((u != 0) | (v != 0) | (current != 0) | biased)
        injected = (current << p.guard_bits) + p.current_bias
        u = injected if p.decay_u is None else decay(u, p.decay_u, a.rounding) + injected
        u = overflow(p.name, "current", u, a.current_overflow, a.state_bits)
        if p.fires and p.reset_current:
            u = np.where(resetting(p, fired, spikes[t]) != 0, 0, u)
        v, fired = membranes[t], spikes[t]
    return made
