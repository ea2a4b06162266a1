"""The network on Lava's runtime: one long run, every sample ``time_steps`` after the one before, states started afresh."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode

from snncc_lava.arithmetic import Weights, lava_shape, predict, turned
from snncc_lava.plan import Edge, Plan
from snncc_lava.processes.neuron import Neuron
from snncc_lava.processes.ports import Decoder, Feed, MembraneRecorder, SpikeRecorder
from snncc_lava.processes.synapses import Delay, Synapses
from snncc_lava.watch import Watch


@dataclass
class Result:
    """What a run left: scores (N, classes), or (N, T, classes) where each step has its answer, predictions
    (N,) or (N, T); spikes and membranes (T, N, *shape) where recorded."""

    scores: np.ndarray
    predictions: np.ndarray
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    membranes: dict[str, np.ndarray] = field(default_factory=dict)


class Network:
    """Lava Processes of a plan, wired for ``data``; files it needs go into ``scratch``."""

    def __init__(self, plan: Plan, data: np.ndarray, scratch: Path, record: bool) -> None:
        self.plan, self.data, self.scratch, self.record = plan, data, scratch, record
        self.samples = data.shape[0 if plan.static else 1]
        self.steps = plan.steps_for(self.samples)
        self.processes = {name: self._population(name) for name in plan.neurons}
        self.files: dict[str, tuple[Path, Path]] = {}
        self.feeds: list[AbstractProcess] = []
        if not plan.static:
            self.processes[plan.source] = self._data_feed()
        for edge in plan.edges:
            self._connect(edge)
        if record:
            for number, name in enumerate(plan.neurons):
                self._record(number, name)
        self.decoder = self._decode()

    def run(self) -> Result:
        """Run all samples on Lava's bit-accurate models."""
        self.decoder.create_runtime(run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        with Watch(self.decoder.runtime, self.scratch):
            self.decoder.run(condition=RunSteps(num_steps=self.steps))
            scores = np.asarray(self.decoder.scores.get()).astype(np.int64)
        self.decoder.stop()
        result = Result(scores, predict(scores, self.plan.readout["ties"]))
        for name, (spikes, membranes) in self.files.items():
            result.spikes[name] = self._recorded(name, spikes)
            result.membranes[name] = self._recorded(name, membranes)
        return result

    def _population(self, name: str) -> AbstractProcess:
        plan, neurons, place = self.plan, self.plan.neurons[name], self.plan.places[name]
        shape = lava_shape(neurons.shape)
        if place.process == "neuron":
            reads = plan.readout["kind"] if plan.readout["population"] == name else ""
            return Neuron(neurons=neurons, offset=place.offset, period=plan.time_steps, reads=reads)
        registers = {key: register(value, neurons.shape) for key, value in (place.registers or {}).items()}
        # Lava counts steps from 1 and resets before it integrates.
        return LIFReset(
            shape=shape, reset_interval=plan.time_steps, reset_offset=place.offset + 1, name=name, **registers
        )

    def _data_feed(self) -> AbstractProcess:
        path = self.scratch / "data.npy"
        np.save(path, np.ascontiguousarray(turned(self.data, self.plan.source_shape)))
        shape = lava_shape(self.plan.source_shape)
        return Feed(path=str(path), shape=shape, per_step=True, delay=0, offset=0, period=self.plan.time_steps)

    def _connect(self, edge: Edge) -> None:
        plan, place = self.plan, edge.placed
        target = self.processes[edge.target]
        if place.process == "host":
            self.feeds.append(self._current(edge))
            self.feeds[-1].s_out.connect(target.a_in)
            return
        out = self.processes[edge.source].s_out
        shape = lava_shape(plan.shape_of(edge.source))
        if edge.delay or place.latency > 1:
            offset = 0 if edge.source == plan.source else plan.places[edge.source].offset
            line = Delay(shape=shape, extra=place.latency - 1, delay=edge.delay, offset=offset, period=plan.time_steps)
            out.connect(line.s_in)
            out = line.s_out
        synapses = self._synapses(edge)
        _join(out, synapses.s_in)
        _join(synapses.a_out, target.a_in)

    def _synapses(self, edge: Edge) -> AbstractProcess:
        place, weights = edge.placed, edge.weights
        source_shape = self.plan.shape_of(edge.source)
        if place.process == "synapses":
            return Synapses(weights=weights, source_shape=source_shape)
        if place.process == "conv":
            return stock_conv(weights, source_shape, place.message_bits)
        return Dense(
            weights=stock_dense_weights(weights, source_shape),
            weight_exp=weight_exponent(weights) - 1 - weights.shift,
            num_weight_bits=8,
            sign_mode=SignMode.MIXED,
            num_message_bits=place.message_bits,
        )

    def _current(self, edge: Edge) -> AbstractProcess:
        """A static source's projection, computed once a sample and injected in every step."""
        shape = self.plan.shape_of(edge.target)
        path = self.scratch / f"current{len(self.feeds)}.npy"
        current = np.concatenate([edge.injected(part) for part in batches(self.data)])
        np.save(path, np.ascontiguousarray(turned(current, shape)).astype(np.int32))
        return Feed(
            path=str(path), shape=lava_shape(shape), per_step=False, delay=edge.delay,
            offset=self.plan.places[edge.target].offset, period=self.plan.time_steps,
        )  # fmt: skip

    def _record(self, number: int, name: str) -> None:
        shape = lava_shape(self.plan.shape_of(name))
        spikes, membranes = (self.scratch / f"{what}{number}.npy" for what in ("spikes", "membranes"))
        for path in (spikes, membranes):
            np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(self.steps, *shape)).flush()
        self.processes[name].s_out.connect(SpikeRecorder(path=str(spikes), shape=shape).s_in)
        MembraneRecorder(path=str(membranes), shape=shape).state.connect_var(self.processes[name].v)
        self.files[name] = (spikes, membranes)

    def _recorded(self, name: str, path: Path) -> np.ndarray:
        """(T, N, *shape), channel-first, out of the steps of the long run."""
        offset, shape = self.plan.places[name].offset, self.plan.shape_of(name)
        steps = np.load(path)[offset : offset + self.samples * self.plan.time_steps]
        steps = steps.reshape(self.samples, self.plan.time_steps, *lava_shape(shape))
        return np.ascontiguousarray(turned(steps.swapaxes(0, 1), shape))

    def _decode(self) -> AbstractProcess:
        plan, readout = self.plan, self.plan.readout
        name, kind = readout["population"], readout["kind"]
        decoder = Decoder(
            shape=plan.shape_of(name), kind=kind, time_weights=readout["time_weights"], samples=self.samples,
            offset=plan.places[name].offset, period=plan.time_steps, each_step=readout["each_step"],
        )  # fmt: skip
        process = self.processes[name]
        out = process.r_out if kind in ("membrane", "summed_current") else process.s_out
        out.connect(decoder.s_in)
        return decoder


def stock_dense_weights(weights: Weights, source_shape: tuple[int, ...]) -> np.ndarray:
    """Weights for Lava's Dense: (out, in) in Lava's order, 8-bit mantissas doubled, because signed ones are even there."""
    inputs = int(np.prod(source_shape))
    full = weights.weight
    if weights.kind == "sparse" and weights.index is not None:
        full = np.zeros((int(np.prod(weights.target_shape)), inputs), np.int64)
        np.add.at(full, tuple(weights.index), weights.weight)
    rows = turned(np.arange(len(full)).reshape(weights.target_shape), weights.target_shape).reshape(-1)
    columns = turned(np.arange(inputs).reshape(source_shape), source_shape).reshape(-1)
    return 2 * (full[np.ix_(rows, columns)] >> weight_exponent(weights))


def weight_exponent(weights: Weights) -> int:
    """The k for which weights / 2**k are signed 8-bit numbers; those of a network that passed the check divide exactly."""
    largest = max(int(weights.weight.max(initial=0)), -1 - int(weights.weight.min(initial=0)))
    return max(0, largest.bit_length() - 7)


def stock_conv(weights: Weights, source_shape: tuple[int, ...], message_bits: int) -> Conv:
    """Lava's Conv over (W, H, C)."""
    return Conv(
        weight=conv_weight(weights),
        input_shape=lava_shape(source_shape),
        padding=weights.padding[::-1],
        stride=weights.stride[::-1],
        dilation=weights.dilation[::-1],
        groups=weights.groups,
        num_message_bits=message_bits,
    )


def conv_weight(weights: Weights) -> np.ndarray:
    """Kernels for Lava's Conv, (out, kx, ky, in): a true convolution over (W, H, C), so flipped and turned."""
    return np.ascontiguousarray(weights.weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1))


def batches(data: np.ndarray, size: int = 64) -> list:
    """Samples in parts, so that their convolutions fit in memory."""
    return [data[start : start + size].astype(np.int64) for start in range(0, len(data), size)]


def register(value: object, shape: tuple[int, ...]) -> object:
    """A register's value in Lava's order: a number for the whole population, or one a neuron."""
    array = np.asarray(value)
    return int(array) if array.ndim == 0 else np.ascontiguousarray(turned(np.broadcast_to(array, shape), shape))


def _join(out, into) -> None:  # type: ignore[no-untyped-def]
    """Connect two ports, through a reshape where one is flat."""
    if out.shape == into.shape:
        out.connect(into)
    else:
        out.reshape(new_shape=into.shape).connect(into)
