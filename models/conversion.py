"""From an ANN to a spiking network, with optimised initial potentials (Bu et al., AAAI 2022)::

    v(0) = θ/2;  v += W x + b;  s = [v ≥ θ];  v −= θ s;  out = θ s

with θ the bound of each activation (:mod:`snncc.models.thresholds`). For a constant input z such a neuron puts out, on
average over T steps, ``θ/T·clip(⌊zT/θ + ½⌋, 0, T)``, which differs from ``clip(z, 0, θ)`` by at most θ/2T; with v(0) = 0 it
is θ/2T less on average. The input is shown at every step, average pooling and batch norm stay as they are, and what stands
behind the last activation sums and does not spike.

Max pooling of rates is no mean of maxima over time. Right behind an activation it is moved in front of it, which changes
nothing in an ANN, and then takes the largest current of each step: exact where the currents are constant, an overestimate
elsewhere, which therefore needs consent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snncc.data import load
from snncc.errors import InputError, UnsupportedError
from snncc.feed import feed
from snncc.frontends.description import ACTIVATIONS, INPUT, graph_of
from snncc.ir.graph import Graph
from snncc.ir.interpreter import check_input
from snncc.ir.nodes import Input
from snncc.models.ann import Ann, InputFormat, read_ann_file
from snncc.models.checkpoint import filled, write_checkpoint
from snncc.models.module import SpikingNetwork
from snncc.models.networks import Description, Layer
from snncc.models.thresholds import Search, Threshold, find_thresholds, open_layers

Progress = Callable[[int, int], None]
V_INIT = {"half": 0.5, "zero": 0.0}
"""v(0) as a share of θ."""
REPORTED_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SAMPLE_STEPS = 512
"""Samples times steps that are run at once."""


@dataclass(frozen=True, eq=False)
class Conversion:
    """A converted network and what became of it.

    Attributes:
        network, state: description and weights of the spiking network.
        thresholds: of every layer, in order.
        samples: on which the accuracies were measured; 0 where none were.
        ann_accuracy: of the ANN, in 0..1.
        accuracies: of the spiking network after so many steps, in 0..1.
    """

    network: Description
    state: Mapping[str, Tensor]
    thresholds: tuple[Threshold, ...]
    record: Mapping[str, Any]
    samples: int = 0
    ann_accuracy: float | None = None
    accuracies: Mapping[int, float] | None = None

    def graph(self) -> Graph:
        """What the compiler takes."""
        arrays = {name: tensor.numpy() for name, tensor in self.state.items()}
        return graph_of(self.network, arrays, {"format": "converted ANN", "conversion": dict(self.record)})

    def write(self, path: Path) -> None:
        """As a zoo checkpoint, which ``snncc compile``, ``verify`` and ``profile`` take."""
        write_checkpoint(path, self.network, self.state, self.record)


def convert(
    ann: Ann, thresholds: Mapping[str, Threshold], time_steps: int, v_init: str = "half", pool_currents: bool = False
) -> Description:
    """The description of the spiking network; its weights are the ANN's. Raises :class:`UnsupportedError` where max pooling
    would not be exact and ``pool_currents`` does not consent to it."""
    if v_init not in V_INIT:
        raise InputError(f"v_init is {v_init!r}; it must be one of {', '.join(V_INIT)}")
    layers = _pools_in_front(ann.description["layers"])
    if not pool_currents:
        _check_pools(layers)
    made = [_neuron(x, thresholds[x["name"]].value, V_INIT[v_init]) if x["kind"] in ACTIVATIONS else x for x in layers]
    return {**ann.description, "time_steps": time_steps, "layers": made}


def _neuron(layer: Layer, threshold: Any, share: float) -> Layer:
    theta = np.asarray(threshold, np.float64)
    return {
        "name": layer["name"], "kind": "neuron", "inputs": layer["inputs"], "threshold": theta.tolist(), "compare": ">=",
        "membrane_decay": 1.0, "reset": "subtract", "reset_timing": "immediate", "v_init": (share * theta).tolist(),
        "spike_value": theta.tolist(),
    }  # fmt: skip


def _pools_in_front(layers: Sequence[Layer]) -> list[Layer]:
    """Max pooling right behind an activation that nothing else reads, moved in front of it."""
    made = list(layers)
    for pool in [layer for layer in layers if layer["kind"] == "max_pool2d"]:
        before = next((x for x in made if [x["name"]] == pool["inputs"] and x["kind"] in ACTIVATIONS), None)
        if before is None or sum(before["name"] in x["inputs"] for x in made) > 1:
            continue
        made = [x for x in made if x is not pool]
        at = next(i for i, x in enumerate(made) if x is before)
        made[at : at + 1] = [{**pool, "inputs": before["inputs"]}, {**before, "inputs": [pool["name"]]}]
        behind = {pool["name"]: before["name"]}
        made = [
            x if x["name"] in (pool["name"], before["name"]) else {**x, "inputs": [behind.get(s, s) for s in x["inputs"]]}
            for x in made
        ]  # fmt: skip
    return made


def _check_pools(layers: Sequence[Layer]) -> None:
    """Raise where the input of a max pooling changes from step to step."""
    constant = {INPUT}
    for layer in layers:
        unchanging = set(layer["inputs"]) <= constant
        if layer["kind"] == "max_pool2d" and not unchanging:
            raise UnsupportedError(
                f"{layer['name']}: max pooling of what spikes bring is no maximum of rates; put average pooling in its place and "
                "train again, or accept the largest current of each step, which is more: --max-pooling currents"
            )
        if unchanging and layer["kind"] not in ACTIVATIONS:
            constant.add(layer["name"])


def convert_file(
    path: Path,
    time_steps: int,
    data: str | None = None,
    samples: int = 500,
    search: Mapping[str, Any] | None = None,
    v_init: str = "half",
    pool_currents: bool = False,
    arch: str | None = None,
    entry: Mapping[str, Any] | None = None,
    report_data: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Read the ANN in ``path`` and convert it.

    Args:
        data: data set whose first ``samples`` the thresholds are found on where none was trained (and the share of clipped
            values is measured on).
        search: fields of :class:`snncc.models.thresholds.Search`.
        arch, entry: as :func:`snncc.models.ann.read_ann_file` takes them; ``entry`` holds fields of ``InputFormat``.
        report_data: data set whose first ``limit`` samples the accuracies are measured on.
        progress: called with (samples done, samples) while they are.
    """
    ann = read_ann_file(path, arch, InputFormat(**dict(entry or {})))
    how = Search(**dict(search or {}))
    if open_layers(ann, how) and data is None:
        find_thresholds(ann, how, time_steps, V_INIT.get(v_init, 0.0), None)  # raises, naming the layer
    inputs = None if data is None else _inputs(ann, data, samples)[0]
    tests = None if report_data is None else _inputs(ann, report_data, limit)
    found = find_thresholds(ann, how, time_steps, V_INIT.get(v_init, 0.0), inputs)
    network = convert(ann, found, time_steps, v_init, pool_currents)
    facts = {
        "recipe": "conversion", "source": path.name, "time_steps": time_steps, "v_init": v_init,
        "thresholds": {name: t.rule for name, t in found.items()}, "data": data, "samples": 0 if inputs is None else len(inputs),
    }  # fmt: skip
    made = Conversion(network, ann.state, tuple(found.values()), facts)
    made.graph()  # shapes and constants are checked by the compiler's own reader
    if tests is None:
        return made
    images, labels = tests
    if labels is None:
        raise InputError(f"{report_data}: has no labels, so there is no accuracy to report")
    steps = sorted({t for t in REPORTED_STEPS if t < time_steps} | {time_steps})
    own = accuracy_by_steps(ann.module(), images, labels, [1])[1]
    found_accuracy = accuracy_by_steps(filled(network, ann.state), images, labels, steps, progress)
    measured = {"ann_accuracy": own, "float_accuracy": found_accuracy[time_steps], "test_data": report_data}
    return Conversion(network, ann.state, made.thresholds, {**facts, **measured}, len(labels), own, found_accuracy)


def _inputs(ann: Ann, name: str, limit: int | None) -> tuple[Tensor, np.ndarray | None]:
    """(inputs as the network takes them, labels or None) of a data set."""
    given = ann.description["input"]
    entry = Input(tuple(given["shape"]), given["encoding"], given["scale"], given["low"], given["high"])
    data = load(name, limit)
    shaped = feed(data.inputs, entry, 1, name)
    check_input(name, entry, shaped, 1)
    return torch.from_numpy(np.ascontiguousarray(shaped)), data.labels


@torch.no_grad()
def accuracy_by_steps(
    network: SpikingNetwork, inputs: Tensor, labels: np.ndarray, steps: Sequence[int], progress: Progress | None = None
) -> dict[int, float]:
    """Accuracy in 0..1 after each of ``steps``, from one run of the longest: what happens later changes nothing before."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    right = dict.fromkeys(steps, 0)
    done = 0
    for x, y in _batches(inputs, labels, max(1, SAMPLE_STEPS // max(steps))):
        recording = network.record(x)[network.last]
        for t in steps:
            right[t] += int((network.scores(recording[:t]).argmax(1) == y).sum())
        done += len(y)
        if progress is not None:
            progress(done, len(labels))
    return {t: count / len(labels) for t, count in right.items()}


def _batches(inputs: Tensor, labels: np.ndarray, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in zip(inputs.split(size), torch.from_numpy(labels).split(size), strict=True):
        yield (x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x), y
