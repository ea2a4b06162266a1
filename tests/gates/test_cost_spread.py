"""Costs on a part of the data are as sure as the samples are: blocks add up to the whole, and the interval holds what it says."""

from __future__ import annotations

import numpy as np
import pytest

from snncc.cli.options import load_inputs
from snncc.compiler import compile_graph
from snncc.cost_gates import CostLimits, cost_gates, costs_and_chip, priced
from snncc.cost_spread import Spread, priced_in_blocks
from snncc.energy.account import Estimate
from snncc.evidence import FAILED, MET, UNDECIDED, Errors
from snncc.frontends import load_model
from snncc.gates import Gate
from snncc.program.program import Program
from snncc.registry import get_target
from snncc.sampling import Sampling, choose_samples
from snncc.target import CompileOptions, RunOptions
from tests.cli.small_network import STEPS, write_network

LIMITS = CostLimits(max_energy_uj=1.0, max_latency_ms=1.0)
SAMPLES = 400


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, np.ndarray]:
    """The small network, and samples of very different numbers of spikes: (T, N, 8)."""
    folder = tmp_path_factory.mktemp("spread")
    path, data = write_network(folder)
    graph = load_model(path, {})
    random = np.random.default_rng(3)
    x = random.random((SAMPLES, STEPS, 8)) < random.random((SAMPLES, 1, 1))
    np.savez(data, x=x.astype(np.uint8))
    inputs = load_inputs(str(data), None, graph)
    assert isinstance(inputs, np.ndarray)
    return compile_graph(graph, get_target("fixed-sim"), CompileOptions()).program, inputs


def gates(network: tuple[Program, np.ndarray], sampling: Sampling, samples: int, **asked: float) -> list[Gate]:
    program, inputs = network
    limits = CostLimits(**({"max_energy_uj": 1.0, "max_latency_ms": 1.0} | asked))  # type: ignore[arg-type]
    return cost_gates(program, get_target("fixed-sim"), inputs, limits, RunOptions(), sampling, samples)


def test_blocks_add_up_to_the_whole(network: tuple[Program, np.ndarray]) -> None:
    program, inputs = network
    engine, (costs, chip) = get_target("fixed-sim"), costs_and_chip(LIMITS)
    whole, blocks = priced_in_blocks(program, engine, inputs, costs, chip, RunOptions())
    alone = priced(program, engine, inputs, LIMITS, RunOptions())
    assert whole.account.scopes == alone.account.scopes and whole.account.latency == alone.account.latency
    assert (whole.measured.predictions == alone.measured.predictions).all()
    assert len(blocks) == 20 and {b.measured.samples for b in blocks} == {SAMPLES // 20}
    assert all(b.placement is whole.placement for b in blocks)
    energies = [b.account.scopes[1].energy for b in blocks]
    mean = alone.account.scopes[1].energy
    assert mean is not None  # S1 is linear in the counts
    assert np.mean([e.typ for e in energies if e is not None]) == pytest.approx(mean.typ)


def test_a_part_is_wider_than_the_published_costs_and_the_whole_is_not(network: tuple[Program, np.ndarray]) -> None:
    whole = gates(network, choose_samples("all", SAMPLES, None, False, 0), SAMPLES)
    as_sample = gates(network, choose_samples("all", SAMPLES, None, True, 0), SAMPLES)
    few = gates(network, choose_samples("40", SAMPLES, None, False, 0), 40)
    most = gates(network, choose_samples("396", SAMPLES, None, False, 0), 396)
    for exact, endless, narrow, wide in zip(whole, as_sample, most, few, strict=True):
        assert exact.interval and endless.interval and narrow.interval and wide.interval
        assert exact.value == endless.value
        low, high = exact.interval
        assert endless.interval[0] < low < high < endless.interval[1]
        assert wide.interval[0] < narrow.interval[0] and narrow.interval[1] < wide.interval[1]
        width = [interval[1] - interval[0] for interval in (exact.interval, narrow.interval, endless.interval)]
        assert width[1] - width[0] < 0.2 * (width[2] - width[0])  # hardly anything is left to draw


def test_a_limit_between_the_costs_and_the_interval_is_open_and_says_why(network: tuple[Program, np.ndarray]) -> None:
    drawn = choose_samples("40", SAMPLES, None, False, 0)
    energy = gates(network, drawn, 40)[0]
    exact = priced(network[0], get_target("fixed-sim"), network[1][:, drawn.order], LIMITS, RunOptions())
    envelope = next(s.energy for s in exact.account.scopes if s.key == "S3")
    assert energy.interval and envelope and energy.interval[1] > 1e6 * envelope.high
    outcomes = {
        energy.interval[1] * 1.001: (MET, ""),
        (energy.interval[1] + 1e6 * envelope.high) / 2: (
            UNDECIDED,
            "so few samples do not decide it: take more, or all",
        ),
        1e6 * envelope.typ: (UNDECIDED, "--costs of your own are narrower"),
        (energy.interval[0] + 1e6 * envelope.low) / 2: (
            UNDECIDED,
            "so few samples do not decide it: take more, or all",
        ),
        energy.interval[0] * 0.999: (FAILED, ""),
    }
    for limit, (outcome, remark) in outcomes.items():
        found = gates(network, drawn, 40, max_energy_uj=limit)[0]
        assert found.outcome == outcome and found.remark.endswith(remark), limit
    one = gates(network, choose_samples("1", SAMPLES, None, False, 0), 1)
    assert [g.outcome for g in one] == [UNDECIDED] * 2 and [g.interval for g in one] == [None] * 2


@pytest.mark.parametrize(("blocks", "population"), [(3, None), (20, None), (20, 40)])
def test_the_interval_misses_the_mean_as_often_as_it_says(blocks: int, population: int | None) -> None:
    """Blocks of normal costs, 4,000 times: each side at 10 %, of what has no end and of a population that is drawn from."""
    random, misses = np.random.default_rng(7), np.zeros(2)
    for _ in range(4000):
        all_costs = random.normal(100, 5, population or blocks)
        truth = 100.0 if population is None else float(all_costs.mean())
        costs = all_costs[:blocks]
        estimates = [Estimate(c, c, c, c, c, c) for c in costs]
        spread = Spread((), 1.0 if population is None else 1 - blocks / population)
        low, high = spread.widened(estimates, costs.mean(), costs.mean(), Errors(0.1, 0.1))
        misses += [truth < low, truth > high]
    assert np.abs(misses / 4000 - 0.1).max() < 0.02  # four standard errors
