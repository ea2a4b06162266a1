"""The measured slope of Blouw et al. (2019, arXiv:1812.01739) against the energy model, with firing rates that are simulated.

    python -m benchmarks.blouw

Their scaling runs on Loihi grow a network of 390-256-(N copies of ten 256-wide layers)-256-29 by copies, 10 steps an inference, and
measure dynamic energy: 681.6, 703.7, 733.5, 767.9, 802.4 and 835.8 µJ an inference for 1, 2, 4, 6, 8 and 10 copies. Management
processors and board are the same for all; what a copy adds is the chip's work, whose energy this predicts.

How often those neurons fire was not measured, and the script that built the network for Loihi is not public. Two settings bracket
it, and neither is fitted:

- *published*: weights uniform in ±0.05 and biases of zero, as the public TensorFlow twin of the network has them
- *nengo*: the same weights, on Nengo's default neurons: maximal rates uniform in 200..400 Hz, intercepts in −1..1 (Bekolay et al.
  2014, Frontiers in Neuroinformatics 7:48), which give each neuron a bias

A neuron integrates its input at 1 ms a step, not below 0, and fires above 1 (Nengo's spiking rectified linear neuron, on Loihi with
a reset to zero); membranes start anywhere between. Features are noise with a standard deviation of 20 (assumed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snncc.chip.counts import place_counts
from snncc.chip.partition import partition
from snncc.chip.place import place
from snncc.chip.spec import load_chip
from snncc.compiler import compile_graph
from snncc.energy.account import account
from snncc.energy.costs import Interval, load_costs
from snncc.energy.counted import Counted
from snncc.errors import InputError
from snncc.ir.dynamics import Dynamics
from snncc.ir.graph import Edge, Graph, build_graph
from snncc.ir.nodes import Dense, Input, Neuron, Node, Output
from snncc.program.activity import measure_activity
from snncc.registry import get_target
from snncc.target import CompileOptions, RunOptions

MEASURED = {1: 681.6, 2: 703.7, 4: 733.5, 6: 767.9, 8: 802.4, 10: 835.8}
"""Copies to µJ an inference."""
STEPS = 10
"""Of an inference."""
INFERENCES = 30
"""That are simulated in a row."""
COPIES = (1, 3)
"""Between which the slope is taken."""
FEATURES = 20.0
WIDTH, LAYERS, INPUTS, STEP_SECONDS = 256, 10, 390, 1e-3
SETTINGS = ("published", "nengo")


@dataclass(frozen=True)
class Predicted:
    """A copy's energy in joules an inference, and the spikes of its neurons a step."""

    joules: Interval
    rate: float


def network(copies: int, setting: str, seed: int = 0) -> Graph:
    """The part on the chip: an input layer that hears a constant current for each neuron, the copies, and their sum."""
    rng = np.random.default_rng(seed)

    def layer(size_in: int) -> Dense:
        return Dense(rng.uniform(-0.05, 0.05, (WIDTH, size_in)), _bias(rng) if setting == "nengo" else None)

    def neuron() -> Neuron:
        return Neuron(Dynamics(compare=">", reset="to_value", v_min=0.0, v_init=rng.uniform(0, 1, WIDTH)))

    entry = Input((INPUTS,), "static", STEP_SECONDS, -100, 100)
    nodes: dict[str, Node] = {"input": entry, "in": layer(INPUTS), "in.n": neuron()}
    edges = [Edge("input", "in"), Edge("in", "in.n")]
    for copy in range(copies):
        before = "in.n"
        for depth in range(LAYERS):
            name = f"c{copy}.{depth}"
            nodes |= {name: layer(WIDTH), f"{name}.n": neuron()}
            edges += [Edge(before, name), Edge(name, f"{name}.n")]
            before = f"{name}.n"
        nodes[f"out{copy}"] = layer(WIDTH)
        edges += [Edge(before, f"out{copy}"), Edge(f"out{copy}", "out.n")]
    nodes |= {"out.n": neuron(), "output": Output()}
    return build_graph(nodes, [*edges, Edge("out.n", "output")], STEPS * INFERENCES, f"blouw-{copies}")


def _bias(rng: np.random.Generator) -> np.ndarray:
    """Current a step at an input of 0: a tuning curve is a line from 0 at its intercept to its maximal rate at 1."""
    rates, intercepts = rng.uniform(200, 400, WIDTH), rng.uniform(-1, 1, WIDTH)
    return np.asarray(-intercepts * rates / (1 - intercepts) * STEP_SECONDS)


def counted(copies: int, setting: str) -> tuple[Counted, float]:
    """(events of all inferences on Loihi 1, spikes of a copy's neuron a step)."""
    program = compile_graph(
        network(copies, setting), get_target("fixed-sim"), CompileOptions(per_channel=False)
    ).program
    cut, findings = partition(program, load_chip("loihi1"))
    if cut is None:
        raise InputError(f"{program.name}: {findings[0]}")
    features = np.random.default_rng(1).normal(0, FEATURES, (1, INPUTS)).round().clip(-100, 100).astype(np.int64)
    run = get_target("fixed-sim").run(program, None, features, RunOptions(record=True, membranes=False, threads=1))
    placed = place_counts(place(cut), measure_activity(program, run.spikes, features))
    spikes = [np.count_nonzero(run.spikes[p.name]) for p in program.populations if p.name.startswith("c")]
    cells = len(spikes) * WIDTH * program.time_steps
    made = Counted(
        program.name, placed.totals(), samples=INFERENCES, cores=placed.cores, chips=placed.chips, tiles=placed.tiles
    )
    return made, sum(spikes) / cells


def predicted(setting: str, cost_set: str = "loihi1") -> Predicted:
    """What a copy adds: dynamic energy of the cores and their messages (S1 and hops)."""
    costs, runs = load_costs(cost_set), [counted(n, setting) for n in COPIES]
    terms = [{t.name: t.energy for t in account(run, costs, 1).terms if t.scope in ("S1", "S2")} for run, _ in runs]
    by_term = {name: [e for t in terms if (e := t[name]) is not None] for name in terms[0]}
    step = COPIES[1] - COPIES[0]
    slope = {n: Interval(*((getattr(b, k) - getattr(a, k)) / step for k in ("low", "typ", "high")))
             for n, (a, b) in ((n, e) for n, e in by_term.items() if len(e) == 2)}  # fmt: skip
    total = sum(slope.values(), Interval(0.0, 0.0, 0.0))
    return Predicted(total, runs[-1][1])


def measured_slope() -> float:
    """Joules a copy, least squares over :data:`MEASURED`."""
    return float(np.polyfit(list(MEASURED), list(MEASURED.values()), 1)[0]) * 1e-6


def main() -> None:
    measured = measured_slope()
    print(f"measured: {measured * 1e6:.1f} µJ a copy and inference")
    for setting in SETTINGS:
        p = predicted(setting)
        j = p.joules
        print(
            f"{setting:10} {j.typ * 1e6:5.1f} µJ [{j.low * 1e6:.1f} … {j.high * 1e6:.1f}], {100 * (j.typ / measured - 1):+.0f} %; "
            f"{100 * p.rate:.2f} spikes a neuron in 100 steps"
        )


if __name__ == "__main__":
    main()
