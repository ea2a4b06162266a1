"""Reads a PyTorch module of ReLU or clipped units, a network without spikes, as an :class:`~snncc.frontends.onnx_ann.AnnGraph`.

The module is traced as :mod:`snncc.frontends.torch_module` traces spiking ones, and the result is compared with it on random
input. ``nn.ReLU``, ``nn.ReLU6``, ``nn.Hardtanh(0, b)`` and their functions are activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from snncc.errors import GraphError, UnsupportedError
from snncc.frontends.onnx_ann import AnnGraph, Relu, run_ann
from snncc.ir.nodes import Flatten, Identity, Node, Scale

if TYPE_CHECKING:
    from torch import fx, nn

TOLERANCE = 1e-4
"""Of the outputs, relative to the largest: float32 sums in another order."""
SAMPLES = 2
REMEDY = "only ReLU and clips from 0 become firing rates: use nn.ReLU and train again"


def ann_of(module: nn.Module, shape: tuple[int, ...]) -> AnnGraph:
    """The network of ``module`` for samples of ``shape``. Raises :class:`UnsupportedError` naming the layer or function that
    has no form, and :class:`GraphError` where network and module differ."""
    import torch

    from snncc.frontends.torch_parity import copied
    from snncc.frontends.torch_tracer import trace

    own = copied(module).cpu().float()
    example = torch.rand(SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
    traced = trace(own, example)
    ann = _Reader(own, traced.values).read(traced.graph)
    with torch.no_grad():
        wanted = own(example).numpy()
    found = run_ann(ann, example.numpy())
    if wanted.shape != found.shape or not np.allclose(found, wanted, TOLERANCE, TOLERANCE * float(abs(wanted).max())):
        raise GraphError(f"{type(module).__name__}: the network that was read gives other values than the module")
    return ann


class _Reader:
    """Follows a trace from the input to the result; ``home`` says where a value is."""

    def __init__(self, module: nn.Module, values: dict[fx.Node, Any]) -> None:
        self.layers: dict[str, Any] = dict(module.named_modules())
        self.values = values
        self.home: dict[fx.Node, str] = {}
        self.nodes: dict[str, Node | Relu] = {}
        self.sources: dict[str, tuple[str, ...]] = {}

    def read(self, graph: fx.Graph) -> AnnGraph:
        entry = ""
        for value in graph.nodes:
            if value.op == "placeholder":
                if not entry:
                    entry = self.home[value] = value.name
            elif value.op in ("call_module", "call_function", "call_method"):
                self._call(value)
            elif value.op == "output":
                (result,) = value.args
                if result not in self.home:
                    raise UnsupportedError("the forward must return one tensor that a layer gives: the scores")
                shapes = {name: self._shape(v) for v, name in self.home.items() if name in self.nodes or name == entry}
                return AnnGraph(self.nodes, self.sources, shapes, entry, self.home[result])
        raise AssertionError("a trace ends in its output")

    def _shape(self, value: fx.Node) -> tuple[int, ...]:
        return tuple(int(n) for n in self.values[value].shape[1:])

    def _call(self, value: fx.Node) -> None:
        from snncc.frontends.torch_functions import Arithmetic, function_name, is_constant

        if is_constant(value):
            return
        given = next((n for n in value.all_input_nodes if n in self.home), None)
        if given is None:
            raise UnsupportedError(f"{value.name}: reads what no layer gives")
        name = function_name(value)
        read: Any
        if value.op == "call_module":
            read = self._module(value, given)
        elif (clip := _clip(value, name)) is not None:
            read = clip
        else:
            read = self._function(value, name, given)
        if isinstance(read, Arithmetic):
            self._sum(value, read)
        elif read is None:
            self.home[value] = self._source(value, given)
        else:
            self._add(value, read, (self._source(value, given),))

    def _module(self, value: fx.Node, given: Any) -> Node | Relu | None:
        from snncc.frontends.torch_layers import FLATTENING, layer_kind, read_layer

        module = self.layers[str(value.target)]
        kind = type(module).__name__
        if kind == "ReLU":
            return Relu()
        if kind in ("ReLU6", "Hardtanh"):
            return _bounded(str(value.target), module.min_val, module.max_val)
        known = layer_kind(module)
        if known is None:
            raise UnsupportedError(f"{value.target}: a {kind} has no form in a network of firing rates; {REMEDY}")
        if known == FLATTENING:
            return self._flattened(value, given)
        return read_layer(str(value.target), known, module, self._shape(given))

    def _function(self, value: fx.Node, name: str, given: Any) -> Any:
        from snncc.frontends.torch_functions import ACTIVATIONS, FLATTENING, Joined, read_function

        if name in ACTIVATIONS:
            raise UnsupportedError(f"{value.name}: {name} has no form in a network of firing rates; {REMEDY}")
        read = read_function(value, name, self.values, self._shape(given))
        if isinstance(read, Joined):
            raise UnsupportedError(f"{value.name}: joins values, which a conversion does not read; add them instead")
        return self._flattened(value, given) if read == FLATTENING else read

    def _flattened(self, value: fx.Node, given: Any) -> Flatten | None:
        before, after = self._shape(given), self._shape(value)
        if before == after:
            return None
        if len(after) != 1 or self.values[value].shape[0] != SAMPLES:
            raise UnsupportedError(f"{value.name}: reshapes {before} to {after}; only flattening a sample is read")
        return Flatten()

    def _sum(self, value: fx.Node, read: Any) -> None:
        sources: list[str] = []
        for operand, factor in read.operands:
            source = self._source(value, operand)
            if factor != 1.0 or source in sources:
                scaled = f"{value.name}_factor{len(sources)}"
                self.nodes[scaled], self.sources[scaled] = Scale(factor), (source,)
                source = scaled
            if self._shape(operand) != self._shape(value):
                raise UnsupportedError(f"{value.name}: adds {self._shape(operand)}; snncc adds equal shapes only")
            sources.append(source)
        self._add(value, Identity(), tuple(sources))

    def _source(self, value: fx.Node, given: Any) -> str:
        if given not in self.home:
            raise UnsupportedError(f"{value.name}: reads {given}, which no layer gives")
        return self.home[given]

    def _add(self, value: fx.Node, node: Node | Relu, sources: tuple[str, ...]) -> None:
        self.nodes[value.name], self.sources[value.name] = node, sources
        self.home[value] = value.name


def _clip(value: fx.Node, name: str) -> Relu | None:
    """The activation that a function is; None where it is none that has a form."""
    options = dict(value.kwargs)
    if name in ("relu", "relu_"):
        return Relu()
    if name == "relu6":
        return Relu(6.0)
    if name in ("hardtanh", "clamp", "clip"):
        keys = ("min_val", "max_val") if name == "hardtanh" else ("min", "max")
        ends = dict(zip(keys, value.args[1:], strict=False)) | options
        default = (-1.0, 1.0) if name == "hardtanh" else (None, None)
        return _bounded(value.name, *(ends.get(k, d) for k, d in zip(keys, default, strict=True)))
    return None


def _bounded(where: str, low: Any, high: Any) -> Relu:
    numbers = isinstance(low, int | float) and (high is None or isinstance(high, int | float))
    if not numbers or low != 0 or (high is not None and high <= 0):
        raise UnsupportedError(f"{where}: clips to {low} … {high}; {REMEDY}")
    return Relu(None if high is None else float(high))
