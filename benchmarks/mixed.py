"""Mixed precision on networks of the zoo, with what it costs on test sets that the search did not see.

    python -m benchmarks.mixed [NAME …] [--budget 0.5] [--rounding nearest]     search, verify, write docs/mixed/NAME.json and .svg
    python -m benchmarks.mixed --write                                          docs/mixed-precision.md from the records

The search takes the recipe's training split, as ``snncc compile NAME --budget-accuracy 0.5 --calibrate DATA`` does. Only then the
whole test set is read: the float network, the uniform 8-bit one and the mixed one run on all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import snncc
from snncc.accuracy import steps_with_label
from snncc.cli.budget import MOST, parts, plot
from snncc.cli.options import CALIBRATION_SAMPLES, compile_options, input_of, load_data
from snncc.compiler import compile_graph
from snncc.evidence import Errors, interval
from snncc.files import sha256_of, written_beside
from snncc.frontends import load_model
from snncc.memory import weight_bytes
from snncc.mixed.record import search_value
from snncc.mixed.samples import Answers, Samples, answers, drop, float_answers
from snncc.mixed.search import Budget, Found, search
from snncc.registry import get_models, get_target
from snncc.report.terminal import percent

FOLDER = Path("docs/mixed")
PAGE = Path("docs/mixed-precision.md")
NAMES = ("fashion-multi-threshold", "fashion-multi-threshold-t1", "cifar10-multi-threshold")
"""The two with the most weights, then the largest on colour images."""
HEAD = """# Mixed precision

`snncc compile NAME --budget-accuracy POINTS --calibrate DATA` finds bits for every layer that lose so many points of accuracy at
most and take the least memory (`--minimise energy`: the least energy). [design.md](design.md#mixed-precision) says how.
This page is made by `python -m benchmarks.mixed --write` from `docs/mixed/*.json`, which `python -m benchmarks.mixed` measures; no
figure is typed in by hand.

- The search sees training data alone: some samples to measure on, others to confirm with. The test set is read afterwards, whole.
- *weights*: memory of all weights in packed words, of the uniform 8-bit network and of the mixed one. *saved*: of that.
  *states*: the same for membranes and currents, as wide as the proof asks for.
- *drop*: accuracy lost on the test set in points, against the float and against the uniform network, with its 95 % interval
  for samples without end that are like these.
- *confirmed*: the drop against float on the confirmation part, and what it is at most, at 95 % over all tries.

"""


def searched(name: str, points: float, rounding: str) -> tuple[Found, dict[str, Any]]:
    """The search as the command line does it, and its value."""
    recipe = get_models()[name]
    graph = load_model(recipe.checkpoint)
    data = f"{recipe.training.data}:{recipe.training.train_split}"
    options = compile_options(8, None, False, data, graph, rounding=rounding)
    measure, confirm = parts(graph, data, CALIBRATION_SAMPLES, None, MOST)
    engine, began = get_target("fixed-sim"), time.monotonic()

    def say(text: str) -> None:
        print(f"{name}  {time.monotonic() - began:5.0f} s  {text}", flush=True)

    found = search(graph, engine, engine, options, measure, confirm, Budget(points), say)
    return found, search_value(found, data, data) | {"seconds": round(time.monotonic() - began), "rounding": rounding}


def tested(name: str, found: Found) -> dict[str, Any]:
    """Float, uniform and mixed network on the recipe's whole test set."""
    recipe, engine = get_models()[name], get_target("fixed-sim")
    graph, made = found.made.graph, found.made
    data = f"{recipe.training.data}:{recipe.training.test_splits[0]}"
    inputs, labels = load_data(data, None, graph)
    assert labels is not None
    samples = Samples(inputs, labels, input_of(graph), np.arange(len(labels)), steps_with_label(labels))
    train = f"{recipe.training.data}:{recipe.training.train_split}"
    uniform = compile_graph(
        graph, engine, compile_options(8, None, False, train, graph, rounding=found.options.rounding)
    )
    networks: dict[str, Answers] = {
        "float": float_answers(graph, samples),
        "uniform": answers(uniform.program, engine, samples),
        "mixed": answers(made.program, engine, samples),
    }
    count = len(samples)

    def lost(rival: str) -> dict[str, float]:
        values = drop(networks[rival], networks["mixed"], count)
        low, high = interval(values, Errors())
        return {"drop": 100 * values.mean, "low": 100 * low, "high": 100 * high}

    return {
        "data": data,
        "samples": count,
        "accuracy": {key: network.accuracy(count) for key, network in networks.items()},
        "drop_points": {rival: lost(rival) for rival in ("float", "uniform")},
        "weight_bytes": {"uniform": weight_bytes(uniform.program), "mixed": weight_bytes(made.program)},
    }


def measured(name: str, points: float, rounding: str) -> None:
    """Writes the record and the plot."""
    found, value = searched(name, points, rounding)
    record = {
        "network": name,
        "snncc": snncc.__version__,
        "checkpoint_sha256": sha256_of(get_models()[name].checkpoint),
        "weights": sum(int(p.weight.size) for p in found.made.program.projections),
        "search": value,
        "test": tested(name, found),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(record, indent=1) + "\n"), (".svg", plot(found))):
        with written_beside(FOLDER / f"{name}{suffix}") as beside:
            beside.write_text(text, encoding="utf-8")
    print(row(record), flush=True)


def row(record: dict[str, Any]) -> str:
    """Of the table."""
    chosen, uniform, test = record["search"]["chosen"], record["search"]["uniform"], record["test"]
    bits = " ".join(f"{layer} {n}" for layer, n in chosen["layer_bits"].items())
    guard = "" if chosen["guard_bits"] is None else f"; {chosen['guard_bits']} guard bits"
    words = test["weight_bytes"]
    shown = [
        f"[{record['network']}](mixed/{record['network']}.svg)",
        f"{record['weights']:,}",
        bits + guard,
        f"{words['uniform'] / 1000:,.0f} → {words['mixed'] / 1000:,.0f} kB",
        f"**{100 * (1 - words['mixed'] / words['uniform']):.1f} %**",
        f"{uniform['state_bytes'] / 1000:,.0f} → {chosen['state_bytes'] / 1000:,.0f} kB",
        *(percent(test["accuracy"][key]) for key in ("float", "uniform", "mixed")),
        *(_drop(test["drop_points"][rival]) for rival in ("float", "uniform")),
        f"{test['samples']:,}",
        _confirmed(chosen["confirmation"]),
    ]
    return f"| {' | '.join(shown)} |"


def _drop(value: dict[str, float]) -> str:
    return f"{value['drop']:.2f} [{value['low']:.2f} … {value['high']:.2f}]"


def _confirmed(value: dict[str, Any] | None) -> str:
    if value is None:
        return "–"
    lost = value["drop_points"]["float"]
    return f"{lost['drop']:.2f}, at most {lost['at_most']:.2f}, on {value['samples']:,}"


def page(records: list[dict[str, Any]]) -> str:
    """docs/mixed-precision.md, largest network first."""
    head = [
        "network", "weights", "bits a weight", "memory of weights", "saved", "states", "float", "uniform 8", "mixed",
        "drop against float", "against uniform", "test samples", "confirmed",
    ]  # fmt: skip
    lines = [HEAD + f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [row(r) for r in sorted(records, key=lambda r: (-r["weights"], r["network"]))]
    took = ", ".join(f"{r['network']} {r['search']['seconds'] / 60:.0f} min" for r in records)
    first = records[0]["search"]
    lines += [
        "",
        f"Budget: {first['budget_points']:g} points; rounding: {', '.join(sorted({r['search']['rounding'] for r in records}))}. "
        f"A search took, on two hyperthreads of one core that others used too: {took}.",
    ]
    return "\n".join(lines) + "\n"


def recorded() -> list[dict[str, Any]]:
    """All records there are."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def main() -> int:
    """Measure what is named, and write the page."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", help=f"networks of the zoo; {', '.join(NAMES)}")
    arguments.add_argument("--budget", type=float, default=0.5, help="points")
    arguments.add_argument("--rounding", choices=("nearest", "learned"), default="nearest")
    arguments.add_argument("--write", action="store_true", help="write the page from the records, measure nothing")
    given = arguments.parse_args()
    if not given.write:
        for name in given.names or NAMES:
            measured(name, given.budget, given.rounding)
    with written_beside(PAGE) as beside:
        beside.write_text(page(recorded()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
