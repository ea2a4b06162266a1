"""Lay a Program out for the kernels, once: contiguous weights of the narrowest type, constants a neuron each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from snncc.errors import UnsupportedError
from snncc.program.bounds import prove_bounds
from snncc.program.program import Population, Program, Projection, conv_shape
from snncc.targets.fixed_sim import kernels

Array = np.ndarray
MAX_STATE_BITS = 51


@dataclass(frozen=True, eq=False)
class PreparedProjection:
    """Synapses in kernel layout; ``kind`` says which of the optional fields are set."""

    projection: Projection
    static: bool
    weight: Array
    fan_out: Array
    starts: Array | None = None
    targets: Array | None = None
    shape_in: tuple[int, int, int] | None = None
    shape_out: tuple[int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class PreparedPopulation:
    """Constants (9, size) and flags for :func:`kernels.update_neurons`, and the projections into it."""

    population: Population
    constants: Array
    v_init: Array
    flags: int
    reset: int
    accumulator: type
    projections: tuple[PreparedProjection, ...]


@dataclass(frozen=True, eq=False)
class PreparedProgram:
    """A Program in kernel layout."""

    program: Program
    populations: tuple[PreparedPopulation, ...]
    rounding: int
    overflow_u: int
    overflow_v: int
    limit: int
    depth: int


@lru_cache(maxsize=4)
def prepare(program: Program) -> PreparedProgram:
    """Lay out ``program``. Raises :class:`UnsupportedError` where 64-bit arithmetic is not proven to hold its states."""
    bounds = prove_bounds(program)
    populations = []
    for population in program.populations:
        proof = bounds.populations[population.name]
        if max(proof.state_bits, proof.accumulator_bits) > MAX_STATE_BITS:
            raise UnsupportedError(
                f"{population.name}: its state can need {proof.state_bits} bits, limit {MAX_STATE_BITS}; "
                "use fewer time steps, --bits or --guard-bits"
            )
        accumulator = np.int32 if proof.accumulator_bits <= 32 else np.int64
        populations.append(_population(program, population, accumulator))
    a = program.arithmetic
    overflows = {"error": kernels.UNBOUNDED, "saturate": kernels.SATURATE, "wrap": kernels.WRAP}
    return PreparedProgram(
        program,
        tuple(populations),
        {"nearest": kernels.NEAREST, "floor": kernels.FLOOR, "toward_zero": kernels.TOWARD_ZERO}[a.rounding],
        overflows[a.current_overflow],
        overflows[a.membrane_overflow],
        1 << (a.state_bits - 1),
        max((p.delay for p in program.projections), default=0),
    )


def to_kernel(x: Array, shape: tuple[int, ...]) -> Array:
    """(N, *shape) channel-first to (N, size) in kernel layout."""
    if len(shape) == 3:
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x.reshape(len(x), -1))


def from_kernel(x: Array, shape: tuple[int, ...]) -> Array:
    """(…, size) in kernel layout to (…, *shape) channel-first."""
    lead = x.shape[:-1]
    if len(shape) != 3:
        return x.reshape(*lead, *shape)
    return np.moveaxis(x.reshape(*lead, shape[1], shape[2], shape[0]), -1, -3)


def kernel_index(shape: tuple[int, ...]) -> Array:
    """For each channel-first flat index, its place in kernel layout."""
    size = int(np.prod(shape))
    order = to_kernel(np.arange(size).reshape(1, *shape), shape)[0]
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    return place


def _population(program: Program, p: Population, accumulator: type) -> PreparedPopulation:
    def full(value: Array | None, other: int = 0) -> Array:
        array = np.asarray(other if value is None else value, np.int64)
        return to_kernel(np.broadcast_to(array, (1, *p.shape)), p.shape)[0]

    spacing = p.reset_amount if p.reset == "subtract" else p.threshold
    constants = np.stack(
        [
            full(p.threshold),
            np.maximum(full(spacing), 1),
            full(p.reset_amount),
            full(p.reset_value),
            full(p.decay_v),
            full(p.decay_u),
            full(p.bias),
            full(p.current_bias),
            full(p.v_min),
        ]
    )
    chosen = {
        kernels.HAS_CURRENT: p.decay_u is not None,
        kernels.DECAY_AFTER: p.decay_timing == "after",
        kernels.RESET_NEXT_STEP: p.reset_timing == "next_step",
        kernels.RESET_AFTER_INPUT: p.reset_timing == "next_step_after_input",
        kernels.RESET_PENDING: p.reset_timing == "immediate_pending",
        kernels.RESET_CURRENT: p.reset_current,
        kernels.CURRENT_AFTER: p.current_timing == "after",
        kernels.HAS_V_MIN: p.v_min is not None,
        kernels.FIRES: p.fires,
        kernels.STRICT: p.compare == ">",
        kernels.SIGNED: p.signed,
    }
    reset = {"none": kernels.NONE, "subtract": kernels.SUBTRACT, "to_value": kernels.TO_VALUE}[p.reset]
    projections = tuple(_projection(program, q) for q in program.incoming(p.name))
    flags = sum(bit for bit, on in chosen.items() if on)
    return PreparedPopulation(p, constants, full(p.v_init), flags, reset, accumulator, projections)


def _projection(program: Program, q: Projection) -> PreparedProjection:
    given, wanted = program.shape_of(q.source), program.shape_of(q.target)
    small = q.weight.min(initial=0) >= -128 and q.weight.max(initial=0) <= 127
    weight = q.weight.astype(np.int8 if small else np.int32)
    static = program.is_static(q)
    if q.kind == "conv":
        return _conv(q, weight, static, given)
    place_in, place_out = kernel_index(given), kernel_index(wanted)
    if q.kind == "dense":
        transposed = np.empty((weight.shape[1], weight.shape[0]), weight.dtype)
        transposed[np.ix_(place_in, place_out)] = weight.T
        fan_out = np.count_nonzero(transposed, axis=1).astype(np.int64)
        return PreparedProjection(q, static, transposed, fan_out)
    assert q.index is not None
    sources, targets = place_in[q.index[1]], place_out[q.index[0]]
    order = np.argsort(sources, kind="stable")
    starts = np.zeros(len(place_in) + 1, np.int64)
    np.cumsum(np.bincount(sources, minlength=len(place_in)), out=starts[1:])
    fan_out = np.bincount(sources[weight != 0], minlength=len(place_in)).astype(np.int64)
    return PreparedProjection(q, static, weight[order], fan_out, starts, targets[order])


def _conv(q: Projection, weight: Array, static: bool, given: tuple[int, ...]) -> PreparedProjection:
    before_pool = conv_shape(q, given)
    shape_in, shape_out = (given[1], given[2], given[0]), (before_pool[1], before_pool[2], before_pool[0])
    out, per_group, ky, kx = weight.shape
    grouped = weight.reshape(q.groups, out // q.groups, per_group, ky, kx)
    laid = np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1).reshape(q.groups * per_group, ky, kx, out // q.groups))
    fan_out = np.zeros(int(np.prod(given)), np.int64)
    used = np.count_nonzero(laid, axis=3)
    kernels.conv_fan_out(used, shape_in, shape_out, q.stride, q.padding, q.dilation, fan_out)
    return PreparedProjection(q, static, laid, fan_out, shape_in=shape_in, shape_out=shape_out)
