"""Small Programs for the targets' tests, by hand and at random, in the loihi arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from networks import fitting

from snncc.ir.dynamics import RESET_TIMINGS
from snncc.program.program import LOIHI, Arithmetic, Population, Program, Projection, Readout, Source, conv_shape

Array = np.ndarray
GUARD = 6


def whole(value: object) -> Array:
    """An int64 array."""
    return np.asarray(value, np.int64)


def neurons(name: str, shape: tuple[int, ...], **fields: Any) -> Population:
    """A population that fits Lava's stock LIF unless ``fields`` say otherwise."""
    made: dict[str, Any] = {
        "threshold": whole(100 << GUARD),
        "decay_v": whole(4096),
        "bias": whole(0),
        "v_init": whole(0),
        "reset_amount": whole(100 << GUARD),
        "reset_value": whole(0),
        "compare": ">",
        "reset": "to_value",
        "guard_bits": GUARD,
    }
    return Population(name, shape, **{**made, **fields})


def static(shape: tuple[int, ...], low: int = 0, high: int = 255) -> Source:
    """A source that is the same at every step."""
    return Source("input", shape, "static", low, high)


def frames(shape: tuple[int, ...], low: int = 0, high: int = 1) -> Source:
    """A source with data of its own at every step."""
    return Source("input", shape, "spikes" if (low, high) == (0, 1) else "frames", low, high)


def program(
    source: Source,
    populations: list[Population],
    projections: list[Projection],
    readout: Readout,
    time_steps: int = 4,
    arithmetic: Arithmetic = LOIHI,
) -> Program:
    """A Program named "net"."""
    return Program("net", time_steps, arithmetic, source, tuple(populations), tuple(projections), readout)


def weights(rng: np.random.Generator, *shape: int, high: int = 127) -> Array:
    """Random weights, -high..high."""
    return rng.integers(-high, high + 1, shape)


def data_for(p: Program, rng: np.random.Generator, samples: int) -> Array:
    """Random input data of a Program."""
    lead = (samples,) if p.source.encoding == "static" else (p.time_steps, samples)
    return rng.integers(p.source.low, p.source.high + 1, (*lead, *p.source.shape))


def mnist_like(rng: np.random.Generator, fires_on: str = ">", **fields: Any) -> Program:
    """1×28×28 → 15C5 → 40 at kernel 10, stride 2 (a folded pool) → 300 → 10, which never fires; ``fields`` for hidden ones."""

    def hidden(name: str, shape: tuple[int, ...], threshold: int) -> Population:
        made = {"threshold": whole((threshold << GUARD) + (1 if fires_on == ">=" else 0)), "compare": fires_on}
        bias = rng.integers(-800, 800, (shape[0], *(1,) * (len(shape) - 1)))
        return neurons(name, shape, **{**made, "decay_v": whole(1229), "bias": bias, **fields})

    populations = [
        hidden("c1", (15, 28, 28), 60000),
        hidden("c2", (40, 10, 10), 3000),
        hidden("f1", (300,), 1500),
        neurons("out", (10,), fires=False, reset="none"),
    ]
    projections = [
        Projection("in-c1", "input", "c1", "conv", weights(rng, 15, 1, 5, 5), padding=(2, 2)),
        Projection("c1-c2", "c1", "c2", "conv", weights(rng, 40, 15, 10, 10), stride=(2, 2)),
        Projection("c2-f1", "c2", "f1", "dense", weights(rng, 300, 4000)),
        Projection("f1-out", "f1", "out", "dense", weights(rng, 10, 300)),
    ]
    return program(static((1, 28, 28)), populations, projections, Readout("out", "membrane"))


def random_program(rng: np.random.Generator, stock: bool = False) -> Program:
    """A small network over every field of a population and every kind of projection, with a skip and a loop now and then.

    ``stock``: only what Lava's own Processes compute.
    """
    source = _random_source(rng)
    shape = source.shape
    count = int(rng.integers(2, 4))
    populations: list[Population] = []
    projections: list[Projection] = []
    shapes: dict[str, tuple[int, ...]] = {"input": shape}
    before = "input"
    for i in range(count):
        name, kind = (
            f"p{i}",
            rng.choice(["conv", "dense", "sparse"] if len(shapes[before]) == 3 else ["dense", "sparse"]),
        )
        shift = 0 if stock and kind == "conv" else int(rng.choice([0, 0, 2]))
        delay = int(rng.choice([0, 0, 0, 1, 2]))
        made = _random_projection(
            rng, f"{before}-{name}", before, name, str(kind), shapes[before], shift=shift, delay=delay
        )
        shapes[name] = made[1]
        projections.append(made[0])
        if i and rng.random() < 0.5:  # a skip, which needs a delay line in Lava
            earlier = str(rng.choice(["input", *(p.name for p in populations[:-1])]))
            weight = weights(rng, int(np.prod(shapes[name])), int(np.prod(shapes[earlier])), high=30)
            projections.append(
                Projection(f"skip-{name}", earlier, name, "dense", weight, shift=int(rng.choice([0, 1])))
            )
        if rng.random() < 0.5:
            size = int(np.prod(shapes[name]))
            loop = Projection(
                f"loop-{name}", name, name, "dense", weights(rng, size, size, high=40), delay=int(rng.integers(1, 4))
            )
            projections.append(loop)
        fan_in = (40 * int(np.sqrt(np.prod(shapes[before]))) * max(1, source.high if before == "input" else 1)) >> shift
        populations.append(_random_population(rng, name, shapes[name], fan_in, stock))
        before = name
    kinds = ["spike_count", "weighted_count", *([] if stock else ["membrane", "summed_current"])]
    kind, steps = str(rng.choice(kinds)), int(rng.integers(2, 7))
    table = tuple(int(x) for x in rng.integers(0, 9, steps)) if kind == "weighted_count" else None
    if table or kind == "spike_count":
        populations[-1] = replace(populations[-1], fires=True)
    readout = Readout(before, kind, str(rng.choice(["lowest_index", "highest_index"])), table)
    return program(source, populations, projections, readout, steps)


def _random_source(rng: np.random.Generator) -> Source:
    shape = tuple(int(n) for n in ((2, 6, 5) if rng.random() < 0.7 else (11,)))
    kind = rng.choice(["static", "frames", "spikes"])
    if kind == "static":
        return static(shape, int(rng.choice([0, -20])), 40)
    return frames(shape, -3, 9) if kind == "frames" else frames(shape)


def _random_projection(
    rng: np.random.Generator, name: str, source: str, target: str, kind: str, given: tuple[int, ...], **fields: Any
) -> tuple[Projection, tuple[int, ...]]:
    """(projection, shape of its target)."""
    size = int(np.prod(given))
    if kind == "conv":
        stride, padding, dilation = ((int(rng.integers(1, 3)), int(rng.integers(1, 3))) for _ in range(3))
        padding = (padding[0], padding[1] + 1)
        groups = 2 if given[0] % 2 == 0 and rng.random() < 0.5 else 1
        weight = weights(rng, 4, given[0] // groups, 3, 2)
        made = Projection(
            name,
            source,
            target,
            "conv",
            weight,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            **fields,
        )
        return made, conv_shape(made, given)
    out = int(rng.integers(5, 12))
    if kind == "dense":
        return Projection(name, source, target, "dense", weights(rng, out, size), **fields), (out,)
    pairs = rng.choice(out * size, out * size // 2, replace=False)
    index = np.stack([pairs // size, pairs % size])
    return Projection(name, source, target, "sparse", weights(rng, len(pairs)), index=index, **fields), (out,)


def _random_population(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], fan_in: int, stock: bool
) -> Population:
    channels = (shape[0], *(1,) * (len(shape) - 1))

    def values(low: int, high: int) -> Array:
        """One for all, one a channel, or one a neuron."""
        return rng.integers(low, high, [(), channels, shape][int(rng.integers(3))])

    threshold = values(fan_in // 4 + 1, fan_in + 2) << GUARD
    fields: dict[str, Any] = {
        "threshold": threshold,
        "decay_v": values(500, 4097),
        "decay_u": values(0, 4096) if rng.random() < 0.5 else None,
        "bias": values(-1500, 1500) * int(rng.choice([1, 4])),
    }
    if stock:
        return neurons(name, shape, **fields)
    timing = ["before", "after"]
    fields |= {
        "compare": str(rng.choice([">", ">="])),
        "threshold": threshold + rng.integers(-5, 6),
        "levels": int(rng.choice([1, 1, 4])),
        "signed": bool(rng.random() < 0.3),
        "reset": str(rng.choice(["subtract", "to_value", "none"])),
        "reset_amount": values(fan_in // 4 + 1, fan_in + 2) << GUARD,
        "reset_value": values(-200, 200),
        "reset_timing": str(rng.choice(RESET_TIMINGS)),
        "decay_timing": str(rng.choice(timing)),
        "reset_current": bool(rng.random() < 0.5),
        "current_timing": str(rng.choice(timing)),
        "v_init": values(-3000, 3000),
        "v_min": -np.abs(values(1000, 9000)) if rng.random() < 0.3 else None,
        "current_bias": values(-300, 300) if rng.random() < 0.3 else whole(0),
        "fires": bool(rng.random() < 0.85),
    }
    return fitting(neurons(name, shape, **fields))
