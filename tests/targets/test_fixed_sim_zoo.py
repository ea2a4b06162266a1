"""Every trained network of the zoo: each path of ``fixed-sim`` gives the reference's spikes, membranes, scores and counts."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.compiler import compile_graph
from snncc.frontends import load_model
from snncc.program.program import Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.registry import get_models, get_target, resolve_model
from snncc.target import RunOptions

pytest.importorskip("torch", reason="PyTorch is not installed")
TRAINED = sorted(n for n, m in get_models().items() if m.checkpoint.is_file() and "-ann-" not in n)
SAMPLES = 2


def some_inputs(program: Program) -> np.ndarray:
    """One bright, patchy sample and one sparse one."""
    source, random = program.source, np.random.default_rng(3)
    lead = (SAMPLES,) if source.encoding == "static" else (program.time_steps, SAMPLES)
    values = random.integers(source.low, source.high + 1, (*lead, *source.shape))
    share = np.where(np.arange(SAMPLES) == 0, 0.6, 0.05).reshape(SAMPLES, *(1,) * len(source.shape))
    return values * (random.random(values.shape) < share)


def assert_same(found: IntegerRecording, wanted: IntegerRecording, how: str) -> None:
    np.testing.assert_array_equal(found.scores, wanted.scores, err_msg=how)
    for name, counts in wanted.counts.items():
        np.testing.assert_array_equal(found.spikes[name], wanted.spikes[name], err_msg=f"{name}, {how}")
        np.testing.assert_array_equal(found.membranes[name], wanted.membranes[name], err_msg=f"{name}, {how}")
        np.testing.assert_array_equal(found.counts[name].active, counts.active, err_msg=f"{name}, {how}")
        np.testing.assert_array_equal(found.counts[name].spikes, counts.spikes, err_msg=f"{name}, {how}")
        for synapse, operations in counts.synaptic_operations.items():
            np.testing.assert_array_equal(found.counts[name].synaptic_operations[synapse], operations, err_msg=how)


@pytest.mark.parametrize("name", TRAINED)
def test_every_path_is_the_reference(name: str) -> None:
    target = get_target("fixed-sim")
    program = compile_graph(load_model(resolve_model(name)), target).program
    inputs = some_inputs(program)
    wanted = run_reference(program, inputs)
    assert sum(int(c.spikes.sum()) for c in wanted.counts.values()) > 100
    for path, threads, batch in (("event", 1, SAMPLES), ("dense", 2, 1), ("auto", 1, SAMPLES)):
        found = target.run(program, None, inputs, RunOptions(record=True, path=path, threads=threads, batch=batch))
        assert_same(found, wanted, f"{path}, {threads} threads")
