"""``snncc train``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from snncc.cli import options as shared

LOG_SUFFIX = ".csv"


@click.command("train")
@click.argument("recipe_name", metavar="RECIPE")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Checkpoint to write (runs/RECIPE.pt).")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The same seed gives the same weights.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Other than the recipe's.")
@click.option("--learning-rate", type=float, help="Other than the recipe's; a tenth of it suits fine-tuning.")
@click.option("--data", "data_name", help="A data set other than the recipe's, such as fashion-mnist.")
@shared.limit_option
@click.option("--from", "start", metavar="MODEL", help="Checkpoint or zoo model to go on from.")
@click.option("--bits", type=click.IntRange(2, 16), help="Train with the integers that compile --bits would deploy.")
@click.option(
    "--scales",
    type=click.Choice(("chosen", "kept", "trained")),
    help="Of these integers: chosen anew every 25 batches, kept as at the start, or trained (networks of dsr neurons).",
)
@click.option("--device", default="cpu", show_default=True, help="Of PyTorch, such as cuda.")
@click.option("--compile", "compiled", is_flag=True, help="Through torch.compile: faster; needs a C++ compiler.")
@click.option("--restart", is_flag=True, help="Train from the start where an unfinished training was kept.")
@click.option("--diagnose", is_flag=True, help="Train nothing: show what each layer does before training.")
@shared.json_option
def command(
    recipe_name: str, output: Path | None, seed: int, epochs: int | None, learning_rate: float | None,
    data_name: str | None, limit: int | None, start: str | None, bits: int | None, scales: str | None, device: str,
    compiled: bool, restart: bool, diagnose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train RECIPE of the zoo (snncc models lists them) and write its checkpoint and log.

    A training that was stopped goes on after the last epoch it finished.
    """
    from snncc.errors import InputError
    from snncc.files import check_writable
    from snncc.registry import get_models
    from snncc.report import terminal

    recipes = get_models()
    if recipe_name not in recipes:
        raise InputError(f"there is no recipe {recipe_name!r}; known: {', '.join(recipes)}")
    recipe = recipes[recipe_name]
    given = {"start": start, "bits": bits, "scales": scales, "learning_rate": learning_rate}
    other: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    recipe = replace(recipe, training=replace(recipe.training, **other))
    if diagnose:
        _diagnose(recipe, seed, data_name, as_json)
        return
    out = output or Path("runs") / f"{recipe.name}.pt"
    if out.suffix == LOG_SUFFIX:
        raise InputError(f"{out}: is where the log goes; give the checkpoint another ending, such as .pt")
    check_writable(out)
    check_writable(out.with_suffix(LOG_SUFFIX))
    last = {"epoch": 0}

    def show(update: object) -> object:
        def progress(epoch: int, batch: int, batches: int, loss: float, accuracy: float) -> None:
            total = (epochs or recipe.training.epochs) * batches
            update((epoch - 1) * batches + batch, total)  # type: ignore[operator]
            if batch == batches and epoch != last["epoch"]:
                last["epoch"] = epoch
                click.echo(f" epoch {epoch:>3}   loss {loss:.4f}   training accuracy {100 * accuracy:.2f} %", err=True)

        return progress

    with terminal.progress("training", not as_json) as update:
        result = recipe.train(
            out, seed=seed, data=data_name, epochs=epochs, limit=limit, device=device, compiled=compiled,
            restart=restart, progress=show(update),
        )  # fmt: skip
    facts = {"checkpoint": str(result.checkpoint), "log": str(result.log), "test_accuracy": result.test_accuracy}
    if as_json:
        terminal.print_json(facts)
        return
    terminal.fact("trained", recipe.name, f"test accuracy {terminal.percent(result.test_accuracy)}")
    terminal.fact("wrote", str(result.checkpoint), str(result.log))


def _diagnose(recipe: Any, seed: int, data_name: str | None, as_json: bool) -> None:
    """A line for every layer of the untrained network, and the remedy for each that is not alive."""
    from snncc.report import terminal

    found = recipe.diagnose(seed, data_name)
    if as_json:
        terminal.print_json([asdict(layer) | {"verdict": layer.verdict} for layer in found])
        return
    rows = [
        [
            h.layer,
            f"{h.rate:.3f}",
            f"{100 * h.silent:.0f} %",
            "–" if h.inside is None else f"{100 * h.inside:.0f} %",
            h.verdict,
        ]
        for h in found
    ]
    terminal.table(["layer", "firing rate", "silent neurons", "inside the window", ""], rows, left=1)
    for verdict, remedy in dict.fromkeys((h.verdict, h.remedy) for h in found if h.remedy):
        terminal.fact(verdict, ", ".join(h.layer for h in found if h.verdict == verdict), remedy)
