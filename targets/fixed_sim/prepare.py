"""Lay a Program out for the kernels, once: contiguous weights of the narrowest type, constants that repeat, types that the
bounds prove wide enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.program.bounds import PopulationBounds, prove_bounds
from snncc.program.program import DECAY_ONE, Population, Program, Projection, conv_shape
from snncc.targets.fixed_sim import kernels, neurons
from snncc.targets.fixed_sim.immediate import stepper
from snncc.targets.fixed_sim.layout import kernel_index, to_kernel

Array = np.ndarray
Shape3 = tuple[int, int, int]
MAX_STATE_BITS = 51
STRETCH = 1024
"""Neurons that an update takes at once where constants repeat; they and their constants stay in the first-level cache."""


@dataclass(frozen=True, eq=False)
class PreparedProjection:
    """Synapses in kernel layout.

    Attributes:
        static: what it brings is computed once.
        given, wanted: shapes of source and target, channels first.
        sizes: neurons of source and target; the latter before any pooling.
        shape_in, shape_out: (H, W, C) of a convolution, before any pooling.
        spike_range: lowest and highest value that arrives.
        largest: no sum, whole or partial, exceeds this magnitude.
        fan_out: synapses with a weight that is not 0, a source neuron, kernel layout.
    """

    projection: Projection
    static: bool
    given: tuple[int, ...]
    wanted: tuple[int, ...]
    sizes: tuple[int, int]
    spike_range: tuple[int, int]
    largest: int
    shape_in: Shape3 | None = None
    shape_out: Shape3 | None = None

    @property
    def sums(self) -> Any:
        """Type in which its sums are added up."""
        return narrowest(self.largest, np.int16)

    @cached_property
    def weights(self) -> tuple[Array, ...]:
        """What the event kernel takes between the spikes and ``fan_out``."""
        weight = self.projection.weight.astype(narrowest(int(np.abs(self.projection.weight).max(initial=0)), np.int8))
        if self.projection.kind == "conv":
            return (taps(self.projection, weight) if self.plain else grouped(self.projection, weight),)
        if self.projection.kind == "dense":
            place_in, place_out = self.places
            laid = np.empty(self.sizes, weight.dtype)
            laid[np.ix_(place_in, place_out)] = weight.T
            return (laid,)
        sources, targets = self._ends
        order = np.argsort(sources, kind="stable")
        starts = np.zeros(self.sizes[0] + 1, np.int64)
        np.cumsum(np.bincount(sources, minlength=self.sizes[0]), out=starts[1:])
        return starts, targets[order], weight[order]

    @cached_property
    def fan_out(self) -> Array:
        q = self.projection
        if q.kind == "conv":
            count = np.zeros(self.sizes[0], np.int64)
            used = np.count_nonzero(grouped(q, q.weight), axis=3)
            kernels.conv_fan_out(used, self.shape_in, self.shape_out, q.stride, q.padding, q.dilation, count)
        elif q.kind == "dense":
            count = np.zeros(self.sizes[0], np.int64)
            count[self.places[0]] = np.count_nonzero(q.weight, axis=0)
        else:
            count = np.bincount(self._ends[0][q.weight != 0], minlength=self.sizes[0])
        return count.astype(np.int32 if int(count.sum()) < 2**31 else np.int64)

    @cached_property
    def mean_fan_out(self) -> float:
        """Over the source neurons."""
        return float(self.fan_out.mean())

    @property
    def plain(self) -> bool:
        """A convolution without groups and dilation."""
        return self.projection.groups == 1 and self.projection.dilation == (1, 1)

    @property
    def pooled(self) -> bool:
        """Whether the largest of windows arrives."""
        return self.projection.pool is not None

    @cached_property
    def places(self) -> tuple[Array, Array]:
        """Places in kernel layout of source and target neurons."""
        return kernel_index(self.given), kernel_index(self.wanted)

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        """(sources, targets) of a sparse projection's synapses, kernel layout."""
        index = self.projection.index
        assert index is not None
        place_in, place_out = self.places
        return place_in[index[1]], place_out[index[0]]


@dataclass(frozen=True, eq=False)
class PreparedPopulation:
    """What :func:`neurons.update` takes of a population, and the projections into it.

    Attributes:
        state: type of its membranes and currents.
        total: type of what arrives where several projections, or a shifted one, bring it.
        spike: type of its spikes.
        period: of its constants, in neurons.
        step: advances its neurons (see :func:`snncc.targets.fixed_sim.immediate.stepper`).
        past: steps of its spikes that are still needed after a step.
        stepwise: whether it hears later populations, or itself, so that it must run step by step.
    """

    population: Population
    state: Any
    total: Any
    spike: Any
    period: int
    step: Callable[..., None]
    v_init: Array
    past: int
    stepwise: bool
    projections: tuple[PreparedProjection, ...]

    @cached_property
    def moving(self) -> bool:
        """Whether other currents arrive at each step."""
        return any(not q.static for q in self.projections)

    @cached_property
    def widest(self) -> int:
        """Neurons, or sums before any pooling, whichever are more."""
        return max([self.population.size, *(q.sizes[1] for q in self.projections)])


@dataclass(frozen=True, eq=False)
class PreparedProgram:
    """A Program in kernel layout.

    Attributes:
        spans: populations in order, and whether they hear each other's earlier steps, or their own, so that the span must run
            step by step.
        past: steps of the source's values that are still needed after a step.
        pauses: steps before which static input begins to arrive late.
    """

    program: Program
    populations: tuple[PreparedPopulation, ...]
    spans: tuple[tuple[range, bool], ...]
    frame: Any
    past: int
    pauses: tuple[int, ...]


def narrowest(magnitude: int, least: Any) -> Any:
    """The narrowest whole type, ``least`` or wider, that holds ±``magnitude``."""
    return next(
        t for t in (np.int8, np.int16, np.int32, np.int64) if magnitude <= np.iinfo(t).max and np.can_cast(least, t)
    )


@lru_cache(maxsize=4)
def prepare(program: Program) -> PreparedProgram:
    """Lay out ``program``. Raises :class:`UnsupportedError` where 64-bit arithmetic is not proven to hold its states."""
    program = _within_the_run(program)
    bounds = prove_bounds(program).populations
    source = program.source
    ranges = {source.name: (source.low, source.high)} | {name: b.spikes for name, b in bounds.items()}
    a = program.arithmetic
    overflows = {"error": neurons.UNBOUNDED, "saturate": neurons.SATURATE, "wrap": neurons.WRAP}
    rounding = {"nearest": neurons.NEAREST, "floor": neurons.FLOOR, "toward_zero": neurons.TOWARD_ZERO}[a.rounding]
    rules = rounding, overflows[a.current_overflow], overflows[a.membrane_overflow], 1 << (a.state_bits - 1)
    spans = _spans(program)
    stepwise = [steps for indices, steps in spans for _ in indices]
    populations = tuple(
        _population(program, p, bounds[p.name], ranges, rules, steps)
        for p, steps in zip(program.populations, stepwise, strict=True)
    )
    late = {p.delay for p in program.projections if p.delay and program.is_static(p)}
    return PreparedProgram(
        program, populations, spans, spike_type(ranges[source.name]), _past(program, source.name),
        tuple(sorted(late)),
    )  # fmt: skip


def state_type(arithmetic_limit: int, p: Population, proof: PopulationBounds) -> Any:
    """int32 where nothing can leave it on the way through a step, whatever the order of additions; else int64."""
    one = [p.threshold, p.bias, p.current_bias, p.v_init, p.reset_value, *([] if p.v_min is None else [p.v_min])]
    spacing = max(int(np.abs(x).max()) for x in (p.reset_amount, p.threshold))
    total = sum(int(np.abs(x).max()) for x in one) + 2 * p.levels * spacing + (1 << p.guard_bits)
    total += sum(max(-low, high) for low, high in (proof.current, proof.membrane))
    total += max(-proof.arriving[0], proof.arriving[1]) << p.guard_bits
    wraps = 3 * arithmetic_limit if arithmetic_limit <= 1 << 23 else 0
    return np.int32 if total + wraps < 2**31 else np.int64


def _population(
    program: Program,
    p: Population,
    proof: PopulationBounds,
    ranges: dict[str, tuple[int, int]],
    rules: tuple[int, int, int, int],
    stepwise: bool,
) -> PreparedPopulation:
    if max(proof.state_bits, proof.accumulator_bits) > MAX_STATE_BITS:
        raise UnsupportedError(
            f"{p.name}: its state can need {proof.state_bits} bits, limit {MAX_STATE_BITS}; "
            "use fewer time steps, --bits or --guard-bits"
        )
    state = state_type(1 << (program.arithmetic.state_bits - 1), p, proof)
    spacing = np.maximum(p.reset_amount if p.reset == "subtract" else p.threshold, 1)
    rows = [
        p.threshold + (1 if p.compare == ">" else 0), spacing, p.reset_amount, p.reset_value, p.decay_v,
        np.asarray(0) if p.decay_u is None else p.decay_u, p.bias, p.current_bias,
        np.asarray(0) if p.v_min is None else p.v_min, p.v_init,
    ]  # fmt: skip
    flags = {
        neurons.HAS_CURRENT: p.decay_u is not None,
        neurons.DECAY_AFTER: p.decay_timing == "after",
        neurons.RESET_NEXT_STEP: p.reset_timing == "next_step" and p.fires,
        neurons.RESET_AFTER_INPUT: p.reset_timing == "next_step_after_input" and p.fires,
        neurons.RESET_PENDING: p.reset_timing == "immediate_pending" and p.fires,
        neurons.RESET_CURRENT: p.reset_current,
        neurons.CURRENT_AFTER: p.current_timing == "after",
        neurons.HAS_V_MIN: p.v_min is not None,
        neurons.FIRES: p.fires,
        neurons.SIGNED: p.signed,
        neurons.LEAKS: bool((p.decay_v != DECAY_ONE).any()),
    }
    constants = _repeating(rows, p.shape, state)
    step = stepper(
        constants, p.guard_bits, p.levels, sum(bit for bit, on in flags.items() if on),
        {"none": neurons.NONE, "subtract": neurons.SUBTRACT, "to_value": neurons.TO_VALUE}[p.reset], rules,
        max(-proof.membrane[0], proof.membrane[1], int(np.abs(p.v_init).max())),
    )  # fmt: skip
    projections = tuple(_projection(program, q, ranges[q.source]) for q in program.incoming(p.name))
    return PreparedPopulation(
        p, state, narrowest(sum(q.largest for q in projections), np.int32), spike_type(ranges[p.name]),
        constants.shape[1], step, to_kernel(np.broadcast_to(p.v_init, (1, *p.shape)), p.shape)[0].astype(state),
        max(1, _past(program, p.name)), stepwise, projections,
    )  # fmt: skip


def _repeating(rows: list[Array], shape: tuple[int, ...], state: Any) -> Array:
    """Constants (10, period) in kernel layout: whole samples, or whole channels where each has one value."""
    by_channel = len(shape) == 3 and all(row.size == 1 or row.shape == (shape[0], 1, 1) for row in rows)
    if all(row.size == 1 for row in rows):
        one = [row.reshape(1) for row in rows]
    elif by_channel:
        one = [np.broadcast_to(row.reshape(-1), shape[0]) for row in rows]
    else:
        one = [to_kernel(np.broadcast_to(row, (1, *shape)), shape)[0] for row in rows]
    return np.ascontiguousarray(np.tile(np.stack(one), max(1, STRETCH // one[0].size)).astype(state))


def _projection(program: Program, q: Projection, spikes: tuple[int, int]) -> PreparedProjection:
    given, wanted = program.shape_of(q.source), program.shape_of(q.target)
    if q.kind == "sparse":
        assert q.index is not None
        reach = np.bincount(q.index[0], np.abs(q.weight).astype(float), minlength=1)
    else:
        reach = np.abs(q.weight.astype(np.int64)).reshape(len(q.weight), -1).sum(axis=1)
    largest = int(reach.max(initial=0)) * max(abs(spikes[0]), abs(spikes[1]))
    shape_in = shape_out = None
    size_out = int(np.prod(wanted))
    if q.kind == "conv":
        channels, *image = conv_shape(q, given)
        shape_in, shape_out = (given[1], given[2], given[0]), (image[0], image[1], channels)
        size_out = int(np.prod(shape_out))
    return PreparedProjection(
        q, program.is_static(q), given, wanted, (int(np.prod(given)), size_out), spikes, largest, shape_in, shape_out
    )


def taps(q: Projection, weight: Array) -> Array:
    """Weights (C·ky·sx, taps·out) of a plain convolution: the kernel columns of each residue, the last first."""
    out, channels, ky, kx = weight.shape
    sx = q.stride[1]
    laid = np.zeros((channels, ky, sx, -(-kx // sx), out), weight.dtype)
    for residue in range(sx):
        columns = weight[:, :, :, residue::sx][..., ::-1]
        laid[:, :, residue, : columns.shape[3]] = columns.transpose(1, 2, 3, 0)
    return np.ascontiguousarray(laid.reshape(channels * ky * sx, -1))


def grouped(q: Projection, weight: Array) -> Array:
    """Weights (C, ky, kx, out/groups) of any convolution."""
    out, per_group, ky, kx = weight.shape
    split = weight.reshape(q.groups, out // q.groups, per_group, ky, kx)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 4, 1).reshape(q.groups * per_group, ky, kx, out // q.groups))


def spike_type(values: tuple[int, int]) -> Any:
    """Type of spikes from lowest to highest."""
    return np.uint8 if values[0] >= 0 and values[1] <= 255 else np.int32


def _within_the_run(program: Program) -> Program:
    """Delays beyond the last step cut to it: nothing arrives either way, and spikes are kept for as long as the longest delay."""
    longest = program.time_steps
    return replace(program, projections=tuple(replace(q, delay=min(q.delay, longest)) for q in program.projections))


def _past(program: Program, source: str) -> int:
    return max((p.delay for p in program.projections if p.source == source), default=0)


def _spans(program: Program) -> tuple[tuple[range, bool], ...]:
    place = {p.name: i for i, p in enumerate(program.populations)}
    spans: list[tuple[range, bool]] = []
    for i, p in enumerate(program.populations):
        last = max([-1, *(place[q.source] for q in program.incoming(p.name) if q.source in place)])
        if spans and i in spans[-1][0]:
            first = spans[-1][0].start
            spans[-1] = range(first, max(spans[-1][0].stop, last + 1)), True
        else:
            spans.append((range(i, max(i, last) + 1), last >= i))
    return tuple(spans)
