"""The search on a network of three layers, against every assignment there is."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from three_layers import LAYERS, graph, samples

from snncc.accuracy import correct
from snncc.compiler import compile_graph
from snncc.errors import InputError, UnsupportedError
from snncc.evidence import FAILED, MET, UNDECIDED, Errors, Sampled, interval
from snncc.ir.nodes import Input
from snncc.memory import state_bytes, weight_bytes
from snncc.mixed.layers import Quantiser, all_widths, distance, sensitivities
from snncc.mixed.record import pareto, search_value
from snncc.mixed.samples import answers, float_answers, judge, split, would_be_met
from snncc.mixed.search import WIDTHS, Budget, BudgetMissedError, Found, search
from snncc.program.bounds import prove_bounds
from snncc.program.program import Program
from snncc.program.reference import run_reference
from snncc.records import dump_json
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

FIXED = get_target("fixed-sim")
MEASURE, CONFIRM = 1500, 6000
BUDGET = 1.0


def entry() -> Input:
    node = graph().nodes["in"]
    assert isinstance(node, Input)
    return node


@cache
def found(minimise: str = "memory") -> Found:
    parts = samples(MEASURE, 3, entry()), samples(CONFIRM, 4, entry())
    return search(graph(), FIXED, FIXED, CompileOptions(), *parts, Budget(BUDGET, minimise))


def accuracy(program: Program, part: int, count: int) -> float:
    x = samples(count, part, entry())
    return float(correct(FIXED.run(program, None, x.inputs, RunOptions()).predictions, x.labels).mean())


def test_saves_memory_and_keeps_the_budget_on_the_confirmation_part() -> None:
    made, uniform = found().made.program, compile_graph(graph(), FIXED).program
    assert weight_bytes(made) < 0.7 * weight_bytes(uniform)
    assert found().chosen.judged is not None and found().chosen.judged.outcome == MET
    for rival, drop in zip(("float", "uniform"), found().chosen.judged.drops, strict=True):
        assert 100 * interval(drop, Errors(0.05, 0.05))[1] <= BUDGET, rival
    assert 100 * (accuracy(uniform, 4, CONFIRM) - accuracy(made, 4, CONFIRM)) <= BUDGET


def test_keeps_the_budget_on_data_that_it_never_saw() -> None:
    """40,000 new samples: the drop is within the budget with a spread of 0.1 points."""
    made, uniform = found().made.program, compile_graph(graph(), FIXED).program
    assert 100 * (accuracy(uniform, 5, 40_000) - accuracy(made, 5, 40_000)) <= BUDGET + 0.1


def test_is_near_the_least_memory_of_all_assignments() -> None:
    """All 6³ networks on the samples that confirmed, where those whose drop is shown to be within the budget count."""
    part = samples(CONFIRM, 4, entry())
    rivals = [float_answers(graph(), part), answers(compile_graph(graph(), FIXED).program, FIXED, part)]
    widths = all_widths(Quantiser(graph(), FIXED, CompileOptions()), WIDTHS, {})
    best = np.inf
    for bits in itertools.product(WIDTHS, repeat=3):
        program = widths.program(dict(zip(LAYERS, bits, strict=True)))
        cost = weight_bytes(program) + state_bytes(program, prove_bounds(program))
        if cost < best and judge(answers(program, FIXED, part), rivals, BUDGET / 100, 0.025).outcome == MET:
            best = cost
    assert found().chosen.cost <= 1.1 * best


def test_the_same_search_gives_the_same_record() -> None:
    parts = samples(MEASURE, 3, entry()), samples(CONFIRM, 4, entry())
    again = search(graph(), FIXED, FIXED, CompileOptions(), *parts, Budget(BUDGET))
    assert dump_json(search_value(again, "a", "b")) == dump_json(search_value(found(), "a", "b"))
    assert all(
        np.array_equal(p.weight, q.weight)
        for p, q in zip(again.made.program.projections, found().made.program.projections, strict=True)
    )


def test_what_it_made_is_what_its_options_compile_to_and_runs_exactly() -> None:
    program = compile_graph(graph(), FIXED, found().options).program
    made, inputs = found().made.program, samples(50, 6, entry()).inputs
    golden, run = run_reference(program, inputs), FIXED.run(made, None, inputs, RunOptions(record=True))  # type: ignore[arg-type]
    assert np.array_equal(golden.scores, run.scores)
    assert all(np.array_equal(golden.spikes[n], run.spikes[n]) for n in golden.spikes)


def test_nothing_larger_than_uniform_is_chosen_and_the_cost_is_that_of_the_program() -> None:
    program, one = found().made.program, found().chosen
    assert one.cost <= found().uniform.cost
    assert one.weight_bytes == weight_bytes(program) and one.state_bytes == state_bytes(program, prove_bounds(program))
    assert one.cost == one.weight_bytes + one.state_bytes
    front = pareto(found().tried)
    assert all(a.cost < b.cost and a.accuracy < b.accuracy for a, b in itertools.pairwise(front))


def test_least_energy_has_fewer_operations() -> None:
    saving = found("energy")
    assert saving.chosen.cost < saving.uniform.cost < 1e-3  # joules
    part = samples(500, 3, entry()).inputs

    def operations(program: Program) -> int:
        counts = FIXED.run(program, None, part, RunOptions()).counts  # type: ignore[arg-type]
        return sum(int(np.sum(n)) for c in counts.values() for n in c.synaptic_operations.values())

    assert operations(saving.made.program) < operations(compile_graph(graph(), FIXED).program)


def test_another_target_keeps_its_guard_bits_and_its_checks() -> None:
    parts = samples(MEASURE, 3, entry()), samples(CONFIRM, 4, entry())
    loihi = search(graph(), get_target("loihi-sim"), FIXED, CompileOptions(), *parts, Budget(BUDGET))
    assert loihi.made.errors == [] and loihi.made.program.arithmetic.name == "loihi"
    assert all(one.guard_bits is None for one in loihi.tried) and loihi.chosen.cost < loihi.uniform.cost


def test_layers_that_the_user_fixed_stay() -> None:
    parts = samples(MEASURE, 3, entry()), samples(CONFIRM, 4, entry())
    kept = search(graph(), FIXED, FIXED, CompileOptions(layer_bits={"w2": 7}), *parts, Budget(BUDGET))
    assert np.abs(kept.made.program.incoming("n2")[0].weight).max() == 63
    assert "n2" not in kept.chosen.bits and set(kept.chosen.bits) <= {"n1", "n3"}


@pytest.mark.parametrize("target", ["fixed-sim", "loihi-sim"])
def test_a_network_put_together_is_the_one_that_is_compiled(target: str) -> None:
    widths = all_widths(Quantiser(graph(), get_target(target), CompileOptions()), (8, 5, 3, 2), {})
    for bits in ((8, 8, 8), (3, 5, 2), (2, 8, 3)):
        chosen = dict(zip(LAYERS, bits, strict=True))
        whole = compile_graph(graph(), get_target(target), CompileOptions(layer_bits=chosen)).program
        parts = widths.program(chosen)
        for a, b in zip(whole.projections, parts.projections, strict=True):
            assert a.name == b.name and a.shift == b.shift and np.array_equal(a.weight, b.weight)
        for p, q in zip(whole.populations, parts.populations, strict=True):
            for constant in ("threshold", "bias", "reset_amount", "unit", "v_init"):
                assert np.array_equal(getattr(p, constant), getattr(q, constant)), (p.name, constant)


def test_a_width_that_one_layer_cannot_have_is_left_out_there(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Quantiser.program

    def refuse(self: Quantiser, options: CompileOptions) -> Program:
        if options.layer_bits.get("n2") == 2:
            raise UnsupportedError("n2: its threshold is 0.5 guarded units")
        return plain(self, options)

    monkeypatch.setattr(Quantiser, "program", refuse)
    widths = all_widths(Quantiser(graph(), FIXED, CompileOptions()), (8, 3, 2), {})
    assert {name: list(at) for name, at in widths.layers.items()} == {"n1": [8, 3, 2], "n2": [8, 3], "n3": [8, 3, 2]}


def test_narrower_layers_move_the_scores_further() -> None:
    widths = all_widths(Quantiser(graph(), FIXED, CompileOptions()), WIDTHS, {})
    table = sensitivities(widths, FIXED, samples(400, 3, entry()), 400, None)
    for name in LAYERS:
        assert table[name][8].distortion == 0 and table[name][8].cost == 0
        assert table[name][2].distortion > table[name][4].distortion > table[name][8].distortion
        assert table[name][2].cost < table[name][4].cost < 0


def test_distance_by_hand() -> None:
    a = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert distance(a, a) == 0 and distance(a, 5 * a + 3) == pytest.approx(0, abs=1e-12)
    assert distance(a[:1], np.array([[0.0, 1.0, 0.0]])) == pytest.approx(1.5)  # cosine of 120 degrees
    assert distance(a, -a) == pytest.approx(1.0)  # 2 and 0
    assert distance(a, np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])) == pytest.approx(0.5)


def test_too_small_a_budget_fails_with_the_figure() -> None:
    """A network whose second layer has weights that 2 bits cannot hold: the uniform one loses much."""
    parts = samples(300, 3, entry()), samples(3000, 4, entry())
    with pytest.raises(
        BudgetMissedError, match=r"with 2 bits everywhere the network loses \d+\.\d+ points .* against float, more"
    ):
        search(graph(), FIXED, FIXED, CompileOptions(bits=2), *parts, Budget(0.5))


def test_too_few_samples_say_how_many() -> None:
    parts = samples(300, 3, entry()), samples(300, 4, entry())
    with pytest.raises(BudgetMissedError, match=r"on 300 samples, too few to show a budget of 0.2 kept; give more"):
        search(graph(), FIXED, FIXED, CompileOptions(), *parts, Budget(0.2))


@pytest.mark.parametrize("points", [0.0, -1.0, 101.0, float("nan")])
def test_budgets_that_make_no_sense(points: float) -> None:
    with pytest.raises(InputError, match="--budget-accuracy"):
        Budget(points)


def test_judging_needs_every_rival() -> None:
    part = samples(4000, 4, entry())
    uniform = compile_graph(graph(), FIXED).program
    coarse = compile_graph(graph(), FIXED, CompileOptions(bits=2)).program
    same, worse = answers(uniform, FIXED, part), answers(coarse, FIXED, part)
    assert judge(same, [answers(uniform, FIXED, part)], 0.005, 0.05).outcome == MET
    judged = judge(worse, [worse, same], 0.005, 0.05)
    assert judged.outcome == FAILED and judged.samples < 4000
    few = samples(200, 4, entry())
    assert judge(answers(uniform, FIXED, few), [answers(uniform, FIXED, few)], 0.005, 0.05).outcome == UNDECIDED


def test_planning_asks_what_the_confirmation_part_could_show() -> None:
    none = Sampled(np.zeros(500), -1.0, 1.0)
    assert would_be_met([none], 0.005, 0.025, 2000) and not would_be_met([none], 0.005, 0.025, 500)
    losing = Sampled(np.repeat([1.0, 0.0], [5, 495]), -1.0, 1.0)
    assert not would_be_met([none, losing], 0.005, 0.025, 10**6)


def test_splitting_gives_each_sample_once() -> None:
    whole = samples(100, 3, entry())
    numbers = np.random.default_rng(0).permutation(100)[:90]
    a, b = split(whole.inputs, whole.labels, entry(), numbers, 30)
    assert len(a) == 30 and len(b) == 60 and not set(a.numbers) & set(b.numbers)
    assert np.array_equal(b.part(0, 60), whole.inputs[numbers[30:]]) and np.array_equal(
        b.truth(5), whole.labels[numbers[30:35]]
    )  # type: ignore[index]


def test_the_search_takes_the_guard_bits_that_the_user_gives() -> None:
    parts = samples(MEASURE, 3, entry()), samples(CONFIRM, 4, entry())
    kept = search(graph(), FIXED, FIXED, replace(CompileOptions(), guard_bits=4), *parts, Budget(BUDGET))
    assert all(one.guard_bits is None for one in kept.tried)
    assert all(p.guard_bits == 4 for p in kept.made.program.populations)
