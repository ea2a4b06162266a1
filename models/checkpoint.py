"""Writing and loading zoo checkpoints.

A checkpoint is ``torch.save`` of plain data and tensors, so that ``torch.load(weights_only=True)`` reads it::

    {"format": "snncc-checkpoint", "version": 1, "network": <description>, "state_dict": {…}, "training": {…}}

The compiler reads it with ``snncc.frontends.checkpoint``, which needs nothing of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snncc.files import written_beside
from snncc.frontends.checkpoint import FORMAT, VERSION
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description

UNUSED = "num_batches_tracked"  # of batch norm; nothing reads it after training


def write_checkpoint(
    path: Path, network: Description, state: Mapping[str, Tensor], training: Mapping[str, Any], half: bool = False
) -> None:
    """Write ``path``: beside it first, then renamed, so that no half of a file is ever found there. With ``half``, weights
    (tensors of two axes and more) are stored in float16."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items() if not k.endswith(UNUSED)}
    if half:
        tensors = {k: v.half() if v.dim() > 1 else v for k, v in tensors.items()}
    content = {
        "format": FORMAT, "version": VERSION, "network": network, "state_dict": tensors, "training": dict(training),
    }  # fmt: skip
    with written_beside(path) as beside:
        torch.save(content, beside)


def load_module(path: Path) -> SpikingNetwork:
    """The module of a checkpoint that this package wrote, in evaluation mode. Checks little: the compiler's reader,
    ``snncc.frontends.checkpoint.read_checkpoint``, is the one for files of others."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return filled(content["network"], content["state_dict"])


def filled(description: Description, state: Mapping[str, Tensor]) -> SpikingNetwork:
    """The module of a description with the weights of its checkpoint, in evaluation mode."""
    network = SpikingNetwork(description)
    own, stored = network.state_dict(), network.deployed()[1]
    numbers = {k: v for k, v in own.items() if k not in stored or k.endswith(UNUSED)}  # the description holds them
    network.load_state_dict(numbers | dict(state))
    return network.eval()
