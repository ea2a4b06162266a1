"""Cost against accuracy as a standalone SVG: every network that was run, the front, the uniform ones and the chosen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 64, 24, 64, 48
SHOWN_DROP = 0.05
"""Accuracy (a share of 1) below the best that the axis reaches; what lies lower stands at the lower edge, hollow."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.head{font-weight:600;font-size:14px}.grid{stroke:#ddd}.front{fill:none;"
    "stroke:#2563a8;stroke-width:1.5}.mixed{fill:#2563a8}.uniform{fill:#8a8a8a}.below{fill:#fff;stroke:#2563a8}"
    ".chosen{fill:none;stroke:#c2410c;stroke-width:2.5}.limit{stroke:#c2410c;stroke-dasharray:5 4}"
)


@dataclass(frozen=True)
class Mark:
    """A network: its cost in the axis's unit, its accuracy (0..1), what it is called ("8 bits"), and what it is."""

    cost: float
    accuracy: float
    label: str = ""
    uniform: bool = False
    chosen: bool = False
    on_front: bool = False


def pareto_svg(title: str, axis: str, marks: Sequence[Mark], limit: float) -> str:
    """The plot; ``limit``: the accuracy at which the budget ends."""
    best, worst = max(m.accuracy for m in marks), min(m.accuracy for m in marks)
    top, low = best, max(min(worst, limit), best - SHOWN_DROP)
    pad = max((top - low) * 0.06, 1e-4)
    top, low = top + pad, low - pad
    most = max(m.cost for m in marks) * 1.04 or 1.0
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(cost: float) -> float:
        return LEFT + wide * cost / most

    def y(accuracy: float) -> float:
        return TOP + tall * (top - max(accuracy, low)) / (top - low)

    shapes = []
    for value in _ticks(0.0, most):
        shapes.append(f'<line class="grid" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP}" y2="{TOP + tall}"/>')
        shapes.append(_text(x(value), TOP + tall + 18, f"{value:,.4g}", "middle"))
    for value in _ticks(100 * low, 100 * top):
        at = y(value / 100)
        shapes.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + wide}" y1="{at:.1f}" y2="{at:.1f}"/>')
        shapes.append(_text(LEFT - 6, at + 4, f"{value:.4g} %", "end"))
    if low < limit < top:
        shapes.append(f'<line class="limit" x1="{LEFT}" x2="{LEFT + wide}" y1="{y(limit):.1f}" y2="{y(limit):.1f}"/>')
        shapes.append(_text(LEFT + wide, y(limit) - 5, "budget", "end"))
    points: list[str] = []
    before: Mark | None = None
    for m in sorted((m for m in marks if m.on_front), key=lambda m: m.cost):
        points += [] if before is None else [f"{x(m.cost):.1f},{y(before.accuracy):.1f}"]
        points.append(f"{x(m.cost):.1f},{y(m.accuracy):.1f}")
        before = m
    points += [] if before is None else [f"{LEFT + wide:.1f},{y(before.accuracy):.1f}"]
    shapes.append(f'<polyline class="front" points="{" ".join(points)}"/>')
    for m in marks:
        px, py = x(m.cost), y(m.accuracy)
        name = "below" if m.accuracy < low else "uniform" if m.uniform else "mixed"
        about = f"<title>{escape(m.label)}: {m.cost:,.4g} {escape(axis)}, {100 * m.accuracy:.2f} %</title>"
        if m.uniform:
            shapes.append(f'<rect class="{name}" x="{px - 4:.1f}" y="{py - 4:.1f}" width="8" height="8">{about}</rect>')
            shapes.append(_text(px, py - 9, m.label, "middle"))
        else:
            shapes.append(f'<circle class="{name}" cx="{px:.1f}" cy="{py:.1f}" r="3.5">{about}</circle>')
        if m.chosen:
            shapes.append(f'<circle class="chosen" cx="{px:.1f}" cy="{py:.1f}" r="8"/>')
    shapes.append(_text(LEFT, 22, title, name="head"))
    shapes.append(
        _text(
            LEFT,
            42,
            "blue: mixed widths; grey: one width; line: front; ring: chosen; hollow: below the axis",
        )
    )
    shapes.append(_text(LEFT + wide / 2, HEIGHT - 10, axis, "middle"))
    chosen = next((m for m in marks if m.chosen), marks[0])
    described = (
        f"Accuracy against {axis} of {len(marks)} networks. Chosen: {chosen.label}, {chosen.cost:,.4g}, "
        f"{100 * chosen.accuracy:.2f} %."
    )
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(described)}</desc>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round values in low..high, four to nine of them."""
    step = 10.0 ** np.floor(np.log10((high - low) / 2))
    while (high - low) / step > 9:
        step *= 2
    return [float(v) for v in np.arange(np.ceil(low / step), high / step + 1e-9) * step]


def _text(x: float, y: float, text: str, anchor: str = "start", name: str = "") -> str:
    named = f' class="{name}"' if name else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
