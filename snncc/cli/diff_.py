"""``snncc diff``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    from snncc.diff.sources import Source
    from snncc.diff.stages import Stage
    from snncc.diff.walk import Walk
    from snncc.feed import Inputs
    from snncc.target import RunOptions

DEFAULT_TARGET = "fixed-sim"
LONGEST_TAU = 1e6
"""Steps; a filter that forgets nothing has no sum."""


@click.command("diff")
@click.argument("first")
@click.argument("second", required=False)
@click.option(
    "--stages", "all_stages", is_flag=True, help="Walk all stages of FIRST (the default where SECOND is missing)."
)
@shared.target_option
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option(
    "--exact", type=click.IntRange(min=1), help="Samples that the target runs, and whose membranes are compared."
)
@click.option(
    "--tau",
    type=click.FloatRange(min=0, min_open=True),
    default=4.0,
    show_default=True,
    help="Time constant of the spike-train distance, in steps.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds for the target."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the report as Markdown.")
@shared.engine_options
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(first: str, second: str | None, all_stages: bool, as_markdown: bool, as_json: bool, **rest: Any) -> None:
    """Say where two stages of a deployment part: FIRST and SECOND are MODEL or MODEL@STAGE.

    MODEL is a file, a zoo model, or a compiled folder. STAGE is framework (the live PyTorch module), read (the network as read),
    the name of a pass (the network after it), lower (whole numbers, states of any width), program, or target. Without a
    stage a model means read, and a folder program. Two stages of one model: every stage in between is
    walked, and each change laid to the stage that makes it. Exits with 1 where a stage goes beyond rounding, or two models differ.
    """
    from snncc.diff.walk import walk
    from snncc.errors import InputError
    from snncc.gates import check_range
    from snncc.registry import get_target
    from snncc.report import terminal

    check_range("--tau", rest["tau"], 0, LONGEST_TAU)
    if all_stages and second is not None:
        raise click.UsageError("--stages walks one model; leave SECOND out, or --stages")
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two forms of one report; take one")
    running = _running(rest)
    with shared.announced(get_target(DEFAULT_TARGET)), terminal.progress("comparing", not as_json) as update:
        chosen, source, inputs, labels, remarks = _chosen(first, second, rest, running)
        for remark in remarks:
            terminal.fact("note", remark, err=True)
        if len(chosen) < 2:
            raise InputError(f"{first}: has no second stage to compare with")
        found = walk(chosen, source.entry, inputs, labels, rest["exact"] or _few(source), rest["tau"], update)
    _print(found, f"snncc diff {first}" + (f" {second}" if second else ""), as_json, as_markdown)
    differs = any(step.cause == "other" for step in found.steps)
    if found.first_fault is not None or differs:
        raise click.exceptions.Exit(1)


def _few(source: Source) -> int:
    from snncc.diff.walk import FEW

    return source.target.exact_samples or FEW


def _running(rest: dict[str, Any]) -> RunOptions:
    from snncc.target import RunOptions

    return RunOptions(timeout_s=rest["timeout"], path=rest["path"], threads=rest["threads"] or 0)


def _chosen(
    first: str, second: str | None, rest: dict[str, Any], running: RunOptions
) -> tuple[list[Stage], Source, Inputs, Any, list[str]]:
    """(stages to walk, the model whose data they run on, its inputs and labels, remarks)."""
    from snncc.diff import sources
    from snncc.diff.stages import PROGRAM
    from snncc.feed import sample_count

    model, stage = sources.split(first)
    other, other_stage = (model, None) if second is None else sources.split(second)
    if second is None and stage is not None:
        raise click.UsageError(f"{first} is one stage; name a second one, or the model alone to walk all")
    a = _open(model, rest)
    inputs, labels = shared.load_data(rest["data_name"], rest["limit"], a.graph)
    samples = sample_count(inputs, a.entry)

    def stages(source: Source, wanted: tuple[str | None, ...]) -> tuple[list[Stage], list[str]]:
        walked = not all(name in (None, PROGRAM, "target", source.target.name) for name in wanted)
        given = _compile_options(source, rest, walked)
        every, remarks = sources.stages_of(source, given, _engine(running), samples, "framework" in wanted, running)
        return every, remarks if walked else []

    if second is None:
        every, remarks = stages(a, ("framework",) if _has_module(a) else ("read",))
        return every, a, inputs, labels, remarks
    if a.path == _resolved(other):
        every, remarks = stages(a, (stage, other_stage))
        places = [_place(every, name, a) for name in (stage, other_stage)]
        return sources.between(every, places[0], places[1], model), a, inputs, labels, remarks
    b = _open(other, rest)
    sources.check_comparable(a, b)
    pair, remarks = [], []
    for source, name in ((a, stage), (b, other_stage)):
        every, said = stages(source, (name,))
        pair.append(sources.alone(every, _place(every, name, source)))
        remarks += said
    return (
        [replace(x, name=f"{x.name} of {w}") for x, w in zip(pair, (model, other), strict=True)],
        a,
        inputs,
        labels,
        remarks,
    )


def _has_module(source: Source) -> bool:
    """Whether the file holds a live module."""
    from snncc.diff.framework import MODULE, ZOO

    return source.artifact is None and source.graph.origin.get("format") in (ZOO, MODULE)


def _place(stages: list[Stage], name: str | None, source: Source) -> int:
    from snncc.diff.stages import stage_named

    usual = "read" if source.artifact is None else "program"
    return stage_named(stages, name or usual, source.where)


def _resolved(model: str) -> Any:
    from pathlib import Path

    from snncc.registry import resolve_model

    return (Path(model) if Path(model).is_dir() else resolve_model(model)).resolve()


def _open(model: str, rest: dict[str, Any]) -> Source:
    """A model file, a zoo model, or a compiled folder."""
    from snncc.diff.sources import Source
    from snncc.errors import InputError
    from snncc.registry import get_target

    artifact = shared.read_compiled(model, ("calibration",))
    wanted = rest["target_name"]
    if artifact is None:
        target = shared.need_target(wanted or DEFAULT_TARGET, rest["int8"])
        path, graph = shared.read_graph(model, rest["semantics"])
        return Source(
            model, path.resolve(), shared.with_encoder(graph, rest["encode_text"]), target, None, rest["semantics"]
        )
    compiled_for = str(artifact.manifest.get("target"))
    if wanted not in (None, compiled_for):
        raise InputError(f"{model}: was compiled for {compiled_for}, not {wanted}; compile the model again")
    target = get_target(compiled_for)
    options = artifact.manifest.get("options")
    variant = options.get("variant") if isinstance(options, dict) else None
    target = target.variants.get(str(variant), target)
    return Source(
        model, artifact.folder.resolve(), shared.with_encoder(artifact.graph, rest["encode_text"]), target, artifact
    )


def _compile_options(source: Source, rest: dict[str, Any], walked: bool) -> Any:
    """``walked``: whether stages before the Program are asked for."""
    if source.artifact is None:
        return shared.chosen_options(rest, source.graph)
    from snncc.target import CompileOptions

    named = rest["calibration"]
    return CompileOptions(
        calibration=_calibration(source, named) if walked or named else None
    )  # all else is the folder's own


def _calibration(source: Source, named: str | None) -> Any:
    """The samples that a folder was calibrated on; None where it was not, or they are not found under the name that it has, which
    ``named`` takes the place of. Raises :class:`InputError` where those of ``named`` are others."""
    from snncc.compiler import sha256_of_samples
    from snncc.diff.sources import calibration_of
    from snncc.errors import InputError
    from snncc.feed import take

    assert source.artifact is not None
    count, own, digest = calibration_of(source.artifact)
    name = named or own
    if not count:
        if named is not None:
            raise InputError(f"{source.where}: was not calibrated, so --calibrate would change nothing; leave it out")
        return None
    if not name:
        return None
    try:
        samples = take(shared.load_inputs(name, count, source.graph), source.entry, 0, count)
        if digest not in ("", sha256_of_samples(samples)):
            raise InputError(f"{name}: its first {count:,} samples are not those that {source.where} was calibrated on")
    except InputError:
        if named is not None:
            raise
        return None
    return samples


def _engine(running: RunOptions) -> Any:
    """fixed-sim, which runs any Program."""
    from snncc.registry import get_target

    target = get_target(DEFAULT_TARGET)

    def run(program: Any, inputs: Any) -> Any:
        quiet = any(not p.fires for p in program.populations)
        return target.run(program, None, inputs, replace(running, record=True, membranes=quiet))

    return run


def _print(found: Walk, title: str, as_json: bool, as_markdown: bool) -> None:
    from snncc.report import difference as d
    from snncc.report import terminal as t

    if as_json:
        t.print_json(d.facts(found))
        return
    if as_markdown:
        click.echo(shared.visible(d.markdown(found, title)), nl=False)
        return
    for table in (d.stage_table(found), d.layer_table(found), d.distance_table(found)):
        if table.rows and len(table.head) > 1:
            t.table([*table.head], [[shared.visible(cell) for cell in row] for row in table.rows], table.left)
            click.echo()
    for label, text in d.lines(found):
        t.fact(label, shared.visible(text))
    for finding in found.findings:
        t.fact(finding.severity, shared.visible(d.finding_text(finding)))
