"""The search: bits for every layer that minimise memory or energy under an accuracy budget.

1. The network is compiled with the first width everywhere; that it keeps the budget itself is shown on the *confirmation* part.
2. Every layer alone at every width: what that saves, and how far it moves the network's scores, on some of the *measuring* part
   (:func:`snncc.mixed.layers.distance`). A mean of scores tells widths apart that the classes of few samples do not.
3. Both add up over layers, so the assignments that none beats are known without a run (:mod:`snncc.mixed.front`).
4. Runs on the whole measuring part find the cheapest of them that the confirmation part would confirm if it were alike: by
   bisection, then by narrowing single layers, then with fewer guard bits, which states are as wide by.
5. The cheapest is compiled and judged on the confirmation part, against the float network and the uniform one; if that does not
   show the budget kept, the next. The k-th try may err with a probability of β/2^k, so all together with β.

Nothing but steps 1 and 5 is a statement about accuracy, and step 5 uses samples that chose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.compiler import Compilation, RefusedError, compile_graph
from snncc.energy.costs import load_costs
from snncc.errors import InputError, SnnccError, UnsupportedError
from snncc.evidence import FAILED, MET, Errors, interval, samples_needed
from snncc.ir.graph import Graph
from snncc.memory import state_bytes, weight_bytes
from snncc.mixed.front import Assignment, Choice, front
from snncc.mixed.layers import Quantiser, Widths, all_widths, sensitivities
from snncc.mixed.samples import Judged, Samples, answers, drop, float_answers, judge, would_be_met
from snncc.profile import Measured, profile
from snncc.program.bounds import prove_bounds
from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording
from snncc.target import CompileOptions, RunOptions, Target

WIDTHS = (8, 6, 5, 4, 3, 2)
SENSITIVITY_SAMPLES = 500
TRIES = 6
"""Assignments that are tried on the confirmation part before the uniform network is taken."""
APART = 0.01
"""Of the uniform network's cost, at least, between the first two tries; twice as much after each."""
NARROWINGS = 40
"""Runs for narrowing single layers, at most."""
POINTS = 8
"""Of the front that are run besides what the search itself runs, for the table and the plot."""
GUARD_BITS = 6
MEMORY, ENERGY = "memory", "energy"


class BudgetMissedError(SnnccError):
    """Even the uniform network is not shown to keep the budget."""


@dataclass(frozen=True)
class Budget:
    """What is asked for.

    Attributes:
        points: accuracy, in percentage points, that may be lost against the float and the uniform network.
        minimise: "memory" of weights and states, or "energy": core dynamic energy (S1) at ``costs``, typical, on no chip.
        error: probability that the network found loses more all the same.
    """

    points: float
    minimise: str = MEMORY
    error: float = 0.05
    costs: str = "loihi1"

    def __post_init__(self) -> None:
        if not 0 < self.points <= 100:
            raise InputError(f"--budget-accuracy {self.points:g}: give percentage points in 0..100, more than 0")
        Errors(self.error, self.error)

    @property
    def share(self) -> float:
        """The budget as a share of 1."""
        return self.points / 100


@dataclass(frozen=True, eq=False)
class Tried:
    """An assignment that was run on the measuring part.

    Attributes:
        bits: by layer. guard_bits: of membranes.
        cost: bytes of weights and states, or joules an inference. weight_bytes, state_bytes: of the Program.
        accuracy: on the measuring part. drops: points lost there against the float and the uniform network.
        promising: the confirmation part would show the budget kept, if it were like the measuring part.
        judged: on the confirmation part, where it was tried there.
        why: what it was run for.
    """

    bits: Mapping[str, int]
    guard_bits: int | None
    cost: float
    weight_bytes: float
    state_bytes: float
    accuracy: float
    drops: tuple[float, float]
    promising: bool
    why: str
    judged: Judged | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What the search came to.

    Attributes:
        made, options: the compiled network and how it was compiled.
        chosen: it; uniform: the network that it is held against.
        tried: everything that was run, in that order, ``chosen`` and ``uniform`` included.
        layers: layer to width to what that width alone does.
        samples: sizes of the measuring and the confirmation part.
        float_accuracy: on the measuring part. baseline: the uniform network judged against the float one.
    """

    made: Compilation
    options: CompileOptions
    chosen: Tried
    uniform: Tried
    tried: list[Tried]
    layers: Mapping[str, Mapping[int, Choice]]
    samples: tuple[int, int]
    float_accuracy: float
    baseline: Judged
    budget: Budget


Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(eq=False)
class _Search:
    graph: Graph
    target: Target
    engine: Target
    options: CompileOptions
    measure: Samples
    confirm: Samples
    budget: Budget
    say: Say
    progress: Progress
    tried: dict[tuple, Tried] = field(default_factory=dict)

    def start(self) -> None:
        """Steps 1 to 3."""
        made = compile_graph(self.graph, self.target, self.options)
        if made.errors:
            raise RefusedError(self.target.name, made.errors)
        self.floats = {part: float_answers(self.graph, part) for part in (self.measure, self.confirm)}
        self.uniforms = {part: answers(made.program, self.engine, part) for part in (self.measure, self.confirm)}
        self.baseline = self._baseline()
        self.quantiser = Quantiser(self.graph, self.target, self.options)
        self.options = self.quantiser.options
        narrower = [w for w in WIDTHS if w < self.options.bits]
        fixed = self.options.layer_bits
        self.widths: Widths = all_widths(
            self.quantiser, [self.options.bits, *narrower], fixed, lambda i, n: self.progress("widths", i, n)
        )
        if not self.widths.layers:
            raise InputError("--budget-accuracy: --layer-bits gives every layer its bits, so nothing is left to search")
        energy = self._energy if self.budget.minimise == ENERGY else None
        self.layers = sensitivities(
            self.widths, self.engine, self.measure, min(SENSITIVITY_SAMPLES, len(self.measure)), energy,
            lambda i, n: self.progress("layers", i, n),
        )  # fmt: skip
        self.names = list(self.layers)
        self.front = front([self.layers[n] for n in self.names])
        self.uniform = self.run(dict.fromkeys(self.names, self.options.bits), "uniform")

    def _baseline(self) -> Judged:
        judged = judge(self.uniforms[self.confirm], [self.floats[self.confirm]], self.budget.share, self.budget.error)
        if judged.outcome == MET:
            return judged
        bits, drops, errors = self.options.bits, judged.drops[0], Errors(self.budget.error, self.budget.error)
        low, high = (100 * x for x in interval(drops, errors))
        what = f"with {bits} bits everywhere the network loses {100 * drops.mean:.2f} points [{low:.2f} … {high:.2f}] against float"
        if judged.outcome == FAILED:
            raise BudgetMissedError(
                f"{what}, more than the budget of {self.budget.points:g}; allow more, or find the layer at fault: snncc diff"
            )
        needed = samples_needed(drops, self.budget.share, errors)
        more = "" if needed is None else f", about {needed:,} for confirmation alone"
        raise BudgetMissedError(
            f"{what} on {judged.samples:,} samples, too few to show a budget of {self.budget.points:g} kept; give more{more}, or "
            "allow more"
        )

    def _energy(self, run: IntegerRecording, program: Program) -> float:
        """Joules an inference."""
        chunk = () if program.source.encoding == "static" else self.measure.part(0, run.samples)
        measured = Measured(program, run.counts, run.samples, int(np.count_nonzero(chunk)), run.predictions)
        return float(profile(measured, load_costs(self.budget.costs), None, draws=1).total.energy.typ)

    def run(self, bits: Mapping[str, int], why: str, guard_bits: int | None = None) -> Tried:
        """An assignment on the measuring part; each is run once."""
        key = (tuple(bits.items()), guard_bits)
        if key in self.tried:
            return self.tried[key]
        alike = guard_bits is None
        program = self.widths.program(bits) if alike else self.quantiser.program(self._options(bits, guard_bits))
        weights, states = weight_bytes(program), state_bytes(program, prove_bounds(program))
        mine, count = answers(program, self.engine, self.measure), len(self.measure)
        drops = tuple(drop(r[self.measure], mine, count) for r in (self.floats, self.uniforms))
        cost = weights + states
        if self.budget.minimise == ENERGY:
            few = min(SENSITIVITY_SAMPLES, count)
            cost = self._energy(self.engine.run(program, None, self.measure.part(0, few), RunOptions()), program)
        promising = would_be_met(drops, self.budget.share, self.budget.error / 2, len(self.confirm))
        floats, uniform = (100 * d.mean for d in drops)
        made = Tried(
            dict(bits), guard_bits, cost, weights, states, mine.accuracy(count), (floats, uniform), promising, why
        )
        self.tried[key] = made
        self.say(f"{why}: {describe(made, self)}")
        return made

    def _options(self, bits: Mapping[str, int], guard_bits: int | None) -> CompileOptions:
        others = {n: b for n, b in bits.items() if b != self.options.bits}
        guard = self.options.guard_bits if guard_bits is None else guard_bits
        return replace(self.options, guard_bits=guard, layer_bits={**self.options.layer_bits, **others})

    def of(self, point: Assignment) -> dict[str, int]:
        """By name."""
        return dict(zip(self.names, point.bits, strict=True))

    def select(self) -> None:
        """Step 4."""
        low, high = 0, len(self.front) - 1  # the last is the uniform network, or something that moves no score
        while low < high:
            middle = (low + high) // 2
            if self.run(self.of(self.front[middle]), "front").promising:
                high = middle
            else:
                low = middle + 1
        best = self.run(self.of(self.front[high]), "front")
        best = self._narrowed(best if best.promising else self.uniform)
        free = (
            self.options.guard_bits is None and self.target.arithmetic == EXACT
        )  # other registers have a width of their own
        if free and self.budget.minimise == MEMORY:
            self._fewer_guard_bits(best)
        for i in np.unique(np.linspace(0, len(self.front) - 1, POINTS).round().astype(int)):
            self.run(self.of(self.front[i]), "front")
        for width in self.layers[self.names[0]]:
            if all(width in at for at in self.layers.values()):
                self.run(dict.fromkeys(self.names, width), "uniform")

    def _narrowed(self, best: Tried) -> Tried:
        """Single layers at fewer bits, those that save most first, as long as one does."""
        better, most = True, len(self.tried) + NARROWINGS
        while better:
            better = False
            steps = []
            for name in self.names:
                here = self.layers[name][best.bits[name]].cost
                cheaper = [(c.cost - here, b) for b, c in self.layers[name].items() if c.cost < here]
                if cheaper:
                    steps.append((*max(cheaper), name))  # the next cheaper width
            for _, bits, name in sorted(steps):
                if len(self.tried) >= most:
                    return best
                found = self.run({**best.bits, name: bits}, "narrowed")
                if found.promising and found.cost < best.cost:
                    best, better = found, True
                    break
        return best

    def _fewer_guard_bits(self, best: Tried) -> None:
        for guard_bits in range(GUARD_BITS):
            try:
                found = self.run(best.bits, "guard bits", guard_bits)
            except UnsupportedError:  # a threshold below one guarded unit
                continue
            if found.cost >= best.cost or found.promising:
                return

    def confirmed(self) -> tuple[Tried, Compilation, CompileOptions]:
        """Step 5."""
        least, tries = -np.inf, 0
        for key, one in sorted(self.tried.items(), key=lambda item: item[1].cost):
            if not one.promising or one.cost < least or one.cost >= self.uniform.cost:
                continue
            options = self._options(one.bits, one.guard_bits)
            made = compile_graph(self.graph, self.target, options)
            if made.errors:
                self.say(f"not taken: {describe(one, self)}: {made.errors[0]}")
                continue
            tries += 1
            rivals = [self.floats[self.confirm], self.uniforms[self.confirm]]
            mine = answers(made.program, self.engine, self.confirm)
            judged = judge(mine, rivals, self.budget.share, self.budget.error / 2**tries)
            one = self.tried[key] = replace(one, judged=judged)
            said = "; ".join(
                f"{100 * d.mean:+.2f} against {r}" for d, r in zip(judged.drops, ("float", "uniform"), strict=True)
            )
            self.say(
                f"try {tries}: {describe(one, self)}: {judged.outcome} on {judged.samples:,} other samples, drop {said}"
            )
            if judged.outcome == MET:
                return one, made, options
            if tries == TRIES:
                break
            least = one.cost + APART * 2 ** (tries - 1) * self.uniform.cost
        return self.uniform, compile_graph(self.graph, self.target, self.options), self.options


def describe(one: Tried, search: _Search) -> str:
    """In words."""
    others = ", ".join(f"{n} {b}" for n, b in one.bits.items())
    guard = "" if one.guard_bits is None else f", {one.guard_bits} guard bits"
    cost = f"{one.cost:,.0f} bytes" if search.budget.minimise == MEMORY else f"{1e6 * one.cost:.3f} µJ"
    return f"{others}{guard}: {cost}, drop {one.drops[0]:+.2f} against float, {one.drops[1]:+.2f} against uniform"


def search(
    graph: Graph,
    target: Target,
    engine: Target,
    options: CompileOptions,
    measure: Samples,
    confirm: Samples,
    budget: Budget,
    say: Say = lambda text: None,
    progress: Progress = lambda what, done, total: None,
) -> Found:
    """Find bits for every layer that ``options.layer_bits`` leaves open, of ``options.bits`` and the narrower :data:`WIDTHS`.

    ``engine`` runs Programs (fixed-sim). ``measure`` and ``confirm`` share no sample, and neither is a test set. Raises
    :class:`BudgetMissedError` where even the uniform network is not shown to keep the budget, and :class:`RefusedError` where
    the target cannot take it.
    """
    for name, part in (("to measure", measure), ("to confirm", confirm)):
        if len(part) == 0:
            raise InputError(f"--budget-accuracy: there are no samples {name} with; give more calibration data")
    one = _Search(graph, target, engine, options, measure, confirm, budget, say, progress)
    one.start()
    one.select()
    chosen, made, used = one.confirmed()
    return Found(
        made, used, chosen, one.uniform, list(one.tried.values()), one.layers, (len(measure), len(confirm)),
        one.floats[measure].accuracy(len(measure)), one.baseline, budget,
    )  # fmt: skip
