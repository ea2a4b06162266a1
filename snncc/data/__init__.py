"""Data sets by name: ``load("mnist:test")``. See :mod:`snncc.data.datasets`."""

from snncc.data.datasets import Dataset, load

__all__ = ["Dataset", "load"]
