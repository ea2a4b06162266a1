"""Third-party networks and recordings, found through SNNCC_CASES (their README says what they are)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from snncc.errors import DialectError
from snncc.frontends.nir import read_nir
from snncc.ir.interpreter import run_graph

CASES = os.environ.get("SNNCC_CASES")
pytestmark = pytest.mark.skipif(CASES is None, reason="SNNCC_CASES is not set: third-party cases are not at hand")
F32 = np.float32
STEPS, SAMPLES = 256, 20


def braille(state: dict[str, np.ndarray], x: np.ndarray, alphas: tuple, betas: tuple, reset: str) -> list[np.ndarray]:
    """RSynaptic then Synaptic of snnTorch 1.0 in float32: c = αc + i (+ W_rec s), then subtract or zero, delayed."""
    layers = [(state["fc1.weight"], state.get("fc1.bias"), "lif1."), (state["fc2.weight"], state.get("fc2.bias"), None)]
    found = []
    for (weight, bias, recurrent), alpha, beta in zip(layers, alphas, betas, strict=True):
        a, b = F32(alpha), F32(beta)
        v = c = s = np.zeros((x.shape[1], len(weight)), F32)
        out = []
        for t in range(len(x)):
            i = x[t].astype(F32) @ weight.T + (0 if bias is None else bias)
            c = a * c + i
            if recurrent:
                c = c + s @ state[f"{recurrent}recurrent.weight"].T + state.get(f"{recurrent}recurrent.bias", F32(0))
            v = b * v + c - s if reset == "subtract" else (1 - s) * (b * v + c)
            s = (v > 1).astype(F32)
            out.append(s)
        x = np.array(out)
        found.append(x)
    return found


@pytest.mark.parametrize(
    ("name", "reset", "alphas", "betas"),
    [("bias_zero", "zero", (0.55, 0.5), (0.9, 0.55)), ("noBias_subtract", "subtract", (0.75, 0.45), (0.85, 0.7))],
)
def test_braille(name: str, reset: str, alphas: tuple, betas: tuple) -> None:
    torch = pytest.importorskip("torch", reason="the weights are a torch state_dict")
    folder = Path(str(CASES)) / "nir-braille"
    options = {"dialect": "snntorch", "reset": reset, "time_steps": str(STEPS)}
    bias, kind = name.split("_")
    saved = torch.load(folder / f"model_noDelay_{bias}_ref_{kind}.pt", weights_only=True, map_location="cpu")
    state = {key: value.numpy() for key, value in saved.items() if hasattr(value, "numpy")}
    graph = read_nir(folder / f"braille_noDelay_{name}.nir", options)
    for rate, seed in ((0.05, 1), (0.2, 2), (0.5, 3)):
        x = (np.random.default_rng(seed).random((STEPS, SAMPLES, 12)) < rate).astype(np.int64)
        expected = braille(state, x, alphas, betas, reset)
        for dtype in (np.float32, np.float64):
            got = run_graph(graph, x, dtype=dtype)
            for node, want in zip(("lif1.lif", "lif2"), expected, strict=True):
                assert int((got.spikes[node] != want).sum()) == 0, (node, rate, dtype)
                assert want.sum() > 100


def trace(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(input, membrane, spikes) of a platform, each (1000,)."""
    table = np.loadtxt(Path(str(CASES)) / "nir-single-lif" / f"lif_{name}.csv", delimiter=",")
    return table[:, 0], table[:, 1], table[:, 2]


@pytest.mark.parametrize(
    ("file", "platform", "options", "scale"),
    [
        ("norse", "norse", {"dialect": "norse", "dt": "1e-4"}, 1.0),
        ("norse", "norse", {"dialect": "euler", "dt": "1e-4"}, 1.0),
        ("norse", "lava_cpu_float", {"dialect": "euler", "dt": "1e-4"}, 1.0),
        ("rockpool", "rockpool", {"dialect": "rockpool"}, 1.0),
        ("rockpool", "sinabs", {"dialect": "rockpool"}, 1.0),
        ("norse", "exact", {"dialect": "exact", "dt": "1e-4"}, 1.0),
    ],
)
def test_single_lif(file: str, platform: str, options: dict[str, str], scale: float) -> None:
    """Same spikes as the platform's recording; Lava reports a step late."""
    given = (trace("norse")[0] > 0).astype(np.int64)
    path = Path(str(CASES)) / "nir-single-lif" / f"lif_{file}.nir"
    if file == "norse":  # as a file written by hand
        with pytest.raises(DialectError, match="norse: r = 1 and τ in seconds"):
            read_nir(path, {"time_steps": "1000"})
    else:
        assert read_nir(path, {"time_steps": "1000"}).origin["semantics"]["dialect"] == "rockpool"
    graph = read_nir(path, {**options, "time_steps": "1000"})
    got = run_graph(graph, given[:, None, None], record_membranes=True)
    (name,) = got.spikes
    _, membrane, spikes = trace(platform)
    late = 1 if platform.startswith("lava") else 0
    assert np.array_equal(got.spikes[name][: 1000 - late, 0, 0], spikes[late:]), np.flatnonzero(got.spikes[name])
    assert spikes.sum() == 4
    if platform in ("rockpool", "norse") and options["dialect"] == platform:
        quiet = spikes == 0  # platforms differ in whether they record a firing neuron before or after its reset
        np.testing.assert_allclose(got.membranes[name][quiet, 0, 0], membrane[quiet], rtol=1e-4, atol=1e-5)
