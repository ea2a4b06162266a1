"""Functions called inside ``forward``, and the axes of batch and time that they move: read exactly, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live frontends need torch: pip install snncc[torch]")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="SpikingJelly is not installed: make frameworks"
    )

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from snncc import from_torch  # noqa: E402
from snncc.compiler import compile_graph  # noqa: E402
from snncc.errors import SnnccError  # noqa: E402
from snncc.ir.graph import Graph  # noqa: E402
from snncc.ir.interpreter import run_graph  # noqa: E402
from snncc.ir.nodes import BatchNorm, Conv1d, Conv2d, Dense, Input, Output, Sparse  # noqa: E402
from snncc.registry import get_target  # noqa: E402

T, N = 20, 2
FRAMES = (T, N, 1, 8, 8)


class Net(nn.Module):
    """A module with the given forward, two convolutions, a dense layer and neurons of one and of all steps."""

    def __init__(self, forward: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.run = forward
        self.conv, self.wide, self.fc = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(4, 2, 3), nn.Linear(192, 5)
        self.one, self.two = neuron.IFNode(v_threshold=0.5), neuron.IFNode(v_threshold=0.4)
        self.all, self.last = (neuron.IFNode(v_threshold=0.5, step_mode="m") for _ in range(2))
        self.weight = nn.Parameter(torch.randn(5, 64) * 0.4)
        self.kernel = nn.Parameter(torch.randn(3, 1, 3, 3) * 0.5)
        self.register_buffer("offset", torch.rand(3) * 0.2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


def spikes(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.rand(shape) < 0.4).float()


def proved(forward: Callable[[Any, torch.Tensor], Any], *shape: int, **options: Any) -> tuple[Graph, Net]:
    module = Net(forward)
    graph = from_torch(module, spikes(*shape), **options)
    assert graph.origin["parity"]["differing"] == 0 and graph.origin["parity"]["spikes"] > 0
    return graph, module


LAYERS: dict[str, tuple[Callable[[Any, torch.Tensor], Any], type]] = {
    "linear": (lambda m, x: m.one(F.linear(x.flatten(1), m.weight)), Dense),
    "linear of a scaled weight": (lambda m, x: m.one(F.linear(x.view(N, -1), weight=m.weight * 2)), Dense),
    "matmul": (lambda m, x: m.one(x.reshape(N, 64) @ m.weight.t()), Dense),
    "conv2d": (lambda m, x: m.one(F.conv2d(x, m.kernel, m.offset, stride=2, padding=1)), Conv2d),
    "conv2d, padding by name": (lambda m, x: m.one(F.conv2d(x, m.kernel, None, 1, "same", (2, 2))), Conv2d),
    "conv1d": (lambda m, x: m.one(F.conv1d(x, m.kernel.flatten(2), None, 2)), Conv1d),
    "batch_norm": (lambda m, x: m.one(F.batch_norm(m.conv(x), m.offset, m.offset + 1, eps=1e-3)), BatchNorm),
    "nothing": (lambda m, x: m.one(F.dropout(m.conv(x).contiguous(), training=m.training).float()), Conv2d),
}


@pytest.mark.parametrize("what", LAYERS)
def test_layers_as_functions(what: str) -> None:
    forward, kind = LAYERS[what]
    graph, _ = proved(forward, *((N, 1, 64) if what == "conv1d" else FRAMES[1:]), time_steps=T)
    assert len(graph.of_type(kind)) == 1


@pytest.mark.parametrize("axis", [1, -3])
def test_channels_side_by_side(axis: int) -> None:
    """A concatenation is a sum of two sparse matrices, and the compiler takes it."""
    graph, module = proved(
        lambda m, x: m.two(m.wide(torch.cat([x, m.one(m.conv(x))], axis))), *FRAMES[1:], time_steps=T
    )
    assert len(graph.of_type(Sparse)) == 2
    made = compile_graph(graph, get_target("fixed-sim"))
    assert made.errors == [] and len(made.program.populations) == 2
    data = spikes(T, N, 1, 8, 8)
    recording = run_graph(graph, data.numpy().astype(np.int64), dtype=np.float32)
    with torch.no_grad():
        theirs = torch.stack([module(frame) for frame in data]).numpy()
    np.testing.assert_array_equal(recording.spikes["two"], theirs)


def loop(m: Any, x: torch.Tensor) -> list[torch.Tensor]:
    return [m.one(m.fc(m.conv(frame).flatten(1))) for frame in x]


def merged(m: Any, x: torch.Tensor) -> torch.Tensor:
    """The convolution over all steps as one batch."""
    made = m.conv(x.flatten(0, 1))
    return m.all(made.view(*x.shape[:2], *made.shape[1:]))


FORMS: dict[str, tuple[Callable[[Any, torch.Tensor], Any], tuple[int, ...], str, str]] = {
    "batch and time in one": (merged, FRAMES, "time_batch", "spikes"),
    "unflatten, rate": (
        lambda m, x: m.all(m.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])).mean(0),
        FRAMES,
        "time_batch",
        "spikes",
    ),
    "batch first, swapped": (lambda m, x: merged(m, x.transpose(0, 1)).sum(0), (N, T, 1, 8, 8), "batch_time", "spikes"),
    "permuted there and back": (
        lambda m, x: merged(m, x.permute(1, 0, 2, 3, 4)).movedim(0, 1),
        (N, T, 1, 8, 8),
        "batch_time",
        "spikes",
    ),
    "repeated": (lambda m, x: merged(m, x.unsqueeze(0).repeat(T, 1, 1, 1, 1)).mean(0), FRAMES[1:], "loop", "static"),
    "repeated at once": (lambda m, x: merged(m, x.repeat(T, 1, 1, 1, 1)), FRAMES[1:], "loop", "static"),
    "expanded": (lambda m, x: merged(m, x.unsqueeze(0).expand(T, -1, -1, -1, -1)), FRAMES[1:], "loop", "static"),
    "stacked": (lambda m, x: merged(m, torch.stack([x] * T)), FRAMES[1:], "loop", "static"),
    "a loop, stacked behind": (lambda m, x: torch.stack(loop(m, x), 1), FRAMES, "time_batch", "spikes"),
    "a loop, then all steps": (lambda m, x: m.all(torch.stack(loop(m, x))).sum(0), FRAMES, "time_batch", "spikes"),
    "all steps, then a loop": (
        lambda m, x: torch.stack([m.one(m.fc(frame.flatten(1))) for frame in merged(m, x)]),
        FRAMES,
        "time_batch",
        "spikes",
    ),
    "steps by select": (
        lambda m, x: torch.stack([m.one(m.conv(x.select(1, t))) for t in range(T)]),
        (N, T, 1, 8, 8),
        "batch_time",
        "spikes",
    ),
    "a loop over swapped axes": (
        lambda m, x: torch.stack(loop(m, x.swapaxes(0, 1))),
        (N, T, 1, 8, 8),
        "batch_time",
        "spikes",
    ),
}


@pytest.mark.parametrize("what", FORMS)
def test_batch_and_time_moved_about(what: str) -> None:
    forward, shape, layout, encoding = FORMS[what]
    graph, _ = proved(forward, *shape)
    entry, target = graph.nodes[graph.input], graph.nodes[graph.output]
    assert graph.time_steps == T and graph.origin["layout"] == layout
    assert isinstance(entry, Input) and (entry.shape, entry.encoding) == ((1, 8, 8), encoding)
    assert isinstance(target, Output) and target.readout == "spike_count"
    assert all(edge.delay == 0 for edge in graph.edges)


def test_the_step_before_out_of_all_steps() -> None:
    """A loop that reads x[t − 1] of a sequence gets an edge with a delay."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        seen, out = merged(m, x), []
        for t in range(T):
            now = m.fc(seen[t].flatten(1))
            out.append(m.one(now if t == 0 else now + m.back(seen[t - 1].flatten(1))))
        return torch.stack(out)

    module = Net(forward)
    module.back = nn.Linear(192, 5, bias=False)
    graph = from_torch(module, spikes(*FRAMES))
    assert sorted(edge.delay for edge in graph.edges)[-1] == 1 and graph.origin["parity"]["differing"] == 0


REFUSED: dict[str, tuple[Callable[[Any, torch.Tensor], Any], tuple[int, ...], str]] = {
    "relu": (lambda m, x: m.one(F.relu(m.conv(x))), FRAMES[1:], "'relu' .*put a spiking neuron in its place"),
    "max over time": (
        lambda m, x: merged(m, x).max(0)[0],
        FRAMES,
        "'max' .*return the spikes or membranes of all steps",
    ),
    "a layer after the mean": (
        lambda m, x: m.fc(merged(m, x).mean(0).flatten(1)),
        FRAMES,
        "'mean' .*put layers in front of it",
    ),
    "a mean over space": (
        lambda m, x: m.one(m.conv(x).mean((2, 3))),
        FRAMES[1:],
        r"mean over \(2, 3\); .*AdaptiveAvgPool2d",
    ),
    "a weight from the input": (
        lambda m, x: m.one(F.linear(x.flatten(1), x.flatten(1))),
        FRAMES[1:],
        "the weight of linear depends on the input",
    ),
    "batch_norm that trains": (
        lambda m, x: m.one(F.batch_norm(m.conv(x), m.offset, m.offset + 1, training=True)),
        FRAMES[1:],
        "training=self.training",
    ),
    "joined along the batch": (
        lambda m, x: m.one(torch.cat([m.conv(x), m.conv(x)], 0)),
        FRAMES[1:],
        "along batch or time",
    ),
    "joined with a constant": (
        lambda m, x: m.one(torch.cat([x.flatten(1), m.weight[:N]], 1)),
        FRAMES[1:],
        "join layers' outputs",
    ),
    "channels last": (
        lambda m, x: m.one(m.conv(x.permute(0, 3, 1, 2))),
        (N, 8, 8, 1),
        "reorders the axes .*channel-first",
    ),
    "padding": (lambda m, x: m.one(m.conv(F.pad(x, (1, 1)))), FRAMES[1:], "'pad' .*pad in the convolution"),
    "the last spikes alone": (
        lambda m, x: merged(m, x)[-1],
        FRAMES,
        "all: the module returns its spikes of one step",
    ),
    "the last of a loop": (lambda m, x: loop(m, x)[-1], FRAMES, "one: the module returns its spikes of one step"),
    "one step for all of them": (
        lambda m, x: m.all(m.conv(x)),
        FRAMES[1:],
        r"conv: .* takes shape \(C, H, W\), not \(8, 8\)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_form_is_refused_with_a_remedy(what: str) -> None:
    forward, shape, message = REFUSED[what]
    with pytest.raises(SnnccError, match=message):
        from_torch(Net(forward), spikes(*shape), **({} if shape == FRAMES else {"time_steps": T}))
