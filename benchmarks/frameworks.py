"""The same network in snnTorch, SpikingJelly, Norse and sinabs, as their users write it for speed.

All take their first layer out of the loop over time: it sees all steps at once, or once an image that does not change.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.chain import Chain, Stage
from benchmarks.torch_layers import affine, linear

DT = 1e-3
"""Norse's time step in seconds; its rates are given so that only their product with it matters."""


def constants(stage: Stage) -> tuple[float, float]:
    """Membrane decay and threshold."""
    return float(np.asarray(stage.dynamics.membrane_decay)), float(np.asarray(stage.dynamics.threshold))


class Network(nn.Module):
    """Affine layers, neurons, and the layers through which they hear their own spikes (Identity: none)."""

    def __init__(self, chain: Chain, neuron: Callable[[Stage], nn.Module]) -> None:
        super().__init__()
        self.time_steps, self.static = chain.time_steps, chain.static
        self.affine = nn.ModuleList(affine(stage.layers) for stage in chain.stages)
        self.neurons = nn.ModuleList(neuron(stage) for stage in chain.hidden)
        self.loops = nn.ModuleList(
            nn.Identity() if stage.recurrent is None else linear(stage.recurrent) for stage in chain.hidden
        )
        self.recurs = [stage.recurrent is not None for stage in chain.hidden]

    def first(self, x: Tensor) -> Tensor:
        """Currents of the first stage: (N, …) of a static input, else (T, N, …)."""
        if self.static:
            return self.affine[0](x)
        return self.affine[0](x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Stepwise(Network):
    """A loop over time in Python around neurons that take (current, state) and give (spikes, state)."""

    def start(self, neuron: nn.Module) -> Any:
        """The state that a sample begins with."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        states = [self.start(neuron) for neuron in self.neurons]
        spikes: list[Any] = [None] * len(states)
        total: Any = 0
        for t in range(self.time_steps):
            for k, neuron in enumerate(self.neurons):
                current = self.affine[k](spikes[k - 1]) if k else first if self.static else first[t]
                if self.recurs[k] and t:
                    current = current + self.loops[k](spikes[k])
                spikes[k], states[k] = neuron(current, states[k])
            total = total + self.affine[-1](spikes[-1])
        return total


def snntorch(chain: Chain) -> nn.Module:
    """``Leaky`` with a reset to zero. RLeaky computes its recurrent layer twice a step; a Linear beside Leaky does not."""
    import snntorch as snn

    class SnnTorch(Stepwise):
        def start(self, neuron: nn.Module) -> Any:
            return neuron.reset_mem()  # type: ignore[operator]

    def neuron(stage: Stage) -> nn.Module:
        decay, threshold = constants(stage)
        return snn.Leaky(beta=decay, threshold=threshold, reset_mechanism="zero")

    return SnnTorch(chain, neuron)


def norse(chain: Chain) -> nn.Module:
    """``LIFBoxCell``: ``v + (1 − b)(i − v)`` against (1 − b)θ is ``bv + i`` against θ."""
    from norse.torch import LIFBoxCell, LIFBoxParameters
    from torch import as_tensor

    def neuron(stage: Stage) -> nn.Module:
        decay, threshold = constants(stage)
        rate = 1 - decay
        return LIFBoxCell(LIFBoxParameters(as_tensor(rate / DT), v_th=as_tensor(threshold * rate)), dt=DT)

    return Stepwise(chain, neuron)


def spikingjelly(chain: Chain) -> nn.Module:
    """``LIFNode(decay_input=False)`` over all steps at once (step mode "m", torch's own operators), fires on ≥."""
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.neuron import LIFNode

    class SpikingJelly(Network):
        def forward(self, x: Tensor) -> Tensor:
            steps = self.first(x)
            steps = steps.expand(self.time_steps, *steps.shape) if self.static else steps
            for k, neuron in enumerate(self.neurons):
                fired = recurring(neuron, self.loops[k], steps) if self.recurs[k] else neuron(steps)
                steps = functional.seq_to_ann_forward(fired, self.affine[k + 1])
            functional.reset_net(self)
            return steps.sum(0)

    def recurring(neuron: nn.Module, loop: nn.Module, currents: Tensor) -> Tensor:
        """One step after the other; what LinearRecurrentContainer does with [1, R], without its multiplication by 1."""
        from torch import stack

        fired = [neuron(currents[0])]
        for current in currents[1:]:
            fired.append(neuron(current + loop(fired[-1])))
        return stack(fired)

    def neuron(stage: Stage) -> nn.Module:
        decay, threshold = constants(stage)
        mode = "m" if stage.recurrent is None else "s"
        return LIFNode(tau=1 / (1 - decay), decay_input=False, v_threshold=threshold, v_reset=0.0, step_mode=mode)

    return SpikingJelly(chain, neuron)


def sinabs(chain: Chain) -> nn.Module:
    """``LIF`` and ``LIFRecurrent`` with SingleSpike and MembraneReset over (N, T, …), fires on ≥."""
    import sinabs.layers as layers
    from sinabs.activation import MembraneReset, SingleSpike

    class Sinabs(Network):
        def first(self, x: Tensor) -> Tensor:
            current = super().first(x if self.static else x.transpose(0, 1))
            return current.unsqueeze(1).expand(-1, self.time_steps, *current.shape[1:]) if self.static else current

        def forward(self, x: Tensor) -> Tensor:
            steps = self.first(x)
            for k, neuron in enumerate(self.neurons):
                neuron.reset_states()  # type: ignore[operator]
                fired = neuron(steps)
                steps = self.affine[k + 1](fired.flatten(0, 1)).unflatten(0, fired.shape[:2])
            return steps.sum(1)

    def neuron(stage: Stage) -> nn.Module:
        decay, threshold = constants(stage)
        options = {
            "tau_mem": -1 / math.log(decay), "spike_threshold": threshold, "norm_input": False,
            "spike_fn": SingleSpike, "reset_fn": MembraneReset(),
        }  # fmt: skip
        if stage.recurrent is None:
            return layers.LIF(**options)
        return layers.LIFRecurrent(rec_connect=linear(stage.recurrent), **options)

    return Sinabs(chain, neuron)


FRAMEWORKS: Mapping[str, Callable[[Chain], nn.Module]] = {
    "snnTorch": snntorch,
    "SpikingJelly": spikingjelly,
    "Norse": norse,
    "sinabs": sinabs,
}


def build(name: str, chain: Chain) -> Network:
    """The network in a framework, for evaluation. Raises ImportError where the framework is not there."""
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)  # a GPU's compiler, which nobody misses here
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own imports
        made = FRAMEWORKS[name](chain)
    assert isinstance(made, Network)
    return made.eval()


def count_spikes(network: Network) -> tuple[dict[int, list[float]], Callable[[], None]]:
    """(layer: [spikes, neurons × steps], filled by every forward; what ends the counting)."""
    counts: dict[int, list[float]] = {k: [0.0, 0.0] for k in range(len(network.neurons))}

    def hook(k: int) -> Callable[..., None]:
        def seen(module: nn.Module, inputs: Any, output: Any) -> None:
            spikes = output[0] if isinstance(output, tuple) else output
            counts[k][0] += float(spikes.float().sum())
            counts[k][1] += spikes.numel()

        return seen

    handles = [neuron.register_forward_hook(hook(k)) for k, neuron in enumerate(network.neurons)]

    def end() -> None:
        for handle in handles:
            handle.remove()

    return counts, end
