"""The network by calling Lava's own ProcessModels, a batch of samples at a time, without its runtime.

Each stock population or Dense is one instance of the ProcessModel that the runtime would build (``run_spk`` and all),
with ports that hand over arrays; samples are one more axis of its arrays. Lava's Conv takes one sample at a time; it
becomes the sparse matrix that Lava's own ``conv_to_sparse`` makes, with the same 24-bit wrap. Our own Processes share
their arithmetic with the ProcessModels. Steps are model steps: start offsets cancel out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.proc.conv import utils
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.utils.weightutils import SignMode
from scipy import sparse

from snncc_lava.arithmetic import Neurons, lava_shape, predict, read_scores, turned
from snncc_lava.network import Result, conv_weight, register, stock_dense_weights, weight_exponent
from snncc_lava.plan import Edge, Placed, Plan

BATCH = 100
CONV_BITS = 24  # Lava's Conv wraps its sums there


class Port:
    """Stands in for a port of a ProcessModel."""

    def __init__(self) -> None:
        self.data: Any = None

    def send(self, data: np.ndarray) -> None:
        """What the model sends."""
        self.data = data

    def recv(self) -> np.ndarray:
        """What the model receives."""
        return self.data


class StockNeurons:
    """Lava's LIFReset for (N, *shape): the sample axis is put last for Lava, where its registers broadcast over it."""

    def __init__(self, neurons: Neurons, place: Placed, period: int, samples: int) -> None:
        self.shape = neurons.shape
        shape = (*lava_shape(self.shape), samples)
        self.model = model = PyLifResetModelBitAcc({"reset_interval": period, "reset_offset": 1})
        model.a_in, model.s_out = Port(), Port()
        model.u, model.v = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        values = {key: _over_samples(register(value, self.shape)) for key, value in (place.registers or {}).items()}
        model.vth, model.du, model.dv = values["vth"], values["du"], values["dv"]
        model.bias_mant, model.bias_exp = values["bias_mant"].astype(np.int16), values["bias_exp"].astype(np.int16)

    def step(self, arriving: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(spikes, membranes) after a step in which ``arriving`` (N, *shape) came in."""
        self.model.time_step += 1
        self.model.a_in.data = np.moveaxis(turned(arriving, self.shape), 0, -1).astype(np.int32)
        self.model.run_spk()
        return tuple(  # type: ignore[return-value]
            turned(np.moveaxis(x.astype(np.int64), -1, 0), self.shape) for x in (self.model.s_out.data, self.model.v)
        )


class OwnNeurons:
    """Our Neuron's arithmetic for a batch."""

    def __init__(self, neurons: Neurons, samples: int) -> None:
        self.neurons = neurons
        self.state = neurons.start(samples)

    def step(self, arriving: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(spikes, membranes) after a step."""
        self.state = self.neurons.step(self.state, arriving)
        return self.state[2], self.state[1]


class StockDense:
    """Lava's Dense for a batch: its graded path takes (inputs, N), and is the same for binary spikes."""

    def __init__(self, edge: Edge, source_shape: tuple[int, ...]) -> None:
        self.source_shape, self.target_shape = source_shape, edge.weights.target_shape
        exponent = weight_exponent(edge.weights) - 1 - edge.weights.shift
        settings = {"weight_exp": exponent, "num_weight_bits": 8, "sign_mode": SignMode.MIXED}
        self.model = model = PyDenseModelBitAcc(settings)
        model.s_in, model.a_out = Port(), Port()
        model.weights = stock_dense_weights(edge.weights, source_shape).astype(np.int32)
        model.num_message_bits, model.a_buff = np.ones(1, int), None

    def project(self, spikes: np.ndarray) -> np.ndarray:
        """The current (N, *target shape) that the model would send in the next step."""
        self.model.s_in.data = turned(spikes, self.source_shape).reshape(len(spikes), -1).T.astype(np.int32)
        self.model.run_spk()
        current = self.model.a_buff.T.reshape(len(spikes), *lava_shape(self.target_shape))
        return turned(current.astype(np.int64), self.target_shape)


class StockConv:
    """Lava's Conv for a batch, as a sparse matrix."""

    def __init__(self, edge: Edge, source_shape: tuple[int, ...]) -> None:
        self.source_shape, self.target_shape = source_shape, edge.weights.target_shape
        weights = edge.weights
        target, source, value = utils.conv_to_sparse(
            lava_shape(source_shape), lava_shape(self.target_shape), conv_weight(weights),
            weights.stride[::-1], weights.padding[::-1], weights.dilation[::-1], weights.groups,
        )  # fmt: skip
        size = int(np.prod(source_shape)), int(np.prod(self.target_shape))
        self.matrix = sparse.csr_matrix((value.astype(np.int32), (source, target)), shape=size)

    def project(self, spikes: np.ndarray) -> np.ndarray:
        """The current (N, *target shape) that the model would send in the next step."""
        flat = sparse.csr_matrix(turned(spikes, self.source_shape).reshape(len(spikes), -1).astype(np.int32))
        sums = utils.signed_clamp((flat @ self.matrix).toarray(), bits=CONV_BITS)
        return turned(sums.reshape(len(spikes), *lava_shape(self.target_shape)).astype(np.int64), self.target_shape)


def run_direct(plan: Plan, data: np.ndarray, record: bool) -> Result:
    """The result of all samples; the same numbers as :class:`snncc_lava.network.Network`."""
    axis = 0 if plan.static else 1
    synapses = {edge.name: _synapses(edge, plan) for edge in plan.edges}
    samples = data.shape[axis]
    parts = []
    for start in range(0, samples, BATCH):
        part = data.take(range(start, min(start + BATCH, samples)), axis=axis).astype(np.int64)
        parts.append(_run_batch(plan, part, synapses, record))
    scores = np.concatenate([part.scores for part in parts])
    joined = [
        {name: np.concatenate([getattr(part, what)[name] for part in parts], axis=1) for name in plan.neurons}
        if record
        else {}
        for what in ("spikes", "membranes")
    ]
    return Result(scores, predict(scores, plan.readout["ties"]), *joined)


def _run_batch(plan: Plan, data: np.ndarray, synapses: dict[str, Any], record: bool) -> Result:
    samples = data.shape[0 if plan.static else 1]
    readout = plan.readout
    neurons = {name: _neurons(plan, name, samples) for name in plan.neurons}
    injected = {edge.name: edge.injected(data) for edge in plan.edges if edge.placed.process == "host"}
    emitted: dict[str, list] = {name: [] for name in plan.neurons}
    membranes: dict[str, list] = {name: [] for name in plan.neurons}
    if not plan.static:
        emitted[plan.source] = list(data)
    scores = np.zeros((samples, *plan.shape_of(readout["population"])), np.int64)
    answers: list[np.ndarray] = []
    for step in range(plan.time_steps):
        for name, group in neurons.items():
            arriving = np.zeros((samples, *plan.shape_of(name)), np.int64)
            for edge in plan.edges:
                if edge.target == name and step >= edge.delay:
                    arriving += (
                        injected[edge.name]
                        if edge.name in injected
                        else synapses[edge.name].project(emitted[edge.source][step - edge.delay])
                    )
            spikes, membrane = group.step(arriving)
            emitted[name].append(spikes)
            membranes[name].append(membrane if record else None)
            if name == readout["population"]:
                seen = {"membrane": membrane, "summed_current": _current(group)}.get(readout["kind"], spikes)
                if readout["each_step"]:
                    answers.append(seen.reshape(samples, -1))
                else:
                    scores = read_scores(readout["kind"], step, readout["time_weights"], scores, seen)
    recorded = [
        {name: np.stack(x[name]).astype(np.int32) for name in plan.neurons} if record else {}
        for x in (emitted, membranes)
    ]
    scores = np.stack(answers, axis=1) if readout["each_step"] else scores.reshape(samples, -1)
    return Result(scores, np.zeros(0), *recorded)


def _current(group: Any) -> Any:
    return group.state[0] if isinstance(group, OwnNeurons) else None


def _neurons(plan: Plan, name: str, samples: int) -> Any:
    place = plan.places[name]
    if place.process == "lif":
        return StockNeurons(plan.neurons[name], place, plan.time_steps, samples)
    return OwnNeurons(plan.neurons[name], samples)


def _synapses(edge: Edge, plan: Plan) -> Any:
    source_shape = plan.shape_of(edge.source)
    if edge.placed.process == "dense":
        return StockDense(edge, source_shape)
    if edge.placed.process == "conv":
        return StockConv(edge, source_shape)
    return edge.weights


def _over_samples(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array[..., None] if array.ndim else array
