"""The emitted package in Lava itself against the golden interpreter: every spike, membrane, score and prediction."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from programs import data_for, frames, mnist_like, neurons, program, random_program, static, weights

from snncc.compiler import compile_graph
from snncc.errors import InputError, TargetError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import chain
from snncc.ir.nodes import Conv2d, Input, Neuron, Output
from snncc.program.bounds import prove_bounds
from snncc.program.program import Program, Projection, Readout, check_program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.registry import get_target
from snncc.target import RunOptions
from snncc.targets.loihi_sim.emit import write_package
from snncc.targets.loihi_sim.placement import place
from snncc.targets.loihi_sim.runner import run_lava, run_program
from snncc.targets.loihi_sim.setup import default_folder, find_lava

LAVA = find_lava()
pytestmark = pytest.mark.skipif(
    LAVA is None, reason=f"Lava is not installed in {default_folder()}: snncc setup loihi-sim"
)
TIMEOUT_S = 240.0
RUNTIME_SEEDS = ((0, True), (1, True), (10, False), (14, False), (17, False), (18, False))
DIRECT_SEEDS = tuple(range(20, 28))


def assert_same(program: Program, got: IntegerRecording, wanted: IntegerRecording) -> None:
    """0 differing cells, in every population."""
    for population in program.populations:
        for what in ("spikes", "membranes"):
            one, two = getattr(got, what)[population.name], getattr(wanted, what)[population.name]
            assert one.shape == two.shape and int((one != two).sum()) == 0, f"{what} of {population.name}"
    assert np.array_equal(got.scores, wanted.scores) and np.array_equal(got.predictions, wanted.predictions)


def processes_of(program: Program) -> set[str]:
    placement = place(program, prove_bounds(program))
    return {p.process for p in (*placement.populations, *placement.projections)}


@pytest.mark.parametrize(("seed", "stock"), RUNTIME_SEEDS)
def test_random_networks_on_the_runtime_and_called_directly(seed: int, stock: bool) -> None:
    rng = np.random.default_rng(seed)
    p = random_program(rng, stock)
    check_program(p)
    assert ("neuron" in processes_of(p)) != stock
    data = data_for(p, rng, 4)
    wanted = run_reference(p, data)
    assert sum(int(np.abs(x).sum()) for x in wanted.spikes.values()) > 10  # something happens
    for direct in (False, True):
        assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct), wanted)


@pytest.mark.parametrize("seed", DIRECT_SEEDS)
def test_random_networks_called_directly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = random_program(rng, stock=seed % 2 == 0)
    data = data_for(p, rng, 130)  # more than a batch
    got = run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct=True)
    assert_same(p, got, run_reference(p, data))


@pytest.mark.parametrize(
    ("kind", "stock", "seed"), [("membrane", False, 1), ("spike_count", True, 0), ("summed_current", False, 1)]
)
def test_an_answer_each_step(kind: str, stock: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = random_program(rng, stock)
    p = replace(p, readout=Readout(p.readout.population, kind, "highest_index", each_step=True))
    check_program(p)
    data = data_for(p, rng, 3)
    wanted = run_reference(p, data)
    assert wanted.scores.shape[:2] == (3, p.time_steps) and len(np.unique(wanted.predictions)) > 1
    for direct in (False, True):
        assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct), wanted)


def test_a_convolutional_network_with_stock_processes() -> None:
    rng = np.random.default_rng(0)
    p = mnist_like(rng, fires_on=">=")
    assert processes_of(p) == {"host", "lif", "conv", "dense", "neuron"}
    data = data_for(p, rng, 12)
    wanted = run_reference(p, data)
    assert wanted.spikes["c2"].any() and wanted.spikes["f1"].any()
    assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct=True), wanted)
    few = run_reference(p, data[:2])
    assert_same(p, run_program(p, None, data[:2], RunOptions(record=True, timeout_s=TIMEOUT_S)), few)


def test_the_multi_level_network_runs_on_our_own_neurons() -> None:
    rng = np.random.default_rng(1)
    p = mnist_like(rng, fires_on=">=", levels=4, reset="subtract", v_init=np.asarray(500), signed=False)
    assert processes_of(p) == {"host", "conv", "dense", "neuron"}
    data = data_for(p, rng, 2)
    wanted = run_reference(p, data)
    assert wanted.spikes["c1"].max() == 4
    assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S)), wanted)


def test_our_own_synapses_and_delay_lines() -> None:
    """A convolution with a shift, repeated sparse synapses, a skip that waits, and a loop from a stock neuron that fires
    on its bias before its first sample and right up to the next: nothing of it may leak."""
    rng = np.random.default_rng(2)
    index = rng.integers(0, [[5], [24]], (2, 200))
    populations = [
        neurons("a", (2, 4, 3), bias=np.asarray(3000)),
        neurons("b", (2, 4, 3), bias=np.asarray(2500)),
        neurons("c", (5,), bias=np.asarray(1000)),
    ]
    projections = [
        Projection("in-a", "input", "a", "conv", weights(rng, 2, 2, 3, 3), shift=3, padding=(1, 1)),
        Projection("a-b", "a", "b", "conv", weights(rng, 2, 2, 3, 3), shift=1, padding=(1, 1)),
        Projection("b-b", "b", "b", "dense", weights(rng, 24, 24, high=60), delay=1),
        Projection("b-a", "b", "a", "dense", weights(rng, 24, 24, high=60), delay=2),
        Projection("b-c", "b", "c", "sparse", rng.integers(-9, 40, 200), index=index),
        Projection("in-c", "input", "c", "dense", weights(rng, 5, 24)),
    ]
    p = program(frames((2, 4, 3), -2, 5), populations, projections, Readout("c", "spike_count"), time_steps=5)
    check_program(p)
    placement = place(p, prove_bounds(p))
    assert [x.process for x in placement.projections] == ["synapses", "synapses", "dense", "dense", "synapses", "dense"]
    assert [x.latency for x in placement.projections] == [1, 1, 1, 1, 1, 3]
    data = data_for(p, rng, 5)
    wanted = run_reference(p, data)
    assert all(0.05 < wanted.spikes[name].mean() < 0.9 for name in "abc")
    for direct in (False, True):
        assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct), wanted)


def test_a_bias_too_large_for_the_registers() -> None:
    rng = np.random.default_rng(3)
    bias = np.asarray([700000, 5, -900000])[:, None, None] // 64 * 64
    projections = [
        Projection("late", "input", "a", "conv", weights(rng, 3, 2, 2, 2), delay=1),
        Projection("in-a", "input", "a", "conv", weights(rng, 3, 2, 2, 2)),
        Projection("a-b", "a", "b", "dense", weights(rng, 4, 36)),
    ]
    populations = [neurons("a", (3, 3, 4), threshold=np.asarray(20000 << 6)), neurons("b", (4,))]
    populations[0] = replace(populations[0], bias=bias, decay_v=np.asarray(3000))
    p = program(static((2, 4, 5), -60, 60), populations, projections, Readout("b", "spike_count"), time_steps=6)
    placement = place(p, prove_bounds(p))
    assert {x.process for x in placement.populations} == {"lif"}
    assert "bias with the input current" in placement.describe()["a"]
    data = data_for(p, rng, 4)
    wanted = run_reference(p, data)
    assert wanted.spikes["a"][:, :, 0].mean() > wanted.spikes["a"][:, :, 1].mean()
    for direct in (False, True):
        assert_same(p, run_program(p, None, data, RunOptions(record=True, timeout_s=TIMEOUT_S), direct), wanted)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, Path]:
    rng = np.random.default_rng(5)
    projections = [
        Projection("in-a", "input", "a", "dense", weights(rng, 6, 4)),
        Projection("a-b", "a", "b", "dense", weights(rng, 3, 6)),
    ]
    populations = [neurons("a", (6,), bias=np.asarray(500)), neurons("b", (3,), reset="subtract")]
    p = program(static((4,), -9, 9), populations, projections, Readout("b", "spike_count"))
    return p, write_package(p, tmp_path_factory.mktemp("package"))


def run_script(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert LAVA is not None
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(LAVA.python), str(folder / "run.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd="/", env=environment, check=False
    )


def test_the_package_runs_where_there_is_no_snncc(small: tuple[Program, Path], tmp_path: Path) -> None:
    p, folder = small
    assert LAVA is not None
    probe = subprocess.run([str(LAVA.python), "-I", "-c", "import snncc"], capture_output=True, text=True, check=False)
    assert "No module named 'snncc'" in probe.stderr
    before = sorted(folder.rglob("*"))
    data = data_for(p, np.random.default_rng(0), 6)
    np.save(tmp_path / "x.npy", data)
    done = run_script(
        folder, "--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "o.npz"), "--limit", "4", "--record"
    )
    assert done.returncode == 0, done.stderr
    assert "net: 4 samples, 4 time steps each, 17 Lava steps" in done.stdout and done.stderr == ""
    wanted = run_reference(p, data[:4])
    with np.load(tmp_path / "o.npz") as made:
        assert np.array_equal(made["scores"], wanted.scores) and np.array_equal(made["predictions"], wanted.predictions)
        assert all(np.array_equal(made[f"spikes/{name}"], wanted.spikes[name]) for name in "ab")
    assert sorted(folder.rglob("*")) == before  # no byte code left in it


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((3, 5), np.int64), "shape (3, 5); (N, 4) is needed"),
        (np.zeros((3, 4)), "holds float64"),
        (np.full((3, 4), 10), "10..10, beyond -9..9"),
        (np.zeros((0, 4), np.int64), "at least one sample"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    small: tuple[Program, Path], tmp_path: Path, data: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "x.npy", data)
    done = run_script(small[1], "--input", str(tmp_path / "x.npy"))
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    missing = run_script(small[1], "--input", str(tmp_path / "none.npy"))
    assert missing.returncode == 2 and "none.npy" in missing.stderr and "Traceback" not in missing.stderr


def processes_naming(text: str) -> list[int]:
    """Running processes whose command line names ``text``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text in (entry / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def abandoned(segments: set[Path]) -> set[Path]:
    """Those that no running process has mapped: another test's Lava may be at work."""
    mapped = ""
    for entry in Path("/proc").glob("[0-9]*/maps"):
        try:
            mapped += entry.read_text()
        except OSError:
            continue
    return {path for path in segments if path.name not in mapped and path.exists()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has")
def test_a_hung_process_is_stopped_with_everything_it_started(small: tuple[Program, Path], tmp_path: Path) -> None:
    p, _ = small
    folder = write_package(p, tmp_path / "hangs")
    script = folder / "snncc_lava" / "processes" / "neuron.py"
    text = script.read_text().replace(
        '"""One Lava step; nothing', 'import time\n        time.sleep(1000)\n        """', 1
    )
    assert "time.sleep(1000)" in text
    script.write_text(text)
    before = set(Path("/dev/shm").iterdir())
    started = time.monotonic()
    with pytest.raises(TargetError, match=r"did not finish in 8 s.*--timeout"):
        run_lava(folder, data_for(p, np.random.default_rng(0), 2), timeout_s=8.0)
    assert time.monotonic() - started < 25
    assert processes_naming(str(folder)) == []
    assert abandoned(set(Path("/dev/shm").iterdir()) - before) == set()


def test_a_failing_process_is_reported_with_its_traceback(small: tuple[Program, Path], tmp_path: Path) -> None:
    p, _ = small
    folder = write_package(p, tmp_path / "fails")
    script = folder / "snncc_lava" / "processes" / "neuron.py"
    script.write_text(script.read_text().replace("self.v[:] = v", 'raise ValueError("broken on purpose")', 1))
    with pytest.raises(TargetError, match=r"(?s)Lava failed \(exit 1\).*broken on purpose"):
        run_lava(folder, data_for(p, np.random.default_rng(0), 2), timeout_s=60.0)
    assert processes_naming(str(folder)) == []


def test_data_that_does_not_fit_and_folders_without_a_package_are_refused(
    small: tuple[Program, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        run_program(small[0], small[1], np.zeros((2, 5), np.int64), RunOptions())
    with pytest.raises(TargetError, match="holds no Lava package"):
        run_lava(tmp_path, np.zeros((2, 4), np.int64), 5.0)


def test_more_channels_than_eight_bits_count() -> None:
    """Lava's Conv holds its groups in 8 bits, by which NumPy 2 alone divides no 130 channels."""
    rng = np.random.default_rng(5)
    graph = chain(
        {
            "input": Input((130, 4, 4), "spikes", 1.0, 0, 1),
            "conv": Conv2d(rng.integers(-8, 9, (4, 130, 3, 3)) / 8.0),
            "lif": Neuron(Dynamics(threshold=2.0, compare=">", membrane_decay=0.5, reset="to_value")),
            "output": Output(),
        },
        4,
    )
    made = compile_graph(graph, get_target("loihi-sim")).program
    assert "conv" in processes_of(made)
    spikes = rng.integers(0, 2, (4, 2, 130, 4, 4))
    wanted = run_reference(made, spikes)
    assert wanted.spikes["lif"].any()
    for direct in (False, True):
        assert_same(made, run_program(made, None, spikes, RunOptions(record=True, timeout_s=TIMEOUT_S), direct), wanted)
