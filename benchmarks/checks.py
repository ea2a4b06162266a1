"""What is measured besides the peers: how time grows with spikes, memory with samples, and what compiling and starting take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.child import mnist
from benchmarks.limit import Rate, best
from benchmarks.networks import SLOW, SPIKES, random_graph, random_inputs, vgg16
from benchmarks.rounds import spread_of
from benchmarks.work import products, work_of
from snncc.compiler import compile_graph, write_compilation
from snncc.frontends import load_model
from snncc.models.networks import Description, describe
from snncc.registry import get_target, resolve_model
from snncc.target import CompileOptions, RunOptions

Progress = Callable[[str], None]
NETWORK = "mnist-lif"
SILENT_THRESHOLD = 20.0
"""The layers' currents have a deviation of 1 at most: nothing behind the measured layer fires."""
LAYER_ACTIVITIES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
TIMES = 5
AT = 0.01
"""The activity at which the event path is compared with the dense one."""


@dataclass(frozen=True)
class Check:
    """A figure, and whether it is what it should be.

    Attributes:
        group: what it belongs to.
        value: in ``unit``.
        wanted: in words; "" where nothing is asked of it.
        holds: None where nothing is asked of it.
    """

    group: str
    what: str
    value: float
    unit: str
    wanted: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class LayerTime:
    """Seconds of one layer and its neurons at an activity, shortest of several runs.

    Attributes:
        operations: synaptic operations of the run, as the engine counted them; ``products``: those of a dense one.
    """

    layer: str
    activity: float
    event: float
    dense: float
    operations: int
    products: int


def layers() -> list[tuple[str, Description]]:
    """Large layers: many synapses a neuron."""
    neuron = {**SLOW, "threshold": SILENT_THRESHOLD}
    fields = {"time_steps": 8, "neuron": neuron, "batch_norm": False, "padding": 1, "entry": SPIKES}
    return [
        ("dense 16384 → 1024", describe("dense", {**fields, "layers": "1024-10", "input_shape": (16384,)})),
        (
            "conv 256 → 256, 3×3, 16×16",
            describe("conv", {**fields, "layers": "256C3-10", "input_shape": (256, 16, 16)}),
        ),
    ]


def layer_times(
    threads: int, samples: int, progress: Progress, made: list[tuple[str, Description]] | None = None
) -> Iterator[LayerTime]:
    """One layer after the other at every activity, both paths in turns."""
    target = get_target("fixed-sim")
    for name, description in layers() if made is None else made:
        progress(f"{name}: compiling")
        graph = random_graph(description)
        program = compile_graph(graph, target).program
        for activity in LAYER_ACTIVITIES:
            progress(f"{name}: activity {100 * activity:g} %")
            inputs = random_inputs(graph, samples, activity)
            shortest = dict.fromkeys(("event", "dense"), float("inf"))
            for _ in range(TIMES):
                for path in shortest:
                    start = time.perf_counter()
                    run = target.run(program, None, inputs, RunOptions(batch=samples, threads=threads, path=path))
                    shortest[path] = min(shortest[path], time.perf_counter() - start)
            work = work_of(program, run)
            yield LayerTime(
                name, activity, shortest["event"], shortest["dense"], work.operations, products(program) * samples
            )


def layer_checks(times: Sequence[LayerTime], rates: Sequence[Rate]) -> Iterator[Check]:
    """How the event path's time grows with spikes, and how it compares with the dense one where few neurons fire."""
    for name in dict.fromkeys(t.layer for t in times):
        at = {t.activity: t for t in times if t.layer == name}
        raw = at[0.2].event / at[0.02].event
        net = (at[0.2].event - at[0.0].event) / (at[0.02].event - at[0.0].event)
        yield Check("linear", f"{name}: event path, 20 % over 2 %", raw, "×")
        what = f"{name}: the same less the time without spikes"
        yield Check("linear", what, net, "×", "10 ± 1.5", 8.5 <= net <= 11.5)
        few = at[AT]
        what, gain = f"{name}, activity {100 * AT:g} %: dense over event", few.dense / few.event
        yield gain_check("layer", what, gain, few.operations, few.products, rates)


def gain_check(group: str, what: str, gain: float, operations: int, products: int, rates: Sequence[Rate]) -> Check:
    """The event path is to be twice as fast at :data:`AT`, unless adding at the machine's limit already takes more than half
    as long as multiplying at its limit."""
    if rates and products / best(rates, "multiply") < 2 * operations / best(rates, "add"):
        return Check(group, what, gain, "×")
    return Check(group, what, gain, "×", "≥ 2", gain >= 2)


def write_folder(folder: Path, network: str = NETWORK) -> Path:
    """The network compiled for fixed-sim, as ``snncc compile`` writes it."""
    path, target, options = resolve_model(network), get_target("fixed-sim"), CompileOptions()
    return write_compilation(compile_graph(load_model(path), target, options), target, options, path, folder / network)


def child(
    folder: Path, samples: int, times: int, threads: int, cache: Path | None = None, path: str = "auto"
) -> dict[str, object]:
    """What ``benchmarks.child`` prints."""
    environment = dict(os.environ) | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    command = [sys.executable, "-m", "benchmarks.child", str(folder), "--samples", str(samples)]
    command += ["--times", str(times), "--threads", str(threads), "--path", path]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"benchmarks.child failed:\n{done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def memory(folder: Path, threads: int, fewer: int = 1000, more: int = 10_000) -> Iterator[Check]:
    """Peak memory of a process that runs few samples, and of one that runs many; both on the dense path, which needs
    PyTorch's own memory, however few samples there are."""
    runs = (child(folder, n, 1, threads, path="dense") for n in (fewer, more))
    low, high = (float(run["peak_mib"]) for run in runs)  # type: ignore[arg-type]
    growth = 100 * (high / low - 1)
    yield Check("memory", f"peak of {fewer:,} samples", low, "MiB")
    yield Check("memory", f"peak of {more:,} samples", high, "MiB")
    yield Check("memory", f"growth from {fewer:,} to {more:,} samples", growth, "%", "< 10", growth < 10)


def first_use(folder: Path, cache: Path, threads: int) -> Iterator[Check]:
    """The first run in a fresh cache of kernels; the next one; and the first of another process that finds the cache."""
    first, again = _seconds(child(folder, 2, 2, threads, cache))
    (cached,) = _seconds(child(folder, 2, 1, threads, cache))
    yield Check("first use", "2 samples, kernels compiled", first, "s")
    yield Check("first use", "2 samples, kernels in memory", again, "s")
    fine = cached < first / 2
    yield Check("first use", "2 samples, kernels from the cache, new process", cached, "s", "cached", fine)


def _seconds(found: dict[str, object]) -> list[float]:
    seconds = found["seconds"]
    assert isinstance(seconds, list)
    return seconds


def whole_test_set(threads: int, samples: int = 10_000, times: int = 3) -> Check:
    """The zoo's LeNet on all test images of MNIST."""
    target = get_target("fixed-sim")
    program = compile_graph(load_model(resolve_model(NETWORK)), target).program
    inputs = mnist(samples)
    target.run(program, None, inputs[:64], RunOptions(batch=64, threads=threads))
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        target.run(program, None, inputs, RunOptions(batch=64, threads=threads))
        taken.append(time.perf_counter() - start)
    middle = spread_of(taken).median
    return Check("whole set", f"{NETWORK} on {samples:,} MNIST images", middle, "s", "< 10", middle < 10)


def compile_time(description: Description | None = None) -> Check:
    """From the Graph to the proven Program, for fixed-sim."""
    made = vgg16() if description is None else description
    graph, target = random_graph(made), get_target("fixed-sim")
    weights = sum(int(np.size(node.weight)) for node in graph.nodes.values() if hasattr(node, "weight"))
    start = time.perf_counter()
    compile_graph(graph, target)
    taken = time.perf_counter() - start
    return Check("compile", f"{made['name']}, {weights / 1e6:.1f} million weights", taken, "s", "< 30", taken < 30)
