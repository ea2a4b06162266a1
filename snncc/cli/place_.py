"""``snncc place``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snncc.cli import options as shared

if TYPE_CHECKING:
    import numpy as np

    from snncc.chip.partition import Partition
    from snncc.chip.place import Placement
    from snncc.chip.spec import Chip
    from snncc.energy.costs import CostSet
    from snncc.program.activity import Activity
    from snncc.program.program import Program


@click.command("place")
@click.argument("model")
@shared.chip_option(required=True)
@shared.target_option
@click.option("--map", "show_map", is_flag=True, help="Draw the mesh, a letter a core.")
@click.option("--svg", "svg_file", type=click.Path(path_type=Path), help="Write a drawing of cores by layer and fill.")
@click.option("--data", "data_name", help="Place for the spikes counted on a data set, such as mnist:demo.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=64, show_default=True, help="Samples of the data set to count on."
)
@click.option(
    "--sanafe",
    "sanafe_folder",
    type=click.Path(path_type=Path),
    help="Write the placed network, its spikes on --data and its costs for the simulator SANA-FE.",
)
@click.option("--costs", "cost_name", help="Of --sanafe: a cost set or a .toml file of your own (loihi1).")
@shared.encode_option
@shared.quantise_options
@shared.semantics_options
@shared.json_option
def command(
    model: str,
    chip_name: str,
    target_name: str | None,
    show_map: bool,
    svg_file: Path | None,
    data_name: str | None,
    limit: int,
    sanafe_folder: Path | None,
    cost_name: str | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Put the neurons of MODEL (or of a compiled folder) on the cores of a chip, and say what that fills.

    Without --data every neuron that fires counts one message to each core that listens. Exits with 1, and lists every
    reason, where the network does not fit.
    """
    from snncc.chip.draw import svg
    from snncc.chip.partition import partition
    from snncc.chip.place import place
    from snncc.chip.spec import load_chip
    from snncc.energy.costs import DEFAULT_COSTS, load_costs
    from snncc.files import check_writable, written_beside
    from snncc.report import terminal
    from snncc.report.findings import show_findings

    chip = load_chip(chip_name)
    if sanafe_folder is not None and data_name is None:
        raise click.UsageError(
            "--sanafe plays recorded spikes back: give --data, and --limit for how many samples of it"
        )
    if cost_name is not None and sanafe_folder is None:
        raise click.UsageError("--costs are those of --sanafe; give both")
    costs = load_costs(cost_name or DEFAULT_COSTS)
    if svg_file is not None:
        check_writable(svg_file)
    target = target_name or (None if Path(model).is_dir() else chip.target)
    graph, program, _, folder = shared.compiled_or_compile(model, target, rest, chip)
    cut, findings = partition(program, chip)
    if cut is None:
        if as_json:
            terminal.print_json({"chip": chip.name, "findings": [vars(f) for f in findings]})
        else:
            show_findings(findings)
        raise click.exceptions.Exit(1)
    spikes: dict[str, np.ndarray] | None = None
    samples: list[Activity] = []
    if data_name is not None:
        spikes, samples = measured(program, folder, graph, data_name, limit, as_json, sanafe_folder is not None)
    made = place(cut, spikes)
    written = {} if sanafe_folder is None else {"sanafe": for_sanafe(made, costs, samples, sanafe_folder)}
    if svg_file is not None:
        with written_beside(svg_file) as beside:
            beside.write_text(svg(made), encoding="utf-8")
    if as_json:
        terminal.print_json(facts(made) | written)
        return
    show(made, show_map)
    if svg_file is not None:
        terminal.fact("wrote", str(svg_file))
    for name, file in written.items():
        energy = f"energy of cores and hops by {costs.name}: {terminal.joules(file['joules'])}"
        terminal.fact(
            "wrote", str(sanafe_folder), f"for {name}: {file['steps']:,} steps, {file['synapses']:,} synapses", energy
        )


def measured(
    program: Program, folder: Path | None, graph: Any, data_name: str, limit: int, quiet: bool, each: bool
) -> tuple[dict[str, np.ndarray], list[Activity]]:
    """(how often each neuron fires on the first samples of a data set, by population; with ``each`` what it does on each)."""
    from snncc.feed import portions, take
    from snncc.program.activity import measure_activity
    from snncc.registry import get_target
    from snncc.report import terminal
    from snncc.target import RunOptions

    inputs = shared.load_inputs(data_name, limit, graph)
    engine = get_target("fixed-sim")
    made: dict[str, Any] = {}
    samples: list[Activity] = []
    with shared.announced(engine), terminal.progress("counting", not quiet) as update:
        for part in portions(inputs, program.source, program.time_steps):
            run = engine.run(program, folder, part, RunOptions(record=True, membranes=False, progress=update))
            for name, raster in run.spikes.items():
                made[name] = made.get(name, 0) + (raster != 0).sum(axis=(0, 1))
            for n in range(run.samples if each else 0):
                spikes = {name: raster[:, n : n + 1] for name, raster in run.spikes.items()}
                samples.append(measure_activity(program, spikes, take(part, program.source, n, n + 1)))
    return made, samples


def for_sanafe(made: Placement, costs: CostSet, samples: list[Activity], folder: Path) -> dict[str, Any]:
    """Write the files, and say what they hold and what their energy is by our own model, in joules for all samples."""
    from snncc.chip.counts import place_counts
    from snncc.chip.sanafe import write_sanafe
    from snncc.energy.account import account
    from snncc.energy.counted import Counted
    from snncc.program.activity import add_activities

    written = write_sanafe(made, costs, samples, folder)
    counts = place_counts(made, add_activities(samples)).totals()
    terms = account(Counted(made.partition.program.name, counts), costs, number=1).terms
    joules = sum(t.energy.typ for t in terms if t.energy is not None and t.scope in ("S1", "S2"))
    return {"folder": str(folder), "costs": costs.name, "joules": joules, **vars(written)}


def facts(placement: Placement) -> dict[str, Any]:
    """All there is to say, for machines."""
    partition = placement.partition
    chip = partition.chip
    return {
        "chip": chip.name,
        "file": chip.file,
        "sha256": chip.sha256,
        "cores": len(partition.cores),
        "chips": placement.chips_used,
        "tiles": placement.tiles_used,
        "layers": layers(partition),
        "limits": {
            name: {"value": limit.value, "unknown": limit.unknown, "assumed": limit.assumed, "source": limit.source}
            for name, limit in chip.limits.items()
        },
        "traffic": {
            "measured": placement.measured,
            "messages": int(placement.traffic.messages.sum()),
            "hop_weighted": placement.cost,
            "hop_weighted_in_order": placement.naive_cost,
        },
        "placed": [
            {
                "core": i, "chip": int(placement.chip_of[i]), "tile": int(placement.tiles[i]), "layer": box.population,
                "channels": list(box.channels), "rows": list(box.rows), "columns": list(box.columns), **taken,
            }
            for i, (box, taken) in enumerate(zip(partition.cores, partition.taken, strict=True))
        ],
    }  # fmt: skip


def layers(partition: Partition) -> list[dict[str, Any]]:
    """Cores of each layer, and the fullest core's share of each limit that has a number."""
    from snncc.chip.draw import fills

    shares = fills(partition)
    made = []
    for p in partition.program.populations:
        mine = [i for i, box in enumerate(partition.cores) if box.population == p.name]
        full = {name: float(share[mine].max()) for name, share in shares.items()}
        made.append({"layer": p.name, "neurons": p.size, "cores": len(mine), "fill": full})
    return made


def show(placement: Placement, show_map: bool) -> None:
    """The table: cores and the fullest core of each layer; then the chip, the traffic and what was not checked."""
    from snncc.chip.draw import signs, text_map
    from snncc.report import terminal as t

    partition, chip = placement.partition, placement.partition.chip
    known, letters = list(layers(partition)[0]["fill"]), signs(partition)
    heads = [name.removesuffix("_per_core").replace("_", " ") for name in known]
    rows = [
        [letters[layer["layer"]], layer["layer"], f"{layer['neurons']:,}", f"{layer['cores']:,}",
         *(f"{layer['fill'][name]:.0%}" for name in known)]
        for layer in layers(partition)
    ]  # fmt: skip
    t.table(["", "layer", "neurons", "cores", *heads], rows, left=2)
    if known:
        click.echo(" shares of a core's limits, of the layer's fullest core")
    show_chip(chip)
    used = f"{len(partition.cores):,} of {partition.chips * chip.cores:,} cores"
    where = f"{number_of(placement.tiles_used, 'tile')}, {number_of(placement.chips_used, 'chip')}"
    t.fact("placed", f"{chip.name}: {used}, {where}")
    less = 1 - placement.cost / placement.naive_cost if placement.naive_cost else 0.0
    counted = "spikes counted on data" if placement.measured else "one spike of every neuron (--data counts them)"
    t.fact(
        "traffic", f"{placement.cost:,} messages × links, {less:.0%} less than cores in their order "
        f"({placement.naive_cost:,})", counted,
    )  # fmt: skip
    if show_map:
        for line in text_map(placement):
            click.echo(f" {line}")


def number_of(number: int, what: str) -> str:
    """``1 chip``, ``2 chips``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def show_chip(chip: Chip) -> None:
    """What the chip's file does not know or assumes."""
    from snncc.report import terminal as t

    names = [limit.name.replace("_", " ") for limit in chip.unchecked]
    if names:
        t.fact("unknown", f"{', '.join(names)}: not public, not checked")
    assumed = [limit.name.replace("_", " ") for limit in (*chip.mesh.values(), *chip.limits.values()) if limit.assumed]
    if assumed:
        t.fact("assumed", f"{', '.join(assumed)} ({chip.file} says why)")
