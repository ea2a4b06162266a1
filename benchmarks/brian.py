"""Brian2's C++ standalone mode, where ``SNNCC_BRIAN2`` names a Python that has Brian2. Dense layers only.

Brian2 has no samples: they run one after the other through one network.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.chain import Chain
from benchmarks.frameworks import constants
from benchmarks.rounds import Contender
from snncc.errors import UnsupportedError
from snncc.ir.nodes import Dense

Array = np.ndarray
PYTHON = "SNNCC_BRIAN2"
SCRIPT = Path(__file__).parent / "brian_network.py"
SAMPLES = 4
BUILD_S = 600


def brian(chain: Chain, inputs: Array, threads: int, folder: Path) -> Contender:
    """Builds the program, once. Raises :class:`UnsupportedError` for a network that it is not given, ValueError where there
    is no Brian2, or what its build wrote last."""
    if chain.static or any(len(s.layers) != 1 or not isinstance(s.layers[0], Dense) for s in chain.stages):
        raise UnsupportedError("is given networks of dense layers and spikes alone; it has no convolution")
    python = os.environ.get(PYTHON)
    if not python:
        raise ValueError(f"{PYTHON} names no Python that has Brian2")
    folder.mkdir(parents=True, exist_ok=True)
    few = inputs[:, :SAMPLES]
    write_network(chain, few, folder / "network.npz")
    command = [python, str(SCRIPT), str(folder / "network.npz"), str(folder / "program"), str(threads)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)
    if made.returncode:
        raise ValueError((made.stderr or made.stdout).strip().splitlines()[-1])
    spikes = [int(x) for x in made.stdout.split("spikes")[-1].split()]
    cells = [chain.time_steps * few.shape[1] * len(s.layers[0].weight) for s in chain.hidden]  # type: ignore[union-attr]
    rates = tuple(n / size for n, size in zip(spikes, cells, strict=True))

    def run() -> float:
        program = folder / "program"
        subprocess.run([str(program / "main")], cwd=program, check=True, capture_output=True)
        return float((program / "results" / "last_run_info.txt").read_text().split()[0])

    def warm() -> tuple[float, ...]:
        run()
        return rates

    note = "float32; one sample after the other; time of its simulation alone"
    return Contender("Brian2 C++", few.shape[1], run, warm, note)


def write_network(chain: Chain, inputs: Array, file: Path) -> None:
    """What ``brian_network.py`` reads: weights, constants, and the spikes of all samples on one time axis."""
    layers = len(chain.stages)
    steps, samples, size = inputs.shape
    t, sample, index = np.nonzero(inputs)
    arrays: dict[str, Array] = {
        "layers": np.asarray(layers), "steps": np.asarray(steps), "samples": np.asarray(samples),
        "inputs": np.asarray(size), "indices": index, "times": t + sample * (steps + layers),
    }  # fmt: skip
    for k, stage in enumerate(chain.stages):
        (layer,) = stage.layers
        assert isinstance(layer, Dense)
        decay, threshold = constants(stage)
        arrays |= {
            f"weight{k}": layer.weight, f"decay{k}": np.asarray(decay), f"threshold{k}": np.asarray(threshold),
            f"fires{k}": np.asarray(stage.dynamics.fires),
        }  # fmt: skip
        if stage.recurrent is not None:
            arrays[f"recurrent{k}"] = stage.recurrent
    np.savez(file, **arrays)  # type: ignore[arg-type]
