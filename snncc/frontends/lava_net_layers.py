"""The parameters of a lava-dl layer, checked and taken over as the whole numbers that they are.

Equations: lava-dl's ``slayer`` in fixed point, which is Lava's ``LIF`` (lava-nc 0.10.0, lava/proc/lif/models.py,
PyLifModelBitAcc; rtz rounds toward zero)::

    u = rtz(u·(4096 − iDecay) / 4096) + (weights·spikes << 6)
    v = rtz(v·(4096 − vDecay) / 4096) + u + (bias << 6)
    fires on v > (vThMant << 6), and then v = 0

So in units of one weight a threshold is ``vThMant``, a bias is ``bias``, and 6 guard bits carry the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snncc.errors import InputError, UnsupportedError
from snncc.frontends.lava_net_file import RawLayer
from snncc.frontends.nir_file import Parameter
from snncc.ir.dynamics import Dynamics
from snncc.ir.nodes import Conv2d, Dense, Pair
from snncc.ir.shapes import MAX_ELEMENTS, Shape

Array = np.ndarray
DECAY_ONE = 4096
LARGEST = 2**31
"""Weights, biases and thresholds must lie below."""
MAX_DELAY = 1_000
"""slayer's axonal delays are at most 62 steps (``axon.Delay``); a limit against damaged files."""
NEURONS = ("CUBA", "LOIHI")
NEUTRAL = {"refDelay": 1, "wgtExp": 0, "weight_exp": 0, "gradedSpike": 0, "messageBits": 0}
"""Neuron parameters with one value that has a form here, and what any other value would mean."""
MEANING = {
    "refDelay": "a refractory time, which Lava's fixed-point neuron does not have",
    "wgtExp": "a weight exponent, which lava-dl's own Lava network ignores",
    "weight_exp": "a weight exponent, which lava-dl's own Lava network ignores",
    "gradedSpike": "spikes that carry the membrane",
    "messageBits": "graded spikes",
}
TRAINING_ONLY = ("type", "theta", "scaleRho", "tauRho", "iDecay", "vDecay", "vThMant")


@dataclass(frozen=True)
class Values:
    """Parameters of one layer or its neurons; errors name ``where``."""

    where: str
    values: Mapping[str, Parameter]

    def array(self, key: str) -> Array:
        """Whole numbers (int64) of any shape, below 2^31 in magnitude."""
        if key not in self.values:
            raise InputError(f"{self.where}: {key} is missing; export the network again with lava-dl")
        value = self.values[key]
        if isinstance(value, str):
            raise InputError(f"{self.where}: {key} is the text {value[:40]!r}; numbers are needed")
        if not value.size:
            raise InputError(f"{self.where}: {key} has shape {value.shape}, which is empty")
        if not np.all(np.isfinite(value)):
            raise InputError(
                f"{self.where}: {key} holds {int((~np.isfinite(value)).sum())} values that are NaN or infinite"
            )
        if float(np.max(np.abs(value.astype(np.float64)))) >= LARGEST:
            raise InputError(f"{self.where}: {key} reaches {np.max(np.abs(value)):.3g}; the limit is 2^31")
        whole = value.astype(np.int64)
        if not np.array_equal(whole, value):
            bad = float(value[whole != value].flat[0])
            raise UnsupportedError(
                f"{self.where}: {key} holds {bad:g}, no whole number; train and export with quantisation (pre_hook_fx) on"
            )
        return whole

    def number(self, key: str, low: int, high: int) -> int:
        """One whole number in low..high."""
        found = self.array(key)
        if found.size != 1:
            raise InputError(f"{self.where}: {key} has shape {found.shape}; one number is needed")
        value = int(found.flat[0])
        if not low <= value <= high:
            raise InputError(f"{self.where}: {key} is {value}; it must lie in {low}..{high}")
        return value

    def pair(self, key: str, low: int) -> Pair:
        """Two whole numbers (rows, columns); one stands for both."""
        found = self.array(key).reshape(-1)
        if found.size not in (1, 2) or found.min() < low or found.max() > 2**16:
            raise InputError(
                f"{self.where}: {key} is {found.tolist()[:4]}; two whole numbers of {low} or more are needed"
            )
        return int(found[0]), int(found[-1])

    def shape(self, key: str = "shape") -> Shape:
        """1 to 3 axes: (N,) or (C, H, W)."""
        found = self.array(key).reshape(-1).tolist()
        if len(found) not in (1, 3) or min(found) < 1 or np.prod(found, dtype=object) > MAX_ELEMENTS:
            raise InputError(f"{self.where}: {key} is {found[:4]}; (N,) or (C, H, W) is needed, up to 2^31 in all")
        return tuple(found)

    def fitted(self, key: str, shape: Shape) -> Array:
        """Values of a population: one, one a channel or one a neuron, shaped to broadcast to ``shape``."""
        found = self.array(key)
        if found.size == 1:
            return found.reshape(())
        if found.size == int(np.prod(shape)):
            return found.reshape(shape)
        if found.size == shape[0]:
            return found.reshape(-1, *(1,) * (len(shape) - 1))
        raise InputError(f"{self.where}: {key} has {found.size} values for a population of shape {shape}")


def dynamics(layer: RawLayer, shape: Shape) -> Dynamics:
    """What the neurons of a layer do, in units of one weight. Raises :class:`UnsupportedError` naming the layer and what
    has no form here."""
    where = layer.name
    if layer.neuron is None:
        raise UnsupportedError(f"{where}: has no neurons ({layer.kind}); end the network with a layer that spikes")
    kind = layer.neuron.get("type")
    if kind not in NEURONS:
        raise UnsupportedError(
            f"{where}: its neurons are {str(kind)[:40]!r}; those with a form here are {', '.join(NEURONS)}"
        )
    values = Values(where, layer.neuron)
    for key in sorted(layer.neuron):
        if key in NEUTRAL:
            if int(values.array(key).min()) != NEUTRAL[key] or int(values.array(key).max()) != NEUTRAL[key]:
                raise UnsupportedError(
                    f"{where}: {key} is {int(values.array(key).max())}, not {NEUTRAL[key]}: {MEANING[key]}"
                )
        elif key not in TRAINING_ONLY:
            raise UnsupportedError(f"{where}: its neurons have a {key[:40]!r}, which is not known here")
    threshold = values.fitted("vThMant", shape)
    if threshold.min() < 1:
        raise InputError(f"{where}: vThMant is {threshold.min()}; it must be 1 or more")
    keep_u, keep_v = (DECAY_ONE - _decay(values, key, shape) for key in ("iDecay", "vDecay"))
    bias = Values(where, layer.values).fitted("bias", shape) if "bias" in layer.values else np.asarray(0)
    return Dynamics(
        threshold=threshold.astype(np.float64),
        compare=">",
        membrane_decay=keep_v / DECAY_ONE,
        current_decay=keep_u / DECAY_ONE if keep_u.any() else None,
        bias=bias.astype(np.float64),
        reset="to_value",
    )


def _decay(values: Values, key: str, shape: Shape) -> Array:
    decay = values.fitted(key, shape)
    if decay.min() < 0 or decay.max() > DECAY_ONE:
        raise InputError(f"{values.where}: {key} is {decay.min()}..{decay.max()}; it must lie in 0..{DECAY_ONE}")
    return decay


def dense(layer: RawLayer, given: int) -> Dense:
    """The weights (out, in) of a dense layer that ``given`` inputs reach."""
    values = Values(layer.name, layer.values)
    out = int(np.prod(values.shape()))
    weight = values.array("weight")
    if weight.size != out * given or (weight.ndim > 1 and weight.shape[:2] != (out, given)):
        raise InputError(
            f"{layer.name}: weight has shape {weight.shape}; {out} neurons of {given} inputs need ({out}, {given})"
        )
    return Dense(weight.reshape(out, given).astype(np.float64))


def conv(layer: RawLayer, given: Shape) -> tuple[Conv2d, Shape]:
    """(the convolution, its output shape); weights are stored (out, in/groups, rows, columns, 1), cross-correlated."""
    values = Values(layer.name, layer.values)
    weight = values.array("weight")
    if weight.ndim not in (4, 5) or weight.shape[4:] not in ((), (1,)):
        raise InputError(f"{layer.name}: weight has shape {weight.shape}; (out, in, rows, columns, 1) is needed")
    out, per_group, *kernel = weight.shape[:4]
    stride, padding, dilation = (values.pair(key, low) for key, low in (("stride", 1), ("padding", 0), ("dilation", 1)))
    groups = values.number("groups", 1, out)
    if len(given) != 3 or out % groups or per_group * groups != given[0]:
        raise InputError(
            f"{layer.name}: weight has shape {weight.shape} in {groups} groups, which does not take {given}"
        )
    size = [(given[1 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)]
    made = (out, *size)
    if values.shape() != made:
        raise InputError(f"{layer.name}: shape is {values.shape()}, but its convolution of {given} has shape {made}")
    return Conv2d(
        weight.reshape(out, per_group, *kernel).astype(np.float64), None, stride, padding, dilation, groups
    ), made


def delays(layer: RawLayer, shape: Shape) -> Array:
    """Axonal delays in steps of the layer's spikes, shaped to broadcast to ``shape``; slayer adds them behind the neuron."""
    if "delay" not in layer.values:
        return np.asarray(0)
    found = Values(layer.name, layer.values).fitted("delay", shape)
    if found.min() < 0 or found.max() > MAX_DELAY:
        raise InputError(f"{layer.name}: delay is {found.min()}..{found.max()} steps; it must lie in 0..{MAX_DELAY}")
    return found
