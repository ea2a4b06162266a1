"""Networks that answer each step: one meaning from the interpreter to the targets, and accuracies over labelled steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from snncc.accuracy import correct, paired, steps_with_label
from snncc.cli.main import cli
from snncc.compare import compare_recordings
from snncc.compiler import compile_graph
from snncc.data import load
from snncc.errors import GraphError, InputError
from snncc.evidence import Errors, interval
from snncc.frontends.nir import read_nir
from snncc.frontends.nir_export import export_nir
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.interpreter import run_graph, winners
from snncc.ir.nodes import Dense, Input, Neuron, Output
from snncc.ir.shapes import infer_shapes
from snncc.ir.store import decode_graph, encode_graph
from snncc.ir.text import format_graph
from snncc.program.artifact import decode_program, encode_program
from snncc.program.program import Program, check_program
from snncc.program.reference import run_reference
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions
from snncc.verify import verify

STEPS = 7
LIF = Dynamics(threshold=1.0, membrane_decay=0.75, compare=">", reset="to_value", reset_timing="immediate")
READER = Dynamics(fires=False, membrane_decay=0.5, reset="none")


def recurrent(readout: str = "membrane", last: Dynamics | None = READER) -> Graph:
    """3 → 5 recurrent LIF → 4 classes, which answer each step."""
    rng = np.random.default_rng(1)
    nodes: dict[str, Any] = {
        "input": Input((3,), "spikes", 1.0, -1, 1),
        "fc": Dense(rng.normal(0, 1, (5, 3)), rng.normal(0, 0.3, 5)),
        "lif": Neuron(LIF),
        "loop": Dense(rng.normal(0, 0.5, (5, 5))),
        "out": Dense(rng.normal(0, 1, (4, 5)), rng.normal(0, 0.3, 4)),
    }
    nodes |= {"last": Neuron(last)} if last is not None else {}
    edges = [Edge("input", "fc"), Edge("fc", "lif"), Edge("lif", "loop"), Edge("loop", "lif", 1), Edge("lif", "out")]
    edges += [Edge("out", "last")] if last is not None else []
    nodes["output"] = Output(readout, "highest_index", each_step=True)
    return build_graph(nodes, [*edges, Edge("last" if last is not None else "out", "output")], STEPS)


def spikes(samples: int = 6) -> np.ndarray:
    return np.random.default_rng(2).integers(-1, 2, (STEPS, samples, 3))


READOUTS = [
    ("membrane", READER),
    ("spike_count", LIF),
    ("summed_current", replace(READER, current_decay=0.5)),
    ("summed_current", None),
    ("membrane", None),
]


@pytest.mark.parametrize(("readout", "last"), READOUTS)
def test_the_answer_of_a_step_is_that_of_a_network_that_ends_there(readout: str, last: Dynamics | None) -> None:
    graph, x = recurrent(readout, last), spikes()
    found = run_graph(graph, x)
    assert found.scores.shape == (6, STEPS, 4) and found.predictions.shape == (6, STEPS)
    summed = replace(graph.nodes["output"], each_step=False)  # type: ignore[type-var]
    before = np.zeros((6, 4))
    for t in range(STEPS):
        shorter = replace(graph.with_nodes({"output": summed}), time_steps=t + 1)
        total = run_graph(shorter, x[: t + 1]).scores
        np.testing.assert_allclose(found.scores[:, t], total if readout == "membrane" else total - before, atol=1e-12)
        before = total
    assert len(np.unique(found.predictions)) > 1


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
@pytest.mark.parametrize(("readout", "last"), READOUTS)
def test_compiled(readout: str, last: Dynamics | None, target: str) -> None:
    graph, x = recurrent(readout, last), spikes(40)
    made = compile_graph(graph, get_target(target), CompileOptions())
    assert not made.errors and made.program.readout.each_step
    golden = run_reference(made.program, x)
    fast = get_target("fixed-sim").run(made.program, None, x, RunOptions(record=True, batch=7))
    assert fast.scores.shape == (40, STEPS, 4)
    comparison = compare_recordings(golden, fast, [p.name for p in made.program.populations])
    assert comparison.differing == 0 and comparison.cells > golden.scores.size
    assert np.mean(golden.predictions == run_graph(graph, x).predictions) > 0.9


def test_stored_and_read_again(tmp_path: Path) -> None:
    graph = recurrent()
    assert "each_step=True" in format_graph(graph)
    assert "each_step" not in format_graph(graph.with_nodes({"output": Output("membrane")}))
    value, arrays = encode_graph(graph)
    assert decode_graph(value, arrays, "here").nodes["output"].each_step  # type: ignore[union-attr]
    for item in value["nodes"]:  # as before there was such a field
        item["fields"].pop("each_step", None)
    assert not decode_graph(value, arrays, "here").nodes["output"].each_step  # type: ignore[union-attr]
    program = compile_graph(graph, get_target("fixed-sim"), CompileOptions()).program
    value, arrays = encode_program(program)
    assert decode_program(value, arrays, "here").readout == program.readout
    del value["readout"]["each_step"]
    assert not decode_program(value, arrays, "here").readout.each_step
    export_nir(graph, tmp_path / "net.nir")
    assert read_nir(tmp_path / "net.nir", {}).nodes["output"].each_step  # type: ignore[union-attr]


def test_what_has_no_answer_each_step_is_refused() -> None:
    weighted = Output("weighted_count", time_weights=(1,) * STEPS, each_step=True)
    graph = recurrent("spike_count", LIF).with_nodes({"output": weighted})
    with pytest.raises(GraphError, match="weighted_count adds steps up"):
        infer_shapes(graph)
    program = compile_graph(recurrent(), get_target("fixed-sim"), CompileOptions()).program
    wrong = replace(program.readout, kind="weighted_count", time_weights=(1,) * STEPS)
    with pytest.raises(GraphError, match="weighted_count adds steps up"):
        check_program(replace(program, readout=wrong))


def test_ties_over_the_last_axis() -> None:
    scores = np.array([[[1, 1, 0], [0, 2, 2]]])
    assert winners(scores, "lowest_index").tolist() == [[0, 1]]
    assert winners(scores, "highest_index").tolist() == [[1, 2]]


def test_a_differing_score_is_found() -> None:
    program = compile_graph(recurrent(), get_target("fixed-sim"), CompileOptions()).program
    golden = run_reference(program, spikes())
    scores = golden.scores.copy()
    scores[3, 5, 2] += 1
    found = compare_recordings(golden, replace(golden, scores=scores), [])
    assert found.differing == 1 and found.first is not None
    assert (found.first.step, found.first.sample, found.first.neuron) == (5, 3, (2,))


def test_accuracy_over_the_steps_that_have_a_label() -> None:
    predictions = np.array([[0, 1, 2, 3], [0, 0, 0, 0]])
    labels = np.array([[0, 1, -1, -1], [0, -1, 1, 1]])
    assert correct(predictions, labels).mean() == pytest.approx(3 / 5)  # not the mean of 2/2 and 1/3
    assert correct(predictions[:, 0], labels[:, 0]).tolist() == [1, 1]
    pairs = paired(predictions, predictions[::-1], labels, steps_with_label(labels))
    low, high = interval(pairs, Errors())
    assert (
        pairs.mean == pytest.approx(3 / 5 - 2 / 5) and pairs.high == pytest.approx(3 / 2.5) and low < pairs.mean < high
    )
    with pytest.raises(InputError, match="no step of the data has a label"):
        correct(predictions, np.full((2, 4), -1))
    with pytest.raises(InputError, match=r"labels have shape \(2,\), but the network answers \(2, 4\)"):
        correct(predictions, labels[:, 0])


def labelled(program: Program, x: np.ndarray) -> np.ndarray:
    """What the program answers, wrong in every third step, without a label in every fifth."""
    labels = run_reference(program, x).predictions.copy()
    labels[:, ::3] = (labels[:, ::3] + 1) % 4
    labels[:, 4] = -1
    return labels


def test_verified_and_run_from_the_command_line(tmp_path: Path) -> None:
    graph, x = recurrent(), spikes(12)
    target = get_target("fixed-sim")
    program = compile_graph(graph, target, CompileOptions()).program
    labels = labelled(program, x)
    found = verify(graph, program, target, target, None, x, labels, exact=4)
    wanted = 3 / 6  # steps 1, 2, 5 are right; 0, 3, 6 wrong; 4 has no label
    assert found.passed and found.integer_accuracy == pytest.approx(wanted)
    assert found.drop == pytest.approx((found.float_accuracy or 0) - wanted)
    np.savez(tmp_path / "own.npz", x=x.swapaxes(0, 1), y=labels)
    dataset = load(str(tmp_path / "own.npz"))
    assert dataset.labels is None and dataset.step_labels is not None and dataset.step_labels.shape == (12, STEPS)
    export_nir(graph, tmp_path / "net.nir")
    folder, data = str(tmp_path / "made"), str(tmp_path / "own.npz")
    call = CliRunner()
    made = call.invoke(cli, ["compile", str(tmp_path / "net.nir"), "-t", "fixed-sim", "-o", folder])
    assert made.exit_code == 0, made.output
    ran = call.invoke(cli, ["run", folder, "--data", data, "-o", str(tmp_path / "out.npz"), "--json"])
    assert ran.exit_code == 0, ran.output
    assert '"accuracy": 0.5' in ran.output
    assert np.load(tmp_path / "out.npz")["predictions"].shape == (12, STEPS)
