"""Times the executors of one network on the same images in one run: fixed-sim, the reference interpreter, the PyTorch
module and the Lava runtime. Prints milliseconds an image and ratios, medians over rounds in which all take their turn.

    python -m benchmarks.simulators [--model mnist-lif …] [--images 256] [--rounds 5] [--csv FILE]
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snncc.compiler import compile_graph
from snncc.data import load
from snncc.errors import SnnccError
from snncc.frontends import load_model
from snncc.program.reference import run_reference
from snncc.registry import get_target, resolve_model
from snncc.target import RunOptions

FEW = 8
"""Images for the slow executors; their time is per image."""


@dataclass(frozen=True)
class Contender:
    """One executor: how many images it takes a round, and what runs them."""

    name: str
    images: int
    run: Callable[[np.ndarray], object]


def contenders(model: str, images: int) -> list[Contender]:
    """The executors of one model, each checked to be there."""
    import torch

    from snncc.models.checkpoint import load_module

    path = resolve_model(model)
    graph = load_model(path)
    fixed_sim = get_target("fixed-sim")
    program = compile_graph(graph, fixed_sim).program
    module = load_module(path)

    def on_torch(x: np.ndarray) -> object:
        with torch.inference_mode():
            return module(torch.from_numpy(x).float() / 255)

    made = [
        Contender("fixed-sim", images, lambda x: fixed_sim.run(program, None, x, RunOptions())),
        Contender("reference", FEW, lambda x: run_reference(program, x, record=False)),
        Contender("PyTorch float32", images, on_torch),
    ]
    lava = get_target("loihi-sim")
    lava_program = compile_graph(graph, lava).program
    runtime = Contender("Lava runtime", FEW, lambda x: lava.run(lava_program, None, x, RunOptions()))
    try:
        runtime.run(load("mnist:demo", 1).inputs)
        made.append(runtime)
    except SnnccError as error:
        print(f"  Lava runtime left out: {error}")
    return made


def measure(model: str, images: int, rounds: int) -> list[dict[str, object]]:
    """Milliseconds an image for each executor, a list over rounds; one untimed warm-up each."""
    data = load("mnist:demo", images).inputs
    runners = contenders(model, images)
    times: dict[str, list[float]] = {c.name: [] for c in runners}
    for c in runners:
        c.run(data[: min(c.images, 2)])
    for _ in range(rounds):
        for c in runners:
            start = time.perf_counter()
            c.run(data[: c.images])
            times[c.name].append(1e3 * (time.perf_counter() - start) / min(c.images, len(data)))
    rows: list[dict[str, object]] = []
    for c in runners:
        ratios = [t / f for t, f in zip(times[c.name], times["fixed-sim"], strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        rows.append(
            {
                "model": model,
                "executor": c.name,
                "images": min(c.images, len(data)),
                "ms_per_image": statistics.median(times[c.name]),
                "times_fixed_sim": middle,
                "lowest": low,
                "highest": high,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="zoo model or file; may be given several times")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    chosen = parser.parse_args()
    rows = []
    for model in chosen.model or ["mnist-lif", "mnist-multi-threshold"]:
        print(f"{model}: {chosen.images} images, medians of {chosen.rounds} rounds")
        for row in measure(model, chosen.images, chosen.rounds):
            rows.append(row)
            print(
                f"  {row['executor']:<16} {row['ms_per_image']:>10.3f} ms/image   {row['times_fixed_sim']:>8.2f} × fixed-sim"
                f"   [{row['lowest']:.2f} … {row['highest']:.2f}]   on {row['images']} images"
            )
    if chosen.csv:
        with chosen.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
