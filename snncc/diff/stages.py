"""The stages of a deployment in order: the framework's module, the Graph as read, the Graph after each pass, the Program,
the target. Each says what it may change of the stage before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from snncc.compiler import arithmetic_of, passes_of
from snncc.diff.audit import compare_programs, rounded_otherwise
from snncc.diff.trace import Trace, trace_graph, trace_program
from snncc.errors import InputError
from snncc.ir.graph import Graph
from snncc.pipeline import EXPONENTS, LEARNED, Context, Learned, Pass, PassResult, run_pipeline
from snncc.program.bounds import prove_bounds
from snncc.program.lower import lower
from snncc.program.program import EXACT, Program
from snncc.program.reference import IntegerRecording, run_reference
from snncc.target import CompileOptions, RunOptions, Target

Array = np.ndarray
Engine = Callable[[Program, Array], IntegerRecording]

FRAMEWORK, READ, LOWER, PROGRAM = "framework", "read", "lower", "program"
AGAIN = "program (compiled again)"
UNITS, BITS = "units", "bits"
"""The facts in which a quantising pass leaves what one unit of each neuron's weights is worth, and how many bits they have."""

FLOAT32, LAST_BITS, CONSTANTS, DECLARED, STATES, WIDTH, NOTHING, ANYTHING, UNKNOWN = (
    "float32", "last bits", "constants", "declared", "states", "width", "nothing", "anything", "unknown",
)  # fmt: skip
"""What a stage may change: sums in float32; the last bits of float64 sums; constants, to whole numbers; constants, as far
as the pass declares; states, by the rounding of leaks and shifts; states that leave their width; nothing; anything; what its
passes may, which cannot be run again."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One form of the network.

    Attributes:
        name: as it is written behind ``@``.
        may: what it may change of the stage before (see this file).
        run: takes integer inputs as the network takes them.
        graph, program: what it runs, where it is one.
        units: what one unit of each quantised neuron's weights is worth.
        declared: relative rounding of constants that the pass says it does, by field.
        rewrites: rules of neurons, and fields of the output, that the pass says it writes in another way.
        note: what the pass did.
        bits: of a weight, for :data:`CONSTANTS`; layer_bits: of the weights into these neurons, where the pass says so.
        exponents: powers of two of these synapses.
        learned: that a pass up to this one rounds otherwise than to nearest, and how.
        few: it is run on the first samples only, against the golden interpreter.
    """

    name: str
    may: str
    run: Callable[[Array], Trace]
    graph: Graph | None = None
    program: Program | None = None
    units: Mapping[str, Array] = field(default_factory=dict)
    declared: Mapping[str, float] = field(default_factory=dict)
    rewrites: tuple[str, ...] = ()
    note: str = ""
    bits: int = 8
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    exponents: Mapping[str, int] = field(default_factory=dict)
    learned: Learned | None = None
    few: bool = False


def read_stage(graph: Graph, samples: int = 1, may: str = ANYTHING) -> Stage:
    """The Graph as it was read."""
    return Stage(READ, may, lambda x: trace_graph(graph, x, {}, samples), graph=graph)


def program_stage(program: Program, engine: Engine, name: str = PROGRAM, may: str = ANYTHING) -> Stage:
    """A Program, run by ``engine``."""
    return Stage(name, may, lambda x: trace_program(program, engine(program, x)), program=program)


def reference_engine(program: Program, inputs: Array) -> IntegerRecording:
    """The golden interpreter."""
    return run_reference(program, inputs)


def compile_stages(
    graph: Graph,
    target: Target,
    options: CompileOptions,
    engine: Engine = reference_engine,
    samples: int = 1,
    program: Program | None = None,
    same_data: bool = True,
) -> list[Stage]:
    """From the Graph as read to the Program. ``program`` is one that was compiled before: where it is not what the pipeline makes
    now, both are there, and must be equal, unless rounding that was learned came out otherwise, or it is not known whether on the
    ``same_data``. ``samples`` is how many will be run."""
    stages = [read_stage(graph, samples)]
    context = Context()

    def after(one: Pass, result: PassResult) -> None:
        if not one.analysis:
            stages.append(_pass_stage(stages[-1], one, result, context, options, samples))

    quantised = run_pipeline(graph, passes_of(target, options), context, after)
    made = lower(quantised, arithmetic_of(graph, target), context.facts.get(UNITS))
    if program is None or not compare_programs(made, program):
        return stages + integer_stages(made, engine)
    *before, last = integer_stages(made, engine)
    compiled = program_stage(program, engine, PROGRAM, NOTHING)
    if not same_data:
        compiled = replace(compiled, may=UNKNOWN, note="whether it was calibrated on the same data is not known")
    elif LEARNED in context.facts and rounded_otherwise(made, program, context.facts.get(EXPONENTS, {})):
        compiled = replace(
            compiled, may=UNKNOWN, note="learned rounding came out otherwise here, as it may on another machine"
        )
    return [*stages, *before, replace(last, name=AGAIN), compiled]


def _pass_stage(
    before: Stage, one: Pass, result: PassResult, context: Context, options: CompileOptions, samples: int
) -> Stage:
    """The Graph after a pass; where it did nothing, the stage before under its name."""
    if not result.changed:
        return replace(before, name=one.name, may=NOTHING, note="")
    units = {n: np.asarray(u) for n, u in context.facts.get(UNITS, {}).items()}
    declared = getattr(one, "rounds", {})
    learned = context.facts.get(LEARNED)
    rounds = (units and not before.units) or learned is not before.learned
    may = CONSTANTS if rounds else DECLARED if declared else LAST_BITS
    made = result.graph
    return Stage(
        one.name,
        may,
        lambda x: trace_graph(made, x, units, samples),
        graph=made,
        units=units,
        declared=declared,
        rewrites=tuple(getattr(one, "rewrites", ())),
        note=result.summary,
        bits=options.bits,
        layer_bits=dict(context.facts.get(BITS, {})),
        exponents=dict(context.facts.get(EXPONENTS, {})),
        learned=learned,
    )


def integer_stages(program: Program, engine: Engine = reference_engine) -> list[Stage]:
    """The Program, and before it, where a state may leave its width, the same with states wide enough for all: so what
    rounding does and what saturation does stand apart."""
    if prove_bounds(program).proven:
        return [program_stage(program, engine, PROGRAM, STATES)]
    wide = replace(program, arithmetic=replace(EXACT, rounding=program.arithmetic.rounding))
    return [program_stage(wide, engine, LOWER, STATES), program_stage(program, engine, PROGRAM, WIDTH)]


def target_stage(target: Target, program: Program, folder: object, options: RunOptions) -> Stage:
    """The Program as the target runs it; ``folder`` is the compiled folder, or None."""
    recorded = replace(options, record=True)

    def run(inputs: Array) -> Trace:
        return trace_program(program, target.run(program, folder, inputs, recorded), target.name)  # type: ignore[arg-type]

    return Stage(target.name, NOTHING, run, program=program, few=True)


def stage_named(stages: list[Stage], name: str, where: str) -> int:
    """Position of the stage ``name``. Raises :class:`InputError` listing the stages there are."""
    names = [s.name for s in stages]
    wanted = names[-1] if name == "target" else name
    if wanted not in names:
        raise InputError(f"{where}@{name}: has no such stage; it has {', '.join(names)}")
    return names.index(wanted)
