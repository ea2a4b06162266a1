"""Small Programs for the targets' tests, by hand and at random, in the loihi arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.program.program import LOIHI, Arithmetic, Population, Program, Projection, Readout, Source

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
    return Source("input", shape, "static", low, high, 1.0)


def frames(shape: tuple[int, ...], low: int = 0, high: int = 1) -> Source:
    """A source with data of its own at every step."""
    return Source("input", shape, "spikes" if (low, high) == (0, 1) else "frames", low, high, 1.0)


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
