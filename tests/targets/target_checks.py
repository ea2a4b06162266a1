"""What must hold of every target that runs any Program exactly: set-up and comparisons that their tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import integer_networks
import numpy as np
import pytest
from small_programs import assert_equal, small

from snncc.compiler import compile_graph, write_compilation
from snncc.data import load
from snncc.errors import UnsupportedError
from snncc.frontends import load_model
from snncc.program.artifact import read_artifact
from snncc.program.program import LOIHI, Program, Readout, check_program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.registry import resolve_model
from snncc.target import CompileOptions, RunOptions, Target

Array = np.ndarray
Run = Callable[[Program, Array], IntegerRecording]
RECORD = RunOptions(record=True)
ROUNDINGS = ("nearest", "floor", "toward_zero")
OVERFLOWS = ("saturate", "wrap")


def check_against_reference(program: Program, seed: int, target: Target, run: Run) -> None:
    """Nothing is found amiss, and ``run`` computes what the golden interpreter computes."""
    check_program(program)
    assert target.check(program) == []
    data = integer_networks.data_for(program, seed)
    assert_equal(run_reference(program, data), run(program, data))


def check_rounding_and_overflow(rounding: str, rule: str, run: Run) -> None:
    """Membranes of both signs decay; currents of 12 bits overflow, membranes saturate."""
    program = small(decay_v=np.asarray([4095, 1000, 2048]), decay_u=np.asarray(3000), threshold=np.asarray(3000))
    arithmetic = replace(LOIHI, rounding=rounding, current_overflow=rule, state_bits=12)
    weight = program.projections[0].weight * 100
    program = replace(program, arithmetic=arithmetic, projections=(replace(program.projections[0], weight=weight),))
    data = np.asarray([[3, 3], [1, 0], [0, 1], [2, 3]])
    expected = run_reference(program, data)
    assert np.abs(expected.membranes["n"]).max() == 2047
    assert_equal(expected, run(program, data))


def written(name: str, target: Target, folder: Path, bits: int = 8) -> tuple[Program, Array, IntegerRecording]:
    """(Program, images, what the golden interpreter computes of them) of a trained network, compiled into ``folder`` and read
    back."""
    path, options = resolve_model(name), CompileOptions(bits=bits)
    write_compilation(compile_graph(load_model(path), target, options), target, options, path, folder)
    program, images = read_artifact(folder).program, load("mnist:demo", 3).inputs
    expected = run_reference(program, images)
    assert expected.spikes[program.populations[0].name].any()
    return program, images, expected


def check_recording(target: Target, kind: str, each_step: bool) -> None:
    """Scores are exact, in all and part by part, and no more is recorded than is asked for; events are not counted then."""
    program = replace(small(), readout=Readout("n", kind, "highest_index", each_step=each_step))
    data = np.asarray([[3, 1], [0, 2], [1, 1]])
    expected = run_reference(program, data)
    for options in (RunOptions(batch=2), RunOptions(record=True, membranes=False)):
        parts: list[IntegerRecording] = []
        made = target.run(program, None, data, replace(options, part=parts.append))
        assert [p.samples for p in parts] == ([2, 1] if options.batch == 2 else [3])
        np.testing.assert_array_equal(np.concatenate([p.predictions for p in parts]), expected.predictions)
        np.testing.assert_array_equal(made.scores, expected.scores)
        np.testing.assert_array_equal(made.predictions, expected.predictions)
        assert (list(made.spikes), list(made.membranes)) == (["n"] if options.record else [], [])
        assert made.counts == {}


def check_refusals(target: Target, folder: Path) -> None:
    """What is not proven to fit is named, and nothing is written of it."""
    wide = replace(small().projections[0], weight=np.full((3, 2), 2**30))
    program = replace(small(guard_bits=16, v_init=np.asarray(0)), projections=(wide,), time_steps=2000)
    finding = target.check(program)[0]
    assert (finding.layer, finding.what, finding.limit) == ("n", "state too wide", "51 bits")
    with pytest.raises(UnsupportedError, match=r"n: state too wide: 5\d bits, limit 51 bits; use fewer time steps"):
        target.emit(program, folder)
    assert not folder.exists()
    steep = small(levels=60_000, reset_amount=np.asarray([1, 2**47, 1]), v_init=np.asarray([60_000, 0, 0]))
    assert [f.what for f in target.check(steep)] == ["intermediate result too wide"]
    late = replace(small(), readout=Readout("n", "weighted_count", time_weights=(2**63,) * 5))
    assert [f.what for f in target.check(late)] == ["scores too wide"]
