"""Time against activity, a panel a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import AUTO, DENSE, EVENT, Result

OURS: Mapping[str, tuple[str, float]] = {AUTO: ("black", 2.4), EVENT: ("tab:red", 1.8), DENSE: ("tab:blue", 1.8)}
THEIRS = ("orange", "green", "purple", "brown", "pink", "olive", "cyan", "gray")
NARROW = " bfloat16"


def plot(results: Sequence[Result], path: Path) -> str:
    """Draw ``path`` (.png or .svg); says where it is, or why there is none."""
    try:
        import matplotlib
    except ImportError:
        return "no plot: matplotlib is not installed (make frameworks)"
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import ScalarFormatter

    names = list(dict.fromkeys(r.work.case.name for r in results))
    contenders = list(dict.fromkeys(t.name for r in results for t in r.timings))
    colours = _colours(contenders)
    figure, axes = pyplot.subplots(1, len(names), figsize=(5.2 * len(names), 4.6), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        own = [r for r in results if r.work.case.name == name]
        for contender in contenders:
            _curve(axis, own, contender, colours)
        axis.set(
            title=f"{name}, batch {own[0].work.samples}", xscale="log", yscale="log", xlabel="neurons that fire, %"
        )
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(ScalarFormatter())
        axis.tick_params(axis="x", which="both", labelsize=7)
        axis.grid(True, which="both", alpha=0.2)
    axes[0][0].set_ylabel("ms a sample")
    found = {label: line for axis in axes[0] for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(found.values(), found.keys(), loc="center left", bbox_to_anchor=(0.92, 0.5), fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", dpi=150)
    pyplot.close(figure)
    return f"{path}: time against activity"


def _colours(contenders: Sequence[str]) -> dict[str, str]:
    """One for each peer, whatever it computes in."""
    peers = list(dict.fromkeys(name.split(" ")[0] for name in contenders if name not in OURS))
    return {peer: f"tab:{THEIRS[k % len(THEIRS)]}" for k, peer in enumerate(peers)}


def _curve(axis: Any, results: Sequence[Result], contender: str, colours: Mapping[str, str]) -> None:
    points = []
    for result in results:
        timing = result.of(contender)
        if timing is not None:
            points.append((100 * float(np.mean(result.work.rates)), 1e3 * timing.seconds.median))
    if not points:
        return
    x, y = zip(*sorted(points), strict=True)
    colour, width = OURS.get(contender, (colours.get(contender.split(" ")[0], "black"), 0.9))
    style = "--" if contender.endswith(NARROW) else "-"
    axis.plot(x, y, style, marker="o", markersize=3, label=contender, color=colour, linewidth=width)
