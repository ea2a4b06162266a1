"""For networks of your own: a neuron to put into any ``nn.Module``, and a loop that trains it on a data set.

A module takes one time step a call; its neurons keep their state from call to call. ``snncc.from_torch`` reads such a module,
with the neurons' very dynamics, so what was trained is what is compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from snncc.data import load
from snncc.errors import GraphError, InputError
from snncc.frontends.description import parse_dynamics
from snncc.models.module import TimedNetwork
from snncc.models.networks import PIXEL_SCALE
from snncc.models.neurons import SpikingNeuron, State, Surrogate
from snncc.models.optimisers import optimiser_of
from snncc.models.recipes import Training
from snncc.models.resume import Session
from snncc.models.train import Epoch, accuracy_of, one_epoch

READOUTS = ("sum", "last")


class Neuron(nn.Module):
    """Spiking neurons of any shape, one time step a call.

    Args:
        surrogate: fields of :class:`~snncc.models.neurons.Surrogate`, such as ``{"kind": "triangle", "width": 2.0}``.
        fields: of :class:`snncc.ir.dynamics.Dynamics`, such as ``threshold=1.0, membrane_decay=0.9, reset="to_value"``.

    Raises :class:`~snncc.errors.GraphError` where a field makes no sense.
    """

    def __init__(self, surrogate: Mapping[str, Any] | None = None, **fields: Any) -> None:
        super().__init__()
        try:
            derivative = Surrogate(**(surrogate or {}))
        except TypeError as error:
            raise GraphError(f"Neuron: the surrogate does not take these parameters ({error})") from error
        self.neuron = SpikingNeuron(parse_dynamics("Neuron", fields), derivative)
        self.state: State | None = None

    @property
    def dynamics(self) -> Any:
        """The :class:`~snncc.ir.dynamics.Dynamics`."""
        return self.neuron.dynamics

    def reset(self) -> None:
        """Forget the state: a new sample begins."""
        self.state = None

    def forward(self, current: Tensor) -> Tensor:
        """Spikes of this step times their value, or membranes where the neuron never fires; ``current`` is (N, …)."""
        current = current.to(torch.promote_types(current.dtype, torch.float32))  # a membrane needs more than bfloat16
        self.state = self.neuron.step(self.neuron.start(current) if self.state is None else self.state, current)
        return self.neuron.leaving(self.state.spikes if self.dynamics.fires else self.state.v)


class Stepped(TimedNetwork):
    """A module of one step, run over time: ``forward`` gives scores (N, classes).

    Args:
        module: takes (N, …), gives (N, classes).
        time_steps: T; the same input is shown in every step.
        scale: what one unit of the integer input is worth.
        readout: "sum" of the outputs of all steps, or the "last" (of a membrane).
    """

    def __init__(self, module: nn.Module, time_steps: int, scale: float = PIXEL_SCALE, readout: str = "sum") -> None:
        super().__init__({"input": {"encoding": "static"}})
        if readout not in READOUTS:
            raise InputError(f"readout is {readout!r}; known are {', '.join(READOUTS)}")
        if time_steps < 1:
            raise InputError(f"time_steps is {time_steps}; a network runs at least one step")
        self.module, self.time_steps, self.scale, self.readout = module, time_steps, scale, readout

    def forward(self, x: Tensor) -> Tensor:
        """Scores of inputs as stored, (N, …)."""
        x = x.to(next(self.module.parameters()).dtype) * self.scale
        self.reset()
        total = self.module(x)
        for _ in range(self.time_steps - 1):
            output = self.module(x)
            total = output if self.readout == "last" else total + output
        self.reset()
        return total

    def reset(self) -> None:
        """Every neuron forgets its state."""
        for part in self.module.modules():
            if isinstance(part, Neuron):
                part.reset()


def fit(
    module: nn.Module,
    data: str,
    time_steps: int,
    epochs: int,
    seed: int = 0,
    readout: str = "sum",
    progress: Callable[[Epoch], None] | None = None,
    **options: Any,
) -> list[Epoch]:
    """Train ``module`` (one step a call) in place on ``<data>:train``; the log, a line an epoch.

    Args:
        data: a data set with images, such as "fashion-mnist".
        options: of :class:`~snncc.models.recipes.Training`, such as ``batch_size=128, learning_rate=2e-3, flip=True``.
        progress: called with every line of the log as it is made.

    The accuracies are those of ``<data>:test``. Raises :class:`~snncc.errors.InputError` on an unknown option or set, and
    where there is nothing to train on.
    """
    try:
        how = replace(Training(data, epochs), **options)
    except TypeError as error:
        raise InputError(f"fit: {error}") from error
    if how.start or how.bits or how.stored != "float32":
        raise InputError(
            "fit: start, bits and stored are for recipes; fit trains the module as it is, so leave them out"
        )
    sets = {split: load(f"{data}:{split}") for split in (how.train_split, how.test_splits[0])}
    tensors = {}
    for split, found in sets.items():
        if found.labels is None:
            raise InputError(f"{data}:{split} has no labels to train on")
        tensors[split] = torch.from_numpy(found.inputs), torch.from_numpy(found.labels)
    torch.manual_seed(seed)
    network = Stepped(module, time_steps, readout=readout)
    batches = max(1, len(tensors[how.train_split][0]) // how.batch_size)
    optimiser, schedule = optimiser_of(network, how, epochs * batches)
    session = Session(network, optimiser, schedule, torch.Generator().manual_seed(seed), [])
    for number in range(1, epochs + 1):
        started = time.perf_counter()
        loss, accuracy = one_epoch(network, how, tensors[how.train_split], session, lambda *_: None)
        tested = accuracy_of(network, *tensors[how.test_splits[0]])
        rate = float(schedule.get_last_lr()[0])
        session.log.append(Epoch(number, rate, loss, accuracy, tested, time.perf_counter() - started))
        if progress is not None:
            progress(session.log[-1])
    module.eval()
    return session.log
