"""Pre-activation residual networks whose shortcuts carry spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snncc.errors import GraphError
from snncc.models.networks import BATCH_NORM_EPS, PIXEL_SCALE, READOUT_NEURON, Description, Layer, numbered

READOUTS = ("spikes", "membrane")


def residual(
    name: str,
    time_steps: int,
    neuron: Mapping[str, Any],
    widths: Sequence[int] = (64, 128, 256, 512),
    blocks: Sequence[int] = (2, 2, 2, 2),
    input_shape: Sequence[int] = (3, 32, 32),
    classes: int = 10,
    shrink: int = 1,
    dropout: float = 0.0,
    readout: str = "spikes",
    surrogate: Mapping[str, Any] | None = None,
) -> Description:
    """A pre-activation ResNet as Meng et al. (CVPR 2022) make it spike; the defaults are their ResNet-18.

    A 3×3 convolution; stages of blocks; batch norm, neurons, average pooling over the image, neurons; dense, batch norm,
    neurons; readout. A block is ``s = neuron(bn(x)); conv3(neuron(bn(conv3(s)))) + shortcut(s)``: the shortcut, the identity
    or a 1×1 convolution, takes spikes and joins the current, so that batch norm of the sum folds into all that feeds the
    next neurons. Every stage but the first starts with stride 2.

    Args:
        neuron: fields of :class:`snncc.ir.dynamics.Dynamics` of every neuron that fires.
        widths, blocks: channels and number of blocks of each stage.
        shrink: the first convolution's current is averaged over ``shrink`` × ``shrink`` (1: as the paper).
        dropout: before the dense layer.
        readout: "spikes" (the paper's): the last neurons' spikes o[t] enter a membrane that never fires and leaks as they
            do, ``v_T = g Σ_t β^(T−t) o[t]``, which is the weighted mean Σ w_t o[t] / Σ w_t of the paper times T. "membrane"
            (ours): the same of the dense layer's current, with a bias and without the last batch norm and neurons.
    """
    if len(widths) != len(blocks):
        raise GraphError(f"{name}: {len(widths)} widths for {len(blocks)} stages of blocks; each stage needs both")
    if readout not in READOUTS:
        raise GraphError(f"{name}: readout is {readout!r}; it must be one of {', '.join(READOUTS)}")
    channels, height, width = input_shape
    net = _Stack(dict(neuron), dict(surrogate or {}))
    current = [net.convolution(["input"], channels, widths[0], 3, 1)]
    channels = widths[0]
    if shrink > 1:
        current = [net.pool(current, [shrink, shrink])]
        height, width = height // shrink, width // shrink
    for stage, (wide, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            current = net.block(current, channels, wide, stride)
            channels, height, width = wide, -(-height // stride), -(-width // stride)
    fired = net.fire(current, channels)
    pooled = net.neurons([net.pool([fired], [height, width])])
    flat = net.add("flatten", "flatten", [pooled])
    if dropout:
        flat = net.add("drop", "dropout", [flat], probability=dropout)
    spikes = readout == "spikes"
    last = net.add("fc", "dense", [flat], in_features=channels, out_features=classes, bias=not spikes)
    if spikes:
        last = net.fire([last], classes)
    decay = float(neuron.get("membrane_decay", 1.0))
    gain = time_steps / sum(decay**k for k in range(time_steps))
    answer = READOUT_NEURON | {"membrane_decay": decay, "input_gain": gain}
    net.layers.append({"name": "readout", "kind": "neuron", "inputs": [last], **answer})
    return {
        "name": name,
        "time_steps": time_steps,
        "input": {"shape": list(input_shape), "encoding": "static", "scale": PIXEL_SCALE, "low": 0, "high": 255},
        "layers": net.layers,
        "output": {"readout": "membrane", "ties": "lowest_index"},
    }


class _Stack:
    """Collects layers; every method takes the names of what feeds it and gives the name of what it adds."""

    def __init__(self, neuron: Layer, surrogate: Layer) -> None:
        self.neuron, self.surrogate = neuron, surrogate
        self.layers: list[Layer] = []

    def add(self, stem: str, kind: str, inputs: list[str], **parameters: Any) -> str:
        name = numbered(self.layers, stem)
        self.layers.append({"name": name, "kind": kind, "inputs": inputs, **parameters})
        return name

    def convolution(self, inputs: list[str], before: int, after: int, kernel: int, stride: int) -> str:
        return self.add(
            "conv" if kernel > 1 else "short", "conv2d", inputs, in_channels=before, out_channels=after,
            kernel=[kernel, kernel], stride=[stride, stride], padding=[kernel // 2, kernel // 2], dilation=[1, 1],
            groups=1, bias=False,
        )  # fmt: skip

    def pool(self, inputs: list[str], size: list[int]) -> str:
        return self.add("pool", "avg_pool2d", inputs, kernel=size, stride=size, padding=[0, 0])

    def neurons(self, inputs: list[str]) -> str:
        surrogate = {"surrogate": self.surrogate} if self.surrogate else {}
        return self.add("sn", "neuron", inputs, **self.neuron, **surrogate)

    def fire(self, inputs: list[str], channels: int) -> str:
        return self.neurons([self.add("bn", "batch_norm", inputs, channels=channels, eps=BATCH_NORM_EPS)])

    def block(self, inputs: list[str], before: int, after: int, stride: int) -> list[str]:
        """The two currents of a pre-activation block, which add up."""
        spikes = self.fire(inputs, before)
        inner = self.fire([self.convolution([spikes], before, after, 3, stride)], after)
        outer = self.convolution([inner], after, after, 3, 1)
        if before == after and stride == 1:
            return [outer, spikes]
        return [outer, self.convolution([spikes], before, after, 1, stride)]
