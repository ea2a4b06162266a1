"""The PyTorch module of a network description; its state_dict is what a checkpoint stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from snncc.errors import GraphError
from snncc.frontends.description import INPUT, parse_dynamics, parse_source
from snncc.ir.dynamics import Dynamics
from snncc.models.activations import Bounded, Clip, Qcfs
from snncc.models.leak_aware import LeakAwareNeuron
from snncc.models.networks import Description
from snncc.models.neurons import SpikingNeuron, Surrogate
from snncc.models.recurrence import parts_of, run_stepwise
from snncc.models.representation import RepresentationNeuron, representation_scores, trains_on_representations


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over axis 1 of any shape; during training time steps and samples are one batch."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise GraphError(f"batch_norm: got shape {tuple(input.shape)}; (N, C, …) is needed")


class SumPool2d(nn.AvgPool2d):
    """Sum over windows."""

    def forward(self, input: Tensor) -> Tensor:
        size = self.kernel_size
        return super().forward(input) * (size[0] * size[1] if isinstance(size, tuple) else size * size)


class FixedDropout(nn.Module):
    """Dropout of (T, N, …) with one mask for all steps of a sample (Lee et al. 2020)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.dropout(torch.ones_like(x[:1]), self.probability, self.training)


class Scale(nn.Module):
    """Times a fixed factor, a number or a list that broadcasts to the shape."""

    def __init__(self, factor: float | list[Any]) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.as_tensor(self.factor, dtype=x.dtype, device=x.device)


def _neuron(layer: Mapping[str, Any]) -> SpikingNeuron:
    fields = {key: value for key, value in layer.items() if key not in ("name", "kind", "inputs", "surrogate")}
    options = dict(layer.get("surrogate", {}))
    make = NEURONS.get(options.pop("method", "surrogate"))
    if make is None:
        raise GraphError(f"{layer['name']}: the surrogate's method must be one of {', '.join(NEURONS)}")
    dynamics = parse_dynamics(layer["name"], fields)
    try:
        return make(dynamics, options)
    except TypeError as error:
        raise GraphError(f"{layer['name']}: the surrogate does not take these parameters ({error})") from error


NEURONS: dict[str, Callable[[Dynamics, dict[str, Any]], SpikingNeuron]] = {
    "surrogate": lambda dynamics, options: SpikingNeuron(dynamics, Surrogate(**options)),
    "dsr": lambda dynamics, options: RepresentationNeuron(dynamics, **options),
    "leak_aware": lambda dynamics, options: LeakAwareNeuron(dynamics, **options),
}
"""How a neuron layer is differentiated ("method" in its "surrogate"): the module from its dynamics and its options."""


_KINDS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "conv2d": lambda p: nn.Conv2d(
        p["in_channels"], p["out_channels"], tuple(p["kernel"]), tuple(p["stride"]), tuple(p["padding"]),
        tuple(p["dilation"]), p["groups"], p["bias"],
    ),
    "conv1d": lambda p: nn.Conv1d(
        p["in_channels"], p["out_channels"], p["kernel"], p["stride"], p["padding"], p["dilation"], p["groups"],
        p["bias"],
    ),
    "dense": lambda p: nn.Linear(p["in_features"], p["out_features"], p["bias"]),
    "batch_norm": lambda p: BatchNorm(p["channels"], p["eps"]),
    "avg_pool2d": lambda p: nn.AvgPool2d(tuple(p["kernel"]), tuple(p["stride"]), tuple(p["padding"])),
    "sum_pool2d": lambda p: SumPool2d(tuple(p["kernel"]), tuple(p["stride"]), tuple(p["padding"])),
    "max_pool2d": lambda p: nn.MaxPool2d(tuple(p["kernel"]), tuple(p["stride"]), tuple(p["padding"])),
    "flatten": lambda p: nn.Flatten(),
    "dropout": lambda p: FixedDropout(p["probability"]) if p.get("fixed") else nn.Dropout(p["probability"]),
    "identity": lambda p: nn.Identity(),
    "scale": lambda p: Scale(p["factor"]),
    "relu": lambda p: nn.ReLU(),
    "clip": lambda p: Clip(p["name"], p["bound"]),
    "qcfs": lambda p: Qcfs(p["name"], p["bound"], p["levels"]),
    "neuron": _neuron,
}  # fmt: skip


def build_layer(layer: Mapping[str, Any]) -> nn.Module:
    """The module of one layer. Raises :class:`GraphError` for an unknown kind or a parameter that is missing."""
    name, kind = layer["name"], layer["kind"]
    if kind not in _KINDS:
        raise GraphError(f"{name}: {kind!r} is no kind of layer; kinds are {', '.join(_KINDS)}")
    try:
        return _KINDS[kind](layer)
    except KeyError as error:
        raise GraphError(f"{name}: a {kind} layer needs {error.args[0]!r}") from error


def _check_stepwise(name: str, module: nn.Module) -> None:
    """Raise :class:`GraphError` for a layer that must see all steps at once."""
    if isinstance(module, SpikingNeuron):
        plain = type(module).forward is SpikingNeuron.forward
    else:
        plain = not isinstance(module, BatchNorm | FixedDropout)
    if not plain:
        raise GraphError(
            f"{name}: a {type(module).__name__} sees all steps at once and cannot hear earlier ones; take neurons of the "
            "surrogate method, and biases in place of batch norm"
        )


class TimedNetwork(nn.Module):
    """What the training loop trains: ``forward`` takes inputs as stored and gives scores (N, classes) of ``time_steps`` steps.

    ``description`` says under "input" what those inputs are.
    """

    time_steps: int

    def __init__(self, description: Description) -> None:
        super().__init__()
        self.description = description


class SpikingNetwork(TimedNetwork):
    """A network description made trainable. ``forward`` gives scores, ``record`` every layer's values.

    Attributes:
        on_representations: whether it trains as :mod:`snncc.models.representation` says.
        even_currents: whether it does so with even currents now.
    """

    def __init__(self, description: Description) -> None:
        super().__init__(description)
        self.time_steps = int(description["time_steps"])
        self.inputs: dict[str, list[str]] = {}
        self.delayed: dict[str, list[tuple[str, int]]] = {}
        before = INPUT
        for layer in description["layers"]:
            name = layer["name"]
            given = [parse_source(name, s) for s in layer.get("inputs", [before])]
            sources = [s for s, delay in given if not delay]
            if late := [(s, delay) for s, delay in given if delay]:
                self.delayed[name] = late
            if missing := [s for s in sources if s != INPUT and s not in self.inputs]:
                raise GraphError(f"{name}: is fed by {', '.join(missing)}, which does not come before it")
            if "." in name or name == INPUT or hasattr(self, name):
                raise GraphError(f"{name}: is taken or holds a dot; give the layer another name")
            self.add_module(name, build_layer(layer))
            self.inputs[name] = sources
            before = name
        self.last = before
        self.parts = parts_of(self.inputs, self.delayed)
        for name in (name for names, stepwise in self.parts if stepwise for name in names):
            _check_stepwise(name, self.get_submodule(name))
        self.on_representations = not self.delayed and trains_on_representations(self)
        self.even_currents = False
        ends_in_neuron = isinstance(self.get_submodule(before), SpikingNeuron)
        if description["output"]["readout"] == "summed_current" and ends_in_neuron:
            raise GraphError(f"{before}: summed_current sums what a layer without neurons gives; read the membrane")

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, classes), or (N, T, classes) where each step has its answer, of integer inputs ``x``: (N, …) when
        static, else (T, N, …)."""
        if self.training and self.on_representations:
            return representation_scores(self, x, self.even_currents)
        return self.scores(self.record(x)[self.last])

    def record(self, x: Tensor) -> dict[str, Tensor]:
        """Values of every layer, name to (T, N, …), or (1, N, …) where they are the same at every step."""
        entry = self.description["input"]
        x = x.to(self.dtype) * entry["scale"]
        values = {INPUT: x[None] if entry["encoding"] == "static" else x}
        for names, stepwise in self.parts:
            if stepwise:
                values |= run_stepwise(self, names, values)
                continue
            total = reduce(torch.add, [values[source] for source in self.inputs[names[0]]])
            values[names[0]] = self._run_layer(names[0], total)
        return values

    def scores(self, recording: Tensor) -> Tensor:
        """Scores from the last layer's recording (T, N, classes), or (1, N, classes)."""
        output = self.description["output"]
        if output.get("each_step"):
            return recording.expand(self.time_steps, *recording.shape[1:]).transpose(0, 1)
        if output["readout"] == "membrane":
            return recording[-1]
        if output["readout"] == "weighted_count":
            weights = torch.as_tensor(output["time_weights"], dtype=recording.dtype, device=recording.device)
            return torch.tensordot(weights, recording, 1)
        return recording.sum(0)

    def deployed(self) -> tuple[Description, dict[str, Tensor]]:
        """What a checkpoint stores: the description with the learned constants of neurons and activations in it as numbers,
        and the state_dict without them."""
        learned = {name: m.learned() for name, m in self.named_children() if isinstance(m, SpikingNeuron | Bounded)}
        layers = [layer | learned.get(layer["name"], {}) for layer in self.description["layers"]]
        state = {k: v for k, v in self.state_dict().items() if k.partition(".")[0] not in learned}
        return self.description | {"layers": layers}, state

    @property
    def dtype(self) -> torch.dtype:
        """Type the network computes in: that of its parameters."""
        return next((p.dtype for p in self.parameters()), torch.get_default_dtype())

    def passed(self, name: str, x: Tensor) -> Tensor:
        """What layer ``name``, without states, gives for ``x`` (N, …) of one step or of several in a row."""
        made: Tensor = self.get_submodule(name)(x)
        return made

    def entering(self, name: str, x: Tensor) -> Tensor:
        """What enters the neurons ``name`` for the currents ``x`` (…, N, …) that arrive at them."""
        return x.to(self.dtype)  # membranes stay in full precision under autocast

    def _run_layer(self, name: str, x: Tensor) -> Tensor:
        module = self.get_submodule(name)
        if isinstance(module, SpikingNeuron):
            recording = module(self.entering(name, x), self.time_steps)
            return module.leaving(recording)
        if isinstance(module, FixedDropout):
            return module(x)
        return self.passed(name, x.flatten(0, 1)).unflatten(0, x.shape[:2])
