"""The integer network: populations and projections with one golden meaning (:mod:`snncc.program.reference`).

All numbers are whole numbers. A population's membrane and current are held in *guarded units*: one unit of a
projection's weight is ``2**guard_bits`` of them. Arrays are scalars (0-d) or broadcast to the population's shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from snncc.errors import GraphError
from snncc.ir.dynamics import COMPARES, CURRENT_TIMINGS, DECAY_TIMINGS, RESET_TIMINGS, RESETS, misfit
from snncc.ir.nodes import INPUT_ENCODINGS, READOUTS, TIE_RULES

Array = np.ndarray
Pair = tuple[int, int]

DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS
"""A decay of 4096 keeps everything: 12-bit fixed point, as Loihi's registers (Davies et al. 2018)."""

LARGEST_CONSTANT = 2**48
LARGEST_SUM = 2**44
LARGEST_LEVELS = 1 << 16
LARGEST_RESET = 1 << 60
"""Limits of constants, of a projection's sum, of the spikes a step and of what they all take off, so that no executor leaves 64
bits on the way."""
LARGEST_DELAY = 1_000_000
"""Steps, as many as a run may have: what waits longer never arrives."""


@dataclass(frozen=True)
class Arithmetic:
    """A profile of integer arithmetic.

    Attributes:
        name: "exact" (no state may leave its width: proven or an error) or "loihi" (Lava's and the chip's rules).
        rounding: of ``x · decay / 4096``: "nearest" is ``(x·d + 2048) >> 12``, "floor" ``(x·d) >> 12``, "toward_zero"
            ``sign(x)·(|x·d| >> 12)``.
        current_overflow, membrane_overflow: what happens to a state beyond ``state_bits``.
        state_bits: width of u and v, sign included. "wrap" is Lava's: once, and ``±2**(bits-1)`` asymmetrically;
            "saturate" clips to ``±(2**(bits-1) − 1)``.
    """

    name: Literal["exact", "loihi"]
    rounding: str
    current_overflow: str
    membrane_overflow: str
    state_bits: int


EXACT = Arithmetic("exact", "nearest", "error", "error", 51)  # a state times a 12-bit decay fits in 64 bits
LOIHI = Arithmetic("loihi", "toward_zero", "wrap", "saturate", 24)
ARITHMETICS = {"exact": EXACT, "loihi": LOIHI}


@dataclass(frozen=True, eq=False)
class Source:
    """Where data enters: integers of ``shape`` in low..high; encodings as in :class:`snncc.ir.nodes.Input`.

    A "static" source is the same at every step: what it drives is computed once and injected as a current each step.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons. Fields as in :class:`snncc.ir.dynamics.Dynamics`, integers; see :mod:`snncc.program.reference`.

    Attributes:
        decay_u: 12-bit decay of the current, or None for a memoryless one.
        decay_v: 12-bit decay of the membrane.
        current_bias: added to the current in every step, in guarded units.
        bias, threshold, reset_amount, reset_value, v_init, v_min: in guarded units.
        unit: what one (unguarded) unit is worth on the float membrane, per channel or scalar: for people, not executors.
    """

    name: str
    shape: tuple[int, ...]
    threshold: Array
    decay_v: Array
    bias: Array
    v_init: Array
    reset_amount: Array
    reset_value: Array
    decay_u: Array | None = None
    current_bias: Array = field(default_factory=lambda: np.asarray(0))
    v_min: Array | None = None
    compare: str = ">="
    levels: int = 1
    signed: bool = False
    reset: str = "subtract"
    reset_timing: str = "immediate"
    decay_timing: str = "before"
    reset_current: bool = False
    current_timing: str = "before"
    fires: bool = True
    guard_bits: int = 6
    unit: Array = field(default_factory=lambda: np.asarray(1.0))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Projection:
    """Synapses from ``source`` to ``target``: ``current += floor(Σ w·s / 2**shift)``, arriving ``delay`` steps later.

    Attributes:
        kind: "dense", weight (out, in) over the flattened source; "conv", weight (out, in/groups, ky, kx) over
            (C, H, W); "sparse", ``weight`` holds the non-zero values and ``index`` (2, nnz) their (target, source) pairs.
        shift: right shift after the sum.
        pool: (ky, kx) of a "conv" whose shifted sums are max pooled, with ``pool_stride`` and no padding, before they
            arrive; the target has the pooled shape.
    """

    name: str
    source: str
    target: str
    kind: Literal["dense", "conv", "sparse"]
    weight: Array
    shift: int = 0
    delay: int = 0
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    index: Array | None = None
    pool: Pair | None = None
    pool_stride: Pair = (1, 1)


@dataclass(frozen=True)
class Readout:
    """How ``population``'s run becomes a score a class: see :class:`snncc.ir.nodes.Output`."""

    population: str
    kind: str
    ties: str = "lowest_index"
    time_weights: tuple[int, ...] | None = None
    each_step: bool = False


@dataclass(frozen=True, eq=False)
class Program:
    """An integer network. ``populations`` are in an order in which every projection without delay points forward."""

    name: str
    time_steps: int
    arithmetic: Arithmetic
    source: Source
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    readout: Readout
    origin: Mapping[str, Any] = field(default_factory=dict)

    def population(self, name: str) -> Population:
        """The population of that name."""
        return next(p for p in self.populations if p.name == name)

    def incoming(self, name: str) -> tuple[Projection, ...]:
        """Projections into a population, in order."""
        return tuple(p for p in self.projections if p.target == name)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of the source or of a population."""
        return self.source.shape if name == self.source.name else self.population(name).shape

    def is_static(self, projection: Projection) -> bool:
        """Whether what the projection brings is the same at every step, so that it is computed once."""
        return projection.source == self.source.name and self.source.encoding == "static"


def check_program(program: Program) -> None:
    """Raise :class:`GraphError` naming the part of the program that breaks a rule stated in this file."""
    _check_source(program.source)
    if program.time_steps < 1:
        raise GraphError(f"{program.name}: runs {program.time_steps} time steps; at least 1 is needed")
    known = {program.source.name}
    names = [program.source.name, *(p.name for p in program.populations)]
    if len(set(names)) != len(names):
        raise GraphError(f"{program.name}: two populations have one name ({', '.join(names)})")
    projections = [p.name for p in program.projections]
    if len(set(projections)) != len(projections):
        raise GraphError(f"{program.name}: two projections have one name ({', '.join(projections)})")
    for population in program.populations:
        check_population(population)
        for projection in program.incoming(population.name):
            if projection.source not in names:
                raise GraphError(f"{projection.name}: its source {projection.source!r} is no population")
            check_projection(program, projection)
            if projection.delay == 0 and projection.source not in known:
                raise GraphError(f"{projection.name}: comes from a later population without a delay; give it 1 or more")
        known.add(population.name)
    for projection in program.projections:
        if projection.target not in known or projection.target == program.source.name:
            raise GraphError(f"{projection.name}: its target {projection.target!r} is no population")
    readout = program.readout
    if readout.population not in known - {program.source.name}:
        raise GraphError(f"readout: reads {readout.population!r}, which is no population")
    _check_choice("readout", "kind", readout.kind, READOUTS)
    _check_choice("readout", "ties", readout.ties, TIE_RULES)
    if not isinstance(readout.each_step, bool):
        raise GraphError(f"readout: each_step is {readout.each_step!r}; it must be true or false")
    if readout.each_step and readout.kind == "weighted_count":
        raise GraphError("readout: weighted_count adds steps up, but each step has its own answer")
    given = -1 if readout.time_weights is None else len(readout.time_weights)
    if given != (program.time_steps if readout.kind == "weighted_count" else -1):
        raise GraphError(f"readout: {readout.kind} with {max(given, 0)} time weights, in {program.time_steps} steps")
    if readout.kind in ("spike_count", "weighted_count") and not program.population(readout.population).fires:
        raise GraphError(f"readout: counts spikes of {readout.population}, which never fires")


def _check_choice(name: str, what: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise GraphError(f"{name}: {what} is {value!r}; it must be one of {', '.join(map(str, allowed))}")


def _check_whole(name: str, what: str, value: object, most: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value <= most:
        raise GraphError(f"{name}: {what} is {value!r}; it must be a whole number in 0..{most:,}")


def _check_source(source: Source) -> None:
    if not source.shape or min(source.shape) < 1 or source.low > source.high:
        raise GraphError(f"{source.name}: shape {source.shape} and range {source.low}..{source.high} make no source")
    if source.low < -(2**31) or source.high >= 2**31:
        raise GraphError(f"{source.name}: range {source.low}..{source.high} is beyond 32 bits")
    _check_choice(source.name, "encoding", source.encoding, INPUT_ENCODINGS)


def check_population(population: Population) -> None:
    """Types, shapes and ranges of one population."""
    name = population.name
    for what in (
        "threshold",
        "decay_v",
        "bias",
        "v_init",
        "reset_amount",
        "reset_value",
        "decay_u",
        "v_min",
        "current_bias",
    ):
        value = getattr(population, what)
        if value is None:
            continue
        if not np.issubdtype(value.dtype, np.integer):
            raise GraphError(f"{name}: {what} is {value.dtype}; a program holds whole numbers only")
        try:
            fits = np.broadcast_shapes(value.shape, population.shape) == population.shape
        except ValueError:
            fits = False
        if not fits:
            raise GraphError(f"{name}: {what} has shape {value.shape}, which does not broadcast to {population.shape}")
        if max(int(value.max()), -int(value.min())) >= LARGEST_CONSTANT:
            raise GraphError(
                f"{name}: {what} spans {value.min()}..{value.max()}; it must stay within ±{LARGEST_CONSTANT}"
            )
    _check_choice(name, "compare", population.compare, COMPARES)
    _check_choice(name, "reset", population.reset, RESETS)
    _check_choice(name, "reset_timing", population.reset_timing, RESET_TIMINGS)
    _check_choice(name, "decay_timing", population.decay_timing, DECAY_TIMINGS)
    _check_choice(name, "current_timing", population.current_timing, CURRENT_TIMINGS)
    for what in ("decay_v", "decay_u"):
        value = getattr(population, what)
        if value is not None and (value.min() < 0 or value.max() > DECAY_ONE):
            raise GraphError(f"{name}: {what} is {value.min()}..{value.max()}; it must lie in 0..{DECAY_ONE}")
    if not 0 <= population.guard_bits <= 16:
        raise GraphError(f"{name}: guard_bits is {population.guard_bits}; it must lie in 0..16")
    if not 1 <= population.levels <= LARGEST_LEVELS:
        raise GraphError(f"{name}: levels is {population.levels}; it must lie in 1..{LARGEST_LEVELS}")
    one = max(int(np.abs(population.reset_amount).max()), int(np.abs(population.threshold).max()))
    if population.levels * one > LARGEST_RESET:
        raise GraphError(
            f"{name}: {population.levels} spikes of {one} units each leave 64 bits (limit {LARGEST_RESET} units in all); use fewer "
            "levels or --guard-bits"
        )
    if population.fires and population.threshold.min() < (0 if population.compare == ">" else 1):
        raise GraphError(f"{name}: threshold is {population.threshold.min()}; a silent neuron would fire")
    if population.fires and population.reset == "subtract" and population.reset_amount.min() < 1:
        raise GraphError(f"{name}: reset_amount is {population.reset_amount.min()}; it must be 1 or more")
    if misfit(population, population.decay_u is not None):
        raise GraphError(f"{name}: {misfit(population, population.decay_u is not None)}")


def check_projection(program: Program, projection: Projection) -> None:
    """Shapes of one projection against its ends."""
    name, weight = projection.name, projection.weight
    given, wanted = program.shape_of(projection.source), program.shape_of(projection.target)
    if not np.issubdtype(weight.dtype, np.integer):
        raise GraphError(f"{name}: weight is {weight.dtype}; a program holds whole numbers only")
    _check_whole(name, "shift", projection.shift, 31)
    _check_whole(name, "delay", projection.delay, LARGEST_DELAY)
    if min(*projection.stride, *projection.dilation) < 1 or min(projection.padding) < 0:
        raise GraphError(f"{name}: stride and dilation must be 1 or more, padding 0 or more")
    _check_choice(name, "kind", projection.kind, ("dense", "conv", "sparse"))
    size_in, size_out = int(np.prod(given)), int(np.prod(wanted))
    if projection.kind == "dense":
        fits = weight.shape == (size_out, size_in)
    elif projection.kind == "conv":
        fits = weight.ndim == 4 and len(given) == 3 and pooled_shape(projection, given) == wanted
    else:
        index = projection.index
        fits = index is not None and index.shape == (2, weight.size) and weight.ndim == 1 and index.dtype.kind in "iu"
        if fits and index is not None and weight.size:
            fits = index.min() >= 0 and index[0].max() < size_out and index[1].max() < size_in
    if projection.pool is not None:
        fits = fits and projection.kind == "conv" and min(*projection.pool, *projection.pool_stride) > 0
    if not fits:
        raise GraphError(f"{name}: {projection.kind} weight {weight.shape} does not lead from {given} to {wanted}")
    _check_sum(program, projection)


def _check_sum(program: Program, projection: Projection) -> None:
    """The weights fit 32 bits, and no sum of the projection can leave :data:`LARGEST_SUM`."""
    weight, source = projection.weight, program.source
    if not weight.size:
        return
    if projection.kind == "sparse":
        assert projection.index is not None
        fan_in = int(np.bincount(projection.index[0]).max())
    else:
        fan_in = weight[0].size
    largest = max(int(weight.max()), -int(weight.min()))
    if projection.source == source.name:
        most = max(abs(source.low), abs(source.high))
    else:
        most = program.population(projection.source).levels
    if largest >= 2**31 or largest * most * fan_in >= LARGEST_SUM:
        raise GraphError(
            f"{projection.name}: weights reach {largest} over {fan_in} inputs of up to {most}; weights must fit 32 bits "
            f"and sums stay below {LARGEST_SUM}"
        )


def pooled_shape(projection: Projection, given: tuple[int, ...]) -> tuple[int, ...]:
    """Shape (C, H, W) of what a convolution brings, after max pooling where it has one."""
    shape = conv_shape(projection, given)
    if projection.pool is None or not shape:
        return shape
    kernel, stride = projection.pool, projection.pool_stride
    return (shape[0], *((shape[1 + i] - kernel[i]) // stride[i] + 1 for i in range(2)))


def conv_shape(projection: Projection, given: tuple[int, ...]) -> tuple[int, ...]:
    """Output shape (C, H, W) of a convolution for input ``given``; () where its channels do not fit."""
    out, per_group, *kernel = projection.weight.shape
    if projection.groups < 1 or out % projection.groups or per_group * projection.groups != given[0]:
        return ()
    sizes = tuple(
        (given[1 + i] + 2 * projection.padding[i] - projection.dilation[i] * (kernel[i] - 1) - 1)
        // projection.stride[i]
        + 1
        for i in range(2)
    )
    return (out, *sizes)
