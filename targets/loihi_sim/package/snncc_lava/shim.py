"""lava-nc 0.10.0 declares Python < 3.11 and NumPy < 2; these three mends are all that newer ones need.

- One of its dataclasses uses another as a default value, which Python 3.11 refuses unless that other is hashable.
- Its ReshapePort names an argument of ``np.reshape`` that NumPy has since taken away.
- Its Conv keeps the number of groups as an 8-bit number, by which NumPy 2 divides no number of channels above 127.
"""

import dataclasses
import functools
import importlib
import logging
import sys
import warnings

_UNHASHABLE = "ByteEncoder"  # in lava.magma.compiler.var_model


def prepare_lava() -> None:
    """Make ``import lava`` work on this Python and this NumPy, and keep it quiet. Call it before Lava's first import."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Cannot import module")
    if sys.version_info >= (3, 11):  # noqa: UP036 (the package runs on Python 3.10 too)
        _import_with_hashable_dataclass()
    _mend_reshape()
    _mend_conv()


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


def _mend_reshape() -> None:
    port = importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort
    port.get_transform_func_fwd = lambda self: functools.partial(_reshape, shape=self.shape)
    port.get_transform_func_bwd = lambda self: functools.partial(_reshape, shape=self.old_shape)


def _reshape(data, shape):  # type: ignore[no-untyped-def]
    return data.reshape(shape)


def _mend_conv() -> None:
    utils = importlib.import_module("lava.proc.conv.utils")
    original = utils.conv

    def conv(input_, weight, kernel_size, stride, padding, dilation, groups):  # type: ignore[no-untyped-def]
        return original(input_, weight, kernel_size, stride, padding, dilation, int(groups))

    utils.conv = conv
