"""The HDF5 container of a lava-dl ``.net`` file, read without trusting it.

Layout (``export_hdf5`` of lava-dl's slayer): ``/layer/0``, ``/layer/1`` … hold ``type`` and the parameters of a layer, and
``/layer/N/neuron`` those of its neurons; ``/simulation`` may hold ``Ts`` (step) and ``tSample`` (length of a sample, in
the same unit). What comes out is a plain list of names, kinds and arrays; what they mean is decided in
:mod:`snncc.frontends.lava_net`. Sizes, links and texts are checked by :class:`snncc.frontends.nir_file.TreeReader`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.frontends.nir_file import HDF5_SIGNATURE, MAX_BYTES, MAX_KEYS, Parameter, TreeReader, first_bytes
from snncc.frontends.nir_text import text_heaps

Array = np.ndarray
MAX_LAYERS = 1_024


@dataclass(frozen=True, eq=False)
class RawLayer:
    """A layer as the file has it. ``name`` is "layer3"; ``neuron`` is None where it has no neurons."""

    name: str
    kind: str
    values: Mapping[str, Parameter]
    neuron: Mapping[str, Parameter] | None


@dataclass(frozen=True, eq=False)
class RawNet:
    """A whole file: its layers in order, and its number of time steps where it says one."""

    layers: tuple[RawLayer, ...]
    time_steps: int | None


def read_net_file(path: Path) -> RawNet:
    """The layers in the HDF5 file at ``path``. Raises :class:`InputError` on anything missing, damaged, foreign or too
    large, :class:`UnsupportedError` on complex synapses."""
    head = first_bytes(path)
    if not head.startswith(HDF5_SIGNATURE):
        raise InputError(
            f"{path.name}: is no HDF5 file (begins with {head!r}), so it is no lava-dl network; check the path"
        )
    import h5py

    try:
        with text_heaps(path, MAX_BYTES) as heaps, h5py.File(path, "r") as file:
            return _net(TreeReader(path.name, heaps), file)
    except SnnccError:
        raise
    except Exception as error:  # h5py reports damage as any of a dozen exceptions
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path.name}: the HDF5 file is damaged or truncated ({detail}); export it again") from error


def _net(reader: TreeReader, file: Any) -> RawNet:
    if "layer" not in file:
        held = ", ".join(sorted(map(str, file))[:6]) or "nothing"
        raise InputError(
            f"{reader.where}: is an HDF5 file but no lava-dl network: it holds {held[:200]}, and no 'layer'"
        )
    group = reader.group(file, "layer")
    count = len(group)
    if not 1 <= count <= MAX_LAYERS:
        raise InputError(f"{reader.where}: has {count} layers; 1 to {MAX_LAYERS} are read")
    layers = tuple(_layer(reader, reader.group(group, str(i)), f"layer{i}") for i in range(count))
    return RawNet(layers, _time_steps(reader, file))


def _layer(reader: TreeReader, group: Any, name: str) -> RawLayer:
    import h5py

    dataset = reader.child(group, "type")
    if not isinstance(dataset, h5py.Dataset) or dataset.shape not in ((), (1,)):
        raise InputError(f"{reader.where}: {name}: type is no single text; export the file again")
    reader.admit(f"{name}/type", dataset)
    kind = reader.texts(f"{name}/type", dataset)[0].rstrip("\0")
    if "weight" in group and isinstance(reader.child(group, "weight"), h5py.Group):
        raise UnsupportedError(f"{name}: its synapses are complex (resonators); only real ones have a form here")
    neuron = None
    if "neuron" in group:
        neuron = reader.parameters(f"{name}/neuron", reader.group(group, "neuron"), MAX_KEYS)
    values = reader.parameters(name, group, MAX_KEYS, skip=("type", "neuron"))
    return RawLayer(name, kind, values, neuron)


def _time_steps(reader: TreeReader, file: Any) -> int | None:
    """``tSample / Ts`` where both are there and their quotient is a whole number."""
    if "simulation" not in file:
        return None
    values = reader.parameters("simulation", reader.group(file, "simulation"), MAX_KEYS)
    step, length = values.get("Ts"), values.get("tSample")
    if isinstance(step, str) or isinstance(length, str) or step is None or length is None:
        return None
    if step.size != 1 or length.size != 1 or not float(step.flat[0]) > 0:
        return None
    steps = float(length.flat[0]) / float(step.flat[0])
    return int(steps) if 1 <= steps < 2**31 and steps == int(steps) else None
