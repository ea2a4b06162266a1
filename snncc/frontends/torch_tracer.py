"""A ``torch.fx`` tracer that computes while it traces: every proxy knows its value, so that shapes are plain numbers and
loops over time unroll. Layers and neurons are leaves: they are called, never looked into."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.proxy import TraceError

from snncc.errors import UnsupportedError
from snncc.frontends.torch_layers import layer_kind
from snncc.frontends.torch_neurons import framework_of, is_followed, neuron_rule


@dataclass(frozen=True, eq=False)
class Trace:
    """What a call of a module did.

    Attributes:
        graph: its operations.
        values: what each of them gave.
        states: names of the inputs that carry states from call to call.
    """

    graph: fx.Graph
    values: dict[fx.Node, Any]
    states: tuple[str, ...]


class _Value(fx.Proxy):
    """A proxy that knows its value."""

    @property
    def known(self) -> Any:
        return self.tracer.values[self.node]  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "device", "ndim", "is_sparse", "requires_grad"):
            return getattr(self.known, name)
        return super().__getattr__(name)

    def size(self, axis: int | None = None) -> Any:
        return self.known.size() if axis is None else self.known.size(axis)

    def dim(self) -> int:
        return int(self.known.dim())

    def numel(self) -> int:
        return int(self.known.numel())

    def __len__(self) -> int:
        return len(self.known)

    def __iter__(self) -> Iterator[Any]:
        take: Any = self  # a proxy takes any index
        return (take[i] for i in range(len(self.known)))

    def __bool__(self) -> bool:
        raise UnsupportedError(
            f"{self.node.name}: the forward decides by a value ({self.node.format_node() or self.node.name}); "
            "a network that is compiled does the same for every input: take the decision out"
        )


class Tracer(fx.Tracer):
    """Records the calls of one run of ``forward`` on ``example``."""

    def __init__(self, example: torch.Tensor) -> None:
        super().__init__()
        self.example = example
        self.values: dict[fx.Node, Any] = {}
        self.first = ""
        self.fixed: dict[str, Any] = {}
        self.running = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if neuron_rule(m) is not None or layer_kind(m) is not None:
            return True
        if framework_of(m) is not None:
            return not is_followed(m)
        return bool(super().is_leaf_module(m, module_qualified_name))

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        return forward(*args, **kwargs) if self.running else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self.running else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_arg(self, a: Any) -> Any:
        made = super().create_arg(a)
        if isinstance(a, torch.Tensor) and isinstance(made, fx.Node):
            self.values[made] = a.detach().clone()  # a neuron may overwrite its buffer later
        return made

    def proxy(self, node: fx.Node) -> _Value:
        return _Value(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> Any:
        proxy = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        self.values[proxy.node] = self._run(proxy.node)
        return proxy

    def _run(self, node: fx.Node) -> Any:
        args: Any = fx.node.map_arg(node.args, self.value)
        kwargs: Any = fx.node.map_arg(node.kwargs, self.value)
        if node.op == "placeholder":
            if node.target == self.first:
                return self.example
            return self.fixed.get(str(node.target).rpartition("_")[0])  # torch.fx numbers the arguments it fixes
        if node.op == "output":
            return None
        self.running = True
        try:
            if node.op == "get_attr":
                return self.value(node)
            if node.op == "call_module":
                layer = self.root.get_submodule(str(node.target))
                return nn.Module.__call__(layer, *args, **kwargs)  # Rockpool's own call adds states to the output
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            assert callable(node.target)
            return node.target(*args, **kwargs)
        finally:
            self.running = False

    def value(self, node: fx.Node) -> Any:
        """What a node of the trace gave; the tensor itself where it stands for a parameter."""
        if node.op != "get_attr" or node in self.values:
            return self.values[node]
        found: Any = self.root
        for part in str(node.target).split("."):
            found = getattr(found, part)
        return found


class Chain(nn.Module):
    """The layers of a Rockpool ``Sequential``, under their names: its own call is no ``forward``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, layer in nn.Module.named_children(module):
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        for layer in self.children():
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


def trace(module: nn.Module, example: torch.Tensor) -> Trace:
    """Run ``module`` once on ``example`` and record what it does. Parameters of ``forward`` after the first that have a
    default keep it; the others carry states and start as None. Raises :class:`UnsupportedError` where it cannot."""
    tracer = Tracer(example)
    module = Chain(module) if type(module).__name__ == "TorchSequential" else module
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError) as error:
        raise UnsupportedError(f"{type(module).__name__}: its forward cannot be read ({error})") from error
    if not parameters or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise UnsupportedError(f"{type(module).__name__}: forward takes *args or **kwargs; give it named parameters")
    tracer.first = parameters[0].name
    fixed = {p.name: p.default for p in parameters[1:] if p.default is not p.empty}
    states = tuple(p.name for p in parameters[1:] if p.default is p.empty)
    tracer.fixed = fixed
    try:
        with torch.no_grad():
            graph = tracer.trace(module, concrete_args=fixed or None)
    except (
        TraceError,
        TypeError,
        AttributeError,
        RuntimeError,
        ValueError,
        IndexError,
        NameError,
        KeyError,
        AssertionError,
    ) as error:
        raise UnsupportedError(
            f"{type(module).__name__}: its forward cannot be followed ({type(error).__name__}: {error}); "
            "it must run on the example with tensors, loops over time, and layers"
        ) from error
    for node in graph.nodes:
        if node.op == "get_attr":
            tracer.values[node] = tracer.value(node)
    return Trace(graph, tracer.values, states)
