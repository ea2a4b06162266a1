"""Layers that hear earlier steps: loops, run one step after the other, all other layers at once over all steps.

A layer's "inputs" may name ``"LAYER@D"``: what LAYER, which may come later, gave D steps before. Nothing arrives before step 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from snncc.errors import GraphError
from snncc.models.neurons import SpikingNeuron, State, joined

if TYPE_CHECKING:
    from snncc.models.module import SpikingNetwork

Delayed = Mapping[str, Sequence[tuple[str, int]]]
Part = tuple[list[str], bool]


def parts_of(inputs: Mapping[str, Sequence[str]], delayed: Delayed) -> list[Part]:
    """The layers in order as (names, stepwise): those of a loop, and a layer that hears a delay, run step by step.

    Raises :class:`GraphError` where a delayed input is no layer, or a layer has delayed inputs alone."""
    order = list(inputs)
    until: dict[str, str] = {}  # first layer of a loop to its last
    for name, sources in delayed.items():
        for source, _ in sources:
            if source not in inputs:
                raise GraphError(f"{name}: is fed by {source} of an earlier step, which is no layer")
            until[name] = max(until.get(name, name), source, name, key=order.index)
        if not inputs[name]:
            raise GraphError(f"{name}: has delayed inputs alone; add one without a delay")
    parts: list[Part] = []
    end = -1
    for position, name in enumerate(order):
        stepwise = name in until or position <= end
        if stepwise and position <= end:
            parts[-1][0].append(name)
        else:
            parts.append(([name], stepwise))
        if name in until:
            end = max(end, order.index(until[name]))
    return parts


def run_stepwise(network: SpikingNetwork, names: Sequence[str], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Recordings (T, N, …) of the layers ``names``; ``values`` are those of the layers before them, (T, N, …) or (1, N, …)."""
    made: dict[str, list[Tensor]] = {name: [] for name in names}
    states: dict[str, State] = {}
    heard = {s for n in names for s in (*network.inputs[n], *(s for s, _ in network.delayed.get(n, ())))} - set(names)
    outside = {source: values[source].unbind() for source in heard}  # unbind: one cheap backward

    def at(source: str, t: int) -> Tensor:
        steps = outside.get(source)
        if steps is None:
            return made[source][t]
        return steps[t] if len(steps) > 1 else steps[0]

    for t in range(network.time_steps):
        for name in names:
            arriving = [at(source, t) for source in network.inputs[name]]
            arriving += [at(source, t - delay) for source, delay in network.delayed.get(name, ()) if t >= delay]
            total = reduce(torch.add, arriving)
            module = network.get_submodule(name)
            if not isinstance(module, SpikingNeuron):
                made[name].append(network.passed(name, total))
                continue
            total = network.entering(name, total)
            state = states[name] = module.step(states.get(name) or module.start(total), total)
            made[name].append(module.leaving(state.spikes if module.dynamics.fires else state.v))
    return {name: joined(steps) for name, steps in made.items()}
