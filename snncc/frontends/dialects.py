"""What each framework means by the neurons in a NIR file: one row of a table a framework, and the arithmetic of the
rows.

NIR gives time constants, not steps: no integrator, no reset kind or timing, no comparison, no initial state, no
spikes a step. A :class:`Dialect` holds what the framework does where the file is silent, a :class:`Reading` is a
dialect with its options settled, and :mod:`snncc.frontends.nir_neurons` does the arithmetic of a row. The equations
are the frameworks' own (docs/frontends.md has them in full); b and a are the decays of membrane and current.

=============  ==========================  =====================  ====================================================
dialect        decay                       input gain             fires, resets
=============  ==========================  =====================  ====================================================
euler          1 − dt/τ                    r·dt/τ                 v > θ; to v_reset at once
exact          exp(−dt/τ)                  r·(1 − b)              v > θ; to v_reset at once
snntorch       1 − dt/τ                    r·dt/τ, which is 1     v > θ; −θ (or 0) in the next step
spikingjelly   1 − dt/τ                    r·dt/τ                 v ≥ θ; to v_reset at once; starts at v_reset
norse          1 − dt/τ                    r·dt/τ; current w_in   v > θ; to v_reset at once; starts at v_leak
sinabs         exp(−1/τ)                   1 − b, or 1            trunc(v/θ) times; −nθ, or 0
rockpool       exp(−dt/τ), dt from r       1; current a           floor(v/θ) times; −nθ
spyx           1 − dt/τ                    1                      v > θ in the step before; −θ
=============  ==========================  =====================  ====================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Array = np.ndarray

MANY_LEVELS = 65_536
"""Spikes a step of a neuron without a limit; Rockpool's own default, and more than sinabs ever reaches."""

NEURON_PARAMETERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "IF": (("r", "v_threshold"), ("v_reset",)),
    "LIF": (("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLIF": (("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"), ("v_reset", "w_in")),
    "I": (("r",), ()),
    "LI": (("tau", "r", "v_leak"), ()),
    "CubaLI": (("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",)),
    "Threshold": (("threshold",), ()),
}
"""NIR neuron types with their parameters: those that must be there, and those that old files leave out."""
SILENT = ("I", "LI", "CubaLI")
"""Neurons that never fire; their output is the membrane."""


@dataclass(frozen=True, eq=False)
class NeuronRecord:
    """A population as the file has it: parameters in float64, ``recurrent`` if it feeds itself through a loop."""

    name: str
    kind: str
    parameters: Mapping[str, Array]
    recurrent: bool = False


@dataclass(frozen=True)
class Dialect:
    """One row of the table.

    Attributes:
        name: what ``--dialect`` takes.
        meaning: one line for people.
        kinds: NIR neuron types the framework has.
        decay: how a time constant becomes a decay.
        gain: input gain of a leaky membrane: "nir" r·(1−b), "one", "norm" (1−b or 1 by the option ``norm_input``).
        integrate: input gain of a neuron without a leak: "nir" r·dt, or "r".
        current: what one input adds to the synaptic current: "nir" w_in·(1−a), "w_in", "one", or "decayed" (a).
        compare: ``>`` or ``>=``.
        resets: reset kinds it has, its default first; "zero" means to v_reset where the framework has one.
        delayed: reset in the next step; None where it is always at once.
        start: the membrane before the first step.
        levels: most spikes in a step.
        dt: its time step in seconds (steps for sinabs and Spyx), None where it must be said or follows from the file.
        must_be_zero: parameters the framework does not have.
        single: computes in float32, so decays are rounded to it once.
        late_output: spikes reach the next layer one step late.
        options: options that belong to it.
    """

    name: str
    meaning: str
    kinds: tuple[str, ...]
    decay: Literal["euler", "exponential"] = "euler"
    gain: Literal["nir", "one", "norm"] = "nir"
    integrate: Literal["nir", "r"] = "nir"
    current: Literal["nir", "w_in", "one", "decayed"] = "nir"
    compare: Literal[">", ">="] = ">"
    resets: tuple[str, ...] = ("zero", "subtract")
    delayed: bool | None = None
    start: Literal["zero", "v_reset", "v_leak"] = "zero"
    levels: int = 1
    dt: float | None = None
    must_be_zero: tuple[str, ...] = ()
    single: bool = True
    late_output: bool = False
    options: tuple[str, ...] = ("reset", "dt")


_ALL = tuple(NEURON_PARAMETERS)
_OFFSETS = ("v_leak", "v_reset")
DIALECTS: Mapping[str, Dialect] = {
    d.name: d
    for d in (
        Dialect("euler", "forward Euler of NIR's equations", _ALL, single=False),
        Dialect("exact", "each equation solved over the step", _ALL, decay="exponential", single=False),
        Dialect(
            "snntorch",
            "snnTorch Leaky, Synaptic, RLeaky, RSynaptic",
            ("LIF", "CubaLIF"),
            resets=("subtract", "zero"),
            delayed=True,
            dt=1e-4,
            must_be_zero=_OFFSETS,
            options=("reset", "reset_delay", "dt"),
        ),
        Dialect(
            "spikingjelly",
            "SpikingJelly IFNode, LIFNode, ParametricLIFNode",
            ("IF", "LIF", "CubaLIF"),
            compare=">=",
            start="v_reset",
            dt=1e-4,
        ),
        Dialect(
            "norse",
            "Norse IAFCell, LIFBoxCell, LIFCell, LIBoxCell",
            ("IF", "LIF", "CubaLIF", "LI"),
            integrate="r",
            current="w_in",
            resets=("zero",),
            start="v_leak",
            dt=1e-3,
            options=("dt", "tau_scaled"),
        ),
        Dialect(
            "sinabs",
            "sinabs IAF, LIF, ExpLeak",
            ("IF", "LIF", "LI"),
            decay="exponential",
            gain="norm",
            integrate="r",
            compare=">=",
            resets=("subtract", "zero"),
            levels=MANY_LEVELS,
            dt=1.0,
            must_be_zero=_OFFSETS,
            options=("reset", "multi_spike", "v_min", "norm_input"),
        ),
        Dialect(
            "rockpool",
            "Rockpool LIFTorch",
            ("LIF", "CubaLIF"),
            decay="exponential",
            gain="one",
            current="decayed",
            compare=">=",
            resets=("subtract",),
            levels=MANY_LEVELS,
            must_be_zero=_OFFSETS,
            options=("dt", "multi_spike"),
        ),
        Dialect(
            "spyx",
            "Spyx IF, LIF, CuBaLIF, LI",
            ("IF", "LIF", "CubaLIF", "LI"),
            gain="one",
            integrate="r",
            current="one",
            resets=("subtract",),
            delayed=True,
            dt=1.0,
            must_be_zero=_OFFSETS,
            late_output=True,
            options=("dt", "transposed"),
        ),
    )
}


@dataclass(frozen=True)
class Reading:
    """A dialect with its options settled.

    Attributes:
        reset: "subtract" or "zero".
        reset_delay: the reset acts in the next step.
        dt: the time step, in the unit of the file's time constants.
        v_min: lower clamp: a number, "-threshold", or None.
        levels: most spikes in a step.
        norm_input: sinabs: the input is scaled by 1 − b.
        tau_scaled: Norse exporters, up to 1.1.0, write τ·dt where τ belongs (norse issue 411).
        transposed: Spyx: dense weights are stored (in, out).
    """

    dialect: Dialect
    reset: str
    reset_delay: bool = False
    dt: float | None = None
    v_min: float | str | None = None
    levels: int = 1
    norm_input: bool = True
    tau_scaled: bool = False
    transposed: bool = False
