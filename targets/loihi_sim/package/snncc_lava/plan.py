"""The compiled folder, read: program.json and weights.npz (the network), lava.json and lava.npz (how Lava holds it)."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from snncc_lava.arithmetic import Neurons, Weights


@dataclass
class Placed:
    """A population or projection with its place in Lava.

    Attributes:
        process: populations "lif" (stock LIFReset) or "neuron" (ours); projections "host" (computed once a sample,
            injected as a current), "dense", "conv" (stock), or "synapses" (ours).
        offset: populations: the Lava step in which the first sample's step 0 is computed.
        latency: projections: Lava steps from a spike to the current it causes.
        message_bits: projections: 0 for binary spikes, else the width of a graded one.
        registers: stock LIF only: vth, du, dv, bias_mant, bias_exp; and ``injected``, what of the bias comes with the
            input current.
    """

    name: str
    process: str
    offset: int = 0
    latency: int = 0
    message_bits: int = 0
    registers: dict[str, Any] | None = None


@dataclass
class Edge:
    """A projection with its ends; ``constant`` is added to the current that a static source's projection injects."""

    name: str
    source: str
    target: str
    delay: int
    weights: Weights
    placed: Placed
    constant: Any = 0

    def injected(self, data: np.ndarray) -> np.ndarray:
        """The current (N, *target shape) of static data, the same in every step."""
        return self.weights.project(data) + self.constant


@dataclass
class Plan:
    """Everything needed to run the network."""

    name: str
    time_steps: int
    source: str
    source_shape: tuple[int, ...]
    static: bool
    low: int
    high: int
    neurons: dict[str, Neurons]
    places: dict[str, Placed]
    edges: list[Edge]
    readout: dict[str, Any]

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of the source or of a population, channel-first."""
        return self.source_shape if name == self.source else self.neurons[name].shape

    def steps_for(self, samples: int) -> int:
        """Lava steps that run ``samples`` one after the other: a population starts each one ``time_steps`` after the last."""
        return samples * self.time_steps + max(p.offset for p in self.places.values())


def load_plan(folder: Path) -> Plan:
    """Read a compiled folder."""
    program, place = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("program.json", "lava.json"))
    with np.load(folder / "weights.npz") as archive:
        program = _with_arrays(program, {key: archive[key] for key in archive.files})
    with np.load(folder / "lava.npz") as archive:
        place = _with_arrays(place, {key: archive[key] for key in archive.files})
    source = program["source"]
    neurons = {p["name"]: _neurons(p) for p in program["populations"]}
    places = {p["name"]: Placed(**p) for p in place["populations"]}
    placed = {p["name"]: Placed(**p) for p in place["projections"]}
    edges = [
        Edge(
            p["name"], p["source"], p["target"], p["delay"], _weights(p, neurons[p["target"]].shape), placed[p["name"]]
        )
        for p in program["projections"]
    ]
    _carry_biases(edges, places)
    return Plan(
        program["name"], program["time_steps"], source["name"], tuple(source["shape"]), source["encoding"] == "static",
        source["low"], source["high"], neurons, places, edges, program["readout"],
    )  # fmt: skip


def _carry_biases(edges: list[Edge], places: dict[str, Placed]) -> None:
    """Give each stock neuron's injected bias to its first undelayed static projection."""
    for name, place in places.items():
        constant = (place.registers or {}).pop("injected", 0)
        if np.any(constant):
            next(
                e for e in edges if e.target == name and e.placed.process == "host" and not e.delay
            ).constant = constant


def check_data(plan: Plan, data: np.ndarray) -> str:
    """What is wrong with input data, or ""."""
    axes = 1 if plan.static else 2
    wanted = f"(N, {', '.join(map(str, plan.source_shape))})" if plan.static else (
        f"({plan.time_steps}, N, {', '.join(map(str, plan.source_shape))})"
    )  # fmt: skip
    if data.dtype.kind not in "iu":
        return f"the input holds {data.dtype}; whole numbers are needed"
    if data.ndim != axes + len(plan.source_shape) or data.shape[axes:] != plan.source_shape:
        return f"the input has shape {data.shape}; {wanted} is needed"
    if not plan.static and data.shape[0] != plan.time_steps:
        return f"the input has {data.shape[0]} steps; the network runs {plan.time_steps}"
    if data.size == 0:
        return f"the input has shape {data.shape}; at least one sample is needed"
    if data.min() < plan.low or data.max() > plan.high:
        return f"the input spans {data.min()}..{data.max()}, beyond {plan.low}..{plan.high}"
    return ""


def _neurons(item: dict[str, Any]) -> Neurons:
    known = {f.name for f in fields(Neurons)}
    made = {key: value for key, value in item.items() if key in known}
    made["shape"] = tuple(made["shape"])
    return Neurons(**made)


def _weights(item: dict[str, Any], target_shape: tuple[int, ...]) -> Weights:
    return Weights(
        item["kind"], item["weight"], item["shift"], tuple(item["stride"]), tuple(item["padding"]), tuple(item["dilation"]),
        item["groups"], item["index"], target_shape,
    )  # fmt: skip


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """``{"array": key}`` replaced by the array, as int64."""
    if isinstance(value, dict):
        if set(value) == {"array"}:
            array = arrays[value["array"]]
            return array.astype(np.int64) if array.dtype.kind in "iu" else array
        return {key: _with_arrays(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    return value
