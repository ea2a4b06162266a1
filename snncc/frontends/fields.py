"""Untrusted plain data and tensors, read field by field with their types checked; every error names the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.ir.nodes import Pair

Array = np.ndarray

_IGNORED_TENSOR = "num_batches_tracked"  # torch's batch norm counts its batches; nothing reads it


@dataclass(frozen=True)
class Fields:
    """The parameters of one part of a description, read with their types checked; errors name ``where``."""

    where: str
    values: Mapping[str, Any]

    def get(self, key: str) -> Any:
        if key not in self.values:
            raise InputError(f"{self.where}: {key!r} is missing")
        return self.values[key]

    def integer(self, key: str, least: int = 0) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._wrong(key, f"a whole number of {least} or more")
        return value

    def number(self, key: str) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number")
        return float(value)

    def pair(self, key: str, least: int = 0) -> Pair:
        value = self.get(key)
        if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) is int and v >= least for v in value):
            return value[0], value[1]
        raise self._wrong(key, f"two whole numbers of {least} or more")

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def integers(self, key: str, least: int) -> tuple[int, ...]:
        value = self.get(key)
        if not isinstance(value, list | tuple) or not all(type(v) is int and v >= least for v in value):
            raise self._wrong(key, f"a list of whole numbers of {least} or more")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self.get(key)
        if not isinstance(value, list | tuple) or not all(type(v) in (int, float) for v in value):
            raise self._wrong(key, "a list of numbers")
        return tuple(float(v) for v in value)

    def part(self, key: str) -> Fields:
        value = self.get(key)
        if not isinstance(value, Mapping):
            raise self._wrong(key, "a table of fields")
        return Fields(f"{self.where}, {key}", value)

    def only(self, *known: str) -> None:
        """Raise unless every key is one of ``known``."""
        if unknown := [str(key) for key in self.values if key not in known]:
            raise InputError(f"{self.where}: {', '.join(unknown)} is not known here; known are {', '.join(known)}")

    def _wrong(self, key: str, wanted: str) -> InputError:
        return InputError(f"{self.where}: {key} is {shown(self.values[key])}; {wanted} is needed")


@dataclass(eq=False)
class Tensors:
    """The tensors of a state_dict, taken one by one so that what is left over is known."""

    arrays: Mapping[str, Array]
    taken: set[str] = field(default_factory=set)

    def take(self, layer: str, key: str, shape: tuple[int, ...]) -> Array:
        """Tensor ``layer.key``; raises where it is missing, has another shape, or holds NaN or infinity."""
        name = f"{layer}.{key}"
        if name not in self.arrays:
            raise InputError(f"{layer}: the state_dict has no tensor {name!r}; it needs one of shape {shape}")
        array = self.arrays[name]
        if array.shape != shape:
            raise InputError(f"{layer}: {name} has shape {array.shape}; the architecture needs {shape}")
        if bad := int(np.count_nonzero(~np.isfinite(array))):
            raise InputError(f"{layer}: {name} holds {bad} values that are NaN or infinite (of {array.size})")
        self.taken.add(name)
        return array

    def check_all_taken(self) -> None:
        left = [n for n in self.arrays if n not in self.taken and not n.endswith(_IGNORED_TENSOR)]
        if left:
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            raise InputError(f"the state_dict has tensors that belong to no layer: {', '.join(left[:5])}{more}")


def shown(value: Any) -> str:
    """A short form of a value for a message."""
    if isinstance(value, list | tuple | Mapping):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60]
