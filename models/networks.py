"""Network descriptions: plain data that JSON, TOML and ``torch.load(weights_only=True)`` can hold.

A description is a dict::

    {"name": "mnist-lif", "time_steps": 4,
     "input": {"shape": [1, 28, 28], "encoding": "static", "scale": 1/255, "low": 0, "high": 255},
     "layers": [{"name": "conv1", "kind": "conv2d", "in_channels": 1, …}, …],
     "output": {"readout": "membrane", "ties": "lowest_index"}}

Every layer has a "name" and a "kind"; it is fed by the layer before it, or by those in "inputs", whose values add up
("input" is the network's input, "LAYER@1" what a layer, which may come later, gave one step before). The parameters
of each kind are those of :func:`snncc.models.module.build_layer`; a "neuron" has the fields of
:class:`snncc.ir.dynamics.Dynamics` and, for training only, a "surrogate". Layers with weights keep them in the
state_dict under the layer's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snncc.errors import GraphError

Layer = dict[str, Any]
Description = dict[str, Any]

BATCH_NORM_EPS = 1e-5
PIXEL_SCALE = 1 / 255
READOUT_NEURON = {"fires": False, "membrane_decay": 1.0}

_PART = re.compile(
    r"(?:(?P<times>\d+)\*)?(?:(?P<channels>\d+)C(?P<kernel>\d+)(?:/(?P<shrink>\d+))?|P(?P<pool>\d+)|(?P<features>\d+))"
)


def convolutional(
    name: str,
    layers: str,
    time_steps: int,
    neuron: Mapping[str, Any],
    input_shape: tuple[int, int, int] = (1, 28, 28),
    padding: int = 0,
    dropout: float = 0.0,
    surrogate: Mapping[str, Any] | None = None,
    batch_norm: bool = True,
    biases: bool = True,
    entry: Mapping[str, Any] | None = None,
) -> Description:
    """A feed-forward spiking network from the papers' short notation, such as ``15C5-P2-40C5-P2-300-10``.

    ``15C5``: 15 channels of 5×5 convolution, batch norm, neuron; ``15C5/2``: its current is averaged over 2×2 before batch
    norm and neuron, which leaves a quarter of the neurons; ``6*15C5``: six of them; ``P2``: 2×2 average pooling of the
    spikes; ``300``: dense, batch norm, neuron (with ``dropout`` before it); the last number: dense with bias into a neuron
    that sums its input and never fires, whose membrane after the last step is the answer. Without ``batch_norm`` every
    layer has a bias in its place, unless ``biases`` is off. ``neuron`` may instead be an activation ("kind": "clip",
    "bound": 4.0): see :mod:`snncc.models.activations`. ``entry`` says in what the "input" differs from static 8-bit pixels in 0..1.
    """
    parts = layers.split("-")
    pixels = {"shape": list(input_shape), "encoding": "static", "scale": PIXEL_SCALE, "low": 0, "high": 255}
    made = _Builder(dict(neuron), dict(surrogate or {}), tuple(input_shape), padding, dropout, batch_norm, biases)
    for position, part in enumerate(parts, start=1):
        match = _PART.fullmatch(part)
        if match is None:
            raise GraphError(f"{name}: {part!r} in {layers!r} is no layer; write 15C5, P2 or 300, joined by '-'")
        if match["channels"]:
            for _ in range(int(match["times"] or 1)):
                made.convolution(int(match["channels"]), int(match["kernel"]), int(match["shrink"] or 1))
        elif match["pool"]:
            made.pool(int(match["pool"]))
        elif position < len(parts):
            made.dense(int(match["features"]))
        else:
            made.readout(int(match["features"]))
    return {
        "name": name,
        "time_steps": time_steps,
        "input": pixels | dict(entry or {}),
        "layers": made.layers,
        "output": {"readout": "membrane", "ties": "lowest_index"},
    }


class _Builder:
    """Collects layers and keeps track of the shape (C, H, W) or (N,)."""

    def __init__(
        self,
        neuron: Layer,
        surrogate: Layer,
        shape: tuple[int, ...],
        padding: int,
        dropout: float,
        batch_norm: bool,
        biases: bool,
    ) -> None:
        self.neuron_fields, self.surrogate, self.padding, self.dropout = neuron, surrogate, padding, dropout
        self.batch_norm, self.bias = batch_norm, biases and not batch_norm
        self.shape = shape
        self.layers: list[Layer] = []

    def add(self, stem: str, kind: str, **parameters: Any) -> None:
        self.layers.append({"name": numbered(self.layers, stem), "kind": kind, **parameters})

    def convolution(self, channels: int, kernel: int, shrink: int) -> None:
        before, height, width = self.shape
        self.add(
            "conv", "conv2d", in_channels=before, out_channels=channels, kernel=[kernel, kernel], stride=[1, 1],
            padding=[self.padding, self.padding], dilation=[1, 1], groups=1, bias=self.bias,
        )  # fmt: skip
        grown = 2 * self.padding - kernel + 1
        self.shape = (channels, height + grown, width + grown)
        if shrink > 1:
            self.pool(shrink)
        self.fire()

    def pool(self, size: int) -> None:
        channels, height, width = self.shape
        self.add("pool", "avg_pool2d", kernel=[size, size], stride=[size, size], padding=[0, 0])
        self.shape = (channels, height // size, width // size)

    def dense(self, features: int) -> None:
        self.flatten()
        if self.dropout:
            self.add("drop", "dropout", probability=self.dropout)
        self.add("fc", "dense", in_features=self.shape[0], out_features=features, bias=self.bias)
        self.shape = (features,)
        self.fire()

    def readout(self, classes: int) -> None:
        self.flatten()
        self.add("fc", "dense", in_features=self.shape[0], out_features=classes, bias=True)
        self.add("readout", "neuron", **READOUT_NEURON)
        self.layers[-1]["name"] = "readout"

    def flatten(self) -> None:
        if len(self.shape) > 1:
            channels, height, width = self.shape
            self.add("flatten", "flatten")
            self.shape = (channels * height * width,)

    def fire(self) -> None:
        if self.batch_norm:
            self.add("bn", "batch_norm", channels=self.shape[0], eps=BATCH_NORM_EPS)
        surrogate = {"surrogate": self.surrogate} if self.surrogate else {}
        kind = self.neuron_fields.get("kind", "neuron")
        fields = {key: value for key, value in self.neuron_fields.items() if key != "kind"}
        self.add("lif" if kind == "neuron" else "act", kind, **fields, **surrogate)


def wired(layers: Sequence[Mapping[str, Any]]) -> list[Layer]:
    """Copies of the layers, each with the names of those that feed it in "inputs"."""
    made, before = [], "input"
    for layer in layers:
        made.append({**layer, "inputs": list(layer.get("inputs", [before]))})
        before = layer["name"]
    return made


def numbered(layers: Sequence[Layer], stem: str) -> str:
    """The name of the next layer of that stem: conv1, conv2 …"""
    return f"{stem}{1 + sum(layer['name'].rstrip('0123456789') == stem for layer in layers)}"


def _residual(name: str, **arguments: Any) -> Description:
    from snncc.models.residual import residual

    return residual(name, **arguments)


def _spike_based(name: str, **arguments: Any) -> Description:
    from snncc.models.spike_based import spike_based

    return spike_based(name, **arguments)


def _recurrent(name: str, **arguments: Any) -> Description:
    from snncc.models.recurrent import recurrent

    return recurrent(name, **arguments)


FAMILIES: Mapping[str, Callable[..., Description]] = {
    "convolutional": convolutional, "residual": _residual, "spike_based": _spike_based,
    "recurrent": _recurrent,
}  # fmt: skip


def describe(name: str, fields: Mapping[str, Any]) -> Description:
    """The description of network ``name`` of a recipe: ``fields`` are the arguments of its "family" (convolutional).
    Raises :class:`GraphError` for an unknown family and for no time steps, TypeError where the arguments do not fit it."""
    arguments = dict(fields)
    family = arguments.pop("family", "convolutional")
    if family not in FAMILIES:
        raise GraphError(f"{name}: {family!r} is no family of networks; known are {', '.join(FAMILIES)}")
    made = FAMILIES[family](name, **arguments)
    if not isinstance(made["time_steps"], int) or made["time_steps"] < 1:
        raise GraphError(f"{name}: time_steps is {made['time_steps']!r}; a whole number of 1 or more is needed")
    return made
