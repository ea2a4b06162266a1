"""A program small enough to be worked on paper."""

from __future__ import annotations

import numpy as np

from snncc.program.program import EXACT, Population, Program, Projection, Readout, Source, check_program


def whole(value: object) -> np.ndarray:
    return np.asarray(value, np.int64)


def neurons(name: str, size: int, threshold: int) -> Population:
    return Population(
        name,
        (size,),
        threshold=whole(threshold),
        decay_v=whole(4096),
        bias=whole(0),
        v_init=whole(0),
        reset_amount=whole(threshold),
        reset_value=whole(0),
        guard_bits=0,
    )


def small_program(encoding: str = "static") -> Program:
    """3 inputs → a (2) → b (2, with a loop onto itself) and c (1), which listens to a and b; 3 steps."""
    listed = Projection("a-c", "a", "c", "sparse", whole([1]), index=whole([[0], [1]]))
    made = Program(
        "small",
        3,
        EXACT,
        Source("input", (3,), encoding, 0, 5),
        (neurons("a", 2, 2), neurons("b", 2, 1), neurons("c", 1, 2)),
        (
            Projection("input-a", "input", "a", "dense", whole([[1, 0, 1], [0, 0, 1]])),
            Projection("a-b", "a", "b", "dense", whole([[1, 0], [1, 1]])),
            Projection("b-b", "b", "b", "dense", whole([[-1, 0], [0, 0]]), delay=1),
            listed,
            Projection("b-c", "b", "c", "dense", whole([[1, 1]])),
        ),
        Readout("c", "spike_count"),
    )
    check_program(made)
    return made
