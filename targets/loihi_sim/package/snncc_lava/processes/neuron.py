"""Our programmable neuron: every field of a population that Lava's stock LIF has no form for."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snncc_lava.arithmetic import Neurons, lava_shape, turned


class Neuron(AbstractProcess):
    """Neurons with the dynamics of ``neurons``, started afresh every ``period`` steps from step ``offset`` on.

    Ports have Lava's shape, (W, H, C) for (C, H, W). ``s_out`` carries spikes (graded, signed), ``r_out`` what a
    readout reads: ``reads`` "membrane", "summed_current" or "" for nothing.
    """

    def __init__(self, *, neurons: Neurons, offset: int, period: int, reads: str) -> None:
        super().__init__(neurons=neurons, offset=offset, period=period, reads=reads)
        shape = lava_shape(neurons.shape)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.r_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)


@implements(proc=Neuron, protocol=LoihiProtocol)
@requires(CPU)
class PyNeuron(PyLoihiProcessModel):
    """The Neuron's arithmetic, one step at a time."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    r_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.neurons: Neurons = proc_params["neurons"]
        self.offset, self.period, self.reads = (proc_params[key] for key in ("offset", "period", "reads"))
        self.state = self.neurons.start(1)

    def run_spk(self) -> None:
        """One Lava step; nothing leaves before the first sample's step 0."""
        arriving = self.a_in.recv().astype(np.int64)
        now = self.time_step - 1 - self.offset
        shape = self.neurons.shape
        if now < 0:
            self.s_out.send(np.zeros(self.s_out.shape, np.int32))
            self.r_out.send(np.zeros(self.r_out.shape, np.int32))
            return
        if now % self.period == 0:
            self.state = self.neurons.start(1)
        self.state = self.neurons.step(self.state, turned(arriving, shape)[None])
        u, v, spikes = (turned(x[0], shape) for x in self.state)
        self.v[:] = v
        self.s_out.send(spikes.astype(np.int32))
        self.r_out.send((u if self.reads == "summed_current" else v).astype(np.int32))
