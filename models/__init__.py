"""The zoo and the library that trains it: neurons for any ``nn.Module``, surrogates, training. A plug-in: the core imports
nothing from here.

``Neuron`` and ``fit`` (:mod:`snncc.models.library`) are for networks of your own; they are imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snncc.models.library import Neuron, Stepped, fit

__all__ = ["Neuron", "Stepped", "fit"]


def __getattr__(name: str) -> Any:
    """What ``__all__`` names; it needs PyTorch."""
    if name in __all__:
        from snncc.models import library

        return getattr(library, name)
    raise AttributeError(f"module 'snncc.models' has no attribute {name!r}")
