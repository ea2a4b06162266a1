"""Files whose dialect nobody says: what is guessed from their constants, what is not, and what strict reading refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from nir_files import HIDDEN, full, spikes, two_layers, weights, write_chain

from snncc.errors import DialectError, InputError
from snncc.frontends.nir import read_nir
from snncc.ir.interpreter import run_graph

STEPS = {"time_steps": "5"}
Make = Callable[[int], nir.NIRNode]


def lif(tau: float, r: float, v_leak: float = 0.0) -> Make:
    return lambda size: nir.LIF(full(size, tau), full(size, r), full(size, v_leak), full(size, 1))


def leaky_without_reset(size: int) -> nir.NIRNode:
    return nir.LI(full(size, 0.02), full(size, 1), full(size, 0))


def rockpool(dt: float) -> Make:
    def make(size: int) -> nir.NIRNode:
        r = full(size, 0.02 / dt * np.exp(-dt / 0.02)).astype(np.float32)
        return nir.CubaLIF(full(size, 0.01), full(size, 0.02), r, full(size, 0), full(size, 1))

    return make


def plain(r: float) -> Make:
    return lambda size: nir.IF(full(size, r), full(size, 1))


@pytest.mark.parametrize(
    ("dialect", "evidence", "make"),
    [
        ("snntorch", "r = τ/1e-4", lif(1e-3, 10.0)),
        ("spikingjelly", "r = 1/1e-4 without a leak", plain(1e4)),
        ("sinabs", "r = 1 and τ counts steps", lif(20.0, 1.0)),
        ("norse", "r = 1 and τ·dt in place of τ", lif(5e-6, 1.0)),
        ("norse", "r = 1 and τ·dt in place of τ", lif(5e-6, 1.0, v_leak=0.1)),
        ("spyx", "r = 1 − 1/τ", lif(5.0, 0.8)),
        ("rockpool", "for dt = 0.001", rockpool(1e-3)),
    ],
)
def test_one_exporter_fits(tmp_path: Path, dialect: str, evidence: str, make: Make) -> None:
    """Read as if the dialect had been said, but for what the origin says of it."""
    path = two_layers(tmp_path / "n.nir", 1, make)
    x = spikes(1)
    guessed, said = (read_nir(path, {"time_steps": str(len(x)), **more}) for more in ({}, {"dialect": dialect}))
    first, second = (run_graph(graph, x).spikes for graph in (guessed, said))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert guessed.origin["semantics_from"]["dialect"] == "guessed" and "dialect_guessed" not in said.origin
    line = guessed.origin["warnings"][0]
    assert line.startswith(f"n.nir does not say whose it is; read as {dialect} because ") and evidence in line
    assert f"say --dialect {dialect} to silence this; --strict refuses it" in line


@pytest.mark.parametrize(
    ("make", "fits"),
    [
        (plain(1.0), ("norse", "sinabs", "spyx")),
        (lif(0.005, 1.0), ("norse", "euler")),
        (leaky_without_reset, ("norse", "euler")),
        (lif(0.02, 3.7), ()),
        (lambda size: nir.Threshold(full(size, 1)), ()),
        (lambda size: nir.I(full(size, 1)), ()),
        (lambda size: lif(1e-3, 10.0)(size) if size == HIDDEN else lif(1e-3, 9.0)(size), ()),
        (lambda size: rockpool(1e-3 if size == HIDDEN else 2e-3)(size), ()),
    ],
)
def test_none_or_several_fit(tmp_path: Path, make: Make, fits: tuple[str, ...]) -> None:
    """A guess would be a throw of dice: refused, with what each of them would rest on."""
    path = two_layers(tmp_path / "net.nir", 1, make)
    with pytest.raises(DialectError) as caught:
        read_nir(path, STEPS)
    first, *rest = str(caught.value).splitlines()
    assert first == "net.nir: the file does not say how its neurons reset or fire (NIR has no field for it)."
    assert [line.split(":")[0].strip() for line in rest[1:-1]] == list(fits)
    assert rest[-1].endswith(
        "Say whose network it is: --dialect euler|exact|snntorch|spikingjelly|norse|sinabs|rockpool|spyx"
    )


def test_the_name_of_the_input_tells_two_exporters_apart(tmp_path: Path) -> None:
    """SpikingJelly's exporter follows torch.fx, which names the input after forward's argument; those of the others say
    ``input``."""
    plain, decayed = lif(1e-3, 10.0), lif(1e-3, 1.0)
    for name, make, dialect in (
        ("input", plain, "snntorch"),
        ("input_1", plain, "spikingjelly"),
        ("x", plain, "spikingjelly"),
        ("input_1", decayed, "spikingjelly"),
        ("x", decayed, None),  # a person may have written it
    ):
        nodes = {name: nir.Input(np.array([12])), "w": nir.Linear(weights(1)[0]), "n": make(HIDDEN)}
        nodes["output"] = nir.Output(np.array([HIDDEN]))
        nir.write(tmp_path / "n.nir", nir.NIRGraph(nodes, list(itertools.pairwise(nodes))))
        if dialect is not None:
            assert read_nir(tmp_path / "n.nir", STEPS).origin["semantics"]["dialect"] == dialect
            continue
        with pytest.raises(DialectError, match=r"\n  spikingjelly: .*\n  euler: "):
            read_nir(tmp_path / "n.nir", STEPS)


def test_strict_lists_everything_at_once(tmp_path: Path) -> None:
    path = two_layers(tmp_path / "net.nir", 1, lif(20.0, 1.0))
    with pytest.raises(DialectError) as caught:
        read_nir(path, {**STEPS, "strict": "yes"})
    assert str(caught.value).splitlines() == [
        "net.nir: --strict, and the file does not say, nor did anybody else:",
        "  dialect: it looks like sinabs (r = 1 and τ counts steps): --dialect sinabs",
        "  reset: subtract by default: --reset subtract|zero",
        "  multi_spike: yes by default: --multi-spike yes|no|N",
        "  v_min: none by default: --v-min none|-threshold|NUMBER",
        "  norm_input: yes by default: --opt norm_input=yes|no",
    ]
    said = {"dialect": "sinabs", "reset": "zero", "multi_spike": "no", "v_min": "none", "norm_input": "no"}
    graph = read_nir(path, {**STEPS, **said, "strict": "yes"})
    assert "warnings" not in graph.origin and "defaults" not in graph.origin


@pytest.mark.parametrize(
    ("dialect", "make", "opened"),
    [
        ("snntorch", lif(1e-3, 10.0), "reset subtract, reset_delay yes"),
        ("snntorch", lif(1e-3, 9.0), "reset subtract, reset_delay yes, dt 0.0001"),
        ("spikingjelly", plain(1e4), "reset zero"),
        ("spikingjelly", lif(1e-3, 1.0), "reset zero, dt 0.0001"),
        ("norse", plain(1.0), ""),
        ("norse", lif(0.005, 1.0), "dt 0.001, tau_scaled no"),
        ("norse", lif(5e-6, 1.0), "dt 0.001, tau_scaled yes"),
        ("sinabs", plain(1.0), "reset subtract, multi_spike yes, v_min none"),
        ("rockpool", rockpool(1e-3), "multi_spike yes"),
        ("spyx", lif(5.0, 0.8), "dt 1, transposed no"),
        ("norse", leaky_without_reset, "dt 0.001, tau_scaled no"),
    ],
)
def test_only_what_changes_spikes_is_open(tmp_path: Path, dialect: str, make: Make, opened: str) -> None:
    """A time step that r holds is none, nor is a reset of neurons that never fire."""
    path = two_layers(tmp_path / "n.nir", 1, make)
    origin = read_nir(path, {**STEPS, "dialect": dialect}).origin
    assert origin.get("defaults", "") == opened
    lines = [line for line in origin.get("warnings", ()) if "by default" in line]
    assert len(lines) == bool(opened) and all(
        f"{dialect} has it by default: {opened}; say --" in line for line in lines
    )
    if opened:
        with pytest.raises(DialectError, match="--strict"):
            read_nir(path, {**STEPS, "dialect": dialect, "strict": "yes"})


def test_strict_asks_nothing_of_what_is_said_or_has_no_neurons(tmp_path: Path) -> None:
    path = write_chain(tmp_path / "bare.nir", nir.Linear(weights(1)[0]))
    assert "warnings" not in read_nir(path, {**STEPS, "strict": "yes"}).origin
    path = two_layers(tmp_path / "net.nir", 1, lif(1e-3, 10.0))
    (tmp_path / "net.semantics.toml").write_text(
        'dialect = "snntorch"\n[options]\nreset = "zero"\nreset_delay = true\n'
    )
    assert "warnings" not in read_nir(path, {**STEPS, "strict": "yes"}).origin
    with pytest.raises(InputError, match="strict is 'perhaps'; it must be yes or no"):
        read_nir(path, {**STEPS, "strict": "perhaps"})
