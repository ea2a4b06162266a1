"""Who runs a workload: snncc's paths, the frameworks, onnxruntime, the reference interpreter, the Lava runtime, Brian2."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.brian import brian
from benchmarks.chain import Chain, chain_of
from benchmarks.frameworks import FRAMEWORKS, Network, build, count_spikes
from benchmarks.networks import Workload
from benchmarks.rounds import FAILURES, Contender, LeftOut, said
from benchmarks.torch_layers import affine, real_inputs
from benchmarks.work import Work, work_of
from snncc.compiler import compile_graph
from snncc.errors import InputError, SnnccError
from snncc.frontends.onnx_export import build_model, model_bytes
from snncc.program.program import Program
from snncc.program.reference import run_reference
from snncc.registry import entries, get_target
from snncc.target import PATHS, RunOptions
from snncc.targets.loihi_sim.setup import require_lava

Array = np.ndarray
FEW = 4
"""Samples for the reference interpreter, and to see whether channels_last helps a framework."""
LAVA_SAMPLES = (2, 10)
"""The Lava runtime is run on both; their difference leaves its start out."""
AUTO = "snncc auto"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Engine:
    """snncc's program of a workload, and what each path did when it ran last."""

    def __init__(self, work: Workload, threads: int) -> None:
        self.target = get_target("fixed-sim")
        self.program: Program = compile_graph(work.graph, self.target).program
        self.inputs, self.threads, self.samples = work.inputs, threads, work.samples
        self.did: dict[str, Work] = {}

    def contenders(self) -> list[Contender]:
        """AUTO first."""
        return [Contender(f"snncc {path}", self.samples, self._run(path), self._warm(path)) for path in PATHS]

    def _run(self, path: str) -> Callable[[], object]:
        options = RunOptions(batch=self.samples, threads=self.threads, path=path)
        return lambda: self.target.run(self.program, None, self.inputs, options)

    def _warm(self, path: str) -> Callable[[], tuple[float, ...]]:
        def warm() -> tuple[float, ...]:
            run: Any = self._run(path)
            self.did[f"snncc {path}"] = work_of(self.program, run())
            return self.did[f"snncc {path}"].rates

        return warm


def peers(work: Workload, threads: int, folder: Path) -> Iterator[Contender | LeftOut]:
    """Everybody but snncc's paths; those that cannot run this workload as (name, why)."""
    try:
        chain = chain_of(work.graph)
        for stage in chain.stages:
            affine(stage.layers)
    except SnnccError as error:
        yield "frameworks", str(error)
    else:
        for name in FRAMEWORKS:
            for dtype in DTYPES:
                yield _attempt(f"{name} {dtype}", partial(framework, name, dtype, chain, work))
        yield _attempt("Brian2 C++", lambda: brian(chain, work.inputs, threads, folder / "brian"))
    yield _attempt("onnxruntime float32", lambda: onnxruntime(work, threads))
    if "onnx-int" in entries("snncc.targets"):
        yield _attempt("onnxruntime int8", lambda: other_target("onnxruntime int8", "onnx-int", work, threads))
    if work.case.lava:
        yield _attempt("reference interpreter", lambda: reference(work))
        yield from _attempts("Lava runtime", lambda: lava(work))


def _attempts(name: str, make: Callable[[], Iterable[Contender]]) -> list[Contender | LeftOut]:
    """Contenders that are missing, or fail at once, are named and not measured."""
    try:
        return list(make())
    except FAILURES as error:
        return [(name, said(error))]


def _attempt(name: str, make: Callable[[], Contender]) -> Contender | LeftOut:
    return _attempts(name, lambda: [make()])[0]


def framework(name: str, dtype: str, chain: Chain, work: Workload) -> Contender:
    """A framework; channels_last where that is faster, autocast where it does not compute in bfloat16 throughout."""
    kind = DTYPES[dtype]
    layouts = [False, True] if any(stage.layers and _is_conv(stage.layers[0]) for stage in chain.stages) else [False]
    few = work.inputs[:FEW] if work.static else work.inputs[:, :FEW]
    found: list[tuple[float, bool, bool]] = []
    for last in layouts:
        for automatic in (False, True):
            network, x = _placed(name, chain, few, kind, last, automatic)
            try:
                found.append((_quickest(network, x, automatic), last, automatic))
                break
            except RuntimeError:  # in bfloat16 some add a float32 tensor of their own
                if automatic or kind is torch.float32:
                    raise
    _, last, automatic = min(found)
    network, x = _placed(name, chain, work.inputs, kind, last, automatic)

    def warm() -> tuple[float, ...]:
        counts, end = count_spikes(network)
        _forward(network, x, automatic)
        end()
        return tuple(spikes / cells for spikes, cells in counts.values())

    words = [word for word, on in (("channels_last", last), ("autocast", automatic)) if on]
    return Contender(f"{name} {dtype}", work.samples, lambda: _forward(network, x, automatic), warm, ", ".join(words))


def _is_conv(node: object) -> bool:
    return type(node).__name__ == "Conv2d"


def _placed(
    name: str, chain: Chain, inputs: Array, kind: torch.dtype, last: bool, automatic: bool
) -> tuple[Network, torch.Tensor]:
    network, x = build(name, chain), real_inputs(chain, inputs, kind)
    if automatic:
        x = x.float()
    else:
        network = network.to(kind)
    if last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
    return network, x


def _forward(network: Network, x: torch.Tensor, automatic: bool) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=automatic):
        network(x)


def _quickest(network: Network, x: torch.Tensor, automatic: bool) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        _forward(network, x, automatic)
        times.append(time.perf_counter() - start)
    return min(times)


def onnxruntime(work: Workload, threads: int) -> Contender:
    """snncc's float export of the network."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    data = model_bytes(build_model(work.graph))
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    fires = [o.name for o in session.get_outputs() if o.name.endswith(".raster") and "int32" in o.type]
    given = {"input": work.inputs.astype(np.int32)}

    def warm() -> tuple[float, ...]:
        return tuple(float((raster != 0).mean()) for raster in session.run(fires, given))

    note = "float ONNX export of snncc"
    return Contender("onnxruntime float32", work.samples, lambda: session.run(["scores"], given), warm, note)


def other_target(name: str, target_name: str, work: Workload, threads: int) -> Contender:
    """Another target of snncc. Raises :class:`SnnccError` where it does not take the network."""
    target = get_target(target_name)
    made = compile_graph(work.graph, target)
    if made.errors:
        raise SnnccError("; ".join(str(f) for f in made.errors))
    options = RunOptions(batch=work.samples, threads=threads)

    def warm() -> tuple[float, ...]:
        target.run(made.program, None, work.inputs, options)
        return ()

    return Contender(name, work.samples, lambda: target.run(made.program, None, work.inputs, options), warm)


def reference(work: Workload) -> Contender:
    """The interpreter that says what a Program means, on a few samples."""
    program = compile_graph(work.graph, get_target("fixed-sim")).program
    few = work.inputs[:FEW] if work.static else work.inputs[:, :FEW]
    samples = few.shape[0 if work.static else 1]
    return Contender(
        "reference interpreter",
        samples,
        lambda: run_reference(program, few, record=False),
        lambda: work_of(program, run_reference(program, few, record=False)).rates,
    )


def lava(work: Workload) -> Iterator[Contender]:
    """The Lava runtime: time of more samples less that of fewer, so that starting it is left out; and with it."""
    require_lava()
    target = get_target("loihi-sim")
    program = compile_graph(work.graph, target).program
    fewer, more = (min(n, work.samples) for n in LAVA_SAMPLES)
    if more <= fewer:
        raise InputError(f"needs {LAVA_SAMPLES[0] + 1} samples or more")

    def seconds(samples: int) -> float:
        start = time.perf_counter()
        chosen = work.inputs[:samples] if work.static else work.inputs[:, :samples]
        target.run(program, None, chosen, RunOptions())
        return time.perf_counter() - start

    taken = {"in all": 0.0}

    def run() -> float:
        taken["in all"] = seconds(more)
        return taken["in all"] - seconds(fewer)

    def warm() -> tuple[float, ...]:
        seconds(1)
        return ()

    yield Contender("Lava runtime", more - fewer, run, warm, "its start left out")
    yield Contender("Lava runtime and start", more, lambda: taken["in all"], lambda: (), "of the same runs")
