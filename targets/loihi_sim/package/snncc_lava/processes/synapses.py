"""Synapses that Lava's Dense and Conv have no form for, and the delay line in front of any of them."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snncc_lava.arithmetic import Weights, lava_shape, turned


class Synapses(AbstractProcess):
    """``floor(Σ w·s / 2**shift)``, sent one step after the spikes came, as Lava's own connections do."""

    def __init__(self, *, weights: Weights, source_shape: tuple) -> None:
        super().__init__(weights=weights, source_shape=source_shape)
        self.s_in = InPort(shape=lava_shape(source_shape))
        self.a_out = OutPort(shape=lava_shape(weights.target_shape))


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
class PySynapses(PyLoihiProcessModel):
    """Sends what it computed a step ago, then receives: so that loops cannot lock."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.weights: Weights = proc_params["weights"]
        self.source_shape = proc_params["source_shape"]
        self.ready = np.zeros(lava_shape(self.weights.target_shape), np.int32)

    def run_spk(self) -> None:
        """One Lava step."""
        self.a_out.send(self.ready)
        spikes = turned(self.s_in.recv().astype(np.int64), self.source_shape)
        current = self.weights.project(spikes[None])[0]
        self.ready = turned(current, self.weights.target_shape).astype(np.int32)


class Delay(AbstractProcess):
    """Spikes ``extra`` steps later, and only those that reach their target within their own sample.

    A spike of a source's step t arrives in its target's step t + ``delay``; beyond the last step it is dropped. So are
    spikes from before the source's first step (``offset``), where a stock neuron may already fire on its bias.
    """

    def __init__(self, *, shape: tuple, extra: int, delay: int, offset: int, period: int) -> None:
        super().__init__(shape=shape, extra=extra, delay=delay, offset=offset, period=period)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
class PyDelay(PyLoihiProcessModel):
    """A line of ``extra`` steps; with none it only filters, within the step."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.extra, self.delay, self.offset, self.period = (
            proc_params[key] for key in ("extra", "delay", "offset", "period")
        )
        self.line = np.zeros((self.extra, *proc_params["shape"]), np.int32)

    def run_spk(self) -> None:
        """One Lava step; sends before it receives wherever it delays."""
        slot = (self.time_step - 1) % max(self.extra, 1)
        if self.extra:
            self.s_out.send(self.line[slot])
        spikes = self.s_in.recv().astype(np.int32)
        now = self.time_step - 1 - self.offset
        if now < 0 or now % self.period + self.delay >= self.period:
            spikes = np.zeros_like(spikes)
        if self.extra:
            self.line[slot] = spikes
        else:
            self.s_out.send(spikes)
