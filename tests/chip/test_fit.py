"""What neither a target nor a chip can take is said at once, also where a pass refuses the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from snncc.chip.fit import compile_for, fit
from snncc.chip.spec import load_chip
from snncc.compiler import RefusedError
from snncc.errors import UnsupportedError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Graph, build_graph
from snncc.ir.nodes import Conv2d, Dense, Input, MaxPool2d, Neuron, Output
from snncc.registry import get_target
from snncc.target import CompileOptions


def wide() -> Graph:
    """More inputs than Loihi 1 has axons."""
    lif = Neuron(Dynamics(threshold=1.0, reset="subtract"))
    nodes = {
        "in": Input((5000,), "spikes", 1.0, 0, 1),
        "fc": Dense(np.full((3, 5000), 0.5)),
        "lif": lif,
        "out": Output(),
    }
    return build_graph(nodes, pairwise(nodes), 4, "wide")


def refuses(_: CompileOptions) -> Sequence[Any]:
    raise UnsupportedError("fc: is refused; mend it", "lif: is refused too")


def test_where_a_pass_refuses_the_chip_is_asked_all_the_same() -> None:
    target, chip = replace(get_target("loihi-sim"), pipeline=refuses), load_chip("loihi1")
    found = fit(wide(), target, CompileOptions(), chip)
    assert found.made is None and found.partition is None
    said = [(f.layer, f.actual, f.remedy) for f in found.errors]
    assert said[:2] == [("fc", "is refused", "mend it"), ("lif", "is refused too", "change the layer")]
    assert [s[:2] for s in said[2:]] == [("lif", "5,000")]
    with pytest.raises(RefusedError) as raised:
        compile_for(wide(), target, CompileOptions(), chip)
    assert raised.value.findings == found.errors and len(str(raised.value).splitlines()) == 4
    with pytest.raises(UnsupportedError, match="is refused; mend it"):
        compile_for(wide(), target, CompileOptions())


def test_where_nothing_compiles_the_passes_speak_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(get_target("loihi-sim"), pipeline=refuses)
    monkeypatch.setattr("snncc.chip.fit.get_target", lambda name: target)
    found = fit(wide(), target, CompileOptions(), load_chip("loihi1"))
    assert [f.layer for f in found.errors] == ["fc", "lif"]


def test_a_reason_of_both_is_said_once() -> None:
    lif = Neuron(Dynamics(threshold=1.0, reset="subtract"))
    nodes = {
        "in": Input((1, 6, 6), "static", 1.0, 0, 1),
        "conv": Conv2d(np.ones((2, 1, 3, 3))),
        "pool": MaxPool2d((2, 2), (2, 2)),
        "lif": lif,
        "out": Output(),
    }
    graph = build_graph(nodes, pairwise(nodes), 4, "pooled")
    found = fit(graph, get_target("loihi-sim"), CompileOptions(), load_chip("loihi1"))
    assert [(f.layer, f.what) for f in found.errors] == [("conv", "max pooling")] and found.made is not None


def test_what_fits_is_compiled_and_cut() -> None:
    found = fit(wide(), get_target("loihi-sim"), CompileOptions(), load_chip("loihi2"))
    assert found.errors == [] and found.partition is not None and found.made is not None
    assert found.partition.program is found.made.program
    assert compile_for(wide(), get_target("loihi-sim"), CompileOptions(), load_chip("loihi1")).errors == []
