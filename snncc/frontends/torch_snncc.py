"""snncc's own neuron module, ``snncc.models.Neuron``: it carries its dynamics."""

from __future__ import annotations

from typing import Any

from snncc.frontends.torch_neurons import Part


def _neuron(where: str, module: Any) -> Part:
    return Part(module.dynamics)


RULES = {"Neuron": _neuron}
