"""Bits a weight, layer by layer: ``--layer-bits conv1=4,fc1=3``.

A scale belongs to a neuron, so all weights into one neuron have the same bits: a layer is a population, and may be named by its
neuron or by anything that leads to it, such as a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from snncc.errors import InputError, UnsupportedError
from snncc.ir.graph import Graph
from snncc.ir.nodes import Input, Neuron

LEAST, MOST = 2, 16
"""Bits of a weight, sign included, that the quantiser takes."""


def parse_layer_bits(text: str) -> dict[str, int]:
    """Layer to bits of ``NAME=BITS,NAME=BITS``. Raises :class:`InputError`."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, separator, bits = (piece.strip() for piece in part.rpartition("="))
        if not separator or not name or not (bits.isascii() and bits.isdigit()):
            raise InputError(f"--layer-bits: {part.strip()!r} is not NAME=BITS, such as conv1=4")
        if found.setdefault(name, int(bits)) != int(bits):
            raise InputError(f"--layer-bits: {name} has {found[name]} and {int(bits)} bits; give one")
    return found


def of_neurons(graph: Graph, layer_bits: Mapping[str, int]) -> dict[str, int]:
    """``layer_bits`` by neuron, where a name is that of a node of ``graph`` as it was read; passes may rename that node later, but
    no neuron. A name that leads to no neuron stays, for the quantiser to find or refuse. Raises :class:`InputError` where a
    neuron would get two widths."""
    found: dict[str, int] = {}
    said: dict[str, str] = {}
    for name, bits in layer_bits.items():
        for neuron in tuple(_neurons_behind(graph, name)) or (name,):
            if found.setdefault(neuron, bits) != bits:
                raise InputError(
                    f"--layer-bits: {said[neuron]} and {name} both lead to {neuron}, whose weights have one width; "
                    f"give them the same bits, not {found[neuron]} and {bits}"
                )
            said.setdefault(neuron, name)
    return found


def bits_by_neuron(graph: Graph, bits: int, layer_bits: Mapping[str, int]) -> dict[str, int]:
    """Neuron to bits of a graph that is to be quantised, in which each name is a neuron or leads to one. Raises
    :class:`InputError` on any other name, listing those there are, and :class:`UnsupportedError` on widths beyond
    :data:`LEAST` .. :data:`MOST`."""
    neurons = graph.of_type(Neuron)
    chosen = of_neurons(graph, layer_bits)
    if unknown := [name for name in chosen if name not in neurons]:
        raise InputError(
            f"--layer-bits: there is no layer {', '.join(unknown)}; the layers with weights are {', '.join(neurons)}"
        )
    for where, wanted in [("", bits), *((f"{name}: ", n) for name, n in chosen.items())]:
        if not LEAST <= wanted <= MOST:
            raise UnsupportedError(f"{where}bits is {wanted}; weights of {LEAST} to {MOST} bits are supported")
    return {name: chosen.get(name, bits) for name in neurons}


def _neurons_behind(graph: Graph, name: str) -> Iterator[str]:
    """The node itself where it is a neuron, else the first neurons that are reached from it."""
    if name not in graph.nodes or isinstance(graph.nodes[name], Input):
        return
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop()
        if isinstance(graph.nodes[one], Neuron):
            yield one
            continue
        after = [e.target for e in graph.outgoing(one) if e.target not in seen]
        seen.update(after)
        waiting += after
