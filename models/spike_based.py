"""Networks of Lee et al. 2020: rate-coded input, leaky neurons with a hard reset, pool neurons that fire, no biases."""

from __future__ import annotations

import re
from typing import Any

from snncc.errors import GraphError
from snncc.models.networks import PIXEL_SCALE, Description, Layer, numbered

LEAK = 0.99
THRESHOLD = 1.0
POOL_THRESHOLD = 0.75
"""Constants of the paper: decay a step, and thresholds of the neurons and of the pool neurons."""

_FIRING = {"compare": ">", "reset": "to_value", "reset_value": 0.0, "reset_timing": "immediate"}
NEURON: Layer = {
    "threshold": THRESHOLD, "membrane_decay": LEAK, "decay_timing": "after", **_FIRING,
    "surrogate": {"method": "leak_aware"},
}  # fmt: skip
POOL_NEURON: Layer = {
    "threshold": POOL_THRESHOLD, "membrane_decay": 1.0, **_FIRING, "surrogate": {"method": "leak_aware", "height": 1.0},
}  # fmt: skip
READOUT: Layer = {
    "fires": False, "membrane_decay": LEAK, "decay_timing": "after", "surrogate": {"method": "leak_aware"},
}  # fmt: skip

_PART = re.compile(
    r"(?:(?P<channels>\d+)C(?P<kernel>\d+)|P(?P<pool>\d+)|R(?P<residual>\d+)(?:/(?P<stride>\d+))?|(?P<features>\d+))"
)


def spike_based(
    name: str,
    layers: str,
    time_steps: int,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    padding: int | None = None,
    dropout: float = 0.0,
    gain: float | list[float] = 1.0,
    offset: float | list[float] = 0.0,
    signed: bool = False,
    seed: int = 0,
    window: float | None = None,
) -> Description:
    """A network from the papers' short notation, such as ``20C5-P2-50C5-P2-200-10``.

    ``20C5``: 20 channels of 5×5 convolution (with ``padding``; None keeps height and width), neuron; ``P2``: mean over
    2×2 into a pool neuron; ``R128`` or ``R128/2``: a residual block of two 3×3 convolutions of 128 channels with neurons,
    the second one of stride 2, whose shortcut joins the current of the second neuron (1×1 convolution where the channels
    change, else the spikes themselves, every other one with a stride); ``200``: dense, neuron; the last number: dense into
    a leaky neuron that never fires, whose membrane after the last step is the answer. ``dropout`` acts behind every neuron
    but the pool's, one mask for all steps. Pixels x in 0..1 fire with rate ``gain · x + offset`` (numbers, or one a
    channel; ``signed`` and ``seed`` too): see :class:`snncc.ir.nodes.Encoder`. ``window``, of all neurons that fire, in their
    thresholds: see :mod:`snncc.models.leak_aware`.
    """
    made = _Builder(tuple(input_shape), dropout, window)
    parts = layers.split("-")
    for position, part in enumerate(parts, start=1):
        match = _PART.fullmatch(part)
        if match is None:
            raise GraphError(
                f"{name}: {part!r} in {layers!r} is no layer; write 20C5, P2, R128/2 or 200, joined by '-'"
            )
        if match["channels"]:
            made.convolution(int(match["channels"]), int(match["kernel"]), padding=padding)
            made.fire()
        elif match["pool"]:
            made.pool(int(match["pool"]))
        elif match["residual"]:
            made.residual(int(match["residual"]), int(match["stride"] or 1))
        else:
            made.dense(int(match["features"]))
            if position < len(parts):
                made.fire()
    made.layers.append({"name": "readout", "kind": "neuron", **READOUT})
    encoder = {
        "kind": "poisson", "gain": gain, "offset": offset, "scale": PIXEL_SCALE, "signed": signed, "seed": seed,
    }  # fmt: skip
    entry = {
        "shape": list(input_shape), "encoding": "spikes", "scale": 1.0, "low": -1 if signed else 0, "high": 1,
        "encoder": encoder,
    }  # fmt: skip
    output = {"readout": "membrane", "ties": "lowest_index"}
    return {"name": name, "time_steps": time_steps, "input": entry, "layers": made.layers, "output": output}


class _Builder:
    """Collects layers and keeps track of the shape (C, H, W) or (N,)."""

    def __init__(self, shape: tuple[int, ...], dropout: float, window: float | None) -> None:
        self.shape, self.dropout = shape, dropout
        self.surrogate = {} if window is None else {"window": window}
        self.layers: list[Layer] = []

    def add(self, stem: str, kind: str, **fields: Any) -> str:
        name = numbered(self.layers, stem)
        self.layers.append({"name": name, "kind": kind, **fields})
        return name

    def convolution(
        self, channels: int, kernel: int, stride: int = 1, padding: int | None = None, stem: str = "conv", **fields: Any
    ) -> str:
        before, height, width = self.shape
        around = kernel // 2 if padding is None else padding
        grown = 2 * around - kernel
        self.shape = (channels, (height + grown) // stride + 1, (width + grown) // stride + 1)
        return self.add(
            stem, "conv2d", in_channels=before, out_channels=channels, kernel=[kernel, kernel],
            stride=[stride, stride], padding=[around, around], dilation=[1, 1], groups=1, bias=False, **fields,
        )  # fmt: skip

    def _neuron(self, stem: str, neuron: Layer, **fields: Any) -> None:
        self.add(stem, "neuron", **{**neuron, "surrogate": neuron["surrogate"] | self.surrogate}, **fields)

    def fire(self, **fields: Any) -> None:
        self._neuron("lif", NEURON, **fields)
        if self.dropout:
            self.add("drop", "dropout", probability=self.dropout, fixed=True)

    def pool(self, size: int) -> None:
        channels, height, width = self.shape
        self.add("mean", "avg_pool2d", kernel=[size, size], stride=[size, size], padding=[0, 0])
        self._neuron("pool", POOL_NEURON)
        self.shape = (channels, height // size, width // size)

    def residual(self, channels: int, stride: int) -> None:
        source, shape = self.layers[-1]["name"], self.shape
        self.convolution(channels, 3)
        self.fire()
        main = self.convolution(channels, 3, stride)
        after, self.shape = self.shape, shape
        if shape[0] != channels:
            source = self.convolution(channels, 1, stride, stem="shortcut", inputs=[source])
        elif stride > 1:
            source = self.add(
                "shortcut", "avg_pool2d", kernel=[1, 1], stride=[stride, stride], padding=[0, 0], inputs=[source]
            )
        self.shape = after
        self.fire(inputs=[main, source])

    def dense(self, features: int) -> None:
        if len(self.shape) > 1:
            channels, height, width = self.shape
            self.add("flatten", "flatten")
            self.shape = (channels * height * width,)
        self.add("fc", "dense", in_features=self.shape[0], out_features=features, bias=False)
        self.shape = (features,)
