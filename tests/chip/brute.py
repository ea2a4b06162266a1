"""What a placed Program takes up and sends, neuron by neuron and synapse by synapse: independent of ``snncc.chip``'s own counting.

Only the chip's TOML, the Program and where the placer put each neuron are looked at.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import numpy as np

from snncc.program.program import Population, Program, Projection, conv_shape

Neuron = tuple[str, int]


def synapses(program: Program, projection: Projection, channel: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(targets, sources) of every stored synapse, zero weights of dense and convolution included; with ``channel`` of the
    targets in that channel alone (first axis of their shape)."""
    shape = program.shape_of(projection.target)
    if projection.kind != "conv":
        low, high = (0, shape[0]) if channel is None else (channel, channel + 1)
        each = int(np.prod(shape[1:]))
        if projection.kind == "dense":
            given = projection.weight.shape[1]
            return np.repeat(np.arange(low * each, high * each), given), np.tile(np.arange(given), (high - low) * each)
        assert projection.index is not None
        mine = (projection.index[0] >= low * each) & (projection.index[0] < high * each)
        return projection.index[0][mine], projection.index[1][mine]
    shape_in = program.shape_of(projection.source)
    shape = conv_shape(projection, shape_in)
    out, per_group, ky, kx = projection.weight.shape
    start, stop = (0, out) if channel is None else (channel, channel + 1)
    c, y, x, i, dy, dx = np.ogrid[start:stop, : shape[1], : shape[2], :per_group, :ky, :kx]
    given_by = c // (out // projection.groups) * per_group + i
    row = y * projection.stride[0] - projection.padding[0] + dy * projection.dilation[0]
    column = x * projection.stride[1] - projection.padding[1] + dx * projection.dilation[1]
    inside = (row >= 0) & (row < shape_in[1]) & (column >= 0) & (column < shape_in[2]) & (given_by >= 0)
    source = (given_by * shape_in[1] + row) * shape_in[2] + column
    target = (c * shape[1] + y) * shape[2] + x + 0 * source
    return target[inside], source[inside]


def exponent_of(weights: list[int], largest: int) -> int:
    """Largest power of two, up to ``largest``, that divides all weights."""
    return max((e for e in range(largest + 1) if all(w % 2**e == 0 for w in weights)), default=0) if any(weights) else 0


def bits_of(weights: list[int], exponent: int) -> int:
    """Fewest bits that hold all weights: signed if there are both signs, else their size alone."""
    low, high = min([*weights, 0]) >> exponent, max([*weights, 0]) >> exponent
    bits = 1
    while not (-(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1) if low < 0 < high else max(-low, high) < 2**bits):
        bits += 1
    return bits


def limits_of(file: str | Path) -> dict[str, int | str]:
    """The limits as the TOML says them."""
    content = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    return {name: entry["value"] for name, entry in content["limits"].items()}


def runs_of(cores: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of channels, the shortest that share no core, of the ``cores`` (channels, neurons) of a population."""
    last = {core: channel for channel, row in enumerate(cores.tolist()) for core in row}
    runs, start, stop = [], 0, 0
    for channel, row in enumerate(cores.tolist()):
        stop = max(stop, *(last[core] for core in row))
        if channel == stop:
            runs.append((start, stop + 1))
            start = stop = channel + 1
    return runs


def listening(program: Program, of: list[Projection], cores: np.ndarray) -> tuple[Counter[int], np.ndarray]:
    """(source neurons that each core hears, cores that hear each source neuron), of the projections from one source into one
    population whose ``cores`` (channels, neurons) are given."""
    size = int(np.prod(program.shape_of(of[0].source)))
    axons, listeners = Counter[int](), np.zeros(size, np.int64)
    for start, stop in runs_of(cores):
        here, row = np.unique(cores[start:stop], return_inverse=True)
        row, first = row.ravel(), start * cores.shape[1]
        heard = np.zeros((len(here), size), bool)
        for projection in of:
            for channel in range(start, stop):
                targets, sources = synapses(program, projection, channel)
                heard[row[targets - first], sources] = True
        axons.update(dict(zip(here.tolist(), heard.sum(axis=1).tolist(), strict=True)))
        listeners += heard.sum(axis=0)
    return axons, listeners


def usage(program: Program, core_of: dict[Neuron, int], limits: dict[str, int | str]) -> dict[int, dict[str, int]]:
    """What every core takes up, by the name of its limit."""
    axons, listeners = Counter[int](), {p.name: np.zeros(p.size, np.int64) for p in program.populations}
    bits, formats = Counter[int](), defaultdict(set)
    groups: dict[tuple[str, str], list[Projection]] = defaultdict(list)
    for projection in program.projections:
        if projection.source == program.source.name and program.source.encoding == "static":
            continue
        largest = limits["weight_exponent"] if isinstance(limits["weight_exponent"], int) else 0
        weights = [int(w) for w in projection.weight.ravel()]
        exponent = exponent_of(weights, largest)
        word = bits_of(weights, exponent)
        most = limits["neurons_per_core"]
        most = most if isinstance(most, int) else program.population(projection.target).size
        index = max(1, int(np.ceil(np.log2(most))))
        groups[projection.source, projection.target].append(projection)
        if projection.kind != "conv":
            targets, _ = synapses(program, projection)
            for target, count in enumerate(np.bincount(targets).tolist()):
                bits[core_of[projection.target, target]] += count * (
                    word + (index if projection.kind == "sparse" else 0)
                )
        shape = program.shape_of(projection.target)
        channels = defaultdict(set)
        for target in range(program.population(projection.target).size):
            core = core_of[projection.target, target]
            formats[core].add((projection.kind, word, exponent, projection.shift))
            channels[core].add(target // int(np.prod(shape[1:])))
        if projection.kind == "conv":  # a core holds the whole kernels of its channels, once
            for core, used in channels.items():
                bits[core] += word * len(used) * projection.weight[0].size
    for (source, target), of in groups.items():
        cores = np.array([core_of[target, i] for i in range(program.population(target).size)], np.int64)
        hears, heard_by = listening(program, of, cores.reshape(program.shape_of(target)[0], -1))
        axons.update(hears)
        if source != program.source.name:
            listeners[source] += heard_by
    result: dict[int, dict[str, int]] = {}
    held = defaultdict(list)
    for neuron, core in core_of.items():
        held[core].append(neuron)
    constants = {p.name: (decays(p), np.broadcast_to(p.threshold if p.fires else np.asarray(0), p.shape).ravel())
                 for p in program.populations}  # fmt: skip
    for core, neurons in held.items():
        name = neurons[0][0]
        assert {other for other, _ in neurons} == {name}
        own, threshold = constants[name]
        result[core] = {
            "neurons_per_core": len(neurons),
            "input_axons_per_core": axons[core],
            "output_axons_per_core": sum(int(listeners[name][i]) for _, i in neurons),
            "synapse_bits_per_core": bits[core],
            "neuron_profiles_per_core": len({tuple(int(x[i]) for x in own) for _, i in neurons}),
            "threshold_profiles_per_core": len({int(threshold[i]) for _, i in neurons}),
            "synapse_profiles_per_core": len(formats[core]),
        }
    return result


def decays(p: Population) -> list[np.ndarray]:
    """Its decays, neuron by neuron."""
    both = (p.decay_v, np.asarray(0) if p.decay_u is None else p.decay_u)
    return [np.broadcast_to(x, p.shape).ravel() for x in both]


def messages(program: Program, core_of: dict[Neuron, int], spikes: dict[str, np.ndarray]) -> list[tuple[int, int, int]]:
    """(step, core, core) of every message between cores, over all samples."""
    listeners = defaultdict(set)
    for projection in program.projections:
        if projection.source != program.source.name:
            for target, source in zip(*(x.tolist() for x in synapses(program, projection)), strict=True):
                listeners[projection.source, source].add(core_of[projection.target, target])
    sent = []
    for name, raster in spikes.items():
        flat = raster.reshape(*raster.shape[:2], -1)
        for t, n, i in product(*map(range, flat.shape)):
            if flat[t, n, i]:
                sent += [(t, core_of[name, i], there) for there in listeners[name, i]]
    return sent
