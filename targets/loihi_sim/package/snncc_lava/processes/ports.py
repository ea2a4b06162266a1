"""What goes in and what comes out: data, injected currents, recordings, scores."""

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snncc_lava.arithmetic import lava_shape, read_scores, turned


class Feed(AbstractProcess):
    """Data from a ``.npy`` file: sample n, step t leaves in Lava step ``offset + n·period + t``, nothing at other times.

    The file holds (N, *shape), the same at every step from ``delay`` on, or (T, N, *shape); ``shape`` is Lava's.
    """

    def __init__(self, *, path: str, shape: tuple, per_step: bool, delay: int, offset: int, period: int) -> None:
        super().__init__(path=path, shape=shape, per_step=per_step, delay=delay, offset=offset, period=period)
        self.s_out = OutPort(shape=shape)


@implements(proc=Feed, protocol=LoihiProtocol)
@requires(CPU)
class PyFeed(PyLoihiProcessModel):
    """Sends the data."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.data = np.load(proc_params["path"], mmap_mode="r")
        self.per_step, self.delay, self.offset, self.period = (
            proc_params[key] for key in ("per_step", "delay", "offset", "period")
        )

    def run_spk(self) -> None:
        """One Lava step."""
        sample, step = divmod(self.time_step - 1 - self.offset, self.period)
        samples = self.data.shape[1 if self.per_step else 0]
        if sample < 0 or sample >= samples or step < self.delay:
            self.s_out.send(np.zeros(self.s_out.shape, np.int32))
        else:
            data = self.data[step, sample] if self.per_step else self.data[sample]
            self.s_out.send(np.asarray(data, dtype=np.int32))


class SpikeRecorder(AbstractProcess):
    """Writes every step's spikes into a ``.npy`` file (steps, *shape) that exists already."""

    def __init__(self, *, path: str, shape: tuple) -> None:
        super().__init__(path=path, shape=shape)
        self.s_in = InPort(shape=shape)


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
class PySpikeRecorder(PyLoihiProcessModel):
    """Writes through a memory map: no per-element traffic with the runtime."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.file = np.load(proc_params["path"], mmap_mode="r+")

    def run_spk(self) -> None:
        """One Lava step."""
        self.file[self.time_step - 1] = self.s_in.recv()


class MembraneRecorder(AbstractProcess):
    """Writes the membrane after every step into a ``.npy`` file (steps, *shape) that exists already."""

    def __init__(self, *, path: str, shape: tuple) -> None:
        super().__init__(path=path, shape=shape)
        self.state = RefPort(shape=shape)


@implements(proc=MembraneRecorder, protocol=LoihiProtocol)
@requires(CPU)
class PyMembraneRecorder(PyLoihiProcessModel):
    """Reads the neuron's variable in the management phase, after all neurons stepped."""

    state: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.file = np.load(proc_params["path"], mmap_mode="r+")

    def post_guard(self) -> bool:
        """Every step."""
        return True

    def run_post_mgmt(self) -> None:
        """After the step."""
        self.file[self.time_step - 1] = self.state.read()


class Decoder(AbstractProcess):
    """Adds up each sample's scores, so that only they are read: ``scores`` (samples, classes), or (samples, period, classes)
    where each step has its answer, channel-first."""

    def __init__(
        self, *, shape: tuple, kind: str, time_weights: list, samples: int, offset: int, period: int, each_step: bool
    ) -> None:
        super().__init__(
            shape=shape, kind=kind, time_weights=time_weights, samples=samples, offset=offset, period=period,
            each_step=each_step,
        )  # fmt: skip
        self.s_in = InPort(shape=lava_shape(shape))
        answers = (samples, period) if each_step else (samples,)
        self.scores = Var(shape=(*answers, int(np.prod(shape))), init=0)


@implements(proc=Decoder, protocol=LoihiProtocol)
@requires(CPU)
class PyDecoder(PyLoihiProcessModel):
    """The readout's arithmetic."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    scores: np.ndarray = LavaPyType(np.ndarray, np.int64)

    def __init__(self, proc_params) -> None:  # type: ignore[no-untyped-def]
        super().__init__(proc_params)
        self.shape, self.kind, self.time_weights, self.samples, self.offset, self.period = (
            proc_params[key] for key in ("shape", "kind", "time_weights", "samples", "offset", "period")
        )
        self.each_step: bool = proc_params["each_step"]

    def run_spk(self) -> None:
        """One Lava step."""
        seen = turned(self.s_in.recv().astype(np.int64), self.shape).reshape(-1)
        sample, step = divmod(self.time_step - 1 - self.offset, self.period)
        if 0 <= sample < self.samples and self.each_step:
            self.scores[sample, step] = seen
        elif 0 <= sample < self.samples:
            self.scores[sample] = read_scores(self.kind, step, self.time_weights, self.scores[sample], seen)
