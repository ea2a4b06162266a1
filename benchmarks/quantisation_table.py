"""The table in docs/quantisation.md: everything between its two marks, from the records in docs/quantisation/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages import parted
from benchmarks.results import record_path
from snncc.errors import InputError
from snncc.files import sha256_of, written_beside
from snncc.registry import get_models

BITS = (8, 6, 4, 3, 2)
METHODS = {"plain": "plain max-scaling", "nearest": "nearest", "learned": "learned", "learned-1024": "from 1,024"}
WANTED = {8: (0.1, "nearest"), 4: (0.5, "learned"), 2: (1.5, "learned")}
"""Points that may be lost at most, by bits, and the method that is held to it; at 2 bits the fine-tuned network, if there is."""
TUNED_FROM = 2
"""Bits up to which a fine-tuned network is held to what is wanted of the one it started from."""
START, END = "<!-- measured: python -m benchmarks.quantisation --table -->", "<!-- end of what was measured -->"
NOT_YET = "–"


def folder() -> Path:
    """Where the records lie."""
    return Path(__file__).parents[1] / "docs" / "quantisation"


def read_record(name: str) -> dict[str, Any] | None:
    """What was measured of a network; None where nothing was."""
    path = folder() / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_table(path: Path) -> None:
    """Replace what stands between the marks of the page."""
    with written_beside(path) as beside:
        beside.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """``text`` with the table as the records give it."""
    before, _, after = parted("docs/quantisation.md", text, START, END)
    return f"{before}{START}\n\n{table()}\n{END}{after}"


def table() -> str:
    """Accuracy drops of all networks, and those of fine-tuned ones."""
    records = {name: found for name in get_models() if (found := _checked(name))}
    tuned = _fine_tuned()
    head = [
        "network",
        "test samples",
        "float",
        "bits",
        *METHODS.values(),
        "fine-tuned",
        "learned, held out",
        "learning took",
        "wanted",
    ]
    lines = [_line(head), _line(["---"] * len(head))]
    for name, record in records.items():
        for bits in BITS:
            row = record["rows"]
            if not any(f"{bits} {method}" in row for method in METHODS):
                continue
            cells = [_drop(record, row.get(f"{bits} {method}")) for method in METHODS]
            learned = row.get(f"{bits} learned", {})
            seconds = f"{learned['compile_seconds']:.0f} s" if "compile_seconds" in learned else NOT_YET
            most, method = WANTED.get(bits, (None, ""))
            more = row.get(f"{bits} {method}-1024")  # the same from more samples
            judged = more or row.get(f"{bits} {method}", {})
            own = tuned.get((name, bits))
            cells += [_drop(record, own), _held_out(record, judged)]
            wanted = _wanted(record, own if own and bits <= TUNED_FROM else judged, most)
            shown = [name, f"{record['samples']:,}", f"{100 * record['float_accuracy']:.2f} %"]
            lines.append(_line([*shown, str(bits), *cells, seconds, wanted]))
    lines += ["", "The fine-tuned networks:", ""]
    head = ["network", "from", "test samples", "bits", "drop", "held out"]
    lines += [_line(head), _line(["---"] * len(head))]
    for (start, bits), own in tuned.items():
        record = records[start]
        shown = [own["name"], start, f"{own['samples']:,}", str(bits), _drop(record, own), _held_out(record, own)]
        lines.append(_line(shown))
    return "\n".join(lines) + "\n"


def _checked(name: str) -> dict[str, Any] | None:
    found = read_record(name)
    if found is not None and found["checkpoint_sha256"] != sha256_of(get_models()[name].checkpoint):
        raise InputError(
            f"docs/quantisation/{name}.json is of another checkpoint; python -m benchmarks.quantisation --write"
        )
    return found


def _points(record: dict[str, Any], accuracy: float) -> float:
    """Points lost of a record's (or its held-out part's) float accuracy, as shown: to two digits."""
    return round(100 * (record["float_accuracy"] - accuracy), 2) + 0.0


def _drop(record: dict[str, Any], row: dict[str, Any] | None) -> str:
    if row is None:
        return NOT_YET
    return "refused" if "refused" in row else f"{_points(record, row['accuracy']):.2f}"


def _held_out(record: dict[str, Any], row: dict[str, Any]) -> str:
    """The drop on images held out of training, where there are any."""
    return _drop(record["held_out"], {"accuracy": row["held_out"]}) if "held_out" in row else NOT_YET


def _wanted(record: dict[str, Any], row: dict[str, Any], most: float | None) -> str:
    if most is None or "accuracy" not in row:
        return ""
    return f"≤ {most:g}: {'met' if _points(record, row['accuracy']) <= most else 'misses'}"


def _fine_tuned() -> dict[tuple[str, int], dict[str, Any]]:
    """(network, bits) to what was measured of the one that was trained for those bits from its checkpoint."""
    made = {}
    for name, recipe in get_models().items():
        if not recipe.training.bits or not recipe.checkpoint.is_file() or not record_path(name).is_file():
            continue
        own = json.loads(record_path(name).read_text(encoding="utf-8"))
        held_out = own["other_splits"].get("heldout")
        row = {"name": name, "samples": own["samples"], "accuracy": own["integer_accuracy"]}
        made[recipe.training.start, own["bits"]] = row | (
            {"held_out": held_out["integer_accuracy"]} if held_out else {}
        )
    return made


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
