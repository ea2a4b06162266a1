"""Whether a population fits Lava's stock LIF, and what its registers then hold.

The stock neuron (lava/proc/lif/models.py, PyLifResetModelBitAcc) computes ``u = rtz(u·(4095 − du)/4096) + (a << 6)``,
``v = rtz(v·(4096 − dv)/4096) + u + bias``, fires on ``v > vth << 6`` and then sets v to 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snncc.program.program import DECAY_ONE, Population
from snncc.targets.loihi_sim.limits import (
    BIAS_EXPONENT_HIGH,
    BIAS_MANTISSA_HIGH,
    BIAS_MANTISSA_LOW,
    DECAY_REGISTER_HIGH,
    GUARD_BITS,
    THRESHOLD_REGISTER_HIGH,
)

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LifRegisters:
    """Registers of a stock LIF; 0-d for a whole population, else broadcasting to its channel-first shape.

    ``injected`` is no register: what of the bias is too large for them and comes with the input current, in its units.
    """

    vth: Array
    du: Array
    dv: Array
    bias_mant: Array
    bias_exp: Array
    injected: Array


def stock_reasons(population: Population, injects: bool = False) -> list[str]:
    """Why the stock LIF cannot compute a population; empty where it can. ``injects``: its input can carry the part of
    its bias that the registers cannot."""
    rules = STOCK_RULES if injects else (*STOCK_RULES, _bias)
    return [reason for rule in rules if (reason := rule(population))]


def lif_registers(population: Population) -> LifRegisters:
    """Registers of a population for which :func:`stock_reasons` is empty."""
    mantissa, exponent, injected = bias_split(population.bias)
    memoryless = np.asarray(DECAY_REGISTER_HIGH)
    return LifRegisters(
        vth=_uniform(_last_silent(population) >> GUARD_BITS),
        du=memoryless
        if population.decay_u is None
        else _uniform(DECAY_REGISTER_HIGH - population.decay_u.astype(np.int64)),
        dv=_uniform(DECAY_ONE - population.decay_v.astype(np.int64)),
        bias_mant=_uniform(mantissa),
        bias_exp=_uniform(exponent),
        injected=_uniform(injected),
    )


def bias_registers(bias: Array) -> tuple[Array, Array]:
    """(mantissa, exponent) with ``mantissa << exponent == bias`` and the smallest exponent; mantissas out of range mean
    that no exponent in 0..7 does it."""
    bias = bias.astype(np.int64)
    mantissa, exponent = bias.copy(), np.zeros_like(bias)
    for _ in range(BIAS_EXPONENT_HIGH):
        halve = ((mantissa < BIAS_MANTISSA_LOW) | (mantissa > BIAS_MANTISSA_HIGH)) & (mantissa % 2 == 0)
        mantissa, exponent = np.where(halve, mantissa >> 1, mantissa), exponent + halve
    return mantissa, exponent


def bias_split(bias: Array) -> tuple[Array, Array, Array]:
    """(mantissa, exponent, rest): ``(mantissa << exponent) + (rest << 6) == bias`` wherever the rest can be whole."""
    mantissa, exponent = bias_registers(bias)
    large = (mantissa < BIAS_MANTISSA_LOW) | (mantissa > BIAS_MANTISSA_HIGH)
    most = np.clip(bias.astype(np.int64) >> BIAS_EXPONENT_HIGH, BIAS_MANTISSA_LOW, BIAS_MANTISSA_HIGH)
    mantissa, exponent = np.where(large, most, mantissa), np.where(large, BIAS_EXPONENT_HIGH, exponent)
    return mantissa, exponent, (bias.astype(np.int64) - (mantissa << exponent)) >> GUARD_BITS


def bias_is_injectable(population: Population) -> bool:
    """Whether all that the registers cannot hold of the bias is a whole number of input units, for a memoryless current."""
    mantissa, exponent, rest = bias_split(population.bias)
    return population.decay_u is None and not ((mantissa << exponent) + (rest << GUARD_BITS) - population.bias).any()


def _last_silent(population: Population) -> Array:
    """The largest membrane that does not fire."""
    return population.threshold.astype(np.int64) - (0 if population.compare == ">" else 1)


def _uniform(values: Array) -> Array:
    return np.asarray(values.flat[0]) if values.size and (values == values.flat[0]).all() else values


def _fires(p: Population) -> str:
    return "" if p.fires else "it never fires"


def _one_level(p: Population) -> str:
    return f"it fires up to {p.levels} spikes a step" if p.levels != 1 else ""


def _unsigned(p: Population) -> str:
    return "its spikes are signed" if p.signed else ""


def _hard_reset(p: Population) -> str:
    if p.reset != "to_value":
        return f"its reset is {p.reset!r}"
    if p.reset_current:
        return "its reset clears the current too"
    return "it resets to a value other than 0" if p.reset_value.any() else ""


def _timing(p: Population) -> str:
    if p.reset_timing.startswith("next_step"):
        return "it resets in the next step"
    if p.current_timing != "before":
        return "its membrane takes the current of the step before"
    return "it decays after firing" if p.decay_timing != "before" else ""


def _start(p: Population) -> str:
    return "it starts from a value other than 0" if p.v_init.any() else ""


def _clamp(p: Population) -> str:
    return "its membrane has a lower clamp" if p.v_min is not None else ""


def _current_bias(p: Population) -> str:
    return "its current has a bias" if p.current_bias.any() else ""


def _guard(p: Population) -> str:
    return f"it has {p.guard_bits} guard bits, not {GUARD_BITS}" if p.guard_bits != GUARD_BITS else ""


def _threshold(p: Population) -> str:
    silent = _last_silent(p)
    if (silent % (1 << GUARD_BITS)).any():
        return f"its thresholds are no multiples of {1 << GUARD_BITS} (fires on {p.compare})"
    if silent.size and (silent.min() < 0 or silent.max() >> GUARD_BITS > THRESHOLD_REGISTER_HIGH):
        return f"its threshold {silent.max() >> GUARD_BITS} does not fit the register (0..{THRESHOLD_REGISTER_HIGH})"
    return ""


def _decays(p: Population) -> str:
    if p.decay_v.size and p.decay_v.min() < DECAY_ONE - DECAY_REGISTER_HIGH:
        return f"its membrane keeps {p.decay_v.min()}/{DECAY_ONE} of itself, below the register's 1/{DECAY_ONE}"
    if p.decay_u is not None and p.decay_u.size and p.decay_u.max() > DECAY_REGISTER_HIGH:
        return f"its current keeps all of itself; the register's most is {DECAY_REGISTER_HIGH}/{DECAY_ONE}"
    return ""


def _bias(p: Population) -> str:
    mantissa, _ = bias_registers(p.bias)
    bad = (mantissa < BIAS_MANTISSA_LOW) | (mantissa > BIAS_MANTISSA_HIGH)
    if not bad.any():
        return ""
    value = p.bias.reshape(-1)[int(bad.reshape(-1).argmax())]
    return f"its bias {value} is no 13-bit mantissa times a power of two up to 2**{BIAS_EXPONENT_HIGH}"


STOCK_RULES: tuple[Callable[[Population], str], ...] = (
    _fires,
    _one_level,
    _unsigned,
    _hard_reset,
    _timing,
    _start,
    _clamp,
    _current_bias,
    _guard,
    _threshold,
    _decays,
)
