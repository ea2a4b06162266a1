"""The dialects sinabs, rockpool, spyx, euler and exact against their equations, written out here as plain loops: 0
differing spikes. See test_nir_dialects.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import CLASSES, HIDDEN, check, full, two_layers

Layer = Callable[[np.ndarray], np.ndarray]
SEEDS = (1, 2, 3)
F32 = np.float32


def sinabs(tau: float | None, norm: bool, many: bool, reset: str, v_min: float | None) -> Layer:
    alpha = None if tau is None else float(F32(np.exp(-1.0 / tau)))
    gain = 1.0 if tau is None or not norm else float(F32(-np.expm1(-1.0 / tau)))

    def layer(current: np.ndarray) -> np.ndarray:
        v, out = np.zeros(current.shape[1:]), []
        for i in current:
            v = v + i if alpha is None else alpha * v + gain * i
            n = np.where(v > 0, np.trunc(v / 1.0), 0.0) if many else (v >= 1.0).astype(float)
            v = v - n if reset == "subtract" else np.where(n > 0, 0.0, v)
            if v_min is not None:
                v = np.maximum(v, v_min)
            out.append(n)
        return np.array(out)

    return layer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("tau", "norm", "many", "reset", "v_min"),
    [
        (None, True, True, "subtract", None),
        (None, True, True, "subtract", -1.0),
        (None, True, False, "subtract", None),
        (None, True, True, "zero", -0.5),
        (6.0, True, True, "subtract", None),
        (6.0, False, True, "subtract", -1.0),
        (6.0, False, False, "zero", None),
        (6.0, False, True, "zero", None),
    ],
)
def test_sinabs(
    tmp_path: Path, seed: int, tau: float | None, norm: bool, many: bool, reset: str, v_min: float | None
) -> None:
    def make(size: int) -> nir.NIRNode:
        if tau is None:
            return nir.IF(r=np.ones(size), v_threshold=np.ones(size))
        return nir.LIF(tau=full(size, tau), r=np.ones(size), v_leak=np.zeros(size), v_threshold=np.ones(size))

    options = {"dialect": "sinabs", "reset": reset, "multi_spike": "yes" if many else "no"}
    options |= {} if tau is None else {"norm_input": "yes" if norm else "no"}
    options |= {} if v_min is None else {"v_min": "-threshold" if v_min == -1.0 else str(v_min)}
    gain = 4.0 if tau and norm else 1.0
    path = two_layers(tmp_path / "n.nir", seed, make, gain)
    check(path, seed, sinabs(tau, norm, many, reset, v_min), gain=gain, **options)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("say_dt", [False, True])
def test_rockpool(tmp_path: Path, seed: int, say_dt: bool) -> None:
    """c += i; v = αv; c = βc; v += c; n = floor(v/θ); v −= nθ. dt follows from r = τ/dt·exp(−dt/τ), held in float32."""
    dt, tau_mem, tau_syn = 1e-3, 0.02, 0.005

    def make(size: int) -> nir.NIRNode:
        r = full(size, tau_mem * np.exp(-dt / tau_mem) / dt).astype(F32)
        syn, mem = full(size, tau_syn), full(size, tau_mem)
        return nir.CubaLIF(tau_syn=syn, tau_mem=mem, r=r, v_leak=np.zeros(size), v_threshold=np.ones(size))

    alpha, beta = float(F32(np.exp(-dt / tau_mem))), float(F32(np.exp(-dt / tau_syn)))

    def layer(current: np.ndarray) -> np.ndarray:
        c, v, out = np.zeros(current.shape[1:]), np.zeros(current.shape[1:]), []
        for i in current:
            c = c + i
            v = alpha * v
            c = beta * c
            v = v + c
            n = np.where(v > 0, np.floor(v / 1.0), 0.0)
            v = v - n
            out.append(n)
        return np.array(out)

    options = {"dialect": "rockpool", **({"dt": "1e-3"} if say_dt else {})}
    check(two_layers(tmp_path / "n.nir", seed, make), seed, layer, **options)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "LI"])
def test_spyx(tmp_path: Path, seed: int, kind: str) -> None:
    """s = H(v_old > θ); v = βv + x − sθ: what it fires reaches the next layer one step late."""
    beta, alpha = float(F32(0.8)), float(F32(0.5))

    def make(size: int) -> nir.NIRNode:
        tau, r = full(size, 1 / (1 - beta)), full(size, beta)
        match kind:
            case "IF":
                return nir.IF(r=np.ones(size), v_threshold=np.ones(size))
            case "LIF":
                return nir.LIF(tau=tau, r=r, v_leak=np.zeros(size), v_threshold=np.ones(size))
            case "LI":
                return nir.LI(tau=tau, r=r, v_leak=np.zeros(size))
        tau_syn = full(size, 1 / (1 - alpha))
        return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=np.zeros(size), v_threshold=np.ones(size))

    def layer(current: np.ndarray) -> np.ndarray:
        c, v, out = np.zeros(current.shape[1:]), np.zeros(current.shape[1:]), []
        for x in current:
            s = (v > 1.0).astype(float)
            match kind:
                case "IF":
                    v = v + x - s
                case "LIF":
                    v = beta * v + x - s
                case "LI":
                    v = beta * v + x
                case "CubaLIF":
                    v = v - s
                    c = alpha * c + x
                    v = beta * v + c - s
            out.append(v if kind == "LI" else s)
        return np.array(out)

    path = two_layers(tmp_path / "n.nir", seed, make)
    check(path, seed, layer, late=kind != "LI", silent=kind == "LI", dialect="spyx")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dialect", ["euler", "exact"])
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "I", "LI", "CubaLI", "Threshold"])
def test_euler_and_exact(tmp_path: Path, seed: int, dialect: str, kind: str) -> None:
    """NIR's differential equations with one constant a neuron, stepped by dt."""
    dt, count = 0.5, {HIDDEN: 0, CLASSES: 1}
    rng = np.random.default_rng(seed)
    tau_of = [rng.uniform(1.0, 4.0, n) for n in count]
    syn_of = [rng.uniform(1.0, 3.0, n) for n in count]

    def make(size: int) -> nir.NIRNode:
        tau, syn = tau_of[count[size]], syn_of[count[size]]
        leak = {"r": full(size, 1.7), "v_leak": full(size, 0.1)}
        fire = {"v_threshold": full(size, 0.6), "v_reset": full(size, -0.1)}
        match kind:
            case "IF":
                return nir.IF(r=full(size, 1.7), **fire)
            case "I":
                return nir.I(r=full(size, 1.7))
            case "LIF":
                return nir.LIF(tau=tau, **leak, **fire)
            case "LI":
                return nir.LI(tau=tau, **leak)
            case "CubaLIF":
                return nir.CubaLIF(tau_mem=tau, tau_syn=syn, w_in=full(size, 1.3), **leak, **fire)
            case "CubaLI":
                return nir.CubaLI(tau_mem=tau, tau_syn=syn, w_in=full(size, 1.3), **leak)
        return nir.Threshold(threshold=full(size, 0.6))

    def keep(tau: np.ndarray) -> np.ndarray:
        return 1 - dt / tau if dialect == "euler" else np.exp(-dt / tau)

    def layer(current: np.ndarray) -> np.ndarray:
        tau, syn = tau_of[count[current.shape[-1]]], syn_of[count[current.shape[-1]]]
        c, v, out = np.zeros(current.shape[1:]), np.zeros(current.shape[1:]), []
        for i in current:
            c = keep(syn) * c + (1 - keep(syn)) * 1.3 * i if kind.startswith("Cuba") else i
            if kind in ("I", "IF"):
                v = v + dt * 1.7 * c
            elif kind == "Threshold":
                v = c
            else:
                v = keep(tau) * v + (1 - keep(tau)) * (0.1 + 1.7 * c)
            if kind in ("I", "LI", "CubaLI"):
                out.append(v)
                continue
            s = (v > 0.6).astype(float)
            v = np.where(s > 0, -0.1, v)
            out.append(s)
        return np.array(out)

    silent = kind in ("I", "LI", "CubaLI")
    path = two_layers(tmp_path / "n.nir", seed, make)
    check(path, seed, layer, silent=silent, dialect=dialect, dt=str(dt))
