"""docs/results.md: a row a trained recipe, every figure from its log, its record and its recipe."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from snncc.errors import InputError
from snncc.files import sha256_of, written_beside
from snncc.registry import get_models

HEAD = """# What the zoo reaches

Made by `make results` from the recipes (`models/recipes/*.toml`), the training logs (`models/checkpoints/*.csv`) and the
records (`models/checkpoints/*.json`, by `make zoo-record`, which compiles and verifies every network on its test set; the
column *test samples* says on how much of it); no figure is typed in by hand. Every network is the last epoch of one
training; nothing was chosen by test accuracy.

- *float*: the trained network. *compiled*: the integer program on `fixed-sim` with weights of so many *bits*. *drop*: their
  difference in points, with its 95 % interval.
- *spikes*, *synaptic operations*: of one inference, on average. *energy S1*: core dynamic energy at {costs} costs, typical
  [low … high], on no chip: a spike is one message to each layer; see [energy.md](energy.md) for what that leaves out.
- *published*: accuracy in the paper, of the paper's network.
- CIFAR-10 is trained on 45,000 images and tested on the 1,900 test images that are at hand without loss; *held out* are the
  5,000 training images left over.
"""


def record_path(name: str) -> Path:
    """Where the record of a recipe's checkpoint lies."""
    path: Path = get_models()[name].checkpoint
    return path.with_suffix(".json")


def write_results(path: Path) -> None:
    """Write ``path``. Raises :class:`InputError` where a record is of another checkpoint than the one that is there."""
    with written_beside(path) as beside:
        beside.write_text(results(), encoding="utf-8")


def results() -> str:
    """The page."""
    rows = [row for name, recipe in get_models().items() if recipe.checkpoint.is_file() for row in [_row(name, recipe)]]
    costs = sorted({row["costs"] for row in rows if row["costs"]})
    page = HEAD.format(costs=", ".join(costs) or "the default") + "\n"
    columns = {
        "recipe": "recipe", "data": "data", "samples": "test samples", "T": "T", "float": "float",
        "bits": "bits", "compiled": "compiled", "drop": "drop",
        "held out": "held out (compiled)", "spikes": "spikes", "operations": "synaptic operations", "energy": "energy S1",
        "published": "published", "training": "training",
    }  # fmt: skip
    page += "| " + " | ".join(columns.values()) + " |\n|" + "---|" * len(columns) + "\n"
    page += "".join("| " + " | ".join(row[key] for key in columns) + " |\n" for row in rows)
    page += _conversions() + _controls()
    page += "\n## What each row is\n\n" + "".join(f"- **{row['recipe']}**: {row['description']}.\n" for row in rows)
    untrained = [
        f"`{name}`" for name, recipe in get_models().items() if not (recipe.checkpoint.is_file() or recipe.control_of)
    ]
    if untrained:
        page += f"\nRecipes without a checkpoint here, ready to run: {', '.join(untrained)}.\n"
    return page


def _conversions() -> str:
    """Accuracy against time steps of the networks that were ANNs."""
    rows = []
    for name, recipe in get_models().items():
        found = _record(name, recipe) if recipe.checkpoint.is_file() else None
        if found is None or not found.get("conversion"):
            continue
        curves = found["conversion"]
        for v_init, title in (("half", "θ/2"), ("zero", "0")):
            cells = [f"{100 * accuracy:.2f} %" for accuracy in curves[v_init].values()]
            rows.append([name, f"{100 * curves['ann_accuracy']:.2f} %", title, *cells])
            steps = list(curves[v_init])
    if not rows:
        return ""
    head = ["recipe", "ANN", "v(0)", *(f"T = {t}" for t in steps)]
    table = [head, ["---"] * len(head), *rows]
    return (
        "\n## Conversion\n\nAccuracy of the converted, 8-bit compiled network on `fixed-sim` after T steps.\n\n"
        + "".join("| " + " | ".join(row) + " |\n" for row in table)
    )


def _controls() -> str:
    """Test accuracy by epoch of each control beside the recipe that it is the control of."""
    made = ""
    for recipe in get_models().values():
        with_it = get_models().get(recipe.control_of)
        if with_it is None or not all(r.checkpoint.with_suffix(".csv").is_file() for r in (recipe, with_it)):
            continue
        made += f"\n## {with_it.name} and its control\n\n{recipe.description}. Test accuracy after each epoch:\n\n"
        curves = {r.name: [100 * float(line["test_accuracy"]) for line in _log(r)] for r in (with_it, recipe)}
        length = max(map(len, curves.values()))
        made += f"| recipe | {' | '.join(str(n + 1) for n in range(length))} |\n|{'---|' * (length + 1)}\n"
        for curve, values in curves.items():
            made += f"| {curve} | {' | '.join(f'{value:.2f} %' for value in values)} |\n"
    return made


def _log(recipe: Any) -> list[dict[str, str]]:
    with recipe.checkpoint.with_suffix(".csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _row(name: str, recipe: Any) -> dict[str, str]:
    log = _log(recipe)
    minutes = sum(float(line["seconds"]) for line in log) / 60
    published = recipe.published
    row = {
        "recipe": name,
        "description": recipe.description,
        "data": recipe.training.data,
        "T": str(recipe.network["time_steps"]),
        "float": f"{100 * float(log[-1]['test_accuracy']):.2f} %",
        "published": f"{published['accuracy']:.2f} % ({published['source']})" if published else "–",
        "training": f"{len(log)} epochs, {minutes:.0f} min",
    }
    return row | _measured(name, recipe)


def _record(name: str, recipe: Any) -> dict[str, Any] | None:
    """What was measured of a checkpoint; None where nothing was."""
    path = record_path(name)
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record["checkpoint_sha256"] != sha256_of(recipe.checkpoint):
        raise InputError(f"{path.name} is of another {recipe.checkpoint.name}; measure it anew (make zoo-record)")
    return record


def _measured(name: str, recipe: Any) -> dict[str, str]:
    record = _record(name, recipe)
    if record is None:
        return dict.fromkeys(
            ("samples", "bits", "compiled", "drop", "held out", "spikes", "operations", "energy"), "not measured"
        ) | {"costs": ""}
    low, high = record["drop_interval_95"]
    drop = record["float_accuracy"] - record["integer_accuracy"]
    others = record["other_splits"].values()
    joules = [1e6 * value for value in record["energy_s1_joules"]]
    return {
        "samples": f"{record['samples']:,}",
        "T": str(record["time_steps"]),
        "float": f"{100 * record['float_accuracy']:.2f} %",
        "bits": str(record.get("bits", 8)),
        "compiled": f"{100 * record['integer_accuracy']:.2f} %",
        "drop": f"{100 * drop:.2f} [{100 * low:.2f} … {100 * high:.2f}]",
        "held out": ", ".join(f"{100 * part['integer_accuracy']:.2f} %" for part in others) or "–",
        "spikes": f"{record['spikes_per_inference']:,.0f}",
        "operations": f"{record['synaptic_operations_per_inference']:,.0f}",
        "energy": f"{joules[1]:.1f} µJ [{joules[0]:.1f} … {joules[2]:.1f}]",
        "costs": record["energy_costs"],
    }
