"""``snncc replay``."""

from __future__ import annotations

import click

from snncc.cli import options as shared

REFERENCE = "reference"


@click.command("replay")
@click.argument("folder")
@click.option(
    "--on", "on", metavar="TARGET", help=f"Run on another target, or on '{REFERENCE}', the golden interpreter."
)
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds before giving up."
)
@shared.engine_options
@shared.json_option
def command(folder: str, on: str | None, timeout: float, path: str, threads: int | None, as_json: bool) -> None:
    """Run the recorded samples of a compiled FOLDER again and compare every spike with what was recorded.

    snncc compile --record DATA puts samples and their spikes into the folder; no data set is needed to replay them. Exits
    with 1 where a spike or a score differs, and names the first.
    """
    from snncc.compare import compare_recordings
    from snncc.errors import ArtifactError, InputError
    from snncc.program.recording import read_recording, spikes_sha256
    from snncc.program.reference import run_reference
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions

    artifact = shared.read_compiled(folder)
    if artifact is None:
        raise InputError(f"{folder}: no such compiled folder; snncc compile --record DATA makes one")
    try:
        recorded = read_recording(artifact.folder, artifact.program)
    except ArtifactError:
        raise
    except InputError as error:  # the file is whole, for the manifest has its hash, but it is not of this program
        raise ArtifactError(f"{folder}: its recording does not fit its program ({error})") from error
    own, program = str(artifact.manifest.get("target")), artifact.program
    name = on or own
    if name == REFERENCE:
        run = run_reference(program, recorded.inputs)
    else:
        target = get_target(name)
        how = RunOptions(record=True, membranes=False, timeout_s=timeout, path=path, threads=threads or 0)
        with shared.announced(target):
            run = target.run(program, artifact.folder if name == own else None, recorded.inputs, how)
    found = compare_recordings(recorded.run, run, [p.name for p in program.populations], name)
    digest = spikes_sha256(program, run.spikes)
    passed = found.differing == 0 and digest == recorded.sha256
    if as_json:
        terminal.print_json(
            {
                "folder": folder,
                "target": name,
                "data": recorded.data,
                "samples": found.samples,
                "cells": found.cells,
                "differing": found.differing,
                "first": found.first and vars(found.first),
                "sha256": {"recorded": recorded.sha256, "replayed": digest},
                "passed": passed,
            }
        )
    else:
        terminal.fact("replayed", f"{found.samples} samples ({recorded.data}) on {name}")
        terminal.fact(
            "spikes", f"sha256 {digest}", "as recorded" if digest == recorded.sha256 else f"not {recorded.sha256}"
        )
        said = f"{found.differing:,} of {found.cells:,} cells differ"
        terminal.verdict("met" if passed else "failed", said if found.first is None else f"{said}, first {found.first}")
    if not passed:
        raise click.exceptions.Exit(1)
