"""The benchmark measures one network in all frameworks, at the activity it says, and runs end to end."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmark needs torch: pip install snncc[torch]")

import torch

from benchmarks import checks, contenders, peers
from benchmarks.brian import write_network
from benchmarks.chain import chain_of
from benchmarks.frameworks import FRAMEWORKS, Network, build, count_spikes
from benchmarks.limit import Rate
from benchmarks.networks import FAST, SLOW, SPIKES, Case, Workload, find_case, workload
from benchmarks.rounds import Contender, timings
from benchmarks.torch_layers import real_inputs
from snncc.errors import InputError, UnsupportedError
from snncc.frontends import load_model
from snncc.ir.interpreter import run_graph
from snncc.models.networks import Description, describe
from snncc.registry import resolve_model

SAMPLES, ACTIVITY = 8, 0.1


def _convolutional() -> Description:
    fields = {"layers": "6C3-P2-8C3-12-5", "time_steps": 4, "neuron": FAST, "input_shape": (2, 8, 8), "padding": 1}
    return describe("tiny-conv", {**fields, "batch_norm": True})


def _recurrent() -> Description:
    fields = {"input_size": 24, "hidden": [32], "classes": 5, "time_steps": 30, "neuron": SLOW, "entry": SPIKES}
    made = describe("tiny-recurrent", {"family": "recurrent", **fields, "readout_decay": 1.0})
    made["output"].pop("each_step")
    return made


TINY = {"conv": Case("tiny-conv", _convolutional), "recurrent": Case("tiny-recurrent", _recurrent)}


@pytest.fixture(scope="module", params=TINY)
def tiny(request: pytest.FixtureRequest) -> Workload:
    return workload(TINY[request.param], ACTIVITY, SAMPLES)


def in_framework(name: str, work: Workload) -> Network:
    """Skips where the framework is not there."""
    try:
        return build(name, chain_of(work.graph))
    except ImportError as error:
        pytest.skip(f"{name} cannot be imported ({error}): make frameworks")


def test_the_activity_is_the_wanted_one(tiny: Workload) -> None:
    spikes = run_graph(tiny.graph, tiny.inputs, np.float32).spikes
    found = [float(spikes[stage.name].mean()) for stage in chain_of(tiny.graph).hidden]
    assert found == pytest.approx([ACTIVITY] * len(found), rel=0.1)
    assert tiny.rates == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_runs_the_same_network(name: str, tiny: Workload) -> None:
    chain, network = chain_of(tiny.graph), in_framework(name, tiny)
    ours = run_graph(tiny.graph, tiny.inputs, np.float32)
    counts, end = count_spikes(network)
    with torch.inference_mode():
        scores = network(real_inputs(chain, tiny.inputs, torch.float32))
        end()
        again = network(real_inputs(chain, tiny.inputs, torch.float32))
    wanted = [float(ours.spikes[stage.name].sum()) for stage in chain.hidden]
    assert [spikes for spikes, _ in counts.values()] == pytest.approx(wanted, rel=0.01)
    assert min(wanted) > 0
    assert scores.numpy() == pytest.approx(ours.scores, abs=0.02 * float(np.abs(ours.scores).max()))
    assert torch.equal(scores, again)  # no state is left from the run before


def test_the_engine_and_onnxruntime_run_the_same_network(tiny: Workload) -> None:
    runs = [*contenders.Engine(tiny, 1).contenders(), contenders.onnxruntime(tiny, 1)]
    for contender in runs:
        assert contender.warm() == pytest.approx(tiny.rates, rel=0.25), contender.name
        contender.run()


def test_brian_gets_every_spike(tmp_path: Path) -> None:
    work = workload(TINY["recurrent"], ACTIVITY, 2)
    write_network(chain_of(work.graph), work.inputs, tmp_path / "network.npz")
    stored = np.load(tmp_path / "network.npz")
    period = work.graph.time_steps + int(stored["layers"])
    back = np.zeros((2, period, 24), np.int64)
    back.reshape(2 * period, 24)[stored["times"], stored["indices"]] = 1
    assert np.array_equal(back[:, : work.graph.time_steps].swapaxes(0, 1), work.inputs)


def test_a_network_that_frameworks_lack_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="levels"):
        chain_of(load_model(resolve_model("mnist-multi-threshold")))
    with pytest.raises(InputError, match="nonsense"):
        find_case("nonsense")


def test_contenders_are_compared_within_rounds_and_fail_alone() -> None:
    def broken() -> tuple[float, ...]:
        raise RuntimeError("out of order\nand more")

    def made(name: str, seconds: float, samples: int = 2) -> Contender:
        return Contender(name, samples, lambda: seconds, lambda: (0.5,))

    runs = [made("ours", 1.0), made("slow", 6.0, 4), Contender("broken", 1, lambda: 1.0, broken)]
    times, left_out = timings(runs, 5, patience_s=10.0)
    assert [(t.name, t.rounds, t.ratio.median) for t in times] == [("ours", 5, 1.0), ("slow", 2, 3.0)]
    assert left_out == [("broken", "RuntimeError: out of order")]


def test_a_gain_is_asked_for_where_the_arithmetic_allows_it() -> None:
    rates = [Rate("add", "", 10.0), Rate("multiply", "", 100.0)]
    assert checks.gain_check("", "", 1.5, operations=1, products=100, rates=rates).holds is False
    assert checks.gain_check("", "", 1.5, operations=10, products=100, rates=rates).holds is None


def test_it_runs_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "bench.csv", tmp_path / "bench.svg"
    given = peers.options(["--quick", "--no-checks", "--csv", str(table), "--plot", str(picture)])
    monkeypatch.setattr(peers, "limits", lambda *_: [Rate("add", "x", 1e9), Rate("multiply", "y", 1e9, "")])
    threads = torch.get_num_threads()
    try:
        peers.run(peers.Plan(tuple(TINY.values()), (0.05, ACTIVITY), rounds=2, batch=4, patience_s=0.0), given)
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    assert "tiny-conv, batch 4, activity 5 %" in printed and "Claims and checks" in printed
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert {row["network"] for row in rows} == {"tiny-conv", "tiny-recurrent"}
    assert {"snncc auto", "onnxruntime float32"} <= {row["contender"] for row in rows if row["seconds_per_sample"]}
    assert peers.beside(table).is_file()
    assert picture.is_file() or "matplotlib is not installed" in printed


def test_a_layer_is_timed_at_every_activity() -> None:
    fields = {"time_steps": 2, "neuron": {**SLOW, "threshold": checks.SILENT_THRESHOLD}, "batch_norm": False}
    tiny = describe("dense", {**fields, "entry": SPIKES, "layers": "16-4", "input_shape": (200,)})
    times = list(checks.layer_times(1, 4, lambda _: None, [("tiny", tiny)]))
    assert [t.activity for t in times] == list(checks.LAYER_ACTIVITIES)
    assert times[0].operations == 0 and times[-1].operations > times[1].operations
    assert {c.group for c in checks.layer_checks(times, [])} >= {"linear"}


@pytest.mark.parametrize("text", ["0", "100", "many", "-1"])
def test_an_activity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="percentage"):
        peers.planned(peers.options(["--activities", text]))
