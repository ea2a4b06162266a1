"""What neurons take up on a core: the one place that counts neurons, axons, synapse memory and profiles.

A core holds a box of neurons of one population: channels × rows × columns, or a stretch of neurons where the population
has no such shape. Counted for a box, from the whole numbers of the Program:

- *Input axons*: source neurons with a synapse in the box, one each, whatever the number of synapses and projections behind
  it. A dense projection has a synapse from every source neuron, a convolution from every one under a kernel position, zero
  weights included; a sparse one has those it lists. (Davies et al. 2018: an axon names a list of synapses. SANA-FE,
  arch/loihi.yaml: targets on one core share an axon.)
- *Output axons*: for each neuron, the cores that listen to it; one message each when it fires.
- *Synapse memory*: dense, a word of *weight bits* for every pair of neurons; sparse, weight bits and the bits that tell
  the core's neurons apart, for each listed synapse; convolution, each weight of the kernels of the box's channels once,
  shared by all positions. No figure is public for what else an entry stores (delay, tag, headers, tables of a shared kernel):
  nothing is added.
- *Weight bits*: of the largest weight, after the power of two that all weights share (at most the chip's weight exponent);
  one more for the sign where there are both signs.
- *Profiles*: different pairs of decays, different thresholds (one if it never fires), different synapse formats (kind,
  weight bits, exponent, shift).

A static input is weighed on the host and arrives as a bias: it takes no axons and no synapses. Any other input takes input
axons and synapses; its own neurons are the host's. Not modelled: a second population on a core, several neurons that
share one axon, neuron memory beyond the number of neurons, learning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snncc.chip.spec import Chip
from snncc.memory import shared_exponent
from snncc.program.program import Population, Program, Projection

Array = np.ndarray
Grid = tuple[int, int, int]
Range = tuple[int, int]

CORE_LIMITS = (
    "neurons_per_core",
    "input_axons_per_core",
    "output_axons_per_core",
    "synapse_bits_per_core",
    "neuron_profiles_per_core",
    "threshold_profiles_per_core",
    "synapse_profiles_per_core",
)
"""What is counted for a core, by the name of its limit."""


@dataclass(frozen=True)
class Box:
    """Neurons of one core: [start, stop) of channels, rows and columns of ``grid_of`` the population's shape."""

    population: str
    channels: Range
    rows: Range = (0, 1)
    columns: Range = (0, 1)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod([stop - start for start, stop in (self.channels, self.rows, self.columns)]))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """For an array over the grid."""
        return slice(*self.channels), slice(*self.rows), slice(*self.columns)


@dataclass(frozen=True, eq=False)
class Wiring:
    """A Program for a chip, with what was found out about its projections on the way."""

    program: Program
    chip: Chip
    found: dict[Any, Any] = field(default_factory=dict)

    def synapses(self, population: str) -> dict[str, list[Projection]]:
        """Source name to projections into ``population`` that are the chip's work."""
        key = ("synapses", population)
        if key not in self.found:
            by_source: dict[str, list[Projection]] = {}
            for projection in self.program.incoming(population):
                if not self.program.is_static(projection):
                    by_source.setdefault(projection.source, []).append(projection)
            self.found[key] = by_source
        return self.found[key]


def grid_of(shape: tuple[int, ...]) -> Grid:
    """(channels, rows, columns) of a population: its shape where it has three axes, else its neurons in a row."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (int(np.prod(shape)), 1, 1)


def ids_of(box: Box, grid: Grid) -> Array:
    """Flat numbers of the box's neurons, rising."""
    return _flat(np.arange(*box.channels), np.arange(*box.rows), np.arange(*box.columns), grid)


def measure(wiring: Wiring, box: Box, listeners: Array) -> dict[str, int]:
    """What ``box`` takes up, by :data:`CORE_LIMITS`. ``listeners``: cores that listen to each neuron, over its grid."""
    sources = wiring.synapses(box.population)
    own = [p for projections in sources.values() for p in projections]
    decays, thresholds = _codes(wiring, box.population)
    return {
        "neurons_per_core": box.size,
        "input_axons_per_core": sum(_axons(wiring, projections, box) for projections in sources.values()),
        "output_axons_per_core": int(listeners[box.slices].sum()),
        "synapse_bits_per_core": sum(synapse_bits(wiring, p, box) for p in own),
        "neuron_profiles_per_core": _distinct(decays, box),
        "threshold_profiles_per_core": _distinct(thresholds, box),
        "synapse_profiles_per_core": len({(p.kind, *weight_format(wiring, p), p.shift) for p in own}),
    }


def reached(wiring: Wiring, box: Box) -> dict[str, Array]:
    """Source name to the flat numbers (rising) of its neurons that ``box`` listens to."""
    result = {}
    for source, projections in wiring.synapses(box.population).items():
        parts = [_listed(wiring, p, box) for p in projections]
        result[source] = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
    return result


def weight_format(wiring: Wiring, projection: Projection) -> tuple[int, int]:
    """(bits of a stored weight, exponent): weights are stored as ``w >> exponent``."""
    key = ("format", projection.name)
    if key not in wiring.found:
        weight = projection.weight
        low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
        exponent = min(shared_exponent(weight), wiring.chip.limits["weight_exponent"].value or 0)
        bits = max((high >> exponent).bit_length(), (-low >> exponent).bit_length(), 1)
        if low < 0 < high:  # -128 takes no more bits than 127
            bits = max((high >> exponent).bit_length(), ((-low >> exponent) - 1).bit_length()) + 1
        wiring.found[key] = (bits, exponent)
    return wiring.found[key]


def index_bits(wiring: Wiring, population: str) -> int:
    """Bits that tell the neurons of a core apart: of the chip's neurons a core, else of the population's."""
    most = wiring.chip.limits["neurons_per_core"].value or wiring.program.population(population).size
    return max((most - 1).bit_length(), 1)


def synapse_bits(wiring: Wiring, projection: Projection, box: Box) -> int:
    """Synapse memory that a projection takes in a box, in bits."""
    bits, _ = weight_format(wiring, projection)
    if projection.kind == "dense":
        return bits * box.size * projection.weight.shape[1]
    if projection.kind == "conv":
        return bits * (box.channels[1] - box.channels[0]) * projection.weight[0].size
    return (bits + index_bits(wiring, box.population)) * int(_fan_in(wiring, projection)[box.slices].sum())


def _axons(wiring: Wiring, projections: list[Projection], box: Box) -> int:
    if len(projections) > 1:
        return int(np.unique(np.concatenate([_listed(wiring, p, box) for p in projections])).size)
    only = projections[0]
    if only.kind == "conv":
        return int(np.prod([len(axis) for axis in _window(wiring, only, box)]))
    return only.weight.shape[1] if only.kind == "dense" else _listed(wiring, only, box).size


def _listed(wiring: Wiring, projection: Projection, box: Box) -> Array:
    """Flat numbers of the source neurons with a synapse in the box, rising."""
    if projection.kind == "dense":
        return np.arange(projection.weight.shape[1])
    if projection.kind == "conv":
        return _flat(*_window(wiring, projection, box), grid_of(wiring.program.shape_of(projection.source)))
    key = ("listed", projection.name)
    if key not in wiring.found:
        assert projection.index is not None
        order = np.argsort(projection.index[0], kind="stable")
        starts = np.concatenate(([0], np.cumsum(_fan_in(wiring, projection).ravel())))
        wiring.found[key] = projection.index[1][order], starts
    sources, starts = wiring.found[key]
    ids = ids_of(box, grid_of(wiring.program.shape_of(box.population)))
    return np.unique(np.concatenate([sources[starts[i] : starts[i + 1]] for i in ids]))


def _fan_in(wiring: Wiring, projection: Projection) -> Array:
    """Listed synapses into each neuron of a sparse projection's target, over its grid."""
    key = ("fan_in", projection.name)
    if key not in wiring.found:
        assert projection.index is not None
        grid = grid_of(wiring.program.shape_of(projection.target))
        wiring.found[key] = np.bincount(projection.index[0], minlength=int(np.prod(grid))).reshape(grid)
    return wiring.found[key]


def _window(wiring: Wiring, projection: Projection, box: Box) -> tuple[Array, Array, Array]:
    """Channels, rows and columns of the source under the kernels of the box."""
    given = wiring.program.shape_of(projection.source)
    out, per_group = projection.weight.shape[:2]
    step = out // projection.groups
    groups = np.arange(box.channels[0] // step, (box.channels[1] - 1) // step + 1)
    channels = (groups[:, None] * per_group + np.arange(per_group)).ravel()
    rows, columns = (
        _positions(wiring, projection, axis, r, given[1 + axis]) for axis, r in enumerate((box.rows, box.columns))
    )
    return channels, rows, columns


def _positions(wiring: Wiring, projection: Projection, axis: int, outputs: Range, extent: int) -> Array:
    """Source positions along an axis (0 rows, 1 columns) under the kernels at ``outputs``; padding is none."""
    key = ("positions", projection.name, axis, outputs)
    if key not in wiring.found:
        first = np.arange(*outputs) * projection.stride[axis] - projection.padding[axis]
        taps = np.arange(projection.weight.shape[2 + axis]) * projection.dilation[axis]
        positions = np.unique(first[:, None] + taps)
        wiring.found[key] = positions[(positions >= 0) & (positions < extent)]
    return wiring.found[key]


def _flat(channels: Array, rows: Array, columns: Array, grid: Grid) -> Array:
    return ((channels[:, None, None] * grid[1] + rows[:, None]) * grid[2] + columns).ravel()


def _codes(wiring: Wiring, name: str) -> tuple[Array, Array]:
    """Numbers over the grid that differ where (decays, thresholds) of the neurons differ; one axis long where they do not."""
    key = ("codes", name)
    if key not in wiring.found:
        p = wiring.program.population(name)
        decay_u = np.asarray(0) if p.decay_u is None else p.decay_u
        wiring.found[key] = (_numbered(p, p.decay_v, decay_u), _numbered(p, p.threshold if p.fires else np.asarray(0)))
    return wiring.found[key]


def _numbered(population: Population, *constants: Array) -> Array:
    """Numbers that differ where the constants do."""
    code = np.zeros((), np.int64)
    for constant in constants:
        values, numbers = np.unique(constant, return_inverse=True)
        code = code * len(values) + numbers.reshape(constant.shape)
    if code.ndim in (0, 3) and len(population.shape) == 3:
        return code.reshape(code.shape if code.ndim else (1, 1, 1))
    if code.size == 1:
        return code.reshape(1, 1, 1)
    return np.broadcast_to(code, population.shape).reshape(grid_of(population.shape))


def _distinct(code: Array, box: Box) -> int:
    if code.size == 1:
        return 1
    cut = tuple(s if code.shape[axis] > 1 else slice(None) for axis, s in enumerate(box.slices))
    return int(np.unique(code[cut]).size)


def over(chip: Chip, taken: Mapping[str, int]) -> list[str]:
    """Names of the core's limits that ``taken`` exceeds."""
    return [name for name in CORE_LIMITS if not chip.limits[name].allows(taken[name])]
