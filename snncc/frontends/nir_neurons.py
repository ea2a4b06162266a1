"""From the parameters of a NIR neuron and a dialect to complete :class:`~snncc.ir.dynamics.Dynamics`.

Decays are recovered in float64 and, where the framework computes in float32, rounded to it once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.dialects import SILENT, Dialect, NeuronRecord, Reading
from snncc.ir.dynamics import Dynamics, Value

Array = np.ndarray

SNAP = 1e-6
"""A gain this close to 1 is 1: exporters write r = τ/dt, and rounding is all that keeps r·dt/τ from 1."""
NEWTON_STEPS = 12
"""Quadratic convergence from a start within a factor of 2; half as many would do."""
LATE_RESET = "next_step_after_input"
"""Reset of the next step, taken after the input was added (snnTorch Synaptic, RLeaky, RSynaptic with reset to zero)."""


def neuron_dynamics(record: NeuronRecord, reading: Reading) -> Dynamics:
    """The complete meaning of ``record`` under ``reading``. Raises :class:`InputError` where its constants cannot come
    from that framework, :class:`UnsupportedError` where the framework (or snncc) has no such neuron."""
    dialect = reading.dialect
    if record.kind not in dialect.kinds:
        has = ", ".join(dialect.kinds)
        raise UnsupportedError(
            f"{record.name}: {record.kind} is no neuron of the dialect {dialect.name} (it has {has}); "
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
    gain = {"nir": given["r"] * rest, "one": np.ones(()), "norm": rest if reading.norm_input else np.ones(())}[
        dialect.gain
    ]
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
    """When the reset acts. snnTorch's reset to zero of a Leaky gives the same spikes in either order; its Synaptic and its
    recurrent neurons lose the input of that step. Its subtraction without a delay takes a membrane still above θ into account."""
    if reading.dialect.name != "snntorch":
        return "next_step" if reading.reset_delay else "immediate"
    if reading.reset_delay:
        late = reading.reset == "zero" and (record.kind == "CubaLIF" or record.recurrent)
        return LATE_RESET if late else "next_step"
    if record.recurrent and record.kind == "CubaLIF":
        raise InputError(
            f"{record.name}: snnTorch's RSynaptic ignores reset_delay=False: say reset_delay yes, as it runs"
        )
    return "immediate_pending" if reading.reset == "subtract" else "immediate"


def _dt(record: NeuronRecord, reading: Reading, tau: Array | None) -> Array:
    """The time step, from the options or, for Rockpool, from r = τ/dt·exp(−dt/τ): dt = τ·W(1/r)."""
    if reading.dt is not None:
        return np.asarray(reading.dt)
    if reading.dialect.name != "rockpool" or tau is None:
        raise InputError(
            f"{record.name}: the dialect {reading.dialect.name} needs a time step: dt (seconds), as in --dt 1e-4"
        )
    r = record.parameters["r"]
    if np.any(r <= 0):
        raise InputError(
            f"{record.name}: r is {float(np.min(r)):g}; Rockpool writes r = τ/dt·exp(−dt/τ), above 0: give dt"
        )
    steps = tau * lambert_w(1.0 / r)
    middle = float(np.median(steps))
    if np.any(np.abs(steps - middle) > 1e-5 * middle):
        raise InputError(
            f"{record.name}: its r stand for time steps from {float(steps.min()):g} to {float(steps.max()):g} s, but "
            f"a network "
            "has one; the file was not written by Rockpool, or give dt"
        )
    short = float(f"{middle:.6g}")
    return np.asarray(short if abs(short - middle) <= SNAP * middle else middle)


def lambert_w(y: Array) -> Array:
    """x with x·exp(x) = y for y > 0, by Newton's method on x + ln x = ln y."""
    x = np.log1p(y)
    for _ in range(NEWTON_STEPS):
        x = x * (1.0 + np.log(y) - np.log(x)) / (1.0 + x)
    return x


def _decay(record: NeuronRecord, key: str, tau: Array, dt: Array, reading: Reading) -> tuple[Array, Array]:
    """(decay, 1 − decay) for time constants in float64."""
    if np.any(tau <= 0):
        raise InputError(f"{record.name}: {key} is {float(np.min(tau)):g}; a time constant must be above 0")
    tau = tau / dt if reading.tau_scaled else tau
    with np.errstate(over="ignore"):
        ratio = dt / tau
    if reading.dialect.decay == "exponential":
        return np.exp(-ratio), -np.expm1(-ratio)
    if np.any(ratio > 1 + SNAP):
        raise InputError(
            f"{record.name}: {key} is {float(np.min(tau)):g}, below the time step {float(dt):g}, so the decay 1 − "
            f"dt/τ would be "
            f"{float(1 - np.max(ratio)):g}; give the dt the network was trained with{_norse_hint(reading)}"
        )
    ratio = np.minimum(ratio, 1.0)
    return 1.0 - ratio, ratio


def _norse_hint(reading: Reading) -> str:
    if reading.dialect.name != "norse" or reading.tau_scaled:
        return ""
    return ", or say tau_scaled yes: older Norse exporters write τ·dt in place of τ, and so does that of 1.1.0"


def _snapped(gain: Array) -> Array:
    return np.where(np.abs(gain - 1.0) <= SNAP, 1.0, gain)


def _single(value: Array, dialect: Dialect) -> Value:
    """Rounded once to the framework's own precision."""
    if dialect.single:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and check_dynamics refuses it
            value = np.asarray(value).astype(np.float32).astype(np.float64)
    return collapse(value)
