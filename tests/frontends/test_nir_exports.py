"""NIR files that the frameworks write with their own exporters, against the frameworks' own runs of the same networks:
100 steps, 3 seeds, 0 differing spikes; and what those exporters leave out, as a measured difference or as a refusal.

Weights are multiples of 1/64, so that no order of summation matters. ``pytest -s`` prints the table.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the frameworks are PyTorch libraries: pip install snncc[torch]")
nir = pytest.importorskip("nir", reason="their exporters write NIR: pip install snncc[nir]")
pytest.importorskip("nirtorch", reason="every exporter needs nirtorch: make frameworks")

from torch import nn  # noqa: E402
from torch_networks import Case, frames, own_run  # noqa: E402

from snncc.errors import GraphError, InputError, UnsupportedError  # noqa: E402
from snncc.frontends.nir import read_nir  # noqa: E402
from snncc.frontends.torch_run import reset_states  # noqa: E402
from snncc.ir.graph import Graph  # noqa: E402
from snncc.ir.interpreter import run_graph  # noqa: E402
from snncc.ir.nodes import Neuron  # noqa: E402

SEEDS = (1, 2, 3)
HIDDEN = 20
Make = Callable[[tuple[int, ...]], nn.Module]


@dataclass(frozen=True)
class Export:
    """A neuron under test: ``make(shape)`` gives a population, ``options`` say how its file is to be read."""

    framework: str
    neuron: str
    reset: str
    make: Make
    options: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("dense", "conv")
    layout: str = "step"

    @property
    def label(self) -> str:
        return f"{self.framework}-{self.neuron}-{self.reset}".replace(" ", "_")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The exporters warn of their own deprecations."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def framework(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed: make frameworks")


def on_grid(module: nn.Module, scale: float, offset: float = 0.0) -> None:
    """Random weights that are multiples of 1/64."""
    with torch.no_grad():
        for values in nn.Module.parameters(module):  # Rockpool's own method gives names
            values.copy_(torch.round((torch.randn_like(values) * scale + offset) * 64) / 64)


def spread(value: float, shape: tuple[int, ...]) -> torch.Tensor:
    """A constant of a population: one number for the first of a dense network, one a neuron elsewhere. Behind convolutions
    the shapes that an exporter leaves open can be inferred only from the neurons."""
    return torch.tensor(value) if len(shape) == 1 and shape[0] == HIDDEN else torch.full(shape, value)


def snntorch_neuron(kind: str, reset: str, delayed: bool) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        snn = framework("snntorch")
        options: dict[str, Any] = {"reset_mechanism": reset, "reset_delay": delayed, "init_hidden": True}
        options |= {"beta": torch.full(shape, 0.87), "threshold": torch.full(shape, 0.9)}
        if "Synaptic" in kind:
            options["alpha"] = torch.full(shape, 0.6)
        if kind.startswith("R"):
            layer = getattr(snn, kind)(linear_features=shape[0], **options)
            on_grid(layer.recurrent, 0.3)
            return layer
        return getattr(snn, kind)(**options)

    return make


def snntorch_exports() -> list[Export]:
    found = []
    for kind in ("Leaky", "Synaptic", "RLeaky", "RSynaptic"):
        for reset, delayed in (("subtract", True), ("zero", True), ("zero", False)):
            if kind == "RSynaptic" and not delayed:
                continue  # it fails with init_hidden, and ignores reset_delay=False without
            options = {"reset": reset, "reset_delay": "yes" if delayed else "no"}
            kinds = ("dense",) if kind.startswith("R") else ("dense", "conv")
            label = f"{reset}, {'delayed' if delayed else 'at once'}"
            found.append(Export("snntorch", kind, label, snntorch_neuron(kind, reset, delayed), options, kinds))
    return found


def spikingjelly_neuron(kind: str, v_reset: float | None, mode: str, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        neuron = framework("spikingjelly.activation_based.neuron")
        made = getattr(neuron, kind)(v_reset=v_reset, **options)
        made.step_mode = mode
        return made

    return make


def spikingjelly_exports() -> list[Export]:
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "IFNode": ("IFNode", {"v_threshold": 1.25}),
        "LIFNode": ("LIFNode", {"tau": 2.3, "v_threshold": 0.6}),
        "LIFNode plain input": ("LIFNode", {"tau": 2.3, "decay_input": False}),
        "ParametricLIFNode": ("ParametricLIFNode", {"init_tau": 1.7, "v_threshold": 0.6}),
        "CUBALIFNode": ("CUBALIFNode", {"c_decay": 0.5, "v_decay": 0.75, "v_threshold": 1.5}),
    }
    return [
        Export(
            "spikingjelly",
            name,
            f"to {value}, {'one step' if mode == 's' else 'all steps'}",
            spikingjelly_neuron(kind, value, mode, **options),
            {"reset": "zero"},
            layout="step" if mode == "s" else "time_batch",
        )
        for mode in ("s", "m")
        for value in (0.0, -0.1)
        for name, (kind, options) in kinds.items()
    ]


def sinabs_neuron(kind: str, reset: str, many: bool, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        sl, activation = framework("sinabs.layers"), framework("sinabs.activation")
        fires = activation.MultiSpike if many else activation.SingleSpike
        rule = activation.MembraneSubtract() if reset == "subtract" else activation.MembraneReset()
        own: dict[str, Any] = {} if kind == "ExpLeak" else {"spike_fn": fires, "reset_fn": rule}
        if kind in ("LIF", "ExpLeak"):
            own["tau_mem"] = spread(6.0, shape)
        if kind == "LIF":
            own["spike_threshold"] = spread(0.5, shape)
        return getattr(sl, kind + "Squeeze")(batch_size=2, **own, **options)

    return make


def sinabs_exports() -> list[Export]:
    kinds: dict[str, tuple[str, dict[str, Any], dict[str, str], tuple[str, ...]]] = {
        "IAF": ("IAF", {}, {}, ("dense", "conv")),
        "IAF clamped": ("IAF", {"min_v_mem": -1.0}, {"v_min": "-1"}, ("dense", "conv")),
        "LIF": ("LIF", {}, {"norm_input": "yes"}, ("dense", "conv")),
        "LIF plain input": ("LIF", {"norm_input": False}, {"norm_input": "no"}, ("dense", "conv")),
    }
    found = [
        Export(
            "sinabs",
            name,
            f"{reset}, {'many spikes' if many else 'one spike'}",
            sinabs_neuron(kind, reset, many, **given),
            {"reset": reset, "multi_spike": "yes" if many else "no", **options},
            shapes,
            "squeezed",
        )
        for many in (True, False)
        for reset in ("subtract", "zero")
        for name, (kind, given, options, shapes) in kinds.items()
    ]
    leak = sinabs_neuron("ExpLeak", "subtract", True)
    return [*found, Export("sinabs", "ExpLeak", "none", leak, {"norm_input": "no"}, layout="squeezed")]


def norse_neuron(kind: str, **options: Any) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        norse = framework("norse.torch")
        parameters = {"LIFBoxCell": "LIFBoxParameters", "LIFCell": "LIFParameters", "IAFCell": "IAFParameters"}
        parameters["LIBoxCell"] = "LIBoxParameters"
        values = {k: spread(v, shape) if isinstance(v, float) else v for k, v in {"v_leak": 0.0, **options}.items()}
        if kind == "IAFCell":
            del values["v_leak"]
        return getattr(norse, kind)(getattr(norse, parameters[kind])(**values))

    return make


def norse_exports() -> list[Export]:
    rates = {"tau_mem_inv": 170.0, "v_th": 0.3}
    cells: list[tuple[str, str, dict[str, Any]]] = [
        ("LIFBoxCell", "to 0", rates),
        ("LIFBoxCell", "to 0, leak 0.125", {**rates, "v_leak": 0.125}),
        ("LIFCell", "to 0", {**rates, "tau_syn_inv": 310.0, "v_th": 0.6}),
        ("LIFCell", "to 0, leak 0.125", {**rates, "tau_syn_inv": 310.0, "v_leak": 0.125}),
        ("IAFCell", "to 0", {"v_th": 1.3}),
        ("LIBoxCell", "none", {"tau_mem_inv": 170.0}),
    ]
    return [
        Export("norse", kind, reset, norse_neuron(kind, **given), {"tau_scaled": "yes"}) for kind, reset, given in cells
    ]


def rockpool_neuron(most: float, bias: float = 0.0, recurrent: bool = False) -> Make:
    def make(shape: tuple[int, ...]) -> nn.Module:
        modules, size = framework("rockpool.nn.modules"), shape[0]
        options: dict[str, Any] = {"tau_mem": 0.008, "tau_syn": 0.004, "bias": bias, "dt": 1e-3}
        if recurrent:
            grid = np.round(np.random.default_rng(size).normal(-0.05, 0.15, (size, size)) * 64) / 64
            options |= {"has_rec": True, "w_rec": torch.tensor(grid, dtype=torch.float32)}
        return modules.LIFTorch(size, max_spikes_per_dt=torch.tensor(most), **options)

    return make


def rockpool_exports() -> list[Export]:
    return [
        Export(
            "rockpool",
            "LIFTorch",
            f"subtract, {name}",
            rockpool_neuron(most),
            {"multi_spike": yes},
            ("dense",),
            "batch_time",
        )
        for name, most, yes in (("many spikes", 2.0**16, "yes"), ("one spike", 1.0, "no"))
    ]


EXPORTS = [*snntorch_exports(), *spikingjelly_exports(), *sinabs_exports(), *norse_exports(), *rockpool_exports()]


def network(case: Export, kind: str, seed: int) -> nn.Module:
    """Two layers of neurons, on dense or convolutional weights, of the layers that the exporter knows."""
    torch.manual_seed(seed)
    if case.framework == "rockpool":
        return _rockpool(case)
    if kind == "dense":
        layers = [nn.Linear(12, HIDDEN), case.make((HIDDEN,)), nn.Linear(HIDDEN, 9), case.make((9,))]
    elif case.framework == "norse":
        layers = [nn.Conv2d(2, 4, 3), case.make((4, 6, 6)), nn.Conv2d(4, 3, 3), case.make((3, 4, 4))]
    else:
        pool = framework("sinabs.layers").SumPool2d(2) if case.framework == "sinabs" else nn.AvgPool2d(2)
        first, second = case.make((4, 8, 8)), case.make((9,))
        layers = [nn.Conv2d(2, 4, 3, padding=1), first, pool, nn.Flatten(), nn.Linear(64, 9), second]
    for layer in layers:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            on_grid(layer, 2.5 / layer.weight[0].numel() ** 0.5, 0.05)
    if case.layout == "time_batch":
        layers = [_all_steps(layer) for layer in layers]
    return framework("norse.torch").SequentialState(*layers) if case.framework == "norse" else nn.Sequential(*layers)


def _all_steps(layer: nn.Module) -> nn.Module:
    layers = framework("spikingjelly.activation_based.layer")
    if not isinstance(layer, nn.Conv2d | nn.AvgPool2d | nn.Flatten):
        return layer
    if isinstance(layer, nn.Conv2d):
        made = layers.Conv2d(2, 4, 3, padding=1, step_mode="m")
        made.load_state_dict(layer.state_dict())
        return made
    return layers.AvgPool2d(2, step_mode="m") if isinstance(layer, nn.AvgPool2d) else layers.Flatten(step_mode="m")


def _rockpool(case: Export) -> nn.Module:
    linear = framework("rockpool.nn.modules").LinearTorch
    layers = [linear((12, 20), has_bias=True), case.make((20,)), linear((20, 9), has_bias=True), case.make((9,))]
    for layer, fan in zip(layers[::2], (12, 20), strict=True):
        on_grid(layer, 2.5 / fan**0.5, 0.05)
    return framework("rockpool.nn.combinators").Sequential(*layers)


def exported(case: Export, module: nn.Module, inputs: np.ndarray) -> Any:
    """The NIRGraph of the framework's own exporter, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return _exported(case, module, inputs)


def _exported(case: Export, module: nn.Module, inputs: np.ndarray) -> Any:
    """Norse and Rockpool keep every axis of the sample, so theirs has none for the batch."""
    x = torch.from_numpy(inputs.astype(np.float32))
    if case.framework == "snntorch":
        return framework("snntorch.export_nir").export_to_nir(module, x[0, :1], ignore_dims=[0])
    if case.framework == "spikingjelly":
        sample = x if case.layout == "time_batch" else x[0]
        return framework("spikingjelly.activation_based.nir_exchange").export_to_nir(module, sample)
    if case.framework == "sinabs":
        return framework("sinabs.nir").to_nir(module, x.transpose(0, 1).flatten(0, 1))
    if case.framework == "norse":
        return framework("norse.torch").to_nir(module, x[0, 0])
    return framework("rockpool.nn.modules.torch.nir").to_nir(module, x[0, 0])


def written(path: Path, graph: Any) -> Path:
    """The file. ``nir.write`` compresses no scalar, and writes no shape that an exporter left open."""
    if any(getattr(node, "input_shape", 0) is None for node in graph.nodes.values()):
        graph.infer_types()
    nir.write(path, graph, compression=None)
    return path


def read(case: Export, path: Path, **options: str) -> Graph:
    given = {"dialect": case.framework, "time_steps": "100", "input_encoding": "spikes", **case.options, **options}
    return read_nir(path, given)


def theirs(case: Export, module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    """The framework's own run."""
    reset_states(module)
    as_case = Case(case.framework, case.neuron, case.reset, lambda size: nn.Identity(), layout=case.layout)
    return own_run(as_case, module, inputs)


def compare(case: Export, kind: str, seed: int, path: Path) -> tuple[int, int, int]:
    """(differing cells of the last layer, cells, cells that are not 0)."""
    module, inputs = network(case, kind, seed), frames(kind, seed)
    graph = read(case, written(path, exported(case, module, inputs)))
    last = [name for name, node in graph.nodes.items() if isinstance(node, Neuron)][-1]
    recording = run_graph(graph, inputs, dtype=np.float32, record_membranes=True)
    expected = theirs(case, module, inputs)
    node = graph.nodes[last]
    assert isinstance(node, Neuron)
    ours = recording.spikes[last] if node.dynamics.fires else recording.membranes[last]
    assert ours.shape == expected.shape
    wrong = ours != expected if node.dynamics.fires else np.abs(ours - expected) > 1e-5 * max(1.0, np.abs(ours).max())
    return int(wrong.sum()), ours.size, int((expected != 0).sum())


@pytest.mark.parametrize("case", EXPORTS, ids=lambda case: case.label)
def test_export_runs_as_the_framework(case: Export, tmp_path: Path) -> None:
    found = [compare(case, kind, seed, tmp_path / "net.nir") for kind in case.kinds for seed in SEEDS]
    differing, cells, active = (sum(column) for column in zip(*found, strict=True))
    kinds = "+".join(case.kinds)
    print(f"{case.framework:13}{case.neuron:21}{case.reset:24}{kinds:11}{differing:5} of {cells:6}, {active:5} active")
    assert differing == 0
    assert active > 100


def subtracting() -> dict[str, Any]:
    return {"reset_method": framework("norse.torch.functional.reset").reset_subtract}


LOST: dict[str, Callable[[], Export]] = {
    "snntorch: no reset": lambda: Export(
        "snntorch", "Leaky", "none", snntorch_neuron("Leaky", "none", True), {"reset": "subtract"}
    ),
    "sinabs: synaptic current": lambda: Export(
        "sinabs",
        "LIF tau_syn",
        "subtract",
        sinabs_neuron("LIF", "subtract", True, tau_syn=3.0, norm_input=False),
        {"norm_input": "no"},
        layout="squeezed",
    ),
    "sinabs: clamp": lambda: Export(
        "sinabs", "IAF", "subtract", sinabs_neuron("IAF", "subtract", True, min_v_mem=-1.0), layout="squeezed"
    ),
    "sinabs: one spike a step": lambda: Export(
        "sinabs", "IAF", "subtract", sinabs_neuron("IAF", "subtract", False), layout="squeezed"
    ),
    "norse: reset by subtraction": lambda: Export(
        "norse",
        "LIFBoxCell",
        "subtract",
        norse_neuron("LIFBoxCell", tau_mem_inv=170.0, v_th=0.3, **subtracting()),
        {"tau_scaled": "yes"},
    ),
    "norse: reset value": lambda: Export(
        "norse", "IAFCell", "to -0.25", norse_neuron("IAFCell", v_th=1.3, v_reset=-0.25), {"tau_scaled": "yes"}
    ),
    "rockpool: bias": lambda: Export(
        "rockpool", "LIFTorch", "bias", rockpool_neuron(1.0, 0.03125), {"multi_spike": "no"}, layout="batch_time"
    ),
    "rockpool: recurrence": lambda: Export(
        "rockpool",
        "LIFTorch",
        "recurrent",
        rockpool_neuron(1.0, recurrent=True),
        {"multi_spike": "no"},
        layout="batch_time",
    ),
    "rockpool: one spike a step": lambda: Export(
        "rockpool", "LIFTorch", "one spike", rockpool_neuron(1.0), layout="batch_time"
    ),
}
"""What a file does not hold, where a reader who was not told gets another network."""


@pytest.mark.parametrize("lost", LOST)
def test_what_an_exporter_leaves_out_shows(lost: str, tmp_path: Path) -> None:
    case = LOST[lost]()
    found = [compare(case, "dense", seed, tmp_path / "net.nir") for seed in SEEDS]
    differing, cells, _ = (sum(column) for column in zip(*found, strict=True))
    print(f"{lost:35}{differing:5} of {cells:6} differ")
    assert differing > 0


def test_snntorch_resets_that_cannot_be_said(tmp_path: Path) -> None:
    inputs = frames("dense", 1)
    for kind, reset, delay, error, message in (
        ("Leaky", "none", "yes", InputError, "reset is 'none'; the dialect snntorch resets by subtract or zero"),
        ("Leaky", "subtract", "no", UnsupportedError, "which this version cannot express"),
        (
            "RLeaky",
            "subtract",
            "no",
            InputError,
            r"RLeaky with reset by subtraction .* which this version cannot express",
        ),
        ("RSynaptic", "zero", "no", InputError, "RSynaptic ignores reset_delay=False"),
    ):
        make = snntorch_neuron(kind, reset, delay == "yes" or kind == "RSynaptic")
        case = Export("snntorch", kind, reset, make, {"reset": reset, "reset_delay": delay})
        path = written(tmp_path / "net.nir", exported(case, network(case, "dense", 1), inputs))
        with pytest.raises(error, match=message):
            read(case, path)


def test_norse_writes_scaled_time_constants(tmp_path: Path) -> None:
    """Norse 1.1.0 writes τ·dt; unsaid, that is refused with the option that explains it."""
    case = Export("norse", "LIFBoxCell", "to 0", norse_neuron("LIFBoxCell", tau_mem_inv=170.0, v_th=0.3))
    path = written(tmp_path / "net.nir", exported(case, network(case, "dense", 1), frames("dense", 1)))
    with pytest.raises(InputError, match=r"tau is 5\.88235e-06, below the time step 0\.001.*say tau_scaled yes"):
        read(case, path)


@pytest.mark.parametrize("name", ["norse", "rockpool", "sinabs"])
def test_a_batch_or_time_axis_in_the_file_is_refused(name: str, tmp_path: Path) -> None:
    """Norse and Rockpool keep the sample's batch axis, sinabs's layers without ``Squeeze`` its time axis."""
    if name == "norse":
        case = norse_exports()[0]
        graph, shape = framework("norse.torch").to_nir(network(case, "dense", 1), torch.zeros(2, 12)), r"\(2, 12\)"
    elif name == "rockpool":
        case = rockpool_exports()[0]
        to_nir = framework("rockpool.nn.modules.torch.nir").to_nir
        graph, shape = to_nir(network(case, "dense", 1)), r"\(1, 12\)"
    else:
        case = sinabs_exports()[0]
        module = nn.Sequential(nn.Linear(12, 9), framework("sinabs.layers").IAF())
        graph, shape = framework("sinabs.nir").to_nir(module, torch.zeros(1, 5, 12)), r"\(5, 12\)"
    with pytest.raises(GraphError, match=f"a dense layer takes a flat input, not shape {shape}"):
        read(case, written(tmp_path / "net.nir", graph))


class Residual(nn.Module):
    """Spikes of one layer go into the next both through weights and past them."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.a, self.first, self.b, self.second = nn.Linear(12, 12), make((12,)), nn.Linear(12, 12), make((12,))
        on_grid(self.a, 0.8, 0.1)
        on_grid(self.b, 0.8, 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.first(self.a(x))
        return self.second(self.b(spikes) + spikes)


def test_residual_sum(tmp_path: Path) -> None:
    """SpikingJelly's export keeps it; snnTorch's drops the sum and, without a word, the neurons behind it."""
    inputs = frames("dense", 1)
    torch.manual_seed(1)
    lif = spikingjelly_neuron("LIFNode", 0.0, "s", tau=2.3)
    case = Export("spikingjelly", "LIFNode", "to 0", lif, {"reset": "zero"})
    module = Residual(lif)
    graph = read(case, written(tmp_path / "net.nir", exported(case, module, inputs)))
    spikes = run_graph(graph, inputs, dtype=np.float32).spikes["second"]
    expected = theirs(case, module, inputs)
    assert int((spikes != expected).sum()) == 0 and expected.sum() > 100
    leaky = snntorch_neuron("Leaky", "subtract", True)
    nodes = exported(Export("snntorch", "Leaky", "subtract", leaky), Residual(leaky), inputs).nodes
    assert sorted(nodes) == ["a", "b", "first", "input", "output"]


def test_what_the_exporters_refuse(tmp_path: Path) -> None:
    """Each with the error that its exporter (or ``nir.write``) gives; a change here is a change of the framework."""
    inputs = frames("dense", 1)
    soft = Export("spikingjelly", "IFNode", "soft", spikingjelly_neuron("IFNode", None, "s"))
    with pytest.raises(NotImplementedError, match="soft reset"):
        exported(soft, network(soft, "dense", 1), inputs)
    lapicque = Export(
        "snntorch", "Lapicque", "zero", lambda shape: framework("snntorch").Lapicque(beta=0.8, init_hidden=True)
    )
    with pytest.raises(AttributeError, match="NoneType"):
        exported(lapicque, network(lapicque, "dense", 1), inputs)
    scalar = Export(
        "snntorch", "Leaky", "scalar", lambda shape: framework("snntorch").Leaky(beta=0.8, init_hidden=True)
    )
    with pytest.raises(ValueError, match="type mismatch"):
        exported(scalar, network(scalar, "dense", 1), inputs)
    sinabs = framework("sinabs.nir")
    with pytest.raises(NotImplementedError, match="AvgPool2d"):
        sinabs.to_nir(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()), torch.zeros(1, 2, 8, 8))
    norse = norse_exports()[0]
    with pytest.raises(TypeError, match="Scalar datasets"):
        nir.write(tmp_path / "net.nir", exported(norse, network(norse, "dense", 1), inputs))
