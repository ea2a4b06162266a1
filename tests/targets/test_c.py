"""The C target against the golden interpreter: every spike, membrane, score and prediction, with the sanitizers on."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import integer_networks
import networks
import numpy as np
import pytest
from hypothesis import given
from small_programs import assert_equal, small

from snncc.compiler import compile_graph, write_compilation
from snncc.data import load
from snncc.errors import TargetError, UnsupportedError
from snncc.frontends import load_model
from snncc.program.artifact import read_artifact
from snncc.program.program import EXACT, LOIHI, Program, Projection, Readout, check_program
from snncc.program.reference import run_reference
from snncc.registry import get_target, resolve_model
from snncc.target import CompileOptions, RunOptions
from snncc.targets.c99 import TARGET, runner
from snncc.targets.c99.check import check
from snncc.targets.c99.emit import emit
from snncc.targets.c99.plan import plan

RECORD = RunOptions(record=True)
pytestmark = pytest.mark.skipif(runner.find_compiler() is None, reason="no C compiler: install cc, gcc or clang")


def sanitizers_work() -> bool:
    """Whether the compiler has its sanitizers' libraries."""
    command = [str(runner.find_compiler()), "-x", "c", "-", "-o", "/dev/null", *SANITIZERS]
    return not subprocess.run(command, input="int main(void){return 0;}", capture_output=True, text=True).returncode


SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
FLAGS = (*(f for f in runner.FLAGS if f != "-O2"), "-O1", *(SANITIZERS if sanitizers_work() else ()))


def test_the_compiler_has_sanitizers() -> None:
    if len(FLAGS) == len(runner.FLAGS):
        pytest.skip("the C compiler has no sanitizers: undefined behaviour is not looked for")


def check_against_reference(program: Program, seed: int) -> None:
    check_program(program)
    assert check(program) == []
    data = integer_networks.data_for(program, seed)
    assert_equal(run_reference(program, data), runner.run_program(program, None, data, RECORD, FLAGS))


@networks.examples(30)
@given(integer_networks.programs(EXACT), networks.seeds)
def test_equals_the_reference_in_exact_arithmetic(program: Program, seed: int) -> None:
    check_against_reference(program, seed)


@networks.examples(30)
@given(integer_networks.programs(LOIHI), networks.seeds)
def test_equals_the_reference_in_loihi_arithmetic(program: Program, seed: int) -> None:
    check_against_reference(program, seed)


@pytest.mark.parametrize("rounding", ["nearest", "floor", "toward_zero"])
@pytest.mark.parametrize("rule", ["saturate", "wrap"])
def test_every_rounding_and_overflow_rule(rounding: str, rule: str) -> None:
    """Membranes of both signs decay; currents of 12 bits overflow, membranes saturate."""
    program = small(decay_v=np.asarray([4095, 1000, 2048]), decay_u=np.asarray(3000), threshold=np.asarray(3000))
    arithmetic = replace(LOIHI, rounding=rounding, current_overflow=rule, state_bits=12)
    weight = program.projections[0].weight * 100
    program = replace(program, arithmetic=arithmetic, projections=(replace(program.projections[0], weight=weight),))
    data = np.asarray([[3, 3], [1, 0], [0, 1], [2, 3]])
    expected = run_reference(program, data)
    assert max(np.abs(expected.membranes["n"]).max(), 0) == 2047
    assert_equal(expected, runner.run_program(program, None, data, RECORD, FLAGS))


@pytest.mark.parametrize("name", ["mnist-lif", "mnist-multi-threshold"])
def test_trained_networks_on_images(name: str, tmp_path: Path) -> None:
    path = resolve_model(name)
    made = compile_graph(load_model(path), TARGET)
    write_compilation(made, TARGET, CompileOptions(), path, tmp_path / "made")
    images = load("mnist:demo", 3).inputs
    artifact = read_artifact(tmp_path / "made")
    expected = run_reference(artifact.program, images)
    assert expected.spikes[artifact.program.populations[0].name].any()
    assert_equal(expected, TARGET.run(artifact.program, tmp_path / "made", images, replace(RECORD, batch=2)))
    report = json.loads((tmp_path / "made" / "memory.json").read_text())
    code = (tmp_path / "made" / "weights.h").read_text()
    sizes = {"8": 1, "16": 2, "32": 4, "64": 8}
    arrays = re.findall(r"static const u?int(\d+)_t \w+\[(\d+)\]", code)
    assert report["flash_bytes"] == sum(sizes[bits] * int(count) for bits, count in arrays)
    weights = sum(p.weight.size for p in artifact.program.projections)
    assert weights < report["flash_bytes"] < weights + 20_000  # a byte a weight
    for synapses in artifact.program.projections:
        assert re.search(rf"static const int8_t w\d_{synapses.name}\[{synapses.weight.size}\]", code)


def measured_state(folder: Path) -> int:
    """``sizeof(snn_state_t)``, as the compiler sees it."""
    code = '#include <stdio.h>\n#include "network.h"\nint main(void){printf("%d", (int)sizeof(snn_state_t));return 0;}'
    (folder / "size.c").write_text(code)
    subprocess.run([str(runner.find_compiler()), "-o", str(folder / "size"), str(folder / "size.c")], check=True)
    return int(subprocess.run([str(folder / "size")], capture_output=True, text=True, check=True).stdout)


@networks.examples(5)
@given(program=integer_networks.programs(EXACT))
def test_the_same_bytes_plain_whole_numbers_and_the_reported_memory(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folders = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    names = [emit(program, folder) for folder in folders]
    assert names[0] == names[1] == ["network.h", "network.c", "weights.h", "main.c", "Makefile", "memory.json"]
    for name in names[0]:
        text = (folders[0] / name).read_bytes()
        assert text == (folders[1] / name).read_bytes()
        assert not re.search(rb"\b(malloc|calloc|realloc|free|float|double|alloca)\b", text), name
    report = json.loads((folders[0] / "memory.json").read_text())
    assert report["ram_state_bytes"] == measured_state(folders[0])
    flash, ram = (sum(part[kind] for part in report["parts"].values()) for kind in ("flash_bytes", "ram_bytes"))
    assert report["flash_bytes"] == flash and 0 <= report["ram_state_bytes"] - ram < 8
    subprocess.run(["make", "-s", "-C", str(folders[0])], check=True, timeout=60)
    assert (folders[0] / "network").is_file()


def test_types_follow_the_proof() -> None:
    p = plan(small()).populations[0]
    assert (p.current, p.membrane, p.spikes, p.work) == ("int16_t", "int16_t", "int8_t", "int32_t")
    large = replace(small(), projections=(replace(small().projections[0], weight=np.full((3, 2), 2**30)),))
    p = plan(large).populations[0]
    assert (p.incoming[0].weight, p.current, p.membrane, p.work) == ("int32_t", "int64_t", "int64_t", "int64_t")
    assert plan(small(threshold=np.asarray(2**40))).populations[0].work == "int64_t"


@pytest.mark.parametrize("kind", ["spike_count", "membrane"])
@pytest.mark.parametrize("each_step", [False, True])
def test_records_no_more_than_is_asked(kind: str, each_step: bool) -> None:
    program = replace(small(), readout=Readout("n", kind, "highest_index", each_step=each_step))
    data = np.asarray([[3, 1], [0, 2], [1, 1]])
    expected = run_reference(program, data)
    for options in (RunOptions(batch=2), RunOptions(record=True, membranes=False)):
        made = TARGET.run(program, None, data, options)
        np.testing.assert_array_equal(made.scores, expected.scores)
        np.testing.assert_array_equal(made.predictions, expected.predictions)
        assert (list(made.spikes), list(made.membranes)) == (["n"] if options.record else [], [])


def test_names_cannot_leave_a_comment() -> None:
    made = small()
    odd = '*/ #error "x" \\'
    program = replace(
        made,
        populations=(replace(made.populations[0], name=odd),),
        projections=(replace(made.projections[0], name=odd, target=odd),),
        readout=replace(made.readout, population=odd),
        name=odd,
    )
    data = np.asarray([[3, 1], [0, 2]])
    assert_equal(run_reference(program, data), runner.run_program(program, None, data, RECORD, FLAGS))


def test_refuses_what_is_not_proven(tmp_path: Path) -> None:
    wide = replace(small().projections[0], weight=np.full((3, 2), 2**30))
    program = replace(small(guard_bits=16, v_init=np.asarray(0)), projections=(wide,), time_steps=2000)
    finding = check(program)[0]
    assert (finding.layer, finding.what, finding.limit) == ("n", "state too wide", "51 bits")
    with pytest.raises(UnsupportedError, match=r"n: state too wide: 5\d bits, limit 51 bits; use fewer time steps"):
        emit(program, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    steep = small(levels=60_000, reset_amount=np.asarray([1, 2**47, 1]), v_init=np.asarray([60_000, 0, 0]))
    assert [f.what for f in check(steep)] == ["intermediate result too wide"]
    late = replace(small(), readout=Readout("n", "weighted_count", time_weights=(2**63,) * 5))
    assert [f.what for f in check(late)] == ["scores too wide"]


def test_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.zeros((1, 2), np.int64)
    with pytest.raises(TargetError, match="holds no C sources; compile with --target c"):
        TARGET.run(small(), tmp_path, data, RECORD)
    with pytest.raises(TargetError, match=r"did not finish in 0 s and was stopped; give it longer"):
        TARGET.run(small(), None, data, RunOptions(timeout_s=0))
    emit(small(), tmp_path)
    (tmp_path / "network.c").write_text("nonsense")
    with pytest.raises(TargetError, match=r"failed \(exit 1\)"):
        TARGET.run(small(), tmp_path, data, RECORD)
    monkeypatch.setattr(runner, "find_compiler", lambda: None)
    with pytest.raises(UnsupportedError, match="no C compiler was found"):
        TARGET.run(small(), None, data, RECORD)


def test_the_driver_refuses_input_out_of_range(tmp_path: Path) -> None:
    emit(small(), tmp_path)
    subprocess.run(["make", "-s", "-C", str(tmp_path)], check=True, timeout=60)
    for text in ("3 4", "3", "1 x", "-1 0"):
        ended = subprocess.run([str(tmp_path / "network")], input=text, capture_output=True, text=True, timeout=20)
        assert ended.returncode == 1 and "2 whole numbers in 0..3 make one input" in ended.stderr


def test_a_step_after_the_last_does_nothing(tmp_path: Path) -> None:
    emit(small(), tmp_path)
    (tmp_path / "late.c").write_text(
        '#include "network.h"\nint main(void){snn_input_t x[2]={3,3};int t;snn_score_t seen;snn_reset();'
        "for(t=0;t<SNN_STEPS;t++)if(snn_step(x))return 1;seen=snn_scores()[0];"
        "return snn_step(x)!=1||snn_scores()[0]!=seen||seen==0;}"
    )
    built = [
        str(runner.find_compiler()),
        "-o",
        str(tmp_path / "late"),
        str(tmp_path / "late.c"),
        str(tmp_path / "network.c"),
    ]
    subprocess.run(built, check=True, timeout=60)
    assert subprocess.run([str(tmp_path / "late")], timeout=20).returncode == 0


def test_the_report_names_every_part() -> None:
    assert get_target("c") is TARGET and TARGET.describe is not None
    words = TARGET.describe(replace(small(), projections=(*small().projections, silent())))
    assert words["w"] == "6 bytes of flash" and words["silent"] == "brings nothing, left out"
    assert words["in all"].endswith("bytes of RAM")


def silent() -> Projection:
    return Projection("silent", "n", "n", "dense", np.zeros((3, 3), np.int64), delay=1)
