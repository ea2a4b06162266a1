"""Charts of a page as inline SVG: 360 units wide, coloured by the page's classes, each with a title and a description in words.

Numbers arrive as plain values with the words that stand beside them, so that a chart and the tables say the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from snncc.trace import Curve

Array = np.ndarray

WIDTH = 360
MOST_LABEL, VALUE, LETTER = 150, 66, 6.4
"""Left of the bars their names, as wide as the longest needs at so much a letter; right of them their values."""
ROW, BAR = 22, 12
MOST_NEURONS = 40
"""Rows of a layer in a raster; of a larger layer neurons at equal distances are drawn."""
MOST_STEPS = 400
MOST_LETTERS = 23
"""Of a layer's name."""
MOST_LINE = 58
"""Letters that fit beside one another."""


@dataclass(frozen=True)
class Bar:
    """A row: its name, its value (None is not modelled), the value in words."""

    label: str
    value: float | None
    words: str


@dataclass(frozen=True)
class Range:
    """A row: ends of the envelope, percentiles, the typical value and all in words. ``None`` values: not modelled."""

    label: str
    low: float
    p5: float
    typ: float
    p95: float
    high: float
    words: str


def bars(key: str, title: str, rows: Sequence[Bar]) -> str:
    """A horizontal bar a row, all from 0 to the largest."""
    largest = max((r.value or 0.0 for r in rows), default=0.0) or 1.0
    label = min(MOST_LABEL, LETTER * max((len(r.label) for r in rows), default=0) + 8)
    span = WIDTH - label - VALUE
    shapes = []
    for i, r in enumerate(rows):
        y = i * ROW
        shapes.append(_label(r.label, y))
        if r.value is not None:
            long = max(span * r.value / largest, 1.0 if r.value else 0.0)
            shapes.append(f'<rect class="bar" x="{label:.1f}" y="{y + 5}" width="{long:.1f}" height="{BAR}" rx="2"/>')
        shapes.append(_text(WIDTH, y + 15, r.words, "end"))
    described = "; ".join(f"{r.label}: {r.words}" for r in rows)
    return _svg(key, title, f"Bars. {described}.", len(rows) * ROW, shapes)


def ranges(key: str, title: str, rows: Sequence[Range]) -> str:
    """A row an interval: a thin line from low to high, a thick one over 5 to 95 %, a dot at the typical value."""
    largest = max((r.high for r in rows), default=0.0) or 1.0
    left, span = 40, WIDTH - 40 - 8

    def at(value: float) -> float:
        return left + span * value / largest

    shapes = []
    for i, r in enumerate(rows):
        y, middle = i * 34, i * 34 + 24
        shapes.append(_text(0, middle + 4, r.label))
        shapes.append(_text(left, y + 12, r.words, name="words"))
        shapes.append(f'<line class="thin" x1="{at(r.low):.1f}" x2="{at(r.high):.1f}" y1="{middle}" y2="{middle}"/>')
        shapes.append(f'<line class="thick" x1="{at(r.p5):.1f}" x2="{at(r.p95):.1f}" y1="{middle}" y2="{middle}"/>')
        shapes.append(f'<circle class="dot" cx="{at(r.typ):.1f}" cy="{middle}" r="4"/>')
    described = "; ".join(f"{r.label}: {r.words}" for r in rows)
    return _svg(key, title, f"Intervals from 0 to the largest high end. {described}.", len(rows) * 34 + 4, shapes)


def raster(key: str, title: str, layers: Sequence[tuple[str, Array]]) -> str:
    """Spikes of a sample: a panel a layer, (name, (T, size)); a row a neuron, time from left to right, a mark a spike."""
    shapes, y, said = [], 0.0, []
    for name, spikes in layers:
        steps, size = min(len(spikes), MOST_STEPS), spikes.shape[1]
        shown = np.unique(np.linspace(0, size - 1, min(size, MOST_NEURONS)).astype(int))
        fired = int(np.count_nonzero(spikes))
        part = f"{_short(name)}: {fired:,} spikes of {size:,} neurons"
        some = [f"{len(shown)} neurons" if len(shown) < size else "", f"{steps} steps" if steps < len(spikes) else ""]
        drawn = " and ".join(filter(None, some))
        said.append(part)
        lines = [f"{part}; {drawn} drawn"] if drawn else [part]
        if len(lines[0]) > MOST_LINE:
            lines = [part, f"{drawn} drawn"]
        for line in lines:
            shapes.append(_text(0, y + 12, line, name="words"))
            y += 14
        y -= 14
        top, high, wide = y + 18, max(2.0, min(5.0, 60 / len(shown))), WIDTH / steps
        shapes.append(f'<rect class="ground" x="0" y="{top:.1f}" width="{WIDTH}" height="{len(shown) * high:.1f}"/>')
        path = "".join(
            f"M{t * wide + wide * 0.1:.1f} {top + row * high:.1f}h{wide * 0.8:.1f}v{high * 0.8:.1f}h{-wide * 0.8:.1f}z"
            for row, t in itertools.product(range(len(shown)), range(steps))
            if spikes[t, shown[row]]
        )
        shapes.append(f'<path class="bar" d="{path}"/>' if path else "")
        y = top + len(shown) * high + 10
    shapes.append(_text(0, y + 8, f"step 0 to {min(len(layers[0][1]), MOST_STEPS) - 1}, from left to right"))
    return _svg(key, title, f"Raster of spikes. {'; '.join(said)}.", y + 14, shapes)


def membranes(key: str, title: str, integer: Curve, floats: Curve | None, threshold: float | None) -> str:
    """Membranes over time: integer solid, float dashed, spikes of each as marks at the top, the threshold as a line."""
    curves = [("integer", integer), *([("float", floats)] if floats else [])]
    values = [v for _, c in curves for v in c.membrane] + ([threshold] if threshold is not None else []) + [0.0]
    low, high = min(values), max(values)
    span, top, tall, left = (high - low) or 1.0, 34.0, 150.0, 46.0
    steps = len(integer.membrane)
    wide = (WIDTH - left - 10) / max(steps - 1, 1)

    def at(step: int, value: float) -> str:
        return f"{left + step * wide:.1f},{top + tall * (high - value) / span:.1f}"

    shapes = []
    for value in sorted({low, 0.0, high, *([threshold] if threshold is not None else [])}):
        y = float(at(0, value).split(",")[1])
        name = "mark" if value == threshold else "axis"
        shapes.append(f'<line class="{name}" x1="{left}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for value, y in _apart([(v, float(at(0, v).split(",")[1])) for v in (high, threshold, 0.0, low) if v is not None]):
        shapes.append(_text(left - 4, y + 4, f"{value:.2g}", "end"))
    said = []
    for row, (name, curve) in enumerate(curves):
        line = " ".join(at(t, v) for t, v in enumerate(curve.membrane))
        shapes.append(f'<polyline class="{name}" points="{line}"/>')
        if steps <= 60:
            points = (at(t, v).split(",") for t, v in enumerate(curve.membrane))
            shapes += [f'<circle class="{name}" cx="{x}" cy="{y}" r="3"/>' for x, y in points]
        shapes.append(_text(0, 12 + 12 * row, name, name="words"))
        ticks = [t for t, n in enumerate(curve.spikes) if n]
        shapes += [
            f'<line class="{name} spike" x1="{left + t * wide:.1f}" x2="{left + t * wide:.1f}" '
            f'y1="{3 + 12 * row}" y2="{12 + 12 * row}"/>'
            for t in ticks
        ]
        reach = f"membrane {min(curve.membrane):.3g} to {max(curve.membrane):.3g}"
        said.append(f"{name}: {len(ticks)} of {steps} steps with a spike, {reach}")
    shapes.append(_text(left, top + tall + 16, "step 0"))
    shapes.append(_text(WIDTH, top + tall + 16, f"step {steps - 1}", "end"))
    described = "; ".join(said) + ("" if threshold is None else "; the threshold is 1")
    return _svg(key, title, f"Membranes over time. {described}.", top + tall + 20, shapes)


def _apart(marks: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Marks (value, y) that do not stand on one another, from the top."""
    last = -100.0
    for value, y in sorted(marks, key=lambda m: m[1]):
        if y - last >= 12:
            yield value, y
            last = y


def _label(text: str, y: float) -> str:
    return _text(0, y + 15, _short(text))


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


def _text(x: float, y: float, text: str, anchor: str = "start", name: str = "") -> str:
    named = f' class="{name}"' if name else ""
    return f'<text{named} x="{x:g}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(key: str, title: str, description: str, height: float, shapes: Sequence[str]) -> str:
    body = "\n".join(filter(None, shapes))
    return (
        f'<svg class="chart" role="img" aria-labelledby="{key}-title {key}-description" viewBox="0 0 {WIDTH} {height:.0f}">\n'
        f'<title id="{key}-title">{escape(title)}</title>\n<desc id="{key}-description">{escape(description)}</desc>\n'
        f"{body}\n</svg>"
    )
