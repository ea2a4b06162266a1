"""The calls of neurons in a trace: how often each is called, with which states, and on which axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from snncc.errors import UnsupportedError
from snncc.frontends.torch_axes import AxesOf, find_axes
from snncc.frontends.torch_functions import function_name
from snncc.frontends.torch_layers import FLATTENING, layer_kind
from snncc.frontends.torch_neurons import LAYOUTS, Part, neuron_rule, read_neuron, title

Calls = dict[str, list[fx.Node]]
Layers = Mapping[str, Any]


def neuron_calls(module: nn.Module, layers: Layers, graph: fx.Graph) -> tuple[Calls, dict[str, Part]]:
    """The calls of every neuron, in order, and what the neurons are. ``layers`` are the submodules of ``module`` by name.

    Raises :class:`UnsupportedError` naming a module that is neither neuron nor layer, and where neurons are called
    unequally often.
    """
    calls: Calls = {}
    for node in graph.nodes:
        if node.op == "call_module":
            name = str(node.target)
            if neuron_rule(layers[name]) is not None:
                calls.setdefault(name, []).append(node)
            elif layer_kind(layers[name]) is None:
                raise UnsupportedError(f"{name}: {title(layers[name])} is no neuron or layer that snncc reads")
    if not calls:
        raise UnsupportedError(
            f"{title(module)}: calls no neuron that snncc reads (snnTorch, SpikingJelly, sinabs, Norse, Rockpool)"
        )
    parts = {name: read_neuron(name, layers[name]) for name in calls}
    stepping = {len(nodes) for name, nodes in calls.items() if parts[name].layout == "step"}
    whole = {len(nodes) for name, nodes in calls.items() if parts[name].layout != "step"}
    if len(stepping) > 1 or whole - {1}:
        listed = ", ".join(f"{name} {len(nodes)}" for name, nodes in calls.items())
        raise UnsupportedError(
            f"{title(module)}: calls its neurons unequally often ({listed}); a neuron that is used twice in a step "
            "would share its state: give each place a neuron of its own"
        )
    return calls, parts


def axes_of_calls(
    module: nn.Module,
    layers: Layers,
    graph: fx.Graph,
    values: Mapping[fx.Node, Any],
    calls: Calls,
    parts: Mapping[str, Part],
) -> AxesOf:
    """The axes of every value in the trace. Raises :class:`UnsupportedError` where no layout of the input gives every
    neuron what it takes."""
    often = max(len(nodes) for nodes in calls.values())
    flattening = {name for name, layer in layers.items() if layer_kind(layer) == FLATTENING}
    found = find_axes(graph, values, parts, often, flattening)
    if not found.misfits:
        return found
    if len({part.layout for part in parts.values()}) > 1:
        listed = ", ".join(f"{name} ({part.layout})" for name, part in parts.items())
        raise UnsupportedError(f"{title(module)}: its neurons take time in different ways: {listed}")
    for node, problem in found.problems.items():
        raise UnsupportedError(f"{node.name}: {problem}")
    name = found.misfits[0]
    raise UnsupportedError(
        f"{name}: {title(layers[name])} takes {LAYOUTS[parts[name].layout]}, and what reaches it from the example does "
        "not have these axes"
    )


def check_states(name: str, calls: list[fx.Node], first: fx.Node, values: Mapping[fx.Node, Any]) -> None:
    """Raise :class:`UnsupportedError` where a state of the neuron comes from elsewhere than the call before, or does not
    start at zero. ``first`` is the input of the network."""
    for number, call in enumerate(calls):
        for state in (*call.args[1:], *list(call.kwargs.values())[0 if call.args else 1 :]):
            for given in state if isinstance(state, tuple | list) else (state,):
                if given is not None and not _is_own(given, number, calls, first, values):
                    raise UnsupportedError(
                        f"{name}: call {number} gets a state ({given}) that is neither zero at the start nor its own of "
                        "the step before"
                    )


def _is_own(given: Any, number: int, calls: list[fx.Node], first: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    if not isinstance(given, fx.Node):
        return False
    if number > 0:
        return function_name(given) == "getitem" and given.args[0] is calls[number - 1]
    if given.op == "placeholder":
        return given is not first
    value = values.get(given)
    return given.op == "get_attr" and value is not None and not bool((value != 0).any())
