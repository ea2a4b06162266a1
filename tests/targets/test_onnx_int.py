"""The onnx-int target against the golden interpreter: every spike, membrane, score, prediction and event count."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import integer_networks
import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_programs import assert_equal, small
from target_checks import (
    OVERFLOWS,
    RECORD,
    ROUNDINGS,
    check_against_reference,
    check_recording,
    check_refusals,
    check_rounding_and_overflow,
    written,
)

from snncc.errors import InputError, TargetError, UnsupportedError
from snncc.program.program import EXACT, LOIHI, Program, Projection, Readout, Source, check_program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.registry import get_target
from snncc.target import RunOptions
from snncc.targets.onnx_int import TARGET
from snncc.targets.onnx_int.build import build_model
from snncc.targets.onnx_int.check import check, check_plan
from snncc.targets.onnx_int.emit import FILES
from snncc.targets.onnx_int.operands import encode, operand_limit, split_weights
from snncc.targets.onnx_int.plan import plan

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
DOCS = Path(__file__).parents[2] / "docs" / "onnx-int.md"
FLOATS = {1, 10, 11, 16}
"""float32, float16, float64 and bfloat16 as ``TensorProto.DataType``."""


def run(program: Program, data: np.ndarray) -> IntegerRecording:
    return TARGET.run(program, None, data, RECORD)


@networks.examples(30)
@given(integer_networks.programs(EXACT), networks.seeds)
def test_equals_the_reference_in_exact_arithmetic(program: Program, seed: int) -> None:
    check_against_reference(program, seed, TARGET, run)


@networks.examples(30)
@given(integer_networks.programs(LOIHI), networks.seeds)
def test_equals_the_reference_in_loihi_arithmetic(program: Program, seed: int) -> None:
    check_against_reference(program, seed, TARGET, run)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("rule", OVERFLOWS)
def test_every_rounding_and_overflow_rule(rounding: str, rule: str) -> None:
    check_rounding_and_overflow(rounding, rule, run)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("guard_bits", [0, 8])
def test_many_levels_and_inputs_of_32_bits(signed: bool, guard_bits: int) -> None:
    """Spikes of three digits go round a loop; membranes lie more than 2**32 apart."""
    program = small(
        levels=60_000, signed=signed, guard_bits=guard_bits, reset_amount=np.asarray(9), v_min=np.asarray(-(10**7))
    )
    source = Source("in", (2,), "frames", -(2**31), 2**31 - 1)
    loop = Projection("loop", "n", "n", "dense", np.asarray([[1, -2, 3], [300, 5, -6], [7, 8, -129]]), delay=1)
    program = replace(program, source=source, time_steps=3, projections=(*program.projections, loop))
    assert check(program) == []
    data = np.random.default_rng(0).integers(-(2**31), 2**31, (3, 5, 2)) >> np.arange(0, 25, 5)[:, None]
    data[0, 0] = source.low, source.high
    expected = run_reference(program, data)
    assert np.abs(expected.spikes["n"]).max() == 60_000
    assert_equal(expected, TARGET.run(program, None, data, RECORD))


@pytest.mark.parametrize(("shift", "inputs"), [(31, 2), (9, 66_000), (1, 66_000)])
def test_shifts_of_sums_that_fill_32_bits(shift: int, inputs: int) -> None:
    made = small(guard_bits=0, reset="none")
    weight = np.stack([np.full(inputs, 127), np.full(inputs, -127), np.arange(inputs) % 255 - 127])
    program = replace(
        made,
        source=Source("in", (inputs,), "static", 0, 127),
        projections=(replace(made.projections[0], weight=weight, shift=shift),),
        readout=Readout("n", "summed_current"),
    )
    data = np.full((2, inputs), 127)
    data[1, ::3] = 0
    assert_equal(run_reference(program, data), TARGET.run(program, None, data, RECORD))


@pytest.mark.parametrize("delay", [0, 2])
def test_max_pooling_of_sums_beyond_32_bits(delay: int) -> None:
    rng = np.random.default_rng(1)
    weight = rng.integers(-(2**30), 2**30, (3, 1, 2, 2))
    pooled = Projection("w", "in", "n", "conv", weight, 5, delay, padding=(1, 2), pool=(2, 3), pool_stride=(2, 1))
    shape = (3, 2, 4)
    made = small(threshold=np.asarray(2**33), reset_amount=np.asarray(2**30), guard_bits=0, v_init=np.zeros(shape, int))
    population = replace(made.populations[0], shape=shape)
    program = replace(
        made, source=Source("in", (1, 3, 3), "static", -255, 255), populations=(population,), projections=(pooled,)
    )
    check_program(program)
    data = rng.integers(-255, 256, (4, 1, 3, 3))
    expected = run_reference(program, data)
    assert expected.spikes["n"].any()
    assert_equal(expected, TARGET.run(program, None, data, RECORD))


@pytest.mark.parametrize("name", ["mnist-lif", "mnist-multi-threshold"])
def test_trained_networks_on_images(name: str, tmp_path: Path) -> None:
    program, images, expected = written(name, TARGET, tmp_path / "one")
    TARGET.emit(program, tmp_path / "two")
    made = TARGET.run(program, tmp_path / "one", images, replace(RECORD, batch=2))
    assert made.counts
    assert_equal(expected, made)
    weights = sum(p.weight.size for p in program.projections)
    for file in FILES:
        data = (tmp_path / "one" / file).read_bytes()
        assert data == (tmp_path / "two" / file).read_bytes()
        assert weights < len(data) < weights + 25_000  # a byte a weight
    if name == "mnist-lif":
        check_the_documented_example(tmp_path, images, made.predictions)


def check_the_documented_example(folder: Path, images: np.ndarray, predictions: np.ndarray) -> None:
    """The code of docs/onnx-int.md, word for word, with no snncc in sight."""
    (folder / "build").mkdir()
    (folder / "one").rename(folder / "build" / "mnist-lif.onnx-int")
    np.save(folder / "images.npy", images)
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)[0]
    code += "import sys\nassert not any(name.split('.')[0] == 'snncc' for name in sys.modules)\n"
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == (f"{predictions}\n(4, 3, 15, 24, 24)\n", "")


def graphs(graph: Any) -> list[Any]:
    inner = [part.g for node in graph.node for part in node.attribute if part.HasField("g")]
    return [graph, *(found for one in inner for found in graphs(one))]


@networks.examples(8)
@given(integer_networks.programs(EXACT), st.booleans())
def test_models_are_sound_whole_numbers_without_waste(program: Program, recording: bool) -> None:
    model = build_model(plan(program), recording)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    parts = graphs(inferred.graph)
    values = [value for part in parts for value in (*part.value_info, *part.input, *part.output)]
    types = {value.type.tensor_type.elem_type for value in values} | {t.data_type for t in model.graph.initializer}
    assert types & FLOATS == set()
    assert {node.op_type for part in parts for node in part.node} & {"Clip", "Sign", "ReduceMax", "Where"} == set()
    used = {name for part in parts for node in part.node for name in node.input}
    assert {t.name for t in model.graph.initializer} <= used
    assert model.SerializeToString(deterministic=True) == build_model(plan(program), recording).SerializeToString(
        deterministic=True
    )


def test_int64_is_never_compared_by_max_or_min() -> None:
    """Those are wrong in onnxruntime where numbers lie 2**31 apart."""
    wide = small(guard_bits=16, levels=3, v_min=np.asarray(-5), decay_v=np.asarray(4000))
    for program, allowed in ((wide, False), (small(levels=3, v_min=np.asarray(-5)), True)):
        kinds = {node.op_type for part in graphs(build_model(plan(program)).graph) for node in part.node}
        assert bool(kinds & {"Max", "Min"}) == allowed
        assert (plan(program).populations[0].dtype is np.int32) == allowed


def test_more_time_steps_take_no_more_nodes() -> None:
    few, many = (replace(small(threshold=np.asarray(10**6)), time_steps=t) for t in (2, 1000))
    sizes = [build_model(plan(program)) for program in (few, many)]
    assert [len(part.node) for part in graphs(sizes[0].graph)] == [len(part.node) for part in graphs(sizes[1].graph)]
    assert sizes[1].ByteSize() - sizes[0].ByteSize() < 998 * 8 + 100


@networks.examples(60)
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_digits_are_the_number(low: int, width: int, limit: int) -> None:
    encoding = encode(low, low + width, limit)
    for x in (low, low + width, low + width // 3, 0):
        moved = x + encoding.zero
        digits = [moved >> encoding.bits * i & (1 << encoding.bits) - 1 for i in range(encoding.count)]
        digits = [moved] if encoding.count == 1 else digits
        assert min(digits) >= 0 and max(digits) <= limit and max(encoding.zeros) <= limit
        pairs = zip(digits, encoding.zeros, strict=True)
        assert sum((d - z) << encoding.bits * i for i, (d, z) in enumerate(pairs)) == x


@networks.examples(60)
@given(networks.seeds, st.integers(1, 31), st.integers(0, 12))
def test_weights_are_their_bytes_and_pairs_fit_16_bits(seed: int, bits: int, exponent: int) -> None:
    weight = np.random.default_rng(seed).integers(-(2**bits), 2**bits, (3, 5)) << exponent
    weight[0, 0] = 1 << exponent
    found, digits = split_weights(weight)
    np.testing.assert_array_equal(sum(d.astype(np.int64) << 8 * i for i, d in enumerate(digits)) << found, weight)
    assert found == exponent and all(d.dtype == np.int8 for d in digits)
    limit = operand_limit("dense", 5, digits)
    assert limit * 2 * max(np.abs(d.astype(int)).max() for d in digits) <= 2**15 - 1 and limit >= 127
    assert operand_limit("conv", 5, digits) == 255
    assert operand_limit("conv", 10**6, digits) * 255 * 10**6 < 2**31


def test_pixels_meet_dense_weights_in_two_products() -> None:
    made = replace(small(), source=Source("in", (2,), "static", 0, 255))
    made = replace(made, projections=(replace(made.projections[0], weight=np.full((3, 2), 127)),))
    assert TARGET.describe is not None and TARGET.describe(made)["w"] == "2 MatMulInteger"
    assert TARGET.describe(replace(made, source=Source("in", (2,), "static", 0, 127)))["w"] == "MatMulInteger"


@pytest.mark.parametrize("kind", ["spike_count", "membrane", "summed_current"])
@pytest.mark.parametrize("each_step", [False, True])
def test_records_no_more_than_is_asked(kind: str, each_step: bool) -> None:
    check_recording(TARGET, kind, each_step)


def test_any_name_will_do_and_parts_are_named() -> None:
    made, odd = small(), 'n.v@end/"\\ü'
    population = replace(made.populations[0], name=odd)
    silent = Projection("silent", odd, odd, "dense", np.zeros((3, 3), np.int64), delay=1)
    projections = (replace(made.projections[0], name=odd + "w", target=odd), silent)
    readout = replace(made.readout, population=odd)
    program = replace(made, populations=(population,), projections=projections, readout=readout, name=odd)
    data = np.asarray([[3, 1], [0, 2]])
    assert_equal(run_reference(program, data), TARGET.run(program, None, data, RECORD))
    assert get_target("onnx-int") is TARGET and TARGET.describe is not None
    words = TARGET.describe(program)
    assert words["silent"] == "brings nothing, left out" and words[odd] == "int32 states"
    assert re.fullmatch(r"\d+ nodes, [\d,]+ bytes", words["network.onnx"])


def test_refuses_what_is_not_proven(tmp_path: Path) -> None:
    check_refusals(TARGET, tmp_path / "x")
    made = plan(small())
    long = replace(made.populations[0].incoming[0], limit=0, encoding=None)
    made = replace(made, populations=(replace(made.populations[0], incoming=(long,)),))
    assert [str(f) for f in check_plan(made)] == [
        "w: too many inputs a neuron: 2, limit 8421504; use a smaller layer or a sparse projection"
    ]


def test_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.zeros((1, 2), np.int64)
    with pytest.raises(
        TargetError, match=r"holds no network.onnx and no recorded.onnx; compile with --target onnx-int"
    ):
        TARGET.run(small(), tmp_path, data, RECORD)
    with pytest.raises(TargetError, match=r"did not finish in 0 s and was stopped; give it longer"):
        TARGET.run(small(), None, data, RunOptions(timeout_s=0))
    assert TARGET.emit(small(), tmp_path) == ["network.onnx", "recorded.onnx"]
    with pytest.raises(InputError, match=r"each sample must be \(2,\)"):
        TARGET.run(small(), tmp_path, data[:, :1], RECORD)
    (tmp_path / "network.onnx").write_bytes(b"nonsense")
    with pytest.raises(TargetError, match=r"onnxruntime [\d.]+ does not load network.onnx"):
        TARGET.run(small(), tmp_path, data, RunOptions())
    foreign = replace(small(), source=Source("other", (3,), "static", 0, 3), projections=())
    TARGET.emit(foreign, tmp_path)
    with pytest.raises(TargetError, match="onnxruntime failed"):
        TARGET.run(small(), tmp_path, data, RunOptions())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnsupportedError, match=r"onnxruntime is not installed.*pip install 'snncc\[onnx\]'"):
        TARGET.run(small(), None, data, RECORD)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"needs onnx: pip install 'snncc\[onnx\]'"):
        TARGET.emit(small(), tmp_path / "none")
    assert not (tmp_path / "none").exists()
