"""``--int8``: 8-bit weights and spikes, several a byte where they fit, no 64-bit integer, and the same spikes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import integer_networks
import networks
import numpy as np
import pytest
from c_compiler import FLAGS, check_memory, output_of
from hypothesis import assume, given
from hypothesis import strategies as st
from small_programs import assert_equal, small
from target_checks import RECORD, check_against_reference, written

from snncc.errors import UnsupportedError
from snncc.program.program import EXACT, LOIHI, Arithmetic, Program, Projection, Readout, check_program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.targets.c99 import TARGET, runner
from snncc.targets.c99.emit import sources
from snncc.targets.c99.helpers import PACKED_BITS, helpers, pack, packed_bits
from snncc.targets.c99.plan import plan

INT8 = TARGET.variants["int8"]
WIDE = re.compile(r"\bu?int64_t\b|\blong long\b|\bfloat\b|\bdouble\b")
pytestmark = pytest.mark.skipif(runner.find_compiler() is None, reason="no C compiler: install cc, gcc or clang")


def run(program: Program, data: np.ndarray) -> IntegerRecording:
    return runner.run_program(program, None, data, RECORD, FLAGS, int8=True)


@st.composite
def narrow(draw: Any, arithmetic: Arithmetic) -> Program:
    """A random Program whose weights take 1, 2, 4 or 8 bits, of both signs or of one."""
    program = draw(integer_networks.programs(arithmetic))
    low, high = draw(
        st.sampled_from([(0, 1), (-1, 0), (-1, 1), (-1, 2), (3, 6), (-7, 7), (-8, 7), (-128, 127), (5, 5)])
    )
    rng = np.random.default_rng(draw(networks.seeds))
    projections = [replace(q, weight=rng.integers(low, high + 1, q.weight.shape)) for q in program.projections]
    return replace(program, projections=tuple(projections))


def check_int8(program: Program, seed: int) -> None:
    assume(not any("32 bits" in f.limit for f in INT8.check(program)))
    check_against_reference(program, seed, INT8, run)
    files = sources(program, int8=True)[0]
    assert not any(WIDE.search(files[name]) for name in ("network.c", "network.h", "weights.h"))
    assert files == sources(program, int8=True)[0]


@networks.examples(40)
@given(narrow(EXACT), networks.seeds)
def test_equals_the_reference_in_exact_arithmetic(program: Program, seed: int) -> None:
    check_int8(program, seed)


@networks.examples(30)
@given(narrow(LOIHI), networks.seeds)
def test_equals_the_reference_in_loihi_arithmetic(program: Program, seed: int) -> None:
    check_int8(program, seed)


@pytest.mark.parametrize(("name", "bits", "a_byte"), [("mnist-lif", 4, 2), ("mnist-multi-threshold", 8, 1)])
def test_trained_networks_take_less_memory(name: str, bits: int, a_byte: int, tmp_path: Path) -> None:
    program, images, expected = written(name, INT8, tmp_path / "packed", bits)
    made = runner.run_program(program, tmp_path / "packed", images, RECORD, FLAGS)
    assert_equal(expected, made)
    packed = check_memory(tmp_path / "packed")
    TARGET.emit(program, tmp_path / "plain")
    plain = check_memory(tmp_path / "plain")
    weights = [q.weight.size for q in program.projections]
    saved = sum(size - -(-size // a_byte) for size in weights)
    assert packed["flash_bytes"] == plain["flash_bytes"] - saved
    spikes = [p for p in program.populations if p.fires]
    shared = {1: 8, 4: 2}[spikes[0].levels]
    saved = sum(p.size - -(-p.size // shared) for p in spikes)
    assert 0 <= packed["ram_bytes"] - (plain["ram_bytes"] - saved) < 4  # up to the next whole int32_t


@networks.examples(8)
@given(program=narrow(EXACT))
def test_the_reported_memory(program: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(INT8.check(program) == [])
    folder = tmp_path_factory.mktemp("made")
    INT8.emit(program, folder)
    check_memory(folder, "-O0")  # which leaves no array out


@pytest.mark.parametrize(
    ("levels", "signed", "bits"), [(1, False, 1), (3, False, 2), (15, False, 4), (16, False, 0), (1, True, 0)]
)
def test_spikes_share_bytes_as_their_proof_allows(levels: int, signed: bool, bits: int) -> None:
    """The neurons are the whole of a byte and a part; a loop reads what they emitted two steps ago."""
    rng = np.random.default_rng(0)
    made = small(levels=levels, signed=signed, reset_timing="next_step", shape=(9,), reset_amount=np.asarray(7))
    weight = rng.integers(-60, 70, (9, 2))
    loop = Projection("loop", "n", "n", "dense", rng.integers(-9, 10, (9, 9)), delay=2)
    program = replace(made, projections=(replace(made.projections[0], weight=weight), loop))
    check_program(program)
    assert plan(program, int8=True).populations[0].packed == bits and plan(program).populations[0].packed == 0
    data = np.asarray([[3, 3], [0, 3], [2, 1]])
    expected = run_reference(program, data)
    assert expected.spikes["n"].max() == levels and (expected.spikes["n"].min() < 0) == signed
    assert_equal(expected, run(program, data))


def with_weights(low: int, high: int) -> Program:
    return replace(small(), projections=(replace(small().projections[0], weight=np.asarray([[low, high]] * 3)),))


@pytest.mark.parametrize(("low", "high", "bits"), [(-128, 127, None), (0, 128, 9), (-129, 0, 9), (-(2**20), 5, 21)])
def test_every_weight_has_eight_bits_or_is_refused(low: int, high: int, bits: int | None, tmp_path: Path) -> None:
    program = with_weights(low, high)
    said = "compile with --bits 8 or fewer, or leave --int8 out"
    expected = (
        [] if bits is None else [f"w: weights {low}..{high} too wide: {bits} bits, limit 8 bits with --int8; {said}"]
    )
    assert [str(f) for f in INT8.check(program)] == expected and TARGET.check(program) == []
    if bits is None:
        assert [c.type for c in sources(program, int8=True)[1].constants] == ["int8_t"]
        return
    with pytest.raises(UnsupportedError, match=r"w: weights .* limit 8 bits"):
        INT8.emit(program, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_numbers_of_more_than_32_bits_are_refused() -> None:
    late = Readout("n", "weighted_count", time_weights=(2**33, 0, 0, 0, 0))
    dead = small(threshold=np.asarray(2**30), guard_bits=0)
    pooled = with_weights(-100, 100)
    shifted = replace(
        pooled,
        source=replace(pooled.source, high=2**31 - 1),
        projections=(replace(pooled.projections[0], shift=20),),
    )
    for program, layer, what in (
        (small(threshold=np.asarray(2**31 - 1)), "n", "state or intermediate result too wide"),
        (replace(small(), readout=late), "n", "scores too wide"),
        (replace(dead, readout=late), "n", "scores too wide"),
        (shifted, "w", "sum too wide"),
    ):
        check_program(program)
        assert TARGET.check(program) == []
        assert [(f.layer, f.what, f.limit) for f in INT8.check(program)] == [(layer, what, "32 bits with --int8")]


@pytest.mark.parametrize("rounding", ["nearest", "floor", "toward_zero"])
def test_a_decay_needs_no_more_than_32_bits(rounding: str, tmp_path: Path) -> None:
    """Against whole numbers of any width, up to the ends of ``int32_t``."""
    rng = np.random.default_rng(0)
    ends = [-(2**31), 2**31 - 1, -4097, -4096, -4095, -2049, -2048, -1, 0, 1, 2047, 2048, 4095, 4096]
    xs = [*ends, *rng.integers(-(2**31), 2**31, 2000).tolist()]
    decays = [0, 1, 2047, 2048, 4095, 4096]
    call = f"decayed_{rounding}(x[i], d[k])"
    code = (
        "#include <stdint.h>\n#include <stdio.h>\n"
        f"static const int32_t x[] = {{{', '.join(f'{v}' if v > -(2**31) else 'INT32_MIN' for v in xs)}}};\n"
        f"static const int32_t d[] = {{{', '.join(map(str, decays))}}};\n{helpers(call)}"
        f"int main(void){{for(int i=0;i<{len(xs)};i++)for(int k=0;k<{len(decays)};k++)"
        f'printf("%ld\\n",(long){call});return 0;}}\n'
    )
    assert not WIDE.search(code)
    products = [x * decay for x in xs for decay in decays]
    toward_zero = [abs(p) // 4096 * (1 if p > 0 else -1) for p in products]
    half = 2048 if rounding == "nearest" else 0
    expected = toward_zero if rounding == "toward_zero" else [(p + half) // 4096 for p in products]
    assert [int(line) for line in output_of(code, tmp_path).split()] == expected


@pytest.mark.parametrize("bits", PACKED_BITS)
def test_packed_numbers_come_back(bits: int, tmp_path: Path) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, 37)
    packed = pack(values, bits)
    assert packed.dtype == np.uint8 and packed.size == -(-37 * bits // 8)
    shifts = np.arange(0, 8, bits)
    np.testing.assert_array_equal((packed[:, None] >> shifts & (1 << bits) - 1).reshape(-1)[:37], values)
    calls = f"pack{bits}(kept, i, values[i]);unpacked{bits}(kept, i)"
    code = (
        f"#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n{helpers(calls)}"
        f"static const uint8_t packed[]={{{','.join(map(str, packed))}}};"
        f"static const int values[]={{{','.join(map(str, values))}}};"
        f"int main(void){{uint8_t kept[{packed.size}];memset(kept,255,sizeof kept);"
        f"for(int i=0;i<37;i++)pack{bits}(kept,i,values[i]);"
        f'for(int i=0;i<37;i++)printf("%d %d\\n",(int)unpacked{bits}(packed,i),(int)unpacked{bits}(kept,i));return 0;}}\n'
    )
    found = np.asarray(output_of(code, tmp_path).split(), np.int64).reshape(37, 2)
    np.testing.assert_array_equal(found, np.stack([values, values], axis=1))


def test_as_many_a_byte_as_fit() -> None:
    assert [packed_bits(0, high) for high in (0, 1, 2, 3, 4, 15, 16, 255)] == [1, 1, 2, 2, 4, 4, 0, 0]
    assert [packed_bits(low, 1) for low in (1, 0, -1, -2, -3, -14, -15)] == [1, 1, 2, 2, 4, 4, 0]
