"""What each framework means by the neurons in a NIR file: one row of a table a framework, and the arithmetic of the rows.

NIR gives time constants, not steps: no integrator, no reset kind or timing, no comparison, no initial state, no spikes a
step. A :class:`Dialect` holds what the framework does where the file is silent, a :class:`Reading` is a dialect with its
options settled, and :func:`neuron_dynamics` turns the file's parameters into a complete
:class:`~snncc.ir.dynamics.Dynamics`. The equations were checked against the frameworks' own runs (docs/frontends.md);
``x`` is the input of a step, b and a the decays of membrane and current.

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
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.ir.dynamics import RESET_TIMINGS, Dynamics, Value

Array = np.ndarray

SNAP = 1e-6
"""A gain this close to 1 is 1: exporters write r = τ/dt, and rounding is all that keeps r·dt/τ from 1."""
MANY_LEVELS = 65_536
"""Spikes a step of a neuron without a limit; Rockpool's own default, and more than sinabs ever reaches."""
LATE_RESET = "next_step_after_input"
"""Reset of the next step, taken after the input was added (snnTorch Synaptic with reset to zero)."""

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
        tau_scaled: older Norse exporters write τ·dt where τ belongs (norse issue 411).
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
    notes: list[str] = field(default_factory=list, compare=False)


def neuron_dynamics(record: NeuronRecord, reading: Reading) -> Dynamics:
    """The complete meaning of ``record`` under ``reading``. Raises :class:`InputError` where its constants cannot come
    from that framework, :class:`UnsupportedError` where the framework (or snncc) has no such neuron."""
    dialect = reading.dialect
    if record.kind not in dialect.kinds:
        raise UnsupportedError(
            f"{record.name}: {record.kind} is no neuron of the dialect {dialect.name} (it has {', '.join(dialect.kinds)}); "
            "check the dialect, or read the file as euler or exact"
        )
    for key in dialect.must_be_zero:
        value = record.parameters.get(key)
        if value is not None and np.any(value != 0):
            raise InputError(
                f"{record.name}: {key} is {float(value[value != 0].flat[0]):g}, but {dialect.meaning} have none; "
                "the file was not written by that framework: check the dialect"
            )
    if record.kind == "Threshold":
        return Dynamics(record_value(record, "threshold"), dialect.compare, membrane_decay=0.0, reset="none")
    constants = _linear_constants(record, reading)
    if record.kind in SILENT:
        return Dynamics(reset="none", fires=False, compare=dialect.compare, **constants)
    return _spiking(record, reading, constants)


def record_value(record: NeuronRecord, key: str) -> Value:
    """A parameter, as one number where it is the same for the whole population."""
    return collapse(record.parameters[key])


def collapse(value: Array | float) -> Value:
    """One number for an array that holds nothing else; the array itself otherwise."""
    array = np.asarray(value, dtype=np.float64)
    if array.size and np.all(array == array.flat[0]):
        return float(array.flat[0])
    return array


def _linear_constants(record: NeuronRecord, reading: Reading) -> dict[str, Any]:
    """Decays, gain, bias and initial membrane."""
    dialect, given = reading.dialect, record.parameters
    zero = np.zeros(())
    leaky = "tau" in given or "tau_mem" in given
    start = {"zero": zero, "v_reset": given.get("v_reset", zero), "v_leak": given.get("v_leak", zero)}[dialect.start]
    found: dict[str, Any] = {"v_init": collapse(start)}
    if not leaky:
        gain = given["r"] * _dt(record, reading, None) if dialect.integrate == "nir" else given["r"]
        return {**found, "membrane_decay": 1.0, "input_gain": _single(_snapped(gain), dialect)}
    tau = given["tau"] if "tau" in given else given["tau_mem"]
    dt = _dt(record, reading, tau)
    decay, rest = _decay(record, "tau" if "tau" in given else "tau_mem", tau, dt, reading)
    gain = {"nir": given["r"] * rest, "one": np.ones(()), "norm": rest if reading.norm_input else np.ones(())}[dialect.gain]
    gain = _snapped(gain)
    if "tau_syn" in given:
        current, remainder = _decay(record, "tau_syn", given["tau_syn"], dt, reading)
        weight = given.get("w_in", np.ones(()))
        adds = {"nir": weight * remainder, "w_in": weight, "one": np.ones(()), "decayed": current}[dialect.current]
        found["current_decay"] = _single(current, dialect)
        gain = gain * _snapped(adds)
    found["membrane_decay"] = _single(decay, dialect)
    found["input_gain"] = _single(gain, dialect)
    found["bias"] = _single(given["v_leak"] * rest, dialect) if "v_leak" in given and dialect.gain == "nir" else 0.0
    return found


def _spiking(record: NeuronRecord, reading: Reading, constants: dict[str, Any]) -> Dynamics:
    """Threshold, reset and clamp on top of the linear constants."""
    dialect = reading.dialect
    threshold = record_value(record, "v_threshold")
    subtract = reading.reset == "subtract"
    amount: Value | None = None
    if dialect.name == "spyx" and record.kind == "CubaLIF":  # Spyx takes θ off twice, before and after the decay
        amount = collapse(np.asarray(threshold) * (1.0 + np.asarray(constants["membrane_decay"])))
    timing = _timing(record, reading)
    if timing not in RESET_TIMINGS:
        raise UnsupportedError(
            f"{record.name}: snnTorch's Synaptic with reset to zero loses the input of the step after a spike, which this "
            "version cannot express; train it with reset_mechanism='subtract'"
        )
    v_min: Value | None = None
    if reading.v_min is not None:
        v_min = collapse(-np.asarray(threshold)) if reading.v_min == "-threshold" else float(reading.v_min)
    return Dynamics(
        threshold=threshold,
        compare=dialect.compare,
        levels=reading.levels,
        reset="subtract" if subtract else "to_value",
        reset_amount=amount,
        reset_value=0.0 if subtract else collapse(record.parameters.get("v_reset", np.zeros(()))),
        reset_timing=timing,  # type: ignore[arg-type]
        v_min=v_min,
        **constants,
    )


def _timing(record: NeuronRecord, reading: Reading) -> str:
    """When the reset acts. snnTorch's reset to zero of a Leaky gives the same spikes in either order."""
    if reading.dialect.name != "snntorch":
        return "next_step" if reading.reset_delay else "immediate"
    if reading.reset_delay:
        return LATE_RESET if record.kind == "CubaLIF" and reading.reset == "zero" else "next_step"
    if record.recurrent:
        raise InputError(
            f"{record.name}: snnTorch ignores reset_delay=False on its recurrent neurons; say reset_delay yes, as it runs"
        )
    if reading.reset == "subtract":
        raise UnsupportedError(
            f"{record.name}: snnTorch's reset_delay=False with reset by subtraction takes the reset of the step before into "
            "its decision to fire, which this version cannot express; train with the default reset_delay=True"
        )
    return "immediate"


def _dt(record: NeuronRecord, reading: Reading, tau: Array | None) -> Array:
    """The time step, from the options or, for Rockpool, from r = τ/dt·exp(−dt/τ): dt = τ·W(1/r)."""
    if reading.dt is not None:
        return np.asarray(reading.dt)
    if reading.dialect.name != "rockpool" or tau is None:
        raise InputError(f"{record.name}: the dialect {reading.dialect.name} needs a time step: dt (seconds), as in --dt 1e-4")
    from scipy.special import lambertw

    r = record.parameters["r"]
    if np.any(r <= 0):
        raise InputError(f"{record.name}: r is {float(np.min(r)):g}; Rockpool writes r = τ/dt·exp(−dt/τ), above 0: give dt")
    steps = tau * lambertw(1.0 / r).real
    middle = float(np.median(steps))
    if np.any(np.abs(steps - middle) > 1e-5 * middle):
        raise InputError(
            f"{record.name}: its r stand for time steps from {float(steps.min()):g} to {float(steps.max()):g} s, but a network "
            "has one; the file was not written by Rockpool, or give dt"
        )
    short = float(f"{middle:.6g}")
    return np.asarray(short if abs(short - middle) <= SNAP * middle else middle)


def _decay(record: NeuronRecord, key: str, tau: Array, dt: Array, reading: Reading) -> tuple[Array, Array]:
    """(decay, 1 − decay) for time constants in float64."""
    if np.any(tau <= 0):
        raise InputError(f"{record.name}: {key} is {float(np.min(tau)):g}; a time constant must be above 0")
    tau = tau / dt if reading.tau_scaled else tau
    ratio = dt / tau
    if reading.dialect.decay == "exponential":
        return np.exp(-ratio), -np.expm1(-ratio)
    if np.any(ratio > 1 + SNAP):
        raise InputError(
            f"{record.name}: {key} is {float(np.min(tau)):g}, below the time step {float(dt):g}, so the decay 1 − dt/τ would be "
            f"{float(1 - np.max(ratio)):g}; give the dt the network was trained with{_norse_hint(reading)}"
        )
    ratio = np.minimum(ratio, 1.0)
    return 1.0 - ratio, ratio


def _norse_hint(reading: Reading) -> str:
    if reading.dialect.name != "norse" or reading.tau_scaled:
        return ""
    return ", or say tau_scaled yes: older Norse exporters write τ·dt in place of τ"


def _snapped(gain: Array) -> Array:
    return np.where(np.abs(gain - 1.0) <= SNAP, 1.0, gain)


def _single(value: Array, dialect: Dialect) -> Value:
    """Rounded once to the framework's own precision."""
    if dialect.single:
        value = np.asarray(value).astype(np.float32).astype(np.float64)
    return collapse(value)
