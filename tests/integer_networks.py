"""Random small Programs for property tests: every field of a population, every kind of projection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from networks import fitting, random_input, seeds

from snncc.ir.dynamics import COMPARES, CURRENT_TIMINGS, DECAY_TIMINGS, RESET_TIMINGS, RESETS
from snncc.ir.nodes import READOUTS, TIE_RULES
from snncc.program.program import (
    DECAY_ONE,
    LOIHI,
    Arithmetic,
    Population,
    Program,
    Projection,
    Readout,
    Source,
    conv_shape,
    pooled_shape,
)

Array = np.ndarray
Shape = tuple[int, ...]
SHAPES: tuple[Shape, ...] = ((2, 3, 4), (4, 2, 2), (3, 5), (6,), (1,))


@st.composite
def programs(draw: Any, arithmetic: Arithmetic) -> Program:
    """One to three populations of any shapes, wired forward and in loops. In loihi arithmetic weights are so large that
    currents wrap and membranes saturate."""
    rng = np.random.default_rng(draw(seeds))
    span = draw(st.sampled_from((1, 1000, 5000))) if arithmetic is LOIHI else draw(st.sampled_from((1, 20)))
    encoding = draw(st.sampled_from(("static", "frames", "spikes")))
    low, high = draw(st.sampled_from(((0, 1), (-3, 2), (0, 255), (2, 5))))
    source = Source("input", draw(st.sampled_from(SHAPES)), encoding, low, high)
    shapes = {"input": source.shape}
    populations: list[Population] = []
    projections: list[Projection] = []
    for i in range(draw(st.integers(1, 3))):
        name = f"p{i}"
        sources = draw(st.lists(st.sampled_from(sorted(shapes)), min_size=1, max_size=2, unique=True))
        made = [_conv(draw, rng, f"{s}-{name}", s, name, shapes[s], span) for s in sources[:1]]
        conv = next((p for p in made if p is not None and draw(st.booleans())), None)
        shape = pooled_shape(conv, shapes[sources[0]]) if conv else draw(st.sampled_from(SHAPES))
        shapes[name] = shape
        projections += [conv] if conv else []
        for s in sources[1:] if conv else sources:
            projections.append(_dense_or_sparse(draw, rng, f"{s}-{name}", s, name, shapes, span))
        populations.append(draw(populations_of(name, shape, span * 40, i == 0)))
    for i in range(draw(st.integers(0, 2))):  # loops, and delays along the way
        s, t = (draw(st.sampled_from([p.name for p in populations])) for _ in range(2))
        projections.append(_dense_or_sparse(draw, rng, f"loop{i}", s, t, shapes, span, delay=draw(st.integers(1, 3))))
    steps = draw(st.integers(1, 6))
    return Program(
        "random", steps, arithmetic, source, tuple(populations), tuple(projections),
        _readout(draw, rng, populations[-1], steps),
    )  # fmt: skip


@st.composite
def populations_of(draw: Any, name: str, shape: Shape, span: int, fires: bool = False) -> Population:
    """A population whose constants, in guarded units, are of the order of ``span << guard_bits``."""
    rng = np.random.default_rng(draw(seeds))
    guard_bits = draw(st.sampled_from((0, 3, 6)))

    def value(low: float, high: float) -> Array:
        form = draw(st.sampled_from(("scalar", "scalar", "channel", "neuron")))
        size = {"scalar": (), "channel": (shape[0], *(1,) * (len(shape) - 1)), "neuron": shape}[form]
        return np.asarray(rng.integers(int(low * (span << guard_bits)), int(high * (span << guard_bits)) + 1, size))

    def decay() -> Array:
        return np.asarray(
            rng.choice([0, 1, 1000, 2048, 4000, 4095, DECAY_ONE], size=draw(st.sampled_from(((), shape))))
        )

    made = Population(
        name=name,
        shape=shape,
        threshold=np.asarray(value(0, 2) + 1),
        decay_v=decay(),
        bias=value(-0.5, 0.8),
        v_init=value(-1, 2),
        reset_amount=np.asarray(value(0, 2) + 1),
        reset_value=value(-2, 1),
        decay_u=decay() if draw(st.booleans()) else None,
        current_bias=value(-0.3, 0.3) if draw(st.booleans()) else np.asarray(0),
        v_min=value(-2, 0) if draw(st.booleans()) else None,
        compare=draw(st.sampled_from(COMPARES)),
        levels=draw(st.sampled_from((1, 2, 5))),
        signed=draw(st.booleans()),
        reset=draw(st.sampled_from(RESETS)),
        reset_timing=draw(st.sampled_from(RESET_TIMINGS)),
        decay_timing=draw(st.sampled_from(DECAY_TIMINGS)),
        reset_current=draw(st.booleans()),
        current_timing=draw(st.sampled_from(CURRENT_TIMINGS)),
        fires=fires or draw(st.integers(0, 3)) > 0,
        guard_bits=guard_bits,
    )
    return fitting(made)


def data_for(program: Program, seed: int, samples: int = 3) -> Array:
    """Input in the source's range; the first sample has only its ends."""
    s = program.source
    return random_input(s.shape, s.encoding, s.low, s.high, program.time_steps, seed, samples)


def _weights(draw: Any, rng: np.random.Generator, span: int, *shape: int) -> Array:
    largest = draw(st.sampled_from((7, 127, 200))) * span
    made = rng.integers(-largest, largest + 1, shape)
    made[rng.random(shape) < 0.3] = 0
    return made


def _conv(
    draw: Any, rng: np.random.Generator, name: str, source: str, target: str, given: Shape, span: int
) -> Projection | None:
    """A convolution with random geometry, or None where the source has no rows and columns."""
    if len(given) != 3:
        return None
    groups = draw(st.sampled_from((1, 2))) if given[0] % 2 == 0 else 1
    kernel = (draw(st.integers(1, given[1])), draw(st.integers(1, given[2])))
    weight = _weights(draw, rng, span, 2, given[0] // groups, *kernel)
    made = Projection(
        name, source, target, "conv", weight, draw(st.sampled_from((0, 0, 3))), draw(st.sampled_from((0, 0, 1))),
        (draw(st.integers(1, 2)), 1), (draw(st.integers(0, 1)), 1), (1, draw(st.integers(1, 2))), groups,
    )  # fmt: skip
    _, rows, columns = conv_shape(made, given)
    if min(rows, columns) < 1:
        return None
    if draw(st.sampled_from((False, False, True))):
        pool = draw(st.integers(1, rows)), draw(st.integers(1, columns))
        made = replace(made, pool=pool, pool_stride=(draw(st.integers(1, 2)), draw(st.integers(1, 2))))
    return made


def _dense_or_sparse(
    draw: Any, rng: np.random.Generator, name: str, source: str, target: str, shapes: dict[str, Shape], span: int,
    delay: int | None = None,
) -> Projection:  # fmt: skip
    size_in, size_out = (int(np.prod(shapes[n])) for n in (source, target))
    weight = _weights(draw, rng, span, size_out, size_in)
    shift = draw(st.sampled_from((0, 0, 2, 9)))
    if delay is None:
        delay = draw(st.sampled_from((0, 0, 0, 2)))
    if draw(st.booleans()):
        return Projection(name, source, target, "dense", weight, shift, delay)
    index = np.stack(np.nonzero(rng.random(weight.shape) < 0.5)).astype(np.int64)
    order = rng.permutation(index.shape[1])
    index = index[:, order]
    return Projection(name, source, target, "sparse", weight[index[0], index[1]], shift, delay, index=index)


def _readout(draw: Any, rng: np.random.Generator, last: Population, steps: int) -> Readout:
    kind = draw(st.sampled_from(READOUTS if last.fires else ("membrane", "summed_current")))
    times = tuple(int(w) for w in rng.integers(-3, 6, steps)) if kind == "weighted_count" else None
    each_step = times is None and draw(st.sampled_from((False, False, True)))
    return Readout(last.name, kind, draw(st.sampled_from(TIE_RULES)), times, each_step)
