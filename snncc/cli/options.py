"""Options and steps that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from snncc.cli.needs import only_with, warn_of_test_data
from snncc.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from snncc.chip.spec import Chip
    from snncc.data.dataset import Dataset
    from snncc.feed import Inputs
    from snncc.ir.graph import Graph
    from snncc.ir.nodes import Input, Output
    from snncc.program.artifact import Artifact
    from snncc.program.program import Program
    from snncc.target import CompileOptions, Target

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print the same facts as JSON.")
target_option = click.option("--target", "-t", "target_name", help="What to compile for; snncc targets lists them.")


def chip_option(required: bool = False) -> Callable[[F], F]:
    """Adds --chip."""
    return click.option(
        "--chip",
        "chip_name",
        required=required,
        metavar="NAME|FILE",
        help="A chip (loihi1, loihi2, unlimited) or a .toml file of your own.",
    )


def cut_option(function: F) -> F:
    """Adds --cut."""
    return click.option(
        "--cut", type=click.Choice(["fewest", "fastest"]), default="fewest", show_default=True,
        help="Cores a layer: the fewest that hold it, or more where that makes an inference faster on the same chips.",
    )(function)  # fmt: skip


data_option = click.option(
    "--data",
    "data_name",
    required=True,
    help="A data set with split, such as mnist:test or mnist:demo, or an .npz file with x and y.",
)
encode_option = click.option(
    "--encode",
    "encode_text",
    metavar="CODE",
    help="How images become spikes, where the network does not say or another way: poisson:gain=1,offset=0,seed=0.",
)
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Only the first N samples.")


def engine_options(function: F) -> F:
    """Adds --path and --threads: how fixed-sim runs, never what comes out."""
    path = click.option(
        "--path",
        type=click.Choice(["auto", "event", "dense"]),
        default="auto",
        show_default=True,
        help="How fixed-sim adds synapses up; the spikes are the same.",
    )
    threads = click.option("--threads", type=click.IntRange(min=1), help="Of fixed-sim; all processors if not given.")
    return path(threads(function))


@contextmanager
def announced(target: Target) -> Iterator[None]:
    """What takes time besides the runs inside, on standard error."""
    from snncc.report.terminal import fact

    context = click.get_current_context()

    def say(text: str) -> None:
        with context.scope(cleanup=False):  # a thread of the target's own knows nothing of NO_COLOR
            fact("note", text, err=True)

    if target.announce is None:
        yield
        return
    with target.announce(say):
        yield


SEMANTICS: dict[str, click.Option] = {
    option.name: option
    for option in (
        click.Option(["--dialect"], help="Whose semantics a NIR file follows: snntorch, norse, sinabs …"),
        click.Option(["--time-steps"], type=click.IntRange(min=1), help="Steps a sample, where the file does not say."),
        click.Option(
            ["--dt"], type=click.FloatRange(min=0, min_open=True), help="Time step, in the file's unit of time."
        ),
        click.Option(["--reset"], type=click.Choice(["subtract", "zero"]), help="How neurons reset, where it is open."),
        click.Option(
            ["--reset-delay"], type=click.Choice(["yes", "no"]), help="Whether a reset waits for the next step."
        ),
        click.Option(["--multi-spike"], help="yes, no, or the most spikes in a step."),
        click.Option(["--v-min"], help="Lower clamp of membranes: none, -threshold, or a number."),
        click.Option(
            ["--arch"], metavar="MODULE:FACTORY", help="Your code that builds the network of a bare state_dict."
        ),
        click.Option(
            ["--input-shape"], metavar="C,H,W", help="Shape of a sample at one step, where the file does not say."
        ),
        click.Option(["--unsafe-load"], is_flag=True, help="Load pickled Python objects, which can run anything."),
        click.Option(["--strict"], is_flag=True, help="Refuse to guess a dialect, or to take what it has by default."),
        click.Option(["--opt"], multiple=True, metavar="KEY=VALUE", help="Any other option of the file's reader."),
    )
}
"""Options that say what a file leaves open."""


def semantics_options(function: F) -> F:
    """Adds :data:`SEMANTICS`; the function gets them as one ``semantics`` argument, as a frontend takes them."""

    @wraps(function)
    def call(**values: Any) -> Any:
        given = {name: values.pop(name) for name in SEMANTICS}
        return function(**values, semantics=reader_options(**given))

    call.__click_params__ = [  # type: ignore[attr-defined]
        *getattr(function, "__click_params__", []),
        *reversed(SEMANTICS.values()),
    ]
    return cast(F, call)


CALIBRATION_SAMPLES = 200
MOST_GUARD_BITS = 16
QUANTISE = ("int8", "calibration", "calibration_samples", "rounding", "per_layer", "guard_bits", "layer_bits", "bits")


class GuardBits(click.ParamType):
    """A number of bits, or "auto"."""

    name = "0..16|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuses anything else."""
        return value if value == "auto" else click.IntRange(0, MOST_GUARD_BITS).convert(value, param, ctx)


def quantise_options(function: F) -> F:
    """Options of the compilation itself."""
    for option in (
        click.option(
            "--int8",
            is_flag=True,
            help="C with 8-bit weights and spikes, several a byte where they fit, and no 64-bit integers; or an error.",
        ),
        click.option(
            "--calibrate",
            "calibration",
            metavar="DATA",
            help="Measure activity on a data set; take training data, such as mnist:train.",
        ),
        click.option(
            "--calibration-samples",
            type=click.IntRange(min=1),
            default=CALIBRATION_SAMPLES,
            show_default=True,
            help="How many of its first.",
        ),
        click.option(
            "--rounding",
            type=click.Choice(["nearest", "learned"]),
            default="nearest",
            show_default=True,
            help="learned: weights and biases so that currents on --calibrate DATA stay as they were.",
        ),
        click.option("--per-layer", is_flag=True, help="One weight scale a layer instead of one a channel."),
        click.option(
            "--guard-bits",
            type=GuardBits(),
            help="Fraction bits of membranes (6); auto: as few as do, by spikes on --calibrate DATA.",
        ),
        click.option(
            "--layer-bits", metavar="NAME=BITS,…", help="Other bits for the weights into some layers: conv1=4,fc1=3."
        ),
        click.option("--bits", type=click.IntRange(2, 16), default=8, show_default=True, help="Bits of a weight."),
    ):
        function = option(function)
    return function


def reader_options(opt: tuple[str, ...] = (), **given: Any) -> dict[str, str]:
    """What the semantics options say, as a frontend takes it."""
    options = {}
    for pair in opt:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--opt")
        options[key.replace("-", "_")] = value
    flags = {key: "yes" for key, value in given.items() if value is True}
    return options | flags | {k: str(v) for k, v in given.items() if v is not None and not isinstance(v, bool)}


def read_graph(model: str, options: dict[str, str]) -> tuple[Path, Graph]:
    """(file, network) of a model argument. What its reader guessed or took by default is said on standard error."""
    from snncc.frontends import load_model
    from snncc.registry import resolve_model

    path = resolve_model(model)
    graph = load_model(path, options)
    for warning in graph.origin.get("warnings", ()):
        click.secho(" warning", fg="yellow", bold=True, nl=False, err=True)
        click.echo(f" {visible(warning)}", err=True)
    return path, graph


def visible(text: str) -> str:
    """``text`` with control characters written out: a name from a hostile file must not steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def chosen_options(given: Mapping[str, Any], graph: Graph) -> CompileOptions:
    """:func:`compile_options` of what a command with :func:`quantise_options` was given."""
    names = ("bits", "guard_bits", "per_layer", "calibration", "layer_bits", "rounding", "calibration_samples")
    only_with("--calibrate", given["calibration"] is not None, "calibration_samples")
    return compile_options(graph=graph, **{name: given[name] for name in names})


def compile_options(
    bits: int,
    guard_bits: int | str | None,
    per_layer: bool,
    calibration: str | None,
    graph: Graph,
    layer_bits: str | None = None,
    rounding: str = "nearest",
    calibration_samples: int = CALIBRATION_SAMPLES,
) -> CompileOptions:
    """The quantise options, with the calibration data loaded. Raises :class:`InputError` where learned rounding has none, and on
    guard bits that there are not."""
    from snncc.feed import take
    from snncc.layer_bits import of_neurons, parse_layer_bits
    from snncc.target import CompileOptions

    other = {} if layer_bits is None else of_neurons(graph, parse_layer_bits(layer_bits))
    samples = None
    if rounding == "learned" and calibration is None:
        raise InputError("--rounding learned: has no data to learn from; name training data: --calibrate mnist:train")
    if calibration is not None:
        warn_of_test_data("--calibrate", calibration)
        inputs = load_inputs(calibration, calibration_samples, graph)
        samples = take(inputs, input_of(graph), 0, calibration_samples)
    if guard_bits not in (None, "auto", *range(MOST_GUARD_BITS + 1)):
        raise InputError(f"--guard-bits: is {guard_bits!r}; give 0..{MOST_GUARD_BITS}, or auto with --calibrate DATA")
    fixed = None if guard_bits == "auto" else guard_bits
    chosen = CompileOptions(bits, cast("int | None", fixed), not per_layer, samples, other, rounding, calibration or "")
    return replace(chosen, guard_bits=_measured_guard_bits(graph, chosen)) if guard_bits == "auto" else chosen


def _measured_guard_bits(graph: Graph, options: CompileOptions) -> int:
    """What ``--guard-bits auto`` is; says on standard error what was measured."""
    from snncc.guard_bits import choose_guard_bits, measure_guard_bits
    from snncc.report.terminal import fact

    if options.calibration is None:
        raise InputError("--guard-bits auto: has no data to measure on; name training data: --calibrate mnist:train")
    errors = measure_guard_bits(graph, options)
    found = choose_guard_bits(errors)
    rows = ", ".join(f"{bits}: {100 * error:.2f} %" for bits, error in errors.items())
    fact("measured", f"{found} guard bits; spikes that differ from the float network's by guard bits {rows}", err=True)
    return found


def load_data(name: str, limit: int | None, graph: Graph) -> tuple[Inputs, np.ndarray | None]:
    """(inputs as the network takes them, labels or None): (N,), or (N, T) where the network answers each step. Raises
    :class:`InputError` on labels that are no class of the network."""
    from math import prod

    from snncc.accuracy import check_labels
    from snncc.ir.shapes import infer_shapes

    inputs, data = _loaded(name, limit, graph)
    labels = data.step_labels if cast("Output", graph.nodes[graph.output]).each_step else data.labels
    if labels is not None:
        check_labels(name, labels, prod(infer_shapes(graph)[graph.output]))
    return inputs, labels


def load_inputs(name: str, limit: int | None, graph: Graph) -> Inputs:
    """Inputs as the network takes them, where labels do not matter."""
    return _loaded(name, limit, graph)[0]


def _loaded(name: str, limit: int | None, graph: Graph) -> tuple[Inputs, Dataset]:
    from snncc.data import load
    from snncc.feed import feed

    data, entry = load(name, limit, graph.time_steps), input_of(graph)
    return feed(data.inputs, entry, graph.time_steps, name, entry.encoder), data


def input_of(graph: Graph) -> Input:
    """The network's input node."""
    entry = graph.nodes[graph.input]
    return cast("Input", entry)


def with_encoder(graph: Graph, text: str | None) -> Graph:
    """The network whose static samples become spikes as ``text`` (``--encode``) says; None leaves it."""
    from snncc.encode import parse_encoder
    from snncc.ir.shapes import infer_shapes

    if text is None:
        return graph
    entry = input_of(graph)
    if entry.encoding != "spikes":
        raise InputError(f"--encode {text}: {graph.name} takes {entry.encoding} input; leave --encode out")
    changed = graph.with_nodes({graph.input: replace(entry, encoder=parse_encoder(text))})
    infer_shapes(changed)
    return changed


def read_compiled(path: str, allowed: tuple[str, ...] = ()) -> Artifact | None:
    """The artefact if ``path`` is a compiled folder, None if it is something else; of the options for compiling, those
    ``allowed`` may be given."""
    from snncc.program.artifact import is_artifact, read_artifact

    folder = Path(path)
    if not folder.is_dir():
        return None
    if not is_artifact(folder):
        raise InputError(f"{path}: is a folder that snncc compile did not write")
    _refuse_compile_options(path, allowed)
    return read_artifact(folder)


def _refuse_compile_options(path: str, allowed: tuple[str, ...]) -> None:
    """A compiled folder is as it is: options that say how to read or compile a model would do nothing."""
    context = click.get_current_context()
    given = [
        option.opts[-1] for option in context.command.params
        if option.name in (*SEMANTICS, *QUANTISE) and option.name not in allowed
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]  # fmt: skip
    if given:
        raise InputError(
            f"{path}: is compiled already, so {', '.join(given)} would change nothing; compile the model again"
        )


def need_target(name: str | None, int8: bool) -> Target:
    """The target, which must be given, in the form that the options ask for."""
    from snncc.registry import entries, get_target

    if name is None:
        raise click.UsageError(f"say what to compile for: --target {'|'.join(entries('snncc.targets'))}")
    target = get_target(name)
    if int8 and "int8" not in target.variants:
        raise InputError(f"--int8: {name} has no such form; leave it out, or take --target c")
    return target.variants["int8"] if int8 else target


def compiled_or_compile(
    model: str, target_name: str | None, rest: dict[str, Any], chip: Chip | None = None
) -> tuple[Any, Any, Any, Path | None]:
    """(graph, program, target, folder or None) of a compiled folder, or of a model compiled now. Where the target refuses it,
    what ``chip`` cannot take is said too."""
    from snncc.registry import get_target

    artifact = read_compiled(model)
    if artifact is not None:
        compiled_for = str(artifact.manifest.get("target"))
        if target_name not in (None, compiled_for):
            raise InputError(f"{model}: was compiled for {compiled_for}, not {target_name}; compile the model again")
        graph = with_encoder(artifact.graph, rest["encode_text"])
        return graph, artifact.program, get_target(compiled_for), artifact.folder
    target = need_target(target_name, rest["int8"])
    _, graph = read_graph(model, rest["semantics"])
    graph = with_encoder(graph, rest["encode_text"])
    return graph, compile_read(graph, target, rest, chip), target, None


def compile_read(graph: Graph, target: Target, rest: dict[str, Any], chip: Chip | None = None) -> Program:
    """A network that was read, compiled as the quantise options in ``rest`` say. Raises as
    :func:`snncc.chip.fit.compile_for`."""
    from snncc.chip.fit import compile_for

    return compile_for(graph, target, chosen_options(rest, graph), chip).program
