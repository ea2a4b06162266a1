"""Data sets by name: ``load("mnist:test")``. See :mod:`snncc.data.datasets`."""

from snncc.data.dataset import Dataset
from snncc.data.datasets import load

__all__ = ["Dataset", "load"]
