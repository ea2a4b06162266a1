"""Where parts of a Program go in Lava, and what Lava cannot take: rules, offsets, findings, the emitted folder."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import frames, mnist_like, neurons, program, random_program, static, weights, whole

from snncc.errors import UnsupportedError
from snncc.program.bounds import prove_bounds
from snncc.program.program import EXACT, Program, Projection, Readout
from snncc.targets.loihi_sim.check import check
from snncc.targets.loihi_sim.emit import emit, write_package
from snncc.targets.loihi_sim.placement import place, start_offsets
from snncc.targets.loihi_sim.registers import bias_registers, lif_registers, stock_reasons

PACKAGE = Path(__file__).parents[2] / "targets" / "loihi_sim" / "package"
COUNT = Readout("b", "spike_count")


def chain(weight: Any = None, source: Any = None, **fields: Any) -> Program:
    """input → a → b, dense; ``fields`` change population a."""
    first = Projection("in-a", "input", "a", "dense", whole(np.ones((3, 4))) if weight is None else whole(weight))
    second = Projection("a-b", "a", "b", "dense", whole(np.ones((2, 3))))
    return program(source or static((4,)), [neurons("a", (3,), **fields), neurons("b", (2,))], [first, second], COUNT)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fires": False}, "never fires"),
        ({"levels": 4}, "up to 4 spikes"),
        ({"signed": True}, "signed"),
        ({"reset": "subtract"}, "'subtract'"),
        ({"reset_value": whole(64)}, "other than 0"),
        ({"reset_timing": "next_step"}, "next step"),
        ({"decay_u": whole(2000), "reset_current": True}, "clears the current"),
        ({"decay_u": whole(2000), "current_timing": "after"}, "current of the step before"),
        ({"decay_timing": "after"}, "after firing"),
        ({"v_init": whole([0, 1, 0])}, "starts from"),
        ({"v_min": whole(-100)}, "clamp"),
        ({"current_bias": whole(64)}, "current has a bias"),
        ({"guard_bits": 5}, "5 guard bits"),
        ({"compare": ">="}, "multiples of 64"),
        ({"threshold": whole([64, 128, 100])}, "multiples of 64"),
        ({"threshold": whole((1 << 17) << 6)}, "131072"),
        ({"decay_v": whole([0, 4096, 5])}, "keeps 0/4096"),
        ({"decay_u": whole(4096)}, "keeps all"),
        ({"bias": whole([5, -4097, 0])}, "-4097"),
    ],
)
def test_every_field_the_stock_neuron_lacks_is_named(fields: dict[str, Any], reason: str) -> None:
    reasons = stock_reasons(neurons("a", (3,), **fields))
    assert len(reasons) == 1 and reason in reasons[0]
    placement = place(p := chain(**fields), prove_bounds(p))
    assert placement.populations[0].process == "neuron" and placement.populations[1].process == "lif"
    assert reason in placement.describe()["a"]


def test_registers_of_the_stock_neuron() -> None:
    a = neurons(
        "a", (3,), threshold=whole(65), compare=">=", decay_v=whole([1, 2, 4096]), bias=whole([0, 4096, -81920])
    )
    registers = lif_registers(a)
    assert stock_reasons(a) == []
    assert registers.vth == 1 and registers.du == 4095 and registers.dv.tolist() == [4095, 4094, 0]
    assert (registers.bias_mant << registers.bias_exp).tolist() == [0, 4096, -81920]
    assert lif_registers(replace(a, decay_u=whole(100))).du == 3995


BIG = whole([700000 << 1, 128, -(600000 << 1)]) // 128 * 128


@pytest.mark.parametrize(
    ("changes", "process"),
    [
        ({}, "lif"),
        ({"bias": BIG + 1}, "neuron"),  # the rest is no whole number of input units
        ({"decay_u": whole(100)}, "neuron"),  # a current that remembers would add the rest up
        ({"bias": whole([(1 << 23) - 64, 0, 0]), "weight": np.full((3, 4), 127)}, "neuron"),  # the current could wrap
        ({"source": frames((4,))}, "neuron"),  # nothing is injected
    ],
)
def test_a_bias_beyond_the_registers_comes_with_the_injected_current(changes: dict[str, Any], process: str) -> None:
    p = chain(**{"bias": BIG, **changes})
    placed = place(p, prove_bounds(p)).populations[0]
    assert placed.process == process
    if placed.registers is not None:
        r = placed.registers
        assert ((r.bias_mant << r.bias_exp) + (r.injected << 6)).tolist() == BIG.tolist()
        assert r.bias_mant.min() >= -4096 and r.bias_mant.max() <= 4095 and r.injected.tolist()[1] == 0


@settings(max_examples=300, deadline=None)
@given(st.integers(-(1 << 23), 1 << 23))
def test_bias_registers_are_found_exactly_where_they_exist(bias: int) -> None:
    mantissa, exponent = (int(x) for x in bias_registers(whole(bias)))
    possible = any(bias % (1 << e) == 0 and -4096 <= bias >> e <= 4095 for e in range(8))
    assert mantissa << exponent == bias and 0 <= exponent <= 7
    assert (-4096 <= mantissa <= 4095) == possible


def test_offsets_follow_the_longest_path_and_static_input_costs_nothing() -> None:
    ones = whole(np.ones((2, 2)))
    names = "abcd"
    edges = [("input", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0), ("c", "c", 1), ("a", "d", 3)]
    projections = [Projection(f"{s}-{t}", s, t, "dense", ones, delay=d) for s, t, d in edges]
    p = program(static((2,)), [neurons(n, (2,)) for n in names], projections, Readout("d", "spike_count"))
    assert start_offsets(p) == ({"input": 0, "a": 0, "b": 1, "c": 2, "d": 0}, ())
    latencies = {q.name: q.latency for q in place(p, prove_bounds(p)).projections}
    assert latencies == {"input-a": 0, "a-b": 1, "b-c": 1, "a-c": 2, "c-c": 1, "a-d": 3}
    moving = replace(p, source=frames((2,)))
    assert start_offsets(moving)[0] == {"input": 0, "a": 1, "b": 2, "c": 3, "d": 0}


def test_a_loop_with_too_few_delays_is_a_finding_that_names_it() -> None:
    ones = whole(np.ones((2, 2)))
    edges = [("input", "a", 0), ("a", "b", 0), ("b", "c", 0), ("c", "a", 2)]
    projections = [Projection(f"{s}-{t}", s, t, "dense", ones, delay=d) for s, t, d in edges]
    p = program(static((2,)), [neurons(n, (2,)) for n in "abc"], projections, Readout("c", "spike_count"))
    (finding,) = check(p)
    assert all(name in finding.what for name in ("a-b", "b-c", "c-a")) and "input-a" not in finding.what
    assert "1 more step" in finding.remedy
    slower = replace(p, projections=(*projections[:3], replace(projections[3], delay=3)))
    assert check(slower) == []


@pytest.mark.parametrize(
    ("changes", "layer", "actual"),
    [
        ({"weight": np.full((3, 4), 129)}, "in-a", "129..129"),
        ({"weight": np.full((3, 4), -129)}, "in-a", "-129..-129"),
        ({"guard_bits": 7, "threshold": whole(100 << 7)}, "a", "7"),
        ({"threshold": whole((1 << 17) << 6)}, "a", "131072 units"),
        ({"bias": whole(1 << 23)}, "a", "8388608 guarded units"),
        ({"v_init": whole(-(1 << 23))}, "a", "8388608 guarded units"),
        ({"levels": 1 << 23}, "a", f"0..{1 << 23}"),
        (
            {"source": static((4,), 0, (1 << 23) - 1), "weight": np.full((3, 4), 127)},
            "in-a",
            str(127 * 4 * ((1 << 23) - 1)),
        ),
    ],
)
def test_every_limit_is_a_finding(changes: dict[str, Any], layer: str, actual: str) -> None:
    findings = check(chain(**changes))
    assert (layer, actual) in [(f.layer, f.actual) for f in findings]
    assert all(f.limit and f.remedy for f in findings)


def test_arithmetic_and_delays_are_checked_and_all_findings_come_at_once(tmp_path: Path) -> None:
    p = chain(weight=np.full((3, 4), 501), guard_bits=3)
    first, second = p.projections
    bad = replace(p, arithmetic=EXACT, projections=(first, replace(second, delay=65)))
    assert [f.what for f in check(bad)] == ["arithmetic", "weights", "guard bits", "delay"]
    with pytest.raises(UnsupportedError) as error:
        emit(bad, tmp_path / "out")
    assert all(word in str(error.value) for word in ("in-a", "guard bits", "a-b", "64 steps"))
    assert not (tmp_path / "out").exists()
    assert (
        check(replace(p, arithmetic=p.arithmetic, projections=(replace(first, weight=first.weight // 4), second)))[
            0
        ].layer
        == "a"
    )
    assert check(replace(chain(), projections=(chain().projections[0], replace(second, delay=64)))) == []


def test_what_a_projection_needs_decides_its_process() -> None:
    rng = np.random.default_rng(0)
    a, b = neurons("a", (2, 6, 6)), neurons("b", (3, 4, 4))
    conv = Projection("a-b", "a", "b", "conv", weights(rng, 3, 2, 3, 3))
    first = Projection("in-a", "input", "a", "dense", weights(rng, 72, 4))

    def process(projection: Projection, target: Any = b) -> str:
        p = program(frames((4,)), [a, target], [first, projection], Readout("b", "spike_count"))
        return place(p, prove_bounds(p)).describe()["a-b"]

    assert process(conv) == "stock Conv"
    assert "shifts its sums right by 3" in process(replace(conv, shift=3))
    index = np.stack([np.arange(5), np.arange(5)])
    sparse = Projection("a-b", "a", "b", "sparse", weights(rng, 5), index=index, shift=3)
    assert process(sparse, neurons("b", (5,))) == "stock Dense"
    assert "several synapses" in process(replace(sparse, index=index // 2), neurons("b", (5,)))
    assert "possible synapses" in process(sparse, neurons("b", (100_000,)))


def test_what_is_read_out_decides_too() -> None:
    p = chain()
    for kind, process in (("spike_count", "lif"), ("membrane", "neuron"), ("summed_current", "neuron")):
        q = replace(p, readout=Readout("b", kind))
        assert place(q, prove_bounds(q)).populations[1].process == process
    wide = chain(weight=np.full((3, 4), 127), source=static((4,), 0, (1 << 24) // 500))
    assert "its input can reach" in place(wide, prove_bounds(wide)).describe()["a"]


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    p = random_program(np.random.default_rng(3), stock=True)
    one, two = (write_package(p, tmp_path / name) for name in ("one", "two"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)
    names = {path.as_posix() for path in files}
    assert set(emit(p, tmp_path / "three")) == names - {"program.json", "weights.npz"}
    assert {"run.py", "README.md", "lava.json", "lava.npz", "snncc_lava/processes/neuron.py"} <= names


def test_registers_that_differ_between_neurons_are_kept_as_arrays(tmp_path: Path) -> None:
    p = chain(bias=whole([1, 2, 3]), threshold=whole(128))
    emit(p, tmp_path)
    registers = json.loads((tmp_path / "lava.json").read_text())["populations"][0]["registers"]
    assert registers["vth"] == 2 and registers["bias_exp"] == 0
    assert np.load(tmp_path / "lava.npz")[registers["bias_mant"]["array"]].tolist() == [1, 2, 3]


def test_the_readme_says_what_is_stock(tmp_path: Path) -> None:
    write_package(mnist_like(np.random.default_rng(0)), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| c1 | (15, 28, 28) | stock LIF |" in text and "| c1-c2 | c1 → c2 | stock Conv |" in text
    assert "| out | (10,) | own process (it never fires;" in text and "(N, 1, 28, 28)" in text


def test_the_package_is_python_3_10_and_knows_nothing_of_snncc() -> None:
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 8
    for path in sources:
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "snncc"], path


def test_the_folder_that_lava_executes_holds_only_processes() -> None:
    for path in sorted((PACKAGE / "snncc_lava" / "processes").glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        allowed = (ast.ClassDef, ast.Import, ast.ImportFrom, ast.Expr)
        assert all(isinstance(node, allowed) for node in body), path
        bases = [ast.unparse(base) for node in body if isinstance(node, ast.ClassDef) for base in node.bases]
        assert set(bases) <= {"AbstractProcess", "PyLoihiProcessModel"}, path
