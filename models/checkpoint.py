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
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description

FORMAT = "snncc-checkpoint"
VERSION = 1
UNUSED = "num_batches_tracked"  # of batch norm; nothing reads it after training


def write_checkpoint(
    path: Path, network: Description, state: Mapping[str, Tensor], training: Mapping[str, Any]
) -> None:
    """Write ``path``: beside it first, then renamed, so that no half of a file is ever found there."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items() if not k.endswith(UNUSED)}
    content = {
        "format": FORMAT, "version": VERSION, "network": network, "state_dict": tensors, "training": dict(training),
    }  # fmt: skip
    with written_beside(path) as beside:
        torch.save(content, beside)


def load_module(path: Path) -> SpikingNetwork:
    """The module of a checkpoint that this package wrote, in evaluation mode. Checks little: the compiler's reader,
    ``snncc.frontends.checkpoint.read_checkpoint``, is the one for files of others."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    network = SpikingNetwork(content["network"])
    state = {k: v for k, v in network.state_dict().items() if k.endswith(UNUSED)} | content["state_dict"]
    network.load_state_dict(state)
    return network.eval()
