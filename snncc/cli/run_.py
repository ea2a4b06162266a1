"""``snncc run``."""

from __future__ import annotations

from pathlib import Path

import click

from snncc.cli import options as shared
from snncc.cli import so_far


@click.command("run")
@click.argument("folder")
@shared.data_option
@shared.limit_option
@shared.encode_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write scores and predictions to an .npz file.")
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds before giving up."
)
@shared.engine_options
@shared.json_option
def command(
    folder: str,
    data_name: str,
    limit: int | None,
    encode_text: str | None,
    output: Path | None,
    timeout: float,
    path: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run the compiled FOLDER on data with its own target; needs no training framework.

    The signal SIGUSR1 (kill -USR1 PID; where the system has it, SIGINFO: Ctrl-T) prints the results so far; the run goes on.
    """
    from snncc.accuracy import correct
    from snncc.errors import InputError
    from snncc.files import save_arrays, written_beside
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions, run_all

    so_far.on_request(lambda: "nothing yet")
    artifact = shared.read_compiled(folder)
    if artifact is None:
        raise InputError(f"{folder}: no such compiled folder; snncc compile makes one")
    target = get_target(str(artifact.manifest.get("target")))
    program = artifact.program
    inputs, labels = shared.load_data(data_name, limit, shared.with_encoder(artifact.graph, encode_text))
    with shared.announced(target), terminal.progress(target.name, not as_json) as update:
        done = so_far.Parts(update)
        so_far.on_request(lambda: done.accuracy(labels))
        how = RunOptions(
            timeout_s=timeout, path=path, threads=threads or 0, progress=done.progress, part=done.part
        )  # fmt: skip
        result = run_all(target, program, artifact.folder, inputs, how)
    accuracy = None if labels is None else float(correct(result.predictions, labels).mean())
    if output is not None:
        with written_beside(output) as beside:
            save_arrays(beside, {"scores": result.scores, "predictions": result.predictions})
    spikes = sum(int(c.spikes.sum()) for c in result.counts.values()) / max(result.samples, 1)
    if as_json:
        terminal.print_json(
            {
                "target": target.name,
                "samples": result.samples,
                "accuracy": accuracy,
                "spikes_per_inference": spikes if result.counts else None,
                "predictions": result.predictions,
                "output": None if output is None else str(output),
            }
        )
        return
    terminal.fact("ran", f"{result.samples:,} samples on {target.name}")
    if accuracy is not None:
        terminal.fact("accuracy", terminal.percent(accuracy))
    if result.counts:
        terminal.fact("spikes", f"{terminal.count(spikes)} per inference")
    if output is not None:
        terminal.fact("wrote", str(output))
