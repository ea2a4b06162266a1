"""snncc: the deployment compiler for spiking neural networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snncc.frontends.torch_module import from_torch

__version__ = "0.1.0"
__all__ = ["__version__", "from_torch"]


def __getattr__(name: str) -> Any:
    """``snncc.from_torch``, imported when it is first asked for."""
    if name == "from_torch":
        from snncc.frontends.torch_module import from_torch

        return from_torch
    raise AttributeError(f"module 'snncc' has no attribute {name!r}")
