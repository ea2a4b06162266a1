"""The C target against the golden interpreter: every spike, membrane, score and prediction, with the sanitizers on."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import integer_networks
import networks
import numpy as np
import pytest
from c_compiler import FLAGS, check_memory
from hypothesis import given
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

from snncc.errors import TargetError, UnsupportedError
from snncc.program.program import EXACT, LOIHI, Program, Projection
from snncc.program.reference import IntegerRecording, run_reference
from snncc.registry import get_target
from snncc.target import RunOptions
from snncc.targets.c99 import TARGET, runner
from snncc.targets.c99.emit import emit
from snncc.targets.c99.plan import plan

pytestmark = pytest.mark.skipif(runner.find_compiler() is None, reason="no C compiler: install cc, gcc or clang")


def test_the_compiler_has_sanitizers() -> None:
    if len(FLAGS) == len(runner.FLAGS):
        pytest.skip("the C compiler has no sanitizers: undefined behaviour is not looked for")


def run(program: Program, data: np.ndarray) -> IntegerRecording:
    return runner.run_program(program, None, data, RECORD, FLAGS)


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


@pytest.mark.parametrize("name", ["mnist-lif", "mnist-multi-threshold"])
def test_trained_networks_on_images(name: str, tmp_path: Path) -> None:
    program, images, expected = written(name, TARGET, tmp_path / "made")
    assert_equal(expected, TARGET.run(program, tmp_path / "made", images, replace(RECORD, batch=2)))
    report = check_memory(tmp_path / "made")
    assert "int64_t" not in (tmp_path / "made" / "network.c").read_text()
    code = (tmp_path / "made" / "weights.h").read_text()
    weights = sum(p.weight.size for p in program.projections)
    assert weights < report["flash_bytes"] < weights + 20_000  # a byte a weight
    for synapses in program.projections:
        assert re.search(rf"static const int8_t w\d_{synapses.name}\[{synapses.weight.size}\]", code)


@networks.examples(8)
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
    check_memory(folders[0], "-O0")  # which leaves no array out
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
    check_recording(TARGET, kind, each_step)


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
    assert_equal(run_reference(program, data), run(program, data))


def test_refuses_what_is_not_proven(tmp_path: Path) -> None:
    check_refusals(TARGET, tmp_path / "x")


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


def test_the_same_numbers_are_kept_once_and_injected_currents_are_not_copied(tmp_path: Path) -> None:
    made = small(threshold=np.asarray([40, 50, 60]), reset_amount=np.asarray([40, 50, 60]))
    program = replace(made, projections=(*made.projections, replace(made.projections[0], name="again")))
    emit(program, tmp_path)
    report = check_memory(tmp_path)
    assert (report["flash_bytes"], report["ram_scratch_bytes"]) == (6 + 3, 0)
    assert TARGET.describe is not None and TARGET.describe(program)["again"] == "numbers that another part has too"
    data = np.asarray([[3, 1], [0, 2]])
    assert_equal(run_reference(program, data), run(program, data))


def silent() -> Projection:
    return Projection("silent", "n", "n", "dense", np.zeros((3, 3), np.int64), delay=1)
