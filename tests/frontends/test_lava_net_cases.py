"""Third-party lava-dl networks with recordings, found through SNNCC_CASES (their README says what they are).

The recordings start one step later than model time: lava-dl shifts each layer's input by a step, and its first frame is
empty.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from snncc.compiler import compile_graph
from snncc.frontends.lava_net import read_net
from snncc.program.currents import weigh
from snncc.program.program import LOIHI, Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.target import RunOptions, Target
from snncc.targets.fixed_sim import TARGET as FIXED_SIM
from snncc.targets.fixed_sim.engine import run as run_fixed
from snncc.targets.loihi_sim import TARGET as LOIHI_SIM
from snncc.targets.loihi_sim.runner import run_program

CASES = os.environ.get("SNNCC_CASES")
pytestmark = pytest.mark.skipif(CASES is None, reason="SNNCC_CASES is not set: third-party cases are not at hand")
OXFORD, TINY = (Path(str(CASES)) / f"lava-dl-{name}" for name in ("oxford", "tiny"))
ALL = RunOptions(record=True, timeout_s=240)


def oxford(steps: int, target: Target = LOIHI_SIM) -> tuple[Program, np.ndarray]:
    """The Program and its recorded input (T, 1, 200)."""
    made = compile_graph(read_net(OXFORD / "network.net", {"time_steps": str(steps)}), target)
    assert not made.errors
    return made.program, np.load(OXFORD / "gts" / "in.npy").astype(np.int64).T[:steps, None]


def tiny(**options: str) -> Program:
    made = compile_graph(read_net(TINY / "tiny.net", {"time_steps": "15", **options}), LOIHI_SIM)
    assert not made.errors
    return made.program


def recorded(name: str) -> np.ndarray:
    """A recording (T, *shape) of the tiny network without its empty first frame; stored (1, *shape, T)."""
    return np.moveaxis(np.load(TINY / f"{name}.npy")[0], -1, 0)[1:].astype(np.int64)


def check_tiny(program: Program, x: np.ndarray, layers: dict[str, str]) -> None:
    for found in (run_reference(program, x), run_fixed(program, x, ALL)):
        for layer, name in layers.items():
            assert recorded(name).any() and int((found.spikes[layer][:, 0] != recorded(name)).sum()) == 0, layer


@pytest.mark.parametrize("target", [LOIHI_SIM, FIXED_SIM], ids=lambda t: t.name)
def test_oxford_is_0_of_512000_cells(target: Target) -> None:
    program, x = oxford(2000, target)
    assert program.arithmetic is LOIHI  # what the file is defined in, also where it is compiled for fixed-sim
    wanted = np.load(OXFORD / "gts" / "out.npy").T
    assert np.array_equal(program.projections[0].weight, np.load(OXFORD / "gts" / "weight.npy"))
    assert wanted.size == 512_000 and wanted.sum() == 1826
    exact, quick = run_reference(program, x), run_fixed(program, x, ALL)
    for found in (exact, quick):
        spikes = found.spikes["layer0"][:, 0]
        late = np.concatenate([np.zeros_like(spikes[:1]), spikes[:-1]])
        assert int((late != wanted).sum()) == 0
    assert exact.spikes["layer1"].sum() > 1000 and np.array_equal(exact.spikes["layer1"], quick.spikes["layer1"])


def test_oxford_in_the_lava_runtime(lava: None) -> None:
    """Stock Dense and LIF, with weights of -178 … 192 by the weight exponent."""
    program, x = oxford(200)
    assert set((LOIHI_SIM.describe or dict)(program).values()) == {"stock LIF", "stock Dense"}
    same(run_program(program, None, x, ALL), run_reference(program, x))


def test_tiny_from_its_spikes() -> None:
    check_tiny(tiny(input_encoding="spikes"), recorded("input")[:, None], {"layer1": "layer1", "layer2": "output"})


def test_tiny_from_its_image() -> None:
    """The recorded currents of the image, stored (W, H, C), drive the input layer; every layer is as recorded."""
    image = np.load(TINY / "input_bias.npy").astype(np.int64).transpose(2, 1, 0)[None]
    check_tiny(tiny(), image, {"layer0": "input", "layer1": "layer1", "layer2": "output"})


def test_tiny_currents_and_integers() -> None:
    program = tiny(input_encoding="spikes")
    projection, population = program.projections[0], program.populations[0]
    assert np.array_equal(weigh(program, projection, recorded("input"), projection.weight), recorded("current"))
    assert np.array_equal(
        projection.weight, np.load(TINY / "layer1_kernel.npy").transpose(0, 3, 2, 1)[:, :, ::-1, ::-1]
    )
    assert np.array_equal(population.bias.reshape(-1), np.load(TINY / "layer1_bias.npy") << 6)
    assert (population.threshold, population.decay_v, population.decay_u) == (25 << 6, 3072, None)
    assert read_net(TINY / "tiny.net", {}).time_steps == 64


def test_tiny_in_the_lava_runtime(lava: None) -> None:
    program, x = tiny(input_encoding="spikes"), recorded("input")[:, None]
    same(run_program(program, None, x, ALL), run_reference(program, x))


def same(got: IntegerRecording, wanted: IntegerRecording) -> None:
    for name in wanted.spikes:
        assert wanted.spikes[name].any()
        assert int((got.spikes[name] != wanted.spikes[name]).sum()) == 0
        assert int((got.membranes[name] != wanted.membranes[name]).sum()) == 0
