"""What a placed Program takes up and sends, neuron by neuron and synapse by synapse: independent of ``snncc.chip``'s own counting.

Only the chip's TOML, the Program and where the placer put each neuron are looked at.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import numpy as np

from snncc.program.program import Program, Projection, conv_shape

Neuron = tuple[str, int]


def synapses(program: Program, projection: Projection) -> tuple[np.ndarray, np.ndarray]:
    """(targets, sources) of every stored synapse, zero weights of dense and convolution included."""
    if projection.kind == "dense":
        out, given = projection.weight.shape
        return np.repeat(np.arange(out), given), np.tile(np.arange(given), out)
    if projection.kind == "sparse":
        assert projection.index is not None
        return projection.index[0], projection.index[1]
    shape_in = program.shape_of(projection.source)
    shape = conv_shape(projection, shape_in)
    out, per_group, ky, kx = projection.weight.shape
    c, y, x, i, dy, dx = np.ogrid[:out, : shape[1], : shape[2], :per_group, :ky, :kx]
    channel = c // (out // projection.groups) * per_group + i
    row = y * projection.stride[0] - projection.padding[0] + dy * projection.dilation[0]
    column = x * projection.stride[1] - projection.padding[1] + dx * projection.dilation[1]
    inside = (row >= 0) & (row < shape_in[1]) & (column >= 0) & (column < shape_in[2]) & (channel >= 0)
    source = (channel * shape_in[1] + row) * shape_in[2] + column
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


def usage(program: Program, core_of: dict[Neuron, int], limits: dict[str, int | str]) -> dict[int, dict[str, int]]:
    """What every core takes up, by the name of its limit."""
    axons, listeners = defaultdict(set), defaultdict(set)
    bits, formats = Counter[int](), defaultdict(set)
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
        targets, sources = synapses(program, projection)
        cores = np.array([core_of[projection.target, t] for t in range(int(targets.max(initial=-1)) + 1)], np.int64)
        size = int(np.prod(program.shape_of(projection.source)))
        for pair in np.unique(cores[targets] * size + sources).tolist() if len(targets) else ():
            core, source = divmod(pair, size)
            axons[core].add((projection.source, source))
            if projection.source != program.source.name:
                listeners[projection.source, source].add(core)
        if projection.kind != "conv":
            for core, count in enumerate(np.bincount(cores[targets]).tolist()):
                bits[core] += count * (word + (index if projection.kind == "sparse" else 0))
        shape = program.shape_of(projection.target)
        channels = defaultdict(set)
        for target in range(program.population(projection.target).size):
            core = core_of[projection.target, target]
            formats[core].add((projection.kind, word, exponent, projection.shift))
            channels[core].add(target // int(np.prod(shape[1:])))
        if projection.kind == "conv":  # a core holds the whole kernels of its channels, once
            for core, used in channels.items():
                bits[core] += word * len(used) * projection.weight[0].size
    result: dict[int, dict[str, int]] = {}
    held = defaultdict(list)
    for neuron, core in core_of.items():
        held[core].append(neuron)
    for core, neurons in held.items():
        p = program.population(neurons[0][0])
        assert {name for name, _ in neurons} == {p.name}

        own = [
            np.broadcast_to(x, p.shape).ravel() for x in (p.decay_v, np.asarray(0) if p.decay_u is None else p.decay_u)
        ]
        threshold = np.broadcast_to(p.threshold if p.fires else np.asarray(0), p.shape).ravel()
        result[core] = {
            "neurons_per_core": len(neurons),
            "input_axons_per_core": len(axons[core]),
            "output_axons_per_core": sum(len(listeners[n]) for n in neurons),
            "synapse_bits_per_core": bits[core],
            "neuron_profiles_per_core": len({tuple(int(x[i]) for x in own) for _, i in neurons}),
            "threshold_profiles_per_core": len({int(threshold[i]) for _, i in neurons}),
            "synapse_profiles_per_core": len(formats[core]),
        }
    return result


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
