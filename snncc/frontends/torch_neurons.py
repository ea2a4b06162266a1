"""Which framework's neuron a PyTorch module is, and the complete :class:`~snncc.ir.dynamics.Dynamics` of it.

One file a framework holds the rules; here is the table that finds them, by the names of the package and the class, so
that no framework is imported to read another's network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics, Value
from snncc.ir.nodes import Conv2d, Dense, Identity, Scale

if TYPE_CHECKING:
    from torch import nn

FRAMEWORKS = ("snncc", "snntorch", "spikingjelly", "sinabs", "norse", "rockpool")
CONTAINERS = (
    *("SequentialState", "Sequential", "TorchSequential", "Network"),
    *("SeqToANNContainer", "MultiStepContainer", "StepModeContainer"),
    *("Lift", "Repeat", "UnflattenTime", "Merge"),
)
"""Classes of the frameworks whose own ``forward`` is followed, layer by layer."""
LAYOUTS = {
    "step": "one time step a call, (N, …)",
    "time_batch": "all time steps in one call, (T, N, …)",
    "batch_time": "all time steps in one call, (N, T, …)",
    "squeezed": "all time steps in one call, (N·T, …)",
}


@dataclass(frozen=True, eq=False)
class Part:
    """What a neuron module is.

    Attributes:
        dynamics: its meaning.
        recurrent: the layer from its spikes of the step before to its input, or None.
        entry: the layer that the module holds in front of the neuron, or None.
        layout: how it takes time, one of ``LAYOUTS``.
        batch, steps: N and T where the module fixes them ("squeezed"), else None.
    """

    dynamics: Dynamics
    recurrent: Dense | Conv2d | Scale | Identity | None = None
    layout: str = "step"
    batch: int | None = None
    steps: int | None = None
    entry: Dense | None = None


Rule = Callable[[str, Any], Part]


def framework_of(module: nn.Module) -> str | None:
    """The framework whose code runs when ``module`` is called: the one that defines its ``forward``."""
    for kind in type(module).__mro__:
        if "forward" in vars(kind):
            root = kind.__module__.partition(".")[0]
            return root if root in FRAMEWORKS else None
    return None


def is_followed(module: nn.Module) -> bool:
    """Whether a framework's module only arranges others, or the axes of its input."""
    return type(module).__name__ in CONTAINERS


def neuron_rule(module: nn.Module) -> Rule | None:
    """The rule that reads this module, or None where it is no neuron that snncc knows."""
    root = type(module).__module__.partition(".")[0]
    if root not in FRAMEWORKS:
        return None
    rules: Mapping[str, Rule] = import_module(f"snncc.frontends.torch_{root}").RULES
    return rules.get(type(module).__name__)


def read_neuron(where: str, module: nn.Module) -> Part:
    """The meaning of a neuron module. Raises :class:`UnsupportedError` naming ``where`` and the class."""
    rule = neuron_rule(module)
    if rule is None:
        raise UnsupportedError(f"{where}: {title(module)} is no neuron or layer that snncc reads")
    return rule(where, module)


def title(module: nn.Module) -> str:
    """Package and class of a module, as a person writes it."""
    kind = type(module)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def constant(value: Any) -> Value:
    """A number or tensor of a module as a constant of float64: one number where it holds but one; without the batch
    axis of size 1 where it is written for (1, C, H, W)."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value, dtype=np.float64)
    if array.size == 1:
        return float(array.reshape(()))
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array


def refuse(where: str, module: nn.Module, problem: str, remedy: str) -> UnsupportedError:
    """The error for a neuron that snncc knows, but not like this."""
    return UnsupportedError(f"{where}: {title(module)} {problem}; {remedy}")


def unfit(problem: str, remedy: str) -> Rule:
    """The rule for neurons that no :class:`~snncc.ir.dynamics.Dynamics` describes: it says why."""

    def rule(where: str, module: Any) -> Part:
        raise refuse(where, module, problem, remedy)

    return rule


ADAPTS = unfit("adapts its threshold or its current to its own spikes", "snncc's thresholds are fixed: train with LIF")
