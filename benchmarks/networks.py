"""The networks that are measured, and their inputs at a wanted activity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.activity import calibrate, measured_rates, spread
from benchmarks.chain import folded
from snncc.compiler import compile_graph
from snncc.data import load
from snncc.errors import InputError, SnnccError
from snncc.feed import feed
from snncc.frontends import load_model
from snncc.frontends.description import graph_of
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, describe
from snncc.registry import get_models, get_target, resolve_model
from snncc.target import RunOptions, run_all

Array = np.ndarray
SEED = 0
TRAINED = "trained"
"""In place of an activity: that of trained networks."""
PROFILE_SAMPLES = 16

_FIRING = {"compare": ">", "reset": "to_value", "reset_value": 0.0, "reset_timing": "immediate"}
FAST: Mapping[str, Any] = {"threshold": 1.0, "membrane_decay": 0.5, **_FIRING}
SLOW: Mapping[str, Any] = {"threshold": 1.0, "membrane_decay": 0.875, **_FIRING}
"""The neuron of the zoo's mnist-lif, and one of a longer memory for 100 steps; 7/8 is exact in every arithmetic."""
SPIKES = {"encoding": "spikes", "scale": 1.0, "low": 0, "high": 1}
VGG9 = "64C3-64C3-P2-128C3-128C3-P2-256C3-256C3-256C3-P2-1024-10"
VGG16 = "2*64C3-P2-2*128C3-P2-3*256C3-P2-3*512C3-P2-3*512C3-P2-4096-4096-10"


@dataclass(frozen=True)
class Case:
    """A network to measure.

    Attributes:
        name: on the command line.
        description: random weights of a fixed seed; None for a trained network of the zoo of that name.
        batch: samples at once where none are asked for.
        profiles: trained networks of the zoo whose firing rates stand for "trained", the first that is there.
        lava: also through the reference interpreter and the Lava runtime, on a few samples.
    """

    name: str
    description: Callable[[], Description] | None = None
    batch: int = 64
    profiles: tuple[str, ...] = ()
    lava: bool = False


@dataclass(frozen=True, eq=False)
class Workload:
    """A network and its inputs at one activity.

    Attributes:
        graph: batch norms folded; thresholds set for the activity.
        inputs: whole numbers, (N, *shape) where static, else (T, N, *shape).
        rates: share of each hidden layer's neurons that fire in a step, as it was found in the float network.
        origin: where weights, thresholds and inputs are from, in words.
    """

    case: Case
    activity: float | str
    graph: Graph
    inputs: Array
    rates: tuple[float, ...]
    origin: str

    @property
    def samples(self) -> int:
        """N."""
        return self.inputs.shape[0 if self.static else 1]

    @property
    def static(self) -> bool:
        """Whether the input is the same at every step."""
        source = self.graph.nodes[self.graph.input]
        assert isinstance(source, Input)
        return source.encoding == "static"


def _vgg9(time_steps: int) -> Description:
    return describe(
        f"vgg9-t{time_steps}",
        {
            "layers": VGG9, "time_steps": time_steps, "neuron": FAST, "input_shape": (3, 32, 32), "padding": 1,
            "batch_norm": False,
        },
    )  # fmt: skip


def vgg16() -> Description:
    """A network of VGG-16's size, for the time that compiling takes."""
    fields = {"layers": VGG16, "time_steps": 4, "neuron": FAST, "input_shape": (3, 32, 32), "padding": 1}
    return describe("vgg16", {**fields, "batch_norm": False})


def _mlp() -> Description:
    fields = {"layers": "512-512-10", "time_steps": 100, "neuron": SLOW, "input_shape": (784,), "batch_norm": False}
    return describe("mlp", {**fields, "entry": SPIKES})


def _recurrent() -> Description:
    fields = {"input_size": 700, "hidden": [1024], "classes": 20, "time_steps": 100, "neuron": SLOW, "entry": SPIKES}
    made = describe("recurrent", {"family": "recurrent", **fields, "readout_decay": 1.0})
    made["output"].pop("each_step")
    return made


CASES: Mapping[str, Case] = {
    case.name: case
    for case in (
        Case("mnist-lif", lava=True),
        Case("vgg9-t4", lambda: _vgg9(4), profiles=("cifar10-dsr-lif", "cifar10-multi-threshold", "mnist-lif")),
        Case("vgg9-t100", lambda: _vgg9(100), 16, ("cifar10-spike-based-vgg9", "cifar10-multi-threshold", "mnist-lif")),
        Case("mlp", _mlp, profiles=("mnist-lif",)),
        Case("recurrent", _recurrent, profiles=("ecg-recurrent",)),
    )
}


def find_case(name: str) -> Case:
    """One of :data:`CASES`, or a trained network of the zoo. Raises :class:`InputError`."""
    if name in CASES:
        return CASES[name]
    if name not in get_models():
        raise InputError(f"{name}: is no network to measure; there are {', '.join(CASES)} and those of `snncc models`")
    resolve_model(name)  # says so where it is not trained
    return Case(name)


def random_graph(description: Description, seed: int = SEED) -> Graph:
    """A description with random weights: normal ones, of mean 0 for each output; biases are 0."""
    _, state = SpikingNetwork(description).deployed()
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, tensor in state.items():
        scales = tensor.ndim == 1 and name.endswith((".weight", ".running_var"))  # of batch norm
        x = np.full(tuple(tensor.shape), float(scales), np.float32)
        if x.ndim > 1:
            x = rng.normal(0, (2 / x[0].size) ** 0.5, x.shape)
            x -= x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
        arrays[name] = x.astype(np.float32)
    return folded(graph_of(description, arrays, {"format": "benchmark"}))


def workload(case: Case, activity: float | str, samples: int) -> Workload:
    """``case`` with inputs and thresholds that give ``activity``: a share of the neurons, or :data:`TRAINED`.

    A trained network is left as it is for TRAINED. Else thresholds are set, one a layer, so that every hidden layer fires at
    the wanted rate; spikes that come in have that rate too, and images are random where the weights are. Raises
    :class:`InputError` where no trained network is there to take rates from.
    """
    if case.description is None:
        graph, origin = folded(load_model(resolve_model(case.name))), "trained weights, its own data"
        inputs = images(case.name, graph, samples)
        if activity == TRAINED:
            return Workload(case, activity, graph, inputs, tuple(measured_rates(graph, inputs)), origin)
        rates = [float(activity)]
    else:
        graph, origin = random_graph(case.description()), "random weights and inputs"
        rates = [float(activity)] if activity != TRAINED else []
        if not rates:
            profile = next((name for name in case.profiles if get_models()[name].checkpoint.is_file()), None)
            if profile is None:
                raise InputError(
                    f"{case.name}: none of {', '.join(case.profiles)} is trained, whose rates it would take"
                )
            rates, origin = deployed_rates(profile), f"{origin}; rates over depth of the trained {profile}"
        inputs = random_inputs(graph, samples, rates[0])
    graph, found = calibrate(graph, inputs, spread(rates, graph))
    return Workload(case, activity, graph, inputs, found, f"{origin}; thresholds set for the activity")


def random_inputs(graph: Graph, samples: int, rate: float, seed: int = SEED + 1) -> Array:
    """Noise: spikes of that rate, or pixels over the whole range."""
    source = graph.nodes[graph.input]
    assert isinstance(source, Input)
    rng = np.random.default_rng(seed)
    if source.encoding == "static":
        return rng.integers(source.low, source.high + 1, (samples, *source.shape)).astype(np.int32)
    return (rng.random((graph.time_steps, samples, *source.shape)) < rate).astype(np.int32)


def images(name: str, graph: Graph, samples: int) -> Array:
    """The first test samples of a zoo network's data; of MNIST, those bundled with snncc where the set is not there."""
    source = graph.nodes[graph.input]
    assert isinstance(source, Input)
    training = get_models()[name].training
    sets = [f"{training.data}:{training.test_splits[0]}", *(["mnist:demo"] if training.data == "mnist" else [])]
    for position, one in enumerate(sets, start=1):
        try:
            found = load(one, samples, graph.time_steps).inputs
            break
        except SnnccError:
            if position == len(sets):
                raise
    fed = feed(found, source, graph.time_steps, name, source.encoder)
    return fed if isinstance(fed, np.ndarray) else fed.take(0, len(fed))


def deployed_rates(name: str) -> list[float]:
    """Share of neurons that fire in a step, layer by layer, in a trained network of the zoo on its own data."""
    graph, engine = load_model(resolve_model(name)), get_target("fixed-sim")
    program = compile_graph(graph, engine).program
    counts = run_all(engine, program, None, images(name, graph, PROFILE_SAMPLES), RunOptions()).counts
    fires = [p.name for p in program.populations if p.fires]
    return [float(counts[n].spikes.sum() / counts[n].updates.sum()) for n in fires]
