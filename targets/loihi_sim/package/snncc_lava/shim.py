"""lava-nc 0.10.0 declares Python < 3.11. One of its dataclasses uses another as a default value, which Python 3.11
refuses unless that other is hashable; making it so is all that is needed."""

import dataclasses
import importlib
import logging
import sys
import warnings

_UNHASHABLE = "ByteEncoder"  # in lava.magma.compiler.var_model


def prepare_lava() -> None:
    """Make ``import lava`` work on this Python, and keep it quiet. Call it before the first import of Lava."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Cannot import module")
    if sys.version_info >= (3, 11):
        _import_with_hashable_dataclass()


def _import_with_hashable_dataclass() -> None:
    original = dataclasses.dataclass

    def dataclass(cls=None, /, **options):  # type: ignore[no-untyped-def]
        if cls is None:
            return lambda later: dataclass(later, **options)
        if cls.__name__ == _UNHASHABLE:
            options["unsafe_hash"] = True
        return original(cls, **options)

    dataclasses.dataclass = dataclass  # type: ignore[assignment]
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original
