"""One sample followed closely: which neurons fire when, and the membrane of one of them, float against integer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snncc.errors import InputError
from snncc.feed import Inputs, sample_count, take
from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import Neuron
from snncc.program.program import Population, Program
from snncc.target import RunOptions, Target

Array = np.ndarray


@dataclass(frozen=True)
class Curve:
    """A neuron's membrane at the end of each step, (T,), and how often it fired in each, (T,)."""

    membrane: tuple[float, ...]
    spikes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Trace:
    """A sample.

    Attributes:
        sample: its number. spikes: (T, size) of the integer network, by population.
        layer, index: the neuron that is followed.
        in_thresholds: membranes are multiples of the neuron's threshold, of each network its own; else the neuron never fires,
            and they are in units of the float membrane.
        integer, floats: its curves; no float one where the float network has no such layer.
    """

    sample: int
    spikes: Mapping[str, Array]
    layer: str
    index: tuple[int, ...]
    in_thresholds: bool
    integer: Curve
    floats: Curve | None


def trace(graph: Graph, program: Program, engine: Target, inputs: Inputs, sample: int, neuron: str | None) -> Trace:
    """Sample number ``sample`` of ``inputs``, and the neuron ``"LAYER:INDEX"`` (flat, or by axes with commas).

    Without a neuron: of the last layer that fires on the sample and that the float network has too, the first neuron that fires
    in as near to half of the steps as any.
    Raises :class:`InputError` where there is no such sample, layer or neuron.
    """
    samples = sample_count(inputs, program.source)
    if not 0 <= sample < samples:
        raise InputError(f"sample {sample}: the data holds {samples:,} samples; give 0 to {samples - 1:,}")
    chosen = None if neuron is None else parse_neuron(program, neuron)
    one = take(inputs, program.source, sample, sample + 1)
    run = engine.run(program, None, one, RunOptions(record=True))
    floats = run_graph(graph, one, np.float64, record_membranes=True)
    spikes = {p.name: run.spikes[p.name].reshape(program.time_steps, p.size) for p in program.populations}
    layer, index = chosen or _telling(graph, program, spikes)
    population = program.population(layer)
    place: tuple[Any, ...] = (slice(None), 0, *index)
    unit = _at(population.threshold, population.shape, index) if population.fires else _raw(population, index)
    integer = _curve(run.membranes[layer][place], run.spikes[layer][place], unit)
    node = graph.nodes.get(layer)
    other = None
    if isinstance(node, Neuron) and floats.membranes[layer].shape[2:] == population.shape:
        float_unit = _at(np.asarray(node.dynamics.threshold), population.shape, index) if population.fires else 1.0
        other = _curve(floats.membranes[layer][place], floats.spikes[layer][place], float_unit)
    return Trace(sample, spikes, layer, index, population.fires, integer, other)


def parse_neuron(program: Program, text: str) -> tuple[str, tuple[int, ...]]:
    """(layer, index by axes) of ``"LAYER:INDEX"``. Raises :class:`InputError`."""
    layer, colon, place = text.rpartition(":")
    names = [p.name for p in program.populations]
    if not colon or layer not in names:
        raise InputError(f"neuron {text!r}: give LAYER:INDEX with one of the layers {', '.join(names)}")
    shape = program.population(layer).shape
    whole = " × ".join(map(str, shape))
    try:
        index = tuple(int(part) for part in place.split(","))
    except ValueError:
        raise InputError(f"neuron {text!r}: its index is no whole number; {layer} is {whole}") from None
    size = int(np.prod(shape))
    if len(index) == 1 and 0 <= index[0] < size:
        return layer, tuple(int(i) for i in np.unravel_index(index[0], shape))
    if len(index) == len(shape) and all(0 <= i < n for i, n in zip(index, shape, strict=True)):
        return layer, index
    raise InputError(
        f"neuron {text!r}: {layer} is {whole}; give 0 to {size - 1:,}, or {len(shape)} numbers with commas"
    )


def _telling(graph: Graph, program: Program, spikes: Mapping[str, Array]) -> tuple[str, tuple[int, ...]]:
    there = [p for p in program.populations if p.name in graph.nodes] or list(program.populations)
    firing = [p for p in there if spikes[p.name].any()] or there
    last = firing[-1]
    often = np.count_nonzero(spikes[last.name], axis=0)
    index = int(np.argmax(often * (program.time_steps - often) * 2 + (often > 0)))
    return last.name, tuple(int(i) for i in np.unravel_index(index, last.shape))


def _raw(population: Population, index: tuple[int, ...]) -> float:
    """Guarded units in one unit of the float membrane."""
    return float(1 << population.guard_bits) / _at(population.unit, population.shape, index)


def _at(values: Array, shape: tuple[int, ...], index: tuple[int, ...]) -> float:
    return float(np.broadcast_to(values, shape)[index])


def _curve(membrane: Array, spikes: Array, unit: float) -> Curve:
    return Curve(tuple(float(v) / (unit or 1.0) for v in membrane), tuple(int(n) for n in spikes))
