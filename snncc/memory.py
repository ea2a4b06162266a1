"""Memory that a Program's weights and states take: the one place that counts it.

*Weights.* A projection stores one word for every weight of its array, zeros included: of a dense projection for each pair of
neurons, of a convolution for each weight of its kernels once, of a sparse one for each listed synapse (its indices are no
weights). A word has as many bits as the largest weight of the projection needs, sign included, and two at least, after the power
of two that all its weights share, which is not stored with each. Kernels into which pooling was folded count as they are stored.

*States.* Each neuron keeps a membrane, and a current where that decays, each as wide as the widest value that the proof of
:mod:`snncc.program.bounds` finds in the population.

This is what packed words take; a target whose words are whole bytes takes more.
"""

from __future__ import annotations

import numpy as np

from snncc.program.bounds import Bounds
from snncc.program.program import Program, Projection

Array = np.ndarray
BYTE = 8


def word_bits(projection: Projection) -> int:
    """Bits of a stored weight, sign included: 8 where the largest is 127, 2 where all are −4, 0 or 4."""
    weight = projection.weight
    largest = max(int(weight.max(initial=0)), -int(weight.min(initial=0)))
    return max((largest >> shared_exponent(weight)).bit_length(), 1) + 1


def shared_exponent(weight: Array) -> int:
    """Largest k such that all of these whole numbers are multiples of ``2**k``; 0 where all are 0."""
    shared = int(np.bitwise_or.reduce(np.abs(weight.astype(np.int64)), axis=None)) if weight.size else 0
    return (shared & -shared).bit_length() - 1 if shared else 0


def weight_bits(program: Program) -> dict[str, int]:
    """Population to bits of all words into it, for populations with weights."""
    found: dict[str, int] = {}
    for p in program.projections:
        found[p.target] = found.get(p.target, 0) + word_bits(p) * int(p.weight.size)
    return found


def weight_bytes(program: Program) -> float:
    """Of all weights."""
    return sum(weight_bits(program).values()) / BYTE


def state_bits(program: Program, bounds: Bounds) -> dict[str, int]:
    """Population to bits of all its states."""
    return {
        p.name: bounds.populations[p.name].state_bits * p.size * (1 if p.decay_u is None else 2)
        for p in program.populations
    }


def state_bytes(program: Program, bounds: Bounds) -> float:
    """Of all states."""
    return sum(state_bits(program, bounds).values()) / BYTE
