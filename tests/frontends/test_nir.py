"""What the reader makes of options, sidecars, nested graphs, delays and old files."""

from __future__ import annotations

import itertools
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import full, spikes, two_layers, weights, write_chain

from snncc.errors import GraphError, InputError
from snncc.frontends.nir import read_nir
from snncc.frontends.nir_loops import delayed_edges
from snncc.ir.interpreter import run_graph
from snncc.ir.nodes import AvgPool2d, Conv1d, Conv2d, Flatten, Identity, Input, Neuron, Output, Scale, SumPool2d
from snncc.ir.shapes import infer_shapes

SNN = {"dialect": "snntorch", "time_steps": "5"}


def lif(size: int) -> nir.LIF:
    return nir.LIF(tau=full(size, 1e-3), r=full(size, 10), v_leak=full(size, 0), v_threshold=full(size, 1))


def test_time_steps_must_be_said(tmp_path: Path) -> None:
    path = two_layers(tmp_path / "net.nir", 1, lif)
    with pytest.raises(InputError, match=r"net.nir: the file does not say how many steps .* --time-steps N"):
        read_nir(path, {"dialect": "snntorch"})
    with pytest.raises(InputError, match="time_steps is '0'"):
        read_nir(path, {"dialect": "snntorch", "time_steps": "0"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": "0.9"}, "unknown option 'decay'; a NIR file takes dialect, time_steps"),
        ({"dialect": "brian"}, "dialect is 'brian'; the known ones are euler, exact, snntorch"),
        ({"norm_input": "yes"}, "the dialect snntorch has no option 'norm_input'; it has reset, reset_delay, dt"),
        ({"reset": "soft"}, "reset is 'soft'; the dialect snntorch resets by subtract or zero"),
        ({"reset_delay": "maybe"}, "reset_delay is 'maybe'; it must be yes or no"),
        ({"dt": "-1"}, "dt is '-1'; it must be a number above 0"),
        ({"dt": "0.01"}, "lif: tau is 0.001, below the time step 0.01"),
        ({"input_encoding": "events"}, "input_encoding is 'events'"),
        ({"input_low": "x"}, "input_low is 'x'; it must be a whole number"),
        ({"readout": "argmax"}, "readout is 'argmax'"),
        ({"readout": "weighted_count"}, r"needs one time weight a step \(5\), and there are none"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, str], message: str) -> None:
    path = two_layers(tmp_path / "net.nir", 1, lif)
    with pytest.raises(InputError, match=message):
        read_nir(path, {**SNN, **options})


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    path = two_layers(tmp_path / "net.nir", 1, lif)
    (tmp_path / "net.semantics.toml").write_text(
        'dialect = "snntorch"\ntime_steps = 9\n[options]\nreset = "zero"\nreset_delay = true\n'
        '[input]\nencoding = "frames"\nscale = 0.5\n[output]\nreadout = "weighted_count"\n'
        "time_weights = [9, 8, 7, 6, 5, 4, 3, 2, 1]\n"
    )
    graph = read_nir(path, {"input-high": "7"})
    semantics, sources = graph.origin["semantics"], graph.origin["semantics_from"]
    assert set(semantics) == set(sources)
    assert graph.time_steps == 9
    source, sink = graph.nodes["input"], graph.nodes["output"]
    assert isinstance(source, Input) and isinstance(sink, Output)
    assert (source.encoding, source.scale, source.low, source.high) == ("frames", 0.5, 0, 7)
    assert sink.time_weights == (9, 8, 7, 6, 5, 4, 3, 2, 1)
    assert (semantics["reset"], sources["reset"]) == ("zero", "sidecar")
    assert (semantics["dt"], sources["dt"]) == (1e-4, "default")
    assert (sources["input_high"], sources["input_low"], sources["ties"]) == ("option", "default", "default")
    (tmp_path / "net.nir.semantics.toml").write_text("")
    with pytest.raises(InputError, match=r"both describe net.nir"):
        read_nir(path, {})


def test_a_sidecar_is_checked_too(tmp_path: Path) -> None:
    path = two_layers(tmp_path / "net.nir", 1, lif)
    side = tmp_path / "net.nir.semantics.toml"
    for text, message in (
        ("dialect = ", "no readable TOML"),
        ("speed = 3", "unknown option 'speed'"),
        ("[input]\ncolour = 1", "unknown option 'input_colour'"),
        ("dialect = {a = 1}", "dialect is a dict"),
    ):
        side.write_text(text)
        with pytest.raises(InputError, match=message):
            read_nir(path, {})


def test_layers_of_every_kind(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    conv = nir.Conv2d((9, 8), rng.normal(size=(6, 2, 3, 2)), (2, 1), (1, 0), 1, 2, rng.normal(size=6))
    pools = [kind(np.array([2, 2]), np.array([1, 2]), np.array([0, 0])) for kind in (nir.SumPool2d, nir.AvgPool2d)]
    flat = nir.Flatten({"input": np.array([6, 3, 2])}, 0, -1)
    nodes = {"i": nir.Input(np.array([4, 9, 8])), "c": conv, "p": pools[0], "q": pools[1], "f": flat}
    nodes |= {"s": nir.Scale(full(18, 2.0)), "o": nir.Output(np.array([18]))}
    names = list(nodes)
    network = nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)
    nir.write(tmp_path / "n.nir", network)
    graph = read_nir(tmp_path / "n.nir", {"time_steps": "2"})
    kinds = [type(graph.nodes[n]) for n in names]
    assert kinds == [Input, Conv2d, SumPool2d, AvgPool2d, Flatten, Scale, Output]
    shapes = infer_shapes(graph)
    assert shapes["c"] == (6, 5, 7) and shapes["f"] == (6 * 3 * 1,)
    assert graph.nodes["o"].readout == "summed_current"  # type: ignore[union-attr]


def test_conv1d_with_same_padding(tmp_path: Path) -> None:
    conv = nir.Conv1d(9, np.ones((3, 2, 5)), 1, "same", 2, 1, np.zeros(3))
    network = nir.NIRGraph(
        {"i": nir.Input(np.array([2, 9])), "c": conv, "o": nir.Output(np.array([3, 9]))},
        [("i", "c"), ("c", "o")],
        type_check=False,
    )
    nir.write(tmp_path / "n.nir", network)
    node = read_nir(tmp_path / "n.nir", {"time_steps": "2"}).nodes["c"]
    assert isinstance(node, Conv1d) and node.padding == 4


def test_a_delay_node_delays(tmp_path: Path) -> None:
    w1 = weights(1)[0]
    plain = write_chain(tmp_path / "a.nir", nir.Linear(w1), lif(20))
    late = write_chain(tmp_path / "b.nir", nir.Linear(w1), nir.Delay(full(20, 3e-4)), lif(20))
    x = spikes(1)
    options = {"dialect": "snntorch", "time_steps": str(len(x))}
    a, b = (run_graph(read_nir(p, options), x).spikes["lif"] for p in (plain, late))
    assert not b[:3].any() and np.array_equal(b[3:], a[:-3]) and a.any()


def test_nested_graphs_become_flat(tmp_path: Path) -> None:
    inner = nir.NIRGraph.from_list(nir.Linear(weights(1)[0]), lif(20))
    nodes = {"i": nir.Input(np.array([12])), "block": inner, "o": nir.Output(np.array([20]))}
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, [("i", "block"), ("block", "o")]))
    graph = read_nir(tmp_path / "n.nir", SNN)
    assert list(graph.nodes) == ["i", "block.input", "block.linear", "block.lif", "block.output", "o"]
    assert isinstance(graph.nodes["block.input"], Identity) and isinstance(graph.nodes["block.lif"], Neuron)
    assert graph.nodes["o"].readout == "spike_count"  # type: ignore[union-attr]


def test_parameters_must_fit_the_population(tmp_path: Path) -> None:
    """(C,) over (C, C, C) would broadcast along the wrong axis without a word."""
    node = nir.LIF(tau=full(3, 1e-3), r=full(3, 10), v_leak=full(3, 0), v_threshold=np.array([1.0, 2.0, 3.0]))
    nodes = {"i": nir.Input(np.array([3, 3, 3])), "l": node, "o": nir.Output(np.array([3, 3, 3]))}
    nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, [("i", "l"), ("l", "o")], type_check=False))
    with pytest.raises(InputError, match=r"l: .* has shape \(3,\), but \(3, 3, 3\) arrives"):
        read_nir(tmp_path / "n.nir", SNN)


def test_which_edge_of_a_loop_is_recurrent() -> None:
    names = ["i", "a", "f", "b", "g", "o"]
    chained = [("i", "a"), ("a", "f"), ("f", "b"), ("b", "o")]
    assert delayed_edges(names, chained, {"a", "b"}) == frozenset()
    # the feedback layer g: the delay stands before it, where the neuron's spikes leave
    assert delayed_edges(names, [*chained, ("b", "g"), ("g", "a")], {"a", "b"}) == {("b", "g")}
    # neurons coupled directly, and a neuron onto itself
    assert delayed_edges(names, [*chained, ("b", "a"), ("g", "o"), ("i", "g")], {"a", "b"}) == {("b", "a")}
    assert delayed_edges(names, [*chained, ("a", "a"), ("i", "g"), ("g", "o")], {"a", "b"}) == {("a", "a")}
    # a layer that feeds both forward and back keeps its edge; only the edge back is late
    shared = [*chained, ("b", "g"), ("g", "a"), ("g", "o")]
    assert delayed_edges(names, shared, {"a", "b"}) == {("g", "a")}
    with pytest.raises(GraphError, match="a, f, b, g: are in a loop that is entered at several places"):
        delayed_edges(names, [*chained, ("b", "g"), ("g", "a"), ("i", "b")], {"a", "b"})
