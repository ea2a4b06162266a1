"""Every dialect against its framework's equations, written out here as plain loops: 0 differing spikes.

The loops follow the frameworks' own update order; nothing in them comes from the package. The files are written with
the parameters that the framework's exporter would write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import HIDDEN, INPUTS, check, full, run, spikes, two_layers, weights, write_chain

from snncc.errors import InputError

Layer = Callable[[np.ndarray], np.ndarray]
SEEDS = (1, 2, 3)
F32 = np.float32


def snntorch(beta: float, reset: str, delayed: bool, alpha: float | None = None) -> Layer:
    """snnTorch 1.0 Leaky (alpha None) and Synaptic."""
    b, a = float(F32(beta)), None if alpha is None else float(F32(alpha))

    def layer(current: np.ndarray) -> np.ndarray:
        v, c = np.zeros(current.shape[1:]), np.zeros(current.shape[1:])
        out = []
        for i in current:
            fired = (v > 1.0).astype(float)
            c = i if a is None else a * c + i
            if reset == "subtract":
                v = b * v + c - fired
            elif a is None:
                v = b * (1 - fired) * v + c
            else:
                v = (1 - fired) * (b * v + c)
            s = (v > 1.0).astype(float)
            if not delayed:
                v = v - (s - fired) * (1.0 if reset == "subtract" else v)
            out.append(s)
        return np.array(out)

    return layer


def snntorch_node(beta: float, alpha: float | None = None) -> Callable[[int], nir.NIRNode]:
    def make(size: int) -> nir.NIRNode:
        b = full(size, F32(beta))
        tau = 1e-4 / (1 - b)
        common = {"r": tau / 1e-4, "v_leak": np.zeros(size), "v_threshold": np.ones(size)}
        if alpha is None:
            return nir.LIF(tau=tau, **common)
        tau_syn = 1e-4 / (1 - full(size, F32(alpha)))
        return nir.CubaLIF(tau_mem=tau, tau_syn=tau_syn, w_in=tau_syn / 1e-4, **common)

    return make


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("alpha", "reset", "delayed"),
    [
        (None, "subtract", True),
        (None, "subtract", False),
        (None, "zero", True),
        (None, "zero", False),
        (0.55, "subtract", True),
        (0.55, "subtract", False),
        (0.55, "zero", True),
        (0.55, "zero", False),
    ],
)
def test_snntorch(tmp_path: Path, seed: int, alpha: float | None, reset: str, delayed: bool) -> None:
    path = two_layers(tmp_path / "net.nir", seed, snntorch_node(0.83, alpha))
    options = {"dialect": "snntorch", "reset": reset, "reset_delay": "yes" if delayed else "no"}
    check(path, seed, snntorch(0.83, reset, delayed, alpha), **options)


def recurrent_file(path: Path, seed: int, alpha: float | None, nested: bool) -> np.ndarray:
    """RLeaky or RSynaptic of HIDDEN neurons, flat as in old files or as a nested graph; returns the recurrent layer."""
    w1, b1, _, _ = weights(seed)
    rng = np.random.default_rng(seed + 100)
    w_rec, b_rec = rng.normal(0, 0.3, (HIDDEN, HIDDEN)).astype(F32), rng.normal(0.1, 0.2, HIDDEN).astype(F32)
    lif, rec = snntorch_node(0.83, alpha)(HIDDEN), nir.Affine(w_rec, b_rec)
    ends = {"input": nir.Input(np.array([INPUTS])), "output": nir.Output(np.array([HIDDEN]))}
    loop = [("lif", "w_rec"), ("w_rec", "lif")]
    if nested:
        inner_ends = {"input": nir.Input(np.array([HIDDEN])), "output": nir.Output(np.array([HIDDEN]))}
        inner = nir.NIRGraph({**inner_ends, "lif": lif, "w_rec": rec}, [("input", "lif"), *loop, ("lif", "output")])
        nodes, edges = {**ends, "fc": nir.Affine(w1, b1), "rlif": inner}, [("fc", "rlif"), ("rlif", "output")]
    else:
        nodes, edges = {**ends, "fc": nir.Affine(w1, b1), "lif": lif, "w_rec": rec}, [("fc", "lif"), ("lif", "output")]
        edges += loop
    nir.write(path, nir.NIRGraph(nodes, [("input", "fc"), *edges], type_check=False))
    return np.concatenate([w_rec, b_rec[:, None]], axis=1).astype(np.float64)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("alpha", "delayed"), [(None, True), (None, False), (0.55, True)])
@pytest.mark.parametrize("seed", SEEDS)
def test_snntorch_recurrent(tmp_path: Path, seed: int, alpha: float | None, delayed: bool, nested: bool) -> None:
    """v = βv + c − Rθ with W_rec·s[t−1] + b_rec in the input; the recurrent bias acts from the first step on. Without a
    delay R is what the membrane says, and v − (s − R)θ stays."""
    recurrence = recurrent_file(tmp_path / "net.nir", seed, alpha, nested)
    w1, b1 = (w.astype(np.float64) for w in weights(seed)[:2])
    x = spikes(seed)
    v, c, s = (np.zeros((x.shape[1], HIDDEN)) for _ in range(3))
    expected = []
    for t in range(len(x)):
        i = x[t] @ w1.T + b1 + s @ recurrence[:, :-1].T + recurrence[:, -1]
        c = i if alpha is None else float(F32(alpha)) * c + i
        left = (v > 1.0).astype(float)
        v = float(F32(0.83)) * v + c - left
        s = (v > 1.0).astype(float)
        v -= 0 if delayed else s - left
        expected.append(s)
    graph, recording = run(tmp_path / "net.nir", x, dialect="snntorch", reset_delay="yes" if delayed else "no")
    (name,) = recording.spikes
    assert int((recording.spikes[name] != np.array(expected)).sum()) == 0
    assert [edge[2] for edge in graph.origin["recurrent_edges"]] == [1]
    if alpha is not None:
        with pytest.raises(InputError, match="ignores reset_delay=False"):
            run(tmp_path / "net.nir", x, dialect="snntorch", reset_delay="no")


def spikingjelly(tau: float | None, decay_input: bool, v_reset: float | None) -> Layer:
    """SpikingJelly IFNode (tau None) and LIFNode; v_reset None is the soft reset."""
    rest = 0.0 if v_reset is None else v_reset

    def layer(current: np.ndarray) -> np.ndarray:
        v, out = np.full(current.shape[1:], rest), []
        for i in current:
            if tau is None:
                v = v + i
            elif decay_input:
                v = v + (i - (v - rest)) / tau
            else:
                v = v - (v - rest) / tau + i
            s = (v >= 1.0).astype(float)
            v = v - s if v_reset is None else np.where(s > 0, v_reset, v)
            out.append(s)
        return np.array(out)

    return layer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("tau", "decay_input", "v_reset"),
    [
        (2.0, True, 0.0),
        (2.0, False, -0.25),
        (4.0, True, -0.25),
        (2.0, False, None),
        (None, False, 0.0),
        (None, False, None),
    ],
)
def test_spikingjelly(tmp_path: Path, seed: int, tau: float | None, decay_input: bool, v_reset: float | None) -> None:
    rest = v_reset or 0.0

    def make(size: int) -> nir.NIRNode:
        common = {"v_threshold": np.ones(size), "v_reset": full(size, rest)}
        if tau is None:
            return nir.IF(r=full(size, 1e4), **common)
        r = full(size, 1.0 if decay_input else tau)
        return nir.LIF(tau=full(size, tau * 1e-4), r=r, v_leak=full(size, rest), **common)

    gain = 3.0 if decay_input else 1.0
    path = two_layers(tmp_path / "net.nir", seed, make, gain)
    reset = "subtract" if v_reset is None else "zero"
    check(path, seed, spikingjelly(tau, decay_input, v_reset), gain=gain, dialect="spikingjelly", reset=reset)


@pytest.mark.parametrize("seed", SEEDS)
def test_spikingjelly_cuba(tmp_path: Path, seed: int) -> None:
    """c = c_d·c + i, v = v_d·v + c."""
    c_d, v_d = float(F32(0.4)), float(F32(0.7))

    def make(size: int) -> nir.NIRNode:
        tau_syn, tau_mem = 1e-4 / (1 - c_d), 1e-4 / (1 - v_d)
        rest = {"v_leak": np.zeros(size), "v_threshold": np.ones(size), "w_in": full(size, tau_syn / 1e-4)}
        return nir.CubaLIF(
            tau_syn=full(size, tau_syn), tau_mem=full(size, tau_mem), r=full(size, tau_mem / 1e-4), **rest
        )

    def layer(current: np.ndarray) -> np.ndarray:
        c, v, out = np.zeros(current.shape[1:]), np.zeros(current.shape[1:]), []
        for i in current:
            c = c_d * c + i
            v = v_d * v + c
            s = (v >= 1.0).astype(float)
            v = np.where(s > 0, 0.0, v)
            out.append(s)
        return np.array(out)

    check(two_layers(tmp_path / "n.nir", seed, make), seed, layer, dialect="spikingjelly")


def norse(kind: str, leak: float, reset: float, dt: float = 1e-3) -> Layer:
    """Norse IAFCell, LIFBoxCell, LIFCell, LIBoxCell with tau_mem_inv = 200, tau_syn_inv = 300, v_th = 1."""

    def layer(current: np.ndarray) -> np.ndarray:
        v, c, out = np.full(current.shape[1:], leak), np.zeros(current.shape[1:]), []
        for i in current:
            if kind == "IF":
                v = v + i
            elif kind == "CubaLIF":
                c = c + i
                v = v + dt * 200.0 * (leak - v + c)
                c = c - dt * 300.0 * c
            else:
                v = v + dt * 200.0 * (leak - v + i)
            if kind == "LI":
                out.append(v)
                continue
            s = (v > 1.0).astype(float)
            v = np.where(s > 0, reset, v)
            out.append(s)
        return np.array(out)

    return layer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "scaled"), [("IF", False), ("LIF", False), ("LIF", True), ("CubaLIF", False), ("LI", False)]
)
def test_norse(tmp_path: Path, seed: int, kind: str, scaled: bool) -> None:
    leak, reset = (0.0, -0.2) if kind == "IF" else (0.15, -0.2)
    shrink = 1e-3 if scaled else 1.0  # the older exporter's τ·dt

    def make(size: int) -> nir.NIRNode:
        tau = full(size, shrink / 200.0)
        spiking = {"v_threshold": np.ones(size), "v_reset": full(size, reset)}
        match kind:
            case "IF":
                return nir.IF(r=np.ones(size), **spiking)
            case "LIF":
                return nir.LIF(tau=tau, r=full(size, 1.0), v_leak=full(size, leak), **spiking)
            case "LI":
                return nir.LI(tau=tau, r=np.ones(size), v_leak=full(size, leak))
        tau_syn = full(size, shrink / 300.0)
        return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau, r=np.ones(size), v_leak=full(size, leak), **spiking)

    gain = 3.0 if kind == "LIF" else 1.0
    path = two_layers(tmp_path / "net.nir", seed, make, gain)
    options = {"dialect": "norse", "tau_scaled": "yes" if scaled else "no"}
    check(path, seed, norse(kind, leak, reset), silent=kind == "LI", gain=gain, **options)
    if scaled:
        check(path, seed, norse(kind, leak, reset), gain=gain, dialect="norse")
        warnings = run(path, spikes(seed), dialect="norse")[0].origin["warnings"]
        assert any("τ·dt in place of τ" in text for text in warnings)
        with pytest.raises(InputError, match="older Norse exporters write τ·dt"):
            run(path, spikes(seed), dialect="norse", tau_scaled="no")


def test_a_decay_is_rounded_once(tmp_path: Path) -> None:
    """All 1000 decays of a float32 grid come back bit for bit from τ in float64."""
    betas = np.linspace(0.01, 0.999, 1000).astype(F32)
    tau = 1e-4 / (1 - betas.astype(np.float64))
    node = nir.LIF(tau=tau, r=tau / 1e-4, v_leak=np.zeros(1000), v_threshold=np.ones(1000))
    path = write_chain(tmp_path / "n.nir", nir.Linear(np.ones((1000, 2), F32)), node)
    graph, _ = run(path, spikes(1, 2), dialect="snntorch")
    dynamics = graph.nodes["lif"].dynamics  # type: ignore[union-attr]
    assert np.array_equal(dynamics.membrane_decay, betas.astype(np.float64))
    assert dynamics.input_gain == 1.0
