"""Every network of the zoo, trained or not, and every third-party case, on Loihi 1 and 2: placed, or refused with all reasons.

    python -m benchmarks.chips [NAME …]            a line each; exit 1 where a check fails
    python -m benchmarks.chips --write [NAME …]    their lines of the table in docs/chips.md; without names the whole table

Three checks, each by code that shares nothing with the placer (``tests/chip/brute.py``, and the run's own counters): a placed
network respects every limit of every core, neuron by neuron; a refused one has a neuron that no core can hold wherever a limit
does not depend on the cut; and on one sample of noise the counters of all cores add up to those of the unplaced network.
Networks without a checkpoint have the weights that training would start from.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pages import parted
from snncc.chip.counts import place_counts
from snncc.chip.draw import fullest
from snncc.chip.fit import fit
from snncc.chip.footprint import CORE_LIMITS, ids_of
from snncc.chip.partition import Partition
from snncc.chip.place import place
from snncc.chip.spec import Chip, chips, load_chip
from snncc.errors import SnnccError
from snncc.frontends import load_model
from snncc.frontends.description import ACTIVATIONS
from snncc.ir.graph import Graph
from snncc.models.checkpoint import write_checkpoint
from snncc.models.conversion import convert_file
from snncc.models.module import SpikingNetwork
from snncc.program.activity import measure_activity
from snncc.program.counts import fan_out
from snncc.program.program import Program
from snncc.registry import get_models, get_target
from snncc.target import CompileOptions, Finding, RunOptions
from tests.chip.brute import limits_of, usage

CHIPS = ("loihi1", "loihi2")
CONVERTED_STEPS = 16
DOCUMENT = Path(__file__).parents[1] / "docs" / "chips.md"
BEGIN, END = "<!-- python -m benchmarks.chips --write -->", "<!-- end -->"
Check = Callable[[], "str | None"]


@dataclass(frozen=True)
class Network:
    """A network and how to read it. ``trained``: whether its weights are a result."""

    name: str
    read: Callable[[], Graph]
    trained: bool = True


@dataclass(frozen=True)
class Outcome:
    """What became of a network on a chip. ``said``: for the table. ``failed``: what a check found; empty where it holds."""

    neurons: int
    synapses: int
    said: str
    failed: tuple[str, ...] = ()


def zoo(folder: Path) -> Iterable[Network]:
    """The zoo; networks without a checkpoint are written into ``folder``."""
    for name, recipe in get_models().items():
        trained = recipe.checkpoint is not None and recipe.checkpoint.is_file()

        def read(name: str = name, recipe: object = recipe, trained: bool = trained) -> Graph:
            described = recipe.network  # type: ignore[attr-defined]
            path = recipe.checkpoint if trained else folder / f"{name}.pt"  # type: ignore[attr-defined]
            if not trained:
                import torch

                torch.manual_seed(0)
                write_checkpoint(path, *SpikingNetwork(described).deployed(), {})
            if any(layer["kind"] in ACTIVATIONS for layer in described["layers"]):
                made: Graph = convert_file(path, CONVERTED_STEPS).graph()
                return made
            return load_model(path)

        yield Network(name, read, trained)


def cases() -> Iterable[Network]:
    """The third-party networks of ``SNNCC_CASES``."""
    place = os.environ.get("SNNCC_CASES")
    if place is None:
        print("SNNCC_CASES is not set: the third-party networks are left out", file=sys.stderr)
        return
    steps = {"time_steps": "256"}
    for path, options in (
        ("nir-braille/braille_noDelay_bias_zero.nir", {"dialect": "snntorch", "reset": "zero", **steps}),
        ("nir-braille/braille_noDelay_noBias_subtract.nir", {"dialect": "snntorch", "reset": "subtract", **steps}),
        ("nir-single-lif/lif_norse.nir", {"dialect": "norse", "dt": "1e-4", "time_steps": "1000"}),
        ("nir-single-lif/lif_rockpool.nir", {"dialect": "rockpool", "time_steps": "1000"}),
        ("lava-dl-oxford/network.net", {"time_steps": "2000"}),
        ("lava-dl-tiny/tiny.net", {"time_steps": "15"}),
    ):
        yield Network(path, lambda path=path, options=options: load_model(Path(place) / path, options))  # type: ignore[misc]
    yield Network("snntorch-mnist/snn_model.pth", lambda: _tutorial(Path(place) / "snntorch-mnist" / "snn_model.pth"))


def _tutorial(path: Path) -> Graph:
    """snnTorch's tutorial network, as its README says."""
    import snntorch
    import torch
    from torch import nn

    from snncc import from_torch

    def leaky(**options: bool) -> nn.Module:
        module: nn.Module = snntorch.Leaky(beta=0.5, init_hidden=True, **options)
        return module

    net = nn.Sequential(
        *(nn.Conv2d(1, 12, 5), nn.MaxPool2d(2), leaky(), nn.Conv2d(12, 64, 5), nn.MaxPool2d(2), leaky()),
        *(nn.Flatten(), nn.Linear(64 * 4 * 4, 10), leaky(output=True)),
    )
    net.load_state_dict(torch.load(path, weights_only=True))
    return from_torch(net, torch.ones(1, 1, 28, 28), time_steps=50, encoding="static", name="snntorch-mnist")


def outcome(graph: Graph, chip: Chip) -> Outcome:
    """Place the network, with a threshold a channel, or where that is refused one a layer; check what came out."""
    failed: list[str] = []
    for per_channel in (True, False):
        found = fit(graph, get_target(chip.target), CompileOptions(per_channel=per_channel), chip)
        if found.made is None:
            return Outcome(0, 0, refused(found.errors))
        program, cut = found.made.program, found.partition
        synapses = sum(int(fan_out(program, p).sum()) for p in program.projections if not program.is_static(p))
        if cut is None:
            failed += ["refused without a reason"] * (not found.errors)
            failed += [] if found.made.errors else refusal_faults(program, chip, found.errors)
            continue
        failed += [*limit_faults(cut), *counter_faults(cut)]
        said = f"{chip.target} {refused(found.errors)}" if found.errors else placed(cut, per_channel)
        return Outcome(neurons(program), synapses, said, tuple(failed))
    return Outcome(neurons(program), synapses, refused(found.errors), tuple(failed))


def neurons(program: Program) -> int:
    return sum(p.size for p in program.populations)


def placed(cut: Partition, per_channel: bool) -> str:
    """Cores and chips, and the fullest core."""
    parts = [counted(len(cut.cores), "core"), *([counted(cut.chips, "chip")] if cut.chips > 1 else [])]
    return ", ".join([*parts, f"fullest {fullest(cut).max():.0%}", *([] if per_channel else ["`--per-layer`"])])


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def refused(findings: list[Finding]) -> str:
    """Every kind of reason, once, with its worst case."""
    kinds: dict[str, Finding] = {}
    for f in findings:
        kinds.setdefault(f.what, f)
    layers = {what: sum(f.what == what for f in findings) for what in kinds}
    said = [f"{what}: {f.actual}, limit {f.limit} ({f.layer}{f' and {n - 1} more' if (n := layers[what]) > 1 else ''})"
            for what, f in kinds.items()]  # fmt: skip
    return "refused: " + "; ".join(said)


def short(text: str) -> str:
    return text if len(text) <= 90 else text[:87] + "…"


def core_of(cut: Partition) -> dict[tuple[str, int], int]:
    """(population, neuron) to core."""
    found = {}
    for core, box in enumerate(cut.cores):
        shape = cut.program.population(box.population).shape
        grid = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (int(np.prod(shape)), 1, 1)
        found |= {(box.population, i): core for i in ids_of(box, grid).tolist()}
    return found


def limit_faults(cut: Partition) -> list[str]:
    """Cores over a limit, or taken for something else than they hold."""
    limits, where = limits_of(chips()[cut.chip.name]), core_of(cut)
    if not len(where) == neurons(cut.program) == sum(box.size for box in cut.cores):
        return ["a neuron is held twice or not at all"]
    faults = []
    for core, taken in usage(cut.program, where, limits).items():
        faults += [f"core {core} is said to take {dict(cut.taken[core])} and takes {taken}"] * (
            taken != dict(cut.taken[core])
        )
        over = [n for n in CORE_LIMITS if isinstance(limit := limits[n], int) and taken[n] > limit]
        faults += [f"core {core} is over {', '.join(over)}"] * bool(over)
    return faults


def refusal_faults(program: Program, chip: Chip, findings: list[Finding]) -> list[str]:
    """Populations with a neuron that no core can hold, and those refused: the same, but for limits that depend on the cut."""
    limits = limits_of(chips()[chip.name])
    names = [n for n in CORE_LIMITS if n != "output_axons_per_core" and isinstance(limits[n], int)]
    held = [(p.name, i) for p in program.populations for i in range(p.size)]
    alone = usage(program, {neuron: core for core, neuron in enumerate(held)}, limits)
    wanted = {held[core][0] for core, taken in alone.items() if any(taken[n] > int(limits[n]) for n in names)}
    found = {f.layer for f in findings if f.what.endswith("one neuron alone") and "listens to it" not in f.what}
    return [] if wanted == found else [f"refused {sorted(found)}; neurons that fit no core are in {sorted(wanted)}"]


def counter_faults(cut: Partition) -> list[str]:
    """Counters whose sum over cores is not that of the unplaced network, on one sample of noise."""
    program, source = cut.program, cut.program.source
    shape = (1, *source.shape) if source.encoding == "static" else (program.time_steps, 1, *source.shape)
    rng = np.random.default_rng(0)
    inputs = rng.integers(source.low, source.high + 1, shape) * (rng.random(shape) < 0.3)
    inputs = np.clip(inputs, source.low, source.high)
    run = get_target("fixed-sim").run(program, None, inputs, RunOptions(record=True, membranes=False, threads=1))
    counted = place_counts(place(cut), measure_activity(program, run.spikes, inputs))
    faults = []
    for event in ("updates", "active", "spikes"):
        wanted = sum(int(getattr(c, event).sum()) for c in run.counts.values())
        faults += [f"{event}: {int(getattr(counted, event).sum()):,} on cores, {wanted:,} unplaced"] * (
            int(getattr(counted, event).sum()) != wanted
        )
    for kind in ("dense", "sparse", "conv"):
        here = int(getattr(counted, f"synaptic_{kind}").sum())
        wanted = sum(int(run.counts[p.target].synaptic_operations[p.name].sum()) for p in program.projections
                     if p.kind == kind and not program.is_static(p))  # fmt: skip
        faults += [f"synaptic_{kind}: {here:,} on cores, {wanted:,} unplaced"] * (here != wanted)
    return faults


def row(network: Network) -> tuple[str, list[str]]:
    """(line of the table, what failed)."""
    try:
        graph = network.read()
    except SnnccError as error:
        return f"| `{network.name}` | | | not read: {short(str(error))} | |", []
    found = [outcome(graph, load_chip(name)) for name in CHIPS]
    size = max(found, key=lambda o: o.synapses)
    mark = "" if network.trained else " ¹"
    line = f"| `{network.name}`{mark} | {size.neurons:,} | {size.synapses:,} | {' | '.join(o.said for o in found)} |"
    return line, [f"{network.name} on {chip}: {f}" for chip, o in zip(CHIPS, found, strict=True) for f in o.failed]


def table(lines: Iterable[str]) -> str:
    return "\n".join(
        [
            BEGIN,
            "",
            "| network | neurons | synapses | Loihi 1 | Loihi 2 |",
            "|---|---|---|---|---|",
            *lines,
            "",
            "Synapses are non-zero weights at valid positions, without the static input's. *Fullest* is the largest share of any "
            "known limit in any core. ¹ not trained here: the weights that training would start from.",
            END,
        ]
    )


def write(lines: Sequence[str], order: Sequence[str], whole: bool, path: Path = DOCUMENT) -> None:
    """Put the lines in their place in the table, in the order of names; where they are not ``whole``, among those there."""
    before, old, after = parted(path.name, path.read_text(encoding="utf-8"), BEGIN, END)
    rows = {} if whole else {name_of(line): line for line in old.splitlines() if line.startswith("| `")}
    rows |= {name_of(line): line for line in lines}
    path.write_text(before + table(rows[name] for name in order if name in rows) + after, encoding="utf-8")


def name_of(line: str) -> str:
    return line.split("`")[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of networks; all if none is given")
    parser.add_argument("--write", action="store_true", help="into the table of docs/chips.md")
    given = parser.parse_args()
    lines, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        networks = (*zoo(Path(folder)), *cases())
        chosen = [n for name in given.names for n in networks if n.name == name] if given.names else networks
        for network in chosen:
            line, faults = row(network)
            print(line, *faults, sep="\n", flush=True)
            lines.append(line)
            failed += faults
            if given.write and given.names:
                write([line], [n.name for n in networks], whole=False)
    if given.write and not given.names:
        write(lines, [n.name for n in networks], whole=True)
    sys.exit(bool(failed) or not lines)


if __name__ == "__main__":
    main()
