"""Deployment as a test: a network compiled for a target, and one call that says in words what is wrong with it.

:mod:`snncc.pytest_plugin` gives it to tests as a fixture; nothing here needs pytest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from snncc.errors import InputError

if TYPE_CHECKING:
    from snncc.compiler import Compilation
    from snncc.cost_gates import CostLimits
    from snncc.gates import Gate, Limits
    from snncc.ir.graph import Graph
    from snncc.target import CompileOptions, Target
    from snncc.verify import Verification

DEFAULT_EXACT = 16
LEAST = {"limit": 1, "seed": 0, "exact": 0, "calibration_samples": 1}
"""Of whole numbers in :class:`Asked`, as on the command line."""


class NotDeployedError(AssertionError):
    """A gate is not met; the message says which, by how much, and what to try."""


@dataclass(frozen=True)
class Asked:
    """What to compile and what to ask of it: the arguments of the marker ``snncc``, named as the options of the command line.

    Attributes:
        model: a file, a name of the zoo, or a Graph.
        data: what ``verify`` runs on. limit, samples, seed, as_sample: which of it; exact: samples compared cell by cell (None:
            as many as the target can, or 16).
        bits, guard_bits (a number or "auto"), per_layer, layer_bits, calibrate, calibration_samples, rounding: how it is
            quantised; ``reader`` holds what the file leaves open: dialect, time_steps ….
        max_accuracy_drop: points; min_accuracy, min_agreement: percent; max_energy_uj, max_latency_ms, max_cores, energy_scope,
            costs, chip: as :class:`snncc.cost_gates.CostLimits`; alpha, beta: as :class:`snncc.evidence.Errors`.
        allow_undecided: too few samples to decide a gate are no failure.
    """

    model: Any
    target: str = "fixed-sim"
    data: str | Path | None = None
    limit: int | None = None
    samples: str | int = "all"
    seed: int = 0
    as_sample: bool = False
    exact: int | None = None
    bits: int = 8
    guard_bits: int | str | None = None
    per_layer: bool = False
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    calibrate: str | None = None
    calibration_samples: int = 200
    rounding: str = "nearest"
    reader: Mapping[str, Any] = field(default_factory=dict)
    max_accuracy_drop: float | None = None
    min_accuracy: float | None = None
    min_agreement: float | None = None
    max_energy_uj: float | None = None
    max_latency_ms: float | None = None
    max_cores: int | None = None
    energy_scope: str = "S3"
    costs: str | None = None
    chip: str | None = None
    alpha: float = 0.025
    beta: float = 0.025
    allow_undecided: bool = False


def asked(given: Mapping[str, Any]) -> Asked:
    """:class:`Asked` of plain arguments. Raises :class:`InputError` on an unknown or mistyped one, or without a model."""
    known = [f.name for f in fields(Asked)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"snncc: there is no {', '.join(unknown)}; known: {', '.join(known)}")
    if "model" not in given:
        raise InputError('snncc: say which model: @pytest.mark.snncc(model="mnist-lif", data="mnist:demo")')
    hints = get_type_hints(Asked)
    for f in fields(Asked):
        if f.name in given and not _fits(given[f.name], hints[f.name]):
            raise InputError(f"snncc: {f.name} is {given[f.name]!r}; give {f.type}")
    made = Asked(**given)
    for name, least in LEAST.items():
        value = getattr(made, name)
        if value is not None and value < least:
            raise InputError(f"snncc: {name} is {value}; give {least} or more")
    _limits(made)
    _cost_limits(made)
    return made


def _limits(a: Asked) -> Limits:
    """Raises :class:`InputError` on what is no limit."""
    from snncc.evidence import Errors
    from snncc.gates import Limits

    return Limits(a.max_accuracy_drop, a.min_agreement, Errors(a.alpha, a.beta), a.min_accuracy)


def _cost_limits(a: Asked) -> CostLimits:
    from snncc.cost_gates import CostLimits

    return CostLimits(a.max_energy_uj, a.max_latency_ms, a.max_cores, a.energy_scope, a.costs, a.chip)


def _fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is what a field of :class:`Asked` takes; whole numbers are numbers, and truth values are not."""
    kinds = (hint,) if get_origin(hint) is Mapping or not get_args(hint) else get_args(hint)
    for kind in kinds:
        if kind is Any or (kind is float and isinstance(value, int) and not isinstance(value, bool)):
            return True
        plain = get_origin(kind) or kind
        if isinstance(value, plain) and not (plain is int and isinstance(value, bool)):
            return True
    return False


@dataclass(eq=False)
class Deployed:
    """A compiled network.

    Attributes:
        made: graph, program, proofs and remarks of the compilation.
        target: what it was compiled for.
        verified: ``verify`` has been called.
    """

    asked: Asked
    made: Compilation
    target: Target
    verified: bool = False

    @property
    def name(self) -> str:
        """Of the model, for people."""
        model = self.asked.model
        return Path(model).name if isinstance(model, str | Path) else str(model.name)

    def verify(self, **changes: Any) -> Verification:
        """Float network, integer program and target compared on the data; ``changes`` replace fields of :class:`Asked`.

        Raises :class:`NotDeployedError` where a gate is not met, :class:`InputError` where data is missing or does not fit.
        """
        __tracebackhide__ = True
        from snncc.cli.options import load_data
        from snncc.cost_gates import check_costs, cost_gates
        from snncc.feed import sample_count
        from snncc.registry import get_target
        from snncc.sampling import choose_samples
        from snncc.target import RunOptions
        from snncc.verify import verify

        self.verified = True
        a = asked(vars(self.asked) | changes)
        if a.data is None:
            raise InputError(f'{self.name}: say on which data: data="mnist:demo", or an .npz file with x and y')
        limits, priced = _limits(a), _cost_limits(a)
        graph, program = self.made.graph, self.made.program
        inputs, labels = load_data(str(a.data), a.limit, graph)
        count = sample_count(inputs, program.source)
        sampling = choose_samples(str(a.samples), count, a.limit, a.as_sample, a.seed)
        few = a.exact if a.exact is not None else (self.target.exact_samples or DEFAULT_EXACT)
        engine = get_target("fixed-sim")
        check_costs(program, engine, inputs, priced)
        found = verify(
            graph, program, self.target, engine, None, inputs, labels, few, limits, sampling=sampling
        )  # fmt: skip
        more = cost_gates(program, engine, inputs, priced, RunOptions(), sampling, found.samples, limits.errors)
        found = replace(found, gates=[*found.gates, *more])
        open_gates = [g for g in found.gates if not g.passed and not (a.allow_undecided and g.outcome == "undecided")]
        if open_gates:
            raise NotDeployedError(explanation(self, a, found, open_gates))
        return found


def deploy(what: Asked) -> Deployed:
    """Compile it. Raises :class:`snncc.compiler.RefusedError` or :class:`InputError`, which say where, what and the way out."""
    from snncc.compiler import RefusedError, compile_graph
    from snncc.registry import get_target

    graph, target = _graph(what), get_target(what.target)
    made = compile_graph(graph, target, _options(what, graph))
    if made.errors:
        raise RefusedError(target.name, made.errors)
    return Deployed(what, made, target)


def _graph(what: Asked) -> Graph:
    from snncc.cli.options import read_graph
    from snncc.ir.graph import Graph

    if isinstance(what.model, Graph):
        return what.model
    if not isinstance(what.model, str | Path):
        raise InputError(
            f"snncc: the model is a {type(what.model).__name__}; give a file, a name of the zoo, or a Graph: "
            "snncc.from_torch makes one of a PyTorch module"
        )
    return read_graph(str(what.model), {k.replace("-", "_"): str(v) for k, v in what.reader.items()})[1]


def _options(what: Asked, graph: Graph) -> CompileOptions:
    from snncc.cli.options import compile_options
    from snncc.layer_bits import of_neurons

    chosen = compile_options(
        what.bits, what.guard_bits, what.per_layer, what.calibrate, graph,
        rounding=what.rounding, calibration_samples=what.calibration_samples,
    )  # fmt: skip
    return replace(chosen, layer_bits=of_neurons(graph, what.layer_bits))


def explanation(deployed: Deployed, what: Asked, found: Verification, gates: list[Gate]) -> str:
    """What is not met, where it shows, and what to try, for somebody who sees it for the first time."""
    from snncc.report.terminal import percent

    lines = [f"{deployed.name} is not ready for {deployed.target.name}:", *(f"  {g.outcome}: {g}" for g in gates), ""]
    if found.float_accuracy is not None:
        lines.append(
            f"On {found.samples:,} samples of {what.data} the float network gets {percent(found.float_accuracy)} right, the "
            f"integer program that runs on the target {percent(found.integer_accuracy)}; {found.lost:,} samples are right in "
            f"float alone, {found.won:,} in integers alone."
        )
    if found.layers:
        worst = min(found.layers, key=lambda layer: layer.spike_agreement)
        lines.append(
            f"Spikes agree least in {worst.layer} ({percent(worst.spike_agreement)} of neurons and steps). The first that "
            f"differs from the float network: {found.first_deviation or 'none'}."
        )
    model = str(what.model) if isinstance(what.model, str | Path) else "MODEL"
    lines += [f"Where to look: {look}" for look in where_to_look(found, model, what.target, str(what.data))]
    lines += [f"What to try: {remedy}" for remedy in _remedies(what, found, gates)]
    if isinstance(what.model, str | Path):
        lines.append(f"The whole picture: snncc verify {what.model} --target {what.target} --data {what.data}")
    return "\n".join(lines)


def where_to_look(found: Verification, model: str, target: str, data: str) -> list[str]:
    """Where a gate on samples failed: whether the network was broken before it was compiled, and what shows where compiling
    broke it."""
    from snncc.gates import ACCURACY, AGREEMENT, DROP, LOST

    failed = {g.name: g for g in found.gates if g.outcome == "failed"}
    looks = []
    if ACCURACY in failed and found.float_accuracy is not None and 100 * found.float_accuracy < failed[ACCURACY].limit:
        looks.append(
            f"the float network itself gets only {100 * found.float_accuracy:.2f} % right, so it was broken before it was "
            f"compiled: look at the weights in the file, at how it was read (snncc inspect {model}) and at the data"
        )
    lost = failed.get(LOST)
    if lost is not None and (found.drop or 0) * found.samples < lost.value / 2:
        looks.append(
            f"the float network gets {100 * (found.float_accuracy or 0):.2f} % right now, hardly more than its integers: "
            f"the network itself changed since the baseline, not what compiling does to it: look at the weights in the file "
            f"and at how it was read (snncc inspect {model})"
        )
        lost = None
    if ({DROP, AGREEMENT} & set(failed) or lost is not None) and found.layers:
        worst = min(found.layers, key=lambda layer: layer.spike_agreement)
        looks.append(
            f"compiling changed the spikes, most of all in {worst.layer}. Which pass did it, and whether it is rounding or "
            f"a fault: snncc diff {model} --stages --target {target} --data {data} --limit 50, with the other options of this run"
        )
    return looks


def _remedies(what: Asked, found: Verification, gates: list[Gate]) -> list[str]:
    from snncc.gates import AGREEMENT, DROP

    remedies = []
    if found.reference.differing or (found.target is not None and found.target.differing):
        cell = found.reference.first or (found.target and found.target.first)
        remedies.append(f"nothing in the network: an executor computes something else than it should, first in {cell}")
    if any(g.outcome == "undecided" for g in gates):
        remedies.append('more samples (samples="auto" takes as many as it needs), or allow_undecided=True')
    if any(g.outcome == "failed" and g.name in (DROP, AGREEMENT) for g in gates):
        if what.bits < 8:
            remedies.append(f"more bits a weight: bits={what.bits} now, 8 by default")
        if what.per_layer:
            remedies.append("per_layer=False: a scale of its own for each channel")
        if what.calibrate is None:
            remedies.append("calibrate= with training data, which fits the scales to what the layers do")
        remedies.append("training on the integers of the deployment: snncc train --bits")
    return remedies
